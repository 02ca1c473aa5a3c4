"""A single AU in the shapes of scikit-learn's binary tools.

Labels of shape (n,) ask for them, a column (n, 1) does not. `classes_` keeps what was
asked for: shape (2,) in place of (n_aus, 2).
"""

import numpy as np

from skfau._unwrap import is_binary
from skfau._validation import bare_au
from skfau._warn import warn
from skfau.exceptions import MissingFaceWarning


def is_vector(y):
    """Return whether labels, array-like, are of a single AU and shape (n,)."""
    if hasattr(y, "shape"):
        return len(y.shape) == 1
    if hasattr(y, "__array__"):
        return np.asarray(y).ndim == 1
    return isinstance(y, (list, tuple)) and all(np.ndim(label) == 0 for label in y)


def as_columns(y):
    """Return labels with a column per AU: (n,) becomes (n, 1), all else stays.

    A Series that is named like an AU becomes a table, whose column has that name.
    """
    if not is_vector(y):
        return y
    if hasattr(y, "to_frame") and isinstance(bare_au(y.name), int):
        return y.to_frame()
    # A masked array keeps its mask.
    return (y if isinstance(y, np.ndarray) else np.asarray(y)).reshape(-1, 1)


def classes_of(y):
    """Return `classes_` of a fit to labels that were checked before."""
    return two_classes(np.asarray(as_columns(y)).shape[1], binary=is_vector(y))


def two_classes(n_aus, *, binary=False):
    """Return `classes_`: two for every AU, as one 2-D array, or (2,) for a single AU.

    All scorers of scikit-learn accept the first form, for one, two or more AUs.
    """
    return np.array([0, 1]) if binary else np.tile([0, 1], (n_aus, 1))


def au_columns(model, response, n_aus=1):
    """Return what a fitted model predicts with a column per AU.

    Parameters
    ----------
    model : object
        Fitted; may be a classifier of scikit-learn.
    response : ndarray or DataFrame
        Of its ``predict``, (n,) or (n, n_aus), or ``predict_proba``, (n, 2) or
        (n, n_aus), which is returned as it is.
    n_aus : int, default=1
        AUs that are wanted. Only a single one has two classes.

    Returns
    -------
    columns : ndarray or DataFrame of shape (n, n_aus)
    """
    if n_aus != 1 or not is_binary(model):
        return response
    if np.ndim(response) == 1:
        return np.reshape(response, (-1, 1))
    if np.shape(response)[1] != len(model.classes_):
        return response
    present = np.flatnonzero(np.asarray(model.classes_) == 1)
    if not len(present):
        return np.zeros((len(response), 1), np.float32)
    return getattr(response, "iloc", response)[:, present]


def au_probabilities(model, X, n_aus):
    """Return the probabilities of a fitted model with a column per AU."""
    return au_columns(model, model.predict_proba(X), n_aus)


def warn_of_missing(response):
    """Warn of NaN in what a binary classifier predicts, (n, 1).

    Tools of scikit-learn take it without a word for an absent AU, and learn from it.
    """
    n_missing = int(np.isnan(np.asarray(response)).sum())
    if n_missing:
        warn(
            f"{n_missing} of {len(response)} rows have no face and are predicted as "
            "NaN. Tools of scikit-learn for two classes learn and tell something wrong "
            "of such rows, or fail: leave the rows out, or pass labels of shape (n, 1) "
            "to fit and use the tools of skfau.model_selection.",
            MissingFaceWarning,
        )


def with_absence(probabilities):
    """Return probabilities of both classes, (n, 2), of those of a single AU, (n, 1)."""
    warn_of_missing(probabilities)
    if not hasattr(probabilities, "iloc"):
        return np.hstack([1 - probabilities, probabilities])
    (name,) = probabilities.columns
    present = probabilities[name]
    return probabilities.assign(**{f"no_{name}": 1 - present})[[f"no_{name}", name]]


def as_occurrence(called, *, binary):
    """Return calls in {0, 1, NaN}, (n, n_aus), as `predict` of a fit is to give them.

    Of a single AU that is (n,), int64 unless a row has no face: tools of scikit-learn
    count classes.
    """
    if not binary:
        return called
    called = called[:, 0]
    return called if np.isnan(called).any() else called.astype(np.int64)
