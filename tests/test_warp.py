import pickle
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from skfau import FaceAligner, Faces
from skfau.exceptions import FaceImageError, MissingFaceWarning
from skfau.preprocessing._warp import AlignedImages
from tests.mean_face import MEAN_FACE

PHOTO = astronaut()


class ListedStore:
    """Three images; writes down which rows are read."""

    image_shape = None

    def __init__(self):
        self.read = []

    def __len__(self):
        return 3

    def gather(self, rows):
        self.read.extend(rows)
        return [np.roll(PHOTO, 9 * row, axis=0) for row in rows]

    def fingerprint(self):
        return "listed"


def similarity(scale, angle, source, target):
    """Build the 2 x 3 matrix that turns and scales and takes source to target."""
    turn = scale * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    return np.column_stack([turn, target - turn @ source])


MATRICES = np.stack(
    [
        similarity(1.5, 0.2, np.array([220, 130]), np.array([40, 40])),
        similarity(0.4, -1, np.array([220, 130]), np.array([40, 40])),
        np.full((2, 3), np.nan),
    ]
)


def landmarks_for(matrix, size):
    """Return the landmarks of a mean face that the aligner moves by this matrix."""
    face = 100 * MEAN_FACE[None] + 500
    aligner = FaceAligner(size, "inner", landmarks="given")
    black = np.broadcast_to(np.uint8(0), (1, 1000, 1000, 3))
    target = aligner.transform(Faces(black, landmarks=face)).landmarks[0]
    return (target.astype(float) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T


def aligned(images, rows, matrices, size, **parameters):
    """Align some rows of images by landmarks that ask for these matrices."""
    faces = Faces(images)[list(rows)]
    landmarks = [
        np.full((68, 2), np.nan) if np.isnan(matrix).any() else points
        for matrix in matrices
        for points in [landmarks_for(matrix, size)]
    ]
    aligner = FaceAligner(size, "inner", landmarks="given", **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingFaceWarning)
        return aligner.transform(faces.with_columns(landmarks=np.array(landmarks)))


def warp(image, matrix, size, border_value=0):
    return aligned([image], [0], [matrix], size, border_value=border_value).images[0]


def stored(store=None, rows=(2, 0, 1), matrices=MATRICES, size=80, **params):
    return aligned(store or ListedStore(), rows, matrices, size, **params).store


@given(st.floats(0.05, 1.5), st.floats(-3.1, 3.1))
@settings(max_examples=40)
def test_every_scale_keeps_positions(scale, angle):
    # A linear ramp stays itself under any average, so every output pixel is known.
    y, x = np.mgrid[:800, :800]
    ramp = np.repeat(np.rint((x + 2 * y) / 2400 * 255)[..., None], 3, axis=2)
    matrix = similarity(scale, angle, np.array([390, 410]), np.array([20, 20]))
    out = warp(ramp.astype(np.uint8), matrix, 41)
    v, u = np.mgrid[:41, :41]
    source = (np.stack([u, v], axis=-1) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    expected = (source @ [1, 2]) / 2400 * 255
    inside = ((source > 30) & (source < 769)).all(axis=-1)
    np.testing.assert_allclose(out[inside, 0], expected[inside], atol=1.6)


@pytest.mark.parametrize("scale", [0.1, 0.13, 0.25, 0.4, 0.49])
def test_shrinking_does_not_alias(scale):
    stripes = np.zeros((800, 800, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    out = warp(stripes, np.array([[scale, 0, 0], [0, scale, 0]]), 60)
    # An odd number of columns averages to one more of one kind: 255 / 3 / 2 at most.
    assert abs(out[2:58, 2:58].astype(int) - 127).max() <= 43


@pytest.mark.parametrize("scale", [0.2, 1.0])
def test_a_face_outside_of_the_image_is_never_read_and_black(scale):
    store = ListedStore()
    store.image_shape = PHOTO.shape[:2]
    matrix = np.array([[scale, 0, 900], [0, scale, 900]])
    assert (aligned(store, [0], [matrix], 50, border_value=77).images[0] == 0).all()
    assert not store.read


@pytest.mark.parametrize("scale", [0.2, 1.0])
@pytest.mark.parametrize("shift", [(900, 20), (20, -900), (-900, 900)])
def test_a_face_outside_of_an_image_of_unknown_size_is_an_error(scale, shift):
    matrix = np.column_stack([scale * np.eye(2), shift])
    images = AlignedImages(ListedStore(), [0], [matrix], 50)
    with pytest.raises(FaceImageError, match=r"row 0.*outside of its image"):
        images.gather([0])


@pytest.mark.parametrize("scale", [0.2, 1.0])
def test_border_next_to_the_image(scale):
    out = warp(PHOTO, np.array([[scale, 0, 10], [0, scale, 10]]), 50, 77)
    assert (out[:9] == 77).all()
    assert (out[:, :9] == 77).all()
    assert not (out[12:, 12:] == 77).all(axis=2).any()


def test_pixels_are_read_only_on_access():
    store = ListedStore()
    images = stored(store)
    assert store.read == []
    images.gather([1, 1])
    assert store.read == [0]  # once for both


def test_rows_without_a_matrix_are_black_and_never_read():
    store = ListedStore()
    images = stored(store, border_value=50).gather([2, 0])
    assert not images[0].any()
    assert images[1].any()
    assert store.read == [2]


def test_one_contiguous_array_whatever_the_threads():
    rows = [0, 1, 2] * 9
    one, three = (stored(n_jobs=n).gather(rows) for n in (1, 3))
    assert one.flags.c_contiguous
    assert one.shape == (27, 80, 80, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(one[3:6], one[:3])


def test_no_rows():
    assert stored().gather([]).shape == (0, 80, 80, 3)


def test_rows_are_those_of_the_source():
    expected = warp(np.roll(PHOTO, 18, axis=0), MATRICES[0], 80)
    np.testing.assert_array_equal(stored().gather([0])[0], expected)


def test_video_sources_are_read_by_one_thread():
    threads = set()

    class Video(ListedStore):
        kind = "videos"

        def gather(self, rows):
            threads.add(threading.get_ident())
            return super().gather(rows)

    stored(Video(), n_jobs=4).gather([0, 1] * 20)
    assert threads == {threading.get_ident()}


def test_views_pickles_and_memory_maps_hold_the_same_pixels(tmp_path):
    faces = Faces(stored())
    images = faces.images[...]
    np.testing.assert_array_equal(faces[1:].images[...], images[1:])
    copy = pickle.loads(pickle.dumps(faces))
    np.testing.assert_array_equal(copy.images[...], images)
    mapped = faces.to_memmap(tmp_path / "aligned.npy")
    np.testing.assert_array_equal(mapped.images[...], images)


def test_aligned_images_can_be_aligned_again():
    once = stored()
    same = np.tile(np.eye(3)[:2], (3, 1, 1))
    twice = stored(once, rows=[0, 1, 2], matrices=same)
    np.testing.assert_array_equal(twice.gather([1, 0, 2]), once.gather([1, 0, 2]))


def test_fingerprint_follows_what_decides_the_pixels():
    assert stored().fingerprint() == stored(n_jobs=1).fingerprint()
    variants = [
        stored(),
        stored(size=81),
        stored(border_value=1),
        stored(rows=[0, 2, 1]),
        stored(matrices=MATRICES[[1, 0, 2]]),
    ]
    assert len({images.fingerprint() for images in variants}) == len(variants)
