"""Scores of dependencies: whether predicted AUs occur together as in the labels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning

from skfau._validation import check_au_labels
from skfau._warn import warn
from skfau.metrics._counts import check_same_shape, confusion

_AVERAGES = ("macro", None)


def au_adjacency(y: ArrayLike) -> NDArray[np.float64]:
    """Correlate every AU with every other: the adjacency matrix of AUs.

    Figure 8 of [1]_. Entries are correlation coefficients of two columns, which for
    labels are phi coefficients.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_aus)
        Labels or predictions in {0, 1, NaN}; a pair of AUs is compared on the rows
        in which both are known.

    Returns
    -------
    adjacency : ndarray of shape (n_aus, n_aus), dtype float64
        In [-1, 1] and symmetric; NaN for pairs in which one AU never varies.

    Raises
    ------
    LabelError
        If `y` holds other values.

    References
    ----------
    .. [1] J. Yang et al. Towards Robust Facial Action Units Detection. 2023.

    Examples
    --------
    >>> from skfau.metrics import au_adjacency
    >>> au_adjacency([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]]).round(2)
    array([[ 1.  ,  0.58, -1.  ],
           [ 0.58,  1.  , -0.58],
           [-1.  , -0.58,  1.  ]])
    """
    y = check_au_labels(y)
    present, absent = (y == 1).astype(np.float64), (y == 0).astype(np.float64)
    both, neither = present.T @ present, absent.T @ absent
    only_row = present.T @ absent
    only_column = only_row.T
    spread = np.sqrt(
        (both + only_row)
        * (neither + only_column)
        * (both + only_column)
        * (neither + only_row)
    )
    phi = np.full(both.shape, np.nan)
    difference = both * neither - only_row * only_column
    return np.divide(difference, spread, out=phi, where=spread > 0)


def au_adjacency_distance(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """L2 distance of the predictions' adjacency matrix from the labels'.

    Table X of [1]_ uses it to measure how well predictions reproduce the dependencies
    of the labels. Lower is better; perfect predictions have 0. The paper does not name
    the norm; here it is the Frobenius norm over both triangles.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels: 1 present, 0 absent, NaN unknown.
    y_pred : array-like of shape (n_samples, n_aus)
        Predictions: 1, 0, or NaN where there was no face. Entries that are NaN in
        either array count in neither matrix.

    Returns
    -------
    distance : float
        At least 0. A pair is left out if one of its AUs never varies in `y_true`. If it
        never varies in `y_pred` only, its predicted correlation is 0.

    Raises
    ------
    LabelError
        If the shapes differ or there are values other than 0, 1 and NaN.

    References
    ----------
    .. [1] J. Yang et al. Towards Robust Facial Action Units Detection. 2023.

    Examples
    --------
    >>> from skfau.metrics import au_adjacency_distance
    >>> y_true = [[1, 1], [1, 1], [0, 0], [0, 0]]
    >>> round(au_adjacency_distance(y_true, [[1, 1], [1, 0], [0, 1], [0, 0]]), 3)
    1.414
    """
    y_true, y_pred = _known_in_both(y_true, y_pred)
    wanted, found = au_adjacency(y_true), au_adjacency(y_pred)
    difference = np.nan_to_num(found) - wanted
    np.fill_diagonal(difference, 0)
    return float(np.sqrt(np.nansum(difference**2)))


def _known_in_both(y_true, y_pred):
    y_true, y_pred = check_same_shape(y_true, y_pred, "y_pred")
    confusion(y_true, y_pred)  # refuses values other than 0, 1 and NaN
    unknown = np.isnan(y_true) | np.isnan(y_pred)
    return np.where(unknown, np.nan, y_true), np.where(unknown, np.nan, y_pred)


def au_dependency_f1_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, average: Literal["macro", None] = "macro"
) -> float | NDArray[np.float64]:
    """F1 of each AU on the frames in which another AU is present.

    The action-conditional scores of [1]_ within a frame (tau = 0), as in Table X of
    [2]_. Precision and recall of AU i are computed on rows whose labels hold AU j, for
    all ordered pairs. F1 is computed from their means over pairs.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_aus)
        Labels and predictions: 1, 0, or NaN where not known.
    average : {"macro", None}, default="macro"
        The harmonic mean of mean precision and mean recall, as published; or the F1
        of every pair.

    Returns
    -------
    score : float or ndarray of shape (n_aus, n_aus), dtype float64
        In [0, 1]; [i, j] is AU i given AU j. NaN on the diagonal and for pairs that
        never occur together, which do not enter the means; NaN and a warning if no pair
        does. A precision without predictions is 0.

    Raises
    ------
    LabelError
        If the shapes differ or there are values other than 0, 1 and NaN.
    ValueError
        If `average` is something else.

    References
    ----------
    .. [1] P. Tirupattur, K. Duarte, Y. S. Rawat, M. Shah. Modeling Multi-Label Action
       Dependencies for Temporal Action Localization. CVPR 2021.
    .. [2] J. Yang et al. Towards Robust Facial Action Units Detection. 2023.

    Examples
    --------
    >>> from skfau.metrics import au_dependency_f1_score
    >>> y_true = [[1, 1], [1, 1], [1, 0], [0, 1]]
    >>> y_pred = [[1, 0], [1, 1], [1, 0], [0, 1]]
    >>> au_dependency_f1_score(y_true, y_pred, average=None).round(3)
    array([[  nan, 1.   ],
           [0.667,   nan]])
    """
    if average not in _AVERAGES:
        raise ValueError(f"average must be one of {_AVERAGES}, got {average!r}")
    tp, n_predicted, n_true = _counts_given_each(*_known_in_both(y_true, y_pred))
    pairs = (n_true > 0) & ~np.eye(len(tp), dtype=bool)
    if average is None:
        score = np.full(tp.shape, np.nan)
        return np.divide(2 * tp, n_predicted + n_true, out=score, where=pairs)
    if not pairs.any():
        text = "dependency F1 is undefined: no two AUs occur together in y_true"
        warn(text, UndefinedMetricWarning)
        return float("nan")
    # Precision is 0 / 1 without predictions: tp is 0 there.
    precision = np.mean(tp[pairs] / np.maximum(n_predicted[pairs], 1))
    recall = np.mean(tp[pairs] / n_true[pairs])
    return float(2 * precision * recall / (precision + recall)) if recall else 0.0


def _counts_given_each(y_true, y_pred):
    """Count true positives, predictions, positives of AU i where AU j is present."""
    true, predicted = (y_true == 1).astype(float), (y_pred == 1).astype(float)
    return (true * predicted).T @ true, predicted.T @ true, true.T @ true
