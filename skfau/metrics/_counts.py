"""Parts of all scores: checked labels, confusion counts, the absent-AU rule."""

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from skfau._columns import as_numbers, names_of
from skfau._validation import check_au_labels, check_au_names
from skfau._warn import warn
from skfau.exceptions import LabelError

AVERAGES = ("macro", "pooled", None)
ABSENT_RULES = ("skip", "zero", "error")

# Masks of this many rows stay in the cache of the processor.
_CHUNK_ROWS = 8192


def _as_array(values):
    values = as_numbers(values)
    return values if values.dtype.kind in "fiub" else values.astype(np.float64)


def check_same_shape(y_true, other, name):
    """Return both as 2-D arrays of equal shape; raise if that is not possible."""
    check_au_names(y_true, getattr(other, "columns", None), name)
    y_true, other = _as_array(y_true), _as_array(other)
    if y_true.ndim == 1:
        raise LabelError(
            "y_true must have one column per AU, got a 1-D array of "
            f"{len(y_true)} labels; for a single AU pass y[:, None]"
        )
    if y_true.ndim != 2 or y_true.shape != other.shape:
        raise LabelError(
            f"y_true and {name} must both have shape (n_samples, n_aus), got "
            f"{y_true.shape} and {other.shape}"
        )
    return y_true, other


def _is_coded(values, true, false):
    """Whether every entry is 1 (`true`), 0 (`false`) or NaN."""
    return np.all(true | false | np.isnan(values))


def confusion(y_true, y_pred, weights=None):
    """Count true/false positives and negatives per AU over the known entries.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples, n_aus)
        0, 1 or NaN; an entry that is NaN in either array is not counted.
    weights : ndarray of shape (n_samples,), dtype float64, or None, default=None
        How often each row counts; None is once.

    Returns
    -------
    counts : ndarray of shape (4, n_aus), dtype int64, or float64 with weights
        Rows: true positives, false positives, false negatives, true negatives.
    """
    kind = np.int64 if weights is None else np.float64
    counts = np.zeros((4, y_true.shape[1]), dtype=kind)
    for start in range(0, len(y_true), _CHUNK_ROWS):
        # Transposed copies hold each AU in one row, which NumPy counts fastest.
        labels = np.ascontiguousarray(y_true[start : start + _CHUNK_ROWS].T)
        predictions = np.ascontiguousarray(y_pred[start : start + _CHUNK_ROWS].T)
        true, false = labels == 1, labels == 0
        positive, negative = predictions == 1, predictions == 0
        if not _is_coded(labels, true, false):
            check_au_labels(y_true)
        if not _is_coded(predictions, positive, negative):
            raise LabelError(
                "y_pred must be 0, 1 or NaN (no face), got other values; threshold "
                "probabilities first, or score them with au_roc_auc_score"
            )
        cells = (true & positive, false & positive, true & negative, false & negative)
        if weights is None:
            counts += [[np.count_nonzero(row) for row in cell] for cell in cells]
        else:
            counts += [cell @ weights[start : start + _CHUNK_ROWS] for cell in cells]
    return counts


def grouped_confusion(y_true, y_pred, groups):
    """Confusion counts of each group of rows (subject, fold) on its own.

    Returns
    -------
    names : ndarray of shape (n_groups,)
        The groups in sorted order.
    counts : ndarray of shape (n_groups, 4, n_aus), dtype int64
        `confusion` of each group's rows.
    """
    names, rows_of = rows_by_group(groups, len(y_true))
    counts = [confusion(y_true[rows], y_pred[rows]) for rows in rows_of]
    return names, np.stack(counts)


def rows_by_group(groups, n_samples):
    """Return the sorted group names and, for each, its row numbers."""
    groups, missing = names_of(groups)
    if groups.shape != (n_samples,):
        raise ValueError(
            f"expected one subject (or fold) per row, shape ({n_samples},), got "
            f"{groups.shape}"
        )
    if missing.any():
        raise ValueError(
            f"{missing.sum()} rows have no subject (or fold), the first is row "
            f"{np.argmax(missing)}; name them or leave these rows out"
        )
    names, codes = np.unique(groups, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    return names, np.split(order, np.cumsum(np.bincount(codes))[:-1])


def _ratio(numerator, denominator, defined):
    out = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=defined)


def au_labels(aus, n_aus):
    """Return the names of columns: "AU1", ..., or "column0", ... if AUs are unknown."""
    if aus is None:
        return tuple(f"column{j}" for j in range(n_aus))
    if len(aus) != n_aus:
        raise LabelError(f"aus names {len(aus)} AUs, but there are {n_aus} columns")
    return tuple(f"AU{au}" for au in aus)


def f1_of(counts):
    """F1 from (..., 4, n_aus) counts; NaN without a known positive."""
    tp, fp, fn, _ = np.moveaxis(counts, -2, 0)
    return _ratio(2.0 * tp, 2 * tp + fp + fn, tp + fn > 0)


def skew_normalized_f1_of(counts):
    """F1 at equal numbers of positives and negatives; NaN without one of them."""
    tp, fp, fn, tn = np.moveaxis(counts, -2, 0)
    positives, negatives = tp + fn, fp + tn
    # The score 2 TPR / (1 + TPR + FPR), with both class sizes multiplied out.
    numerator = 2.0 * tp * negatives
    denominator = negatives * (positives + tp) + fp * positives
    return _ratio(numerator, denominator, (positives > 0) & (negatives > 0))


def accuracy_of(counts):
    """Share of known entries predicted correctly; NaN without any."""
    tp, fp, fn, tn = np.moveaxis(counts, -2, 0)
    n_known = tp + fp + fn + tn
    return _ratio(1.0 * (tp + tn), n_known, n_known > 0)


def nan_mean(values, axis=None):
    """Mean without the NaN entries; NaN, without a warning, if all are NaN."""
    n_defined = np.sum(~np.isnan(values), axis=axis)
    return _ratio(np.nansum(values, axis=axis), n_defined, n_defined > 0)


def check_rules(average, absent):
    """Raise if `average` or `absent` is unknown."""
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {AVERAGES}, got {average!r}")
    if absent not in ABSENT_RULES:
        raise ValueError(f"absent must be one of {ABSENT_RULES}, got {absent!r}")


def summarize(values, n_known, average, absent, score_name):
    """Apply the absent-AU rule to per-AU `values` (NaN = undefined) and average.

    Parameters
    ----------
    values : ndarray of shape (n_aus,)
        Scores per AU; NaN where the known labels do not define one.
    n_known : ndarray of shape (n_aus,)
        Known entries per AU. An AU without any stays NaN under every rule.
    average, absent : see `au_f1_score`
    score_name : str
        Used in the warning and the error.

    Returns
    -------
    score : float or ndarray of shape (n_aus,)
        Float unless ``average=None``.
    """
    if absent == "zero":
        values = np.where(np.isnan(values) & (n_known > 0), 0.0, values)
    undefined = np.isnan(values)
    if undefined.any():
        columns = ", ".join(map(str, np.flatnonzero(undefined)))
        where = "the pooled labels" if average == "pooled" else f"column(s) {columns}"
        text = f"{score_name} is undefined for {where}: too few known labels there"
        if absent == "error":
            raise LabelError(
                f"{text}. Leave these AUs out, or choose absent='skip' (they do not "
                "enter the mean) or absent='zero'."
            )
        warn(
            f"{text}. The score is NaN and does not enter the mean; absent='zero' "
            "counts an AU without positives as 0, absent='error' refuses it.",
            UndefinedMetricWarning,
        )
    return values if average is None else float(nan_mean(values))
