"""Decision thresholds per AU, learned on people the network was not fitted on."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._single_au import as_columns
from skfau._validation import (
    HasMethods,
    StrOptions,
    _fit_context,
    bare_au,
    check_au_labels,
)
from skfau.metrics._ranking import check_scores, cut_points
from skfau.model_selection._out_of_fold import (
    check_subjects_apart,
    keep_names,
    make_splits,
    oof_predict_proba,
)
from skfau.model_selection._split import subjects_of
from skfau.model_selection._wrapper import WrappedClassifier

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from skfau.faces import Faces

_DEFAULT_FOLDS = 3
_DEFAULT_THRESHOLD = 0.5


def best_f1_thresholds(
    y_true: ArrayLike, y_proba: ArrayLike, *, skew_normalized: bool = False
) -> NDArray[np.float64]:
    """Thresholds that give every AU its highest F1 on these rows.

    All distinct cuts are compared, with one sort per AU. The threshold lies midway
    between the probabilities on both sides of the best cut (below the lowest one, 0),
    so that it does not depend on a single row. Of equally good cuts the highest is
    taken.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_aus)
        Labels in {0, 1, NaN}.
    y_proba : array-like of shape (n_samples, n_aus)
        Probabilities, NaN where there was no face. They must be out-of-fold: on rows
        that a network was fitted on, its best thresholds are too high.
    skew_normalized : bool, default=False
        Whether to maximise :func:`~skfau.metrics.au_skew_normalized_f1_score`.

    Returns
    -------
    thresholds : ndarray of shape (n_aus,), dtype float64
        An AU is predicted present if its probability is >= its threshold. 0.5 if the
        known labels have no positive (or, with `skew_normalized`, no negative), since
        then no cut is better than another.

    Raises
    ------
    LabelError
        If the shapes differ or labels are other than 0, 1 and NaN.
    ValueError
        If a probability is outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.model_selection import best_f1_thresholds
    >>> y_true = np.array([[0], [0], [1], [1]])
    >>> best_f1_thresholds(y_true, np.array([[0.05], [0.1], [0.2], [0.3]]))
    array([0.15])
    """
    y_true, y_proba = check_scores(y_true, y_proba)
    if np.any((y_proba < 0) | (y_proba > 1)):
        raise ValueError(
            f"probabilities must be in [0, 1], got {np.nanmin(y_proba)} to "
            f"{np.nanmax(y_proba)}; put logits through a sigmoid first"
        )
    columns = zip(y_true.T, y_proba.T, strict=True)
    return np.array([_best_cut(*column, skew_normalized) for column in columns])


def _best_cut(labels, probabilities, skew_normalized):
    values, tp, fp = cut_points(labels, probabilities)
    if not len(tp) or not tp[-1] or (skew_normalized and not fp[-1]):
        return _DEFAULT_THRESHOLD
    skew = fp[-1] / tp[-1] if skew_normalized else 1.0
    best = np.argmax(tp / (tp[-1] + tp + fp / skew))
    lower, upper = np.append(values, 0.0).astype(np.float64)[[best + 1, best]]
    middle = lower + (upper - lower) / 2
    # The middle of two neighbouring floats may round down to the lower one.
    return middle if middle > lower else upper


class AUThresholdClassifier(WrappedClassifier):
    """Give every AU of a classifier its own decision threshold.

    ``fit`` predicts every training subject with clones that were fitted on other
    training subjects. It takes the best threshold of every AU on all these
    probabilities together. Then it fits the classifier on all rows. Test data are not
    used, unlike in a search for thresholds on the fold that is scored.

    Thresholds that are known are given: ``thresholds=``. Then ``fit`` fits the
    classifier on all rows, and needs no subjects.

    Parameters
    ----------
    estimator : classifier
        ``predict_proba`` returns (n_samples, n_aus); may be a pipeline.
    thresholds : dict, array-like of shape (n_aus,) or None, default=None
        Probabilities from which AUs count as present, in [0, 1]: by AU, as in
        ``{12: 0.3}``, where the other AUs keep 0.5, or in the order of the AUs. None
        learns them.
    cv : int, splitter or iterable of (train, test), default=None
        Folds of the training subjects; None means ``SubjectKFold(3)``. Folds must not
        divide a subject. Like `metric` and `n_jobs`, only for learned thresholds.
    metric : {"f1", "skew_normalized_f1"}, default="f1"
        What the thresholds maximise.
    n_jobs : int, default=None
        Inner folds to fit at the same time, as in joblib.

    Attributes
    ----------
    thresholds_ : ndarray of shape (n_aus,), dtype float64
        Those given, or see `best_f1_thresholds`; 0.5 for an AU without positives.
    estimator_ : classifier
        Fitted on all rows.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        [0, 1] for every AU; (2,) after labels of shape (n_samples,).
    aus_ : sequence of int
        The AUs, if `estimator_` has them.

    Notes
    -----
    Learning costs one additional fit per fold. A classifier that is fitted already
    takes thresholds without another fit:
    ``AUThresholdClassifier(FrozenEstimator(clf), thresholds={12: 0.3}).fit(X, y)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skfau import Faces
    >>> from skfau.model_selection import AUThresholdClassifier
    >>> rng = np.random.default_rng(0)
    >>> images = rng.integers(0, 256, size=(60, 2, 2, 3), dtype="uint8")
    >>> faces = Faces(images, subject=np.repeat(np.arange(6), 10))
    >>> y = (images[:, 0, 0] > 200).astype("float32")
    >>> pixels = FunctionTransformer(lambda f: f.images[...].reshape(-1, 12) / 255)
    >>> mlp = MLPClassifier(4, solver="lbfgs", max_iter=50, tol=1, random_state=0)
    >>> clf = AUThresholdClassifier(make_pipeline(pixels, mlp)).fit(faces, y)
    >>> clf.thresholds_.shape, clf.predict(faces).shape
    ((3,), (60, 3))
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "thresholds": [dict, "array-like", None],
        "cv": ["cv_object"],
        "metric": [StrOptions({"f1", "skew_normalized_f1"})],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        thresholds: dict[Any, Any] | ArrayLike | None = None,
        cv: Any = None,
        metric: Literal["f1", "skew_normalized_f1"] = "f1",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.thresholds = thresholds
        self.cv = cv
        self.metric = metric
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Faces, y: ArrayLike, **params: Any) -> Self:
        """Learn thresholds on held-out subjects, if not given, then fit on all rows.

        Parameters
        ----------
        X : Faces
            With the column ``subject`` if thresholds are learned.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            Labels in {0, 1, NaN}.
        **params : dict
            Passed to every ``fit`` of the classifier, such as ``sample_weight``.
            With scikit-learn's metadata routing that is what ``set_fit_request`` asks.
            What has one value per row is divided as the rows are. The thresholds
            themselves are learned with all rows alike.

        Returns
        -------
        self : AUThresholdClassifier
            The fitted classifier.

        Raises
        ------
        MissingColumnError
            If the subjects are needed and not known.
        ValueError
            If a fold trains on a subject it tests on, or there are too few subjects;
            if given thresholds are not one per AU, outside [0, 1], or of other AUs.
        """
        labels = check_au_labels(as_columns(y), n_samples=len(X))
        y = keep_names(y, labels)
        passed = self._passed_on(params)["estimator"]
        if self.thresholds is None:
            self.thresholds_ = self._learn(X, y, labels, passed)
            return self._fit_on_all(X, y, passed)
        given = _check_given(self.thresholds, labels.shape[1])
        self._fit_on_all(X, y, passed)
        self.thresholds_ = _in_order(given, getattr(self, "aus_", None))
        return self

    def _learn(self, X, y, labels, passed):
        subjects = subjects_of(X)
        splits = make_splits(_DEFAULT_FOLDS if self.cv is None else self.cv, X, labels)
        check_subjects_apart(
            splits, subjects, "thresholds must be learned on other people"
        )
        y_proba = oof_predict_proba(
            self.estimator, X, y, cv=splits, n_jobs=self.n_jobs, params=passed
        )
        return best_f1_thresholds(
            labels, y_proba, skew_normalized=self.metric == "skew_normalized_f1"
        )

    @property
    def _thresholds(self):
        return self.thresholds_


