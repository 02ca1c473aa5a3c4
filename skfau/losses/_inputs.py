"""Common steps of losses: read a network's outputs, mask unknown labels."""

import torch

from skfau.exceptions import LabelError

__all__ = [
    "as_class_weight",
    "at_least_float32",
    "aux_of",
    "known_labels",
    "logits_of",
    "mean_of_known",
    "weights_of",
]


def at_least_float32(values):
    """Return float16 and bfloat16 tensors as float32, others as they are."""
    return values.float() if values.dtype.itemsize < 4 else values


def logits_of(outputs):
    """Return the logits of ``logits`` or ``(logits, aux)``, at least float32."""
    logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    return at_least_float32(logits)


def aux_of(outputs, name, remedy):
    """Return ``aux[name]`` of ``(logits, aux)``, at least float32."""
    aux = {} if isinstance(outputs, torch.Tensor) else outputs[1]
    if name not in aux:
        raise ValueError(
            f"The loss needs {name!r} from the network. Got "
            f"{sorted(aux) or 'logits only'}. {remedy}"
        )
    return at_least_float32(aux[name])


def known_labels(targets, shape, like):
    """Return labels with 0 for unknown ones, and how much each of them counts.

    Parameters
    ----------
    targets : dict
        Its ``"labels"`` are 0, 1 or NaN for unknown; see `weights_of`.
    shape : tuple of int
        (n, n_aus) of the network's outputs.
    like : Tensor
        The labels get its dtype and device.

    Returns
    -------
    labels : Tensor of shape (n, n_aus)
    share : Tensor of shape (n, n_aus)
        Weight of the face, 0 where the label is unknown.
    """
    labels = targets["labels"]
    if tuple(labels.shape) != tuple(shape):
        raise LabelError(
            f"Labels must have one row per image and one column per AU, {tuple(shape)} "
            f"like the network's outputs. Got {tuple(labels.shape)}."
        )
    labels = labels.to(like)
    share = ~labels.isnan() * weights_of(targets, like).unsqueeze(1)
    return torch.where(share > 0, labels, 0.0), share


def weights_of(targets, like):
    """Return the weight of each face, (n,): ``targets["weight"]``, or 1.

    Parameters
    ----------
    targets : dict
        Its ``"weight"``, if there is one, has shape (n,) and is at least 0.
    like : Tensor of shape (n, ...)
        The weights get its dtype and device.
    """
    if "weight" not in targets:
        return like.new_ones(len(like))
    weight = targets["weight"]
    if tuple(weight.shape) != (len(like),):
        raise ValueError(
            f"targets['weight'] must have one weight per image, ({len(like)},). Got "
            f"{tuple(weight.shape)}."
        )
    return weight.to(like)


def mean_of_known(each, share, class_weight=None):
    """Return the mean of entries times their AU's weight, 0 if none counts.

    Parameters
    ----------
    each : Tensor of shape (...)
        What is averaged; entries that do not count may be anything.
    share : Tensor of shape (...)
        How much each counts, from 0: an entry of 2 is as good as two of 1.
    class_weight : Tensor of shape (n_aus,), default=None
        Factor of the last axis; does not enter the divisor.
    """
    if class_weight is not None:
        each = each * class_weight
    total = share.sum()
    each = torch.where(share > 0, each, 0.0)
    return (share * each).sum() / torch.where(total > 0, total, 1.0)


def as_class_weight(class_weight):
    """Return weights per AU as a float32 tensor, or None."""
    if class_weight is None:
        return None
    weight = torch.as_tensor(class_weight, dtype=torch.float32)
    if weight.ndim != 1 or not (weight.isfinite() & (weight >= 0)).all():
        raise ValueError(
            "class_weight must be one finite weight of at least 0 per AU, shape "
            f"(n_aus,). Got {weight.tolist()}."
        )
    return weight
