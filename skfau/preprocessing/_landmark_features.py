"""Landmarks of aligned faces as rows of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from skfau._subjects import RemembersSubjects
from skfau._tables import name_rows
from skfau._validation import StatelessMixin, check_faces

if TYPE_CHECKING:
    from skfau.faces import Faces

# The points used. Left out are the face's outline, which tells more of the person than
# of AUs, and the inner mouth corners, which layouts of 49 and 66 points lack.
_POINTS = np.setdiff1d(np.arange(17, 68), [60, 64])


class LandmarkFeatures(
    RemembersSubjects, StatelessMixin, TransformerMixin, BaseEstimator
):
    """Positions of the landmarks of brows, eyes, nose and mouth in an aligned face.

    Attributes
    ----------
    train_subjects_ : tuple of str
        Digests of the names of the subjects in `fit`; scorers warn of rows that show
        them again, since classifiers behind see features only.

    See Also
    --------
    HOGFeatures : Features of the pixels.
    skfau.estimators.landmark_baseline : A classifier on top.

    Notes
    -----
    Use it after `FaceAligner`, which removes the head's place, size and roll. No pixel
    is read. The points are the 49 that all layouts of `skfau.facs.to_68` have.

    Examples
    --------
    >>> from skfau import FaceAligner
    >>> from skfau.datasets import make_faces
    >>> from skfau.preprocessing import LandmarkFeatures
    >>> faces = make_faces(n_subjects=2, n_frames=3, image_size=48, random_state=0).data
    >>> aligned = FaceAligner(output_size=64).fit_transform(faces)
    >>> LandmarkFeatures().fit_transform(aligned).shape
    (6, 98)
    """

    def fit(self, X: Faces, y: None = None) -> Self:
        """Check that there are landmarks; nothing is learned.

        Parameters
        ----------
        X : Faces
            With landmarks.
        y : None
            Ignored.

        Returns
        -------
        self : LandmarkFeatures
            This transformer.

        Raises
        ------
        TypeError, MissingColumnError
            If `X` is not `Faces`, or has no landmarks.
        """
        check_faces(X, need=("landmarks",))
        self._remember_subjects(X)
        return self

    def transform(self, X: Faces) -> NDArray[np.float32]:
        """Return the positions.

        Parameters
        ----------
        X : Faces
            With landmarks, of one size.

        Returns
        -------
        features : ndarray of shape (n_samples, 98), dtype float32
            x and y, point by point, from the middle of the image, in units of the
            image's width; NaN in rows without a face. After
            ``set_output(transform="pandas")`` a DataFrame, whose index names the faces.

        Raises
        ------
        TypeError, MissingColumnError
            If `X` is not `Faces`, or has no landmarks.
        """
        faces = check_faces(X, need=("landmarks",))
        height, width = faces.image_shape[:2]
        middle = np.float32([width - 1, height - 1]) / 2
        places = (faces.landmarks[:, _POINTS] - middle) / np.float32(width)
        return name_rows(self, places.reshape(len(faces), -1), faces)

    def get_feature_names_out(self, input_features: None = None) -> NDArray[np.object_]:
        """Return ``"x17"``, ``"y17"``, ..., by the number of the landmark, from 0.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of shape (98,), dtype object
        """
        return np.array([f"{axis}{k}" for k in _POINTS for axis in "xy"], dtype=object)
