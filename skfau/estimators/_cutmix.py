"""CutMix along the line that parts the upper AUs of a face from the lower ones.

References
----------
Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
Localizable Features", ICCV 2019. The band in which both faces show is that of the code
released with Tallec et al., "Multi-label classification with transformers for action
unit detection", 2022, whose cut runs at fixed rows.
"""

import numpy as np

from skfau.facs import ACTION_UNITS

# The cut runs between these two landmarks of the face that keeps its upper half.
_NOSE_TIP, _NOSE_BASE = 30, 33
# Jaw below the ears, nostrils, mouth.
_LOWER_POINTS = np.isin(np.arange(68), [*range(3, 14), *range(31, 36), *range(48, 68)])
_SIDES = {"upper face": "upper", "lower face": "lower"}
# What shows in a band around the nose: raised cheeks and upper lip.
_MIDDLE = (6, 10)


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
