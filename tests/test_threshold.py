"""Thresholds per AU: the exact optimum, learned on other people."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from skfau import Faces
from skfau.exceptions import LabelError, MissingColumnError
from skfau.metrics import (
    au_f1_score,
    au_skew_normalized_f1_score,
    f1_scorer,
    per_au_f1_scorer,
)
from skfau.model_selection import (
    AUThresholdClassifier,
    SubjectKFold,
    best_f1_thresholds,
    oof_predict_proba,
)
from tests._midpoint import MidpointClassifier, draw_faces

SCORES = {False: au_f1_score, True: au_skew_normalized_f1_score}


@st.composite
def labels_and_probabilities(draw, dtype):
    shape = (draw(st.integers(2, 25)), draw(st.integers(1, 3)))
    y_true = draw(arrays(dtype, shape, elements=st.sampled_from([0, 1, np.nan])))
    y_true[:2] = [[0], [1]]
    few = st.integers(0, 5).map(lambda k: k / 5)
    width = np.dtype(dtype).itemsize * 8
    fine = st.floats(0, 1, width=width)
    y_proba = draw(arrays(dtype, shape, elements=st.one_of(few.map(dtype), fine)))
    return y_true, y_proba


def predict(y_proba, thresholds):
    return (y_proba >= thresholds).astype(float)


@pytest.mark.parametrize("skew_normalized", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_no_other_cut_is_better(dtype, skew_normalized, data):
    y_true, y_proba = data.draw(labels_and_probabilities(dtype))
    score = SCORES[skew_normalized]
    thresholds = best_f1_thresholds(y_true, y_proba, skew_normalized=skew_normalized)
    found = score(y_true, predict(y_proba, thresholds), average=None)
    cuts = np.unique(np.append(y_proba, [0, 2]))
    others = [score(y_true, predict(y_proba, cut), average=None) for cut in cuts]
    np.testing.assert_allclose(found, np.max(others, axis=0), atol=1e-12)


@given(labels_and_probabilities(np.float32))
def test_threshold_stands_clear_of_scores(pair):
    y_true, y_proba = pair
    for labels, scores, threshold in zip(
        y_true.T, y_proba.T, best_f1_thresholds(y_true, y_proba), strict=True
    ):
        known = scores[~np.isnan(labels)].astype(np.float64)
        above, below = known[known >= threshold].min(), known[known < threshold]
        assert threshold == pytest.approx((above + max(below, default=0)) / 2, abs=1e-9)


def test_neighbouring_doubles_are_still_told_apart():
    upper = np.nextafter(0.5, 1)
    y_true, y_proba = np.array([[0], [1]]), np.array([[0.5], [upper]])
    threshold = best_f1_thresholds(y_true, y_proba)
    np.testing.assert_array_equal(predict(y_proba, threshold), y_true)


def test_unknown_rows_and_rows_without_a_face_do_not_count():
    y_true = np.array([[0], [1], [np.nan], [1]], dtype=float)
    y_proba = np.array([[0.2], [0.4], [0.3], [np.nan]])
    assert best_f1_thresholds(y_true, y_proba) == pytest.approx(0.3)


def test_au_without_positives_keeps_one_half():
    y_true = np.array([[0, 1, np.nan], [0, 1, np.nan]])
    y_proba = np.full((2, 3), 0.8)
    assert best_f1_thresholds(y_true, y_proba).tolist() == [0.5, 0.4, 0.5]
    normalized = best_f1_thresholds(y_true, y_proba, skew_normalized=True)
    assert normalized.tolist() == [0.5, 0.5, 0.5]


def test_logits_are_refused():
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got -2.0 to 3.0"):
        best_f1_thresholds(np.array([[0], [1]]), np.array([[-2.0], [3.0]]))
    with pytest.raises(LabelError, match="y_true and y_score"):
        best_f1_thresholds(np.ones((2, 1)), np.ones((3, 1)))


def test_thresholds_come_from_held_out_subjects_and_the_fit_from_all():
    faces, y = draw_faces(unknown=0.1)
    clf = AUThresholdClassifier(MidpointClassifier(aus=(1, 6, 12))).fit(faces, y)
    y_proba = oof_predict_proba(MidpointClassifier(), faces, y, cv=SubjectKFold(3))
    np.testing.assert_array_equal(clf.thresholds_, best_f1_thresholds(y, y_proba))
    everyone = MidpointClassifier().fit(faces, y)
    np.testing.assert_array_equal(
        clf.predict_proba(faces), everyone.predict_proba(faces)
    )
    expected = everyone.predict_proba(faces) >= clf.thresholds_
    np.testing.assert_array_equal(clf.predict(faces), expected.astype(np.float32))
    assert clf.score(faces, y) == au_f1_score(y, clf.predict(faces))
    assert clf.aus_ == (1, 6, 12)
    assert clf.classes_.tolist() == [[0, 1]] * 3


def test_thresholds_raise_f1_of_an_estimator_that_says_too_little():
    class Shy(MidpointClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X) / 2.5

    faces, y = draw_faces(n_subjects=12, n_frames=30)
    train, test = next(SubjectKFold(2).split(faces, y))
    shy = Shy().fit(faces[train], y[train])
    tuned = AUThresholdClassifier(Shy()).fit(faces[train], y[train])
    assert shy.predict(faces[test]).sum() == 0
    assert tuned.score(faces[test], y[test]) > 0.6


def test_skew_normalised_thresholds_are_lower_for_a_rare_au():
    faces, y = draw_faces(n_frames=40, n_aus=1)
    rare = np.flatnonzero((y[:, 0] == 0) | (np.arange(len(y)) % 6 == 0))
    plain, normalized = (
        AUThresholdClassifier(MidpointClassifier(), metric=metric)
        .fit(faces[rare], y[rare])
        .thresholds_
        for metric in ("f1", "skew_normalized_f1")
    )
    assert normalized < plain


def test_rows_without_a_face_stay_nan():
    class Blind(MidpointClassifier):
        def predict_proba(self, X):
            y_proba = super().predict_proba(X)
            y_proba[::5] = np.nan
            return y_proba

    faces, y = draw_faces()
    y_pred = AUThresholdClassifier(Blind()).fit(faces, y).predict(faces)
    assert np.isnan(y_pred[::5]).all()
    assert set(np.unique(np.delete(y_pred, np.s_[::5], axis=0))) <= {0, 1}


def test_search_reaches_through_the_wrapper():
    faces, y = draw_faces()
    inner = Pipeline([("clf", MidpointClassifier(aus=(1, 6, 12)))])
    clf = AUThresholdClassifier(inner, cv=2)
    assert clone(clf).get_params()["estimator__clf__slope"] == 8.0
    search = GridSearchCV(
        clf,
        {"estimator__clf__slope": [1.0, 4.0]},
        cv=SubjectKFold(2),
        scoring=f1_scorer,
        error_score="raise",
    ).fit(faces, y)
    assert list(per_au_f1_scorer(search, faces, y))[:3] == ["AU1", "AU6", "AU12"]


def test_tags_say_multilabel():
    tags = get_tags(AUThresholdClassifier(MidpointClassifier()))
    assert tags.classifier_tags.multi_label


def test_unknown_subjects_and_row_folds_are_refused():
    faces, y = draw_faces()
    clf = AUThresholdClassifier(MidpointClassifier())
    with pytest.raises(MissingColumnError, match="who is in which row"):
        clf.fit(Faces(faces.images[...]), y)
    with pytest.raises(ValueError, match=r"cv puts s0.*into training and test"):
        clf.set_params(cv=KFold(3, shuffle=True, random_state=0)).fit(faces, y)
    clf.set_params(cv=GroupKFold(3)).fit(faces, y)
    with pytest.raises(ValueError, match="'metric' parameter"):
        clf.set_params(metric="accuracy").fit(faces, y)


GIVEN = {
    "in order": [0.1, 0.5, 0.9],
    "by number": {1: 0.1, 12: 0.9},
    "by name": {"AU01": 0.1, "AU12": 0.9},
}


@pytest.mark.parametrize("thresholds", GIVEN.values(), ids=GIVEN)
def test_given_thresholds_cut_the_probabilities(thresholds):
    faces, y = draw_faces()
    nobody = Faces(faces.images[...])
    inner = MidpointClassifier(slope=2.0, aus=(1, 6, 12))
    clf = AUThresholdClassifier(inner, thresholds=thresholds).fit(nobody, y)
    np.testing.assert_array_equal(clf.thresholds_, [0.1, 0.5, 0.9])
    expected = inner.fit(faces, y).predict_proba(faces) >= [0.1, 0.5, 0.9]
    np.testing.assert_array_equal(clf.predict(nobody), expected)


def test_a_fitted_classifier_takes_thresholds_without_another_fit():
    faces, y = draw_faces()
    frozen = FrozenEstimator(MidpointClassifier(aus=(1, 6, 12)).fit(faces, y))
    clf = AUThresholdClassifier(frozen, thresholds={6: 0.0}).fit(faces[:1], y[:1])
    assert clf.estimator_ is frozen
    assert clf.predict(faces)[:, 1].all()


@pytest.mark.parametrize(
    ("thresholds", "aus", "message"),
    [
        ([0.5, 0.5], None, r"one number per AU, \(3,\); got shape \(2,\)"),
        ([[0.5, 0.5, 0.5]], None, r"got shape \(1, 3\)"),
        ([0.5, 0.5, 1.5], None, r"must be in \[0, 1\], got \[0.5, 0.5, 1.5\]"),
        ({1: np.nan}, (1, 6, 12), r"must be in \[0, 1\]"),
        ({1: 0.2, 5: 0.3}, (1, 6, 12), r"name the AUs \[5\].*it has \(1, 6, 12\)"),
        ({1: 0.2}, None, "does not say which AUs.*Give one number per column"),
    ],
)
def test_thresholds_that_fit_no_au_are_refused(thresholds, aus, message):
    clf = AUThresholdClassifier(MidpointClassifier(aus=aus), thresholds=thresholds)
    with pytest.raises(ValueError, match=message):
        clf.fit(*draw_faces())
