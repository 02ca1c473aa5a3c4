"""`compare_predictions`: systems scored on the same faces, and tested in pairs."""

import itertools
import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from skfau._columns import names_of
from skfau._validation import check_au_labels, check_au_names
from skfau.metrics._bootstrap import (
    BootstrapInterval,
    Resampler,
    percentiles,
    rows_by_subject,
    subject_weights,
)
from skfau.metrics._comparison_table import LEVEL, Comparison
from skfau.metrics._counts import au_labels, check_same_shape, nan_mean
from skfau.metrics._paired_bootstrap import paired_bootstrap
from skfau.metrics._published_columns import published_columns
from skfau.metrics._registry import get_metric

_HAVE_CHANCE = ("f1", "skew_normalized_f1")
# With 12, a test at 5 % calls one of two equal systems better in 8 % of trials.
_FEW_SUBJECTS = 12


def compare_predictions(
    y_true,
    predictions,
    subjects,
    *,
    aus=None,
    metric="f1",
    published=None,
    n_resamples=10_000,
    random_state=None,
):
    """Tabulate the scores of several systems on the same faces, and test them in pairs.

    For predictions of any origin; `skfau.model_selection.compare` makes them first.
    Entries that one system does not predict count for none.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels in {0, 1, NaN}.
    predictions : dict of str to array-like of shape (n_samples, n_aus)
        Systems and their (out-of-fold) predictions, or scores, as the metric takes
        them; NaN without a face. The others are marked against the first.
    subjects : array-like of shape (n_samples,)
        Subject of every row.
    aus : sequence of int, default=None
        AU of every column; None numbers the columns.
    metric : str, default="f1"
        Name of a score, as in `bootstrap_ci`.
    published : str or structured array, default=None
        To print beside it: rows of `skfau.datasets.published_results`, or a data set,
        for what papers report there of their own systems.
    n_resamples : int, default=10000
    random_state : int, RandomState, Generator or None, default=None

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
    table = _tabulate(index, metric, published, y_true, predictions, rows_of, weights)
    return Comparison(
        **table, y_true=y_true, predictions=predictions, subjects=names_of(subjects)[0]
    )


def _tabulate(index, metric, published, y_true, predictions, people, weights):
    unscored = np.any([np.isnan(p) for p in predictions.values()], axis=0)
    y_scored = np.where(unscored, np.nan, y_true)
    # Once before the resamples, which take long, to refuse what it cannot show.
    published_columns(published, metric, index)
    score = Resampler(metric, None, "skip", y_scored, people, weights)
    with warnings.catch_warnings():
        # The notes say it below the table, with the names of the AUs.
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
