"""The scores that have a name, for scorers and for the bootstrap."""

from typing import NamedTuple

from skfau.metrics._counts import accuracy_of, f1_of, skew_normalized_f1_of
from skfau.metrics._pairs import resampled_auc
from skfau.metrics._ranking import au_average_precision_score, au_roc_auc_score
from skfau.metrics._scores import (
    au_accuracy_score,
    au_f1_score,
    au_skew_normalized_f1_score,
)


class Metric(NamedTuple):
    """A score function, what it is computed from, and what an estimator must say."""

    function: callable
    of_counts: callable
    response: str
    of_pairs: callable = None


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
    """Return the entry of `METRICS`, or say which names there are."""
    if name not in METRICS:
        raise ValueError(f"metric must be one of {tuple(METRICS)}, got {name!r}")
    return METRICS[name]
