"""Regions of interest (ROI) of action units as heatmaps, from landmarks alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import gen_batches

from skfau._arrays import digest, hash_array
from skfau._kept import keep
from skfau._tables import FacesOutput
from skfau._validation import (
    Interval,
    StatelessMixin,
    StrOptions,
    _fit_context,
    check_faces,
    validate_params,
)
from skfau.facs import DATASET_AUS, ROI_RULES, _paired_rules
from skfau.preprocessing._shapes import fill_diamonds, fill_ellipses

if TYPE_CHECKING:
    from skfau.faces import Faces

# `sigma` is in pixels of images of this side, the input size of the paper.
_REFERENCE_SIDE = 224
# Rows whose landmarks are hashed at a time.
_BLOCK = 4096
# Maps computed at a time: so few that temporaries stay in the processor's cache.
_N_MAPS = 256

_CONSTRAINTS = {
    "size": [Interval(Integral, 1, None, closed="left")],
    "convention": [StrOptions(set(ROI_RULES))],
    "shape": [StrOptions({"ellipse", "diamond"})],
    "sigma": [Interval(Real, 0, _REFERENCE_SIDE, closed="right")],
    "axes": ["array-like"],
}


@validate_params(
    {
        "landmarks": ["array-like"],
        "aus": ["array-like"],
        "image_shape": ["array-like"],
        **_CONSTRAINTS,
    },
    prefer_skip_nested_validation=True,
)
def roi_heatmaps(
    landmarks: ArrayLike,
    aus: Sequence[int],
    image_shape: tuple[int, ...],
    *,
    size: int = 12,
    convention: Literal["jaa", "eac", "aunet"] = "jaa",
    shape: Literal["ellipse", "diamond"] = "ellipse",
    sigma: float = 3.0,
    axes: tuple[float, ...] = (0.5, 0.35),
) -> NDArray[np.float32]:
    """Compute one map per action unit (AU) that is high where the unit shows.

    Parameters
    ----------
    landmarks : array-like of shape (n, 68, 2)
        Pixels, x then y; whole numbers are pixel centres, NaN is unknown.
    aus : sequence of int, of length n_aus
        FACS numbers.
    image_shape : tuple of int
        Height and width of the images, pixels. The maps cover the whole image.
    size : int, default=12
    convention : {"jaa", "eac", "aunet"}, default="jaa"
    shape : {"ellipse", "diamond"}, default="ellipse"
    sigma : float, default=3.0
    axes : tuple of float, default=(0.5, 0.35)
        These five are documented in `ROIHeatmaps`; its notes define the maps.

    Returns
    -------
    ndarray of shape (n, n_aus, size, size), dtype float32
        In [0, 1]; NaN where a landmark that the map needs is unknown.

    Raises
    ------
    ValueError
        If a parameter is invalid or the convention has no rule for an AU.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.preprocessing import roi_heatmaps
    >>> landmarks = np.zeros((1, 68, 2))
    >>> landmarks[0, [39, 42, 48, 54]] = (90, 90), (133, 90), (75, 155), (148, 155)
    >>> roi_heatmaps(landmarks, [12], (224, 224), size=8)[0, 0, 5].round(1)
    array([0. , 0. , 0.8, 0.3, 0.3, 0.8, 0. , 0. ], dtype=float32)
    """
    landmarks = _check_landmarks(landmarks)
    side = _two_positive("image_shape", image_shape)[::-1]
    axes = _two_positive("axes", axes)
    rules = _rule_arrays(tuple(aus), convention)
    maps = np.empty((len(landmarks), len(rules[0]), size, size), dtype=np.float32)
    step = max(1, _N_MAPS // maps.shape[1])
    for start in range(0, len(landmarks), step):
        rows = slice(start, start + step)
        _fill(maps[rows], landmarks[rows], rules, side, shape, sigma, axes)
    return maps


def _fill(maps, landmarks, rules, side, shape, sigma, axes):
    """Write the maps of a few faces; ``side`` and ``axes`` are x, y."""
    centres, unit, known = _centres(landmarks, *rules)
    size = maps.shape[-1]
    centres = (centres - (side - 1) / 2) * size / side
    if shape == "ellipse":
        reach = unit[:, None] * axes * size / side
        fill_ellipses(maps, centres, reach, sigma * size / _REFERENCE_SIDE)
    else:
        fill_diamonds(maps, centres)
    maps[~known] = np.nan


def _check_landmarks(landmarks):
    landmarks = np.asarray(landmarks)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (68, 2):
        raise ValueError(
            f"landmarks must have shape (n, 68, 2), got {landmarks.shape}; "
            "skfau.facs.to_68 brings 49-, 51- and 66-point layouts to 68."
        )
    return landmarks


def _two_positive(name, values):
    array = np.asarray(values, dtype=float)
    if array.shape != (2,) or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{name} must be two positive numbers, got {values}.")
    return array


@lru_cache(maxsize=32)
def _rule_arrays(aus, convention):
    """Return landmark numbers (n_aus, 2, 2) and offsets (n_aus, 2) of two centres."""
    if not aus:
        raise ValueError("aus must name at least one action unit.")
    points, offsets = _paired_rules(aus, convention)
    return np.array(points), np.array(offsets)


def _centres(landmarks, points, offsets):
    """Return centres (n, n_aus, 2, 2), R (n,), and which are known (n, n_aus).

    Pixels, x then y; finite where not known.
    """
    unit = np.abs(landmarks[:, 39, 0].astype(float) - landmarks[:, 42, 0])
    centres = landmarks[:, points].astype(float)
    centres = (centres[:, :, :, 0] + centres[:, :, :, 1]) / 2
    centres[..., 1] += offsets * unit[:, None, None]
    known = np.isfinite(centres).all(axis=(2, 3)) & (unit > 0)[:, None]
    centres[~known] = 0
    return centres, np.where(np.isfinite(unit) & (unit > 0), unit, 1), known


class _HeatmapColumn:
    """Lazy column: the maps of some faces, computed for the rows that are read."""

    # Landmarks and the fingerprint of the whole, when some of the rows were kept.
    _kept = _known = None

    def __init__(self, faces, parameters):
        self._faces = faces
        self._parameters = parameters

    def __len__(self):
        return len(self._faces if self._kept is None else self._kept)

    @property
    def aus(self):
        """AU of each map, in order."""
        return tuple(self._parameters["aus"])

    def __getitem__(self, rows):
        if self._kept is not None:
            landmarks = self._kept[rows]
        else:
            landmarks = self._faces.column("landmarks", rows)
        return roi_heatmaps(landmarks, **self._parameters)

    def kept(self, rows):
        """Return a column that has these rows only, under the same numbers."""
        column = _HeatmapColumn((), self._parameters)
        column._known = self.fingerprint()
        landmarks = self._kept
        if landmarks is None:
            landmarks = self._faces.column("landmarks")
        column._kept = keep(landmarks, rows)
        return column

    def fingerprint(self):
        """Return a digest of what the maps depend on, without computing them."""
        if self._known is not None:
            return self._known
        landmarks = (
            hash_array(self._faces.column("landmarks", rows))
            for rows in gen_batches(len(self), _BLOCK)
        )
        return digest(repr(sorted(self._parameters.items())), *landmarks)


class ROIHeatmaps(FacesOutput, StatelessMixin, TransformerMixin, BaseEstimator):
    """Attach a region-of-interest (ROI) heatmap per action unit (AU) to faces.

    The maps are what attention is supervised with in `FAUTransformerClassifier`. They
    follow from the landmarks alone and are computed by `roi_heatmaps` when the column
    ``heatmaps`` is read, for the rows that are read, so that memory does not grow
    with the number of frames.

    Parameters
    ----------
    aus : tuple of int, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        FACS numbers, in the order of the columns of the labels. The default are the
        AUs of BP4D; see `skfau.facs.DATASET_AUS`.
    size : int, default=12
        Height and width of the maps, cells.
    convention : {"jaa", "eac", "aunet"}, default="jaa"
        Whose centres; see `skfau.facs.ROI_RULES`.
    shape : {"ellipse", "diamond"}, default="ellipse"
        What is put around each centre; see Notes.
    sigma : float, default=3.0
        Standard deviation of the smoothing, in pixels of an image 224 pixels wide
        and high: it scales with the image, so that maps do not depend on the image's
        resolution. Ellipses only.
    axes : tuple of float, default=(0.5, 0.35)
        Horizontal and vertical semi-axis in units of R. Ellipses only.

    See Also
    --------
    roi_heatmaps : The maps of an array of landmarks.
    FaceAligner : Goes before; it moves the landmarks with the pixels.

    Notes
    -----
    An AU has one or two centres, given by landmarks and R, the horizontal distance
    between the inner eye corners, so faces should be upright. A map is NaN where one
    of these landmarks is unknown or R is 0.

    ``"ellipse"`` [1]_ (section 3.2): the union of filled ellipses around the centres,
    smoothed by a Gaussian and averaged over each cell. Nothing is drawn. Smoothing
    and averaging are separable, so a map is a sum, over 16 rows of each ellipse, of a
    vertical profile times a smoothed chord, less the lens that two ellipses share:
    within 0.01 of the exact integral for maps of up to 44 cells, as long as R is
    below a third of the image's width. The paper prints neither the axes nor the
    resolution that its sigma of 3 belongs to; both are ours.

    ``"diamond"``: as JAA-Net's code [2]_, values fall off linearly with the city-block
    distance inside of a square, and the larger of two counts. In that code centres are
    rounded to whole cells, and maps are 8 cells larger, which later convolutions
    remove; here centres are not rounded.

    Inactive AUs have maps, too: the loss decides whether it supervises active AUs only.
    Nothing is learned, so `transform` needs no `fit`.

    References
    ----------
    .. [1] Jacob & Stenger, "Facial Action Unit Detection With Transformers", CVPR
       2021.
    .. [2] Shao et al., "JAA-Net: Joint Facial Action Unit Detection and Face
       Alignment via Adaptive Attention", IJCV 2021.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.preprocessing import ROIHeatmaps
    >>> faces = make_faces(n_subjects=2, n_frames=3, random_state=0).data
    >>> faces = ROIHeatmaps(aus=(1, 12)).transform(faces)
    >>> faces[:4].column("heatmaps").shape
    (4, 2, 12, 12)
    """

    _parameter_constraints = {"aus": ["array-like"], **_CONSTRAINTS}

    def __init__(
        self,
        aus: tuple[int, ...] = DATASET_AUS["bp4d"],
        *,
        size: int = 12,
        convention: Literal["jaa", "eac", "aunet"] = "jaa",
        shape: Literal["ellipse", "diamond"] = "ellipse",
        sigma: float = 3.0,
        axes: tuple[float, ...] = (0.5, 0.35),
    ) -> None:
        self.aus = aus
        self.size = size
        self.convention = convention
        self.shape = shape
        self.sigma = sigma
        self.axes = axes

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Faces, y: None = None) -> Self:
        """Check the parameters and that `X` has landmarks; nothing is learned.

        Parameters
        ----------
        X : Faces of n_samples rows
            With the column ``landmarks``.
        y : None
            Ignored.

        Returns
        -------
        self : ROIHeatmaps
            This transformer.

        Raises
        ------
        MissingColumnError
            If `X` has no landmarks.
        ValueError
            If a parameter is invalid or the convention has no rule for an AU.
        """
        self._column(X)
        return self

    def transform(self, X: Faces) -> Faces:
        """Attach the maps.

        Parameters
        ----------
        X : Faces of n_samples rows
            With the column ``landmarks``. All images must have the size of the first
            one, as after `FaceAligner`.

        Returns
        -------
        faces : Faces of n_samples rows
            `X` with the lazy column ``heatmaps`` (n_samples, n_aus, size, size),
            float32 in [0, 1], NaN where landmarks are missing.

        Raises
        ------
        MissingColumnError
            If `X` has no landmarks.
        ValueError
            If a parameter is invalid or the convention has no rule for an AU.
        """
        self._validate_params()
        faces, column = self._column(X)
        return faces.with_columns(heatmaps=column)

    def _column(self, X):
        faces = check_faces(X, need=("landmarks",))
        parameters = {**self.get_params(), "image_shape": faces.image_shape}
        # Maps of no row, to check the parameters now and not when the column is read.
        roi_heatmaps(faces.column("landmarks", slice(0)), **parameters)
        return faces, _HeatmapColumn(faces, parameters)
