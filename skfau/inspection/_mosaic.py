"""A grid of small pictures, some under a transparent map, in one matplotlib axes."""

from typing import NamedTuple

import numpy as np

from skfau.inspection._plotting import SKY_BLUE

_STRONGEST = 0.8  # opacity of the highest value: the face has to stay recognisable
_LUMA = (0.299, 0.587, 0.114)
_GAP = 0.06  # between cells, in image widths


class Cell(NamedTuple):
    """One picture of the grid."""

    image: np.ndarray
    overlay: np.ndarray | None = None
    framed: bool = False


def fading(cmap):
    """Return `cmap` with an opacity that grows from 0 with the value."""
    import matplotlib as mpl

    colours = mpl.colormaps.get_cmap(cmap)(np.linspace(0, 1, 256))
    # The square root keeps middling values visible on light skin.
    colours[:, 3] = _STRONGEST * np.sqrt(np.linspace(0, 1, 256))
    return mpl.colors.ListedColormap(colours)


def draw_mosaic(ax, rows, column_labels, row_labels, cmap):
    """Draw rows of cells from top to bottom, labels around and a colour bar.

    Parameters
    ----------
    ax : matplotlib Axes
        Is given over to the mosaic.
    rows : list of list of Cell
        Images of one shape; every overlay covers its whole image. All overlays share
        one colour scale from 0 to their maximum; one that is NaN is left blank.
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
    style = {"cmap": fading(cmap), "vmin": 0, "vmax": _top(overlays)}
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


def _top(overlays):
    """Highest finite value, and 1 where there is none above 0."""
    finite = [o[np.isfinite(o)].max(initial=0) for o in overlays]
    return max(finite, default=0) or 1.0


def _draw_cell(ax, cell, left, top, style):
    """Draw one cell and return the image whose colours the colour bar explains."""
    height, width = cell.image.shape[:2]
    extent = (left, left + width, top + height, top)
    if cell.overlay is None:
        ax.imshow(cell.image, extent=extent)
        return None
    # Skin and colour maps share their hues; on gray, any skin shows the map alike.
    luma = cell.image @ _LUMA
    ax.imshow(luma, extent=extent, cmap="gray", vmin=0, vmax=255)
    if cell.framed:
        corner = (left, top)
        ax.add_patch(_frame(corner, width, height))
    if np.isnan(cell.overlay).any():
        middle = (left + width / 2, top + height / 2)
        ax.text(*middle, "no face", ha="center", va="center", color="white")
        return None
    return ax.imshow(cell.overlay, extent=extent, interpolation="bicubic", **style)


def _frame(corner, width, height):
    from matplotlib.patches import Rectangle

    return Rectangle(
        corner, width, height, fill=False, edgecolor=SKY_BLUE, linewidth=2.5, zorder=3
    )