def _check_given(thresholds, n_aus):
    """Return given thresholds, an array or a dict by AU, after a look at the values."""
    by_au = isinstance(thresholds, dict)
    values = np.array(list(thresholds.values()) if by_au else thresholds, np.float64)
    if values.ndim != 1 or not (by_au or len(values) == n_aus):
        raise ValueError(
            f"thresholds must be a dict by AU, or one number per AU, ({n_aus},); got "
            f"shape {values.shape}."
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"thresholds must be in [0, 1], got {thresholds!r}.")
    return dict(zip(thresholds, values, strict=True)) if by_au else values


def _in_order(thresholds, aus):
    """Return thresholds in the order of the AUs."""
    if not isinstance(thresholds, dict):
        return thresholds
    if aus is None:
        raise ValueError(
            "thresholds are given by AU, but the classifier does not say which AUs its "
            "columns are (it has no aus_). Give one number per column."
        )
    columns = [bare_au(au) for au in aus]
    given = {bare_au(au): value for au, value in thresholds.items()}
    others = [au for au in given if au not in columns]
    if others:
        raise ValueError(
            f"thresholds name the AUs {others}, which the classifier does not know; it "
            f"has {tuple(aus)}."
        )
    return np.array([given.get(au, _DEFAULT_THRESHOLD) for au in columns])
