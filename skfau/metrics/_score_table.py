"""A table of per-AU scores to read, print or turn into a DataFrame."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning

from skfau._pandas import import_pandas
from skfau._subjects import as_names, warn_of_overlap
from skfau._validation import check_au_names
from skfau.metrics._bootstrap import bootstrap_ci
from skfau.metrics._counts import au_labels, check_same_shape, nan_mean
from skfau.metrics._ranking import au_average_precision_score, au_roc_auc_score
from skfau.metrics._scores import au_f1_score, au_skew_normalized_f1_score

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class ScoreTable:
    """Scores with one row per AU and a last row ``mean``; ``print`` it.

    Attributes
    ----------
    index : tuple of str
        "AU1", ..., "mean".
    columns : dict of str to ndarray of shape (n_aus + 1,)
        See `score_table`.
    notes : tuple of str
        What the figures leave out: absent AUs, rows without a prediction.
    """

    index: tuple
    columns: dict
    notes: tuple

    def to_frame(self) -> DataFrame:
        """Return a :class:`pandas.DataFrame` of the columns, AUs as its index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pd = import_pandas("to_frame")
        return pd.DataFrame(self.columns, index=pd.Index(self.index, name="AU"))

    def __repr__(self):
        cells = [["", *self.index]]
        for name, values in self.columns.items():
            cells.append([name, *(_text(name, value) for value in values)])
        widths = [max(map(len, column)) for column in cells]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
            for row in zip(*cells, strict=True)
        ]
        return "\n".join([*lines, *self.notes])


def _text(name, value):
    if np.isnan(value):
        return "-"
    return f"{value:.0f}" if name.startswith("n_") else f"{value:.3f}"


def score_table(
    y_true: ArrayLike,
    y_pred: ArrayLike | None = None,
    aus: Sequence[int] | None = None,
    *,
    y_proba: ArrayLike | None = None,
    subjects: ArrayLike | None = None,
    train_subjects: Collection[str] = (),
    n_resamples: int = 1000,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
) -> ScoreTable:
    """Tabulate the scores of every AU, and F1 of always predicting "present".

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels in {0, 1, NaN}.
    y_pred : array-like of shape (n_samples, n_aus), default=None
        (Out-of-fold) predictions in {0, 1, NaN}; None cuts `y_proba` at 0.5.
    aus : sequence of int, default=None
        AU of every column; None numbers the columns.
    y_proba : array-like of shape (n_samples, n_aus), default=None
        Adds ``roc_auc`` and ``average_precision``.
    subjects : array-like of shape (n_samples,), default=None
        Adds ``f1_low`` and ``f1_high``, the 95 % interval of `bootstrap_ci`.
    train_subjects : collection of str, default=()
        Names of the subjects that the classifier was trained on, or its
        ``train_subjects_``: predictions do not tell. Not for out-of-fold ones.
    n_resamples : int, default=1000
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    table : ScoreTable
        Columns ``f1``, ``f1_low``, ``f1_high``, ``f1_chance`` (``2 r / (1 + r)``, all
        predicted 1, at the rate r), ``f1_skew_normalized``, ``roc_auc``,
        ``average_precision``, ``rate``, ``n_known``; a note on AUs without positives.

    Raises
    ------
    LabelError
        As `au_f1_score`, or if `aus` does not fit the columns.

    Warns
    -----
    SubjectOverlapWarning
        If `subjects` has some of `train_subjects`.

    Examples
    --------
    >>> from skfau.metrics import score_table
    >>> y_true = [[1, 0], [1, 1], [0, 1], [0, float("nan")]]
    >>> print(score_table(y_true, [[1, 1]] * 4, aus=(1, 12)))
             f1  f1_chance  f1_skew_normalized   rate  n_known
     AU1  0.667      0.667               0.667  0.500        4
    AU12  0.800      0.800               0.667  0.667        3
    mean  0.733      0.733               0.667  0.583        7
    """
    y_true, y_pred, y_proba = _check(y_true, y_pred, y_proba, aus)
    index = au_labels(aus, y_true.shape[1])
    if subjects is not None:
        warn_of_overlap(as_names(subjects), as_names(list(train_subjects)))
    with warnings.catch_warnings():
        # Do not warn of undefined scores: the notes name these AUs.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        columns = _scores(y_true, y_pred) | _ranking(y_true, y_proba)
        columns |= _intervals(y_true, y_pred, subjects, n_resamples, random_state)
    columns |= _counts(y_true, y_pred)
    ordered = {n: columns[n] for n in _ORDER if n in columns}
    return ScoreTable((*index, "mean"), ordered, _notes(index, columns, y_pred))


