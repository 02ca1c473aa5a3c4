"""`AUTimelineDisplay`: the probability of every AU along one video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._single_au import as_columns, au_probabilities
from skfau._unwrap import find_having, find_thresholds
from skfau._validation import check_au_labels, check_au_names, check_faces
from skfau.inspection._plotting import (
    BLUE,
    GRAY,
    LIGHT_GRAY,
    ORANGE,
    au_codes,
    axes_for,
    columns_of,
    need_matplotlib,
    with_names,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skfau.faces import Faces

_HEIGHT = 0.8  # of a row; the rest is the gap to the next one
_OVER = {"color": BLUE, "alpha": 0.35, "linewidth": 0}
_PRESENT = {"facecolor": ORANGE, "alpha": 0.45, "linewidth": 0}
_UNKNOWN = {"facecolor": LIGHT_GRAY, "alpha": 0.6, "linewidth": 0}


class AUTimelineDisplay:
    """Probability of every AU over the frames of a video, a row per AU.

    Make it with `from_estimator` or `from_predictions`; they draw at once, and
    `plot` draws again from the stored arrays.

    Parameters
    ----------
    frames : ndarray of shape (n_points,), dtype int or float
        Frame numbers, rising.
    probabilities : ndarray of shape (n_points, n_aus), dtype float32
        In [0, 1]; NaN where there is no face, or no frame: a gap.
    aus : tuple of int
        AU number of every column.
    occurrence : ndarray of shape (n_points, n_aus), dtype float32 or None, default=None
        True labels: 1, 0, or NaN where unknown.
    thresholds : ndarray of shape (n_aus,), dtype float64 or None, default=None
        Probability from which an AU counts as present.
    title : str, default=""
        Name of the video.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last `plot`.
    figure_ : matplotlib Figure
        Their figure.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skfau.inspection import AUTimelineDisplay
    >>> y_proba = np.array([[0.1], [0.7], [0.9], [0.2]])
    >>> display = AUTimelineDisplay.from_predictions(
    ...     y_proba, aus=(12,), frames=[1, 2, 3, 8], ax=Figure().subplots())
    >>> display.frames, display.probabilities[:, 0]
    (array([1, 2, 3, 4, 8]), array([0.1, 0.7, 0.9, nan, 0.2], dtype=float32))
    """

    def __init__(
        self,
        frames: NDArray[np.number],
        probabilities: NDArray[np.float32],
        aus: tuple[int, ...],
        *,
        occurrence: NDArray[np.float32] | None = None,
        thresholds: NDArray[np.float64] | None = None,
        title: str = "",
    ) -> None:
        self.frames = frames
        self.probabilities = probabilities
        self.aus = aus
        self.occurrence = occurrence
        self.thresholds = thresholds
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Faces | NDArray[np.uint8],
        y: ArrayLike | None = None,
        *,
        video: Any = None,
        shown: Sequence[int] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Predict the frames of one video and draw them.

        Parameters
        ----------
        estimator : object
            Fitted AU classifier, or a pipeline or search around one. The thresholds
            are its ``thresholds_`` (`AUThresholdClassifier`), or else 0.5.
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces. Without the column ``frame`` rows count as successive frames.
        y : array-like of shape (n_samples, n_aus) or (n_samples,), default=None
            True labels, drawn as bands: 1, 0, or NaN where unknown.
        video : object, default=None
            Value of the column ``video`` whose rows are drawn; None takes all rows.
        shown : sequence of int, default=None
            AUs to draw; None draws all.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AUTimelineDisplay

        Raises
        ------
        TypeError
            If there is no fitted AU classifier in `estimator`.
        MissingColumnError
            If `video` is given and `X` has no such column.
        ValueError
            If there is no such video, or the rows are of several.
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_estimator")
        model, _ = find_having(estimator, "aus_")
        faces = check_faces(X, need=() if video is None else ("video",))
        rows, title = _rows_of_video(faces, video)
        y = None if y is None else as_columns(y)
        check_au_names(y, model.aus_, "the classifier")
        y = None if y is None else check_au_labels(y, len(faces))[rows]
        return cls.from_predictions(
            au_probabilities(estimator, faces[rows], len(model.aus_)),
            model.aus_,
            frames=None if faces.frame is None else faces.frame[rows],
            y=y,
            thresholds=find_thresholds(estimator),
            title=title,
            shown=shown,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_proba: ArrayLike,
        aus: Sequence[int],
        *,
        frames: ArrayLike | None = None,
        y: ArrayLike | None = None,
        thresholds: float | ArrayLike | None = None,
        title: str = "",
        shown: Sequence[int] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw probabilities that are computed already, for instance out of fold.

        Parameters
        ----------
        y_proba : array-like of shape (n_frames, n_aus)
            In [0, 1]; NaN in rows without a face.
        aus : sequence of int
            AU number of every column.
        frames : array-like of shape (n_frames,), default=None
            Frame numbers in any order; None counts from 0. A step of more than 1.5
            times the median one breaks the line.
        y : array-like of shape (n_frames, n_aus), default=None
            True labels, drawn as bands: 1, 0, or NaN where unknown.
        thresholds : float or array-like of shape (n_aus,), default=None
            Probability from which an AU counts as present; None draws none.
        title : str, default=""
            Name of the video.
        shown : sequence of int, default=None
            AUs to draw; None draws all.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : AUTimelineDisplay

        Raises
        ------
        ValueError
            If shapes do not fit, values are no probabilities, or a frame comes twice.
        ImportError
            If matplotlib is not installed.
        """
        need_matplotlib(f"{cls.__name__}.from_predictions")
        y_proba, aus = _check_probabilities(y_proba, len(aus)), tuple(aus)
        order, frames, gaps = _in_order(frames, len(y_proba))
        if y is not None:
            check_au_names(y, aus, "aus=")
            y = check_au_labels(y, *y_proba.shape)
            y = np.insert(y[order], gaps, np.nan, axis=0)
        if thresholds is not None:
            thresholds = np.broadcast_to(np.asarray(thresholds, float), len(aus))
        y_proba = np.insert(y_proba[order], gaps, np.nan, axis=0)
        more = {"occurrence": y, "thresholds": thresholds, "title": title}
        display = cls(frames, y_proba, aus, **more)
        return display.plot(ax=ax, shown=shown)

    def plot(
        self, ax: Axes | None = None, *, shown: Sequence[int] | None = None
    ) -> Self:
        """Draw a row per AU, from probability 0 to 1.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        shown : sequence of int, default=None
            AUs to draw, from top to bottom; None draws all.

        Returns
        -------
        display : AUTimelineDisplay
            Self.

        Raises
        ------
        ValueError
            If an AU is not in the display.
        ImportError
            If matplotlib is not installed.
        """
        columns = columns_of(shown, self.aus)
        caller = f"{type(self).__name__}.plot"
        self.ax_ = axes_for(ax, caller, (9.0, 1.2 + 0.48 * len(columns)))
        self.figure_ = self.ax_.figure
        bases = np.arange(len(columns))[::-1]
        for base, column in zip(bases, columns, strict=True):
            self._draw_row(base, column)
        names = with_names(au_codes(self.aus[column] for column in columns))
        self.ax_.set_yticks(bases + _HEIGHT / 2, names)
        self.ax_.tick_params(axis="y", length=0)
        self.ax_.spines[["top", "right", "left"]].set_visible(False)
        margin = _usual_step(self.frames) / 2
        self.ax_.set(
            xlabel="frame",
            xlim=(self.frames[0] - margin, self.frames[-1] + margin),
            ylim=(-0.1, len(columns)),
        )
        self.ax_.locator_params(axis="x", integer=True)
        self.ax_.set_title(self.title, loc="left")
        self._draw_legend()
        return self

    def _draw_row(self, base, column):
        ax, step = self.ax_, _usual_step(self.frames)
        values = self.probabilities[:, column]
        curve = base + _HEIGHT * values
        for level in (0, 1):
            ax.axhline(base + _HEIGHT * level, color=LIGHT_GRAY, lw=0.6)
            ax.annotate(
                str(level),
                (1.005, base + _HEIGHT * level),
                xycoords=("axes fraction", "data"),
                va="center",
                size=7,
                color=GRAY,
            )
        if self.occurrence is not None:
            labels = self.occurrence[:, column]
            unknown = np.isnan(labels) & ~np.isnan(values)
            for mask, style in ((labels == 1, _PRESENT), (unknown, _UNKNOWN)):
                runs = _spans(self.frames, mask, step)
                ax.broken_barh(runs, (base, _HEIGHT), **style)
        if self.thresholds is not None:
            cut = np.full(len(values), base + _HEIGHT * self.thresholds[column])
            over = curve >= cut
            ax.plot(self.frames, cut, color=GRAY, lw=0.8, ls=(0, (4, 3)))
            ax.fill_between(self.frames, cut, curve, over, interpolate=True, **_OVER)
        ax.plot(self.frames, curve, color=BLUE, lw=1.3)
        single = _isolated(values)
        ax.plot(self.frames[single], curve[single], ".", color=BLUE, ms=4)

    def _draw_legend(self):
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        entries = [Line2D([], [], color=BLUE, label="probability")]
        if self.thresholds is not None:
            line = Line2D([], [], color=GRAY, ls=(0, (4, 3)), label="threshold")
            entries.append(line)
        if self.occurrence is not None:
            entries.append(Patch(label="AU occurs", **_PRESENT))
            if np.any(np.isnan(self.occurrence) & ~np.isnan(self.probabilities)):
                entries.append(Patch(label="label unknown", **_UNKNOWN))
        self.ax_.legend(
            handles=entries,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(entries),
            frameon=False,
            fontsize=9,
        )


