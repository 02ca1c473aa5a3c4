"""Several estimators on equal folds, and on other data sets."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from skfau import ResNetClassifier
from skfau.exceptions import MissingColumnError
from skfau.metrics import au_f1_score, fold_mean_f1
from skfau.model_selection import (
    AUThresholdClassifier,
    SmoothedClassifier,
    SubjectKFold,
    best_f1_thresholds,
    compare,
    cross_dataset_scores,
    oof_predict_proba,
)
from tests._midpoint import MidpointClassifier, draw_faces

AUS = (1, 6, 12)


class Turned(MidpointClassifier):
    """Says the opposite."""

    def predict_proba(self, X):
        return 1 - super().predict_proba(X)


class Diverging(MidpointClassifier):
    """Fails when told that subject "s0" is in its training rows."""

    def fit(self, X, y):
        if "s0" in X.subject:
            raise RuntimeError("loss is NaN")
        return super().fit(X, y)


class Named(MidpointClassifier):
    """Knows its AUs by the columns of a DataFrame only."""

    def fit(self, X, y):
        self.aus_ = tuple(int(name[2:]) for name in y.columns)
        return super().fit(X, y.to_numpy())


class Blind(MidpointClassifier):
    """Finds no face in its first test row."""

    def predict_proba(self, X):
        proba = super().predict_proba(X)
        proba[0] = np.nan
        return proba


def fast(estimators, X, y, **options):
    return compare(estimators, X, y, n_resamples=99, random_state=0, **options)


def test_all_are_fitted_on_the_same_folds_and_keep_their_probabilities():
    X, y = draw_faces(unknown=0.1)
    cv = SubjectKFold(3, random_state=4)
    table = fast({"a": MidpointClassifier(aus=AUS), "b": Turned()}, X, y, cv=cv)
    for name, estimator in (("a", MidpointClassifier()), ("b", Turned())):
        expected = oof_predict_proba(estimator, X, y, cv=cv)
        np.testing.assert_array_equal(table.probabilities[name], expected)
        cut = (expected >= 0.5).astype(float)
        score = table.scores[name].estimate[-1]
        assert score == pytest.approx(au_f1_score(y, cut))
        mean = fold_mean_f1(y, cut, cv.test_folds(X, y))
        assert table.fold_means[name] == pytest.approx(mean)
    np.testing.assert_array_equal(table.folds, cv.test_folds(X, y))
    assert table.index == ("AU1", "AU6", "AU12", "mean")
    assert table.failures == {} and min(table.seconds.values()) > 0
    assert best_f1_thresholds(y, table.probabilities["b"]).shape == (3,)
    assert "fold mean" in repr(table)


def test_decisions_are_the_estimators_own():
    X, y = draw_faces()
    tuned = AUThresholdClassifier(MidpointClassifier(), cv=3)
    table = fast({"half": MidpointClassifier(), "tuned": tuned}, X, y)
    proba, predicted = table.probabilities["tuned"], table.predictions["tuned"]
    assert (predicted != (proba >= 0.5)).any()
    halves = table.probabilities["half"] >= 0.5
    np.testing.assert_array_equal(table.predictions["half"], halves)


def test_rows_without_a_face_count_for_none():
    X, y = draw_faces()
    table = fast({"sees": MidpointClassifier(), "blind": Blind()}, X, y)
    blind = np.isnan(table.predictions["blind"]).any(axis=1)
    assert blind.sum() == 3
    expected = au_f1_score(y[~blind], table.predictions["sees"][~blind])
    assert table.scores["sees"].estimate[-1] == pytest.approx(expected)
    assert "3 of 108 rows lack a prediction" in repr(table)


def test_workers_give_the_same_table():
    X, y = draw_faces()
    estimators = {"a": MidpointClassifier(), "b": Turned()}
    one, two = (fast(estimators, X, y, n_jobs=n, aus=AUS) for n in (None, 2))
    assert repr(one) == repr(two)


def test_ranking_scores_take_the_probabilities():
    X, y = draw_faces()
    table = fast({"a": MidpointClassifier()}, X, y, metric="roc_auc")
    np.testing.assert_array_equal(table.predictions["a"], table.probabilities["a"])
    assert table.fold_means is None


def test_labels_of_a_single_au_may_have_one_axis():
    """A tool of scikit-learn for two classes takes no others."""
    X, y = draw_faces(n_aus=1)
    pixels, y = X.images[...][:, 0, :, 0] / 255, y[:, 0]
    estimators = {"a": LogisticRegression(), "b": GaussianNB()}
    table = fast(estimators, pixels, y, groups=X.subject, aus=(12,))
    for name, estimator in estimators.items():
        expected = oof_predict_proba(estimator, pixels, y, groups=X.subject, cv=3)
        np.testing.assert_array_equal(table.probabilities[name], expected)
    assert table.index == ("AU12", "mean")
    named = pd.Series(y, name="AU12")
    again = fast(estimators, pixels, named, groups=X.subject, aus=(12,))
    assert repr(again) == repr(table)


def test_a_data_set_of_a_single_au_may_have_one_axis():
    X, y = draw_faces(n_aus=1)
    column, vector = (Bunch(data=X, target=t, aus=(12,)) for t in (y, y[:, 0]))
    small = {"aus": (12,), "backbone": "tiny", "image_size": 32, "max_epochs": 1}
    clf = ResNetClassifier(**small, random_state=0)
    options = {"n_resamples": 9, "random_state": 0}
    tables = [
        cross_dataset_scores({"a": clf}, bunch, {"t": bunch}, **options)["t"]
        for bunch in (column, vector)
    ]
    assert repr(tables[0]) == repr(tables[1])


def test_progress_is_told_of_every_fit(capsys):
    X, y = draw_faces()
    fast({"a": MidpointClassifier()}, X, y, verbose=1)
    out, err = capsys.readouterr()
    assert not out
    lines = err.splitlines()
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert lines[1].startswith("[2/3] 'a', fit 2 of 3: done in ")


def test_one_that_fails_is_named_and_left_out():
    X, y = draw_faces()
    estimators = {"bad": Diverging(), "good": MidpointClassifier()}
    with pytest.warns(FitFailedWarning, match="'bad', fit . of 3 failed.*loss is NaN"):
        table = fast(estimators, X, y)
    assert list(table.scores) == ["good"]
    assert "RuntimeError: loss is NaN" in table.failures["bad"]
    assert "bad failed: RuntimeError: loss is NaN" in repr(table)
    with pytest.raises(RuntimeError, match=r"(?s)'bad', fit . of 3 failed.*Traceback"):
        fast(estimators, X, y, error_score="raise")
    with (
        pytest.warns(FitFailedWarning),
        pytest.raises(RuntimeError, match="all estimators failed; 'bad' with"),
    ):
        fast({"bad": Diverging()}, X, y)


def test_columns_are_named_by_the_estimators_unless_these_differ():
    X, y = draw_faces()
    one, other = MidpointClassifier(aus=AUS), MidpointClassifier(aus=(2, 6, 12))
    assert fast({"a": one, "b": other}, X, y).index[0] == "column0"
    assert fast({"a": one, "b": other}, X, y, aus=(4, 5, 6)).index[0] == "AU4"


def test_columns_of_a_frame_reach_every_fit():
    pandas = pytest.importorskip("pandas")
    X, y = draw_faces(unknown=0.1)
    X = X.with_columns(video=X.subject, frame=np.arange(len(X)))
    named = pandas.DataFrame(y, columns=["AU1", "AU6", "AU12"])
    assert fast({"a": Named()}, X, named).index[:3] == ("AU1", "AU6", "AU12")
    for wrapper in (AUThresholdClassifier, SmoothedClassifier):
        clf = wrapper(Named()).fit(X, named)
        same = wrapper(MidpointClassifier()).fit(X, y)
        assert clf.aus_ == (1, 6, 12)
        np.testing.assert_array_equal(clf.predict(X), same.predict(X))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"estimators": [MidpointClassifier()]}, TypeError, "a dict with a name for"),
        ({"cv": KFold(2, shuffle=True, random_state=0)}, ValueError, "of other people"),
        ({"X": draw_faces()[0].images[...]}, MissingColumnError, "who is in which row"),
        ({"published": "bp4d"}, ValueError, "pass aus= to name the columns"),
        ({"metric": "f2"}, ValueError, "metric must be one of"),
        ({"metrics": "f1"}, TypeError, "unexpected keyword argument 'metrics'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_fit(change, error, message):
    X, y = draw_faces()
    named = {"estimators": {"bad": Diverging()}, "X": X, "y": y} | change
    with pytest.raises(error, match=message):
        compare(**named)


def bunches():
    X, y = draw_faces()
    other, labels = draw_faces(n_subjects=4, seed=1)
    train = Bunch(data=X, target=y, aus=AUS)
    return train, Bunch(data=other, target=labels, aus=(12, 25, 1))


def test_other_data_sets_are_scored_on_the_shared_aus():
    train, test = bunches()
    estimators = {"a": MidpointClassifier(), "b": Turned()}
    tables = cross_dataset_scores(
        estimators, train, {"other": test, "same": train}, n_resamples=99
    )
    table = tables["other"]
    assert table.index == ("AU1", "AU12", "mean")
    assert tables["same"].index == ("AU1", "AU6", "AU12", "mean")
    for name, estimator in estimators.items():
        model = clone(estimator).fit(train.data, train.target)
        expected = model.predict(test.data)[:, [0, 2]]
        np.testing.assert_array_equal(table.predictions[name], expected)
        score = au_f1_score(test.target[:, [2, 0]], expected, average=None)
        np.testing.assert_allclose(table.scores[name].estimate[:2], score)


def test_data_sets_that_cannot_be_crossed_are_refused():
    train, test = bunches()
    test.aus = (2, 4, 25)
    clf = {"a": MidpointClassifier()}
    with pytest.raises(ValueError, match=r"'other' codes none of .*\(2, 4, 25\)"):
        cross_dataset_scores(clf, train, {"other": test})
    with pytest.raises(TypeError, match=r"tests\['other'\] must be a Bunch.*without"):
        cross_dataset_scores(clf, train, {"other": test.data})


def test_an_estimator_for_other_aus_than_the_training_data_is_refused():
    train, test = bunches()
    clf = {"a": make_pipeline(ResNetClassifier(aus=(1, 2, 4)))}
    with pytest.raises(ValueError, match=r"resnetclassifier__aus=\(1, 2, 4\), but"):
        cross_dataset_scores(clf, train, {"other": test})


class Continued(MidpointClassifier):
    """Begins with the weights of another."""

    def __init__(self, init_from=None):
        super().__init__()
        self.init_from = init_from


def test_an_estimator_may_begin_with_weights_for_other_aus():
    train, test = bunches()
    clf = make_pipeline(Continued(init_from=ResNetClassifier(aus=(1, 2, 4))))
    tables = cross_dataset_scores({"a": clf}, train, {"other": test}, n_resamples=9)
    assert tables["other"].index == ("AU1", "AU12", "mean")
