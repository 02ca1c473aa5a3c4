"""Exceptions, each also the ``ValueError`` that scikit-learn users expect."""

__all__ = [
    "DatasetError",
    "DatasetWarning",
    "FaceImageError",
    "LabelError",
    "MissingColumnError",
    "MissingFaceError",
    "MissingFaceWarning",
    "SeveralFacesWarning",
    "SkfauError",
    "SubjectOverlapWarning",
]


class SkfauError(Exception):
    """Base class of errors in faces, labels or data sets.

    Invalid parameters raise ``ValueError`` or ``TypeError``, as in scikit-learn.
    """


class DatasetError(SkfauError, ValueError):
    """A data set on disk has a layout that its loader cannot read without guessing.

    The message names the file, or the parameter that settles what is ambiguous.
    """


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


class DatasetWarning(UserWarning):
    """A copy of a data set is not the published one, or parts of a table are not read.

    The message counts what is left out.
    """


class MissingFaceWarning(UserWarning):
    """Some rows have no face; they stay in place with NaN landmarks."""


class SeveralFacesWarning(UserWarning):
    """Some images show several faces, and one of them is used."""


class SubjectOverlapWarning(UserWarning):
    """Rows that are scored show subjects that the classifier was trained on."""
