"""Several classifiers as one: log-odds are averaged, the rest is scikit-learn's."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score

from skfau.metrics import au_roc_auc_score, f1_scorer
from skfau.model_selection import (
    AUThresholdClassifier,
    AUVotingClassifier,
    SubjectKFold,
    oof_predict_proba,
)
from tests._midpoint import MidpointClassifier, draw_faces


class Says(ClassifierMixin, BaseEstimator):
    """Gives the probabilities it was made with."""

    def __init__(self, proba=None):
        self.proba = proba

    def fit(self, X, y):
        self.classes_ = np.tile([0, 1], (y.shape[1], 1))
        return self

    def predict_proba(self, X):
        return np.asarray(self.proba)


def vote(*probas, weights=None):
    faces, y = draw_faces(n_subjects=1, n_frames=len(probas[0]), n_aus=2)
    members = [(f"m{k}", Says(proba)) for k, proba in enumerate(probas)]
    voting = AUVotingClassifier(members, weights=weights)
    return voting.fit(faces, y).predict_proba(faces)


PROBABILITIES = arrays(np.float64, (4, 2), elements=st.floats(0, 1))


@given(PROBABILITIES, PROBABILITIES)
def test_the_odds_are_the_geometric_mean(one, other):
    one[0] = other[0] = 0.5
    a, b = (np.clip(p, 1e-6, 1 - 1e-6) for p in (one, other))
    odds = np.sqrt(a / (1 - a) * b / (1 - b))
    np.testing.assert_allclose(vote(one, other), odds / (1 + odds), atol=1e-12)


@given(PROBABILITIES, PROBABILITIES)
def test_a_weight_of_two_counts_as_two_classifiers(one, other):
    weighted = vote(one, other, weights=[1, 2])
    np.testing.assert_allclose(weighted, vote(one, other, other), atol=1e-12)
    np.testing.assert_allclose(vote(one, other, weights=[1, 0]), vote(one), atol=1e-12)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [[1, 2]], [np.nan, 1]])
def test_weights_are_one_number_per_classifier(weights):
    with pytest.raises(ValueError, match="weights must be 2 numbers, one per"):
        vote([[0.5, 0.5]], [[0.5, 0.5]], weights=weights)


@given(PROBABILITIES)
def test_a_vote_of_equals_is_theirs(proba):
    np.testing.assert_allclose(vote(proba, proba), proba, atol=2e-6)


def test_who_is_sure_does_not_silence_the_others():
    proba = vote(np.ones((4, 2)), np.full((4, 2), 1e-9), np.full((4, 2), 0.2))
    assert (proba < 0.5).all()


def test_a_face_that_one_does_not_find_stays_unknown():
    seen = np.full((4, 2), 0.7)
    holes = seen.copy()
    holes[1] = np.nan
    proba = vote(seen, holes)
    np.testing.assert_array_equal(np.isnan(proba).all(axis=1), [0, 1, 0, 0])


def test_what_errs_in_different_places_errs_less_together():
    faces, y = draw_faces(n_subjects=40, n_frames=20)
    noise = np.random.default_rng(0).normal(size=(2, *y.shape))
    one, other = 1 / (1 + np.exp(-(y - 0.5 + noise)))
    members = [("one", Says(one)), ("other", Says(other))]
    clf = AUVotingClassifier(members).fit(faces, y)
    together = au_roc_auc_score(y, clf.predict_proba(faces))
    alone = max(au_roc_auc_score(y, each) for each in (one, other))
    assert together > alone + 0.05


def test_it_searches_and_learns_thresholds_like_any_classifier():
    faces, y = draw_faces(unknown=0.1)
    both = AUVotingClassifier(
        [("steep", MidpointClassifier()), ("flat", MidpointClassifier(slope=1.0))]
    )
    grid = {"flat__slope": [0.5, 2.0], "steep": [MidpointClassifier(aus=(1, 2, 4))]}
    search = GridSearchCV(
        AUThresholdClassifier(both, cv=2),
        {f"estimator__{name}": values for name, values in grid.items()},
        cv=SubjectKFold(2),
        scoring=f1_scorer,
        error_score="raise",
    ).fit(faces, y)
    assert search.best_estimator_.aus_ == (1, 2, 4)
    assert search.score(faces, y) > 0.65
    proba = oof_predict_proba(both, faces, y, cv=SubjectKFold(2))
    assert np.isfinite(proba).all()


def test_fitted_members_are_kept_where_frozen():
    faces, y = draw_faces()
    fitted = MidpointClassifier().fit(faces, y)
    members = [("kept", FrozenEstimator(fitted)), ("new", MidpointClassifier())]
    clf = pickle.loads(pickle.dumps(AUVotingClassifier(members).fit(faces, 1 - y)))
    np.testing.assert_array_equal(clf.estimators_[0].cuts_, fitted.cuts_)
    assert clone(clf).estimators[1][1].slope == 8.0


def test_members_must_say_one_number_per_face_and_au():
    with pytest.raises(ValueError, match=r"one array of shape \(2, 2\).*\(2, 4, 2\)"):
        vote(np.full((2, 4, 2), 0.5))
    with pytest.raises(ValueError, match=r"got ndarray of shape \(4, 1\)"):
        vote(np.full((4, 2), 0.5), np.full((4, 1), 0.5))


def test_members_of_other_aus_are_refused():
    faces, y = draw_faces()
    members = [("a", MidpointClassifier(aus=(1, 2, 4)))]
    members.append(("b", MidpointClassifier(aus=(1, 2, 6))))
    with pytest.raises(ValueError, match=r"same AUs.*\(1, 2, 6\)"):
        AUVotingClassifier(members).fit(faces, y)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "at least one"),
        ([MidpointClassifier()], r"list of \(name, classifier with predict_proba\)"),
        ([("a", KMeans())], r"classifier with predict_proba.*KMeans"),
        ([("a", MidpointClassifier()), ("a", MidpointClassifier())], "not unique"),
        ([("a__b", MidpointClassifier())], "must not contain __"),
    ],
)
def test_members_need_names_that_tell_them_apart(members, message):
    clf = AUVotingClassifier(members)
    with pytest.raises(ValueError, match=message):
        clf.fit(*draw_faces())
    with pytest.raises(ValueError, match=message):
        cross_val_score(clf, *draw_faces(), cv=SubjectKFold(2), scoring=f1_scorer)
