"""Exported files give what predict_proba gives, for every classifier."""

import json
import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

import skfau
from skfau import FaceAligner
from skfau._unwrap import find_having
from skfau.datasets import load_rendered, make_faces
from skfau.estimators import hog_baseline, landmark_baseline
from skfau.estimators._augmentation import FaceAugmentation, still
from skfau.estimators._batches import PreparedNetwork
from skfau.estimators._exported import Prepared, fit_similarity
from skfau.model_selection import AdaptedAUClassifier, AUThresholdClassifier
from skfau.preprocessing import _similarity
from tests import networks, small

_SIDE = 40  # of the faces: no network's own, so that all resample


@pytest.fixture(scope="module")
def made():
    return make_faces(n_subjects=3, n_frames=4, image_size=_SIDE, random_state=0)


def needs_onnx():
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is in the extra onnx")
    pytest.importorskip("torch", "2.8", reason="the extra onnx needs torch 2.8")


def run(path, **columns):
    """Return what onnxruntime makes of a file, and its metadata."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    given = {each.name: columns[each.name] for each in session.get_inputs()}
    return session.run(None, given)[0], session.get_modelmeta().custom_metadata_map


def columns_of(everything, n_faces):
    """Return a file's inputs for the first faces, with neighbours as for AUNet."""
    columns, faces = {}, everything[:n_faces]
    for side, step in (("", 0), ("previous", -1), ("following", 1)):
        those = faces.neighbors(step) if step else faces
        rows = np.where(np.isnan(those.landmarks).all((1, 2)), faces.rows, those.rows)
        columns[side or "images"] = np.asarray(everything[rows])
        landmarks = np.float32(everything[rows].landmarks)
        columns[f"{side}_landmarks".strip("_")] = landmarks
    return columns


@pytest.mark.parametrize("cls", small.CLASSIFIERS, ids=lambda cls: cls.__name__)
def test_file_gives_what_predict_proba_gives(cls, made, tmp_path):
    needs_onnx()
    clf = small.make_small(cls, max_epochs=1).fit(made.data, made.target)
    clf.to_onnx(tmp_path / "aus.onnx")
    for n_faces in (1, 5):
        faces = made.data[:n_faces]
        columns = columns_of(made.data, n_faces)
        given, about = run(tmp_path / "aus.onnx", **columns)
        assert np.abs(given - clf.predict_proba(faces)).max() < 1e-4
    assert json.loads(about["aus"]) == list(clf.aus_)
    assert json.loads(about["face_size"]) == [_SIDE, _SIDE]


@pytest.mark.parametrize("cls", networks.NETWORKS, ids=lambda cls: cls.__name__)
def test_networks_go_through_torch_export(cls):
    network = networks.make_small(cls).eval()
    inputs = tuple(networks.draw_inputs(network, 2).values())
    axes = tuple({0: torch.export.Dim("n", min=1)} for _ in inputs)
    with torch.no_grad():
        exported = torch.export.export(network, inputs, dynamic_shapes=axes).module()
        for n_faces in (1, 5):
            inputs = networks.draw_inputs(network, n_faces, seed=1).values()
            ours, theirs = network(*inputs), exported(*inputs)
            apart = (
                networks.split(ours)[0].sigmoid() - networks.split(theirs)[0].sigmoid()
            )
            assert apart.abs().max() < 1e-4


@pytest.mark.parametrize("crop", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("grayscale", [False, True])
@pytest.mark.parametrize(
    "face_size", [(32, 32), (40, 40), (48, 30), (64, 64), (30, 200), (300, 300)]
)
def test_window_is_the_one_that_predictions_see(face_size, crop, grayscale):
    network = PreparedNetwork(torch.nn.Identity(), image_size=32, grayscale=grayscale)
    augmentation = FaceAugmentation(crop=crop)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, *face_size, 3), dtype=np.uint8)
    window = still(augmentation, 2)
    warp = None
    if window is not None:
        warp = torch.as_tensor(window.on_pixels(face_size, 32).warp)
    images = torch.as_tensor(images)
    expected = network.pixels(images, warp=warp)
    given = Prepared(network, face_size, augmentation)(images)
    assert (given - expected).abs().max() < 1e-4


def test_similarity_of_tensors_is_that_of_arrays():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, 6, 7, 2))
    source[0, :3], source[1], source[2] = np.nan, np.nan, 4.0
    given = fit_similarity(torch.as_tensor(source), torch.as_tensor(target)).numpy()
    expected = _similarity.fit_similarity(source, target)
    np.testing.assert_allclose(given, expected, atol=1e-12)
    assert np.isnan(given[1:3]).all()


