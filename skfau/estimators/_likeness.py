"""What kind of faces a classifier was trained on, and whether others are like them."""

from typing import NamedTuple

import numpy as np

from skfau._warn import warn
from skfau.estimators._aus import rows_with_face
from skfau.exceptions import UnlikeTrainingWarning

_LOOKED_AT = 4  # faces that are decoded to tell the kind of all


class FaceKind(NamedTuple):
    """What a network gets used to.

    Attributes
    ----------
    aligned : bool
        Whether an aligner placed the faces: it adds the column ``matrix``.
    shape : tuple of int
        Height and width of the first face, pixels.
    gray : bool
        Whether the first faces have no colours.
    """

    aligned: bool
    shape: tuple
    gray: bool


def kind_of(faces):
    """Return the `FaceKind` of some faces; None if no row has a face."""
    rows = np.flatnonzero(rows_with_face(faces))[:_LOOKED_AT]
    if not len(rows):
        return None
    images = faces.read(rows)
    gray = all((image == image[..., :1]).all() for image in images)
    # An empty image is neither grey nor coloured.
    empty = all((image == image[:1, :1]).all() for image in images)
    return FaceKind("matrix" in faces.columns, images[0].shape[:2], gray and not empty)


def kind_in(header):
    """Return the `FaceKind` in a file's header; older files have none.

    Raises
    ------
    ValueError
        If it is something else.
    """
    kind = header.get("trained_on")
    if kind is None:
        return None
    aligned, (height, width), gray = kind
    if not (type(aligned) is type(gray) is bool and type(height) is type(width) is int):
        raise ValueError(f"its training faces are {str(kind)[:60]}")
    return FaceKind(aligned, (height, width), gray)


def warn_unlike(trained, faces, grayscale):
    """Warn once if faces are of another kind than those that a network has seen.

    Parameters
    ----------
    trained : FaceKind or None
        Of the training faces; None tells nothing.
    faces : Faces
        Those that are given now.
    grayscale : bool
        Whether the network sees no colours anyway.
    """
    given = None if trained is None else kind_of(faces)
    if given is None:
        return
    unlike = []
    # An array of crops has lost its columns, and may well be aligned.
    crops = not faces.columns and given.shape == trained.shape
    if trained.aligned and not given.aligned and not crops:
        unlike.append("not aligned (they have no column 'matrix' of an aligner)")
    if len(set(trained.shape)) == 1 and len(set(given.shape)) == 2:
        height, width = given.shape
        unlike.append(f"not square ({width} x {height} pixels)")
    if given.gray and not trained.gray and not grayscale:
        unlike.append("grey")
    if unlike:
        warn(
            "this classifier was trained on other faces: these "
            f"{len(faces)} are {', and '.join(unlike)}. Its probabilities are worth "
            "little. Prepare faces as in training, best by a Pipeline of FaceAligner "
            "and the classifier.",
            UnlikeTrainingWarning,
        )
