"""Paired tests of two systems: bootstrap over subjects, Student's and McNemar's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, stdtr

from skfau._validation import check_au_labels
from skfau.metrics._bootstrap import (
    Resampler,
    common_entries,
    percentiles,
    rows_by_subject,
    subject_weights,
)
from skfau.metrics._counts import (
    check_rules,
    check_same_shape,
    confusion,
    nan_mean,
    rows_by_group,
)

_AVERAGES = ("pooled", None)


class PairedBootstrap(NamedTuple):
    """Difference between two systems, with its interval and p-value over subjects.

    Attributes
    ----------
    difference : float or ndarray of shape (n_aus,)
        Score minus the score of the baseline.
    low, high : float or ndarray of shape (n_aus,)
        Ends of its interval over subjects.
    p_value : float or ndarray of shape (n_aus,)
        Two-sided: twice the share of resamples on the rarer side of 0, at least
        ``2 / (n_resamples + 1)``.

    Examples
    --------
    >>> from skfau.metrics import PairedBootstrap
    >>> PairedBootstrap(0.02, -0.01, 0.05, 0.18).p_value
    0.18
    """

    difference: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray
    p_value: float | np.ndarray


class PairedTTest(NamedTuple):
    """Result of `paired_t_test`.

    Attributes
    ----------
    statistic : float or ndarray of shape (n_aus,)
        Mean difference over its standard error; 0 if nothing differs.
    p_value : float or ndarray of shape (n_aus,)
        Two-sided.
    difference : float or ndarray of shape (n_aus,)
        Mean difference.
    n : int or ndarray of shape (n_aus,)
        Number of differences: entries, or subjects.

    Examples
    --------
    >>> from skfau.metrics import PairedTTest
    >>> PairedTTest(-26.78, 6.33e-158, -0.01, 550_000).statistic
    -26.78
    """

    statistic: float | np.ndarray
    p_value: float | np.ndarray
    difference: float | np.ndarray
    n: int | np.ndarray


class McNemarTest(NamedTuple):
    """Result of `mcnemar_test`.

    Attributes
    ----------
    gained : int or ndarray of shape (n_aus,)
        Entries that are right here and wrong in the baseline.
    lost : int or ndarray of shape (n_aus,)
        Entries that are wrong here and right in the baseline.
    p_value : float or ndarray of shape (n_aus,)
        Two-sided and exact: `gained` is binomial with probability 1/2.

    Examples
    --------
    >>> from skfau.metrics import McNemarTest
    >>> McNemarTest(8, 1, 0.039).gained
    8
    """

    gained: int | np.ndarray
    lost: int | np.ndarray
    p_value: float | np.ndarray


def paired_bootstrap_test(
    metric: str | Callable[..., Any],
    y_true: ArrayLike,
    y_pred: ArrayLike,
    baseline: ArrayLike,
    subjects: ArrayLike,
    *,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
    verbose: bool = False,
) -> PairedBootstrap:
    """Compare two systems on the same faces by resampling subjects.

    Both systems are scored on the same resamples. Frames of one person are alike, so a
    test over frames finds differences that vanish with other people. Of two simulated
    systems that are equally good, this test calls one better at the 5 % level in
    5 to 8 % of trials; McNemar's test over frames does so in 7 of 10.

    Parameters
    ----------
    metric : str or callable
        As in `bootstrap_ci`.
    y_true, y_pred, baseline : array-like of shape (n_samples, n_aus)
        Labels, and predictions or scores. Entries that are NaN in one are left out.
    subjects : array-like of shape (n_samples,)
        Subject of every row.
    average : {"macro", "pooled", None}, default="macro"
    absent : {"skip", "zero", "error"}, default="skip"
    n_resamples : int, default=1000
    confidence_level : float, default=0.95
    random_state : int, RandomState, Generator or None, default=None
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    test : PairedBootstrap
        ``(difference, low, high, p_value)``, arrays if ``average=None``.

    Raises
    ------
    ValueError
        If there are fewer than two subjects, or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import paired_bootstrap_test
    >>> people, y = np.repeat(np.arange(20), 4), np.tile([[1], [0]], (40, 1))
    >>> test = paired_bootstrap_test("f1", y, y, np.ones((80, 1)), people)
    >>> round(test.difference, 3), round(test.p_value, 3)
    (0.333, 0.002)
    """
    check_rules(average, absent)
    y_true, y_pred, baseline = common_entries(y_true, y_pred, baseline)
    rows_of = rows_by_subject(subjects, len(y_true))
    weights = subject_weights(len(rows_of), n_resamples, random_state)
    score = Resampler(metric, average, absent, y_true, rows_of, weights, verbose)
    return paired_bootstrap(score(y_pred), score(baseline), confidence_level)


def paired_bootstrap(scored, baseline, confidence_level):
    """Compare two ``(estimate, values of the resamples)`` pairs of a `Resampler`."""
    values = scored[1] - baseline[1]
    n_values = np.sum(~np.isnan(values), axis=0)
    rarer = np.minimum(np.sum(values <= 0, axis=0), np.sum(values >= 0, axis=0))
    p_value = np.minimum(2 * (1 + rarer) / (1 + n_values), 1)
    p_value = np.where(n_values > 0, p_value, np.nan)
    difference = scored[0] - baseline[0]
    p_value = float(p_value) if p_value.ndim == 0 else p_value
    return PairedBootstrap(difference, *percentiles(values, confidence_level), p_value)


def holm(p_values):
    """Adjust p-values for the number of tests by Holm's method; NaN stay NaN.

    Parameters
    ----------
    p_values : ndarray of any shape

    Returns
    -------
    adjusted : ndarray of the same shape
    """
    flat = np.ravel(p_values)
    adjusted = np.full(flat.shape, np.nan)
    known = np.flatnonzero(~np.isnan(flat))
    order = known[np.argsort(flat[known], kind="stable")]
    steps = flat[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.reshape(np.shape(p_values))


def paired_t_test(
    y_pred: ArrayLike,
    baseline: ArrayLike,
    *,
    y_true: ArrayLike | None = None,
    subjects: ArrayLike | None = None,
    average: Literal["pooled", None] = "pooled",
) -> PairedTTest:
    """Student's t-test of paired differences between two systems.

    The default is the test of Table XII of [1]_, over the predictions of all frames and
    AUs. It tells whether one system predicts AUs more often than the other, not whether
    it is better, and it treats all entries as independent. Pass `y_true` to compare
    errors, and `subjects` to test over people.

    Parameters
    ----------
    y_pred, baseline : array-like of shape (n_samples, n_aus)
        Predictions or probabilities of the two systems, NaN where there was no face.
    y_true : array-like of shape (n_samples, n_aus), default=None
        Labels in {0, 1, NaN}. Tests absolute errors: that of the baseline minus that of
        `y_pred`, so that positive is better.
    subjects : array-like of shape (n_samples,), default=None
        Subject of every row, to test the mean differences of subjects. None tests
        entries, which are not independent.
    average : {"pooled", None}, default="pooled"
        All AUs together, or a test per AU.

    Returns
    -------
    test : PairedTTest
        ``(statistic, p_value, difference, n)``, arrays if ``average=None``. The
        p-value is 1 if nothing differs, NaN with fewer than two differences.

    Raises
    ------
    LabelError
        If shapes differ or labels are other than 0, 1 and NaN.
    ValueError
        If `average` is something else or `subjects` has another length.

    References
    ----------
    .. [1] J. Yang et al. Towards Robust Facial Action Units Detection. 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import paired_t_test
    >>> half, people = np.full((5000, 1), 0.5), np.repeat(np.arange(10), 500)
    >>> y_pred = half + 0.1 * np.random.default_rng(0).normal(size=(10, 1))[people]
    >>> paired_t_test(y_pred, half).p_value < 1e-9
    True
    >>> paired_t_test(y_pred, half, subjects=people).p_value > 0.05
    True
    """
    _check_average(average)
    difference = _differences(y_pred, baseline, y_true)
    axis = None if average == "pooled" else 0
    if subjects is not None:
        _, rows_of = rows_by_group(subjects, len(difference))
        means = [nan_mean(difference[rows], axis=axis) for rows in rows_of]
        difference = np.stack(means)
    test = _t_test(difference.reshape(-1, 1) if axis is None else difference)
    return test if average is None else PairedTTest(*(part[0].item() for part in test))


def _differences(y_pred, baseline, y_true):
    y_pred, baseline = check_same_shape(y_pred, baseline, "baseline")
    if y_true is None:
        return y_pred.astype(np.float64) - baseline
    y_true = check_au_labels(check_same_shape(y_true, y_pred, "y_pred")[0])
    return np.abs(y_true - baseline.astype(np.float64)) - np.abs(y_true - y_pred)


def _t_test(difference):
    """Test the mean of every column against 0, without its NaN entries."""
    n = np.sum(~np.isnan(difference), axis=0)
    mean = nan_mean(difference, axis=0)
    squares = np.nansum((difference - mean) ** 2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(squares / (n - 1) / n)
        statistic = np.where(mean == 0, 0.0, mean / error)
        statistic = np.where(n > 1, statistic, np.nan)
        p_value = 2 * stdtr(n - 1, -np.abs(statistic))
    return PairedTTest(statistic, p_value, mean, n)


def _check_average(average):
    if average not in _AVERAGES:
        raise ValueError(f"average must be one of {_AVERAGES}, got {average!r}")


def mcnemar_test(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    baseline: ArrayLike,
    *,
    average: Literal["pooled", None] = "pooled",
) -> McNemarTest:
    """Test by McNemar's exact test whether two systems err equally often.

    Entries on which both are right, or both wrong, do not count. On the others, equal
    systems win as often as they lose. The test assumes independent entries. Frames of a
    video are not independent, and p-values are then far too small: report
    `paired_bootstrap_test` instead.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels in {0, 1, NaN}.
    y_pred, baseline : array-like of shape (n_samples, n_aus)
        Predictions of the two systems: 1, 0, or NaN where there was no face.
    average : {"pooled", None}, default="pooled"
        All AUs together, or a test per AU.

    Returns
    -------
    test : McNemarTest
        ``(gained, lost, p_value)``, arrays if ``average=None``. If the systems never
        differ, the p-value is 1.

    Raises
    ------
    LabelError
        If shapes differ or values are other than 0, 1 and NaN.
    ValueError
        If `average` is something else.

    Examples
    --------
    >>> from skfau.metrics import mcnemar_test
    >>> y_true = [[1], [1], [1], [1], [0], [0]]
    >>> mcnemar_test(y_true, [[1], [1], [1], [1], [1], [0]], [[0]] * 6)
    McNemarTest(gained=4, lost=1, p_value=0.375)
    """
    _check_average(average)
    y_true, y_pred = check_same_shape(y_true, y_pred, "y_pred")
    _, baseline = check_same_shape(y_true, baseline, "baseline")
    for predictions in (y_pred, baseline):
        confusion(y_true, predictions)  # refuses values other than 0, 1 and NaN
    axis = None if average == "pooled" else 0
    known = ~np.isnan(y_pred) & ~np.isnan(baseline) & ~np.isnan(y_true)
    right, base_right = y_pred == y_true, baseline == y_true
    gained = np.sum(known & right & ~base_right, axis=axis)
    lost = np.sum(known & ~right & base_right, axis=axis)
    rarer = np.minimum(gained, lost)
    p_value = np.minimum(2 * bdtr(rarer, gained + lost, 0.5), 1)
    if average == "pooled":
        return McNemarTest(int(gained), int(lost), float(p_value))
    return McNemarTest(gained, lost, p_value)
