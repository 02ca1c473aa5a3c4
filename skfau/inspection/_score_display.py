"""`AUScoreDisplay`: F1 of every AU beside what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._single_au import as_columns
from skfau._subjects import warn_of_training_subjects
from skfau._unwrap import find_having
from skfau.inspection._plotting import (
    BLUE,
    GRAY,
    ORANGE,
    axes_for,
    need_matplotlib,
    with_names,
)
from skfau.metrics import score_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skfau.faces import Faces
    from skfau.metrics import ScoreTable

_ENDS = ("f1_low", "f1_high")


class AUScoreDisplay:
    """F1 of every AU as bars, beside the F1 of always predicting "present".

    A useful score is above that level: ``2 r / (1 + r)`` for an AU of rate r, which is
    0.67 for an AU that is present in half of the frames. Make the display with
    `from_predictions` or `from_estimator`; they draw at once, and `plot` draws again.

    Parameters
    ----------
    table : skfau.metrics.ScoreTable
        What `skfau.metrics.score_table` returns.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last `plot`.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    skfau.metrics.score_table : The same scores as text.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skfau.inspection import AUScoreDisplay
    >>> y_true = np.array([[1, 0], [1, 1], [0, 1], [0, 1]])
    >>> y_pred = np.array([[1, 0], [1, 0], [0, 1], [1, 1]])
    >>> display = AUScoreDisplay.from_predictions(
    ...     y_true, y_pred, aus=(6, 12), ax=Figure().subplots())
    >>> display.table.columns["f1"].round(2)
    array([0.8, 0.8, 0.8])
    """

    def __init__(self, table: ScoreTable) -> None:
        self.table = table

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Faces | NDArray[np.uint8],
        y: ArrayLike,
        *,
        subjects: ArrayLike | None = None,
        n_resamples: int = 1000,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Score a fitted classifier on faces and draw the result.

        Parameters
        ----------
        estimator : object
            Fitted AU classifier, or a pipeline or search around one.
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces of subjects that `estimator` was not trained on.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            1 where the AU occurs, 0 where not, NaN where unknown.
        subjects : array-like of shape (n_samples,), default=None
            Subject of every row, ``X.subject``: adds 95 % intervals over subjects.
        n_resamples : int, default=1000
            Resamples of the intervals.
        random_state : int, RandomState, Generator or None, default=None
            Fixes the intervals.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AUScoreDisplay

        Raises
        ------
        TypeError
            If there is no fitted AU classifier in `estimator`.
        LabelError
            If `y` does not fit the predictions.
        ImportError
            If matplotlib is not installed.

        Warns
        -----
        SubjectOverlapWarning
            If `estimator` was trained on subjects of `X`.
        """
        need_matplotlib(f"{cls.__name__}.from_estimator")
        model, _ = find_having(estimator, "aus_")
        warn_of_training_subjects(estimator, X)
        return cls.from_predictions(
            as_columns(y),
            as_columns(estimator.predict(X)),
            model.aus_,
            subjects=subjects,
            n_resamples=n_resamples,
            random_state=random_state,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        aus: Sequence[int] | None = None,
        *,
        subjects: ArrayLike | None = None,
        n_resamples: int = 1000,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Score predictions and draw the result.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_aus)
            Labels: 1 present, 0 absent, NaN unknown.
        y_pred : array-like of shape (n_samples, n_aus)
            Predictions, for instance out of fold: 1, 0, or NaN without a face.
        aus : sequence of int, default=None
            AU number of every column; None numbers the columns.
        subjects : array-like of shape (n_samples,), default=None
            Subject of every row: adds 95 % intervals over subjects.
        n_resamples : int, default=1000
            Resamples of the intervals.
        random_state : int, RandomState, Generator or None, default=None
            Fixes the intervals.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AUScoreDisplay

        Raises
        ------
        LabelError
            If shapes differ, or values are not 0, 1 or NaN.
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_predictions")
        table = score_table(
            y_true,
            y_pred,
            aus,
            subjects=subjects,
            n_resamples=n_resamples,
            random_state=random_state,
        )
        return cls(table).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a bar per AU, and their mean at the bottom.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AUScoreDisplay
            Self.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        columns, names = self.table.columns, with_names(self.table.index)
        f1 = columns["f1"]
        ends = [columns.get(name, np.full(len(f1), np.nan)) for name in _ENDS]
        self.ax_ = axes_for(
            ax, f"{type(self).__name__}.plot", (8.0, 1.2 + 0.32 * len(names))
        )
        self.figure_ = self.ax_.figure
        y = np.arange(len(names), dtype=float)
        y[-1] += 0.5  # a gap between the AUs and their mean
        self.ax_.barh(y, np.nan_to_num(f1), 0.62, color=[BLUE] * (len(y) - 1) + [GRAY])
        self.ax_.vlines(
            columns["f1_chance"],
            y - 0.42,
            y + 0.42,
            color=ORANGE,
            linewidth=3,
            label='always "present", 2r / (1 + r)',
        )
        if "f1_low" in columns:
            self.ax_.hlines(
                y, *ends, color="black", linewidth=1.5, label="95 % interval"
            )
        for position, *values in zip(y, f1, *ends, strict=True):
            self.ax_.text(1.02, position, _text(*values), va="center", size=9)
        self.ax_.set_yticks(y, names)
        self.ax_.set(xlim=(0, 1), ylim=(y[-1] + 0.6, -0.6), xlabel="F1")
        self.ax_.tick_params(axis="y", length=0)
        self.ax_.spines[["top", "right"]].set_visible(False)
        self.ax_.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9
        )
        return self


def _text(f1, low, high):
    if np.isnan(f1):
        return "no known positive"
    return f"{f1:.2f}" + ("" if np.isnan(low) else f"  [{low:.2f}, {high:.2f}]")
