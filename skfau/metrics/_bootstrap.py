"""Confidence intervals that resample subjects, not frames."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning

from skfau._progress import Progress
from skfau._random import as_generator
from skfau.metrics._counts import (
    check_rules,
    check_same_shape,
    confusion,
    nan_mean,
    rows_by_group,
)
from skfau.metrics._registry import get_metric

_MAX_PAIRED = 500


class BootstrapInterval(NamedTuple):
    """A score and its confidence interval over subjects.

    Attributes
    ----------
    estimate : float or ndarray of shape (n_aus,)
        The score of all rows (with a baseline: the difference of scores).
    low, high : float or ndarray of shape (n_aus,)
        Ends of the interval.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import bootstrap_ci
    >>> rng = np.random.default_rng(0)
    >>> subjects = np.repeat(np.arange(10), 50)
    >>> y_true = (rng.random((500, 2)) < 0.3).astype(float)
    >>> y_pred = np.where(rng.random((500, 2)) < 0.2, 1 - y_true, y_true)
    >>> score, low, high = bootstrap_ci("f1", y_true, y_pred, subjects, random_state=0)
    >>> bool(low < score < high)
    True
    """

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


def bootstrap_ci(
    metric: str | Callable[..., Any],
    y_true: ArrayLike,
    y_pred: ArrayLike,
    subjects: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
    verbose: bool = False,
) -> BootstrapInterval:
    """Percentile interval of a score under resampling of subjects.

    A resample draws subjects, each with all its frames. Frames of one subject are
    alike, so resampled frames would give intervals that are far too narrow. F1 (either
    kind) and accuracy need only confusion counts per subject, and the area under the
    ROC curve of up to 500 subjects only pairs of them: more resamples cost next to
    nothing. Other metrics are computed again for every resample.

    Parameters
    ----------
    metric : str or callable
        "f1", "skew_normalized_f1", "accuracy", "roc_auc", "average_precision" or
        ``metric(y_true, y_pred) -> float or array`` (`average`, `absent` unused).
    y_true, y_pred : array-like of shape (n_samples, n_aus)
        Labels, and predictions or scores as the metric takes them.
    subjects : array-like of shape (n_samples,)
        Subject of every row.
    baseline : array-like of shape (n_samples, n_aus), default=None
        Predictions of another system: the interval is of the difference on the same
        resamples, over entries that are NaN in neither. Holding 0, it shows no gain.
    average : {"macro", "pooled", None}, default="macro"
    absent : {"skip", "zero", "error"}, default="skip"
        As in `au_f1_score`; "error" refers to all rows together, not to resamples.
    n_resamples : int, default=1000
    confidence_level : float, default=0.95
    random_state : int, RandomState, Generator or None, default=None
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    interval : BootstrapInterval
        ``(estimate, low, high)``: floats, or (n_aus,) arrays if ``average=None``.

    Raises
    ------
    ValueError
        If there are fewer than two subjects, or a parameter is out of range.
    """
    check_rules(average, absent)
    y_true, y_pred, baseline = common_entries(y_true, y_pred, baseline)
    rows_of = rows_by_subject(subjects, len(y_true))
    weights = subject_weights(len(rows_of), n_resamples, random_state)
    score = Resampler(metric, average, absent, y_true, rows_of, weights, verbose)
    estimate, values = score(y_pred)
    if baseline is not None:
        others = score(baseline)
        estimate, values = estimate - others[0], values - others[1]
    return BootstrapInterval(estimate, *percentiles(values, confidence_level))


def common_entries(y_true, y_pred, baseline):
    """Return all three as arrays; labels are NaN where a prediction is NaN."""
    y_true, y_pred = check_same_shape(y_true, y_pred, "y_pred")
    if baseline is None:
        return y_true, y_pred, None
    _, baseline = check_same_shape(y_true, baseline, "baseline")
    unknown = np.isnan(y_pred) | np.isnan(baseline)
    return np.where(unknown, np.nan, y_true), y_pred, baseline


def percentiles(values, confidence_level):
    """Return the ends of the interval that holds that share of the resampled values."""
    if not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level must be in (0, 1), got {confidence_level!r}"
        )
    tail = (1 - confidence_level) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        ends = np.nanquantile(values, [tail, 1 - tail], axis=0)
    return ends.tolist() if ends.ndim == 1 else ends


def rows_by_subject(subjects, n_samples):
    """List the row numbers of every subject; at least two subjects."""
    names, rows_of = rows_by_group(subjects, n_samples)
    if len(names) < 2:
        raise ValueError(
            f"a bootstrap over subjects needs at least 2 of them, got {len(names)} "
            f"({', '.join(map(str, names))}); one person's spread says nothing "
            "about other people"
        )
    return rows_of


def subject_weights(n_subjects, n_resamples, random_state):
    """How often each resample draws each subject, (n_resamples, n_subjects)."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples!r}")
    chances = np.full(n_subjects, 1 / n_subjects)
    return as_generator(random_state).multinomial(n_subjects, chances, size=n_resamples)


