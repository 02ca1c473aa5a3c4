"""The classifier inside pipelines and searches, and the faces that reach it."""

from sklearn.pipeline import Pipeline

# scikit-learn's searches, and meta-estimators such as AUThresholdClassifier.
_WRAPPED = ("best_estimator_", "estimator_")


def layers(estimator):
    """Yield an estimator and all that it wraps, from the outside in.

    Yields
    ------
    model : object
        The estimator, or the last step of a pipeline, or what a search fitted.
    steps : tuple of Pipeline
        The transforms that faces go through before they reach `model`.
    """
    steps = ()
    while estimator is not None:
        yield estimator, steps
        if isinstance(estimator, Pipeline):
            # A pipeline of one step has nothing before it that could transform.
            steps += (estimator[:-1],) if len(estimator) > 1 else ()
            estimator = estimator[-1]
        else:
            inner = (getattr(estimator, name, None) for name in _WRAPPED)
            estimator = next((model for model in inner if model is not None), None)


def find(estimator, name):
    """Return the outermost of `layers` that has the attribute `name`.

    Raises
    ------
    TypeError
        If none has it.
    """
    for model, steps in layers(estimator):
        if hasattr(model, name):
            return model, steps
    raise TypeError(
        f"expected a fitted classifier with {name!r}, or a pipeline or search around "
        f"one, got {type(estimator).__name__}, in which {type(model).__name__} has "
        "none."
    )


def transform(steps, X):
    """Return `X` after the steps that `find` gave."""
    for step in steps:
        X = step.transform(X)
    return X
