"""`AttentionMapDisplay`: where a network looks for every AU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._single_au import as_columns
from skfau._unwrap import apply_steps, find_having
from skfau._validation import check_au_labels, check_au_names, check_faces
from skfau.exceptions import FaceImageError
from skfau.inspection._plotting import (
    SKY_BLUE,
    au_codes,
    axes_for,
    columns_of,
    need_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from skfau.faces import Faces

_MAX_OPACITY = 0.8  # of a map, so that the face below it can be seen
_LUMA = (0.299, 0.587, 0.114)
_GAP = 0.06  # between cells, in image widths


class _Cell(NamedTuple):
    """One picture of the grid."""

    image: np.ndarray
    overlay: np.ndarray | None = None
    framed: bool = False
    window: tuple | None = None


class AttentionMapDisplay:
    """Attention maps of AUs over their faces, as in Figures 5 and 6 of [1]_.

    Make it with `from_estimator` or `from_predictions`; they draw at once, and
    `plot` draws again from the stored arrays.

    Parameters
    ----------
    images : ndarray of shape (n_samples, height, width, 3), dtype uint8
        Faces as the network saw them, RGB.
    maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
        In [0, 1], each over its `window`; NaN where there is no face.
    aus : tuple of int
        AU number of every map.
    active : ndarray of shape (n_samples, n_aus), dtype float32 or None, default=None
        1 where the AU occurs, 0 where not, NaN where unknown.
    window : tuple of float or None, default=None
        Which part of the images the maps cover: left, top, right and bottom in pixels,
        counted from the upper left corner, as a classifier's ``input_window`` gives it.
        None is the whole image.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last `plot`.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    AURelationsDisplay : The second level of attention, between AUs.

    Notes
    -----
    ROI heatmaps, which supervise the attention, have the same shape. Pass the result of
    `skfau.preprocessing.roi_heatmaps` to draw them beside it.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial Action Unit Detection With
       Transformers", CVPR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skfau.inspection import AttentionMapDisplay
    >>> images = np.zeros((2, 48, 48, 3), dtype=np.uint8)
    >>> maps = np.random.default_rng(0).random((2, 3, 12, 12))
    >>> display = AttentionMapDisplay.from_predictions(
    ...     images, maps, aus=(1, 6, 12), y=[[1, 0, 1], [0, 1, 1]],
    ...     combined=True, ax=Figure().subplots())
    >>> display.combined_maps().shape
    (2, 12, 12)
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        maps: NDArray[np.float32],
        aus: tuple[int, ...],
        *,
        active: NDArray[np.float32] | None = None,
        window: tuple[float, ...] | None = None,
    ) -> None:
        self.images = images
        self.maps = maps
        self.aus = aus
        self.active = active
        self.window = window

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Faces | NDArray[np.uint8],
        y: ArrayLike | None = None,
        *,
        shown: Sequence[int] | None = None,
        combined: bool = False,
        ax: Axes | None = None,
    ) -> Self:
        """Compute the attention maps of a fitted classifier and draw them.

        Parameters
        ----------
        estimator : object
            Fitted classifier with ``attention_maps``, such as
            `FAUTransformerClassifier`, or a pipeline or search around one. The
            images are those that reach the classifier, for instance aligned.
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            A handful of faces: each becomes a row of the picture.
        y : array-like of shape (n_samples, n_aus), default=None
            Which AUs occur; None takes the predictions of `estimator`.
        shown : sequence of int, default=None
            AUs to draw; None draws all.
        combined : bool, default=False
            See `plot`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AttentionMapDisplay

        Raises
        ------
        TypeError
            If there is no classifier with attention maps in `estimator`.
        FaceImageError
            If the faces differ in size.
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_estimator")
        model, steps = find_having(estimator, "attention_maps")
        faces = check_faces(apply_steps(steps, X))
        y = as_columns(estimator.predict(X) if y is None else y)
        images = faces.images[...]
        return cls.from_predictions(
            images,
            model.attention_maps(faces),
            model.aus_,
            y=y,
            window=_window_of(model, images.shape[1:3]),
            shown=shown,
            combined=combined,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        images: ArrayLike,
        maps: ArrayLike,
        aus: Sequence[int],
        *,
        y: ArrayLike | None = None,
        window: tuple[float, ...] | None = None,
        shown: Sequence[int] | None = None,
        combined: bool = False,
        ax: Axes | None = None,
    ) -> Self:
        """Draw maps that are computed already, or ROI heatmaps.

        Parameters
        ----------
        images : array-like of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        maps : array-like of shape (n_samples, n_aus, h, w)
            In [0, 1], each over its `window`; NaN where there is no face.
        aus : sequence of int
            AU number of every map.
        y : array-like of shape (n_samples, n_aus), default=None
            Which AUs occur: 1, 0, or NaN where unknown.
        window : tuple of float, default=None
            Which part of the images the maps cover: left, top, right and bottom in
            pixels. For maps of a classifier, ``clf.input_window(images.shape[1:3])``:
            where it crops, its maps do not reach the images' edges. None is the whole
            image.
        shown : sequence of int, default=None
            AUs to draw; None draws all.
        combined : bool, default=False
            See `plot`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AttentionMapDisplay

        Raises
        ------
        FaceImageError
            If the images are not uint8 (n_samples, height, width, 3).
        ValueError
            If maps, AUs and labels do not fit each other.
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_predictions")
        images, maps, aus = np.asarray(images), np.asarray(maps), tuple(aus)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise FaceImageError(
                "images must be uint8 of shape (n_samples, height, width, 3), got "
                f"{images.dtype} {images.shape}."
            )
        if maps.ndim != 4 or maps.shape[:2] != (len(images), len(aus)):
            raise ValueError(
                f"maps must have shape ({len(images)}, {len(aus)}, h, w) for "
                f"{len(images)} images and {len(aus)} AUs, got {maps.shape}."
            )
        if y is not None:
            check_au_names(y, aus, "aus=")
            y = check_au_labels(y, len(images), len(aus))
        maps = maps.astype(np.float32, copy=False)
        display = cls(images, maps, aus, active=y, window=window)
        return display.plot(ax=ax, shown=shown, combined=combined)

    def combined_maps(self) -> NDArray[np.float32]:
        """Return the pixel-wise maximum over the maps of active AUs, as in Figure 5.

        Returns
        -------
        combined : ndarray of shape (n_samples, h, w), dtype float32
            0 where no AU is active; NaN in rows without a face.

        Raises
        ------
        ValueError
            If it is not known which AUs are active.
        """
        if self.active is None:
            raise ValueError(
                "the combined map is that of the active AUs, and this display does "
                "not know them: pass y."
            )
        active = (self.active == 1)[:, :, None, None]
        # Rows without a face stay NaN whatever their labels are, since 0 * NaN is NaN.
        return np.max(self.maps * active, axis=1)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        shown: Sequence[int] | None = None,
        combined: bool = False,
        cmap: str | Colormap = "plasma",
    ) -> Self:
        """Draw the maps over the faces; active AUs have a frame.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        shown : sequence of int, default=None
            AUs to draw; None draws all. Without effect on the combined maps.
        combined : bool, default=False
            Draw one map per face, the maximum over its active AUs, below the face
            and name those AUs, instead of one row per face with every AU.
        cmap : str or matplotlib Colormap, default="plasma"
            Colours of the maps; opacity grows with the value. All maps share one scale,
            from 0 to the highest value drawn.

        Returns
        -------
        display : AttentionMapDisplay
            Self.

        Raises
        ------
        ValueError
            If an AU is not in the display, or `combined` lacks the active AUs.
        ImportError
            If matplotlib is not installed.
        """
        if combined:
            rows, columns, labels = self._combined_cells()
        else:
            rows, columns, labels = self._cells(columns_of(shown, self.aus))
        height, width = self.images.shape[1:3]
        side = 1.6 if combined else 1.0
        label_lines = max(label.count("\n") for label in columns)
        size = (
            1.6 + side * len(rows[0]),
            0.5 + 0.2 * label_lines + 1.06 * side * len(rows) * height / width,
        )
        self.ax_ = axes_for(ax, f"{type(self).__name__}.plot", size)
        self.figure_ = self.ax_.figure
        _draw_mosaic(self.ax_, rows, columns, labels, cmap)
        return self

    def _cells(self, columns):
        """Return rows of face, AU, AU, ..., with labels of columns and rows."""
        active = np.zeros(self.maps.shape[:2]) if self.active is None else self.active
        rows = [
            [
                _Cell(image),
                *(_Cell(image, maps[j], flags[j] == 1, self.window) for j in columns),
            ]
            for image, maps, flags in zip(self.images, self.maps, active, strict=True)
        ]
        codes = au_codes(self.aus[j] for j in columns)
        return rows, ["face", *codes], [""] * len(rows)

    def _combined_cells(self):
        """Return a row of faces and one of combined maps, with active AUs as labels."""
        pairs = zip(self.images, self.combined_maps(), strict=True)
        rows = [
            [_Cell(image) for image in self.images],
            [_Cell(image, combined, window=self.window) for image, combined in pairs],
        ]
        aus = np.array(self.aus)
        codes = [au_codes(aus[flags == 1]) or ["none"] for flags in self.active]
        return rows, [_wrapped(names) for names in codes], ["face", "active AUs"]


