"""Paired tests of single predictions: Student's and McNemar's."""

from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, stdtr

from skfau._validation import check_au_labels
from skfau.metrics._counts import check_same_shape, confusion, nan_mean, rows_by_group

_AVERAGES = ("pooled", None)


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
        Entries that are right, and wrong in the baseline.
    lost : int or ndarray of shape (n_aus,)
        Entries that are wrong, and right in the baseline.
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


def paired_t_test(y_pred, baseline, *, y_true=None, subjects=None, average="pooled"):
    """Student's t-test of paired differences between two systems.

    By default it is the test of Table XII of [1]_, over the predictions of all frames
    and AUs. That says whether one system predicts more presence than the other, not
    whether it is better, and takes every entry for a new person. Give `y_true` to
    compare how nearly they are right, and `subjects` to count people.

    Parameters
    ----------
    y_pred, baseline : array-like of shape (n_samples, n_aus)
        Predictions or probabilities of the two systems, NaN where there was no face.
    y_true : array-like of shape (n_samples, n_aus), default=None
        Labels in {0, 1, NaN}: tests absolute errors, baseline's less `y_pred`'s, so
        that positive is better.
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


def mcnemar_test(y_true, y_pred, baseline, *, average="pooled"):
    """Test by McNemar's exact test whether two systems err equally often.

    Entries on which both are right, or both wrong, say nothing; among the others,
    equal systems win as often as they lose. It takes entries for independent, which
    the frames of a video are not: with videos its p-values are far too small, and
    `paired_bootstrap_test` is the one to report.

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
