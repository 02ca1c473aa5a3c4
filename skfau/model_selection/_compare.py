"""`compare` on folds of subjects, `cross_dataset_scores` on other data sets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch

from skfau._single_au import as_columns, is_vector
from skfau._validation import check_au_labels, check_au_names
from skfau.metrics import fold_mean_f1
from skfau.metrics._comparison import check_options
from skfau.model_selection._jobs import (
    check_estimators,
    common_aus,
    fit_all,
    tabulate,
)
from skfau.model_selection._out_of_fold import (
    check_once,
    check_subjects_apart,
    keep_names,
    make_splits,
)
from skfau.model_selection._split import subjects_of

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from skfau.faces import Faces
    from skfau.metrics import Comparison


def compare(
    estimators: Mapping[str, BaseEstimator],
    X: Faces | ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cv: Any = 3,
    aus: Sequence[int] | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    error_score: Literal["raise"] | float = np.nan,
    **table: Any,
) -> Comparison:
    """Fit estimators on the same folds; score and test them on the same faces.

    Parameters
    ----------
    estimators : dict of str to classifier
        Marks show differences from the first.
    X : Faces or array of shape (n_samples, ...)
    y : array-like of shape (n_samples, n_aus) or (n_samples,), in {0, 1, NaN}
    groups : array-like of shape (n_samples,), default=None
        Subject of every row; None means ``X.subject``.
    cv : int, splitter or iterable of (train, test), default=3
        An integer means ``SubjectKFold(cv)``. Folds must not divide a subject.
    aus : sequence of int, default=None
        AU of every column; None takes those of the estimators, without `published`.
    n_jobs : int, default=None
    verbose : int, default=0
        Fits at the same time, as in joblib; whether to write a line for each, and how
        far the resampling is, to standard error.
    error_score : "raise" or nan, default=nan
        Whether an error is raised, or its estimator left out with a warning.
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
    labels = check_au_labels(as_columns(y), n_samples=len(X))
    subjects = subjects_of(X, groups)
    check_options(table, aus, labels.shape[1])
    splits = _splits_by_subject(cv, X, labels, groups, subjects)
    fits = [(X, keep_names(y, labels), train, [(X, test)]) for train, test in splits]
    results = fit_all(estimators, fits, error_score, n_jobs, verbose)
    table["verbose"] = verbose
    return _join(*results, splits, labels, subjects, aus, table)


def _splits_by_subject(cv, X, y, groups, subjects):
    splits = make_splits(cv, X, y, groups)
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
        # Do not warn about an AU absent from one fold: the scores of all rows have it.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return {n: fold_mean_f1(y, p, folds) for n, p in joined.predictions.items()}


def cross_dataset_scores(
    estimators: Mapping[str, BaseEstimator],
    train: Bunch,
    tests: Mapping[str, Bunch],
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
    error_score: Literal["raise"] | float = np.nan,
    **table: Any,
) -> dict[str, Comparison]:
    """Fit estimators on one data set; compare them on the AUs it shares with others.

    As in Tables III to V of Yang et al., 2023: how much of a score depends on the data.

    Parameters
    ----------
    estimators : dict of str to classifier
        Each is cloned and fitted once, on all of `train`.
    train : Bunch
        With ``data`` (Faces), ``target``, (n_samples, n_aus) or (n_samples,), and
        ``aus``, as from `skfau.datasets.make_faces`.
    tests : dict of str to Bunch
    n_jobs : int, default=None
    verbose : int, default=0
    error_score : "raise" or nan, default=nan
    **table : dict
        As in `compare`.

    Returns
    -------
    comparisons : dict of str to Comparison
        For each data set, on the AUs that it shares with `train`.

    Raises
    ------
    LabelError, TypeError, ValueError
        If a data set is not such a Bunch or shares no AU, or ``aus=`` names others.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import ResNetClassifier
    >>> from skfau.model_selection import cross_dataset_scores
    >>> lab, wild = make_faces(3, 9, (1, 6, 12), 48), make_faces(3, 9, (12, 25, 1), 48)
    >>> a = ResNetClassifier(backbone="tiny", aus=lab.aus, image_size=48, max_epochs=1)
    >>> cross_dataset_scores({"small": a}, lab, {"wild": wild})["wild"].index
    ('AU1', 'AU12', 'mean')
    """
    train = _check_bunch("train", train)
    _check_trained_aus(estimators, train.aus)
    tests = {name: _check_bunch(f"tests[{name!r}]", b) for name, b in tests.items()}
    shared = {name: _shared_aus(train, bunch, name) for name, bunch in tests.items()}
    for aus in shared.values():
        check_options(table, aus, len(aus))
    rows = [(bunch.data, slice(None)) for bunch in tests.values()]
    fit = train.data, train.labels, slice(None), rows
    results = fit_all(estimators, [fit], error_score, n_jobs, verbose)
    table["verbose"] = verbose
    pairs = enumerate(tests.items())
    return {n: _score(k, train, b, shared[n], results, table) for k, (n, b) in pairs}


def _score(k, train, bunch, aus, results, table):
    trained, tested = _columns_of(train.aus, aus), _columns_of(bunch.aus, aus)
    responses = {
        name: [np.asarray(output)[:, trained] for output in outcome.responses[k]]
        for name, (outcome,) in results[0].items()
    }
    y = bunch.target[:, tested]
    return tabulate(*results, responses, y, bunch.subjects, aus, table)


def _check_bunch(name, bunch):
    """Return a Bunch of the checked data, target, labels to fit, aus and subjects."""
    missing = [key for key in ("data", "target", "aus") if not hasattr(bunch, key)]
    if missing:
        raise TypeError(
            f"{name} must be a Bunch with data, target and aus, got "
            f"{type(bunch).__name__} without {', '.join(missing)}; make one as "
            "sklearn.utils.Bunch(data=faces, target=y, aus=(1, 2, 4))"
        )
    aus = tuple(bunch.aus)
    check_au_names(bunch.target, aus, f"{name}.aus")
    target = check_au_labels(as_columns(bunch.target), len(bunch.data), len(aus))
    labels = target[:, 0] if is_vector(bunch.target) else target
    subjects = None if name == "train" else subjects_of(bunch.data)
    return Bunch(
        data=bunch.data, target=target, labels=labels, aus=aus, subjects=subjects
    )


def _check_trained_aus(estimators, aus):
    """Raise if an estimator is set to other AUs than the columns of its labels."""
    check_estimators(estimators)
    for name, estimator in estimators.items():
        for key, value in estimator.get_params().items():
            *owners, last = key.split("__")
            # The classifier in init_from may have other AUs.
            if last != "aus" or "init_from" in owners or value is None:
                continue
            if tuple(value) != aus:
                raise ValueError(
                    f"estimators[{name!r}] has {key}={tuple(value)}, but the data set "
                    f"trained on has {aus}. Call set_params({key}=train.aus)."
                )


def _shared_aus(train, test, name):
    shared = tuple(au for au in train.aus if au in test.aus)
    if not shared:
        raise ValueError(
            f"the data set {name!r} codes none of the AUs trained on: {test.aus} "
            f"against {train.aus}"
        )
    return shared


def _columns_of(aus, chosen):
    return [aus.index(au) for au in chosen]
