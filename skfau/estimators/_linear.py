"""A linear classifier per AU, on rows of features whose label is known."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted, validate_data

from skfau._single_au import (
    as_columns,
    as_occurrence,
    classes_of,
    warn_of_missing,
)
from skfau._subjects import RemembersSubjects, warn_of_training_subjects
from skfau._tables import TableOutput
from skfau._unwrap import is_binary
from skfau._validation import (
    Interval,
    StrOptions,
    _fit_context,
    check_au_labels,
    check_au_names,
    check_sample_weight,
)
from skfau.estimators._aus import count_labels, resolve_aus
from skfau.exceptions import LabelError
from skfau.faces import Faces
from skfau.facs import DATASET_AUS
from skfau.metrics import au_f1_score
from skfau.preprocessing import (
    FaceAligner,
    HOGFeatures,
    LandmarkFeatures,
    LBPFeatures,
)

_DESCRIPTORS = {"hog": HOGFeatures, "lbp": LBPFeatures}


class _LinearPerAU(RemembersSubjects, TableOutput, ClassifierMixin, BaseEstimator):
    """One linear classifier of scikit-learn per AU; all that both classes share."""

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [StrOptions({"balanced"}), None],
        "aus": [tuple, list, np.ndarray, None],
    }

    @abstractmethod
    def _make_machine(self):
        """Return the unfitted classifier of one AU."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit one classifier per AU.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; rows that are not finite, which have no face, are left out.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            1 where the AU occurs, 0 where it does not, NaN where that is unknown. After
            labels of a single AU of shape (n_samples,) `classes_`, `predict` and
            `predict_proba` have the shapes of scikit-learn's two classes.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts, at least 0; None is once. Rows of weight 0 are
            left out. As in scikit-learn's own classifiers all weights times 2 are
            `C` times 2, and ``class_weight="balanced"`` counts by weight.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        LabelError
            If `y` holds other values, does not fit `X` or `aus`, or leaves an AU
            without one known label.
        TypeError, ValueError
            If `X` is no table of numbers, or `sample_weight` has another shape or
            other values.
        """
        table, given, y = X, y, as_columns(y)
        X = self._check_features(X, reset=True)
        labels = check_au_labels(y, n_samples=len(X))
        aus = resolve_aus(self.aus, y, labels.shape[1])
        weights = check_sample_weight(sample_weight, len(X))
        seen = np.isfinite(X).all(axis=1)
        if not seen.any():
            raise LabelError(
                f"fit needs at least one row with a face; all {len(X)} rows have NaN "
                "features."
            )
        seen &= weights > 0
        if not seen.any():
            raise ValueError("sample_weight is zero for all rows that have a face.")
        X, labels, weights = X[seen], labels[seen], weights[seen]
        if sample_weight is None:
            weights = None
        self.label_counts_ = count_labels(labels, aus, weights)
        self.aus_, self.n_aus_ = aus, len(aus)
        self.classes_ = classes_of(given)
        self.coef_ = np.zeros((self.n_aus_, X.shape[1]))
        self.intercept_ = np.zeros(self.n_aus_)
        for au, column in enumerate(labels.T):
            known = np.isfinite(column)
            of_known = None if weights is None else weights[known]
            self._fit_one(au, X[known], column[known], of_known)
        self._remember_subjects(table)
        return self

    def _fit_one(self, au, X, label, weights):
        if np.ptp(label) == 0:
            self.intercept_[au] = 2 * label[0] - 1
            return
        machine = self._make_machine().fit(X, label, weights)
        self.coef_[au], self.intercept_[au] = machine.coef_[0], machine.intercept_[0]

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the margin of every AU.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        margins : ndarray of shape (n_samples, n_aus) or (n_samples,), dtype float32
            Positive where the AU is called; NaN in rows that are not finite. Of shape
            (n_samples,) after labels of that shape.

        Raises
        ------
        TypeError, ValueError
            If `X` is not a table of numbers, or has other columns than in `fit`.
        """
        margins = self._margins(X)
        if not is_binary(self):
            return margins
        warn_of_missing(margins)
        return margins[:, 0]

    def _margins(self, X):
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        margins = X @ self.coef_.T + self.intercept_
        margins[~np.isfinite(X).all(axis=1)] = np.nan
        return margins.astype(np.float32)

    def _check_features(self, X, *, reset):
        """Return X as a 2-D array of floats; `reset` stores its column names."""
        if isinstance(X, Faces):
            raise TypeError(
                "X must be rows of features, got Faces; put HOGFeatures, LBPFeatures, "
                "LandmarkFeatures or MeshFeatures before this classifier."
            )
        dtypes = np.float64, np.float32
        return validate_data(
            self, X, reset=reset, dtype=dtypes, ensure_all_finite=False
        )

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the sigmoid of the margins.

        They rank the faces as the margins do, and the prediction changes at 0.5. Only
        with a logistic regression and ``class_weight=None`` do they say how often the
        AU occurs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_aus), dtype float32
            In [0, 1]; NaN in rows that are not finite. A DataFrame with columns
            ``AU1``, ... and the index of `X` after
            ``set_output(predict_proba="pandas")``. Of shape (n_samples, 2), without
            the AU and with it, after labels of shape (n_samples,).
        """
        return self._as_output(expit(self._margins(X)), X)

    def predict(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return which AUs occur.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        occurrence : ndarray of shape (n_samples, n_aus), dtype float32
            0 or 1; NaN in rows that are not finite. Of shape (n_samples,) after labels
            of that shape, and int64 where all rows are finite.
        """
        margins = self._margins(X)
        called = np.where(np.isnan(margins), margins, margins >= 0).astype(np.float32)
        return as_occurrence(called, binary=is_binary(self))

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the mean F1 over the AUs, over rows whose label is known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            1, 0, or NaN where unknown.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts, at least 0; None is once.

        Returns
        -------
        f1 : float
            Macro F1 in [0, 1].

        Warns
        -----
        SubjectOverlapWarning
            If some subjects of `X` were in training, so that the score flatters. A
            score of training rows that you mean is silent after
            ``warnings.simplefilter("ignore", SubjectOverlapWarning)``.
        """
        warn_of_training_subjects(self, X)
        predicted, y = as_columns(self.predict(X)), as_columns(y)
        check_au_names(y, self.aus_, "the classifier")
        labels = check_au_labels(y)
        return float(au_f1_score(labels, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class AULinearSVC(_LinearPerAU):
    """A linear support vector machine per AU, on the rows whose label is known.

    Parameters
    ----------
    C : float, default=0.0001
        Inverse strength of the penalty.
    class_weight : {"balanced"} or None, default="balanced"
        Weigh the rows of rare AUs, as in scikit-learn.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own.

    Attributes
    ----------
    coef_ : ndarray of shape (n_aus, n_features), dtype float64
        Weights of the features.
    intercept_ : ndarray of shape (n_aus,), dtype float64
        Added to the weighted sum.
    aus_ : tuple of int
        AU numbers, in the order of the columns.
    n_aus_ : int
        Number of AUs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X was a DataFrame with names.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        ``[0, 1]`` for every AU; (2,) after labels of shape (n_samples,).
    label_counts_ : ndarray of shape (2, n_aus)
        Positive and known labels of every AU in the training rows; with
        ``sample_weight`` float64, the sums of weights.
    train_subjects_ : tuple of str
        Digests of the names of the subjects in the training rows. `score` and the
        scorers of `skfau.metrics` warn of rows that show them again.

    See Also
    --------
    hog_baseline : The chain from faces to this classifier.

    Notes
    -----
    The machines are scikit-learn's `LinearSVC`, in the primal. An AU that never, or
    always, occurs in the training rows has the margin -1, or 1, everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.estimators import AULinearSVC
    >>> features = np.float32([[-2, 1], [-1, 0], [1, 0], [2, 1]])
    >>> y = [[0, 1], [0, np.nan], [1, 0], [1, 1]]
    >>> AULinearSVC(C=1.0, aus=(1, 12)).fit(features, y).predict(features)
    array([[0., 1.],
           [0., 0.],
           [1., 0.],
           [1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        *,
        C: float = 1e-4,
        class_weight: Literal["balanced"] | None = "balanced",
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.aus = aus

    def _make_machine(self):
        return LinearSVC(C=self.C, class_weight=self.class_weight, dual=False, tol=1e-3)


class AULogisticRegression(_LinearPerAU):
    """A logistic regression per AU, on the rows whose label is known.

    Parameters
    ----------
    C : float, default=0.1
        Inverse strength of the penalty.
    class_weight : {"balanced"} or None, default="balanced"
        Weigh the rows of rare AUs, as in scikit-learn.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own.

    Attributes
    ----------
    coef_ : ndarray of shape (n_aus, n_features), dtype float64
        Weights of the features.
    intercept_ : ndarray of shape (n_aus,), dtype float64
        Added to the weighted sum.
    aus_ : tuple of int
        AU numbers, in the order of the columns.
    n_aus_ : int
        Number of AUs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X was a DataFrame with names.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        ``[0, 1]`` for every AU; (2,) after labels of shape (n_samples,).
    label_counts_ : ndarray of shape (2, n_aus)
        Positive and known labels of every AU in the training rows; with
        ``sample_weight`` float64, the sums of weights.
    train_subjects_ : tuple of str
        Digests of the names of the subjects in the training rows. `score` and the
        scorers of `skfau.metrics` warn of rows that show them again.

    See Also
    --------
    landmark_baseline : The chain from faces to this classifier.
    AULinearSVC : Support vector machines.

    Notes
    -----
    An AU that never, or always, occurs in the training rows has the margin -1, or 1,
    everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.estimators import AULogisticRegression
    >>> features = np.float32([[-2, 1], [-1, 0], [1, 0], [2, 1]])
    >>> y = [[0, 1], [0, np.nan], [1, 0], [1, 1]]
    >>> AULogisticRegression(C=10.0, aus=(1, 12)).fit(features, y).predict(features)
    array([[0., 1.],
           [0., 0.],
           [1., 0.],
           [1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        *,
        C: float = 0.1,
        class_weight: Literal["balanced"] | None = "balanced",
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.aus = aus

    def _make_machine(self):
        return LogisticRegression(
            C=self.C, class_weight=self.class_weight, max_iter=1000
        )


class FacePipeline(Pipeline):
    """A pipeline whose `score` sees the faces, and warns of training subjects.

    Its classifier sees features, which do not tell whose they are.
    """

    def score(self, X, y=None, sample_weight=None, **params):
        """Return the score of the last step; see `sklearn.pipeline.Pipeline`."""
        warn_of_training_subjects(self, X)
        return super().score(X, y, sample_weight, **params)


def hog_baseline(
    features: Literal["hog", "lbp"] = "hog",
    *,
    output_size: int = 112,
    C: float = 1e-4,
    aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
    **options: Any,
) -> Pipeline:
    """Return the classical chain: align, describe, standardise, one machine per AU.

    AUs were detected like this before there were networks, and networks have to be
    better. It learns from hundreds of faces in seconds, on any computer.

    Parameters
    ----------
    features : {"hog", "lbp"}, default="hog"
        `HOGFeatures` or `LBPFeatures`.
    output_size : int, default=112
        Side of the aligned faces, pixels.
    C : float, default=0.0001
        Inverse strength of the penalty of `AULinearSVC`.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y.
    **options : dict
        More parameters of the features, such as ``cell_size``.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Its steps are ``align``, ``features``, ``scale`` and ``svm``. It works with
        `cross_val_score`, `GridSearchCV` and everything else that takes a classifier.

    Raises
    ------
    ValueError
        If `features` has another value.

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
    return FacePipeline(
        [
            ("align", FaceAligner(output_size=output_size)),
            ("features", _DESCRIPTORS[features](**options)),
            ("scale", StandardScaler()),
            ("svm", AULinearSVC(C=C, aus=aus)),
        ]
    )


def landmark_baseline(
    *, C: float = 0.1, aus: tuple[int, ...] | None = DATASET_AUS["bp4d"]
) -> Pipeline:
    """Return the chain of shape: align, landmarks, standardise, one model per AU.

    It uses the positions of the landmarks alone. It sees no wrinkles, and a network
    hardly sees a shift by one pixel, so that both together know more than one of them
    (`AUVotingClassifier`).

    Parameters
    ----------
    C : float, default=0.1
        Inverse strength of the penalty of `AULogisticRegression`.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Its steps are ``align``, ``features``, ``scale`` and ``logistic``.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import landmark_baseline
    >>> faces = make_faces(n_subjects=6, n_frames=8, image_size=64, random_state=0)
    >>> clf = landmark_baseline().fit(faces.data, faces.target)
    >>> clf.predict_proba(faces.data).shape
    (48, 12)
    """
    return FacePipeline(
        [
            ("align", FaceAligner()),
            ("features", LandmarkFeatures()),
            ("scale", StandardScaler()),
            ("logistic", AULogisticRegression(C=C, aus=aus)),
        ]
    )
