"""Fits of several estimators, side by side, of which one may fail."""

import traceback
import warnings
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.utils.parallel import Parallel, delayed

from skfau._unwrap import find_aus
from skfau.metrics import compare_predictions
from skfau.metrics._registry import get_metric
from skfau.model_selection._out_of_fold import check_response, take_labels


@dataclass
class Outcome:
    """What one fit gave.

    Attributes
    ----------
    name : str
        Of the estimator.
    part : int
        Number of the fold.
    responses : list of tuple of ndarray
        Probabilities and predictions for each array of test rows.
    aus : sequence of int or None
        AUs of the fitted estimator, where it tells them.
    seconds : float
        Time of fit and prediction.
    error : str
        Traceback, "" if there was no error.
    """

    name: str
    part: int
    responses: list
    aus: tuple | None
    seconds: float
    error: str = ""


def check_estimators(estimators):
    """Refuse what is no dict of names and estimators."""
    if not isinstance(estimators, dict) or not estimators:
        raise TypeError(
            "estimators must be a dict with a name for each, {'mine': clf}, got "
            f"{type(estimators).__name__}"
        )


def run_all(estimators, parts, error_score, n_jobs, verbose):
    """Fit every estimator on every part; yield what comes of it, as it comes.

    Parameters
    ----------
    estimators : dict of str to estimator
    parts : list of (X, y, train, tests)
        Data, training rows, and a list of (X, rows) to predict.
    error_score : "raise" or nan
        Whether an error ends it all.
    n_jobs : int or None
        As in joblib.
    verbose : int
        Whether to print a line per fit.

    Yields
    ------
    outcome : Outcome
    """
    jobs = [
        delayed(_run)(name, clone(estimator), k, *part)
        for name, estimator in estimators.items()
        for k, part in enumerate(parts)
    ]
    outcomes = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
    for done, outcome in enumerate(outcomes, 1):
        label = f"{outcome.name!r}, fit {outcome.part + 1} of {len(parts)}"
        if outcome.error and error_score == "raise":
            raise RuntimeError(f"{label} failed:\n{outcome.error}")
        if outcome.error:
            reason = outcome.error.strip().splitlines()[-1]
            text = f"{label} failed and is left out: {reason}"
            warnings.warn(text, FitFailedWarning, stacklevel=3)
        if verbose:
            state = "failed" if outcome.error else "done"
            seconds = f"{outcome.seconds:.1f} s"
            print(f"[{done}/{len(jobs)}] {label}: {state} in {seconds}", flush=True)
        yield outcome


def _run(name, estimator, part, X, y, train, tests):
    start, responses, aus, error = perf_counter(), [], None, ""
    try:
        estimator.fit(X[train], take_labels(y, train))
        responses = [_respond(estimator, X[rows], y.shape[1]) for X, rows in tests]
        aus = find_aus(estimator)
    except Exception:
        error = traceback.format_exc()
    return Outcome(name, part, responses, aus, perf_counter() - start, error)


def _respond(estimator, X, n_aus):
    proba = check_response(estimator, "predict_proba", X, n_aus)
    predicted = check_response(estimator, "predict", X, n_aus)
    predicted = np.asarray(predicted, dtype=np.float32)
    return proba, np.where(np.isnan(proba), np.float32(np.nan), predicted)


def sort_out(outcomes, estimators):
    """Tell the estimators that failed in any part from the others.

    Returns
    -------
    succeeded : dict of str to list of Outcome
        In the order of `estimators`, and of parts.
    failures : dict of str to str
        The first traceback of each other one.

    Raises
    ------
    RuntimeError
        If all failed.
    """
    failures, by_name = {}, {name: [] for name in estimators}
    for outcome in sorted(outcomes, key=lambda o: o.part):
        by_name[outcome.name].append(outcome)
        if outcome.error:
            failures.setdefault(outcome.name, outcome.error)
    if len(failures) == len(estimators):
        name, text = next(iter(failures.items()))
        raise RuntimeError(f"all estimators failed; {name!r} with\n{text}")
    return {n: o for n, o in by_name.items() if n not in failures}, failures


def common_aus(succeeded):
    """Return the AUs that the estimators tell; None if none does, or they differ."""
    told = {tuple(o.aus) for part in succeeded.values() for o in part if o.aus}
    return told.pop() if len(told) == 1 else None


def tabulate(succeeded, failures, responses, y, subjects, aus, table):
    """Compare what estimators respond to the same faces.

    Parameters
    ----------
    succeeded, failures : dict
        As from `sort_out`.
    responses : dict of str to (probabilities, predictions)
    y, subjects, aus
        Of the faces.
    table : dict
        Options of `compare_predictions`.

    Returns
    -------
    comparison : Comparison
    """
    asked = get_metric(table.get("metric", "f1")).response
    predictions = {
        name: pair[int(asked == "predict")] for name, pair in responses.items()
    }
    return replace(
        compare_predictions(y, predictions, subjects, aus=aus, **table),
        probabilities={name: proba for name, (proba, _) in responses.items()},
        seconds={n: sum(o.seconds for o in part) for n, part in succeeded.items()},
        failures=failures,
    )
