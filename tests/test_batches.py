"""Pixels, landmarks, maps and labels go through one geometry."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skfau import Faces
from skfau.estimators import FaceAugmentation
from skfau.estimators._augmentation import Geometry
from skfau.estimators._batches import (
    FaceBatches,
    PreparedNetwork,
    move_landmarks,
    move_maps,
)
from skfau.facs import FLIP_68
from skfau.nn import IMAGENET_MEAN, IMAGENET_STD
from skfau.preprocessing import roi_heatmaps

SIZE = 96
STRONG = FaceAugmentation(flip=0.5, rotation=25, scale=0.2, shift=0.08, crop=0.1)


def prepared(grayscale=False):
    return PreparedNetwork(nn.Identity(), image_size=SIZE, grayscale=grayscale)


def blob(shape, x, y):
    """Return one black image with a smooth bright spot at (x, y)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 3.0**2))
    return np.repeat((255 * spot).astype(np.uint8)[None, :, :, None], 3, axis=3)


def centroid(plane):
    plane = np.clip(plane - plane.min(), 0, None)
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return np.array([(plane * columns).sum(), (plane * rows).sum()]) / plane.sum()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(25, 55),
    st.floats(30, 60),
    st.sampled_from([(80, 80), (100, 72), (SIZE, SIZE)]),
)
def test_a_landmark_stays_on_what_it_marks(seed, x, y, shape):
    geometry = STRONG.draw(1, np.random.default_rng(seed))
    point = 36
    landmarks = np.full((1, 68, 2), np.nan, np.float32)
    landmarks[0, point] = x, y
    moved = move_landmarks(landmarks, shape, SIZE, geometry)[0]
    now = FLIP_68.index(point) if geometry.flip[0] else point
    inside = (moved[now] > 12).all() and (moved[now] < SIZE - 12).all()
    pixels = prepared().pixels(
        torch.as_tensor(blob(shape, x, y)),
        flip=torch.as_tensor(geometry.flip),
        warp=torch.as_tensor(geometry.warp),
    )
    if inside:
        seen = centroid(pixels[0, 0].numpy() * IMAGENET_STD[0] + IMAGENET_MEAN[0])
        np.testing.assert_allclose(seen, moved[now], atol=0.6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_moved_maps_are_the_maps_of_moved_landmarks(seed):
    rng = np.random.default_rng(seed)
    landmarks = np.full((1, 68, 2), np.nan, np.float32)
    landmarks[0, [39, 42, 48, 54]] = (42, 40), (54, 40), (38, 62), (58, 62)
    mild = FaceAugmentation(flip=0.5, scale=0.05, shift=0.03)
    geometry = mild.draw(1, rng)
    size = (SIZE, SIZE)
    maps = move_maps(roi_heatmaps(landmarks, [12], size, size=48), geometry)
    moved = move_landmarks(landmarks, size, SIZE, geometry)
    drawn = roi_heatmaps(moved, [12], size, size=48)
    assert np.abs(maps - drawn).max() < 0.15
    assert np.abs(maps - drawn).mean() < 0.01


def test_unknown_maps_stay_unknown():
    geometry = STRONG.draw(2, np.random.default_rng(0))
    maps = np.ones((2, 3, 12, 12), np.float32)
    maps[0, 1] = np.nan
    moved = move_maps(maps, geometry)
    assert np.isnan(moved[0, 1]).all()
    assert np.isfinite(np.delete(moved.reshape(6, -1), 1, axis=0)).all()


def test_without_augmentation_pixels_are_only_normalised():
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    pixels = prepared().pixels(torch.as_tensor(images))
    expected = (images / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(pixels.permute(0, 2, 3, 1), expected, atol=1e-5)


def test_gray_is_luma_in_all_three_channels():
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    images[..., 1] = 100
    pixels = prepared(grayscale=True).pixels(torch.as_tensor(images))[0, :, 0, 0]
    expected = (58.7 / 255 - np.array(IMAGENET_MEAN)) / IMAGENET_STD
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


def test_the_window_at_test_time_is_the_middle_of_those_in_training():
    augmentation = FaceAugmentation(flip=0, crop=0.2)
    draws = augmentation.draw(4000, np.random.default_rng(0)).warp
    np.testing.assert_allclose(draws.mean(0), augmentation.centre(1).warp[0], atol=0.01)
    assert np.abs(draws[:, :, 2]).max() <= 0.2 + 1e-6


def test_switching_one_change_on_leaves_the_others_alone():
    plain = FaceAugmentation(rotation=10).draw(8, np.random.default_rng(3))
    more = FaceAugmentation(rotation=10, contrast=0.3).draw(8, np.random.default_rng(3))
    np.testing.assert_array_equal(plain.warp, more.warp)
    np.testing.assert_array_equal(plain.flip, more.flip)
    assert plain.gain is None and np.ptp(more.gain) > 0


def batches(aus, labels, flip):
    class Fixed(FaceAugmentation):
        def draw(self, n, rng):
            return Geometry(np.full(n, flip), None, None, None)

    faces = Faces(np.zeros((len(labels), 8, 8, 3), np.uint8))
    return FaceBatches(
        faces,
        np.float32(labels),
        image_size=8,
        augmentation=Fixed(),
        make_targets=lambda labels: {"labels": labels},
        columns=(),
        aus=aus,
    )


@pytest.mark.parametrize("flip", [False, True])
def test_a_mirrored_head_turn_goes_to_the_other_side(flip):
    data = batches((12, 51, 52), [[1, 1, 0]], flip)
    _, targets = data.__getitems__([0])
    assert targets["labels"].tolist() == ([[1, 0, 1]] if flip else [[1, 1, 0]])


def test_a_mirrored_head_turn_without_its_other_side_is_unknown():
    _, targets = batches((12, 51), [[1, 1]], True).__getitems__([0])
    np.testing.assert_array_equal(targets["labels"], [[1, np.nan]])
