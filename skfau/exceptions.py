"""Exceptions, each also the ``ValueError`` that scikit-learn users expect."""

__all__ = [
    "FaceImageError",
    "LabelError",
    "MissingColumnError",
    "MissingFaceError",
    "MissingFaceWarning",
    "SkfauError",
]


class SkfauError(Exception):
    """Base class: ``except SkfauError`` catches everything the library raises."""


class FaceImageError(SkfauError, ValueError):
    """An image is missing, truncated, or of a shape or dtype that is not a face image.

    The message names the row and, where there is one, the file.
    """


class MissingFaceError(SkfauError, ValueError):
    """No face was found in a row and ``on_missing="raise"`` was asked for."""


class MissingColumnError(SkfauError, ValueError):
    """`Faces` lack a column (landmarks, subject, ...) that the call needs."""


class LabelError(SkfauError, ValueError):
    """AU labels hold something other than 0, 1 and NaN, or do not fit the faces."""


class MissingFaceWarning(UserWarning):
    """Some rows have no face; they stay in place with NaN landmarks."""
