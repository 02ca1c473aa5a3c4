"""Numbers that are none: an error here, because NaN stands for a missing face."""

import numpy as np
import torch

from skfau.estimators._aus import rows_with_face


def refuse_broken_weights(network):
    """Raise FloatingPointError if a weight of a network is not finite."""
    broken = [n for n, p in network.named_parameters() if not torch.isfinite(p).all()]
    if broken:
        raise FloatingPointError(
            f"training diverged: {len(broken)} of the network's weights are not finite "
            f"({broken[0]}, ...). Lower lr."
        )


def refuse_broken_values(values, faces):
    """Raise FloatingPointError if a row that has a face has a value that is not finite.

    Parameters
    ----------
    values : ndarray of shape (n_samples, ...)
        What a network makes of the faces.
    faces : Faces of n_samples rows
        What it was given.
    """
    broken = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not broken.any():
        return
    found = rows_with_face(faces)
    broken &= found
    if broken.any():
        raise FloatingPointError(
            f"{broken.sum()} of {found.sum()} faces get values that are not finite "
            f"(row {np.argmax(broken)} is the first): training diverged, or precision "
            "is too low. Lower lr and fit again, or set precision='float32'. NaN would "
            "say that these rows have no face."
        )
