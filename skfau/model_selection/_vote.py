"""Several AU classifiers as one."""

import numpy as np
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skfau._unwrap import find_aus
from skfau._validation import _BaseComposition, _fit_context, check_au_labels
from skfau.model_selection._out_of_fold import check_response, keep_names
from skfau.model_selection._wrapper import WrappedClassifier

# A member that is sure must not silence the others.
_SURE = 1e-6


class AUVotingClassifier(_BaseComposition, WrappedClassifier):
    """Average what several classifiers say of the same faces.

    Networks of several seeds, or systems that see different things, such as pixels and
    landmarks, err in different places: their average errs less.

    Parameters
    ----------
    estimators : list of (str, classifier)
        Their names and they themselves; ``predict_proba`` returns (n_samples, n_aus).
        May be pipelines.

    Attributes
    ----------
    estimators_ : list of classifier
        Fitted, in the same order.
    classes_ : ndarray of shape (n_aus, 2)
        [0, 1] for every AU.
    aus_ : sequence of int
        The AUs, where a classifier tells them.

    See Also
    --------
    AUThresholdClassifier : Around this one, it learns thresholds for the average.
    sklearn.frozen.FrozenEstimator : Around a classifier that is fitted already, which
        is then kept as it is.

    Notes
    -----
    Averaged are log-odds (a logarithmic opinion pool), probabilities nearer to 0 or 1
    than 1e-6 moved there. `predict` cuts the average at 0.5, whatever thresholds the
    classifiers have of their own. `sklearn.ensemble.VotingClassifier` takes neither
    several AUs nor unknown labels.

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

    _parameter_constraints = {"estimators": [list]}

    def __init__(self, estimators):
        self.estimators = estimators

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Fit all classifiers.

        Parameters
        ----------
        X : Faces
            As the classifiers take them.
        y : array-like of shape (n_samples, n_aus)
            Labels in {0, 1, NaN}.

        Returns
        -------
        self : AUVotingClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If there is no classifier, one has no name or that of another, or they do
            not agree on the AUs.
        """
        self._check_estimators()
        labels = check_au_labels(y, n_samples=len(X))
        y = keep_names(y, labels)
        self.estimators_, told = [], {}
        for name, each in self.estimators:
            self.estimators_.append(clone(each).fit(X, y))
            aus = find_aus(self.estimators_[-1])
            if aus is not None:
                told[name] = tuple(aus)
            # Now, not after the next has trained for hours.
            if len(set(told.values())) > 1:
                raise ValueError(
                    "all classifiers must be of the same AUs, in the same order. Got "
                    f"{told}; give each the same aus=."
                )
        self.classes_ = np.tile([0, 1], (labels.shape[1], 1))
        if told:
            self.aus_ = next(iter(told.values()))
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

    def predict_proba(self, X):
        """Return the average of the classifiers' log-odds, as probabilities.

        Parameters
        ----------
        X : Faces
            As the classifiers take them.

        Returns
        -------
        y_proba : ndarray of shape (n_samples, n_aus)
            NaN rows where one of them finds no face.

        Raises
        ------
        ValueError
            If a classifier returns something else than one array of that shape.
        """
        check_is_fitted(self)
        n_aus = len(self.classes_)
        said = [
            check_response(each, "predict_proba", X, n_aus) for each in self.estimators_
        ]
        return expit(np.mean(logit(np.clip(said, _SURE, 1 - _SURE)), axis=0))

    def get_params(self, deep=True):
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

    def set_params(self, **params):
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
    def _example(self):
        # Cross-validation asks for the tags before `fit` can say what is wrong.
        self._check_estimators()
        return self.estimators[0][1]

    @property
    def _cuts(self):
        return 0.5
