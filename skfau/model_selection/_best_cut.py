"""The cut through probabilities that gives the highest F1."""

import numpy as np

from skfau.metrics._ranking import check_scores, cut_points

_DEFAULT_THRESHOLD = 0.5


def best_f1_thresholds(y_true, y_proba, *, skew_normalized=False):
    """Thresholds that give every AU its highest F1 on these rows.

    All distinct cuts are compared, by one sort per AU. The threshold lies midway
    between the scores on both sides of the best cut (0 stands below the lowest), so
    that it is tied to no single row; of equally good cuts the highest is taken.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels in {0, 1, NaN}.
    y_proba : array-like of shape (n_samples, n_aus)
        Probabilities, NaN where there was no face. They must be out-of-fold: on rows
        that a network was fitted on, its best thresholds are too high.
    skew_normalized : bool, default=False
        Whether to maximise :func:`~skfau.metrics.au_skew_normalized_f1_score`.

    Returns
    -------
    thresholds : ndarray of shape (n_aus,), dtype float64
        An AU is called present where its probability is >= its threshold. 0.5 where
        the known labels have no positive (or, with `skew_normalized`, no negative),
        since then no cut is better than another.

    Raises
    ------
    LabelError
        If the shapes differ or labels are other than 0, 1 and NaN.
    ValueError
        If a probability is outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.model_selection import best_f1_thresholds
    >>> y_true = np.array([[0], [0], [1], [1]])
    >>> best_f1_thresholds(y_true, np.array([[0.05], [0.1], [0.2], [0.3]]))
    array([0.15])
    """
    y_true, y_proba = check_scores(y_true, y_proba)
    if np.any((y_proba < 0) | (y_proba > 1)):
        raise ValueError(
            f"probabilities must be in [0, 1], got {np.nanmin(y_proba)} to "
            f"{np.nanmax(y_proba)}; put logits through a sigmoid first"
        )
    columns = zip(y_true.T, y_proba.T, strict=True)
    return np.array([_best_cut(*column, skew_normalized) for column in columns])


def _best_cut(labels, probabilities, skew_normalized):
    values, tp, fp = cut_points(labels, probabilities)
    if not len(tp) or not tp[-1] or (skew_normalized and not fp[-1]):
        return _DEFAULT_THRESHOLD
    skew = fp[-1] / tp[-1] if skew_normalized else 1.0
    best = np.argmax(tp / (tp[-1] + tp + fp / skew))
    lower, upper = np.append(values, 0.0).astype(np.float64)[[best + 1, best]]
    middle = lower + (upper - lower) / 2
    # Between neighbouring floats the middle rounds down to the score to be left out.
    return middle if middle > lower else upper
