"""Faces as rows of numbers, without a network: gradients and binary patterns."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import gen_batches

from skfau._progress import Progress
from skfau._subjects import RemembersSubjects
from skfau._tables import name_rows, output_of
from skfau._validation import Interval, StatelessMixin, _fit_context, check_faces

if TYPE_CHECKING:
    from skfau.faces import Faces

# ITU-R BT.601 luma.
_LUMA = np.float32([0.299, 0.587, 0.114])
# The usual constants: what is added to a block's norm, and where entries are clipped.
_EPS, _CLIP = 1e-5, 0.2
# The eight neighbours of a pixel, in a circle, y then x.
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def _uniform_codes():
    """Return the bin of each of 256 patterns: its own if it is uniform, else the last.

    A pattern is uniform if it changes at most twice around the circle.
    """
    codes = np.arange(256)
    turned = (codes >> 1) | ((codes & 1) << 7)
    uniform = np.bitwise_count((codes ^ turned).astype(np.uint8)) <= 2
    return np.where(uniform, uniform.cumsum() - 1, uniform.sum())


_UNIFORM = _uniform_codes()
_N_UNIFORM = int(_UNIFORM.max()) + 1


def _histograms(bins, weights, n_bins, cell):
    """Return weighted histograms (n, rows, columns, n_bins) of square cells.

    ``bins`` and ``weights`` are (n, h, w); pixels beyond the last whole cell are left
    out.
    """
    n, height, width = bins.shape
    rows, columns = height // cell, width // cell
    row = np.minimum(np.arange(height) // cell, rows)
    column = np.minimum(np.arange(width) // cell, columns)
    place = (np.arange(n)[:, None, None] * (rows + 1) + row[:, None]) * (columns + 1)
    index = (place + column) * n_bins + bins
    size = n * (rows + 1) * (columns + 1) * n_bins
    counts = np.bincount(index.ravel(), weights.ravel(), size)
    return counts.reshape(n, rows + 1, columns + 1, n_bins)[:, :rows, :columns]


class _FaceDescriptor(
    RemembersSubjects, StatelessMixin, TransformerMixin, BaseEstimator
):
    """Gather faces in batches, make them grey, describe them; nothing is learned."""

    _parameter_constraints = {
        "cell_size": [Interval(Integral, 2, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "verbose": ["boolean"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Faces | NDArray[np.uint8], y: None = None) -> Self:
        """Check the parameters and the size of the faces; nothing is learned.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB, of one size.
        y : None
            Ignored.

        Returns
        -------
        self : object
            This transformer.

        Raises
        ------
        ValueError
            If a parameter is invalid or the faces are too small for it.
        """
        shape = check_faces(X).image_shape
        self._check_size(shape)
        self.image_shape_ = tuple(int(side) for side in shape)
        self._remember_subjects(X)
        return self

    def transform(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe the faces.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB, of one size, as after `FaceAligner`.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features), dtype float32
            NaN in rows without a face. After ``set_output(transform="pandas")`` a
            DataFrame, whose index names the faces.

        Raises
        ------
        FaceImageError
            If the faces differ in size.
        ValueError
            If a parameter is invalid, the faces are too small for it, or a table is
            wanted of faces of another size than in `fit`.
        """
        self._validate_params()
        faces = check_faces(X)
        self._check_size(faces.image_shape)
        self._check_same_size(faces.image_shape)
        features = None
        shown = "Describing faces", len(faces), "faces", __name__, self.verbose
        with Progress(*shown) as progress:
            for rows in gen_batches(len(faces), self.batch_size):
                described = self._describe(faces.images[rows] @ _LUMA)
                if features is None:
                    shape = len(faces), described.shape[1]
                    features = np.empty(shape, np.float32)
                features[rows] = described
                progress.update(len(described))
        if faces.landmarks is not None:
            features[np.isnan(faces.landmarks).all(axis=(1, 2))] = np.nan
        return name_rows(self, features, faces)

    def get_feature_names_out(self, input_features: None = None) -> NDArray[np.object_]:
        """Return what the features are of faces of the size in `fit`.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of shape (n_features,), dtype object
            Where each feature lies, row and column from 0, and which bin it is.

        Raises
        ------
        NotFittedError
            Before `fit`, since the size of the faces decides.
        """
        if not hasattr(self, "image_shape_"):
            # scikit-learn looks for these words: `transform` needs no `fit`.
            raise NotFittedError(
                f"{type(self).__name__} does not provide get_feature_names_out before "
                "fit: the size of the faces decides; call fit first."
            )
        rows, columns = (side // self.cell_size for side in self.image_shape_)
        return np.array(self._names(rows, columns), dtype=object)

    def _check_size(self, image_shape):
        needed = self.cell_size * self._cells_needed()
        if min(image_shape) < needed:
            raise ValueError(
                f"Faces must be at least {needed} px high and wide for these cells, "
                f"got {image_shape[0]}x{image_shape[1]}; align them larger, or lower "
                "cell_size."
            )

    def _check_same_size(self, image_shape):
        known = getattr(self, "image_shape_", image_shape)
        if output_of(self) != "default" and tuple(image_shape) != known:
            raise ValueError(
                f"The columns of a table are those of faces as in fit, {known[0]}x"
                f"{known[1]} px, got {image_shape[0]}x{image_shape[1]}; align all to "
                "one size."
            )

    def _cells_needed(self):
        return 1


class HOGFeatures(_FaceDescriptor):
    """Histograms of oriented gradients (HOG) of faces [1]_.

    Parameters
    ----------
    cell_size : int, default=12
        Side of a cell, pixels.
    block_size : int, default=2
        Cells along each side of a block, in which histograms are normalised together;
        blocks lie at every cell.
    n_orientations : int, default=9
        Bins over 180 degrees.
    batch_size : int, default=64
        Faces at a time, which bounds the memory.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Attributes
    ----------
    image_shape_ : tuple of (int, int)
        Height and width of the faces in `fit`, pixels.
    train_subjects_ : tuple of str
        Digests of the names of the subjects in `fit`; scorers warn of rows that show
        them again, since classifiers behind see features only.

    See Also
    --------
    LBPFeatures : Finer texture.
    skfau.estimators.hog_baseline : A classifier on top.

    Notes
    -----
    Gradients are differences of a pixel's neighbours, 0 at the border; each pixel adds
    its magnitude to the bin of its direction, unsigned and without interpolation.
    Blocks are normalised by their length, clipped at 0.2 and normalised again
    ("L2-Hys"). The numbers are those of ``skimage.feature.hog`` up to rounding.

    References
    ----------
    .. [1] N. Dalal and B. Triggs, "Histograms of oriented gradients for human
       detection", CVPR 2005.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.preprocessing import HOGFeatures
    >>> faces = make_faces(n_subjects=2, n_frames=3, image_size=48, random_state=0).data
    >>> HOGFeatures().fit_transform(faces).shape
    (6, 324)
    """

    _parameter_constraints = {
        **_FaceDescriptor._parameter_constraints,
        "block_size": [Interval(Integral, 1, None, closed="left")],
        "n_orientations": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        cell_size: int = 12,
        block_size: int = 2,
        n_orientations: int = 9,
        batch_size: int = 64,
        verbose: bool = False,
    ) -> None:
        self.cell_size = cell_size
        self.block_size = block_size
        self.n_orientations = n_orientations
        self.batch_size = batch_size
        self.verbose = verbose

    def _cells_needed(self):
        return self.block_size

    def _describe(self, grey):
        down, right = np.zeros_like(grey), np.zeros_like(grey)
        down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
        right[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
        # Bins are of unsigned directions: half a turn more or less is the same one.
        turn = np.arctan2(down, right) * np.float32(self.n_orientations / np.pi)
        bins = np.floor(turn).astype(np.intp) % self.n_orientations
        n_bins, cell = self.n_orientations, self.cell_size
        cells = _histograms(bins, np.hypot(down, right), n_bins, cell) / cell**2
        size = self.block_size, self.block_size
        blocks = np.lib.stride_tricks.sliding_window_view(cells, size, axis=(1, 2))
        blocks = blocks.transpose(0, 1, 2, 4, 5, 3).reshape(*blocks.shape[:3], -1)
        blocks = np.minimum(_unit_length(blocks), _CLIP)
        return _unit_length(blocks).reshape(len(grey), -1)

    def _names(self, rows, columns):
        size = range(self.block_size)
        return [
            f"hog_block{row}_{column}_cell{y}_{x}_bin{k}"
            for row in range(rows - self.block_size + 1)
            for column in range(columns - self.block_size + 1)
            for y in size
            for x in size
            for k in range(self.n_orientations)
        ]


def _unit_length(blocks):
    squared = np.square(blocks).sum(axis=-1, keepdims=True)
    return blocks / np.sqrt(squared + _EPS**2)


class LBPFeatures(_FaceDescriptor):
    """Histograms of uniform local binary patterns (LBP) of faces [1]_.

    Parameters
    ----------
    cell_size : int, default=14
        Side of a cell, pixels.
    batch_size : int, default=64
        Faces at a time, which bounds the memory.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Attributes
    ----------
    image_shape_ : tuple of (int, int)
        Height and width of the faces in `fit`, pixels.
    train_subjects_ : tuple of str
        Digests of the names of the subjects in `fit`; scorers warn of rows that show
        them again, since classifiers behind see features only.

    See Also
    --------
    HOGFeatures : Coarser shape.

    Notes
    -----
    A pixel's pattern says which of its eight neighbours are at least as bright. The 58
    patterns that change at most twice around the circle have their own bin in the
    histogram of a cell; all others share one. The features are the square roots of the
    bins' shares. Pixels at the border have no pattern.

    References
    ----------
    .. [1] T. Ahonen, A. Hadid and M. Pietikainen, "Face description with local binary
       patterns", TPAMI 2006.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.preprocessing import LBPFeatures
    >>> faces = make_faces(n_subjects=2, n_frames=3, image_size=48, random_state=0).data
    >>> LBPFeatures().fit_transform(faces).shape
    (6, 531)
    """

    def __init__(
        self, *, cell_size: int = 14, batch_size: int = 64, verbose: bool = False
    ) -> None:
        self.cell_size = cell_size
        self.batch_size = batch_size
        self.verbose = verbose

    def _describe(self, grey):
        # Grey levels are rounded, so that equal pixels stay equal after the sum.
        grey = np.rint(grey).astype(np.int16)
        height, width = grey.shape[1:]
        patterns = np.zeros(grey.shape, np.uint8)
        inner = patterns[:, 1:-1, 1:-1]
        middle = grey[:, 1:-1, 1:-1]
        for bit, (dy, dx) in enumerate(_AROUND):
            rows = slice(1 + dy, height - 1 + dy)
            columns = slice(1 + dx, width - 1 + dx)
            inner |= (grey[:, rows, columns] >= middle).astype(np.uint8) << bit
        counted = np.zeros(grey.shape, np.float32)
        counted[:, 1:-1, 1:-1] = 1
        cells = _histograms(_UNIFORM[patterns], counted, _N_UNIFORM, self.cell_size)
        cells /= cells.sum(axis=-1, keepdims=True)
        return np.sqrt(cells).reshape(len(grey), -1)

    def _names(self, rows, columns):
        return [
            f"lbp_cell{row}_{column}_bin{k}"
            for row in range(rows)
            for column in range(columns)
            for k in range(_N_UNIFORM)
        ]
