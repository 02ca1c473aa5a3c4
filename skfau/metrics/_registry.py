"""Scores by name, for scorers and for the bootstrap."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skfau.metrics._counts import accuracy_of, f1_of, skew_normalized_f1_of
from skfau.metrics._ranking import au_average_precision_score, au_roc_auc_score
from skfau.metrics._scores import (
    au_accuracy_score,
    au_f1_score,
    au_skew_normalized_f1_score,
)


class Metric(NamedTuple):
    """A score, its forms for the bootstrap, and the method of an estimator it needs."""

    function: Callable[..., Any]
    of_counts: Callable[..., Any]
    response: str
    of_pairs: Callable[..., Any] | None = None


def resampled_auc(labels, scores, subjects, weights):
    """Score one AU on every resample of the subjects.

    The area is the share of pairs of a positive and a negative frame in which the
    positive one scores higher. A subject that is drawn again repeats its frames, so
    pairs between two subjects are counted once and weighted in every resample.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        0, 1 or NaN.
    scores : ndarray of shape (n_samples,)
        Higher means more likely present; NaN where there is no face.
    subjects : ndarray of shape (n_samples,), dtype int
        Subject number of every row.
    weights : ndarray of shape (n_resamples, n_subjects)
        How often each resample draws each subject.

    Returns
    -------
    areas : ndarray of shape (n_resamples,), dtype float64
        NaN without a positive or without a negative.
    n_known : ndarray of shape (n_resamples,), dtype float64
        Rows that count.
    """
    n_subjects = weights.shape[1]
    weights = weights.astype(np.float64)
    known = ~(np.isnan(labels) | np.isnan(scores))
    positive, negative = known & (labels == 1), known & (labels == 0)
    positive_scores, winners = scores[positive], subjects[positive]
    higher = np.empty((n_subjects, n_subjects))
    for subject in range(n_subjects):
        negative_scores = np.sort(scores[negative & (subjects == subject)])
        below, up_to = (
            np.searchsorted(negative_scores, positive_scores, side)
            for side in ("left", "right")
        )
        # Ties count one half.
        higher[:, subject] = np.bincount(winners, (below + up_to) / 2, n_subjects)
    n_positive = weights @ np.bincount(winners, minlength=n_subjects)
    n_negative = weights @ np.bincount(subjects[negative], minlength=n_subjects)
    pairs = n_positive * n_negative
    won = np.sum((weights @ higher) * weights, axis=1)
    areas = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return areas, n_positive + n_negative


METRICS = {
    "f1": Metric(au_f1_score, f1_of, "predict"),
    "skew_normalized_f1": Metric(
        au_skew_normalized_f1_score, skew_normalized_f1_of, "predict"
    ),
    "accuracy": Metric(au_accuracy_score, accuracy_of, "predict"),
    "roc_auc": Metric(au_roc_auc_score, None, "predict_proba", resampled_auc),
    "average_precision": Metric(au_average_precision_score, None, "predict_proba"),
}


def get_metric(name):
    """Return the entry of `METRICS`; raise if there is none."""
    if name not in METRICS:
        raise ValueError(f"metric must be one of {tuple(METRICS)}, got {name!r}")
    return METRICS[name]
