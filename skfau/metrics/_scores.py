"""Per-AU scores of thresholded predictions: F1, skew-normalised F1, accuracy."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._validation import check_sample_weight
from skfau.metrics._counts import (
    accuracy_of,
    check_rules,
    check_same_shape,
    confusion,
    f1_of,
    grouped_confusion,
    nan_mean,
    skew_normalized_f1_of,
    summarize,
)


def _score(kernel, name, y_true, y_pred, average, absent, sample_weight):
    check_rules(average, absent)
    y_true, y_pred = check_same_shape(y_true, y_pred, "y_pred")
    weights = check_sample_weight(sample_weight, len(y_true))
    # Rows that weigh alike are counted in whole numbers, whatever they weigh.
    varied = (weights != weights[:1]).any()
    counts = confusion(y_true, y_pred, weights if varied else None)
    if average == "pooled":
        counts = counts.sum(axis=-1, keepdims=True)
    n_known = counts.sum(axis=0)
    return summarize(kernel(counts), n_known, average, absent, name)


def au_f1_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
    sample_weight: ArrayLike | None = None,
) -> float | NDArray[np.float64]:
    """F1 of every AU over frames, and its mean over AUs.

    ``F1 = 2 TP / (2 TP + FP + FN)``, counted over the known entries: an entry
    that is NaN in `y_true` (not coded) or in `y_pred` (no face was found) is not
    counted. On complete arrays each column equals
    :func:`sklearn.metrics.f1_score`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels: 1 present, 0 absent, NaN unknown.
    y_pred : array-like of shape (n_samples, n_aus)
        Predictions: 1, 0, or NaN where there was no face.
    average : {"macro", "pooled", None}, default="macro"
        Mean over AUs; F1 of all entries together ("micro"); or one value per AU.
    absent : {"skip", "zero", "error"}, default="skip"
        Score of an AU without a known positive, whose F1 is undefined. With "skip" it
        is NaN and not in the mean, with a warning. With "zero" it is 0, as in published
        evaluation code and with ``zero_division=0`` (one absent AU of 12 lowers a mean
        of 0.71 to 0.65), but NaN without any known label. "error" raises an error.
        Pooled counts do not depend on single AUs.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        How often each row counts, at least 0; None is once. `subject_weights` of
        `skfau.model_selection` makes every person count alike.

    Returns
    -------
    score : float or ndarray of shape (n_aus,), dtype float64
        In [0, 1]; an array if ``average=None``.

    Raises
    ------
    LabelError
        If the shapes differ, if there are values other than 0, 1 and NaN, or if
        an AU is absent and ``absent="error"``.
    ValueError
        If `sample_weight` has another shape or other values.

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning
        Names the columns that are NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import au_f1_score
    >>> y_true = np.array([[1, 0], [1, np.nan], [0, 1], [0, 1]])
    >>> y_pred = np.array([[1, 0], [0, 1], [0, 1], [0, 1]])
    >>> au_f1_score(y_true, y_pred, average=None).round(3)
    array([0.667, 1.   ])
    """
    return _score(f1_of, "F1", y_true, y_pred, average, absent, sample_weight)


def au_skew_normalized_f1_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
    sample_weight: ArrayLike | None = None,
) -> float | NDArray[np.float64]:
    """F1 as it would be with as many negatives as positives.

    F1 depends on how rare an AU is, so F1 of two AUs, or of one AU in two data
    sets, cannot be compared. Weighting the negatives to the number of positives
    [1]_ leaves ``2 TPR / (1 + TPR + FPR)``, which depends on the classifier
    alone. Predicting "present" everywhere scores 2/3.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_aus)
        As in `au_f1_score`.
    average : {"macro", "pooled", None}, default="macro"
        As in `au_f1_score`.
    absent : {"skip", "zero", "error"}, default="skip"
        As in `au_f1_score`, and the same for an AU without a known negative.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        As in `au_f1_score`.

    Returns
    -------
    score : float or ndarray of shape (n_aus,), dtype float64
        In [0, 1]; an array if ``average=None``.

    Raises
    ------
    LabelError
        As `au_f1_score`.

    References
    ----------
    .. [1] L. A. Jeni, J. F. Cohn, F. De la Torre. Facing imbalanced data:
       recommendations for the use of performance metrics. ACII 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import au_skew_normalized_f1_score
    >>> y_true = np.array([[1], [0], [0], [0]])
    >>> round(au_skew_normalized_f1_score(y_true, np.ones((4, 1))), 3)
    0.667
    """
    name = "skew-normalised F1"
    return _score(
        skew_normalized_f1_of, name, y_true, y_pred, average, absent, sample_weight
    )


def au_accuracy_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: Literal["macro", "pooled", None] = "macro",
    absent: Literal["skip", "zero", "error"] = "skip",
    sample_weight: ArrayLike | None = None,
) -> float | NDArray[np.float64]:
    """Share of known entries that are predicted correctly, per AU.

    Predicting "absent" everywhere scores one minus the AU's rate, which is above 0.9
    for most AUs of DISFA. Read accuracy beside F1, never alone.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_aus)
        As in `au_f1_score`.
    average : {"macro", "pooled", None}, default="macro"
        As in `au_f1_score`.
    absent : {"skip", "zero", "error"}, default="skip"
        Applies to an AU without any known label only ("zero" leaves it NaN);
        an AU without positives has an accuracy.
    sample_weight : array-like of shape (n_samples,) or None, default=None
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
    >>> from skfau.metrics import au_accuracy_score
    >>> au_accuracy_score(np.array([[1], [0], [np.nan]]), np.array([[1], [1], [1]]))
    0.5
    """
    return _score(
        accuracy_of, "accuracy", y_true, y_pred, average, absent, sample_weight
    )


def fold_mean_f1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    folds: ArrayLike,
    *,
    absent: Literal["skip", "zero", "error"] = "skip",
) -> float:
    """F1 as in published tables: mean over AUs per fold, then over folds.

    This is not `au_f1_score` of all out-of-fold predictions together. F1 is not a mean
    over frames, so the two differ by points if an AU's rate differs between folds.
    Report which of the two it is.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_aus)
        As in `au_f1_score`; the predictions are out-of-fold.
    folds : array-like of shape (n_samples,)
        Test fold of every row, for instance
        ``SubjectKFold().test_folds(faces, y)``; rows marked -1 are left out.
    absent : {"skip", "zero", "error"}, default="skip"
        As in `au_f1_score`, within each fold. Under "skip" a fold's mean is over
        the AUs that occur in that fold.

    Returns
    -------
    score : float
        In [0, 1].

    Raises
    ------
    LabelError
        As `au_f1_score`.
    ValueError
        If `folds` has another length than `y_true`.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.metrics import au_f1_score, fold_mean_f1
    >>> y_true = np.array([[1], [0], [1], [1], [1]])
    >>> y_pred = np.array([[1], [1], [1], [0], [0]])
    >>> fold_mean = fold_mean_f1(y_true, y_pred, [0, 0, 1, 1, 1])
    >>> round(fold_mean, 3), round(au_f1_score(y_true, y_pred), 3)
    (0.583, 0.571)
    """
    check_rules("macro", absent)
    y_true, y_pred = check_same_shape(y_true, y_pred, "y_pred")
    names, counts = grouped_confusion(y_true, y_pred, folds)
    means = []
    for fold, of_fold in zip(names, counts, strict=True):
        if fold != -1:
            name, n_known = f"F1 of fold {fold}", of_fold.sum(axis=0)
            mean = summarize(f1_of(of_fold), n_known, "macro", absent, name)
            means.append(mean)
    return float(nan_mean(np.array(means)))
