"""Fits of several estimators in parallel; one may fail without stopping the others."""

import traceback
from dataclasses import dataclass, replace
from itertools import chain
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.utils.parallel import delayed

from skfau._parallel import run_in_any_order
from skfau._progress import tell
from skfau._single_au import as_columns
from skfau._unwrap import find_aus
from skfau._warn import warn
from skfau.metrics import compare_predictions
from skfau.metrics._registry import get_metric
from skfau.model_selection._out_of_fold import check_response, take_labels


@dataclass
class Outcome:
    """Result of one fit.

    Attributes
    ----------
    name : str
        Of the estimator.
    fold : int
        Number of the fold, from 0.
    responses : list of tuple of ndarray
        Probabilities and predictions for each array of test rows.
    aus : sequence of int or None
        AUs of the fitted estimator; None if it has none.
    seconds : float
        Time of fit and prediction.
    error : str
        Traceback; "" if there was no error.
    """

    name: str
    fold: int
    responses: list
    aus: tuple | None
    seconds: float
    error: str = ""


def check_estimators(estimators):
    """Raise if `estimators` is not a dict of names and estimators."""
    if not isinstance(estimators, dict) or not estimators:
        raise TypeError(
            "estimators must be a dict with a name for each, {'mine': clf}, got "
            f"{type(estimators).__name__}"
        )


def fit_all(estimators, folds, error_score, n_jobs, verbose):
    """Fit every estimator on every fold.

    Parameters
    ----------
    estimators : dict of str to estimator
    folds : list of (X, y, train, tests)
        Data, training rows, and a list of (X, rows) to predict.
    error_score : "raise" or nan
        Whether an error is raised; nan warns and goes on.
    n_jobs : int or None
        As in joblib.
    verbose : int
        Whether to write a line per fit to standard error.

    Returns
    -------
    succeeded : dict of str to list of Outcome
        Estimators that never failed, in the order of `estimators`, and of folds.
    failures : dict of str to str
        The first traceback of each failed estimator.

    Raises
    ------
    RuntimeError
        If all failed.
    """
    outcomes = _outcomes(estimators, folds, error_score, n_jobs, verbose)
    failures, by_name = {}, {name: [] for name in estimators}
    for outcome in sorted(outcomes, key=lambda o: o.fold):
        by_name[outcome.name].append(outcome)
        if outcome.error:
            failures.setdefault(outcome.name, outcome.error)
    if len(failures) == len(estimators):
        name, text = next(iter(failures.items()))
        raise RuntimeError(f"all estimators failed; {name!r} with\n{text}")
    return {n: o for n, o in by_name.items() if n not in failures}, failures


def _outcomes(estimators, folds, error_score, n_jobs, verbose):
    """Yield the outcome of every fit as it arrives."""
    # Clusters send an argument once for all tasks, and what is inside of a list with
    # each of them.
    jobs = [
        delayed(_run)(name, clone(estimator), k, X, y, train, *chain(*tests))
        for name, estimator in estimators.items()
        for k, (X, y, train, tests) in enumerate(folds)
    ]
    for done, outcome in enumerate(run_in_any_order(jobs, n_jobs), 1):
        label = f"{outcome.name!r}, fit {outcome.fold + 1} of {len(folds)}"
        if outcome.error and error_score == "raise":
            raise RuntimeError(f"{label} failed:\n{outcome.error}")
        if outcome.error:
            reason = outcome.error.strip().splitlines()[-1]
            text = f"{label} failed and is left out: {reason}"
            warn(text, FitFailedWarning)
        state = "failed" if outcome.error else "done"
        seconds = f"{outcome.seconds:.1f} s"
        text = f"[{done}/{len(jobs)}] {label}: {state} in {seconds}"
        tell(text, __name__, verbose)
        yield outcome


def _run(name, estimator, fold, X, y, train, *tests):
    start, responses, aus, error = perf_counter(), [], None, ""
    try:
        estimator.fit(X[train], take_labels(y, train))
        pairs = zip(tests[::2], tests[1::2], strict=True)
        n_aus = as_columns(y).shape[1]
        responses = [_respond(estimator, X[rows], n_aus) for X, rows in pairs]
        aus = find_aus(estimator)
    except Exception:
        error = traceback.format_exc()
    return Outcome(name, fold, responses, aus, perf_counter() - start, error)


def _respond(estimator, X, n_aus):
    proba = check_response(estimator, "predict_proba", X, n_aus)
    predicted = check_response(estimator, "predict", X, n_aus)
    predicted = np.asarray(predicted, dtype=np.float32)
    return proba, np.where(np.isnan(proba), np.float32(np.nan), predicted)


def common_aus(succeeded):
    """Return the AUs of the estimators; None if they are unknown or differ."""
    known = {tuple(o.aus) for outcomes in succeeded.values() for o in outcomes if o.aus}
    return known.pop() if len(known) == 1 else None


def tabulate(succeeded, failures, responses, y, subjects, aus, table):
    """Compare the responses of estimators to the same faces.

    Parameters
    ----------
    succeeded, failures : dict
        As from `fit_all`.
    responses : dict of str to (probabilities, predictions)
    y, subjects, aus
        Of the faces.
    table : dict
        Options of `compare_predictions`.

    Returns
    -------
    comparison : Comparison
    """
    method = get_metric(table.get("metric", "f1")).response
    predictions = {
        name: pair[int(method == "predict")] for name, pair in responses.items()
    }
    return replace(
        compare_predictions(y, predictions, subjects, aus=aus, **table),
        probabilities={name: proba for name, (proba, _) in responses.items()},
        seconds={
            n: sum(o.seconds for o in outcomes) for n, outcomes in succeeded.items()
        },
        failures=failures,
    )