def _window_of(model, image_shape):
    """Return the part of faces that a classifier's maps cover, None for all of them."""
    if hasattr(model, "input_window"):
        return model.input_window(image_shape)
    return None


def _wrapped(names):
    """Put at most three names on a line."""
    return "\n".join(" ".join(names[i : i + 3]) for i in range(0, len(names), 3))


def _fading(cmap):
    """Return `cmap` with an opacity that grows from 0 with the value."""
    import matplotlib as mpl

    colours = mpl.colormaps.get_cmap(cmap)(np.linspace(0, 1, 256))
    # The square root of the value keeps medium values visible on light skin.
    colours[:, 3] = _MAX_OPACITY * np.sqrt(np.linspace(0, 1, 256))
    return mpl.colors.ListedColormap(colours)


def _draw_mosaic(ax, rows, column_labels, row_labels, cmap):
    """Draw rows of cells from top to bottom, labels around and a colour bar.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes that the mosaic fills.
    rows : list of list of _Cell
        Images of one shape; every overlay covers its window. All overlays share one
        colour scale from 0 to their maximum; one that is NaN is left blank.
    column_labels, row_labels : list of str
        Above the columns, and left of the rows.
    cmap : str or matplotlib Colormap
        Colours of the overlays.
    """
    height, width = rows[0][0].image.shape[:2]
    gap = _GAP * width
    x = np.arange(len(rows[0])) * (width + gap)
    y = np.arange(len(rows)) * (height + gap)
    overlays = [c.overlay for row in rows for c in row if c.overlay is not None]
    style = {"cmap": _fading(cmap), "vmin": 0, "vmax": _highest(overlays)}
    mappable = None
    for top, row in zip(y, rows, strict=True):
        for left, cell in zip(x, row, strict=True):
            mappable = _draw_cell(ax, cell, left, top, style) or mappable
    ax.set(
        xlim=(-gap, x[-1] + width + gap),
        ylim=(y[-1] + height + gap, -gap),
        facecolor="white",
        aspect="equal",
    )
    ax.set_xticks(x + width / 2, column_labels)
    ax.set_yticks(y + height / 2, row_labels)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    if mappable is not None:
        ax.figure.colorbar(mappable, ax=ax, label="attention", shrink=0.8, pad=0.01)


