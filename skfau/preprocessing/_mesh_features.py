"""The mesh of aligned faces as rows of numbers."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from skfau._subjects import RemembersSubjects
from skfau._tables import name_rows
from skfau._validation import StatelessMixin, check_faces
from skfau.preprocessing._similarity import apply_similarity, fit_similarity

if TYPE_CHECKING:
    from skfau.faces import Faces

# Points that AUs hardly move: forehead, temples, eye corners, nose.
# fmt: off
STABLE = np.array([
    10, 151, 9, 21, 251, 54, 284, 162, 389, 127, 356, 234, 454, 33, 133, 362, 263,
    168, 6, 197, 195, 5, 4, 1, 2, 98, 327,
])
# fmt: on
_BLOCK = 4096  # faces that are moved at once


@cache
def mean_mesh():
    """Return the mean mesh (468, 2), and each point's partner in the other half.

    It is symmetric about x = 0, its outer eye corners are one apart, and it is the mean
    of meshes found on rendered faces.
    """
    with (files("skfau.preprocessing") / "_models" / "mean_mesh.npy").open(
        "rb"
    ) as file:
        mean = np.load(file).astype(np.float64)
    mirrored = mean * [-1, 1]
    apart = ((mean[:, None] - mirrored) ** 2).sum(axis=2)
    return mean, apart.argmin(axis=1)


def mesh_columns():
    """Return the points whose x are features, and those whose y are."""
    partner = mean_mesh()[1]
    number = np.arange(len(partner))
    return number[number < partner], number[number <= partner]


class MeshFeatures(RemembersSubjects, StatelessMixin, TransformerMixin, BaseEstimator):
    """Shape of the face's mesh, the same for both halves.

    Each mesh is brought to a mean mesh by one similarity, fitted to points that AUs
    hardly move (forehead, temples, eye corners, nose). The features say how far the
    points then are from those of the mean mesh, as the mean of the left and the
    mirrored right half. They do not depend on place, size and roll of the face in the
    photograph, nor on the template of the alignment.

    Attributes
    ----------
    train_subjects_ : tuple of str
        Digests of the names of the subjects in `fit`; scorers warn of rows that show
        them again, since classifiers behind see features only.

    See Also
    --------
    LandmarkFeatures : Features of the 68 landmarks.
    FaceAligner : ``FaceAligner(mesh=True)`` finds the mesh.

    Notes
    -----
    What only one half of the face does counts half. Depth is left out: it is what the
    network knows least of. No pixel is read.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> from skfau import Faces
    >>> from skfau.preprocessing import FaceAligner, MeshFeatures
    >>> aligned = FaceAligner(mesh=True).fit_transform(Faces(astronaut()[None]))
    >>> aligned.mesh.shape, MeshFeatures().fit_transform(aligned).shape
    ((1, 468, 3), (1, 468))
    """

    def fit(self, X: Faces, y: None = None) -> Self:
        """Check that there is a mesh; nothing is learned.

        Parameters
        ----------
        X : Faces
            With the column ``mesh``.
        y : None
            Ignored.

        Returns
        -------
        self : MeshFeatures
            This transformer.

        Raises
        ------
        TypeError, MissingColumnError
            If `X` is not `Faces`, or has no mesh.
        """
        check_faces(X, need=("mesh",))
        self._remember_subjects(X)
        return self

    def transform(self, X: Faces) -> NDArray[np.float32]:
        """Return the shapes.

        Parameters
        ----------
        X : Faces
            With the column ``mesh``, in pixels of any image.

        Returns
        -------
        features : ndarray of shape (n_samples, 468), dtype float32
            The x of 220 pairs of points, then the y of these and of the 28 points in
            the middle, in distances of the outer eye corners; NaN in rows without a
            face. After ``set_output(transform="pandas")`` a DataFrame, whose index
            names the faces.

        Raises
        ------
        TypeError, MissingColumnError
            If `X` is not `Faces`, or has no mesh.
        """
        faces = check_faces(X, need=("mesh",))
        mean, partner = mean_mesh()
        across, along = mesh_columns()
        features = np.empty((len(faces), len(across) + len(along)), np.float32)
        for start in range(0, len(faces), _BLOCK):
            rows = slice(start, start + _BLOCK)
            mesh = faces.column("mesh", rows)[..., :2]
            to_mean = fit_similarity(mesh[:, STABLE], mean[STABLE])
            shape = apply_similarity(to_mean, mesh) - mean
            shape = (shape + shape[:, partner] * [-1, 1]) / 2
            features[rows, : len(across)] = shape[:, across, 0]
            features[rows, len(across) :] = shape[:, along, 1]
        return name_rows(self, features, faces)

    def get_feature_names_out(self, input_features: None = None) -> NDArray[np.object_]:
        """Return ``"x0"``, ..., then ``"y0"``, ..., by the number of the mesh point.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of shape (468,), dtype object
        """
        names = [
            f"{axis}{k}"
            for axis, points in zip("xy", mesh_columns(), strict=True)
            for k in points
        ]
        return np.array(names, dtype=object)
