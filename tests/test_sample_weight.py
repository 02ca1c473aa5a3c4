"""Weights of rows: in every classifier, in scores, through pipelines and wrappers."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skfau import Faces
from skfau.estimators import (
    AULinearSVC,
    AULogisticRegression,
    FaceAugmentation,
    JAANetClassifier,
    MLGCNClassifier,
    hog_baseline,
    landmark_baseline,
)
from skfau.estimators._batches import FaceBatches
from skfau.exceptions import MissingColumnError
from skfau.metrics import au_accuracy_score, au_f1_score, au_skew_normalized_f1_score
from skfau.model_selection import (
    AUThresholdClassifier,
    AUVotingClassifier,
    SmoothedClassifier,
    SubjectKFold,
    oof_predict_proba,
    subject_weights,
)
from tests._midpoint import MidpointClassifier, draw_faces
from tests.checks import RowClassifier
from tests.small import CLASSIFIERS, make_small

SMALL = MLGCNClassifier


def same_weights(one, other):
    one, other = one.network_state(), other.network_state()
    return all(np.array_equal(one[name], other[name]) for name in one)


# -- networks ---------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_weights_count_by_ratio_and_0_leaves_a_row_out(cls, made):
    even = np.arange(len(made.data)) % 2 == 0
    some = made.data[even], made.target[even]
    plain = make_small(cls, max_epochs=1).fit(*some)
    weights = np.where(even, 0.3, 0.0)
    weighted = make_small(cls, max_epochs=1).fit(made.data, made.target, weights)
    assert same_weights(plain, weighted)
    assert plain.history_ == weighted.history_
    np.testing.assert_array_equal(plain.label_counts_, weighted.label_counts_)
    weights = np.linspace(0.1, 3, even.sum())
    other = make_small(cls, max_epochs=1).fit(*some, sample_weight=weights)
    assert not same_weights(plain, other)


def draw_table(n=24, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    return X, (X[:, 0] > 0).astype(int), rng.integers(1, 5, n)


def test_one_batch_of_weighted_rows_trains_as_the_rows_repeated():
    X, y, weights = draw_table()
    how = {"batch_size": 1000, "max_epochs": 3, "random_state": 0}
    weighted = RowClassifier(**how).fit(X, y, weights)
    repeated = RowClassifier(**how).fit(np.repeat(X, weights, 0), np.repeat(y, weights))
    one, other = weighted.network_state(), repeated.network_state()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], atol=1e-6, err_msg=name)


def test_an_epoch_is_the_weighted_mean_however_rows_fall_into_batches():
    X, y, weights = draw_table()
    losses = [
        RowClassifier(batch_size=size, lr=1e-12, max_epochs=1, random_state=0)
        .fit(X, y, weights)
        .history_[0]["train_loss"]
        for size in (1, 5, 24)
    ]
    assert losses == pytest.approx([losses[-1]] * 3, rel=1e-6)
    plain = RowClassifier(lr=1e-12, max_epochs=1, random_state=0).fit(X, y)
    assert plain.history_[0]["train_loss"] != pytest.approx(losses[0], rel=1e-3)


def test_parts_of_the_loss_add_up_to_it(made):
    weights = np.linspace(0.1, 3, len(made.data))
    clf = make_small(JAANetClassifier, max_epochs=1)
    row = clf.fit(made.data, made.target, weights).history_[0]
    parts = [v for k, v in row.items() if k in {"wce", "dice", "landmarks"}]
    parts += [v for k, v in row.items() if k.startswith(("local_", "refine"))]
    assert sum(parts) == pytest.approx(row["train_loss"], rel=1e-4)


def test_one_more_epoch_takes_weights():
    X, y, weights = draw_table()
    fitted = pickle.dumps(RowClassifier(random_state=0).partial_fit(X, y, [0, 1]))
    plain, equal, weighted = (
        pickle.loads(fitted).partial_fit(X, y, sample_weight=each)
        for each in (None, np.full(len(X), 2.5), weights)
    )
    assert same_weights(plain, equal)
    assert not same_weights(plain, weighted)


def test_label_counts_are_sums_of_weights_of_mean_1_and_are_kept(made, tmp_path):
    weights = np.linspace(1, 2, len(made.data))
    clf = make_small(SMALL, max_epochs=1).fit(made.data, made.target, weights)
    relative = weights / weights.mean()
    expected = [relative @ made.target, relative @ np.ones_like(made.target)]
    np.testing.assert_allclose(clf.label_counts_, expected)
    clf.save(tmp_path / "x.safetensors")
    for again in (
        SMALL.load(tmp_path / "x.safetensors"),
        pickle.loads(pickle.dumps(clf)),
    ):
        np.testing.assert_array_equal(again.label_counts_, clf.label_counts_)
    plain = make_small(SMALL, max_epochs=1).fit(made.data, made.target)
    assert plain.label_counts_.dtype == np.int64


def test_a_checkpoint_belongs_to_its_weights(tmp_path):
    X, y, weights = draw_table()
    clf = RowClassifier(max_epochs=1, checkpoint_dir=tmp_path, random_state=0)
    for given_weights in (None, np.full(len(X), 7.0), weights, 2.0 * weights):
        clone(clf).fit(X, y, given_weights)
    # None and equal weights are one fit, weights of equal ratios another.
    assert len(list(tmp_path.iterdir())) == 2


def test_subjects_are_held_out_together_with_their_weights(made):
    weights = np.where(made.data.subject == made.data.subject[0], 5.0, 1.0)
    clf = make_small(SMALL, max_epochs=1, early_stopping=True)
    clf.fit(made.data, made.target, weights)
    n_rows = clf.label_counts_[1, 0]
    assert n_rows == pytest.approx(round(n_rows)) and n_rows < len(made.data)


def test_a_mixed_face_has_the_weight_of_its_own_row(made):
    batches = FaceBatches(
        made.data,
        made.target,
        image_size=48,
        augmentation=FaceAugmentation(mixup=0.4),
        make_targets=lambda labels: {"labels": labels},
        columns=(),
        aus=made.aus,
        weights=np.arange(len(made.data)) / 10,
    )
    batches.rng = np.random.default_rng(0)
    _, targets = batches.__getitems__([5, 0, 30])
    assert targets["weight"].tolist() == np.float32([0.5, 0.0, 3.0]).tolist()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones(3), r"one weight per row, shape \(24,\), got \(3,\)"),
        (np.ones((24, 2)), r"one weight per row, shape \(24,\), got \(24, 2\)"),
        (2.0, r"one weight per row, shape \(24,\), got \(\)"),
        ([*[1.0] * 23, -1.0], "finite and at least 0, got -1.0 in row 23"),
        ([*[1.0] * 23, np.nan], "finite and at least 0, got nan in row 23"),
        (np.zeros(24), "zero for all 24 rows"),
        (["a"] * 24, "sample_weight must be numbers"),
    ],
)
def test_what_is_no_weight_is_refused(wrong, message):
    X, y, _ = draw_table()
    labels = np.eye(2, dtype=np.float32)[y]
    linear = AULogisticRegression(aus=(1, 2))
    fitted = clone(linear).fit(X, labels)
    for use in (
        lambda: RowClassifier(max_epochs=1).fit(X, y, wrong),
        lambda: RowClassifier().partial_fit(X, y, [0, 1], wrong),
        lambda: linear.fit(X, labels, wrong),
        lambda: fitted.score(X, labels, wrong),
        lambda: au_f1_score(labels, labels, sample_weight=wrong),
    ):
        with pytest.raises(ValueError, match=message):
            use()


def test_weight_on_rows_without_a_face_alone_is_refused(made):
    landmarks = made.data.landmarks[...].copy()
    landmarks[:10] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    weights = (np.arange(len(faces)) < 10).astype(float)
    message = "zero for all rows that have a face"
    with pytest.raises(ValueError, match=message):
        make_small(SMALL).fit(faces, made.target, weights)
    X = np.where(np.arange(24)[:, None] < 10, np.nan, draw_table()[0])
    with pytest.raises(ValueError, match=message):
        AULinearSVC(aus=None).fit(X, np.eye(2)[draw_table()[1]], weights[:24])


# -- linear classifiers, scores, weights per subject -------------------------------


@pytest.mark.parametrize("balance", ["balanced", None])
@pytest.mark.parametrize("cls", [AULinearSVC, AULogisticRegression])
def test_a_linear_classifier_takes_a_weight_as_so_many_rows(cls, balance):
    X, y, weights = draw_table(60)
    weights -= 1
    labels = np.stack([y, X[:, 1] > 0.3, X[:, 2] < 9], axis=1).astype(np.float32)
    labels[::7, 0] = np.nan
    clf = cls(C=1.0, class_weight=balance, aus=(1, 2, 4))
    weighted = clone(clf).fit(X, labels, weights)
    repeated = clf.fit(np.repeat(X, weights, 0), np.repeat(labels, weights, 0))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=2e-2, atol=1e-3)
    np.testing.assert_array_equal(weighted.label_counts_, repeated.label_counts_)


SCORES = [au_f1_score, au_skew_normalized_f1_score, au_accuracy_score]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("average", ["macro", "pooled", None])
@given(
    seed=st.integers(0, 10**6),
    weights=st.lists(st.integers(0, 3), min_size=9, max_size=9),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_a_score_counts_a_weight_as_so_many_rows(score, average, seed, weights):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 2, (2, 9, 3)).astype(float)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    weights[0] += 1
    ours = score(truth, predicted, average=average, sample_weight=weights)
    rows = np.repeat(np.arange(9), weights)
    expected = score(truth[rows], predicted[rows], average=average)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    equal = score(truth, predicted, average=average, sample_weight=[0.1] * 9)
    np.testing.assert_array_equal(equal, score(truth, predicted, average=average))


def test_every_subject_weighs_alike():
    weights = subject_weights(["b", "a", "b", "b"])
    np.testing.assert_allclose(weights, [2 / 3, 2, 2 / 3, 2 / 3])
    faces, _ = draw_faces(n_subjects=4)
    assert subject_weights(faces).tolist() == [1.0] * len(faces)
    with pytest.raises(MissingColumnError, match="not known who is in which row"):
        subject_weights(Faces(faces.images[...]))


# -- scikit-learn's tools -----------------------------------------------------------


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


def pipelines():
    return {
        "network": Pipeline([("clf", make_small(SMALL, max_epochs=1))]),
        "landmarks": landmark_baseline(),
        "hog": hog_baseline(output_size=48),
        "thresholds": AUThresholdClassifier(landmark_baseline()),
        "vote": make_pipeline(AUVotingClassifier([("one", landmark_baseline())])),
        "smoother": make_pipeline(SmoothedClassifier(landmark_baseline(), width=3)),
    }


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
@pytest.mark.parametrize("name", pipelines())
@pytest.mark.parametrize("enabled", [True, False])
def test_default_scoring_works_with_and_without_routing(name, enabled, made):
    n = len(made.data)
    faces = made.data.with_columns(
        video=made.data.subject, frame=np.arange(n), subject=made.data.subject
    )
    with config_context(enable_metadata_routing=enabled):
        pipe = pipelines()[name]
        score = clone(pipe).fit(faces, made.target).score(faces, made.target)
        assert 0 <= score <= 1
        if name not in {"network", "landmarks"}:
            return
        cv = SubjectKFold(2)
        assert np.isfinite(cross_val_score(pipe, faces, made.target, cv=cv)).all()
        grid = GridSearchCV(pipe, {pipe.steps[-1][0] + "__aus": [made.aus]}, cv=cv)
        assert np.isfinite(grid.fit(faces, made.target).best_score_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_weights_are_routed_to_fit_and_score(routing, made):
    faces, y = made.data, made.target
    weights = np.linspace(0.1, 1, len(faces)) * subject_weights(faces)
    weights[::9] = 0
    pipe = landmark_baseline()
    pipe["scale"].set_fit_request(sample_weight=True)
    pipe["logistic"].set_fit_request(sample_weight=True)
    pipe["logistic"].set_score_request(sample_weight=True)
    cv = SubjectKFold(3)
    given_params = {"sample_weight": weights, "groups": faces.subject}
    scores = cross_val_score(pipe, faces, y, cv=cv, params=given_params)
    for score, (train, test) in zip(scores, cv.split(faces, y), strict=True):
        features = clone(pipe[:2]).fit(faces[train]).transform(faces)
        scaler = StandardScaler().fit(features[train], sample_weight=weights[train])
        clf = clone(pipe["logistic"])
        clf.fit(scaler.transform(features[train]), y[train], weights[train])
        predicted = clf.predict(scaler.transform(features[test]))
        expected = au_f1_score(y[test], predicted, sample_weight=weights[test])
        assert score == pytest.approx(expected)
    grid = GridSearchCV(pipe, {"logistic__C": [0.1]}, cv=cv)
    grid.fit(faces, y, **given_params)
    assert grid.best_score_ == pytest.approx(scores.mean())


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_clones_ask_for_what_the_original_asks_for(cls, routing):
    clf = make_small(cls).set_fit_request(sample_weight=True)
    clf.set_score_request(sample_weight="w")
    asked = clone(make_pipeline(clf))[-1].get_metadata_routing()
    assert repr(asked) == repr(clf.get_metadata_routing())
    assert asked.fit.requests["sample_weight"] is True


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_weights_are_routed_to_a_network_in_a_pipeline(routing, made):
    faces, y = made.data, made.target
    weights = np.linspace(0.1, 1, len(faces))
    clf = make_small(SMALL, max_epochs=1).set_fit_request(sample_weight=True)
    pipe = make_pipeline(clf.set_score_request(sample_weight=True))
    grid = GridSearchCV(
        pipe, {pipe.steps[0][0] + "__aus": [made.aus]}, cv=SubjectKFold(2)
    )
    grid.fit(faces, y, sample_weight=weights)
    expected = []
    for train, test in SubjectKFold(2).split(faces, y):
        one = make_small(SMALL, max_epochs=1).fit(
            faces[train], y[train], weights[train]
        )
        expected.append(one.score(faces[test], y[test], weights[test]))
    assert grid.best_score_ == pytest.approx(np.mean(expected))


class Weighed(MidpointClassifier):
    """Remembers the weights it was fitted with."""

    def fit(self, X, y, sample_weight=None):
        if sample_weight is not None:
            # The first pixel says which row it is.
            np.testing.assert_array_equal(sample_weight, weights_for(X))
        self.weighed_ = sample_weight is not None
        return super().fit(X, y)


def weights_for(faces):
    return 1.0 + faces.images[...][:, 0, 0, 0]


def wrappers():
    one = Weighed()
    return {
        "thresholds": AUThresholdClassifier(one),
        "smoother": SmoothedClassifier(one, width=1),
        "vote": AUVotingClassifier([("one", one)]),
    }


def inner(wrapper):
    return getattr(wrapper, "estimators_", [getattr(wrapper, "estimator_", None)])[0]


@pytest.mark.parametrize("name", wrappers())
def test_a_wrapper_passes_weights_on(name):
    faces, y = draw_faces()
    weights = weights_for(faces)
    wrapper = wrappers()[name].fit(faces, y, sample_weight=weights.tolist())
    assert inner(wrapper).weighed_
    assert not inner(wrappers()[name].fit(faces, y)).weighed_
    with pytest.raises(TypeError, match="other"):
        wrappers()[name].fit(faces, y, other=1)


@pytest.mark.parametrize("name", wrappers())
def test_a_wrapper_routes_what_was_requested(name, routing):
    faces, y = draw_faces()
    weights = weights_for(faces)
    for request in (True, False):
        wrapper = wrappers()[name]
        one = getattr(wrapper, "estimator", None) or wrapper.estimators[0][1]
        one.set_fit_request(sample_weight=request)
        if request:
            wrapper.fit(faces, y, sample_weight=weights)
        else:
            with pytest.raises(TypeError, match="sample_weight"):
                wrapper.fit(faces, y, sample_weight=weights)
            wrapper.fit(faces, y)
        assert inner(wrapper).weighed_ == request
    with pytest.raises(ValueError, match=r"sample_weight.* not explicitly set"):
        wrappers()[name].fit(faces, y, sample_weight=weights)


def test_a_search_weighs_fits_and_scores_of_a_wrapper(routing):
    faces, y = draw_faces(unknown=0.2)
    weights = weights_for(faces)
    wrapper = AUThresholdClassifier(Weighed().set_fit_request(sample_weight=True))
    wrapper.set_score_request(sample_weight=True)
    cv = SubjectKFold(3)
    given_params = {"sample_weight": weights, "groups": faces.subject}
    scores = cross_val_score(wrapper, faces, y, cv=cv, params=given_params)
    for score, (train, test) in zip(scores, cv.split(faces, y), strict=True):
        clf = AUThresholdClassifier(MidpointClassifier()).fit(faces[train], y[train])
        assert score == clf.score(faces[test], y[test], weights[test])


def test_a_wrapper_scores_with_weights():
    faces, y = draw_faces(unknown=0.2)
    wrapper = SmoothedClassifier(MidpointClassifier(), width=1)
    faces = faces.with_columns(video=faces.subject, frame=np.arange(len(faces)))
    weights = np.arange(len(faces))
    predicted = wrapper.fit(faces, y).predict(faces)
    expected = au_f1_score(y, predicted, sample_weight=weights)
    assert wrapper.score(faces, y, weights) == expected
    assert wrapper.score(faces, y) == au_f1_score(y, predicted)


def test_out_of_fold_fits_take_the_weights_of_their_rows():
    faces, y = draw_faces()
    weights = weights_for(faces)
    proba = oof_predict_proba(
        Weighed(), faces, y, cv=3, params={"sample_weight": weights}
    )
    plain = oof_predict_proba(MidpointClassifier(), faces, y, cv=3)
    np.testing.assert_array_equal(proba, plain)
