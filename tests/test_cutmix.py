"""CutMix: pixels, landmarks, labels and maps of a mixed face belong together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau import Faces
from skfau.estimators import FaceAugmentation
from skfau.estimators._augmentation import CutMix
from skfau.exceptions import MissingColumnError
from tests.small import CLASSIFIERS, make_small

SIZE, TIP, BASE = 40, 20.0, 26.0


def draw(n, probability=1.0, seed=0):
    """Return a mix of n faces whose noses reach from row 20 to row 26."""
    landmarks = np.full((n, 68, 2), 5, np.float32)
    landmarks[:, 30, 1], landmarks[:, 33, 1] = TIP, BASE
    return CutMix(landmarks, probability, np.random.default_rng(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.floats(0, 1), st.integers(0, 1000))
def test_every_row_of_pixels_is_of_one_face(n, probability, seed):
    mix = draw(n, probability, seed)
    images = np.zeros((n, SIZE, 4, 3), np.uint8)
    images += np.arange(n, dtype=np.uint8)[:, None, None, None]
    mixed = mix.images(images)
    assert mixed.dtype == np.uint8
    for face in range(n):
        cut = int(mix.cuts[face])
        assert TIP <= cut <= BASE
        assert (mixed[face, :cut] == face).all()
        assert (mixed[face, cut:] == mix.givers[face]).all()


def test_an_au_follows_the_half_that_shows_it():
    mix = draw(8)
    aus = (1, 4, 6, 7, 10, 12, 17, 25)
    labels = np.float32(np.arange(8)[:, None] + np.zeros(8))
    mixed = mix.by_au(labels, aus)
    np.testing.assert_array_equal(mixed[:, :4], labels[:, :4])
    np.testing.assert_array_equal(mixed[:, 4:], labels[mix.givers, 4:])


def test_what_no_half_shows_alone_is_known_where_both_faces_agree():
    mix = draw(12, probability=0.7)
    labels = np.random.default_rng(1).integers(0, 2, (12, 3)).astype(np.float32)
    mixed = mix.by_au(labels, (9, 51, 999))
    agree = labels == labels[mix.givers]
    assert 0 < agree.mean() < 1
    np.testing.assert_array_equal(mixed[agree], labels[agree])
    assert np.isnan(mixed[~agree]).all()


def test_unknown_labels_stay_with_their_half():
    mix = draw(6)
    labels = np.zeros((6, 2), np.float32)
    labels[2] = np.nan
    mixed = mix.by_au(labels, (1, 12))
    np.testing.assert_array_equal(np.isnan(mixed[:, 0]), np.arange(6) == 2)
    np.testing.assert_array_equal(np.isnan(mixed[:, 1]), mix.givers == 2)


def test_maps_are_whole():
    mix = draw(6)
    maps = np.random.default_rng(0).uniform(size=(6, 3, 4, 4)).astype(np.float32)
    mixed = mix.by_au(maps, (2, 9, 15))
    np.testing.assert_array_equal(mixed[:, 0], maps[:, 0])
    np.testing.assert_array_equal(mixed[:, 2], maps[mix.givers, 2])
    other = mix.givers != np.arange(6)
    assert np.isnan(mixed[other, 1]).all()
    np.testing.assert_array_equal(mixed[~other, 1], maps[~other, 1])


def test_mouth_and_eyes_come_from_different_faces():
    mix = draw(5)
    landmarks = np.float32(np.arange(5)[:, None, None] + np.zeros((68, 2)))
    mixed = mix.landmarks(landmarks)
    np.testing.assert_array_equal(mixed[:, 36:48], landmarks[:, 36:48])
    np.testing.assert_array_equal(mixed[:, 48:], landmarks[mix.givers, 48:])


def test_a_face_without_a_nose_stays_whole():
    landmarks = np.full((6, 68, 2), 5, np.float32)
    landmarks[3, 30] = np.nan
    mix = CutMix(landmarks, 1.0, np.random.default_rng(0))
    images = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(mix.images(images)[3], images[3])


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_mixing_asks_for_landmarks(cls):
    faces = Faces(np.zeros((4, 48, 48, 3), np.uint8))
    clf = make_small(cls, augmentation=FaceAugmentation(cutmix=0.5))
    clf.set_params(aus=(1, 12))
    with pytest.raises(MissingColumnError, match="landmarks"):
        clf.fit(faces, np.tile(np.float32([0, 1]), (4, 1)))
