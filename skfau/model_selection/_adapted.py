"""A fitted classifier and a network that goes on from it, for labels of your own."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skfau._single_au import as_columns, au_columns, classes_of
from skfau._tables import like
from skfau._unwrap import find_aus, find_thresholds
from skfau._validation import (
    HasMethods,
    _fit_context,
    check_au_labels,
    check_au_names,
)
from skfau.model_selection._out_of_fold import check_response
from skfau.model_selection._wrapper import WrappedClassifier, log_odds

if TYPE_CHECKING:
    from pandas import DataFrame
    from sklearn.base import BaseEstimator

    from skfau.faces import Faces

# How many faces the classifier's own probabilities count as. 30 was best of 1, 3, 10
# and 30 for 4 to 48 people of two sets of rendered faces.
_PRIOR = 30.0


# Where the classifier has no say (a slope of 0) intensities cannot be read back: with
# this slope they are 0 or the highest.
_LOWEST_SLOPE = 1e-3


def _has_intensities(clf):
    return hasattr(getattr(clf, "start_", clf.estimator), "to_intensity")


class AdaptedAUClassifier(WrappedClassifier):
    """Learn your labels without forgetting what a fitted classifier knows.

    A network that goes on with the labels of a few people forgets what thousands
    taught it, most of all about AUs that are not labelled. Here it keeps all AUs of
    the classifier: where you have no label, it learns what the classifier says
    (learning without forgetting [1]_). The classifier itself stays as it is and learns
    only how its log-odds are to be read in your data. Both are averaged.

    Parameters
    ----------
    estimator : FrozenEstimator
        A fitted classifier with ``aus_`` inside `~sklearn.frozen.FrozenEstimator`.
    network : classifier
        Has the parameter ``aus``, and should start from weights that know the AUs of
        `estimator`, as with ``init_from``. It is fitted on the AUs of `estimator` and
        those of `aus` that are new.
    aus : tuple of int or None, default=None
        AU number of each column of y; None means the AUs of `estimator`.

    Attributes
    ----------
    start_ : FrozenEstimator
        The classifier.
    estimator_ : classifier
        The network, fitted.
    coef_, intercept_ : ndarray of shape (n_aus,), dtype float64
        Slope and offset of the classifier's log-odds. Its probabilities become 0.5
        where they promise the highest F1 on the rows of `fit`. 0 for new AUs.
    thresholds_ : ndarray of shape (n_aus,), dtype float64
        0.5 for every AU.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        [0, 1] for every AU; (2,) after labels of shape (n_samples,).
    aus_ : tuple of int
        The AUs.

    See Also
    --------
    skfau.estimators.pretrained_classifier : Makes one of the shipped model.
    CalibratedAUClassifier : Learns probabilities and intensities, and no network.

    Notes
    -----
    An AU that no row has teaches nothing; the network warns of it if an AU is new.

    Slope and offset are those of the logistic regression with a normal prior around 1
    and 0 (precision 30): with few labels the classifier keeps its own probabilities.
    A new AU has the network's probability alone.

    References
    ----------
    .. [1] Z. Li and D. Hoiem, "Learning without forgetting", ECCV 2016. There the old
       outputs are soft; here they are cut at the classifier's thresholds.

    Examples
    --------
    >>> import skfau
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skfau.datasets import load_rendered
    >>> from skfau.model_selection import AdaptedAUClassifier
    >>> model = skfau.load_pretrained()
    >>> mine = load_rendered(aus=(6, 12))
    >>> faces, y = model[0].transform(mine.data[:24]), mine.target[:24]
    >>> network = skfau.ResNetClassifier(backbone="tiny", image_size=112, max_epochs=1)
    >>> clf = AdaptedAUClassifier(FrozenEstimator(model[-1]), network, aus=(6, 12))
    >>> clf.fit(faces, y).predict_proba(faces).shape
    (24, 2)
    """

    _parameter_constraints = {
        "estimator": [FrozenEstimator],
        "network": [HasMethods(["fit", "predict_proba", "set_params"])],
        "aus": [tuple, list, None],
    }

    def __init__(
        self,
        estimator: FrozenEstimator,
        network: BaseEstimator,
        *,
        aus: tuple[int, ...] | None = None,
    ) -> None:
        self.estimator = estimator
        self.network = network
        self.aus = aus

    @property
    def _tagged(self):
        return self.network

    @property
    def _wrapped(self):
        return {"network": self.network}

    @property
    def _thresholds(self):
        return self.thresholds_

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Faces, y: ArrayLike, **params: Any) -> Self:
        """Fit the network, and how the classifier is to be read.

        Parameters
        ----------
        X : Faces
            As both take them.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            Labels in {0, 1, NaN}. An unknown label teaches nothing.
        **params : dict
            Passed to the network's ``fit``, such as ``sample_weight``.
            With scikit-learn's metadata routing that is what ``set_fit_request`` asks.

        Returns
        -------
        self : AdaptedAUClassifier
            The fitted classifier.

        Raises
        ------
        LabelError
            If `y` has another shape or other values, or its columns are other AUs.
        ValueError
            If the classifier does not tell its AUs.
        """
        self.start_ = self.estimator
        known = find_aus(self.start_)
        if known is None:
            raise ValueError(
                "estimator must be a fitted classifier with aus_, so that it is known "
                f"which AUs it finds; got {self.start_!r}."
            )
        self.aus_ = tuple(known if self.aus is None else self.aus)
        given, y = y, as_columns(y)
        check_au_names(y, self.aus_, "the classifier")
        labels = check_au_labels(y, n_samples=len(X), n_aus=len(self.aus_))
        found = self._found_by_start(X)
        every = (*known, *(au for au in self.aus_ if au not in known))
        targets = np.full((len(X), len(every)), np.nan, np.float32)
        cuts = find_thresholds(self.start_)
        targets[:, : len(known)] = np.where(np.isnan(found), np.nan, found >= cuts)
        targets[:, [every.index(au) for au in self.aus_]] = labels
        network = clone(self.network).set_params(aus=every)
        with warnings.catch_warnings():
            if set(self.aus_) <= set(known):
                # An AU that no row has is no loss: the classifier still knows it.
                warnings.filterwarnings("ignore", message=r"AU.* never occurs in the ")
            passed = self._passed_on(params)["network"]
            self.estimator_ = network.fit(X, targets, **passed)
        odds = self._known_log_odds(found)
        lines = [_line(*pair) for pair in zip(odds.T, labels.T, strict=True)]
        self.coef_, self.intercept_ = np.array(lines).T
        self.thresholds_ = np.full(len(self.aus_), 0.5)
        self.classes_ = classes_of(given)
        return self

    def _found_by_start(self, X):
        """Return the classifier's probabilities of all AUs that it knows, float64."""
        n_known = len(find_aus(self.start_))
        response = check_response(self.start_, "predict_proba", X, n_known)
        return np.asarray(response, np.float64)

    def _known_log_odds(self, probabilities):
        """Return the classifier's log-odds of `aus_`; NaN columns for new AUs."""
        known = list(find_aus(self.start_))
        columns = [known.index(au) if au in known else len(known) for au in self.aus_]
        new = np.full((len(probabilities), 1), np.nan)
        return log_odds(np.hstack([probabilities, new]))[:, columns]

    def predict_proba(self, X: Faces) -> NDArray[np.float32] | DataFrame:
        """Return the average of both log-odds, as probabilities.

        Parameters
        ----------
        X : Faces
            As both take them.

        Returns
        -------
        y_proba : ndarray or DataFrame of shape (n_samples, n_aus), dtype float32
            NaN rows where there is no face; a DataFrame if ``set_output`` chose one.
        """
        check_is_fitted(self)
        every = list(find_aus(self.estimator_))
        response = check_response(self.estimator_, "predict_proba", X, len(every))
        columns = [every.index(au) for au in self.aus_]
        learned = log_odds(np.asarray(response, np.float64)[:, columns])
        start = self._known_log_odds(self._found_by_start(X))
        start = start * self.coef_ + self.intercept_
        is_new = [au not in find_aus(self.start_) for au in self.aus_]
        odds = np.where(is_new, learned, (learned + start) / 2)
        y_proba = expit(odds).astype(np.float32)
        return self._as_output(y_proba, X)

    @available_if(_has_intensities)
    def predict_intensity(self, X):
        """Return how strong every AU is, by the classifier's scale.

        Parameters
        ----------
        X : Faces
            As both take them.

        Returns
        -------
        intensities : ndarray or DataFrame of shape (n_samples, n_aus), dtype float32
            In [0, 5]; NaN rows where there is no face, NaN columns for new AUs.
        """
        return self.to_intensity(self.predict_proba(X))

    @available_if(_has_intensities)
    def to_intensity(self, y_proba):
        """Return the intensities that go with probabilities, without another look.

        Parameters
        ----------
        y_proba : array-like of shape (n_samples, n_aus)
            Of `predict_proba`.

        Returns
        -------
        intensities : ndarray or DataFrame of shape (n_samples, n_aus), dtype float32
            As `predict_intensity` gives them.
        """
        check_is_fitted(self)
        y_proba = au_columns(self, y_proba)
        odds = log_odds(np.asarray(y_proba, np.float64)) - self.intercept_
        known = list(find_aus(self.start_))
        mine = [column for column, au in enumerate(self.aus_) if au in known]
        of_all = np.full((len(odds), len(known)), np.nan)
        slopes = np.maximum(self.coef_[mine], _LOWEST_SLOPE)
        columns = [known.index(self.aus_[column]) for column in mine]
        of_all[:, columns] = expit(odds[:, mine] / slopes)
        told = np.full(odds.shape, np.nan, np.float32)
        told[:, mine] = np.asarray(self.start_.to_intensity(of_all))[:, columns]
        return like(told, y_proba)


