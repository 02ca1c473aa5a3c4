"""Who was in the training rows, and whether a score is of the same people."""

import hashlib
from contextlib import contextmanager

import numpy as np

from skfau._columns import names_of
from skfau._unwrap import parts
from skfau._warn import warn
from skfau.exceptions import SubjectOverlapWarning
from skfau.faces import Faces


def find_subjects(X):
    """Return the name of each row's subject, "" where it is not known.

    Parameters
    ----------
    X : Faces, DataFrame or array-like of length n_samples
        Of a DataFrame the index may name subjects, as that of features does.

    Returns
    -------
    names : ndarray of shape (n_samples,), dtype str, or None
        None if nothing names them.
    """
    if isinstance(X, Faces):
        return None if X.subject is None else as_names(X.subject)
    index = getattr(X, "index", None)
    if "subject" in (getattr(index, "names", None) or ()):
        return as_names(index.get_level_values("subject"))
    return None


def as_names(subjects):
    """Return names as text, "" where one is missing; 1, 1.0 and "1" are one name."""
    values, missing = names_of(subjects)
    values = np.asarray(values)
    if values.dtype.kind == "f":
        whole = np.where(missing, 0, values)
        if (whole == np.round(whole)).all():
            values = whole.astype(np.int64)
    return np.where(missing, "", values.astype(str))


def code_of(name):
    """Return a digest that stands for a subject's name."""
    return hashlib.sha256(str(name).encode()).hexdigest()[:16]


def codes_of(names):
    """Return the digests of names, sorted, without the unknown."""
    known = () if names is None else (str(name) for name in np.unique(names))
    return tuple(sorted(code_of(name) for name in known if name.strip()))


def train_subjects(model):
    """Return the digests of all subjects that a model, or a part of it, learned from.

    Parameters
    ----------
    model : object
        A classifier, or any nesting of pipelines, searches and wrappers around some.

    Returns
    -------
    codes : set of str
    """
    return {code for each in parts(model) for code in _own(each)}


def _own(model):
    """Return ``train_subjects_`` of one object, () if it has none."""
    # Not by getattr: a search hands on attributes that it does not have.
    return getattr(model, "__dict__", {}).get("train_subjects_", ())


class RemembersSubjects:
    """An estimator that knows by ``train_subjects_`` whom it was fitted on."""

    @contextmanager
    def _remembering(self, X, before):
        """Note the subjects when training ends, in whatever way.

        While it lasts, callbacks score training and held-out rows because they should.
        """
        self.train_subjects_ = ()
        try:
            yield
        finally:
            self._remember_subjects(X, before)

    def _remember_subjects(self, X, before=()):
        """Note the subjects of training rows, and digests of those before."""
        codes = codes_of(find_subjects(X))
        self.train_subjects_ = tuple(sorted({*codes, *before}))


def warn_of_training_subjects(model, X):
    """Warn if rows to score are of subjects that the model was trained on.

    Parameters
    ----------
    model : object
        Fitted; see `train_subjects`.
    X : Faces, DataFrame or array-like
        Rows to score; without subjects there is nothing to compare.
    """
    names = find_subjects(X)
    if names is not None:
        warn_of_overlap(names, train_subjects(model))


def warn_of_overlap(names, known):
    """Warn if some of these names, or their digests, are known from training.

    Parameters
    ----------
    names : ndarray of shape (n_samples,), dtype str
        Subject of each scored row, "" where it is not known.
    known : collection of str
        Names, or digests as in ``train_subjects_``.
    """
    known = set(known)
    subjects = [str(name) for name in np.unique(names) if name.strip()]
    seen = [name for name in subjects if known & {name, code_of(name)}]
    if seen:
        n_rows = int(np.isin(names, seen).sum())
        warn(
            f"{len(seen)} of {len(subjects)} subjects to score were in training "
            f"({seen[0]!r}{', ...' if len(seen) > 1 else ''}; {n_rows} of {len(names)} "
            "rows): the score is of people that the classifier knows, and higher than "
            "on others. Split by subject, as skfau.model_selection.SubjectKFold or "
            "GroupKFold with groups=faces.subject. If one name stands for two people, "
            "put the data set's name before it. If you mean to score training rows, "
            "ignore this category: warnings.simplefilter('ignore', "
            "skfau.exceptions.SubjectOverlapWarning).",
            SubjectOverlapWarning,
        )


def warn_of_divided_subjects(splits, X):
    """Warn if folds, (train, test) row numbers, have subjects of `X` on both sides."""
    names = find_subjects(X)
    if names is None:
        return
    divided = [np.isin(names[test], names[train]) for train, test in splits]
    n_rows = sum(
        int(np.sum(both & (names[test] != "")))
        for both, (_, test) in zip(divided, splits, strict=True)
    )
    if n_rows:
        n_tested = sum(len(test) for _, test in splits)
        warn(
            f"{n_rows} of {n_tested} rows are predicted by classifiers that were "
            "trained on the same subjects: scores of these predictions are higher than "
            "on other people. Split by subject: pass an integer cv, or "
            "skfau.model_selection.SubjectKFold.",
            SubjectOverlapWarning,
        )
