"""Every public estimator, found by itself, in a size that a test can train."""

import inspect

import skfau.estimators

SMALL = {
    "backbone": "tiny",
    "embedding_dim": 16,
    "channels": 1,
    "crf_iterations": 1,
    "crf_scale": 1,
    "hidden_dim": 96,
    "feed_forward_dim": 64,
    "image_size": 48,
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
}
CLASSIFIERS = [
    cls
    for name in skfau.estimators.__all__
    if hasattr(cls := getattr(skfau.estimators, name), "predict_proba")
]


def make_small(cls, **parameters):
    """Return an instance with `SMALL` and `parameters`, as far as it has them."""
    known = inspect.signature(cls).parameters
    small = {name: value for name, value in SMALL.items() if name in known}
    return cls(**small | OWN.get(cls.__name__, {}) | parameters)
