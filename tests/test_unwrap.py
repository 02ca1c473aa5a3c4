"""The classifier is found inside every wrapper, nested in any order."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skfau._unwrap import find_classifier, find_having
from skfau.inspection import AttentionMapDisplay
from skfau.metrics import per_au_f1_scorer
from skfau.model_selection import (
    AUThresholdClassifier,
    AUVotingClassifier,
    SmoothedClassifier,
    SubjectKFold,
)
from tests._midpoint import MidpointClassifier, draw_faces
from tests.lookers import ALL_ABSENT, Looker, Negative, make_gray_faces

AUS = (1, 6, 12)


class Meta(ClassifierMixin, BaseEstimator):
    """A meta-estimator as scikit-learn describes them; it knows nothing of AUs."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def predict(self, X):
        return self.estimator_.predict(X)

    def predict_proba(self, X):
        return self.estimator_.predict_proba(X)


class NoMaps(ClassifierMixin, BaseEstimator):
    """Has probabilities only."""

    def fit(self, X, y):
        self.aus_ = AUS
        return self

    def predict_proba(self, X):
        return np.full((len(X), 3), 0.5)


class Ensemble(Meta):
    """Fits several copies, and keeps a template that is never fitted."""

    def fit(self, X, y):
        self.estimator_ = clone(self.estimator)
        self.estimators_ = [clone(self.estimator).fit(X, y) for _ in range(2)]
        return self

    def predict(self, X):
        return self.estimators_[0].predict(X)


def search(clf):
    return GridSearchCV(
        make_pipeline(clf), {}, cv=SubjectKFold(3), scoring=lambda *_: 0.0
    )


WRAPPERS = {
    "meta": Meta,
    "pipeline": make_pipeline,
    "search": search,
    "threshold": AUThresholdClassifier,
    "vote": lambda clf: AUVotingClassifier([("one", clf)]),
    "smoother": SmoothedClassifier,
    "ensemble": Ensemble,
    "pipeline in meta in search": lambda clf: search(Meta(make_pipeline(clf))),
    "search in threshold in meta": lambda clf: Meta(AUThresholdClassifier(search(clf))),
    "vote in smoother": lambda clf: SmoothedClassifier(WRAPPERS["vote"](clf)),
    "smoother in vote": lambda clf: WRAPPERS["vote"](SmoothedClassifier(clf)),
    "meta in ensemble": lambda clf: Ensemble(Meta(clf)),
}


@pytest.fixture(scope="module")
def drawn():
    faces, y = draw_faces()
    frames = np.tile(np.arange(12), 9)
    return faces.with_columns(video=faces.subject, frame=frames), y


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_per_au_scorers_name_the_aus_of_every_wrapper(wrap, drawn):
    faces, y = drawn
    model = wrap(MidpointClassifier(aus=AUS)).fit(faces, y)
    names = ["AU1", "AU6", "AU12", "mean"]
    assert list(per_au_f1_scorer(model, faces, y)) == names
    assert list(per_au_f1_scorer(FrozenEstimator(model), faces, y)) == names


@pytest.mark.parametrize("wrap", [Meta, Ensemble])
def test_aus_of_a_fitted_template_do_not_name_those_of_the_wrapper(wrap, drawn):
    faces, y = drawn
    template = MidpointClassifier(aus=None).fit(faces, y)
    template.aus_ = (2, 4, 5)  # of another fit; a clone does not have it
    scores = per_au_f1_scorer(wrap(template).fit(faces, y), faces, y)
    assert list(scores) == ["column0", "column1", "column2", "mean"]


def test_members_that_disagree_name_no_aus(drawn):
    faces, y = drawn
    model = Ensemble(MidpointClassifier(aus=AUS)).fit(faces, y)
    model.estimators_[1].aus_ = (2, 4, 5)
    assert next(iter(per_au_f1_scorer(model, faces, y))) == "column0"


@pytest.mark.parametrize("wrap", [Meta, make_pipeline, search])
def test_the_innermost_classifier_is_found(wrap, drawn):
    clf = MidpointClassifier(aus=AUS)
    frozen = FrozenEstimator(AUThresholdClassifier(clf).fit(*drawn))
    model = wrap(FrozenEstimator(wrap(frozen).fit(*drawn))).fit(*drawn)
    assert find_classifier(model) is frozen.estimator.estimator_


def test_a_vote_has_no_single_classifier_inside(drawn):
    vote = WRAPPERS["vote"](MidpointClassifier(aus=AUS)).fit(*drawn)
    assert find_classifier(vote) is vote


@pytest.mark.parametrize("model", [None, "passthrough", Looker(), Meta(Looker())])
def test_without_a_fitted_classifier_there_is_none(model):
    assert find_classifier(model) is None


@pytest.mark.parametrize("wrap", [Meta, FrozenEstimator])
def test_faces_go_through_the_transforms_around_and_inside_a_wrapper(wrap):
    faces = make_gray_faces()
    inside = make_pipeline(Negative(), Looker()).fit(faces, ALL_ABSENT)
    model = make_pipeline(Negative(), wrap(inside)).fit(faces, ALL_ABSENT)
    display = AttentionMapDisplay.from_estimator(model, faces, ax=Figure().subplots())
    np.testing.assert_array_equal(display.images, faces.images[...])


def test_what_is_frozen_is_found_itself():
    clf = Looker().fit(make_gray_faces(), ALL_ABSENT)
    vote = AUVotingClassifier([("one", FrozenEstimator(clf))])
    vote.fit(make_gray_faces(), ALL_ABSENT)
    assert find_having(FrozenEstimator(clf), "attention_maps")[0] is clf
    assert isinstance(find_having(vote, "attention_maps")[0], Looker)


def test_the_only_network_of_a_vote_shows_its_attention():
    faces, y = make_gray_faces(), np.zeros((4, 3))
    vote = AUVotingClassifier(
        [("pixels", make_pipeline(Negative(), Looker())), ("other", NoMaps())]
    ).fit(faces, y)
    model, steps = find_having(FrozenEstimator(vote), "attention_maps")
    assert isinstance(model, Looker)
    assert len(steps) == 1
    two = AUVotingClassifier([("a", Looker()), ("b", Looker())]).fit(faces, y)
    with pytest.raises(TypeError, match="AUVotingClassifier has none"):
        find_having(two, "attention_maps")