def _check_probabilities(y_proba, n_aus):
    y_proba = np.asarray(y_proba, dtype=np.float32)
    if y_proba.ndim != 2 or y_proba.shape[1] != n_aus or not len(y_proba):
        raise ValueError(
            f"y_proba must have shape (n_frames, {n_aus}) for {n_aus} AUs and at "
            f"least one frame, got {y_proba.shape}."
        )
    # Values outside [0, 1], such as logits, would be drawn into the row of another AU.
    if np.any((y_proba < 0) | (y_proba > 1)):
        raise ValueError(
            f"y_proba must be in [0, 1], got {np.nanmin(y_proba)} to "
            f"{np.nanmax(y_proba)}; put logits through a sigmoid first."
        )
    return y_proba


def _rows_of_video(faces, video):
    """Return the rows of one video, and its name as a title."""
    rows = np.arange(len(faces))
    if video is not None:
        rows = np.flatnonzero(faces.video == video)
        if not len(rows):
            known = ", ".join(map(repr, np.unique(faces.video)[:8].tolist()))
            raise ValueError(f"X has no video {video!r}; there are {known}, ...")
    names = [
        [str(value) for value in faces.column(name, rows)]
        for name in ("subject", "video")
        if name in faces.columns
    ]
    recordings = sorted(set(zip(*names, strict=True)))
    if len(recordings) > 1:
        listed = ", ".join(" ".join(names) for names in recordings[:8])
        raise ValueError(
            f"a timeline needs one video, these rows are of {len(recordings)}: "
            f"{listed}{', ...' if len(recordings) > 8 else ''}. Pass video=..., or "
            "only the rows of one."
        )
    title = recordings[0] if recordings else ("",)
    # The subject is left out if the name of the video holds it.
    return rows, title[-1] if title[0] in title[-1] else " ".join(title)


