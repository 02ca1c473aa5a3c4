"""The parameters that all AU classifiers share: constraints, and what is saved."""

from copy import deepcopy
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone

from skfau._validation import Interval, StrOptions
from skfau.estimators._augmentation import FaceAugmentation

COUNT = Interval(Integral, 1, None, closed="left")
WEIGHT = Interval(Real, 0, None, closed="left")
DECAY = Interval(Real, 0, 1, closed="right")

SHARED_CONSTRAINTS = {
    "aus": [tuple, list, np.ndarray, None],
    "image_size": [COUNT],
    "grayscale": ["boolean"],
    "augmentation": [FaceAugmentation, StrOptions({"published"}), None],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "lr_decay": [DECAY],
    "lr_decay_epochs": [COUNT],
    "weight_decay": [WEIGHT],
    "batch_size": [COUNT],
    "max_epochs": [COUNT],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "patience": [COUNT],
    "init_from": "no_validation",
    "warm_start": ["boolean"],
    "checkpoint_dir": "no_validation",
    "callbacks": [list, tuple, None],
    "device": [str, list, tuple],
    "precision": [StrOptions({"auto", "float32", "bfloat16"})],
    "n_threads": [COUNT, None],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}
# Parameters of how and where a fit ran; a loaded classifier has their defaults.
NOT_SAVED = {
    *("init_from", "checkpoint_dir", "feature_cache"),
    *("callbacks", "device", "n_threads"),
}


class SharedParameters:
    """Defaults of the shared parameters, for classifiers that do not take them."""

    _parameter_constraints = SHARED_CONSTRAINTS

    aus = None
    image_size = 224
    grayscale = False
    augmentation = None
    lr = 1e-3
    lr_decay = 1.0
    lr_decay_epochs = 1
    weight_decay = 0.0
    batch_size = 32
    max_epochs = 20
    early_stopping = False
    validation_fraction = 0.2
    patience = 5
    init_from = None
    warm_start = False
    checkpoint_dir = None
    callbacks = None
    device = "auto"
    precision = "auto"
    n_threads = None
    verbose = 0
    random_state = None

    def _set_parameters(self, arguments):
        """Store ``locals()`` of a constructor, unchanged, as scikit-learn asks.

        Forty parameters written out once more per estimator would hide a slip.
        """
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def _named_by(self, aus):
        """Return the parameters that tell one fit's checkpoint from another's.

        What has no lasting name, such as a function, gives way to what it computes for
        these AUs.
        """
        return self.get_params(False)

    def __sklearn_clone__(self):
        # `init_from` is where a fit starts, not a part of it: cloned, it would lose
        # its weights in every fold.
        parameters = self.get_params(deep=False)
        new = type(self)(
            **{
                name: value if name == "init_from" else clone(value, safe=False)
                for name, value in parameters.items()
            }
        )
        # As scikit-learn's own clone: what set_output and set_fit_request chose.
        for name in ("_sklearn_output_config", "_metadata_request"):
            if hasattr(self, name):
                setattr(new, name, deepcopy(getattr(self, name)))
        return new


def kept_parameters(parameters):
    """Return those parameters that `save` writes."""
    return {name: value for name, value in parameters.items() if name not in NOT_SAVED}
