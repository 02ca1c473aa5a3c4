"""Base class of classifiers that wrap other AU classifiers."""

from abc import abstractmethod

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from skfau._tables import TableOutput
from skfau._unwrap import find_aus
from skfau._validation import check_au_names
from skfau.metrics import au_f1_score


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

    def _fit_on_all(self, X, y):
        """Fit `estimator_` on all rows; set `classes_` and `aus_`."""
        self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = np.tile([0, 1], (y.shape[1], 1))
        aus = find_aus(self.estimator_)
        if aus is not None:
            self.aus_ = aus
        return self

    def predict_proba(self, X):
        """Return the probabilities of ``estimator_``, as they are.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them.

        Returns
        -------
        y_proba : ndarray or DataFrame of shape (n_samples, n_aus)
            NaN rows where there is no face; a DataFrame if ``set_output`` chose one,
            here or of ``estimator_``.
        """
        check_is_fitted(self)
        return self._as_output(self.estimator_.predict_proba(X), X)

    def predict(self, X):
        """Predict an AU as present if its probability reaches its threshold.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them.

        Returns
        -------
        y_pred : ndarray of shape (n_samples, n_aus), dtype float32
            0 or 1; NaN rows where there is no face.
        """
        y_proba = np.asarray(self.predict_proba(X))
        predicted = (y_proba >= self._thresholds).astype(np.float32)
        return np.where(np.isnan(y_proba), np.float32(np.nan), predicted)

    def score(self, X, y):
        """Return the mean F1 over AUs; see :func:`~skfau.metrics.au_f1_score`.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them.
        y : array-like of shape (n_samples, n_aus)
            Labels in {0, 1, NaN}.

        Returns
        -------
        score : float
            In [0, 1].
        """
        check_au_names(y, getattr(self, "aus_", None), "the classifier")
        return au_f1_score(y, self.predict(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self._tagged).input_tags
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        tags.target_tags.two_d_labels = True
        tags.target_tags.single_output = False
        return tags