def test_shipped_model_is_one_file(tmp_path):
    needs_onnx()
    model, path = skfau.load_pretrained(), tmp_path / "aus.onnx"
    skfau.to_onnx(model, path, licence="BSD-3-Clause")
    # Its network computes in bfloat16 otherwise.
    find_having(model, "net_")[0].net_.module_.autocast = None
    faces = model[0].transform(load_rendered().data[:12])
    given, about = run(path, images=np.asarray(faces), mesh=np.float32(faces.mesh))
    assert np.abs(given - model[-1].predict_proba(faces)).max() < 1e-4
    assert json.loads(about["thresholds"]) == model[-1].thresholds_.tolist()
    assert json.loads(about["alignment"])[0]["template"] == model[0].template
    assert about["licence"] == "BSD-3-Clause"


def test_thresholds_and_landmarks_go_along(made, tmp_path):
    needs_onnx()
    clf = landmark_baseline().fit(made.data, made.target)
    thresholds = {12: 0.3}
    cut = AUThresholdClassifier(FrozenEstimator(clf), thresholds=thresholds)
    cut.fit(made.data, made.target)
    skfau.to_onnx(cut, tmp_path / "aus.onnx")
    landmarks = np.float32(clf[0].transform(made.data).landmarks)
    given, about = run(tmp_path / "aus.onnx", landmarks=landmarks)
    assert np.abs(given - cut.predict_proba(made.data)).max() < 1e-5
    assert json.loads(about["thresholds"]) == cut.thresholds_.tolist()


# What it began from, hardly trained, finds no AU1.
@pytest.mark.filterwarnings("ignore:AU1 never occurs")
def test_what_learned_on_is_exported_with_its_start(made, tmp_path):
    needs_onnx()
    X, y = made.data, made.target
    start = small.make_small(skfau.ResNetClassifier, max_epochs=1, aus=(1, 2))
    start.fit(X, y[:, :2])
    network = small.make_small(skfau.ResNetClassifier, max_epochs=1)
    clf = AdaptedAUClassifier(FrozenEstimator(start), network, aus=(2, 12))
    clf.fit(X, y[:, [1, 6]])
    skfau.to_onnx(clf, tmp_path / "aus.onnx")
    given, _ = run(tmp_path / "aus.onnx", images=np.asarray(X))
    assert np.abs(given - clf.predict_proba(X)).max() < 1e-5


def fitted(made):
    return small.make_small(skfau.ResNetClassifier, max_epochs=1).fit(
        made.data, made.target
    )


def test_missing_package_is_named(made, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"onnx is not installed: .*skfau\[onnx\]"):
        fitted(made).to_onnx(tmp_path / "aus.onnx")


def test_an_older_torch_is_named(made, monkeypatch, tmp_path):
    needs_onnx()
    monkeypatch.setattr(torch, "__version__", "2.7.1")
    with pytest.raises(ImportError, match=r"torch 2\.8 or later.* torch 2\.7\.1 is"):
        fitted(made).to_onnx(tmp_path / "aus.onnx")


def test_what_cannot_be_exported_is_refused(made, tmp_path):
    needs_onnx()
    clf = hog_baseline(output_size=48).fit(made.data, made.target)
    with pytest.raises(TypeError, match="HOGFeatures cannot be exported"):
        skfau.to_onnx(clf, tmp_path / "aus.onnx")
    with pytest.raises(TypeError, match="Export the pipeline"):
        skfau.to_onnx(clf[-1], tmp_path / "aus.onnx", face_size=48)
    # Before it asks for a size.
    with pytest.raises(TypeError, match="str cannot be exported"):
        skfau.to_onnx("aus.safetensors", tmp_path / "aus.onnx")
    with pytest.raises(NotFittedError):
        skfau.ResNetClassifier().to_onnx(tmp_path / "aus.onnx")


def test_size_of_the_faces_must_be_known_and_agree(made, tmp_path):
    needs_onnx()
    clf = fitted(made)
    chain = make_pipeline(FaceAligner(output_size=56), clf)
    with pytest.raises(ValueError, match="face_size must be 56"):
        skfau.to_onnx(chain, tmp_path / "aus.onnx", face_size=48)
    del clf._trained_on
    with pytest.raises(ValueError, match="Pass face_size="):
        clf.to_onnx(tmp_path / "aus.onnx")
