"""`compare`: several estimators on the same folds of subjects."""

import warnings
from dataclasses import replace

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from skfau._validation import check_au_labels
from skfau.metrics import fold_mean_f1
from skfau.model_selection._jobs import (
    check_estimators,
    check_table_options,
    common_aus,
    run_all,
    sort_out,
    tabulate,
)
from skfau.model_selection._out_of_fold import (
    check_once,
    check_subjects_apart,
    keep_names,
    make_splits,
)
from skfau.model_selection._split import subjects_of


def compare(
    estimators,
    X,
    y,
    *,
    groups=None,
    cv=3,
    aus=None,
    n_jobs=None,
    verbose=0,
    error_score=np.nan,
    **table,
):
    """Fit estimators on the same folds; score and test them on the same faces.

    Parameters
    ----------
    estimators : dict of str to classifier
        The others are marked against the first.
    X : Faces or array of shape (n_samples, ...)
    y : array-like of shape (n_samples, n_aus), in {0, 1, NaN}
    groups : array-like of shape (n_samples,), default=None
        Subject of every row; None means ``X.subject``.
    cv : int, splitter or iterable of (train, test), default=3
        An integer means ``SubjectKFold(cv)``; no fold may part a subject.
    aus : sequence of int, default=None
        AU of every column; None asks the estimators (not for `published`).
    n_jobs : int, default=None
    verbose : int, default=0
        Fits at a time, as in joblib; whether to print a line for each.
    error_score : "raise" or nan, default=nan
        Whether a failing estimator ends it all, or is left out with a warning.
    **table : dict
        `metric`, `published`, `n_resamples`, `random_state` of `compare_predictions`.

    Returns
    -------
    comparison : Comparison

    Raises
    ------
    ValueError, RuntimeError
        If subjects are unknown or on both sides of a fold; if all fits fail.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = make_multilabel_classification(90, n_classes=2, random_state=0)
    >>> mlp = MLPClassifier(solver="lbfgs", tol=1)
    >>> compare({"mlp": mlp}, X, y, groups=range(90), aus=(1, 2)).index
    ('AU1', 'AU2', 'mean')
    """
    check_estimators(estimators)
    labels, subjects = check_au_labels(y, n_samples=len(X)), subjects_of(X, groups)
    check_table_options(table, aus, labels.shape[1])
    splits = _check_fair(make_splits(cv, X, labels, groups), labels, subjects)
    parts = [(X, keep_names(y, labels), train, [(X, test)]) for train, test in splits]
    outcomes = run_all(estimators, parts, error_score, n_jobs, verbose)
    return _join(*sort_out(outcomes, estimators), splits, labels, subjects, aus, table)


def _check_fair(splits, y, subjects):
    check_once(splits, len(y))
    check_subjects_apart(splits, subjects, "scores must be of other people")
    return splits


def _join(succeeded, failures, splits, y, subjects, aus, table):
    responses = {}
    for name, outcomes in succeeded.items():
        responses[name] = np.full((2, *y.shape), np.nan, dtype=np.float32)
        for (_, test), outcome in zip(splits, outcomes, strict=True):
            responses[name][:, test] = outcome.responses[0]
    aus = common_aus(succeeded) if aus is None else aus
    joined = tabulate(succeeded, failures, responses, y, subjects, aus, table)
    folds = np.full(len(y), -1)
    for k, (_, test) in enumerate(splits):
        folds[test] = k
    return replace(joined, folds=folds, fold_means=_fold_means(joined, folds))


def _fold_means(joined, folds):
    if joined.metric != "f1":
        return None
    unscored = np.any([np.isnan(p) for p in joined.predictions.values()], axis=0)
    y = np.where(unscored, np.nan, joined.y_true)
    with warnings.catch_warnings():
        # An AU absent from one fold is no news beside the figures of all folds.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return {n: fold_mean_f1(y, p, folds) for n, p in joined.predictions.items()}
