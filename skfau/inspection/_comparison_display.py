"""`ComparisonDisplay`: the scores of several systems beside each other."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Self

import numpy as np

from skfau.inspection._plotting import (
    GRAY,
    LIGHT_GRAY,
    PALETTE,
    axes_for,
    need_matplotlib,
    with_names,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skfau.metrics import Comparison

_MARKERS = "osD^v"
_PUBLISHED_MARKERS = "x+1234|_"


class ComparisonDisplay:
    """Scores of several systems per AU, each with its interval over subjects.

    A star marks a difference from the first system by the paired test, which tells more
    than the overlap of two intervals. Make the display with `from_comparison`, which
    draws at once; `plot` draws again.

    Parameters
    ----------
    comparison : skfau.metrics.Comparison
        As `skfau.model_selection.compare` or `compare_predictions` returns it.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last `plot`.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    AUScoreDisplay : One system.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skfau.inspection import ComparisonDisplay
    >>> from skfau.metrics import compare_predictions
    >>> y, people = [[1], [0]] * 8, [j // 2 for j in range(16)]
    >>> table = compare_predictions(y, {"a": y, "b": [[1]] * 16}, people, aus=(12,))
    >>> display = ComparisonDisplay.from_comparison(table, ax=Figure().subplots())
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['AU12 lip corner puller', 'mean']
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @classmethod
    def from_comparison(
        cls, comparison: Comparison, *, published: bool = True, ax: Axes | None = None
    ) -> Self:
        """Draw a comparison.

        Parameters
        ----------
        comparison : skfau.metrics.Comparison
            As `skfau.model_selection.compare` returns it.
        published : bool, default=True
            Whether to draw published figures, if the comparison has them.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ComparisonDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_comparison")
        return cls(comparison).plot(ax=ax, published=published)

    def plot(self, ax: Axes | None = None, *, published: bool = True) -> Self:
        """Draw a row per AU and one for the mean, from top to bottom.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        published : bool, default=True
            Whether to draw published figures, if the comparison has them.

        Returns
        -------
        display : ComparisonDisplay
            Self.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        table = self.comparison
        names = with_names(table.index)
        height = 1.4 + len(names) * (0.16 + 0.14 * len(table.scores))
        self.ax_ = axes_for(ax, f"{type(self).__name__}.plot", (8.0, height))
        self.figure_ = self.ax_.figure
        y = np.arange(len(names), dtype=float)
        y[-1] += 0.3  # a gap between the AUs and their mean
        self.ax_.hlines(y[:-1] + 0.5, 0, 1, color=LIGHT_GRAY, linewidth=0.5)
        if table.chance is not None:
            label = 'always "present"'
            ends = (y - 0.45, y + 0.45)
            self.ax_.vlines(table.chance, *ends, LIGHT_GRAY, lw=3, label=label)
        self._draw_systems(y)
        if published:
            self._draw_published(y)
        self.ax_.set_yticks(y, names)
        self.ax_.set(xlim=(0, 1), ylim=(y[-1] + 0.6, -0.6))
        self.ax_.set_xlabel(table.metric.replace("_", " ").replace("f1", "F1"))
        self.ax_.tick_params(axis="y", length=0)
        self.ax_.spines[["top", "right"]].set_visible(False)
        options = {"ncols": 2, "frameon": False, "fontsize": 9}
        self.ax_.legend(loc="lower left", bbox_to_anchor=(0, 1), **options)
        return self

    def _draw_systems(self, y):
        scores, adjusted = self.comparison.scores, self.comparison.adjusted_p_values()
        level = 1 - self.comparison.confidence_level
        offsets = 0.7 * ((np.arange(len(scores)) + 0.5) / len(scores) - 0.5)
        styles = zip(offsets, cycle(PALETTE), cycle(_MARKERS), strict=False)
        for (name, interval), (offset, color, marker) in zip(
            scores.items(), styles, strict=False
        ):
            score, low, high = interval
            self.ax_.hlines(y + offset, low, high, color=color, linewidth=1.5)
            style = {"color": color, "markersize": 4, "label": name, "clip_on": False}
            self.ax_.plot(score, y + offset, marker, **style)
            differs = adjusted.get(name, np.ones(len(y))) < level
            for end, row in zip(high[differs], (y + offset)[differs], strict=True):
                self.ax_.text(end + 0.008, row + 0.1, "*", color=color, size=9)

    def _draw_published(self, y):
        markers = cycle(_PUBLISHED_MARKERS)
        for (name, values), marker in zip(
            self.comparison.published.items(), markers, strict=False
        ):
            label = f"{name}, as printed"
            self.ax_.plot(values, y, marker, color=GRAY, markersize=5, label=label)
