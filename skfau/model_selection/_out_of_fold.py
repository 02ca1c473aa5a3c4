"""Out-of-fold probabilities without scikit-learn's re-encoding of the labels."""

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils.parallel import Parallel, delayed

from skfau._validation import check_au_labels
from skfau.model_selection._split import SubjectKFold


def as_splitter(cv):
    """Turn an integer into folds of subjects, and lists of splits into a splitter."""
    return SubjectKFold(cv) if isinstance(cv, Integral) else check_cv(cv)


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
        Handed to ``cv.split``; None means ``X.subject``, where there is one.
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
    y = check_au_labels(y, n_samples=len(X))
    if groups is None:
        groups = getattr(X, "subject", None)
    splits = list(as_splitter(cv).split(X, y, groups))
    times = np.zeros(len(y), dtype=np.intp)
    for _, test in splits:
        times[test] += 1
    if times.max(initial=0) > 1:
        raise ValueError(
            f"row {np.argmax(times)} is in {times.max()} test folds; out-of-fold "
            "probabilities need folds that hold each row at most once (no repeats, "
            "no shuffle splits)"
        )
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(clone(estimator), X, y, train, test)
        for train, test in splits
    )
    y_proba = np.full(y.shape, np.nan, dtype=np.float32)
    for (_, test), part in zip(splits, parts, strict=True):
        y_proba[test] = part
    return y_proba


def _fit_and_predict(estimator, X, y, train, test):
    part = estimator.fit(X[train], y[train]).predict_proba(X[test])
    expected = (len(X[test]), y.shape[1])
    if isinstance(part, list) or np.shape(part) != expected:
        raise ValueError(
            f"{type(estimator).__name__}.predict_proba must return one array of shape "
            f"{expected} (n_samples, n_aus), got {type(part).__name__} of shape "
            f"{np.shape(part)}"
        )
    return part
