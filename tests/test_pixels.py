"""From a face's pixels to the network's input there is one sampling."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torch import nn

from skfau import Faces, ResNetClassifier
from skfau.estimators import FaceAugmentation
from skfau.inspection import AttentionMapDisplay
from skfau.nn import IMAGENET_MEAN, IMAGENET_STD
from tests.small import CLASSIFIERS, make_small

# The papers' faces, windows of them, and the share that is cut away.
CROPS = [(200, 176, 0.12), (256, 224, 0.125), (200, 170, 0.15)]


class Seen(nn.Module):
    """Keep what a network is shown, as pixels from 0 to 255; say nothing of it."""

    def __init__(self, n_aus):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n_aus))
        self.images = []

    def forward(self, images):
        pixels = images.detach().permute(0, 2, 3, 1).numpy()
        self.images.extend(255 * (pixels * IMAGENET_STD + IMAGENET_MEAN))
        return self.bias.expand(len(images), -1)


def noise(n, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), np.uint8)


def shown(images, image_size, augmentation, *, training, landmarks=None):
    """Return what a network is shown of images in prediction, or in a fit."""
    y = np.ones((len(images), 2))
    faces = Faces(images, landmarks=landmarks)
    clf = ResNetClassifier(
        backbone="tiny",
        image_size=image_size,
        augmentation=augmentation,
        aus=(1, 2),
        max_epochs=1,
        batch_size=len(images),
        random_state=0,
    ).fit(faces[:2], y[:2])
    network = clf.net_.module_.network = Seen(2)
    clf.partial_fit(faces, y) if training else clf.predict_proba(faces)
    # A fit tries the network at its end.
    return np.array(network.images[: len(images)])


@pytest.mark.parametrize(("side", "size", "crop"), CROPS)
def test_a_published_crop_is_that_crop_in_prediction(side, size, crop):
    images = noise(2, side)
    seen = shown(images, size, FaceAugmentation(crop=crop), training=False)
    start = (side - size) // 2
    window = images[:, start : start + size, start : start + size]
    np.testing.assert_allclose(seen, window, atol=0.01)


@pytest.mark.parametrize(("side", "size", "crop"), CROPS)
def test_a_published_crop_in_training_is_a_slice(side, size, crop):
    images = noise(6, side)
    seen = shown(images, size, FaceAugmentation(crop=crop), training=True)
    views = np.concatenate([images, images[:, :, ::-1]]).astype(np.float32)
    found = set()
    for window in seen:
        # Where the window's first pixels are tells where it must be as a whole.
        first = np.abs(views[:, : side - size + 1, : side - size + 1] - window[0, 0])
        for view, y, x in np.argwhere(first.max(axis=-1) < 0.5):
            whole = views[view, y : y + size, x : x + size]
            if np.abs(whole - window).max() < 0.01:
                found.add((int(view) % 6, int(y), int(x)))
    assert {view for view, _, _ in found} == set(range(6))
    assert len({where[1:] for where in found}) > 1


def test_every_published_crop_is_of_whole_pixels():
    cropping = [
        cls for cls in CLASSIFIERS if getattr(cls._published_augmentation, "crop", 0)
    ]
    assert len(cropping) >= 6
    for cls in cropping:
        clf = cls()
        side = round(clf.image_size / (1 - clf._published_augmentation.crop))
        assert (side, clf.image_size) in {crop[:2] for crop in CROPS}, cls
        start = (side - clf.image_size) / 2
        end = start + clf.image_size
        window = clf.input_window((side, side))
        np.testing.assert_allclose(window, [start, start, end, end], atol=1e-4)


@pytest.mark.parametrize("ratio", [2, 3, 4, 5])
def test_a_window_larger_than_the_input_is_averaged(ratio):
    side = 32 * ratio
    images = noise(1, 2 * side)
    seen = shown(images, 32, FaceAugmentation(crop=0.5), training=False)
    window = images[0, side // 2 : side // 2 + side, side // 2 : side // 2 + side]
    mean = cv2.resize(window, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
    # cv2 rounds; above 4 the image is first shrunk to four times the resolution.
    atol = 0.51 if ratio <= 4 else 9
    np.testing.assert_allclose(seen[0], mean, atol=atol)
    assert np.abs(seen[0].mean() - window.mean()) < 1


def test_stripes_too_fine_for_the_input_are_grey():
    images = np.zeros((1, 256, 256, 3), np.uint8)
    images[:, :, ::2] = 255
    for crop in (0.1, 0.25, 0.45):
        turned = FaceAugmentation(crop=crop, rotation=10)
        seen = shown(images, 96, turned, training=True)[0]
        # A black border may turn into the corners of the window.
        middle = seen[24:-24, 24:-24]
        assert np.abs(middle - 127.5).max() < 64 and middle.std() < 40


def bilinear(image, x, y):
    """Sample one channel at points, 0 outside, in float64."""
    padded = np.pad(image.astype(float), 2)
    x, y = (
        np.clip(x, -1.5, image.shape[1] + 0.5),
        np.clip(y, -1.5, image.shape[0] + 0.5),
    )
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = x - left, y - top
    left, top = left + 2, top + 2
    return (
        padded[top, left] * (1 - below) * (1 - right)
        + padded[top, left + 1] * (1 - below) * right
        + padded[top + 1, left] * below * (1 - right)
        + padded[top + 1, left + 1] * below * right
    )


@settings(max_examples=8)
@given(st.integers(0, 1000))
def test_resizing_turning_and_cropping_are_one_bilinear_sampling(seed):
    augmentation = FaceAugmentation(flip=0.5, rotation=15, scale=0.1, crop=0.5)
    images = noise(2, 64, seed)
    y = np.ones((2, 2))

    class Fixed(FaceAugmentation):
        def draw(self, n_faces, rng):
            return augmentation.draw(n_faces, np.random.default_rng(seed))

    clf = ResNetClassifier(
        backbone="tiny", image_size=48, augmentation=Fixed(), aus=(1, 2), max_epochs=1
    ).fit(images, y)
    network = clf.net_.module_.network = Seen(2)
    clf.partial_fit(images, y)
    geometry = augmentation.draw(2, np.random.default_rng(seed))
    unit = (2 * np.arange(48) + 1) / 48 - 1
    for seen in network.images[:2]:
        errors = []
        for order in ([0, 1], [1, 0]):
            for image, place in zip(images, order, strict=True):
                across = -unit if geometry.flip[place] else unit
                u = np.stack(np.broadcast_arrays(across[None], unit[:, None], 1.0))
                x, down = np.tensordot(geometry.warp[place].astype(float), u, 1)
                x, down = ((x + 1) * 64 - 1) / 2, ((down + 1) * 64 - 1) / 2
                brute = bilinear(image[..., 0], x, down)
                errors.append(np.abs(brute - seen[..., 0]).max())
        # Rows are shuffled: a face is at one place of the batch or at the other.
        assert min(errors) < 0.02


@pytest.mark.parametrize("training", [False, True])
def test_landmarks_of_a_crop_stay_on_their_pixel(training, made):
    images = np.zeros((4, 200, 200, 3), np.uint8)
    images[:, 90, 104] = 255
    landmarks = np.full((4, 68, 2), np.nan, np.float32)
    landmarks[:, :] = 104, 90
    seen = shown(
        images,
        176,
        FaceAugmentation(crop=0.12),
        training=training,
        landmarks=landmarks,
    )
    spots = [np.argwhere(window[..., 0] > 200) for window in seen]
    assert [len(spot) for spot in spots] == [1] * 4
    if not training:
        assert [spot[0].tolist() for spot in spots] == [[78, 92]] * 4


LOOKING = [cls for cls in CLASSIFIERS if hasattr(cls, "attention_maps")]


class BrightSpot(nn.Module):
    """Stand for a network whose every map is the brightness that it is shown."""

    def __init__(self, network, n_aus, grid):
        super().__init__()
        self.own, self.n_aus, self.grid = network, n_aus, grid
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images, landmarks=None):
        maps = nn.functional.adaptive_avg_pool2d(images[:, :1], self.grid)
        maps = (maps - maps.amin()).expand(-1, self.n_aus, -1, -1)
        names = ("attention_maps", "refined_maps")
        return torch.zeros(len(images), self.n_aus), dict.fromkeys(names, maps)

    def attention_maps(self, images):
        return self.forward(images)[1]["attention_maps"][:, None, None]


@pytest.mark.parametrize("cls", LOOKING)
def test_maps_are_drawn_where_the_network_looked(cls, made):
    clf = make_small(cls, augmentation=FaceAugmentation(crop=0.4), max_epochs=1)
    clf.fit(made.data[::2], made.target[::2])
    grid, side = 8, 48
    clf.net_.module_.network = BrightSpot(None, len(made.aus), grid)
    cell = side * 0.6 / grid
    for x, y in ((13, 17), (33, 14), (24, 34)):
        image = np.zeros((1, side, side, 3), np.uint8)
        image[0, y - 1 : y + 2, x - 1 : x + 2, 0] = 255
        faces = Faces(image, landmarks=made.data.landmarks[:1])
        ax = Figure().subplots()
        AttentionMapDisplay.from_estimator(
            clf, faces, made.target[:1], shown=made.aus[:1], ax=ax
        )
        drawn = ax.images[-1]
        left, right, bottom, top = drawn.get_extent()
        origin = ax.images[-2].get_extent()[0]
        values = np.asarray(drawn.get_array())
        rows, columns = (np.arange(grid) + 0.5)[:, None], np.arange(grid) + 0.5
        mean_x = (values * columns).sum() / values.sum() / grid * (right - left) + left
        mean_y = (values * rows).sum() / values.sum() / grid * (bottom - top) + top
        # Edges of pixels are whole numbers there: the middle of pixel 13 is 13.5.
        assert abs(mean_x - origin - (x + 0.5)) < cell / 2
        assert abs(mean_y - (y + 0.5)) < cell / 2
