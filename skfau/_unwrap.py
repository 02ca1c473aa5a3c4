"""The classifier inside pipelines, searches and other meta-estimators."""

import numpy as np
from sklearn.frozen import FrozenEstimator

# Fitted attributes first: `estimator` may be a template that is not fitted.
_INNER = ("best_estimator_", "estimator_", "estimator")
_CALIBRATED = "calibrated_classifiers_"


def find_classifier(model):
    """Return the innermost AU classifier of a fitted model.

    Parameters
    ----------
    model : object
        A fitted AU classifier, or any nesting of pipelines, searches,
        `~sklearn.frozen.FrozenEstimator` and other meta-estimators around one.

    Returns
    -------
    classifier : object or None
        The innermost object that has ``aus_``; None if there is none. An ensemble
        holds several classifiers, so that it is never looked into.
    """
    classifier = None
    for layer, _ in layers(model):
        if hasattr(layer, "aus_"):
            classifier = layer
    return classifier


def find_aus(model):
    """Return the AUs that a fitted model predicts.

    Parameters
    ----------
    model : object
        As in `find_classifier`, or an ensemble.

    Returns
    -------
    aus : sequence of int or None
        ``aus_`` of the outermost object that has it; of an ensemble without, those on
        which its members agree. None if there are none, and where a member was fitted
        to labels of shape (n,): only the ensemble knows of which AU.
    """
    for layer, _ in layers(model):
        if hasattr(layer, "aus_"):
            return layer.aus_
    members = np.ravel(np.asarray(getattr(layer, "estimators_", ()), object))
    if any(map(is_binary, members)):
        return None
    known = {tuple(aus) for aus in map(find_aus, members) if aus is not None}
    return known.pop() if len(known) == 1 else None


def is_binary(model):
    """Return whether a fitted model of a single AU has two classes, no column per AU.

    Parameters
    ----------
    model : object
        Fitted.
    """
    return np.ndim(getattr(model, "classes_", 0)) == 1


def find_thresholds(model):
    """Return from which probability a fitted model calls an AU present.

    Parameters
    ----------
    model : object
        As in `find_classifier`.

    Returns
    -------
    thresholds : ndarray of shape (n_aus,) or float
        ``thresholds_`` of the outermost object that has them, else 0.5.
    """
    found = (getattr(layer, "thresholds_", None) for layer, _ in layers(model))
    return next((each for each in found if each is not None), 0.5)


def find_having(model, name):
    """Return the outermost layer that has an attribute, and the steps before it.

    Parameters
    ----------
    model : object
        As in `find_classifier`, or an ensemble in which one member has it.
    name : str
        Of the attribute.

    Returns
    -------
    layer : object
    steps : tuple of Pipeline
        The transforms before `layer`; see `apply_steps`.

    Raises
    ------
    TypeError
        If none has it, or several members of an ensemble.
    """
    for layer, steps in layers(model):
        found = _having(layer, steps, name)
        if len(found) == 1:
            return found[0]
    raise TypeError(
        f"expected a fitted classifier with {name!r}, or a pipeline or search around "
        f"one, got {type(model).__name__}, in which {type(layer).__name__} has "
        "none."
    )


def _having(layer, steps, name):
    """Return a layer with an attribute, or what has it among an ensemble's members."""
    # What is frozen passes its attributes on, but cannot be cloned or shown as itself.
    if hasattr(layer, name) and not isinstance(layer, FrozenEstimator):
        return [(layer, steps)]
    found = []
    for member in np.ravel(np.asarray(getattr(layer, "estimators_", ()), object)):
        inner = (_having(*each, name) for each in layers(member, steps))
        found += next(filter(None, inner), [])
    return found


def apply_steps(steps, X):
    """Return `X` after the transforms that `find_having` gave."""
    for step in steps:
        X = step.transform(X)
    return X


def parts(model):
    """Yield a fitted model and everything in it that was fitted with it.

    Parameters
    ----------
    model : object
        As in `find_classifier`, or an ensemble.

    Yields
    ------
    part : object
        Unlike `layers`, also the steps of pipelines and the members of ensembles.
    """
    yield model
    for name in ("steps", "transformer_list"):
        for _, part, *_ in getattr(model, name, None) or ():
            yield from parts(part)
    members = getattr(model, "estimators_", getattr(model, _CALIBRATED, None))
    if members is None:
        inner = (getattr(model, name, None) for name in _INNER)
        members = [next((each for each in inner if each is not None), None)]
    for part in np.ravel(np.asarray(members, dtype=object)):
        if part is not None:
            yield from parts(part)


def layers(model, steps=()):
    """Yield a model and all that it wraps, from the outside in.

    Parameters
    ----------
    model : object
        As in `find_classifier`.
    steps : tuple of Pipeline, default=()
        The transforms before `model`.

    Yields
    ------
    layer : object
        The model, the last step of a pipeline, what a search or a meta-estimator
        fitted, or what it will fit. Members of an ensemble are no layers.
    steps : tuple of Pipeline
        The transforms that faces go through before they reach `layer`.
    """
    yield model, steps
    if isinstance(getattr(model, "steps", None), list):
        # A pipeline of one step has nothing before it that could transform.
        steps += (model[:-1],) if len(model.steps) > 1 else ()
        yield from layers(model.steps[-1][1], steps)
    elif not hasattr(model, "estimators_"):
        inner = (getattr(model, name, None) for name in _INNER)
        wrapped = next((each for each in inner if each is not None), None)
        if wrapped is not None:
            yield from layers(wrapped, steps)
