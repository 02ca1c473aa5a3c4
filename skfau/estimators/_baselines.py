"""Chains without a network: aligned faces, features, a linear classifier per AU."""

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skfau.estimators._linear import AULinearSVC, AULogisticRegression
from skfau.facs import DATASET_AUS
from skfau.preprocessing import (
    FaceAligner,
    HOGFeatures,
    LandmarkFeatures,
    LBPFeatures,
)

_DESCRIPTORS = {"hog": HOGFeatures, "lbp": LBPFeatures}


def hog_baseline(
    features="hog", *, output_size=112, C=1e-4, aus=DATASET_AUS["bp4d"], **options
):
    """Return the classical chain: align, describe, standardise, one machine per AU.

    What detectors of AUs were before networks, and what networks have to beat. It
    learns from hundreds of faces in seconds, on any computer.

    Parameters
    ----------
    features : {"hog", "lbp"}, default="hog"
        `HOGFeatures` or `LBPFeatures`.
    output_size : int, default=112
        Side of the aligned faces, pixels.
    C : float, default=0.0001
        Of `AULinearSVC`.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y.
    **options : dict
        More parameters of the features, such as ``cell_size``.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Of the steps ``align``, ``features``, ``scale`` and ``svm``, which take part in
        `cross_val_score`, `GridSearchCV` and all else that takes a classifier.

    Raises
    ------
    ValueError
        If `features` is something else.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import hog_baseline
    >>> faces = make_faces(n_subjects=6, n_frames=8, image_size=64, random_state=0)
    >>> clf = hog_baseline(output_size=64).fit(faces.data, faces.target)
    >>> clf.predict_proba(faces.data).shape
    (48, 12)
    """
    if features not in _DESCRIPTORS:
        raise ValueError(f"features must be 'hog' or 'lbp'. Got {features!r}.")
    return Pipeline(
        [
            ("align", FaceAligner(output_size=output_size)),
            ("features", _DESCRIPTORS[features](**options)),
            ("scale", StandardScaler()),
            ("svm", AULinearSVC(C=C, aus=aus)),
        ]
    )


def landmark_baseline(*, C=0.1, aus=DATASET_AUS["bp4d"]):
    """Return the chain of shape: align, landmarks, standardise, one model per AU.

    What can be told from where the landmarks are. It sees no wrinkle and a network
    hardly a shift by a pixel, so that the two together know more than either
    (`AUVotingClassifier`).

    Parameters
    ----------
    C : float, default=0.1
        Of `AULogisticRegression`.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Of the steps ``align``, ``features``, ``scale`` and ``logistic``.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import landmark_baseline
    >>> faces = make_faces(n_subjects=6, n_frames=8, image_size=64, random_state=0)
    >>> clf = landmark_baseline().fit(faces.data, faces.target)
    >>> clf.predict_proba(faces.data).shape
    (48, 12)
    """
    return Pipeline(
        [
            ("align", FaceAligner()),
            ("features", LandmarkFeatures()),
            ("scale", StandardScaler()),
            ("logistic", AULogisticRegression(C=C, aus=aus)),
        ]
    )
