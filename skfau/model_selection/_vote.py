"""Several AU classifiers as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skfau._single_au import as_columns, classes_of
from skfau._tables import like
from skfau._unwrap import find_aus, is_binary
from skfau._validation import _BaseComposition, _fit_context, check_au_labels
from skfau.model_selection._out_of_fold import check_response, keep_names
from skfau.model_selection._wrapper import WrappedClassifier, log_odds

if TYPE_CHECKING:
    from pandas import DataFrame
    from sklearn.base import BaseEstimator

    from skfau.faces import Faces


class AUVotingClassifier(_BaseComposition, WrappedClassifier):
    """Average the predictions of several classifiers.

    Networks with different seeds, or systems with different inputs such as pixels and
    landmarks, make different errors. Their average makes fewer.

    Parameters
    ----------
    estimators : list of (str, classifier)
        Names and classifiers; ``predict_proba`` returns (n_samples, n_aus).
        May be pipelines.
    weights : array-like of shape (n_estimators,) or None, default=None
        How much each counts, at least 0; None counts all alike.

    Attributes
    ----------
    estimators_ : list of classifier
        Fitted classifiers, in the same order.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        [0, 1] for every AU; (2,) after labels of shape (n_samples,).
    aus_ : sequence of int
        The AUs, if a classifier has them.

    See Also
    --------
    AUThresholdClassifier : Wrapped around this one, it learns thresholds for the
        average.
    sklearn.frozen.FrozenEstimator : Keeps a fitted classifier as it is.

    Notes
    -----
    The average is over log-odds (a logarithmic opinion pool), after probabilities are
    clipped to [1e-6, 1 - 1e-6]. `predict` cuts it at 0.5 and ignores thresholds of the
    classifiers. `sklearn.ensemble.VotingClassifier` takes neither several AUs nor
    unknown labels.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import hog_baseline, landmark_baseline
    >>> from skfau.model_selection import AUVotingClassifier
    >>> faces = make_faces(n_subjects=6, n_frames=8, image_size=64, random_state=0)
    >>> both = AUVotingClassifier(
    ...     [("pixels", hog_baseline(output_size=64)), ("shape", landmark_baseline())])
    >>> both.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (48, 12)
    """

    _parameter_constraints = {"estimators": [list], "weights": ["array-like", None]}

    def __init__(
        self,
        estimators: list[tuple[str, BaseEstimator]],
        *,
        weights: ArrayLike | None = None,
    ) -> None:
        self.estimators = estimators
        self.weights = weights

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Faces, y: ArrayLike, **params: Any) -> Self:
        """Fit all classifiers.

        Parameters
        ----------
        X : Faces
            As the classifiers take them.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            Labels in {0, 1, NaN}.
        **params : dict
            Passed to the ``fit`` of every classifier, such as ``sample_weight``.
            With scikit-learn's metadata routing that is what ``set_fit_request`` asks.

        Returns
        -------
        self : AUVotingClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If there is no classifier, a name is missing or used twice, the AUs differ,
            or `weights` are not one number per classifier.
        """
        self._check_estimators()
        labels = check_au_labels(as_columns(y), n_samples=len(X))
        y = keep_names(y, labels)
        passed = self._passed_on(params)
        self.estimators_, known = [], {}
        for name, each in self.estimators:
            self.estimators_.append(clone(each).fit(X, y, **passed[name]))
            aus = find_aus(self.estimators_[-1])
            if aus is not None:
                known[name] = tuple(aus)
            # AUs are compared after every fit: the next one may take hours.
            if len(set(known.values())) > 1:
                raise ValueError(
                    "all classifiers must be of the same AUs, in the same order. Got "
                    f"{known}; give each the same aus=."
                )
        self.classes_ = classes_of(y)
        if known:
            self.aus_ = next(iter(known.values()))
        return self

    def _check_estimators(self):
        named = [
            isinstance(each, tuple)
            and len(each) == 2
            and isinstance(each[0], str)
            and hasattr(each[1], "predict_proba")
            for each in self.estimators
        ]
        if not named or not all(named):
            raise ValueError(
                "estimators must be a list of (name, classifier with predict_proba), "
                f"at least one. Got {self.estimators!r}."
            )
        self._validate_names([name for name, _ in self.estimators])
        if self.weights is None:
            return
        weights = np.asarray(self.weights, np.float64)
        if (
            weights.shape != (len(named),)
            or not (weights >= 0).all()
            or not weights.any()
        ):
            raise ValueError(
                f"weights must be {len(named)} numbers, one per classifier, at least 0 "
                f"and not all 0. Got {self.weights!r}."
            )

    def predict_proba(self, X: Faces) -> NDArray[Any] | DataFrame:
        """Return the average of the classifiers' log-odds, as probabilities.

        Parameters
        ----------
        X : Faces
            As the classifiers take them.

        Returns
        -------
        y_proba : ndarray or DataFrame of shape (n_samples, n_aus)
            NaN rows where one of them finds no face; a DataFrame if ``set_output``
            chose one, here or of the first classifier.

        Raises
        ------
        ValueError
            If a classifier returns something else than one array of that shape.
        """
        check_is_fitted(self)
        n_aus = 1 if is_binary(self) else len(self.classes_)
        probabilities = [
            check_response(each, "predict_proba", X, n_aus) for each in self.estimators_
        ]
        average = np.average(log_odds(probabilities), axis=0, weights=self.weights)
        average = like(expit(average), probabilities[0])
        return self._as_output(average, X)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with ``deep`` also those of the classifiers.

        Parameters
        ----------
        deep : bool, default=True
            Whether to name them ``name`` and ``name__parameter``.

        Returns
        -------
        params : dict
            By name.
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of the classifiers.

        Parameters
        ----------
        **params : dict
            ``name`` replaces a classifier, ``name__parameter`` sets its parameter.

        Returns
        -------
        self : AUVotingClassifier
            This classifier.
        """
        self._set_params("estimators", **params)
        return self

    @property
    def _wrapped(self):
        self._check_estimators()
        return dict(self.estimators)

    @property
    def _tagged(self):
        # Names are checked here as well: cross-validation reads the tags before `fit`.
        self._check_estimators()
        return self.estimators[0][1]

    @property
    def _thresholds(self):
        return 0.5
