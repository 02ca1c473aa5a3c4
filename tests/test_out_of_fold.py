"""Out-of-fold probabilities: right rows, labels as given, clear refusals."""

import numpy as np
import pytest
from sklearn.model_selection import (
    GroupKFold,
    RepeatedKFold,
    cross_val_predict,
)

from skfau import Faces
from skfau.exceptions import LabelError, MissingColumnError
from skfau.metrics import au_f1_score, fold_mean_f1
from skfau.model_selection import SubjectKFold, oof_predict_proba
from tests._midpoint import MidpointClassifier, draw_faces


class LabelKeeper(MidpointClassifier):
    """Answers with the mean of the labels it was fitted on."""

    def fit(self, X, y):
        self.seen_, self.classes_ = y, np.tile([0, 1], (y.shape[1], 1))
        return self

    def predict_proba(self, X):
        return np.repeat(np.nanmean(self.seen_, axis=0)[None], len(X), axis=0)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_every_row_comes_from_a_fit_without_its_fold(n_jobs):
    faces, y = draw_faces(unknown=0.1)
    y_proba = oof_predict_proba(
        MidpointClassifier(), faces, y, cv=SubjectKFold(), n_jobs=n_jobs
    )
    assert y_proba.dtype == np.float32
    for train, test in SubjectKFold().split(faces, y):
        clf = MidpointClassifier().fit(faces[train], y[train])
        np.testing.assert_array_equal(y_proba[test], clf.predict_proba(faces[test]))


def test_labels_reach_fit_unencoded():
    """A column of ones would be fitted as zeros through cross_val_predict."""
    faces, y = draw_faces()
    y[:, 0] = 1
    y[:5, 1] = np.nan
    y_proba = oof_predict_proba(LabelKeeper(), faces, y, cv=3)
    assert (y_proba[:, 0] == 1).all()
    assert (y_proba[:, 1:] < 1).all()
    encoded = cross_val_predict(
        LabelKeeper(), faces, y[:, :1], cv=SubjectKFold(), method="predict_proba"
    )
    assert (encoded == 0).all()


def test_integer_cv_means_folds_of_subjects():
    faces, y = draw_faces()
    by_number, by_splitter = (
        oof_predict_proba(MidpointClassifier(), faces, y, cv=cv)
        for cv in (4, SubjectKFold(4))
    )
    np.testing.assert_array_equal(by_number, by_splitter)
    with pytest.raises(MissingColumnError, match="who is in which row"):
        oof_predict_proba(MidpointClassifier(), Faces(faces.images[...]), y, cv=3)


def test_group_splitters_are_given_the_subjects():
    faces, y = draw_faces()
    told = oof_predict_proba(
        MidpointClassifier(), faces, y, groups=faces.subject, cv=GroupKFold(3)
    )
    found = oof_predict_proba(MidpointClassifier(), faces, y, cv=GroupKFold(3))
    np.testing.assert_array_equal(found, told)


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
def test_rows_in_no_test_fold_are_nan():
    faces, y = draw_faces()
    splits = [(np.arange(50, 100), np.arange(20)), (np.arange(50), np.arange(50, 60))]
    y_proba = oof_predict_proba(MidpointClassifier(), faces, y, cv=splits)
    tested = np.r_[0:20, 50:60]
    assert not np.isnan(y_proba[tested]).any()
    assert np.isnan(np.delete(y_proba, tested, axis=0)).all()


def test_repeats_are_refused():
    faces, y = draw_faces()
    cv = RepeatedKFold(n_splits=2, n_repeats=2, random_state=0)
    with pytest.raises(ValueError, match=r"row 0 is in 2 test folds"):
        oof_predict_proba(MidpointClassifier(), faces, y, cv=cv)


def test_errors_of_a_fold_are_not_swallowed():
    faces, y = draw_faces()

    class Failing(MidpointClassifier):
        def fit(self, X, y):
            raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        oof_predict_proba(Failing(), faces, y, cv=3)

    class Flat(MidpointClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X)[:, 0]

    with pytest.raises(ValueError, match=r"must return one array of shape \(36, 3\)"):
        oof_predict_proba(Flat(), faces, y, cv=3)
    with pytest.raises(LabelError, match="got 9"):
        oof_predict_proba(MidpointClassifier(), faces, np.where(y == 1, 9, y), cv=2)


def test_fold_numbers_of_the_splitter_give_the_published_mean():
    faces, y = draw_faces()
    splitter = SubjectKFold()
    y_pred = oof_predict_proba(MidpointClassifier(), faces, y, cv=splitter) >= 0.5
    folds = [au_f1_score(y[test], y_pred[test]) for _, test in splitter.split(faces, y)]
    mean = fold_mean_f1(y, y_pred, splitter.test_folds(faces, y))
    assert mean == pytest.approx(np.mean(folds), abs=1e-12)
