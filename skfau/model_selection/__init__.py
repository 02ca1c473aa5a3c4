"""Folds of subjects, out-of-fold probabilities, thresholds, smoothing and votes."""

from skfau.model_selection._adapted import AdaptedAUClassifier
from skfau.model_selection._calibrated import CalibratedAUClassifier
from skfau.model_selection._compare import compare, cross_dataset_scores
from skfau.model_selection._out_of_fold import oof_predict_proba
from skfau.model_selection._published_kfold import PublishedKFold
from skfau.model_selection._smoothing import ProbabilitySmoother, SmoothedClassifier
from skfau.model_selection._split import (
    SubjectKFold,
    subject_train_test_split,
    subject_weights,
)
from skfau.model_selection._threshold import AUThresholdClassifier, best_f1_thresholds
from skfau.model_selection._vote import AUVotingClassifier

__all__ = [
    "AUThresholdClassifier",
    "AUVotingClassifier",
    "AdaptedAUClassifier",
    "CalibratedAUClassifier",
    "ProbabilitySmoother",
    "PublishedKFold",
    "SmoothedClassifier",
    "SubjectKFold",
    "best_f1_thresholds",
    "compare",
    "cross_dataset_scores",
    "oof_predict_proba",
    "subject_train_test_split",
    "subject_weights",
]