class Resampler:
    """Score predictions on all rows, and on every resample of the subjects."""

    def __init__(
        self, metric, average, absent, y_true, rows_of, weights, verbose=False
    ):
        self.average, self.absent, self.verbose = average, absent, verbose
        self.y_true, self.rows_of, self.weights = y_true, rows_of, weights
        self.kernel = self.of_pairs = None
        self.of_rows = self.of_resample = metric
        if not callable(metric):
            function, self.kernel, _, of_pairs = get_metric(metric)
            # Pairs of more subjects cost more than resampled rows.
            self.of_pairs = of_pairs if len(rows_of) <= _MAX_PAIRED else None
            self.of_rows = partial(function, average=average, absent=absent)
            softened = "skip" if absent == "error" else absent
            self.of_resample = partial(function, average=average, absent=softened)

    def __call__(self, y_pred):
        """Return the score of all rows and the array of scores of the resamples."""
        estimate = self.of_rows(self.y_true, y_pred)
        if self.kernel is not None:
            return estimate, self._from_counts(y_pred)
        if self.of_pairs is not None:
            return estimate, self._from_pairs(np.asarray(y_pred))
        with warnings.catch_warnings():
            # Do not warn about a single resample: all rows have been reported on.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return estimate, self._from_rows(y_pred)

    def _from_counts(self, y_pred):
        counts = [confusion(self.y_true[rows], y_pred[rows]) for rows in self.rows_of]
        # Float64 keeps these whole numbers exact, and BLAS multiplies it.
        weights, counts = self.weights.astype(np.float64), np.stack(counts, dtype=float)
        counts = np.tensordot(weights, counts, axes=1)
        if self.average == "pooled":
            counts = counts.sum(axis=-1, keepdims=True)
        return self._averaged(self.kernel(counts), counts.sum(axis=1))

    def _from_pairs(self, y_pred):
        subjects = np.empty(len(y_pred), np.intp)
        for number, rows in enumerate(self.rows_of):
            subjects[rows] = number
        y_true = self.y_true
        if self.average == "pooled":
            subjects = np.repeat(subjects, y_pred.shape[1])
            y_true, y_pred = y_true.reshape(-1, 1), y_pred.reshape(-1, 1)
        columns = zip(y_true.T, y_pred.T, strict=True)
        scored = []
        with self._progress(y_true.shape[1], "AUs") as progress:
            for pair in columns:
                scored.append(self.of_pairs(*pair, subjects, self.weights))
                progress.update()
        return self._averaged(*np.stack(scored, axis=-1))

    def _progress(self, total, unit):
        return Progress("Resampling subjects", total, unit, __name__, self.verbose)

    def _averaged(self, values, n_known):
        if self.absent == "zero":
            values = np.where(np.isnan(values) & (n_known > 0), 0.0, values)
        return values if self.average is None else nan_mean(values, axis=-1)

    def _from_rows(self, y_pred):
        values = []
        with self._progress(len(self.weights), "resamples") as progress:
            for times in self.weights:
                pairs = zip(self.rows_of, times, strict=True)
                rows = np.concatenate([np.tile(r, t) for r, t in pairs])
                values.append(self.of_resample(self.y_true[rows], y_pred[rows]))
                progress.update()
        return np.array(values, dtype=np.float64)
