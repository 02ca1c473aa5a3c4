"""`compare_predictions`: systems scored on the same faces, and tested in pairs."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning

from skfau._columns import names_of
from skfau._validation import check_au_labels, check_au_names
from skfau.facs import DATASET_AUS
from skfau.metrics._bootstrap import (
    BootstrapInterval,
    Resampler,
    percentiles,
    rows_by_subject,
    subject_weights,
)
from skfau.metrics._comparison_table import LEVEL, Comparison
from skfau.metrics._counts import au_labels, check_same_shape, nan_mean
from skfau.metrics._paired_tests import paired_bootstrap
from skfau.metrics._registry import get_metric

_PUBLISHED = ("f1", "accuracy")
_HAVE_CHANCE = ("f1", "skew_normalized_f1")
# A test at 5 % over 12 subjects calls one of two equal systems better in 8 % of trials.
_FEW_SUBJECTS = 12


def compare_predictions(
    y_true: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    subjects: ArrayLike,
    *,
    aus: Sequence[int] | None = None,
    metric: str = "f1",
    published: str | ArrayLike | None = None,
    n_resamples: int = 10_000,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
    verbose: bool = False,
) -> Comparison:
    """Tabulate the scores of several systems on the same faces, and test them in pairs.

    The predictions may come from anywhere; `skfau.model_selection.compare` makes them,
    too. Entries that one system does not predict are left out for all.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels in {0, 1, NaN}.
    predictions : dict of str to array-like of shape (n_samples, n_aus)
        (Out-of-fold) predictions of each system, or scores, as the metric takes them;
        NaN without a face. Marks show differences from the first system.
    subjects : array-like of shape (n_samples,)
        Subject of every row.
    aus : sequence of int, default=None
        AU of every column; None numbers the columns.
    metric : str, default="f1"
        Name of a score, as in `bootstrap_ci`.
    published : str or structured array, default=None
        Figures of papers to print as well: rows of `skfau.datasets.published_results`,
        or a data set, for those that papers report of their own systems.
    n_resamples : int, default=10000
    random_state : int, RandomState, Generator or None, default=None
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    comparison : Comparison

    Raises
    ------
    LabelError, TypeError, ValueError
        If shapes, labels, names or parameters are not as described.

    Examples
    --------
    >>> from skfau.metrics import compare_predictions
    >>> y, people = [[1], [0]] * 8, [j // 2 for j in range(16)]
    >>> table = compare_predictions(y, {"a": y, "b": [[1]] * 16}, people)
    >>> table.differences["a", "b"].difference.round(3)
    array([0.333, 0.333])
    """
    y_true, predictions = _check_predictions(y_true, predictions, aus)
    index = (*au_labels(aus, y_true.shape[1]), "mean")
    rows_of = rows_by_subject(subjects, len(y_true))
    weights = subject_weights(len(rows_of), n_resamples, random_state)
    how = y_true, predictions, rows_of, weights, verbose
    table = _tabulate(index, metric, published, *how)
    return Comparison(
        **table, y_true=y_true, predictions=predictions, subjects=names_of(subjects)[0]
    )


def _tabulate(index, metric, published, y_true, predictions, people, weights, verbose):
    unscored = np.any([np.isnan(p) for p in predictions.values()], axis=0)
    y_scored = np.where(unscored, np.nan, y_true)
    # Check the published figures first: the resamples take long.
    published_columns(published, metric, index)
    score = Resampler(metric, None, "skip", y_scored, people, weights, verbose)
    with warnings.catch_warnings():
        # Do not warn of undefined scores: the notes name these AUs.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        scored = {name: _with_mean(*score(p)) for name, p in predictions.items()}
        chance = _chance(metric, y_scored)
    undefined = np.isnan(next(iter(scored.values()))[0])
    absent = [au for au, missing in zip(index, undefined, strict=True) if missing]
    printed = published_columns(published, metric, index, {*index[:-1]} - {*absent})
    return {
        "index": index,
        "metric": metric,
        "scores": {
            name: BootstrapInterval(estimate, *percentiles(values, LEVEL))
            for name, (estimate, values) in scored.items()
        },
        "differences": {
            (name, other): paired_bootstrap(scored[name], scored[other], LEVEL)
            for name, other in itertools.permutations(scored, 2)
        },
        "chance": chance,
        "published": printed,
        "notes": tuple(_notes(absent, unscored, printed, len(scored) - 1, weights)),
    }


def _check_predictions(y_true, predictions, aus):
    if not isinstance(predictions, dict) or not predictions:
        raise TypeError(
            "predictions must be a dict with a name for each array, "
            f"{{'mine': y_pred}}, got {type(predictions).__name__} of length "
            f"{len(predictions)}"
        )
    check_au_names(y_true, aus, "aus=")
    checked = {}
    for name, values in predictions.items():
        check_au_names(values, aus, "aus=", repr(name))
        labels, checked[name] = check_same_shape(y_true, values, repr(name))
    return check_au_labels(labels), checked


def _with_mean(estimate, values):
    """Append the mean over AUs to the scores of all rows and of every resample."""
    means = nan_mean(values, axis=1)[:, None]
    return np.append(estimate, nan_mean(estimate)), np.hstack([values, means])


def _chance(metric, y_scored):
    if metric not in _HAVE_CHANCE:
        return None
    score = get_metric(metric).function
    per_au = score(y_scored, np.ones_like(y_scored), average=None)
    return np.append(per_au, nan_mean(per_au))


def _notes(absent, unscored, printed, n_others, weights):
    n_resamples, n_subjects = weights.shape
    if n_subjects < _FEW_SUBJECTS:
        yield f"{n_subjects} subjects are few: intervals too narrow, marks too many."
    n_tests = n_others * (unscored.shape[1] - len(absent))
    if 2 * n_tests / (n_resamples + 1) >= 1 - LEVEL:
        yield (
            f"{n_resamples} resamples are too few to mark one of {n_tests} differences "
            "of AUs; raise n_resamples."
        )
    if absent:
        yield f"{', '.join(absent)}: too few known labels; not in the mean."
    n_unscored = int(np.sum(unscored.all(axis=1)))
    if n_unscored:
        yield (
            f"{n_unscored} of {len(unscored)} rows lack a prediction of at least one "
            "system (no face, or in no fold) and are scored for none."
        )
    if printed:
        yield (
            "Right of |: as papers print it, averaged over folds; a mean over other "
            "AUs is left out."
        )


def check_options(options, aus, n_aus):
    """Refuse options of `compare_predictions` before anything long is computed.

    Parameters
    ----------
    options : dict
        Of its parameters `metric`, `published`, `n_resamples`, `random_state`.
    aus : sequence of int or None
        As in `compare_predictions`.
    n_aus : int
        Number of columns.
    """
    unknown = set(options) - {"metric", "published", "n_resamples", "random_state"}
    if unknown:
        raise TypeError(f"got an unexpected keyword argument {unknown.pop()!r}")
    metric = options.get("metric", "f1")
    get_metric(metric)
    index = (*au_labels(aus, n_aus), "mean")
    published_columns(options.get("published"), metric, index)


def published_columns(published, metric, index, defined=None):
    """Return the columns that a comparison shows beside its own.

    Parameters
    ----------
    published : str, structured array or None
        As `compare_predictions` takes it.
    metric : str
        Of the comparison.
    index : tuple of str
        "AU1", ..., "mean".
    defined : set of str, default=None
        AUs in the comparison's own mean; None means all.

    Returns
    -------
    columns : dict of str to ndarray of shape (n_aus + 1,)
        In [0, 1]. The mean is NaN if it is over other AUs, because means over different
        AUs cannot be compared.
    """
    if published is None:
        return {}
    if metric not in _PUBLISHED:
        raise ValueError(
            f"papers report {' and '.join(_PUBLISHED)}, not {metric!r}; leave "
            "published out, or choose one of these"
        )
    if index[0].startswith("column"):
        raise ValueError("published figures are per AU: pass aus= to name the columns")
    columns = {}
    for row in _published_rows(published, metric):
        name, source = row["method"], row["source"]
        name = str(name) if name == source else f"{name} ({source})"
        name = f"{name}, Table {row['table']}" if name in columns else name
        columns[name] = _published_column(row, index, defined or set(index[:-1]))
    return columns


def _published_rows(published, metric):
    if isinstance(published, str):
        # Import late: skfau.datasets imports OpenCV, which scores do not need.
        from skfau.datasets import published_results

        rows = published_results(published, metric=metric).data
        rows = rows[(rows["kind"] == "comparison") & ~rows["quoted"]]
    else:
        rows = published
        if "method" not in (getattr(published, "dtype", np.dtype(float)).names or ()):
            raise TypeError(
                "published must be a data set or rows of published_results().data, "
                f"got {type(published).__name__}"
            )
    if not len(rows):
        raise ValueError(
            f"no paper compares {metric} on {published!r}; choose rows of "
            "published_results().data yourself"
        )
    return rows


def _published_column(row, index, defined):
    printed = {name for name in row.dtype.names if name.startswith("AU")}
    printed = {name for name in printed if not np.isnan(row[name])}
    values = [row[name] if name in printed else np.nan for name in index[:-1]]
    # Rows without AUs (ablations) hold the mean over all AUs of their data set.
    meant = printed or {f"AU{au}" for au in DATASET_AUS[row["dataset"]]}
    values.append(row["mean"] if meant == defined else np.nan)
    values = np.array(values) / 100
    # Values over 100 % are misprints: the data keep them with a note, but they are no
    # scores.
    return np.where(values > 1, np.nan, values)