def _in_order(frames, n_frames):
    """Sort frame numbers and insert the first missing one of every gap.

    Parameters
    ----------
    frames : array-like of shape (n_frames,) or None
        In any order; None counts from 0.
    n_frames : int
        Their number.

    Returns
    -------
    order : ndarray of shape (n_frames,)
        Rows by frame number.
    numbers : ndarray of shape (n_frames + n_gaps,)
        Rising.
    gaps : ndarray of shape (n_gaps,)
        Positions in `order` for ``np.insert``, which puts one value into each gap.

    Raises
    ------
    ValueError
        If the number of frames differs from that of rows, or a frame is repeated.
    """
    frames = np.arange(n_frames) if frames is None else np.asarray(frames)
    if frames.shape != (n_frames,):
        raise ValueError(
            f"frames must have one number per row of y_proba, shape ({n_frames},), "
            f"got {frames.shape}."
        )
    order = np.argsort(frames, kind="stable")
    frames = frames[order]
    steps = np.diff(frames)
    if np.any(steps == 0):
        twice = frames[np.argmin(steps)]
        raise ValueError(
            f"frame {twice} comes twice: a timeline needs the rows of one video, and "
            "of one person in it."
        )
    step = _usual_step(frames)
    gaps = np.flatnonzero(steps > 1.5 * step) + 1
    return order, np.insert(frames, gaps, frames[gaps - 1] + step), gaps


def _usual_step(frames):
    """Return the median distance between frames, rounded down to one that occurs."""
    return np.quantile(np.diff(frames), 0.5, method="lower") if len(frames) > 1 else 1


def _spans(frames, mask, step):
    """Return (start, width) of the runs of True; a frame is `step` wide."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(int)))
    first, last = frames[edges[::2]], frames[edges[1::2] - 1]
    return list(zip(first - step / 2, last - first + step, strict=True))


def _isolated(values):
    """Return where a value has no neighbour, so that a line would not show it."""
    known = np.r_[False, ~np.isnan(values), False]
    return known[1:-1] & ~known[:-2] & ~known[2:]
