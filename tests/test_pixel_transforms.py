"""Transforms of other libraries on the pixels of training faces."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skfau import Faces, ResNetClassifier
from skfau.estimators import FaceAugmentation
from skfau.estimators._batches import FaceBatches
from skfau.estimators._neighbours import FrameBatches, Neighbourhood
from tests.small import make_small

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(50, 150, (6, 8, 9, 3)).astype(np.uint8)


class Jitter(nn.Module):
    """As those of torchvision: it draws from torch's generator, also in place."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def forward(self, face):
        assert face.shape[0] == 3 and face.dtype == torch.uint8
        change = torch.randint(-50, 50, (1,)).to(torch.int16).item()
        if self.inplace:
            return face.add_(change)
        return (face.to(torch.int16) + change).to(torch.uint8)


class Compose(nn.Module):
    """Holds its parts in a plain list, as torchvision's does."""

    def __init__(self, transforms):
        super().__init__()
        self.transforms = transforms

    def forward(self, face):
        for transform in self.transforms:
            face = transform(face)
        return face


class RandomHorizontalFlip(nn.Module):
    def forward(self, face):
        return face.flip(-1)


def inputs_of(transform, images=IMAGES, seed=0, **augmentation):
    """Return a batch of all images, as it goes to the network."""
    batches = FaceBatches(
        Faces(images),
        np.zeros((len(images), 1), np.float32),
        image_size=8,
        augmentation=FaceAugmentation(colour_transform=transform, **augmentation),
        make_targets=lambda labels: {"labels": labels},
        columns=(),
        aus=(12,),
    )
    batches.rng = np.random.default_rng(seed)
    return batches.__getitems__(np.arange(len(images)))[0]


def test_each_face_is_changed_on_its_own():
    inputs = inputs_of(torch.bitwise_not)
    np.testing.assert_array_equal(inputs["images"], 255 - IMAGES)
    changes = inputs_of(Jitter())["images"] - IMAGES.astype(int)
    assert (changes == changes[:, :1, :1, :1]).all()
    assert len(np.unique(changes)) > 3


def test_draws_follow_the_stream_of_the_fit_and_touch_no_other():
    before = torch.get_rng_state()
    one, same, other = (inputs_of(Jitter(), seed=seed)["images"] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    torch.manual_seed(99)
    np.testing.assert_array_equal(inputs_of(Jitter())["images"], one)


def test_geometry_and_light_are_drawn_as_without():
    plain, changed = (
        inputs_of(transform, rotation=9, contrast=0.1) for transform in (None, Jitter())
    )
    for name in plain.keys() - {"images"}:
        np.testing.assert_array_equal(plain[name], changed[name])


def test_the_faces_themselves_stay():
    images = IMAGES.copy()
    assert (inputs_of(Jitter(inplace=True), images)["images"] != IMAGES).any()
    np.testing.assert_array_equal(images, IMAGES)


def test_neighbours_change_as_their_face_does():
    faces = Faces(IMAGES[:, :, :8], video=np.zeros(6), frame=np.arange(6))
    batches = FrameBatches(
        faces,
        np.zeros((6, 1), np.float32),
        neighbourhood=Neighbourhood(faces, 1),
        datasets=np.zeros(6, int),
        image_size=8,
        augmentation=FaceAugmentation(colour_transform=Jitter()),
        make_targets=lambda labels: {"labels": labels},
        columns=(),
        aus=(12,),
    )
    batches.rng = np.random.default_rng(0)
    inputs, _ = batches.__getitems__([2, 3])
    own = inputs["images"] - faces.images[[2, 3]].astype(int)
    for name, rows in {"previous": [1, 2], "following": [3, 4]}.items():
        change = inputs[name] - faces.images[rows].astype(int)
        np.testing.assert_array_equal(change, own)


@pytest.mark.parametrize(
    "transform",
    [
        RandomHorizontalFlip(),
        Compose([Jitter(), RandomHorizontalFlip()]),
        nn.Sequential(Jitter(), Compose([RandomHorizontalFlip()])),
        Compose(nn.ModuleList([RandomHorizontalFlip()])),
    ],
)
def test_what_moves_pixels_is_refused(transform, made):
    clf = make_small(
        ResNetClassifier, augmentation=FaceAugmentation(colour_transform=transform)
    )
    with pytest.raises(ValueError, match=r"RandomHorizontalFlip, which moves .* flip,"):
        clf.fit(made.data, made.target)


@pytest.mark.parametrize(
    ("transform", "got"),
    [
        (
            lambda face: face / 255,
            r"float32 \(3, 8, 9\)\. Leave out .* normalises",
        ),
        (lambda face: face[:, ::2], r"uint8 \(3, 8, 9\), got torch.uint8 \(3, 4, 9\)"),
        (lambda face: None, "got .*NoneType"),
    ],
)
def test_what_is_no_face_any_more_is_refused(transform, got):
    with pytest.raises(ValueError, match=got):
        inputs_of(transform)


def test_a_fit_repeats_and_its_predictions_see_the_faces_as_they_are(made, tmp_path):
    augmentation = FaceAugmentation(colour_transform=Jitter())
    clf = make_small(ResNetClassifier, max_epochs=1, augmentation=augmentation)
    faces, y = made.data[:48], made.target[:48]
    first, again = (clone(clf).fit(faces, y) for _ in range(2))
    proba = first.predict_proba(faces)
    np.testing.assert_array_equal(again.predict_proba(faces), proba)
    path = tmp_path / "net.safetensors"
    with pytest.raises(TypeError, match="augmentation__colour_transform=None"):
        first.save(path)
    first.set_params(augmentation__colour_transform=None).save(path)
    loaded = ResNetClassifier.load(path)
    np.testing.assert_array_equal(loaded.predict_proba(faces), proba)
    plain = clone(first).fit(faces, y).predict_proba(faces)
    assert (plain != proba).any()
