"""The shipped model: what it holds, what it says of a photograph, how it goes on."""

from importlib.resources import files

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from skimage.data import astronaut
from sklearn.base import clone

import skfau
from skfau import Faces, ResNetClassifier
from skfau._unwrap import apply_steps, find_having
from skfau.estimators import pretrained_classifier
from skfau.exceptions import MissingFaceWarning
from skfau.nn import make_backbone

FOLDERS = files("skfau.estimators") / "_trained", files("skfau.nn") / "_trained"


@pytest.fixture(scope="module")
def model():
    return skfau.load_pretrained()


@pytest.fixture(scope="module")
def photograph():
    return Faces(astronaut()[None])


def test_a_smiling_woman_smiles(model, photograph):
    y_proba, aus = model.predict_proba(photograph)[0], model[-1].aus_
    by_au = dict(zip(aus, y_proba.tolist(), strict=True))
    assert len(aus) >= 17
    assert min(by_au[12], by_au[25]) > 0.5
    assert max(by_au[4], by_au[9], by_au[15], by_au[45]) < 0.5
    strong = dict(zip(aus, model[-1].to_intensity(y_proba[None])[0], strict=True))
    assert strong[12] > 2 > strong[15]


def test_a_mirrored_face_has_the_same_aus(model, photograph):
    mirrored = Faces(np.ascontiguousarray(astronaut()[None, :, ::-1]))
    pair = [model.predict_proba(faces) for faces in (photograph, mirrored)]
    np.testing.assert_allclose(*pair, atol=0.25)


def test_an_image_without_a_face_is_nan(model):
    nothing = Faces(np.full((1, 64, 64, 3), 128, np.uint8))
    with pytest.warns(MissingFaceWarning):
        assert np.isnan(model.predict_proba(nothing)).all()


def test_all_weights_take_at_most_six_megabytes():
    sizes = [
        path.stat().st_size
        for folder in FOLDERS
        for path in folder.iterdir()
        if path.suffix == ".safetensors"
    ]
    assert len(sizes) == 3
    assert sum(sizes) <= 6e6


def test_the_model_card_lies_beside_the_weights():
    card = (FOLDERS[0] / "MODEL_CARD.rst").read_text()
    assert "rendered-1" in card


def test_each_call_gives_a_model_of_its_own(model):
    other = skfau.load_pretrained()
    assert other[-1] is not model[-1]


def test_another_name_is_an_error():
    with pytest.raises(ValueError, match="name must be one of 'rendered-1', got 'no'"):
        skfau.load_pretrained("no")


def test_a_fit_goes_on_where_the_model_is(model, photograph):
    network, steps = find_having(model, "net_")
    clf = pretrained_classifier(network.aus_, lr=1e-9, max_epochs=1, random_state=0)
    faces = photograph[[0] * 4]
    clf.fit(faces, np.ones((4, len(network.aus_))))
    before = network.predict_proba(apply_steps(steps, faces))
    # Batch statistics move a little in one step; the weights do not.
    np.testing.assert_allclose(clf.predict_proba(faces), before, atol=0.2)


@pytest.mark.parametrize("cut", ["12x12", "full"])
def test_the_trunk_starts_from_the_shipped_file(cut):
    backbone = make_backbone("tiny", "rendered", cut=cut)
    path = FOLDERS[1] / "tiny-rendered-1.safetensors"
    given = load_file(path)
    for name, tensor in backbone.state_dict().items():
        if tensor.dtype.is_floating_point:
            np.testing.assert_array_equal(tensor, given[name].astype(np.float32))


def test_a_system_starts_from_the_shipped_trunk():
    clf = ResNetClassifier(backbone="tiny", weights="rendered", image_size=32)
    faces = Faces(np.zeros((4, 32, 32, 3), np.uint8))
    clf.set_params(aus=(1, 2), max_epochs=1, lr=1e-12, random_state=0)
    state = clone(clf).fit(faces, np.eye(4)[:, :2]).network_state()
    expected = make_backbone("tiny", "rendered", cut="full").state_dict()
    torch.testing.assert_close(
        torch.from_numpy(state["backbone.conv1.weight"]), expected["conv1.weight"]
    )


def test_other_backbones_have_no_shipped_weights():
    with pytest.raises(ValueError, match=r"shipped for backbone 'resnet18'; .*'tiny'"):
        make_backbone("resnet18", "rendered")