def _line(odds, label):
    """Return slope and offset that put the cut of the best F1 at log-odds 0."""
    if not np.isfinite(odds).any():
        return 0.0, 0.0
    known = np.isfinite(odds) & np.isfinite(label)
    slope, offset = _most_likely(odds[known], label[known])
    seen = odds[np.isfinite(odds)]
    return slope, offset - log_odds(_best_cut(expit(seen * slope + offset)))


def _most_likely(odds, label):
    """Return the logistic regression's slope and offset, near 1 and 0 by the prior."""

    def loss(change):
        moved = odds * (1 + change[0]) + change[1]
        slopes = expit(moved) - label
        gradient = np.array([slopes @ odds, slopes.sum()]) + _PRIOR * change
        likelihood = label @ moved - np.logaddexp(0, moved).sum()
        return _PRIOR / 2 * change @ change - likelihood, gradient

    change = minimize(loss, np.zeros(2), jac=True).x
    # A slope below 0 would turn the order of the faces round.
    return max(1 + change[0], 0.0), change[1]


def _best_cut(probabilities):
    """Return the probability from which AUs are called present for the best F1.

    Of faces that have an AU with these probabilities, F1 in expectation is highest at
    half of its highest value (Lipton et al., ECML 2014).
    """
    ordered = np.sort(probabilities)[::-1]
    called = np.arange(1, len(ordered) + 1)
    return (2 * np.cumsum(ordered) / (called + ordered.sum())).max() / 2
