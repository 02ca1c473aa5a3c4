"""Scores of probabilities: area under the ROC curve and average precision per AU."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._validation import check_au_labels
from skfau.metrics._counts import check_rules, check_same_shape, summarize


def cut_points(labels, scores):
    """Count true and false positives of one AU at every distinct threshold.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        0, 1 or NaN.
    scores : ndarray of shape (n_samples,)
        Higher means more likely present; NaN where there is no face.

    Returns
    -------
    values : ndarray of shape (n_cuts,)
        Distinct scores of the known rows, highest first.
    tp, fp : ndarray of shape (n_cuts,), dtype int64
        True and false positives when every score >= the value is called positive.
    """
    known = ~(np.isnan(labels) | np.isnan(scores))
    scores, positive = scores[known], labels[known] == 1
    order = np.argsort(scores)[::-1]
    scores = scores[order]
    ends_tie = np.append(scores[1:] != scores[:-1], len(scores) > 0)
    last_of_tie = np.flatnonzero(ends_tie)
    tp = np.cumsum(positive[order])[last_of_tie]
    return scores[last_of_tie], tp, last_of_tie + 1 - tp


def _roc_auc(tp, fp):
    if not len(tp) or not tp[-1] or not fp[-1]:
        return np.nan
    # Tied scores make slanted pieces: sum their trapezoids, in whole numbers.
    area = np.sum(np.diff(fp, prepend=0) * (tp + np.append(0, tp[:-1])))
    return area / 2 / (float(tp[-1]) * float(fp[-1]))


def _average_precision(tp, fp):
    if not len(tp) or not tp[-1]:
        return np.nan
    return np.sum(np.diff(tp, prepend=0) * (tp / (tp + fp))) / tp[-1]


def check_scores(y_true, y_score):
    """Return labels and scores as 2-D float arrays of one shape."""
    y_true, y_score = check_same_shape(y_true, y_score, "y_score")
    if y_score.dtype.kind != "f":
        y_score = y_score.astype(np.float64)
    return check_au_labels(y_true), y_score


def _score(kernel, name, y_true, y_score, average, absent):
    check_rules(average, absent)
    y_true, y_score = check_scores(y_true, y_score)
    if average == "pooled":
        y_true, y_score = y_true.reshape(-1, 1), y_score.reshape(-1, 1)
    curves = [cut_points(*pair)[1:] for pair in zip(y_true.T, y_score.T, strict=True)]
    values = np.array([kernel(tp, fp) for tp, fp in curves])
    n_known = np.array([tp[-1] + fp[-1] if len(tp) else 0 for tp, fp in curves])
    return summarize(values, n_known, average, absent, name)


def au_roc_auc_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
) -> float | NDArray[np.float64]:
    """Area under the ROC curve of every AU, and its mean over AUs.

    It is the probability that a random frame with the AU scores higher than a random
    frame without it; ties count one half. Equal to
    :func:`sklearn.metrics.roc_auc_score` on complete columns.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels: 1 present, 0 absent, NaN unknown (not counted).
    y_score : array-like of shape (n_samples, n_aus)
        Probabilities or logits, NaN where there was no face (not counted).
    average : {"macro", "pooled", None}, default="macro"
        As in `au_f1_score`.
    absent : {"skip", "zero", "error"}, default="skip"
        As in `au_f1_score`, for an AU without a known positive or a known
        negative. Note that 0 is worse than guessing, which has 0.5.

    Returns
    -------
    score : float or ndarray of shape (n_aus,), dtype float64
        In [0, 1]; an array if ``average=None``.

    Raises
    ------
    LabelError
        As `au_f1_score`.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import au_roc_auc_score
    >>> y_true = np.array([[1], [0], [1], [np.nan]])
    >>> au_roc_auc_score(y_true, np.array([[0.9], [0.3], [0.3], [0.1]]))
    0.75
    """
    return _score(_roc_auc, "ROC AUC", y_true, y_score, average, absent)


def au_average_precision_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
) -> float | NDArray[np.float64]:
    """Area under the precision-recall curve (average precision) of every AU.

    ``sum_k (recall_k - recall_{k-1}) precision_k`` over the distinct scores, equal
    to :func:`sklearn.metrics.average_precision_score` on complete columns. Its
    chance level is the AU's rate.

    Parameters
    ----------
    y_true, y_score : array-like of shape (n_samples, n_aus)
        As in `au_roc_auc_score`.
    average : {"macro", "pooled", None}, default="macro"
        As in `au_f1_score`.
    absent : {"skip", "zero", "error"}, default="skip"
        As in `au_f1_score`.

    Returns
    -------
    score : float or ndarray of shape (n_aus,), dtype float64
        In [0, 1]; an array if ``average=None``.

    Raises
    ------
    LabelError
        As `au_f1_score`.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import au_average_precision_score
    >>> y_true = np.array([[1], [0], [1]])
    >>> score = au_average_precision_score(y_true, np.array([[0.9], [0.3], [0.2]]))
    >>> round(score, 3)
    0.833
    """
    name = "average precision"
    return _score(_average_precision, name, y_true, y_score, average, absent)
