"""Every public estimator, found by itself, in a size that a test can train."""

import inspect

import skfau.estimators
from skfau.estimators import BaseAUClassifier

SMALL = {
    "backbone": "tiny",
    "embedding_dim": 16,
    "channels": 1,
    "crf_iterations": 1,
    "crf_scale": 1,
    "hidden_dim": 96,
    "feed_forward_dim": 64,
    "image_size": 48,
    "schedule": None,
    "lr": 1e-3,
    "lr_decay": 1.0,
    "batch_size": 16,
    "max_epochs": 2,
    "n_threads": 1,
    "random_state": 0,
}
# What a class is small with in place of, or beside, `SMALL`.
OWN = {
    "AUNetClassifier": {
        "backbone": "fan",
        "fan_width": 32,
        "fan_stacks": 1,
        "fan_epochs": 1,
        "interval": 1,
    },
    "DRMLClassifier": {"image_size": 66, "channels": 4},
    "EACNetClassifier": {"channels": 4, "image_size": 32, "lr": 1e-2},
    "JAANetClassifier": {"image_size": 32},
    "MEGraphClassifier": {"node_epochs": 1},
}
# How a classifier learns a few faces by heart, where it is not the usual way.
OVERFITS = {
    "AUNetClassifier": {"max_epochs": 80},
    "DRMLClassifier": {
        "image_size": 82,
        "lr": 3e-3,
        "lr_decay": 0.3,
        "lr_decay_epochs": 22,
        "dropout": 0.0,
    },
    "EACNetClassifier": {"lr": 2e-2, "dropout": 0.0, "image_size": 48},
    "JAANetClassifier": {"lr": 0.1, "max_epochs": 40},
    "WSARLClassifier": {"lr": 0.05, "max_epochs": 60},
}
CLASSIFIERS = [
    cls
    for name in skfau.estimators.__all__
    if inspect.isclass(cls := getattr(skfau.estimators, name))
    and issubclass(cls, BaseAUClassifier)
    and cls is not BaseAUClassifier
]


def make_small(cls, **parameters):
    """Return an instance with `SMALL` and `parameters`, as far as it has them."""
    known = inspect.signature(cls).parameters
    small = {name: value for name, value in SMALL.items() if name in known}
    return cls(**small | OWN.get(cls.__name__, {}) | parameters)
