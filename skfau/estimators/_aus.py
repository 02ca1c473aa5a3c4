"""AUs of y's columns, how often they occur, and which rows have a face."""

import numpy as np
import torch

from skfau._validation import bare_au
from skfau._warn import warn
from skfau.exceptions import LabelError
from skfau.losses import inverse_rate_weights, soft_balance_weights


def resolve_aus(aus, y, n_columns):
    """Return the AU numbers of y's columns as a tuple of int.

    Parameters
    ----------
    aus : sequence of int or None
        The estimator's parameter; None takes the columns of a DataFrame, or counts
        the columns of an array from 0.
    y : array-like or DataFrame
        Labels as the user gave them.
    n_columns : int
        Number of columns of `y`.
    """
    names = getattr(y, "columns", None)
    if names is not None:
        named = tuple(au_number(name) for name in names)
        if aus is not None and tuple(aus) != named:
            raise LabelError(
                f"aus is {tuple(aus)}, but the columns of y are {named}. Pass "
                "aus=None to take the columns, or reorder them."
            )
        return named
    aus = tuple(range(n_columns)) if aus is None else tuple(map(au_number, aus))
    if len(set(aus)) < len(aus):
        raise LabelError(f"aus must name every AU once, got {aus}.")
    if len(aus) != n_columns:
        raise LabelError(
            f"y has {n_columns} columns, but aus names {len(aus)} AUs {aus}. Pass "
            "aus= with one AU number per column, for instance "
            "skfau.facs.DATASET_AUS['disfa']."
        )
    return aus


def au_number(name):
    number = bare_au(name)
    if not isinstance(number, int):
        raise LabelError(
            f"An AU is named by its number, as 12 or 'AU12'; got {name!r}. Rename the "
            "columns of y, or pass numbers."
        )
    return number


def count_labels(labels, aus, weights=None, kept=None):
    """Return positive and known labels per AU, int64 (2, n_aus).

    With `weights` (n,), above 0, the counts are sums of weights, float64.

    An AU without a known label is an error, unless it is among the AUs `kept` from an
    earlier fit; None is no earlier fit. An AU that never occurs is a warning, because
    a rare AU may be absent from a fold.
    """
    if weights is None:
        weights = np.ones(len(labels), np.int64)
    known, positive = weights @ np.isfinite(labels), weights @ (labels == 1)

    def name(which):
        return ", ".join(f"AU{aus[i]}" for i in np.flatnonzero(which))

    _check_known(known == 0, np.isin(aus, () if kept is None else kept), name, kept)
    absent = (positive == 0) & (known > 0)
    if absent.any():
        warn(
            f"{name(absent)} never occurs in the {len(labels)} training rows; "
            "its probabilities will say nothing. Leave it out, or use folds that "
            "balance the AUs (skfau.model_selection.SubjectKFold).",
        )
    return np.stack([positive, known])


def _check_known(unknown, is_kept, name, kept):
    # A fit that knows no label at all would train nothing.
    refused = unknown & ~(is_kept & ~unknown.all())
    if refused.any():
        asked = "" if kept is None else ", or pass init_from= with a classifier of it"
        raise LabelError(
            f"Every training label of {name(refused)} is NaN; an AU needs at least "
            f"one known label. Leave it out of y and aus{asked}."
        )


def class_weights(kind, label_counts, **soft_balance):
    """Return the weight of every AU in a label loss, float32 (n_aus,), or None.

    Parameters
    ----------
    kind : {"soft_balance", "inverse_rate"} or None
        None gives all AUs the same weight.
    label_counts : ndarray of shape (2, n_aus)
        What `count_labels` returns. An AU without a known label gets 0, and the others
        are weighed as if it were not there.
    """
    if kind is None:
        return None
    positive, known = label_counts
    taught = known > 0
    if not taught.any():
        return torch.ones(len(known))
    positive, known = positive[taught], known[taught]
    weights = torch.zeros(len(taught))
    weights[torch.from_numpy(taught)] = (
        soft_balance_weights(positive, **soft_balance)
        if kind == "soft_balance"
        else inverse_rate_weights(positive / known)
    )
    return weights


def rows_with_face(faces):
    """Return which rows have at least one finite landmark, bool (n,).

    Without landmarks it is unknown which faces are missing, so all rows count.
    """
    landmarks = faces.landmarks
    if landmarks is None:
        return np.ones(len(faces), bool)
    return np.isfinite(landmarks).any(axis=(1, 2))


def drop_rows(faces, labels, weights):
    """Leave rows without a face, and those of weight 0, out of the training data.

    The weights that are returned are `relative_weights`.
    """
    kept = rows_with_face(faces)
    if not kept.any():
        raise LabelError(
            f"fit needs at least one row with a face; all {len(faces)} rows have NaN "
            "landmarks. The `status` column of FaceAligner's output says why."
        )
    kept &= weights > 0
    if not kept.any():
        raise ValueError("sample_weight is zero for all rows that have a face.")
    weights = relative_weights(weights[kept])
    if kept.all():
        return faces, labels, weights
    return faces[kept], labels[kept], weights


def relative_weights(weights):
    """Return weights of rows, float64 (n,), with mean 1; None if all weigh alike."""
    if (weights == weights[0]).all():
        return None
    # The sum of very large weights would overflow.
    weights = weights / weights.max()
    return weights / weights.mean()
