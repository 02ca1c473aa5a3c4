"""What the parameters that all AU classifiers share may be, and which are kept."""

from numbers import Integral, Real

import numpy as np

from skfau._validation import Interval, StrOptions
from skfau.estimators._augmentation import FaceAugmentation

SHARED_CONSTRAINTS = {
    "aus": [tuple, list, np.ndarray, None],
    "image_size": [Interval(Integral, 1, None, closed="left")],
    "grayscale": ["boolean"],
    "augmentation": [FaceAugmentation, StrOptions({"published"}), None],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "patience": [Interval(Integral, 1, None, closed="left")],
    "init_from": "no_validation",
    "warm_start": ["boolean"],
    "checkpoint_dir": "no_validation",
    "callbacks": [list, tuple, None],
    "device": [str],
    "precision": [StrOptions({"auto", "float32", "bfloat16"})],
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}
# How and where a fit ran; a loaded classifier starts with the defaults.
NOT_SAVED = {
    *("init_from", "checkpoint_dir", "feature_cache"),
    *("callbacks", "device", "n_threads"),
}


def kept_parameters(estimator):
    """Return the parameters that say what a classifier is."""
    parameters = estimator.get_params(deep=False).items()
    return {name: value for name, value in parameters if name not in NOT_SAVED}
