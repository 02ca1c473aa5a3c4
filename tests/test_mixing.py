"""Mixup, dropped planes, smoothed labels and the band of AU-CutMix."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skfau import (
    EACNetClassifier,
    Faces,
    FAUTransformerClassifier,
    JAANetClassifier,
    MultiLabelTransformerClassifier,
)
from skfau.estimators import FaceAugmentation
from skfau.estimators._augmentation import CutMix
from skfau.estimators._batches import FaceBatches, PreparedNetwork
from skfau.losses import CenterContrastive
from skfau.nn import IMAGENET_MEAN, IMAGENET_STD
from tests.small import make_small

SIZE = 8
PLAIN = {"flip": 0.0}


def batch(labels, augmentation, seed=0, aus=(1, 12), size=SIZE):
    """Return pixels in [0, 255] as the network gets them, labels, and the images."""
    labels = np.float32(labels)
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (len(labels), SIZE, SIZE, 3)).astype(np.uint8)
    batches = FaceBatches(
        Faces(images),
        labels,
        image_size=size,
        augmentation=augmentation,
        make_targets=lambda labels: {"labels": labels},
        columns=(),
        aus=aus,
    )
    batches.rng = np.random.default_rng(seed)
    inputs, targets = batches.__getitems__(np.arange(len(labels)))
    module = PreparedNetwork(nn.Identity(), image_size=size, grayscale=False)
    tensors = {name: torch.as_tensor(value) for name, value in inputs.items()}
    pixels = module(**tensors).permute(0, 2, 3, 1).numpy()
    pixels = 255 * (pixels * IMAGENET_STD + IMAGENET_MEAN)
    return pixels, targets["labels"], images, inputs


def test_mixup_mixes_pixels_and_labels_in_one_proportion():
    labels = np.random.default_rng(1).integers(0, 2, (16, 2))
    pixels, mixed, images, inputs = batch(labels, FaceAugmentation(mixup=0.4, **PLAIN))
    share, partner = inputs["share"].astype(float), inputs["partner"]
    assert 0 < share.min() < share.max() < 1 and (partner != np.arange(16)).any()
    for row in range(16):
        own, other = share[row], 1 - share[row]
        expected = own * images[row] + other * images[partner[row]]
        np.testing.assert_allclose(pixels[row], expected, atol=1e-3)
        expected = own * labels[row] + other * labels[partner[row]]
        np.testing.assert_allclose(mixed[row], expected, atol=1e-6)


def test_mixed_labels_are_unknown_where_one_of_the_two_is():
    labels = np.zeros((12, 2))
    labels[3, 0] = np.nan
    _, mixed, _, inputs = batch(labels, FaceAugmentation(mixup=0.4, **PLAIN))
    unknown = (inputs["partner"] == 3) | (np.arange(12) == 3)
    assert 1 < unknown.sum() < 12
    np.testing.assert_array_equal(np.isnan(mixed[:, 0]), unknown)
    assert np.isfinite(mixed[:, 1]).all()


def test_shares_are_drawn_from_the_beta_distribution():
    draw = FaceAugmentation(mixup=0.4).draw(40_000, np.random.default_rng(0))
    a = 0.4
    assert draw.share.mean() == pytest.approx(0.5, abs=0.01)
    assert draw.share.var() == pytest.approx(1 / (4 * (2 * a + 1)), abs=0.003)


def test_a_dropped_plane_is_black_and_others_stay():
    labels = np.zeros((64, 2))
    pixels, same, images, inputs = batch(
        labels, FaceAugmentation(channel_drop=0.3, **PLAIN)
    )
    kept = inputs["planes"] == 1
    assert 0.5 < kept.mean() < 0.9 and not kept.all(axis=0).any()
    expected = np.where(kept[:, None, None], images, 0)
    np.testing.assert_allclose(pixels, expected, atol=1e-3)
    np.testing.assert_array_equal(same, labels)


@settings(max_examples=20, deadline=None)
@given(alpha=st.floats(0, 0.99), mixup=st.sampled_from([0.0, 0.4]))
def test_smoothing_moves_labels_towards_one_half(alpha, mixup):
    labels = [[0, 1], [1, np.nan], [0, 0]]
    options = {"mixup": mixup, **PLAIN}
    _, before, _, _ = batch(labels, FaceAugmentation(**options))
    _, after, _, _ = batch(labels, FaceAugmentation(label_smoothing=alpha, **options))
    np.testing.assert_allclose(after, before + alpha * (0.5 - before), atol=1e-6)


def test_mixtures_leave_geometry_and_light_alone():
    mixed = {"mixup": 1.0, "channel_drop": 0.5, "label_smoothing": 0.1}
    plain = FaceAugmentation(rotation=9, contrast=0.1).draw(8, np.random.default_rng(3))
    more = FaceAugmentation(rotation=9, contrast=0.1, **mixed)
    more = more.draw(8, np.random.default_rng(3))
    for name in ("flip", "warp", "gain", "bias"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(more, name))
    assert plain[4:] == (None,) * 3


@pytest.mark.parametrize(
    "cls", [EACNetClassifier, FAUTransformerClassifier, JAANetClassifier]
)
def test_mixup_is_refused_where_landmarks_are_of_one_face(cls, made):
    clf = make_small(cls, augmentation=FaceAugmentation(mixup=0.4))
    with pytest.raises(ValueError, match="takes landmarks of one"):
        clf.fit(made.data, made.target)


def test_mixup_is_welcome_without_maps(made):
    mixup = FaceAugmentation(mixup=0.4)
    clf = make_small(
        FAUTransformerClassifier, augmentation=mixup, attention_supervision=False
    )
    clf.set_params(max_epochs=1).fit(made.data[::3], made.target[::3])
    assert np.isfinite(clf.history_[0]["train_loss"])


def draw_cutmix(n, overlap):
    landmarks = np.full((n, 68, 2), 5, np.float32)
    landmarks[:, 30, 1], landmarks[:, 33, 1] = 20, 26
    return CutMix(landmarks, 1.0, np.random.default_rng(0), overlap)


def test_the_band_shows_both_faces_half_and_half():
    mix, height = draw_cutmix(8, overlap=0.2), 40
    images = np.random.default_rng(1).integers(0, 256, (8, height, 5, 3))
    images = images.astype(np.uint8)
    mixed = mix.images(images)
    assert mixed.dtype == np.uint8
    for face, cut in enumerate(mix.cuts.astype(int)):
        own, other = images[face].astype(int), images[mix.givers[face]].astype(int)
        band = slice(cut - 4, cut + 4)
        np.testing.assert_array_equal(mixed[face, : cut - 4], own[: cut - 4])
        np.testing.assert_array_equal(mixed[face, band], (own + other)[band] // 2)
        np.testing.assert_array_equal(mixed[face, cut + 4 :], other[cut + 4 :])


def test_cheek_and_lip_raiser_take_the_mean_in_a_band_only():
    labels = np.float32(np.arange(8)[:, None] + np.zeros(4))
    labels[2, 1] = np.nan
    aus = (4, 6, 10, 12)
    mix = draw_cutmix(8, overlap=0.2)
    mixed, given_ = mix.by_au(labels, aus), labels[mix.givers]
    np.testing.assert_array_equal(mixed[:, 0], labels[:, 0])
    np.testing.assert_array_equal(mixed[:, 1:3], ((labels + given_) / 2)[:, 1:3])
    np.testing.assert_array_equal(mixed[:, 3], given_[:, 3])
    hard = draw_cutmix(8, overlap=0.0).by_au(labels, aus)
    np.testing.assert_array_equal(hard[:, 1], labels[:, 1])
    np.testing.assert_array_equal(hard[:, 2], given_[:, 2])


def test_soft_labels_count_on_both_sides_of_a_contrast():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(4, 2, 3))
    labels = np.array([[0.05, 0.95], [0.5, np.nan], [1.0, 0.3], [0.0, 0.0]])
    distances, known = (embeddings**2).sum(axis=-1), ~np.isnan(labels)
    near = np.average(distances[known], weights=labels[known])
    far = np.average(distances[known], weights=1 - labels[known])
    loss = CenterContrastive(2, 3)
    outputs = torch.zeros(4, 2), {"embeddings": torch.tensor(embeddings)}
    value = loss(outputs, {"labels": torch.tensor(labels)})
    np.testing.assert_allclose(value, near / (far + 1e-6))


def test_the_published_augmentation_trains(made):
    clf = make_small(MultiLabelTransformerClassifier)
    published = clf._augmentation.get_params()
    on = {name: value for name, value in published.items() if value}
    assert on == {
        "flip": 0.5,
        "mixup": 0.4,
        "brightness": 0.1,
        "channel_drop": 0.3,
        "rotation": 36,
        "scale": 0.1,
        "label_smoothing": 0.1,
    }
    target = made.target.copy()
    target[::5] = np.nan
    history = clf.fit(made.data, target).history_
    assert all(np.isfinite(row["train_loss"]) for row in history)