def _check(y_true, y_pred, y_proba, aus):
    """Return all three as arrays, with the same AUs in their columns."""
    if y_pred is None and y_proba is None:
        raise TypeError("score_table needs y_pred or y_proba; got neither.")
    given = {"y": y_true, "y_pred": y_pred, "y_proba": y_proba}
    for name, values in given.items():
        check_au_names(values, aus, "aus=", name)
    if y_proba is not None:
        _, y_proba = check_same_shape(y_true, y_proba, "y_proba")
    if y_pred is None:
        y_pred = np.where(np.isnan(y_proba), np.nan, y_proba >= 0.5)
    return *check_same_shape(y_true, y_pred, "y_pred"), y_proba


_RANKING = {
    "roc_auc": au_roc_auc_score,
    "average_precision": au_average_precision_score,
}
_ORDER = (
    "f1",
    "f1_low",
    "f1_high",
    "f1_chance",
    "f1_skew_normalized",
    *_RANKING,
    "rate",
    "n_known",
)


def _with_mean(values):
    return np.append(values, nan_mean(values))


def _scores(y_true, y_pred):
    f1 = au_f1_score(y_true, y_pred, average=None)
    normalized = au_skew_normalized_f1_score(y_true, y_pred, average=None)
    everywhere = np.where(np.isnan(y_pred), np.nan, 1.0)
    chance = au_f1_score(y_true, everywhere, average=None)
    return {
        "f1": _with_mean(f1),
        "f1_chance": _with_mean(chance),
        "f1_skew_normalized": _with_mean(normalized),
    }


def _ranking(y_true, y_proba):
    if y_proba is None:
        return {}
    return {
        name: _with_mean(score(y_true, y_proba, average=None))
        for name, score in _RANKING.items()
    }


def _intervals(y_true, y_pred, subjects, n_resamples, random_state):
    """Return intervals per AU and of the mean; equal seeds draw equal resamples."""
    if subjects is None:
        return {}
    options = {"n_resamples": n_resamples, "random_state": random_state}
    per_au = bootstrap_ci("f1", y_true, y_pred, subjects, average=None, **options)
    mean = bootstrap_ci("f1", y_true, y_pred, subjects, **options)
    return {
        "f1_low": np.append(per_au.low, mean.low),
        "f1_high": np.append(per_au.high, mean.high),
    }


def _counts(y_true, y_pred):
    scored = ~np.isnan(y_pred)
    n_known = np.sum(scored & ~np.isnan(y_true), axis=0)
    n_positive = np.sum(scored & (y_true == 1), axis=0)
    rate = np.full(len(n_known), np.nan)
    np.divide(n_positive, n_known, out=rate, where=n_known > 0)
    return {
        "rate": _with_mean(rate),
        "n_known": np.append(n_known, n_known.sum()),
    }


def _notes(index, columns, y_pred):
    notes = []
    absent = [au for au, f1 in zip(index, columns["f1"], strict=False) if np.isnan(f1)]
    if absent:
        notes.append(f"{', '.join(absent)}: no known positive, no F1, not in the mean.")
    n_unscored = int(np.sum(np.all(np.isnan(y_pred), axis=1)))
    if n_unscored:
        notes.append(
            f"{n_unscored} of {len(y_pred)} rows have no prediction (no face) and "
            "are not scored."
        )
    return tuple(notes)
