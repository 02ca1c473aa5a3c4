"""Random changes to a batch of faces: geometry, light, and mixtures of two faces."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from skfau._validation import Interval
from skfau.facs import ACTION_UNITS

# The cut runs between these two landmarks of the face that keeps its upper half.
_NOSE_TIP, _NOSE_BASE = 30, 33
# Jaw below the ears, nostrils, mouth.
_LOWER_POINTS = np.isin(np.arange(68), [*range(3, 14), *range(31, 36), *range(48, 68)])
_SIDES = {"upper face": "upper", "lower face": "lower"}
# What shows in a band around the nose: raised cheeks and upper lip.
_MIDDLE = (6, 10)


class Geometry(NamedTuple):
    """What a batch was put through, decided on the CPU, applied on the device."""

    flip: np.ndarray | None = None
    warp: np.ndarray | None = None
    gain: np.ndarray | None = None
    bias: np.ndarray | None = None
    planes: np.ndarray | None = None
    partner: np.ndarray | None = None
    share: np.ndarray | None = None

    def on_pixels(self, image_shape, image_size):
        """Return the geometry in which windows of the input's size lie on whole pixels.

        A window of as many pixels as the input is then a slice of the image. Windows
        that are turned, or of another size, stay where they are.

        Parameters
        ----------
        image_shape : tuple of int
            Height and width of the faces, pixels.
        image_size : int
            Side of the network's input, pixels.
        """
        if self.warp is None:
            return self
        sides = np.array(image_shape[::-1], np.float64)
        # Pixels of the face for a step of one pixel in the input.
        steps = self.warp[:, :, :2] * (sides / image_size)[:, None]
        exact = np.abs(steps - np.eye(2)).max(axis=(1, 2), keepdims=True) < 1e-4
        corners = np.round(((self.warp[:, :, 2] + 1) * sides - image_size) / 2)
        whole = np.zeros(self.warp.shape)
        whole[:, [0, 1], [0, 1]] = image_size / sides
        whole[:, :, 2] = (2 * corners + image_size) / sides - 1
        return self._replace(warp=np.where(exact, whole, self.warp).astype(np.float32))


class FaceAugmentation(BaseEstimator):
    """Random flips, crops, affine maps and light for training batches.

    Pixels, landmarks and ROI heatmaps follow the same geometry. The parameters
    of each face are drawn on the CPU from the fit's own stream, so that a run is
    the same on every device. Pixels change on the device, whole batches at a time.
    Resizing, cropping, turning and mirroring are one sampling from the pixels of the
    face: bilinear, and the mean over the area of each pixel of the network's input
    where that area is larger than a pixel of the face.

    Parameters
    ----------
    flip : float, default=0.5
        Probability of a left-right mirror. The 68 landmarks are renumbered.
    rotation : float, default=0.0
        Largest in-plane rotation, degrees, either way.
    scale : float, default=0.0
        Largest relative change of size: 0.25 draws from 0.75 to 1.25.
    shift : float, default=0.0
        Largest shift in x and in y, as a fraction of the image side.
    crop : float, default=0.0
        Fraction of the side that is cut away: a window of ``1 - crop`` of the
        side is placed at random in training and in the middle at test time,
        and fills the network's input. A window of as many pixels as the input lies on
        whole pixels and is not resampled: of 200 px faces with ``crop=0.12`` and
        ``image_size=176``, as of Shao et al., ``image[12:188, 12:188]`` at test time.
    brightness : float, default=0.0
        Largest additive change, as a fraction of the range of grey values.
    contrast : float, default=0.0
        Largest relative change of contrast around mid-grey.
    cutmix : float, default=0.0
        Probability that the face below the nose is another's of the batch (CutMix, Yun
        et al., 2019): upper AUs keep their labels, lower AUs take the other's. Where
        subjects are few and differ in the AUs they use, a network learns whom it sees
        and guesses; a face made of two people takes that way out. For aligned faces
        with the column ``landmarks``.
    cutmix_overlap : float, default=0.0
        Height of a band around that line in which both faces show, half and half, as
        a fraction of the image; AU6 and AU10, which show there, take the mean of both
        labels. Tallec et al. have 20 rows, about 0.18.
    mixup : float, default=0.0
        Parameter of a symmetric Beta distribution, from which each face draws how
        much of it remains under another of the batch; labels are mixed likewise, and
        unknown if one of the two is (mixup, Zhang et al., 2018). 0 mixes nothing. Not
        for networks and losses that need landmarks or maps.
    channel_drop : float, default=0.0
        Probability of each of the network's three colour planes to be black.
    label_smoothing : float, default=0.0
        How far training labels move to one half: 0.1 makes them 0.05 and 0.95.
    colour_transform : callable, default=None
        A change of colours by another library, as ``v2.ColorJitter``,
        ``v2.GaussianBlur`` or ``v2.RandomErasing`` of torchvision, or several in
        ``v2.Compose``. It is called with one face at a time, a uint8 tensor (3, H, W),
        RGB, of the faces' own size, on the CPU, and returns one of the same type and
        size. What it draws from torch's generator follows from ``random_state``. What
        moves pixels is refused as far as its name tells; so is what scales them to
        floats or resizes.

    Examples
    --------
    >>> from skfau.estimators import FaceAugmentation
    >>> FaceAugmentation(rotation=15, scale=0.1)
    FaceAugmentation(rotation=15, scale=0.1)
    """

    _parameter_constraints = {
        "flip": [Interval(Real, 0, 1, closed="both")],
        "rotation": [Interval(Real, 0, 180, closed="both")],
        "scale": [Interval(Real, 0, 1, closed="left")],
        "shift": [Interval(Real, 0, 1, closed="left")],
        "crop": [Interval(Real, 0, 1, closed="left")],
        "brightness": [Interval(Real, 0, 1, closed="both")],
        "contrast": [Interval(Real, 0, 1, closed="left")],
        "cutmix": [Interval(Real, 0, 1, closed="both")],
        "cutmix_overlap": [Interval(Real, 0, 1, closed="left")],
        "mixup": [Interval(Real, 0, None, closed="left")],
        "channel_drop": [Interval(Real, 0, 1, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "colour_transform": [callable, None],
    }

    def __init__(
        self,
        *,
        flip: float = 0.5,
        rotation: float = 0.0,
        scale: float = 0.0,
        shift: float = 0.0,
        crop: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        cutmix: float = 0.0,
        cutmix_overlap: float = 0.0,
        mixup: float = 0.0,
        channel_drop: float = 0.0,
        label_smoothing: float = 0.0,
        colour_transform: Callable[..., Any] | None = None,
    ) -> None:
        self.flip = flip
        self.rotation = rotation
        self.scale = scale
        self.shift = shift
        self.crop = crop
        self.brightness = brightness
        self.contrast = contrast
        self.cutmix = cutmix
        self.cutmix_overlap = cutmix_overlap
        self.mixup = mixup
        self.channel_drop = channel_drop
        self.label_smoothing = label_smoothing
        self.colour_transform = colour_transform

    def draw(self, n_faces: int, rng: np.random.Generator) -> Geometry:
        """Draw the geometry, light and mixture of `n_faces` faces.

        Parameters
        ----------
        n_faces : int
            Number of faces in the batch.
        rng : numpy.random.Generator
            Source of randomness; the same state gives the same draw.

        Returns
        -------
        geometry : Geometry
            ``flip`` bool (n,); ``warp`` float32 (n, 2, 3) or None, maps output to
            input coordinates, both from -1 to 1 over the image (x, then y);
            ``gain`` and ``bias`` float32 (n,) or None; ``planes`` float32 (n, 3), 0
            where one is dropped, or None; ``partner`` int (n,), place in the batch of
            the face that is mixed in, and ``share`` float32 (n,), what remains of the
            own one, or None.
        """
        # One fixed block of numbers per face: switching one change on does not
        # alter the geometry and light of the others.
        u = rng.uniform(-1, 1, size=(n_faces, 7)).astype(np.float32)
        flip = (u[:, 0] + 1) / 2 < self.flip
        warp = self._warp(u[:, 1:5]) if self._moves else None
        gain = bias = None
        if self.contrast or self.brightness:
            gain = 1 + self.contrast * u[:, 5]
            bias = self.brightness * u[:, 6]
        planes = partner = share = None
        if self.channel_drop:
            planes = np.float32(rng.uniform(size=(n_faces, 3)) >= self.channel_drop)
        if self.mixup:
            partner = rng.integers(n_faces, size=n_faces)
            share = np.float32(rng.beta(self.mixup, self.mixup, size=n_faces))
        return Geometry(flip, warp, gain, bias, planes, partner, share)

    def soften(
        self, labels: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.float32]:
        """Return the labels of faces that were mixed, and smooth them.

        Parameters
        ----------
        labels : ndarray of shape (n, n_aus), dtype float32
            0, 1, or NaN where unknown.
        geometry : Geometry
            What `draw` gave for the batch.

        Returns
        -------
        labels : ndarray of shape (n, n_aus), dtype float32
            In [0, 1]; NaN where a label that takes part is.
        """
        if geometry.partner is not None:
            share = geometry.share[:, None]
            labels = share * labels + (1 - share) * labels[geometry.partner]
        return (1 - self.label_smoothing) * labels + self.label_smoothing / 2

    def centre(self, n_faces: int) -> Geometry:
        """Return the geometry at test time: the central window, nothing random."""
        side = 1 - self.crop
        return Geometry(
            warp=np.tile(np.float32([[side, 0, 0], [0, side, 0]]), (n_faces, 1, 1))
        )

    @property
    def _moves(self):
        return bool(self.rotation or self.scale or self.shift or self.crop)

    def _warp(self, u):
        angle = np.deg2rad(self.rotation) * u[:, 0]
        zoom = (1 - self.crop) / (1 + self.scale * u[:, 1])
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        offset = (2 * self.shift + self.crop) * u[:, 2:4]
        rows = [cos, -sin, offset[:, 0]], [sin, cos, offset[:, 1]]
        return np.stack([np.stack(r, axis=-1) for r in rows], axis=1).astype(np.float32)


def still(augmentation, n_faces):
    """Return the geometry of faces at test time, None where nothing is cropped.

    Every prediction asks here which window of the faces the network was trained on.
    """
    if augmentation is None or not augmentation.crop:
        return None
    return augmentation.centre(n_faces)


def _side(au, overlap):
    """Return which part shows an AU: "upper", "lower", "both" or "middle"."""
    if overlap and au in _MIDDLE:
        return "middle"
    # AU9 wrinkles the bridge of the nose and lifts the upper lip.
    if au == 9 or au not in ACTION_UNITS:
        return "both"
    return _SIDES.get(ACTION_UNITS[au].region, "both")


class CutMix:
    """Which faces of a batch get another's lower half, and from where on.

    The cut runs along the line that parts the upper AUs of a face from the lower ones.

    Parameters
    ----------
    landmarks : ndarray of shape (n, 68, 2)
        Of the batch's faces, pixels, x then y. A face without a nose stays whole.
    probability : float
        Of a face to be mixed.
    rng : numpy.random.Generator
        Source of randomness.
    overlap : float, default=0.0
        Height of the band around the cut in which both faces show, as a fraction of
        the image.

    Attributes
    ----------
    givers : ndarray of shape (n,), dtype int
        Place in the batch of the face that gives the lower half; its own where the
        face stays whole.
    cuts : ndarray of shape (n,), dtype float
        First image row of the lower half, or the middle of the band.

    References
    ----------
    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019. The band in which both faces show is that of the
    code released with Tallec et al., "Multi-label classification with transformers for
    action unit detection", 2022, whose cut runs at fixed rows.
    """

    def __init__(self, landmarks, probability, rng, overlap=0.0):
        self.overlap = overlap
        n_faces = len(landmarks)
        draws = rng.uniform(size=(n_faces, 2))
        partners = rng.permutation(n_faces)
        tip, base = landmarks[:, _NOSE_TIP, 1], landmarks[:, _NOSE_BASE, 1]
        self.cuts = np.round(tip + draws[:, 0] * (base - tip))
        mixed = (draws[:, 1] < probability) & np.isfinite(self.cuts)
        self.givers = np.where(mixed, partners, np.arange(n_faces))

    def images(self, images):
        """Mix images of shape (n, height, width, channels)."""
        rows = np.arange(images.shape[1]) - self.cuts[:, None]
        rows = rows[:, :, None, None]
        given = images[self.givers]
        mixed = np.where(rows >= 0, given, images)
        if self.overlap:
            half = self.overlap * images.shape[1] / 2
            mean = (images.astype(np.uint16) + given) // 2
            mixed = np.where((-half <= rows) & (rows < half), mean, mixed)
        return mixed.astype(np.uint8, copy=False)

    def landmarks(self, landmarks):
        """Mix landmarks of shape (n, 68, 2)."""
        lower = _LOWER_POINTS[:, None]
        return np.where(lower, landmarks[self.givers], landmarks)

    def by_au(self, values, aus):
        """Mix labels (n, n_aus) or maps (n, n_aus, h, w): each AU follows its half.

        What shows in both halves, or in none, stays known where both faces agree. What
        shows in the band is the mean of both.
        """
        given = values[self.givers]
        cells = tuple(range(2, values.ndim))
        agree = (values == given).all(axis=cells, keepdims=True)
        sides = np.array([_side(au, self.overlap) for au in aus])
        sides = sides.reshape(-1, *[1] * len(cells))
        known = (sides != "both") | agree
        halves = np.where(sides == "lower", given, values)
        halves = np.where(sides == "middle", (values + given) / 2, halves)
        return np.where(known, halves, np.float32(np.nan))