def _highest(overlays):
    """Return the highest finite value, or 1 if none is above 0."""
    finite = [o[np.isfinite(o)].max(initial=0) for o in overlays]
    return max(finite, default=0) or 1.0


def _draw_cell(ax, cell, left, top, style):
    """Draw one cell and return the image whose colours the colour bar explains."""
    height, width = cell.image.shape[:2]
    extent = (left, left + width, top + height, top)
    if cell.overlay is None:
        ax.imshow(cell.image, extent=extent)
        return None
    # The face below a map is gray: skin has the hues of common colour maps.
    luma = cell.image @ _LUMA
    ax.imshow(luma, extent=extent, cmap="gray", vmin=0, vmax=255)
    if cell.framed:
        corner = (left, top)
        ax.add_patch(_frame(corner, width, height))
    if np.isnan(cell.overlay).any():
        middle = (left + width / 2, top + height / 2)
        ax.text(*middle, "no face", ha="center", va="center", color="white")
        return None
    # The network saw the window only: a map over the whole image would be too large.
    x0, y0, x1, y1 = cell.window or (0, 0, width, height)
    extent = (left + x0, left + x1, top + y1, top + y0)
    return ax.imshow(cell.overlay, extent=extent, interpolation="bicubic", **style)


def _frame(corner, width, height):
    from matplotlib.patches import Rectangle

    return Rectangle(
        corner, width, height, fill=False, edgecolor=SKY_BLUE, linewidth=2.5, zorder=3
    )
