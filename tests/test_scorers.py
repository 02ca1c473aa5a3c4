"""Scorers in scikit-learn's plumbing, with unknown labels in y."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import (
    GridSearchCV,
    LearningCurveDisplay,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline

from skfau import Faces
from skfau.estimators import AULogisticRegression
from skfau.exceptions import LabelError
from skfau.metrics import (
    au_f1_score,
    au_roc_auc_score,
    au_scorer,
    compare_predictions,
    f1_scorer,
    per_au_f1_scorer,
    score_table,
)
from skfau.model_selection import AUVotingClassifier, SubjectKFold
from tests._midpoint import MidpointClassifier, draw_faces

AUS = (1, 6, 12)


@pytest.fixture
def drawn():
    return draw_faces(unknown=0.1)


def pipeline(**parameters):
    return Pipeline([("clf", MidpointClassifier(aus=AUS, **parameters))])


def test_displays_of_scikit_learn_name_the_score(drawn):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    display = LearningCurveDisplay.from_estimator(
        pipeline(),
        *drawn,
        cv=SubjectKFold(2),
        train_sizes=[0.5, 1.0],
        scoring=au_scorer("skew_normalized_f1"),
        ax=Figure().subplots(),
    )
    assert display.ax_.get_ylabel() == "Skew normalized f1"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_cross_val_score_of_a_pipeline_is_the_f1_of_each_fold(drawn, n_jobs):
    faces, y = drawn
    scores = cross_val_score(
        pipeline(), faces, y, cv=SubjectKFold(), scoring=f1_scorer, n_jobs=n_jobs
    )
    expected = []
    for train, test in SubjectKFold().split(faces, y):
        clf = MidpointClassifier().fit(faces[train], y[train])
        expected.append(au_f1_score(y[test], clf.predict(faces[test])))
    np.testing.assert_array_equal(scores, expected)


def test_per_au_scorer_makes_one_column_per_au(drawn):
    faces, y = drawn
    result = cross_validate(
        pipeline(), faces, y, cv=SubjectKFold(), scoring=per_au_f1_scorer
    )
    columns = [result[f"test_AU{au}"] for au in AUS]
    np.testing.assert_allclose(result["test_mean"], np.mean(columns, axis=0))


def test_grid_search_refits_on_the_mean(drawn):
    faces, y = drawn
    search = GridSearchCV(
        pipeline(),
        {"clf__slope": [1.0, 8.0]},
        scoring=per_au_f1_scorer,
        refit="mean",
        cv=SubjectKFold(),
        error_score="raise",
    ).fit(faces, y)
    assert search.best_score_ == search.cv_results_["mean_test_mean"].max()
    assert set(per_au_f1_scorer(search, faces, y)) == {"AU1", "AU6", "AU12", "mean"}


def test_routing_asks_nothing_of_the_scorer(drawn):
    faces, y = drawn
    expected = cross_val_score(
        pipeline(), faces, y, cv=SubjectKFold(), scoring=f1_scorer
    )
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            pipeline(),
            Faces(faces.images[...]),
            y,
            cv=SubjectKFold(),
            scoring=f1_scorer,
            params={"groups": faces.subject},
            error_score="raise",
        )
    np.testing.assert_array_equal(scores, expected)


def test_probability_scorer_asks_for_probabilities(drawn):
    faces, y = drawn
    clf = MidpointClassifier().fit(faces, y)
    expected = au_roc_auc_score(y, clf.predict_proba(faces))
    assert au_scorer("roc_auc")(clf, faces, y) == expected
    assert au_scorer("roc_auc", average="pooled")(clf, faces, y) != expected


def test_columns_are_numbered_where_the_estimator_does_not_name_aus(drawn):
    faces, y = drawn
    scores = per_au_f1_scorer(MidpointClassifier().fit(faces, y), faces, y)
    assert list(scores) == ["column0", "column1", "column2", "mean"]


def test_scorer_keeps_the_rule_for_absent_aus(drawn):
    faces, y = drawn
    clf = MidpointClassifier().fit(faces, y)
    y = np.where(np.arange(3) == 1, np.minimum(y, 0), y)
    with pytest.warns(UndefinedMetricWarning, match=r"column\(s\) 1"):
        skip = per_au_f1_scorer(clf, faces, y)
    zero = au_scorer(average=None, absent="zero")(clf, faces, y)
    assert np.isnan(skip["column1"])
    assert zero["column1"] == 0
    assert zero["mean"] == pytest.approx(skip["mean"] * 2 / 3)


def test_scorer_pickles_and_shows_how_it_was_made():
    scorer = pickle.loads(pickle.dumps(au_scorer("accuracy", average=None)))
    assert repr(scorer) == "au_scorer('accuracy', average=None, absent='skip')"
    assert repr(f1_scorer) == "au_scorer('f1', average='macro', absent='skip')"


def test_errors_come_before_the_first_fit(drawn):
    with pytest.raises(ValueError, match="metric must be one of"):
        au_scorer("f2")
    with pytest.raises(ValueError, match="absent must be one of"):
        au_scorer(absent=0)

    class Listing(MidpointClassifier):
        def predict_proba(self, X):
            return [super().predict_proba(X)]

    faces, y = drawn
    clf = Listing().fit(faces, y)
    with pytest.raises(TypeError, match=r"predict_proba must return one array.*list"):
        au_scorer("roc_auc")(clf, faces, y)


def test_labels_named_in_another_order_are_refused_and_not_scored_askew(drawn):
    """By place, AU1 of the classifier would be scored against AU12 of the labels."""
    faces, y = drawn
    named = pd.DataFrame(y, columns=[f"AU{au}" for au in AUS])
    turned = named[named.columns[::-1]]
    clf = MidpointClassifier(aus=AUS).fit(faces, y)
    vote = AUVotingClassifier([("one", clf)]).fit(faces, y)
    pixels = clf._pixels(faces)
    linear = AULogisticRegression(aus=None).fit(pixels, named)
    proba = pd.DataFrame(clf.predict_proba(faces), columns=named.columns)
    padded = named.set_axis([f"au{au:02}" for au in AUS], axis=1)
    for same in (named, padded):
        assert f1_scorer(clf, faces, same) == f1_scorer(clf, faces, y)
    assert vote.score(faces, named) == vote.score(faces, y)
    for score in (
        lambda: f1_scorer(clf, faces, turned),
        lambda: vote.score(faces, turned),
        lambda: linear.score(pixels, turned),
        lambda: au_roc_auc_score(turned, proba),
        lambda: score_table(turned, clf.predict(faces), AUS),
        lambda: compare_predictions(turned, {"a": y}, faces.subject, aus=AUS),
    ):
        with pytest.raises(LabelError, match=r"columns of y are \('AU12'.*same order"):
            score()


def test_predictions_named_in_another_order_are_in_no_table(drawn):
    """Their scores would stand beside the labels of other AUs."""
    faces, y = drawn
    named = pd.DataFrame(y, columns=[f"AU{au}" for au in AUS])
    turned = named[named.columns[::-1]]
    for table in (
        lambda: score_table(named, y_proba=turned),
        lambda: score_table(named, y, y_proba=turned),
        lambda: score_table(y, turned, AUS),
        lambda: score_table(y, aus=AUS, y_proba=turned),
        lambda: compare_predictions(y, {"a": turned}, faces.subject, aus=AUS),
    ):
        with pytest.raises(LabelError, match=r"are \('AU1.*same order"):
            table()
    same = score_table(y, named, AUS, y_proba=named)
    assert same.columns["roc_auc"].tolist() == [1] * 4
