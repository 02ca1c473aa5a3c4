"""Out-of-fold probabilities without scikit-learn's re-encoding of the labels."""

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.parallel import Parallel, delayed

from skfau._validation import check_au_labels
from skfau.model_selection._split import SubjectKFold


def make_splits(cv, X, y, groups=None):
    """List the (train, test) rows; an integer `cv` means folds of subjects.

    Splitters that take groups are given ``X.subject`` where `groups` are None.
    """
    cv = SubjectKFold(cv) if isinstance(cv, Integral) else check_cv(cv)
    if groups is None and get_routing_for_object(cv).consumes("split", ["groups"]):
        groups = getattr(X, "subject", None)
    return list(cv.split(X, y, groups))


def oof_predict_proba(estimator, X, y, *, groups=None, cv, n_jobs=None):
    """Probabilities of every row from an estimator that was not fitted on its fold.

    Use it in place of ``cross_val_predict(method="predict_proba")``, which encodes
    every label column anew before fitting: NaN becomes a class, and in a column that
    holds one value only, that value becomes 0.

    Parameters
    ----------
    estimator : classifier
        Cloned for every fold; ``predict_proba`` returns (n_samples, n_aus).
    X : Faces or array of shape (n_samples, ...)
        Indexed by integer arrays.
    y : array-like of shape (n_samples, n_aus)
        Labels in {0, 1, NaN}.
    groups : array-like of shape (n_samples,), default=None
        For splitters that take groups; None means ``X.subject``.
    cv : int, splitter or iterable of (train, test)
        An integer means ``SubjectKFold(cv)``, not folds of rows.
    n_jobs : int, default=None
        Folds to fit at the same time, as in joblib.

    Returns
    -------
    y_proba : ndarray of shape (n_samples, n_aus), dtype float32
        NaN in rows that no test fold holds, and where there was no face.

    Raises
    ------
    ValueError
        If a row is in two test folds, or probabilities have another shape.
    LabelError
        If `y` holds other values. An error of a fit is not caught.

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
    labels = check_au_labels(y, n_samples=len(X))
    splits = make_splits(cv, X, labels, groups)
    check_once(splits, len(labels))
    named = keep_names(y, labels)
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(clone(estimator), X, named, train, test)
        for train, test in splits
    )
    y_proba = np.full(labels.shape, np.nan, dtype=np.float32)
    for (_, test), part in zip(splits, parts, strict=True):
        y_proba[test] = part
    return y_proba


def keep_names(y, labels):
    """Return `y` itself where it is a DataFrame, whose columns name the AUs.

    An estimator compares them with its own; of bare labels it would take any order.
    """
    return y if hasattr(y, "iloc") else labels


def take_labels(y, rows):
    """Return rows of what `keep_names` gave."""
    return y.iloc[rows] if hasattr(y, "iloc") else y[rows]


def check_once(splits, n_samples):
    """Refuse splits that test a row twice."""
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
    """Refuse folds that train on a subject whom they test on.

    Parameters
    ----------
    splits : list of (train, test)
        Row numbers.
    subjects : ndarray of shape (n_samples,)
        Subject of every row.
    reason : str
        Why it matters here.
    """
    for train, test in splits:
        shared = np.intersect1d(subjects[train], subjects[test])
        if len(shared):
            raise ValueError(
                f"cv puts {', '.join(map(str, shared))} into training and test rows "
                f"of one fold; {reason}, use SubjectKFold"
            )


def check_response(estimator, method, X, n_aus):
    """Return what ``predict`` or ``predict_proba`` says, if it has a column per AU."""
    part = getattr(estimator, method)(X)
    if isinstance(part, list) or np.shape(part) != (len(X), n_aus):
        raise ValueError(
            f"{type(estimator).__name__}.{method} must return one array of shape "
            f"{(len(X), n_aus)} (n_samples, n_aus), got {type(part).__name__} of shape "
            f"{np.shape(part)}"
        )
    return part


def _fit_and_predict(estimator, X, y, train, test):
    estimator.fit(X[train], take_labels(y, train))
    return check_response(estimator, "predict_proba", X[test], y.shape[1])
