"""`AURelationsDisplay`: how AUs depend on each other, learned or in the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._unwrap import apply_steps, find_having
from skfau._validation import check_au_labels, check_au_names
from skfau.inspection._plotting import au_codes, axes_for, need_matplotlib
from skfau.metrics import au_adjacency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from skfau.faces import Faces

_STYLE = {
    "attention": {
        "cmap": "viridis",
        "title": "Mean attention between AUs",
        "xlabel": "attended AU",
        "ylabel": "attending AU",
    },
    "phi": {
        "cmap": "RdBu_r",
        "title": "Correlation of labels (phi)",
        "xlabel": "",
        "ylabel": "",
    },
}


class AURelationsDisplay:
    """Matrix of relations between AUs: a network's attention, or label correlation.

    The first is Figure 1 (b) of [1]_, averaged over faces; the second shows the
    dependencies in the labels. Make it with `from_estimator` or `from_labels`; they
    draw at once, and `plot` draws again from the stored matrix.

    Parameters
    ----------
    matrix : ndarray of shape (n_aus, n_aus), dtype float64
        Relation of row AU to column AU; NaN is drawn as undefined.
    aus : tuple of int
        AU number of every row and column.
    kind : {"attention", "phi"}, default="attention"
        Attention, each row a distribution, or phi coefficients in [-1, 1].

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last `plot`.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    AttentionMapDisplay : The first level of attention, on the face.

    Notes
    -----
    Both can be drawn into the axes of one figure. They need not agree. Attention tells
    from which AUs evidence is taken, for or against an AU, and each row sums to 1. Phi
    is symmetric and has a sign.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial Action Unit Detection With
       Transformers", CVPR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skfau.inspection import AURelationsDisplay
    >>> y = np.array([[1, 1, 0], [1, 1, np.nan], [0, 0, 1], [0, 1, 1]])
    >>> display = AURelationsDisplay.from_labels(
    ...     y, aus=(6, 12, 15), ax=Figure().subplots())
    >>> display.matrix.round(2)
    array([[ 1.  ,  0.58, -1.  ],
           [ 0.58,  1.  , -0.5 ],
           [-1.  , -0.5 ,  1.  ]])
    """

    def __init__(
        self,
        matrix: NDArray[np.float64],
        aus: tuple[int, ...],
        *,
        kind: Literal["attention", "phi"] = "attention",
    ) -> None:
        self.matrix = matrix
        self.aus = aus
        self.kind = kind

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Faces | NDArray[np.uint8], *, ax: Axes | None = None
    ) -> Self:
        """Average a fitted classifier's attention between AUs over faces; draw it.

        Parameters
        ----------
        estimator : object
            Fitted classifier with ``au_relations``, such as
            `FAUTransformerClassifier`, or a pipeline or search around one.
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces. Rows without a face do not count.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AURelationsDisplay

        Raises
        ------
        TypeError
            If there is no classifier with relations in `estimator`.
        ValueError
            If no row has a face.
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_estimator")
        model, steps = find_having(estimator, "au_relations")
        relations = np.asarray(model.au_relations(apply_steps(steps, X)))
        seen = ~np.isnan(relations).any(axis=(1, 2))
        if not seen.any():
            raise ValueError(
                f"expected at least one face, but none of the {len(seen)} rows of X "
                "has one; their landmarks are NaN."
            )
        matrix = relations[seen].mean(axis=0, dtype=np.float64)
        return cls(matrix, tuple(model.aus_)).plot(ax=ax)

    @classmethod
    def from_labels(
        cls, y: ArrayLike, aus: Sequence[int], *, ax: Axes | None = None
    ) -> Self:
        """Compute the phi coefficients between the labels of AUs and draw them.

        Parameters
        ----------
        y : array-like of shape (n_samples, n_aus)
            1 where the AU occurs, 0 where not, NaN where unknown; a pair of AUs is
            compared on the rows in which both are known. Predictions work, too.
        aus : sequence of int
            AU number of every column.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AURelationsDisplay
            Its matrix is NaN for pairs in which one AU never varies.

        Raises
        ------
        LabelError
            If `y` holds other values or does not fit `aus`.
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_labels")
        aus = tuple(aus)
        check_au_names(y, aus, "aus=")
        matrix = au_adjacency(check_au_labels(y, n_aus=len(aus)))
        return cls(matrix, aus, kind="phi").plot(ax=ax)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        cmap: str | Colormap | None = None,
        annotate: bool = True,
    ) -> Self:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or matplotlib Colormap, default=None
            Colours; None takes "viridis" for attention, "RdBu_r" for phi.
        annotate : bool, default=True
            Write the value into every cell.

        Returns
        -------
        display : AURelationsDisplay
            Self.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        style = _STYLE[self.kind]
        side = 2.5 + 0.42 * len(self.aus)
        self.ax_ = axes_for(ax, f"{type(self).__name__}.plot", (side, 0.86 * side))
        self.figure_ = self.ax_.figure
        low, high = (-1, 1) if self.kind == "phi" else (0, None)
        image = self.ax_.imshow(
            np.ma.masked_invalid(self.matrix),
            cmap=style["cmap"] if cmap is None else cmap,
            vmin=low,
            vmax=high,
        )
        self.ax_.set_facecolor("white")
        codes = au_codes(self.aus)
        self.ax_.set_xticks(range(len(codes)), codes, rotation=90)
        self.ax_.set_yticks(range(len(codes)), codes)
        self.ax_.set(**{name: style[name] for name in ("title", "xlabel", "ylabel")})
        self.ax_.tick_params(length=0)
        self.figure_.colorbar(image, ax=self.ax_, shrink=0.8)
        if annotate:
            self._write_values(image)
        return self

    def _write_values(self, image):
        for (row, column), value in np.ndenumerate(self.matrix):
            if np.isnan(value):
                text, colour = "–", "black"
            else:
                text = f"{value:.2f}".replace("0.", ".", 1)
                text = text.replace("-.00", ".00")
                luma = np.dot(image.cmap(image.norm(value))[:3], (0.299, 0.587, 0.114))
                colour = "black" if luma > 0.5 else "white"
            self.ax_.text(
                column, row, text, ha="center", va="center", color=colour, size=8
            )
