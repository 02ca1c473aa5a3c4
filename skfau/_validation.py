"""What estimators share: checks of their input, and scikit-learn's private helpers.

No other file imports private names of scikit-learn.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)
from sklearn.utils.metaestimators import _BaseComposition

from skfau._columns import as_numbers
from skfau._image_objects import is_of_pil
from skfau.exceptions import FaceImageError, LabelError, MissingColumnError
from skfau.faces import Faces

if TYPE_CHECKING:
    # scikit-learn's own have no types, and would hide those of what they decorate.
    _Function = TypeVar("_Function", bound=Callable[..., Any])

    def _fit_context(
        *, prefer_skip_nested_validation: bool
    ) -> Callable[[_Function], _Function]: ...

    def validate_params(
        constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
    ) -> Callable[[_Function], _Function]: ...

else:
    from sklearn.base import _fit_context
    from sklearn.utils._param_validation import validate_params

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StatelessMixin",
    "StrOptions",
    "_BaseComposition",
    "_fit_context",
    "bare_au",
    "check_au_labels",
    "check_au_names",
    "check_faces",
    "check_sample_weight",
    "validate_params",
]

_REMEDIES = {
    "landmarks": (
        "pass Faces(images, landmarks=...) or put a FaceAligner with a detector first"
    ),
    "heatmaps": "put ROIHeatmaps() first in the pipeline",
    "mesh": "put FaceAligner(mesh=True) first in the pipeline",
    "video": "temporal models need faces.with_columns(video=..., frame=...)",
    "frame": "temporal models need faces.with_columns(video=..., frame=...)",
}


def check_faces(X, *, need=()):
    """Return ``X`` as `Faces` that have the columns a caller needs.

    Parameters
    ----------
    X : Faces, or array of shape (n, H, W, 3), dtype uint8, or list of images
        Faces come back unchanged; RGB images are wrapped. For the other kinds of images
        see `Faces`.
    need : sequence of str, default=()
        Columns that must be present.

    Returns
    -------
    Faces
        With at least one row.

    Raises
    ------
    TypeError
        If ``X`` is neither.
    FaceImageError
        If ``X`` is an array of something else than uint8 images, or has no rows.
    MissingColumnError
        If a needed column is absent; the message says how to provide it.
    """
    if _holds_pixels(X):
        X = Faces(X)
    if not isinstance(X, Faces):
        raise TypeError(
            "X must be Faces or images (a uint8 array of shape (n, H, W, 3), or a list "
            f"of arrays, tensors or images of PIL), got {type(X)}; wrap image paths as "
            "skfau.Faces(paths)."
        )
    if not len(X):
        raise FaceImageError(
            "found 0 samples (shape=(0,)) while a minimum of 1 is required."
        )
    for name in need:
        if name not in X.columns:
            remedy = _REMEDIES.get(name, f"add it with faces.with_columns({name}=...)")
            raise MissingColumnError(
                f"X has no column {name!r} (it has {', '.join(X.columns) or 'none'}); "
                f"{remedy}."
            )
    return X


def _holds_pixels(X):
    """Say whether something is images and no paths, which `Faces` may wrap."""
    if isinstance(X, (list, tuple)):
        return bool(X) and not isinstance(X[0], (str, os.PathLike))
    if hasattr(X, "__array__") and hasattr(X, "dtype"):
        return np.asarray(X).dtype.kind not in "OUS"
    return is_of_pil(X)


def check_au_labels(y, n_samples=None, n_aus=None):
    """Return AU labels as float32 in {0, 1, NaN}.

    Parameters
    ----------
    y : array-like of shape (n, n_aus)
        0 absent, 1 present, NaN (or None, NA, or masked) not known.
    n_samples, n_aus : int, default=None
        Shape that ``y`` must have; None accepts any.

    Returns
    -------
    ndarray of shape (n, n_aus), dtype float32
        A copy unless ``y`` is such an array already.

    Raises
    ------
    LabelError
        If ``y`` is not 2-D, has another shape, or holds any other value.
    """
    if y is None:
        raise LabelError(
            "fit requires y to be passed, but the target y is None; pass AU labels of "
            "shape (n, n_aus)."
        )
    try:
        labels = as_numbers(y)
    except (TypeError, ValueError) as error:
        raise LabelError(
            f"y must be a numeric array of shape (n, n_aus), got {type(y)}: {error}"
        ) from error
    if labels.dtype.kind not in "fiub":
        raise LabelError(
            f"y must be numeric, of shape (n, n_aus), got dtype {labels.dtype}."
        )
    if labels.ndim != 2:
        raise LabelError(
            f"y must have shape (n, n_aus), got {labels.shape}; for a single AU pass "
            "y.reshape(-1, 1), shape (n, 1)."
        )
    if n_samples is not None and len(labels) != n_samples:
        raise LabelError(f"X has {n_samples} rows but y has {len(labels)}.")
    if n_aus is not None and labels.shape[1] != n_aus:
        raise LabelError(f"expected y with {n_aus} AU columns, got {labels.shape[1]}.")
    wrong = ~((labels == 0) | (labels == 1) | np.isnan(labels))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise LabelError(
            f"AU labels must be 0, 1 or NaN (not known), got {labels[row, column]!s} "
            f"in row {row}, column {column} of y. Turn codes for 'not known' (9 in "
            "BP4D, 999 in EmotioNet, -1) into NaN and intensities into 0/1. If y was "
            'fine, cross_val_predict(method="predict_proba") re-encoded it: use '
            "skfau.model_selection.oof_predict_proba."
        )
    return labels.astype(np.float32, copy=False)


def check_sample_weight(sample_weight, n_samples):
    """Return one weight per row as float64; None is 1 for all.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        Finite, at least 0, one of them above 0.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n_samples,), dtype float64

    Raises
    ------
    ValueError
        If it has another shape or other values.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    try:
        weights = as_numbers(sample_weight).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "sample_weight must be numbers, one per row, got "
            f"{type(sample_weight)}: {error}"
        ) from error
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must be one weight per row, shape ({n_samples},), got "
            f"{weights.shape}."
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = np.argmax(wrong)
        raise ValueError(
            f"sample_weight must be finite and at least 0, got {weights[row]} in row "
            f"{row}."
        )
    if not weights.any():
        raise ValueError(
            f"sample_weight is zero for all {n_samples} rows; nothing would count."
        )
    return weights


def check_au_names(y, aus, owner, name="y"):
    """Raise if a DataFrame's columns are other AUs than ``aus``, or in another order.

    Parameters
    ----------
    y : array-like of shape (n, n_aus)
        Only a DataFrame names its columns; all else passes.
    aus : sequence of int or str, or None
        4, "AU4" or "AU04"; None passes.
    owner, name : str
        What has these AUs, and what `y` is called, for the message.

    Raises
    ------
    LabelError
        If the columns are others.
    """
    names = getattr(y, "columns", None)
    if names is None or aus is None:
        return
    if [bare_au(name) for name in names] != [bare_au(au) for au in aus]:
        raise LabelError(
            f"the columns of {name} are {tuple(names)}, but those of {owner} are "
            f"{tuple(aus)}. Take {name}[...] of the same columns in the same order."
        )


def bare_au(name):
    """Return the number that names an AU, as 4, "AU4" or "AU04"; else the name."""
    text = str(name).upper().removeprefix("AU")
    return int(text) if text.isdecimal() else text


class StatelessMixin:
    """Tell scikit-learn that a transformer takes faces, and needs no `fit`."""

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        # Pixels become float32, whatever they were.
        tags.transformer_tags.preserves_dtype = []
        return tags
