"""Probabilities, thresholds and intensities, learned on people held out of training."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from skfau._single_au import as_columns, au_columns, classes_of
from skfau._tables import like
from skfau._unwrap import find_aus
from skfau._validation import Interval, _fit_context, check_au_names
from skfau.exceptions import LabelError
from skfau.model_selection._out_of_fold import check_response
from skfau.model_selection._threshold import best_f1_thresholds
from skfau.model_selection._wrapper import WrappedClassifier, log_odds

if TYPE_CHECKING:
    from pandas import DataFrame

    from skfau.faces import Faces

_HIGHEST = 5.0
_N_KNOTS = 17
# Far more than any slope that data ask for: a separable AU stays finite.
_C = 100.0


class CalibratedAUClassifier(WrappedClassifier):
    """Calibrate a fitted classifier on other people, and give it intensities.

    A network's probabilities are too sure, its best thresholds are not 0.5, and it
    knows only occurrence. ``fit`` takes intensities of people that the classifier has
    not seen, and learns for every AU three functions of its log-odds: the probability
    (a logistic regression, Platt scaling [1]_), the threshold of the best F1, and the
    intensity (an isotonic regression, so that a higher probability is never a lower
    intensity).

    Parameters
    ----------
    estimator : FrozenEstimator
        A fitted classifier inside `~sklearn.frozen.FrozenEstimator`; may be a pipeline
        or a vote.
    occurrence : float, default=2.0
        Intensity from which an AU counts as present, in 0 to 5. DISFA is scored from 2.

    Attributes
    ----------
    estimator_ : FrozenEstimator
        The classifier.
    coef_, intercept_ : ndarray of shape (n_aus,), dtype float64
        Slope and offset of the log-odds.
    thresholds_ : ndarray of shape (n_aus,), dtype float64
        Probabilities from which `predict` calls AUs present.
    knots_ : ndarray of shape (n_aus, 2, n_knots), dtype float64
        Log-odds of the calibrated probability, ascending, and the intensities there.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        [0, 1] for every AU; (2,) after labels of shape (n_samples,).
    aus_ : sequence of int
        The AUs, if the classifier has them.

    See Also
    --------
    AUThresholdClassifier : Learns thresholds only, from labels 0 and 1.
    skfau.load_pretrained : The shipped model, which ends in one.

    Notes
    -----
    An AU of which `fit` sees one class only keeps the classifier's probabilities. The
    probabilities hold where AUs are as frequent as in the rows of `fit`.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", 1999.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import landmark_baseline
    >>> from skfau.model_selection import CalibratedAUClassifier
    >>> faces = make_faces(n_subjects=8, n_frames=8, image_size=64, random_state=0)
    >>> X, y = faces.data, faces.target
    >>> clf = landmark_baseline().fit(X[:32], y[:32])
    >>> clf = CalibratedAUClassifier(FrozenEstimator(clf)).fit(X[32:], 4 * y[32:])
    >>> intensity = clf.predict_intensity(X[32:])
    >>> intensity.shape, bool(intensity.min() >= 0), bool(intensity.max() <= 5)
    ((32, 12), True, True)
    """

    _parameter_constraints = {
        "estimator": [FrozenEstimator],
        "occurrence": [Interval(Real, 0, _HIGHEST, closed="neither")],
    }

    def __init__(self, estimator: FrozenEstimator, *, occurrence: float = 2.0) -> None:
        self.estimator = estimator
        self.occurrence = occurrence

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Faces, y: ArrayLike) -> Self:
        """Learn the three functions of every AU.

        Parameters
        ----------
        X : Faces
            As the classifier takes them, of people that it has not seen. Rows without
            a face are left out.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            Intensities in [0, 5]; NaN where unknown.

        Returns
        -------
        self : CalibratedAUClassifier
            The fitted classifier.

        Raises
        ------
        LabelError
            If `y` has another shape or other values, or its columns are other AUs.
        ValueError
            If no row has a face.
        """
        self.estimator_ = self.estimator
        aus, given, y = find_aus(self.estimator_), y, as_columns(y)
        check_au_names(y, aus, "the classifier")
        intensities = _check_intensities(y, len(X))
        odds = self._log_odds(X, intensities.shape[1])
        seen = np.isfinite(odds).all(axis=1)
        if not seen.any():
            raise ValueError(f"fit needs rows with a face; all {len(X)} have none.")
        odds, intensities = odds[seen], intensities[seen]
        unknown = np.isnan(intensities)
        labels = np.where(unknown, np.nan, intensities >= self.occurrence)
        self.classes_ = classes_of(given)
        if aus is not None:
            self.aus_ = aus
        lines = [_line(*pair) for pair in zip(odds.T, labels.T, strict=True)]
        self.coef_, self.intercept_ = np.array(lines).T
        odds = odds * self.coef_ + self.intercept_
        self.thresholds_ = best_f1_thresholds(labels, expit(odds))
        pairs = zip(odds.T, intensities.T, strict=True)
        self.knots_ = np.stack([_knots(*pair) for pair in pairs])
        return self

    def _log_odds(self, X, n_aus):
        response = check_response(self.estimator_, "predict_proba", X, n_aus)
        return log_odds(np.asarray(response, np.float64))

    def predict_proba(self, X: Faces) -> NDArray[np.float32] | DataFrame:
        """Return the calibrated probabilities.

        Parameters
        ----------
        X : Faces
            As the classifier takes them.

        Returns
        -------
        y_proba : ndarray or DataFrame of shape (n_samples, n_aus), dtype float32
            NaN rows where there is no face; a DataFrame if ``set_output`` chose one.
        """
        check_is_fitted(self)
        odds = self._log_odds(X, len(self.coef_)) * self.coef_ + self.intercept_
        return self._as_output(expit(odds).astype(np.float32), X)

    def predict_intensity(self, X: Faces) -> NDArray[np.float32] | DataFrame:
        """Return how strong every AU is.

        Parameters
        ----------
        X : Faces
            As the classifier takes them.

        Returns
        -------
        intensities : ndarray or DataFrame of shape (n_samples, n_aus), dtype float32
            In [0, 5]; NaN rows where there is no face.
        """
        return self.to_intensity(self.predict_proba(X))

    def to_intensity(self, y_proba: ArrayLike) -> NDArray[np.float32] | DataFrame:
        """Return the intensities that go with probabilities, without another look.

        Parameters
        ----------
        y_proba : array-like of shape (n_samples, n_aus)
            Of `predict_proba`.

        Returns
        -------
        intensities : ndarray or DataFrame of shape (n_samples, n_aus), dtype float32
            In [0, 5]; NaN where the probability is.
        """
        check_is_fitted(self)
        y_proba = au_columns(self, y_proba)
        odds = log_odds(np.asarray(y_proba, np.float64))
        columns = [np.interp(x, *k) for x, k in zip(odds.T, self.knots_, strict=True)]
        return like(np.stack(columns, axis=1).astype(np.float32), y_proba)

    @property
    def _thresholds(self):
        return self.thresholds_


def _check_intensities(y, n_samples):
    intensities = np.asarray(y, np.float64)
    if intensities.ndim != 2 or len(intensities) != n_samples:
        raise LabelError(
            f"y must hold a row of intensities per face, ({n_samples}, n_aus); got "
            f"shape {intensities.shape}."
        )
    wrong = ~(np.isnan(intensities) | ((intensities >= 0) & (intensities <= _HIGHEST)))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise LabelError(
            f"intensities must be in [0, 5] or NaN, got {intensities[row, column]} in "
            f"row {row}, column {column}."
        )
    return intensities


def _line(odds, label):
    """Return slope and offset of an AU's log-odds."""
    known = np.isfinite(label)
    if len(np.unique(label[known])) < 2:
        return 1.0, 0.0
    line = LogisticRegression(C=_C).fit(odds[known, None], label[known])
    # A slope below 0 would turn the order of the faces round.
    return max(line.coef_.item(), 0.0), line.intercept_.item()


def _knots(odds, intensity):
    """Return a few points of the isotonic regression of intensity on log-odds."""
    known = np.isfinite(intensity)
    if not known.any():
        ends = log_odds([0.0, 1.0])
        places = np.linspace(*ends, _N_KNOTS)
        return np.stack([places, _HIGHEST * expit(places)])
    places = np.quantile(odds[known], np.linspace(0, 1, _N_KNOTS))
    isotonic = IsotonicRegression(out_of_bounds="clip")
    isotonic.fit(odds[known], intensity[known])
    return np.stack([places, isotonic.predict(places)])
