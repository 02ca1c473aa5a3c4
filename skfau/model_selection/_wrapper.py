"""Base class of classifiers that wrap other AU classifiers."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from skfau._single_au import (
    as_columns,
    as_occurrence,
    au_columns,
    au_probabilities,
    classes_of,
)
from skfau._subjects import warn_of_training_subjects
from skfau._tables import TableOutput
from skfau._unwrap import find_aus, is_binary
from skfau._validation import check_au_names
from skfau.metrics import au_f1_score

if TYPE_CHECKING:
    from pandas import DataFrame

    from skfau.faces import Faces

# Probabilities are clipped here, so that certainty stays finite and one classifier of
# several does not decide alone.
CLIPPED = 1e-6


def log_odds(probabilities):
    """Return the log-odds of probabilities, which are clipped first.

    Parameters
    ----------
    probabilities : array-like
        In [0, 1] or NaN.

    Returns
    -------
    odds : ndarray
        Finite, or NaN.
    """
    return logit(np.clip(probabilities, CLIPPED, 1 - CLIPPED))


class WrappedClassifier(
    TableOutput, ClassifierMixin, MetaEstimatorMixin, BaseEstimator
):
    """Base of classifiers that change the output of one or more AU classifiers."""

    @property
    @abstractmethod
    def _thresholds(self):
        """Probability from which an AU counts as present: one number, or one per AU."""

    @property
    def _tagged(self):
        """Return the classifier whose input tags are used."""
        return self.estimator

    @property
    def _wrapped(self):
        """Return the classifiers by name."""
        return {"estimator": self.estimator}

    def get_metadata_routing(self) -> MetadataRouter:
        """Return what `fit` passes on to which classifier.

        Returns
        -------
        routing : MetadataRouter
            Of scikit-learn.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(**self._wrapped, method_mapping=mapping)

    def _passed_on(self, params):
        """Return by name what the ``fit`` of each classifier is given.

        Without metadata routing that is all of `params`.
        """
        if not get_config()["enable_metadata_routing"]:
            return dict.fromkeys(self._wrapped, params)
        routed = process_routing(self, "fit", **params)
        return {name: routed[name].fit for name in self._wrapped}

    def _fit_on_all(self, X, y, params):
        """Fit `estimator_` on all rows; set `classes_` and `aus_`."""
        self.estimator_ = clone(self.estimator).fit(X, y, **params)
        self.classes_ = classes_of(y)
        aus = find_aus(self.estimator_)
        if aus is not None:
            self.aus_ = aus
        return self

    def predict_proba(self, X: Faces) -> NDArray[Any] | DataFrame:
        """Return the probabilities of ``estimator_``, as they are.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them.

        Returns
        -------
        y_proba : ndarray or DataFrame of shape (n_samples, n_aus)
            NaN rows where there is no face; a DataFrame if ``set_output`` chose one,
            here or of ``estimator_``. Of shape (n_samples, 2) after labels of shape
            (n_samples,).
        """
        check_is_fitted(self)
        return self._as_output(self._inner_proba(X), X)

    def _inner_proba(self, X):
        """Return the probabilities of `estimator_` with a column per AU."""
        n_aus = 1 if is_binary(self) else len(self.classes_)
        return au_probabilities(self.estimator_, X, n_aus)

    def predict(self, X: Faces) -> NDArray[np.float32]:
        """Predict an AU as present if its probability reaches its threshold.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them.

        Returns
        -------
        y_pred : ndarray of shape (n_samples, n_aus), dtype float32
            0 or 1; NaN rows where there is no face. Of shape (n_samples,) after labels
            of that shape, and int64 where all rows have a face.
        """
        y_proba = np.asarray(au_columns(self, self.predict_proba(X)))
        predicted = (y_proba >= self._thresholds).astype(np.float32)
        predicted = np.where(np.isnan(y_proba), np.float32(np.nan), predicted)
        return as_occurrence(predicted, binary=is_binary(self))

    def score(
        self, X: Faces, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the mean F1 over AUs; see :func:`~skfau.metrics.au_f1_score`.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            Labels in {0, 1, NaN}.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts, at least 0; None is once.

        Returns
        -------
        score : float
            In [0, 1].

        Warns
        -----
        SubjectOverlapWarning
            If some subjects of `X` were in training, so that the score flatters. A
            score of training rows that you mean is silent after
            ``warnings.simplefilter("ignore", SubjectOverlapWarning)``.
        """
        warn_of_training_subjects(self, X)
        predicted, y = as_columns(self.predict(X)), as_columns(y)
        check_au_names(y, getattr(self, "aus_", None), "the classifier")
        return float(au_f1_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self._tagged).input_tags
        return tags
