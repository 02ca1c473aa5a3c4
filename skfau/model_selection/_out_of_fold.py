"""Out-of-fold probabilities without scikit-learn's re-encoding of the labels."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.parallel import Parallel, delayed

from skfau._progress import Progress
from skfau._single_au import as_columns, au_columns, is_vector
from skfau._subjects import warn_of_divided_subjects
from skfau._validation import check_au_labels
from skfau.model_selection._split import SubjectKFold

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from skfau.faces import Faces


def make_splits(cv, X, y, groups=None):
    """List the (train, test) rows; an integer `cv` means folds of subjects.

    Splitters that take groups get ``X.subject`` if `groups` is None.
    """
    cv = SubjectKFold(cv) if isinstance(cv, Integral) else check_cv(cv)
    if groups is None and get_routing_for_object(cv).consumes("split", ["groups"]):
        groups = getattr(X, "subject", None)
    return list(cv.split(X, y, groups))


def oof_predict_proba(
    estimator: BaseEstimator,
    X: Faces | ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cv: Any,
    n_jobs: int | None = None,
    params: dict[str, Any] | None = None,
    verbose: int = 0,
) -> NDArray[np.float32]:
    """Probabilities of every row from an estimator that was not fitted on its fold.

    Use it in place of ``cross_val_predict(method="predict_proba")``, which encodes
    every label column again before fitting: NaN becomes a class, and the value of a
    constant column becomes 0.

    Parameters
    ----------
    estimator : classifier
        Cloned for every fold; ``predict_proba`` returns (n_samples, n_aus).
    X : Faces or array of shape (n_samples, ...)
        Indexed by integer arrays.
    y : array-like of shape (n_samples, n_aus) or (n_samples,)
        Labels in {0, 1, NaN}.
    groups : array-like of shape (n_samples,), default=None
        For splitters that take groups; None means ``X.subject``.
    cv : int, splitter or iterable of (train, test)
        An integer means ``SubjectKFold(cv)``, not folds of rows.
    n_jobs : int, default=None
        Folds to fit at the same time, as in joblib.
    params : dict, default=None
        Passed to ``fit``, such as ``{"sample_weight": weights}``. Of arrays and lists
        with one entry per row, those of the training rows.
    verbose : int, default=0
        1 shows on standard error how many folds are done.

    Returns
    -------
    y_proba : ndarray of shape (n_samples, n_aus), dtype float32
        NaN in rows that are in no test fold, and where there was no face. Of shape
        (n_samples, 1) for labels of shape (n_samples,).

    Raises
    ------
    ValueError
        If a row is in two test folds, or probabilities have another shape.
    LabelError
        If `y` holds other values. An error of a fit is not caught.

    Warns
    -----
    SubjectOverlapWarning
        If folds put a subject of `X` into training and test rows.

    Examples
    --------
    >>> from sklearn.neural_network import MLPClassifier
    >>> import numpy as np
    >>> from skfau.model_selection import SubjectKFold, oof_predict_proba
    >>> rng = np.random.default_rng(0)
    >>> X, subjects = rng.normal(size=(90, 4)), np.repeat(np.arange(9), 10)
    >>> y = (X[:, :3] > 0).astype("float32")
    >>> clf = MLPClassifier(8, solver="lbfgs", max_iter=20, random_state=0, tol=1)
    >>> oof_predict_proba(clf, X, y, groups=subjects, cv=SubjectKFold()).shape
    (90, 3)
    """
    labels = check_au_labels(as_columns(y), n_samples=len(X))
    splits = make_splits(cv, X, labels, groups)
    check_once(splits, len(labels))
    warn_of_divided_subjects(splits, X)
    named = keep_names(y, labels)
    jobs = (
        delayed(_fit_and_predict)(clone(estimator), X, named, train, test, params or {})
        for train, test in splits
    )
    shown = "Predicting out of fold", len(splits), "folds", __name__, verbose
    with Progress(*shown) as progress:
        probabilities = _CountedParallel(progress, n_jobs=n_jobs)(jobs)
    y_proba = np.full(labels.shape, np.nan, dtype=np.float32)
    for (_, test), proba in zip(splits, probabilities, strict=True):
        y_proba[test] = proba
    return y_proba


class _CountedParallel(Parallel):
    """Jobs of which a `Progress` knows how many are done, on any backend."""

    def __init__(self, progress, **options):
        super().__init__(**options)
        self._progress = progress

    def print_progress(self):
        """Count; joblib calls it after each job, with its lock held."""
        self._progress.update(self.n_completed_tasks - self._progress.n)


def keep_names(y, labels):
    """Return `y` itself if it is a table or Series, else `labels` in its shape.

    Columns of a DataFrame name the AUs, so that an estimator can check their order.
    """
    if hasattr(y, "iloc"):
        return y
    return labels[:, 0] if is_vector(y) else labels


def take_labels(y, rows):
    """Return rows of the result of `keep_names`."""
    return y.iloc[rows] if hasattr(y, "iloc") else y[rows]


def check_once(splits, n_samples):
    """Raise if a row is in two test folds."""
    times = np.zeros(n_samples, dtype=np.intp)
    for _, test in splits:
        times[test] += 1
    if times.max(initial=0) > 1:
        raise ValueError(
            f"row {np.argmax(times)} is in {times.max()} test folds; out-of-fold "
            "probabilities need folds that hold each row at most once (no repeats, "
            "no shuffle splits)"
        )


def check_subjects_apart(splits, subjects, reason):
    """Raise if a subject is in training and test rows of one fold.

    Parameters
    ----------
    splits : list of (train, test)
        Row numbers.
    subjects : ndarray of shape (n_samples,)
        Subject of every row.
    reason : str
        Part of the message: why it matters.
    """
    for train, test in splits:
        shared = np.intersect1d(subjects[train], subjects[test])
        if len(shared):
            raise ValueError(
                f"cv puts {', '.join(map(str, shared))} into training and test rows "
                f"of one fold; {reason}, use SubjectKFold"
            )


def check_response(estimator, method, X, n_aus):
    """Return the result of a method: an array of shape (n_samples, n_aus)."""
    response = au_columns(estimator, getattr(estimator, method)(X), n_aus)
    if isinstance(response, list) or np.shape(response) != (len(X), n_aus):
        raise ValueError(
            f"{type(estimator).__name__}.{method} must return one array of shape "
            f"{(len(X), n_aus)} (n_samples, n_aus), got {type(response).__name__} "
            f"of shape {np.shape(response)}"
        )
    return response


def _fit_and_predict(estimator, X, y, train, test, params):
    of_train = {name: _rows_of(value, train, len(y)) for name, value in params.items()}
    estimator.fit(X[train], take_labels(y, train), **of_train)
    n_aus = as_columns(y).shape[1]
    return check_response(estimator, "predict_proba", X[test], n_aus)


def _rows_of(value, rows, n_samples):
    """Return the entries of `rows`, or a value as it is if it has none per row."""
    per_row = isinstance(value, (list, tuple)) or hasattr(value, "__array__")
    if not per_row or np.shape(value)[:1] != (n_samples,):
        return value
    return np.asarray(value)[rows]
