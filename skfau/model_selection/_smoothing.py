"""Moving averages of probabilities within a video, never across two."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skfau._single_au import as_columns
from skfau._tables import like
from skfau._unwrap import find_thresholds
from skfau._validation import (
    HasMethods,
    Interval,
    _fit_context,
    check_au_labels,
    check_faces,
)
from skfau.model_selection._out_of_fold import keep_names
from skfau.model_selection._wrapper import WrappedClassifier

if TYPE_CHECKING:
    from pandas import DataFrame

    from skfau.faces import Faces

if TYPE_CHECKING:
    from pandas import DataFrame

    from skfau.faces import Faces

_WIDTH = [Interval(Integral, 1, None, closed="left")]


class ProbabilitySmoother(TransformerMixin, BaseEstimator):
    """Average every AU's probability over neighbouring frames of its video.

    Parameters
    ----------
    width : int, default=15
        Frames in the window, by frame number: ``(width - 1) // 2`` before a frame and
        ``width // 2`` after it. 1 changes nothing. Tallec et al. chose it from 5, 10,
        15, 20 and 25 on held-out videos.

    See Also
    --------
    SmoothedClassifier : The same, around a classifier.

    Notes
    -----
    A window holds existing frames only. Frames before the start, after the end, in a
    gap of the frame numbers or without a face (NaN) are neither in the sum nor in its
    divisor. NaN stays NaN. Data sets name tasks and not recordings, so a video is
    identified by ``subject`` and ``video``.

    A window spans `width` frame numbers, also if `X` holds every k-th frame only.

    References
    ----------
    Released with G. Tallec, E. Yvinec, A. Dapogny and K. Bailly, "Multi-label
    classification with transformers for action unit detection", 2022. Their code also
    sums the predictions of padded frames.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau import Faces
    >>> from skfau.model_selection import ProbabilitySmoother
    >>> images = np.zeros((5, 8, 8, 3), dtype="uint8")
    >>> faces = Faces(images, video=list("aaabb"), frame=[0, 1, 2, 0, 7])
    >>> y_proba = np.array([[0.0], [0.6], [0.6], [0.2], [0.8]])
    >>> ProbabilitySmoother(width=3).fit_transform(y_proba, faces=faces).ravel()
    array([0.3, 0.4, 0.6, 0.2, 0.8])
    """

    _parameter_constraints = {"width": _WIDTH}

    def __init__(self, width: int = 15) -> None:
        self.width = width

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_aus)
            Probabilities.
        y : object, default=None
            Not used.

        Returns
        -------
        self : ProbabilitySmoother
            Itself.
        """
        return self

    def transform(
        self, X: ArrayLike, faces: Faces | None = None
    ) -> NDArray[Any] | DataFrame:
        """Return the smoothed probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_aus)
            Probabilities, NaN where there is no face.
        faces : Faces
            Faces of the rows of `X`, in any order, with the columns ``video`` and
            ``frame``, and ``subject`` if videos are named per subject. They are needed;
            a pipeline hands them on by scikit-learn's metadata routing, after
            ``set_transform_request(faces=True)``.

        Returns
        -------
        smoothed : ndarray or DataFrame of shape (n_samples, n_aus)
            Of the same floating type; a DataFrame, with its names, if `X` is one.

        Raises
        ------
        MissingColumnError
            If videos or frame numbers are not known.
        ValueError
            If `X` has another shape, or two faces claim the same frame of a video.
        TypeError
            If there are no faces.
        """
        if faces is None:
            raise TypeError(
                "ProbabilitySmoother needs the faces of the rows: pass faces=. In a "
                "pipeline, scikit-learn's metadata routing hands them on after "
                "set_transform_request(faces=True); SmoothedClassifier around a "
                "classifier needs neither."
            )
        faces = check_faces(faces, need=("video", "frame"))
        # `neighbors` raises if two recordings have one name: they would be averaged
        # together.
        faces.neighbors(0)
        table, X = X, np.asarray(X)
        if X.ndim != 2 or len(X) != len(faces):
            raise ValueError(
                f"Expected one row of probabilities per face, ({len(faces)}, n_aus), "
                f"got {X.shape}."
            )
        X = X if X.dtype.kind == "f" else X.astype(np.float64)
        smoothed = np.empty_like(X)
        for rows, frames in _videos(faces):
            smoothed[rows] = _moving_average(X[rows], frames, self.width)
        return like(smoothed, table)

    def fit_transform(
        self, X: ArrayLike, y: Any = None, *, faces: Faces | None = None
    ) -> NDArray[Any] | DataFrame:
        """Return the smoothed probabilities; see `transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_aus)
            Probabilities.
        y : object, default=None
            Not used.
        faces : Faces
            Their rows.

        Returns
        -------
        smoothed : ndarray or DataFrame of shape (n_samples, n_aus)
            Of the same floating type; a DataFrame, with its names, if `X` is one.
        """
        return self.fit(X).transform(X, faces)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class SmoothedClassifier(WrappedClassifier):
    """Average a classifier's probabilities over neighbouring frames of a video.

    Parameters
    ----------
    estimator : classifier
        ``predict_proba`` returns (n_samples, n_aus); may be a pipeline.
    width : int, default=15
        Frames in the window; see `ProbabilitySmoother`.

    Attributes
    ----------
    estimator_ : classifier
        Fitted.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        [0, 1] for every AU; (2,) after labels of shape (n_samples,).
    aus_ : sequence of int
        The AUs, if `estimator_` has them.

    See Also
    --------
    AUThresholdClassifier : Wrapped around this one, it learns thresholds for smoothed
        probabilities.

    Notes
    -----
    `predict` cuts the smoothed probabilities at the ``thresholds_`` of a classifier
    inside, which may lie in a pipeline or search, else at 0.5.

    Only faces that are passed together are averaged, so pass whole videos. Folds of
    subjects, such as `SubjectKFold`, do not divide videos.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skfau import Faces
    >>> from skfau.model_selection import AUThresholdClassifier, SmoothedClassifier
    >>> rng = np.random.default_rng(0)
    >>> images = rng.integers(0, 256, size=(60, 2, 2, 3), dtype="uint8")
    >>> who = np.repeat(np.arange(6), 10)
    >>> faces = Faces(images, subject=who, video=who, frame=np.tile(np.arange(10), 6))
    >>> y = (images[:, 0, 0] > 200).astype("float32")
    >>> pixels = FunctionTransformer(lambda f: f.images[...].reshape(-1, 12) / 255)
    >>> mlp = MLPClassifier(4, solver="lbfgs", max_iter=50, tol=1, random_state=0)
    >>> smooth = SmoothedClassifier(make_pipeline(pixels, mlp), width=3)
    >>> clf = AUThresholdClassifier(smooth).fit(faces, y)
    >>> clf.thresholds_.shape, clf.predict(faces).shape
    ((3,), (60, 3))
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "width": _WIDTH,
    }

    def __init__(self, estimator: BaseEstimator, width: int = 15) -> None:
        self.estimator = estimator
        self.width = width

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Faces, y: ArrayLike, **params: Any) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            Labels in {0, 1, NaN}.
        **params : dict
            Passed to the classifier's ``fit``, such as ``sample_weight``.
            With scikit-learn's metadata routing that is what ``set_fit_request`` asks.

        Returns
        -------
        self : SmoothedClassifier
            The fitted classifier.
        """
        labels = check_au_labels(as_columns(y), n_samples=len(X))
        passed = self._passed_on(params)["estimator"]
        return self._fit_on_all(X, keep_names(y, labels), passed)

    def predict_proba(self, X: Faces) -> NDArray[Any] | DataFrame:
        """Return the smoothed probabilities.

        Parameters
        ----------
        X : Faces
            As `estimator` takes them, with the columns ``video`` and ``frame``.

        Returns
        -------
        y_proba : ndarray or DataFrame of shape (n_samples, n_aus)
            NaN rows where there is no face; a DataFrame if ``set_output`` chose one,
            here or of ``estimator_``.

        Raises
        ------
        MissingColumnError
            If videos or frame numbers are not known.
        ValueError
            If two faces claim the same frame of a video.
        """
        faces = check_faces(X, need=("video", "frame"))
        check_is_fitted(self)
        y_proba = self._inner_proba(faces)
        smoothed = ProbabilitySmoother(self.width).transform(y_proba, faces)
        return self._as_output(like(smoothed, y_proba), faces)

    @property
    def _thresholds(self):
        return find_thresholds(self.estimator_)


def _videos(faces):
    """Yield rows and frames of each video, or person in it, in the order of frames."""
    names = [n for n in ("subject", "video", "person") if n in faces.columns]
    keys = [np.unique(faces.column(name), return_inverse=True)[1] for name in names]
    order = np.lexsort((faces.frame, *keys))
    changes = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    for rows in np.split(order, np.flatnonzero(changes) + 1):
        yield rows, faces.frame[rows]


def _moving_average(values, frames, width):
    """Average columns over windows of rising frame numbers; NaN stays NaN."""
    known = ~np.isnan(values)
    first = np.searchsorted(frames, frames - (width - 1) // 2, side="left")
    last = np.searchsorted(frames, frames + width // 2, side="right")
    start = np.zeros((1, values.shape[1]))
    total = np.r_[start, np.cumsum(np.where(known, values, 0), 0, np.float64)]
    count = np.r_[start, np.cumsum(known, axis=0)]
    with np.errstate(invalid="ignore"):
        mean = (total[last] - total[first]) / (count[last] - count[first])
    # Rounding errors are clipped: a difference of sums may leave [0, 1].
    mean = mean.clip(
        np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    )
    return np.where(known, mean, np.nan)
