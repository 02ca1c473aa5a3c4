"""Decoded source images are held by bytes: large photographs do not fill the memory."""

import threading
import weakref

import numpy as np
import pytest

from skfau import Faces
from skfau.exceptions import FaceImageError
from skfau.preprocessing import FaceAligner, find_faces
from skfau.preprocessing._people import detect_landmarks
from tests.squares import SquareDetector

MEGABYTE = 2**20
POINTS = np.random.default_rng(0).uniform(10, 60, (68, 2)).astype(np.float32)


class WeighingStore:
    """Images of given sizes (megabytes) that notes how many bytes are alive."""

    def __init__(self, sizes, image_shape=None):
        self.sizes = sizes
        self.image_shape = image_shape
        self.alive = self.peak = self.most = self.count = 0
        self.lock = threading.Lock()

    def __len__(self):
        return len(self.sizes)

    def _weigh(self, size, sign):
        with self.lock:
            self.alive += sign * size
            self.count += sign
            self.peak = max(self.peak, self.alive)
            self.most = max(self.most, self.count)

    def gather(self, rows):
        return [self._image(self.sizes[row]) for row in rows]

    def _image(self, size):
        if size is None:
            raise FaceImageError("row: cannot be read")
        # Pages that nobody writes take no memory.
        image = np.zeros((1024, int(size * MEGABYTE) // 3 // 1024, 3), np.uint8)
        self._weigh(size, 1)
        weakref.finalize(image, self._weigh, size, -1)
        return image

    def fingerprint(self):
        return "weighing"


def nobody(images):
    return np.full((len(images), 68, 2), np.nan, np.float32)


class Nobody(SquareDetector):
    """Finds no face, and looks at no pixel."""

    def faces(self, images):
        return [(np.empty((0, 6)), np.empty((0, 68, 2))) for _ in images]


@pytest.fixture(params=[nobody, Nobody()], ids=["one face", "all faces"])
def detector(request):
    return request.param


def detect(store, detector, n_jobs):
    aligner = FaceAligner(detector=detector, n_jobs=n_jobs)
    with pytest.warns(Warning, match="were not aligned"):
        return aligner.fit_transform(Faces(store))


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("shape", [None, (1024, 49152)])
def test_large_photographs_are_detected_within_the_limit(detector, n_jobs, shape):
    store = WeighingStore([144] * 33, shape)
    detect(store, detector, n_jobs)
    assert store.peak <= 256
    assert store.alive <= 144


def test_a_larger_image_than_the_limit_is_held_alone(detector):
    store = WeighingStore([300, 1, 300, 300])
    detect(store, detector, 1)
    assert store.peak <= 301


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_sizes_that_change_add_one_image_per_thread(detector, n_jobs):
    rng = np.random.default_rng(0)
    store = WeighingStore(rng.choice([0.1, 1, 10, 100], 200).tolist())
    detect(store, detector, n_jobs)
    assert store.peak <= 256 + n_jobs * 100


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_each_row_has_the_landmarks_of_its_own_image(n_jobs):
    def width(images):
        return np.array([np.full((68, 2), image.shape[1]) for image in images])

    sizes = np.random.default_rng(1).choice([0.1, 1, 10, 100, 300], 100).tolist()
    faces = Faces(WeighingStore(sizes))
    landmarks, problems, *_ = detect_landmarks(faces, width, n_jobs=n_jobs)
    expected = [int(size * MEGABYTE) // 3 // 1024 for size in sizes]
    np.testing.assert_array_equal(landmarks[:, 0, 0], expected)
    assert not problems.any()


def test_small_images_are_held_by_number(detector):
    store = WeighingStore([1] * 100)
    detect(store, detector, 1)
    assert 2 <= store.most <= 33


def test_images_that_cannot_be_read_are_counted_and_the_others_detected():
    store = WeighingStore([None, 200, None, None, 200, 200, None])
    with pytest.warns(Warning, match="4 of 7 images cannot be read"):
        found = find_faces(Faces(store), Nobody(), n_jobs=1)
    read = found.column("status") == "no face found"
    assert read.tolist() == [size is not None for size in store.sizes]
    assert store.peak <= 256


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("shape", [None, (1024, 49152)])
def test_large_photographs_are_aligned_within_the_limit(n_jobs, shape):
    store = WeighingStore([144] * 12, shape)
    faces = Faces(store, landmarks=np.tile(POINTS, (12, 1, 1)))
    aligned = FaceAligner(output_size=16, n_jobs=n_jobs).fit_transform(faces)
    assert aligned.images[...].shape == (12, 16, 16, 3)
    assert store.peak <= 256
