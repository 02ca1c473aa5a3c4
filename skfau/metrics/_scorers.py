"""Scorers for ``scoring=``: callables ``(estimator, X, y)`` that take NaN labels."""

from __future__ import annotations

from typing import Literal

import numpy as np

from skfau._single_au import as_columns, au_columns
from skfau._subjects import warn_of_training_subjects
from skfau._unwrap import find_aus
from skfau._validation import check_au_names
from skfau.metrics._counts import au_labels, check_rules, nan_mean
from skfau.metrics._registry import get_metric


class AUScorer:
    """Callable that scores a fitted estimator; made by `au_scorer`.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``predict`` or ``predict_proba`` of shape (n_samples, n_aus).
    X : Faces or array
        What the estimator takes.
    y : array-like of shape (n_samples, n_aus) or (n_samples,)
        Labels in {0, 1, NaN}.

    Returns
    -------
    score : float or dict
        A float, or with ``average=None`` ``{"AU1": ..., "mean": ...}``.

    Notes
    -----
    It warns (`SubjectOverlapWarning`) of rows whose subjects were in training: folds of
    rows give such, and scores of training rows (``return_train_score``,
    `learning_curve`), where you ignore the category. A chain of one's own needs faces
    in its first steps for that: a classifier of bare arrays knows nobody.

    This is a plain callable because scikit-learn's own scorer objects ask for metadata
    routing requests, and its built-in scores refuse NaN labels.
    """

    def __init__(self, metric, average, absent):
        self.metric = metric
        self.average = average
        self.absent = absent

    @property
    def __name__(self):
        """Name of the score, which scikit-learn's displays write at their axes."""
        return self.metric

    def __repr__(self):
        return (
            f"au_scorer({self.metric!r}, average={self.average!r}, "
            f"absent={self.absent!r})"
        )

    def __call__(self, estimator, X, y):
        metric = get_metric(self.metric)
        function, response = metric.function, metric.response
        aus, y = find_aus(estimator), as_columns(y)
        check_au_names(y, aus, "the classifier")
        warn_of_training_subjects(estimator, X)
        output = _respond(estimator, X, response, np.shape(y)[1])
        if self.average is not None:
            return function(y, output, average=self.average, absent=self.absent)
        values = function(y, output, average=None, absent=self.absent)
        names = au_labels(aus, len(values))
        scores = dict(zip(names, values.tolist(), strict=True))
        return {**scores, "mean": float(nan_mean(values))}


def _respond(estimator, X, response, n_aus):
    output = au_columns(estimator, getattr(estimator, response)(X), n_aus)
    if isinstance(output, list) or np.ndim(output) != 2:
        raise TypeError(
            f"{type(estimator).__name__}.{response} must return one array of shape "
            f"(n_samples, n_aus), got {type(output).__name__} of shape "
            f"{np.shape(output)}"
        )
    return np.asarray(output)


def au_scorer(
    metric: Literal[
        "f1", "skew_normalized_f1", "accuracy", "roc_auc", "average_precision"
    ] = "f1",
    *,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
) -> AUScorer:
    """Make a scorer for ``scoring=`` from one of this module's scores.

    Works in ``cross_validate``, ``cross_val_score``, ``GridSearchCV`` and
    ``permutation_importance`` with unknown labels in ``y``, in pipelines, with
    ``n_jobs`` and with metadata routing on or off. Rows without a face (NaN
    predictions) are not scored. All others count alike: leave ``scoring=`` out to
    score with ``sample_weight``.

    Parameters
    ----------
    metric : {"f1", "skew_normalized_f1", "accuracy", "roc_auc", \
"average_precision"}, default="f1"
        The first three score ``predict``, the others ``predict_proba``.
    average : {"macro", "pooled", None}, default="macro"
        With None the scorer returns a dict: ``cross_validate`` makes columns
        ``test_AU1``, ..., ``test_mean`` of it and ``GridSearchCV`` needs
        ``refit="mean"``. AUs are named by ``aus_`` of the estimator, or of the
        classifier inside a pipeline, search or other meta-estimator.
    absent : {"skip", "zero", "error"}, default="skip"
        Score of an AU without positives in a fold; see `au_f1_score`.

    Returns
    -------
    scorer : AUScorer
        Callable ``(estimator, X, y)``; pickles and has no state.

    Raises
    ------
    ValueError
        If a parameter has another value.

    Examples
    --------
    >>> from skfau.metrics import au_scorer
    >>> au_scorer("roc_auc", absent="error")
    au_scorer('roc_auc', average='macro', absent='error')
    """
    get_metric(metric)
    check_rules(average, absent)
    return AUScorer(metric, average, absent)


#: For ``scoring=``: the mean F1 of all AUs.
f1_scorer = au_scorer("f1")
#: For ``scoring=`` of ``cross_validate``: the F1 of every AU, and their mean.
per_au_f1_scorer = au_scorer("f1", average=None)
