"""Scores per AU that know unknown labels, and their spread over subjects."""

from skfau.metrics._bootstrap import BootstrapInterval, bootstrap_ci
from skfau.metrics._comparison import compare_predictions
from skfau.metrics._comparison_table import Comparison
from skfau.metrics._dependency import (
    au_adjacency,
    au_adjacency_distance,
    au_dependency_f1_score,
)
from skfau.metrics._paired_tests import (
    McNemarTest,
    PairedBootstrap,
    PairedTTest,
    mcnemar_test,
    paired_bootstrap_test,
    paired_t_test,
)
from skfau.metrics._ranking import au_average_precision_score, au_roc_auc_score
from skfau.metrics._score_table import ScoreTable, score_table
from skfau.metrics._scorers import au_scorer, f1_scorer, per_au_f1_scorer
from skfau.metrics._scores import (
    au_accuracy_score,
    au_f1_score,
    au_skew_normalized_f1_score,
    fold_mean_f1,
)

__all__ = [
    "BootstrapInterval",
    "Comparison",
    "McNemarTest",
    "PairedBootstrap",
    "PairedTTest",
    "ScoreTable",
    "au_accuracy_score",
    "au_adjacency",
    "au_adjacency_distance",
    "au_average_precision_score",
    "au_dependency_f1_score",
    "au_f1_score",
    "au_roc_auc_score",
    "au_scorer",
    "au_skew_normalized_f1_score",
    "bootstrap_ci",
    "compare_predictions",
    "f1_scorer",
    "fold_mean_f1",
    "mcnemar_test",
    "paired_bootstrap_test",
    "paired_t_test",
    "per_au_f1_scorer",
    "score_table",
]
