"""Scores of people that a classifier was trained on say so."""

import json
import warnings

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_score,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

import skfau
from skfau import FaceAligner, Faces, ResNetClassifier
from skfau.estimators import AULogisticRegression, landmark_baseline
from skfau.exceptions import SubjectOverlapWarning
from skfau.metrics import au_scorer, f1_scorer, score_table
from skfau.model_selection import (
    AUThresholdClassifier,
    AUVotingClassifier,
    SmoothedClassifier,
    SubjectKFold,
    oof_predict_proba,
)
from skfau.preprocessing import LandmarkFeatures
from tests.small import make_small

# Eight people show few of the rare AUs.
pytestmark = [
    pytest.mark.filterwarnings("ignore:AU"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning"),
]
SEEN = "subjects to score were in training"


def network(**parameters):
    return make_small(ResNetClassifier, max_epochs=1, **parameters)


def union_chain():
    features = make_union(LandmarkFeatures(), LandmarkFeatures())
    return make_pipeline(FaceAligner(), features, AULogisticRegression())


CHAINS = {
    "network": network,
    "aligned": lambda: make_pipeline(FaceAligner(output_size=48), network()),
    "landmarks": landmark_baseline,
    "union": union_chain,
    "threshold": lambda: AUThresholdClassifier(
        landmark_baseline(), cv=SubjectKFold(2), thresholds=[0.5] * 12
    ),
    "vote": lambda: AUVotingClassifier([("a", landmark_baseline())]),
    "smooth": lambda: SmoothedClassifier(landmark_baseline()),
    "search": lambda: GridSearchCV(landmark_baseline(), {}, cv=SubjectKFold(2)),
}


def halves(made):
    """Return rows of the first half of the people, and of the others."""
    first = np.isin(made.data.subject, np.unique(made.data.subject)[::2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def told(function, *arguments):
    """Return the texts of the warnings of overlap, and nothing but these."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SubjectOverlapWarning)
        function(*arguments)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("name", CHAINS)
def test_a_scorer_warns_of_people_of_training_and_of_no_others(made, name):
    own, others = halves(made)
    clf = CHAINS[name]().fit(made.data[own], made.target[own])
    for model in (clf, FrozenEstimator(clf)):
        for scorer in (f1_scorer, au_scorer("roc_auc", average=None)):
            assert told(scorer, model, made.data[others], made.target[others]) == []
            (text,) = told(scorer, model, made.data[own[:3]], made.target[own[:3]])
            assert text.startswith("1 of 1 " + SEEN) and "3 of 3 rows" in text
    mixed = np.r_[own[:2], others[:5]]
    (text,) = told(f1_scorer, clf, made.data[mixed], made.target[mixed])
    assert f"1 of 2 {SEEN}" in text and "2 of 7 rows" in text


@pytest.mark.parametrize(
    "name", ["network", "aligned", "landmarks", "threshold", "vote", "smooth", "search"]
)
def test_score_warns_as_scorers_do(made, name):
    own, others = halves(made)
    clf = CHAINS[name]().fit(made.data[own], made.target[own])
    assert told(clf.score, made.data[others], made.target[others]) == []
    (text,) = told(clf.score, made.data[own], made.target[own])
    assert SEEN in text


def test_folds_of_rows_warn_and_folds_of_people_do_not(made):
    clf, X, y = landmark_baseline(), made.data, made.target
    by_row = KFold(2, shuffle=True, random_state=0)
    by_subject = {"cv": GroupKFold(2), "groups": X.subject}
    for scoring in (None, f1_scorer):
        how = {"scoring": scoring, "error_score": "raise"}
        with pytest.warns(SubjectOverlapWarning, match=SEEN):
            cross_val_score(clf, X, y, cv=by_row, **how)
        assert np.isfinite(cross_val_score(clf, X, y, **by_subject, **how)).all()
    train, test, y_train, y_test = train_test_split(X, y, random_state=0)
    with pytest.warns(SubjectOverlapWarning, match=SEEN):
        clf.fit(train, y_train).score(test, y_test)
    with pytest.warns(SubjectOverlapWarning, match="rows are predicted by classifiers"):
        oof_predict_proba(clf, X, y, cv=by_row)
    with pytest.warns(SubjectOverlapWarning, match=SEEN):
        cross_validate(clf, X, y, **by_subject, return_train_score=True)


def test_a_score_of_training_rows_is_silent_once_it_is_meant(made):
    clf = landmark_baseline().fit(made.data, made.target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectOverlapWarning)
        assert clf.score(made.data, made.target) > 0


@pytest.mark.parametrize(
    ("train", "test", "n_seen"),
    [
        (["a", "b", "", ""], ["b", "c", "", " "], 1),
        ([1, 2, 3, 4], ["3", "4", "5", "6"], 2),
        ([1.0, 2.0, 3.0, 4.0], [2, 9, 9, 9], 1),
        (["", "", "", ""], ["", "", "", ""], 0),
        (["F1", "F1", "F1", "F1"], ["f1", "F10", "F1 ", "1"], 0),
    ],
)
def test_names_are_compared_as_text_and_unknown_ones_never(train, test, n_seen):
    images = np.zeros((4, 4, 4, 3), np.uint8)
    landmarks = np.random.default_rng(0).normal(size=(4, 68, 2)).astype(np.float32)
    y = np.array([[0, 1], [1, 0], [0, 0], [1, 1]])
    faces = Faces(images, landmarks=landmarks, subject=train)
    clf = make_pipeline(LandmarkFeatures(), AULogisticRegression(aus=(1, 2)))
    clf.fit(faces, y)
    texts = told(f1_scorer, clf, faces.with_columns(subject=test), y)
    assert [text.split()[0] for text in texts] == [str(n_seen)] * bool(n_seen)
    assert told(f1_scorer, clf, faces.with_columns(subject=None), y) == []
    clf.fit(faces.with_columns(subject=None), y)
    assert told(f1_scorer, clf, faces, y) == []


def test_a_table_of_features_that_names_its_rows_is_enough(made):
    chain = make_pipeline(LandmarkFeatures(), StandardScaler())
    table = chain.set_output(transform="pandas").fit_transform(made.data)
    clf = AULogisticRegression().fit(table, made.target)
    with pytest.warns(SubjectOverlapWarning, match=SEEN):
        clf.score(table, made.target)
    assert told(clf.fit(table.to_numpy(), made.target).score, table, made.target) == []


def test_training_that_goes_on_remembers_all_people(made):
    own, others = halves(made)
    first = network().fit(made.data[own], made.target[own])
    on = network(init_from=first).fit(made.data[others], made.target[others])
    warm = network(warm_start=True).fit(made.data[own], made.target[own])
    warm.fit(made.data[others], made.target[others])
    more = network().partial_fit(made.data[own], made.target[own])
    more.partial_fit(made.data[others], made.target[others])
    both = network(early_stopping=True, validation_fraction=0.5)
    both.fit(made.data, made.target)
    n_people = len(np.unique(made.data.subject))
    for clf in (on, warm, more, both):
        assert len(set(clf.train_subjects_)) == n_people
    again = clone(warm).fit(made.data[others], made.target[others])
    assert (
        again.train_subjects_
        == network().fit(made.data[others], made.target[others]).train_subjects_
    )


def test_files_keep_digests_and_no_names(made, tmp_path):
    X = made.data.with_columns(subject=np.char.add("Anna ", made.data.subject))
    for clf in (network(), landmark_baseline()):
        clf.fit(X, made.target)
        skfau.save(clf, tmp_path / "clf")
        assert b"Anna" not in (tmp_path / "clf").read_bytes()
        with pytest.warns(SubjectOverlapWarning, match=SEEN):
            skfau.load(tmp_path / "clf").score(X, made.target)


def test_a_file_from_before_loads_and_knows_nobody(made, tmp_path):
    path = tmp_path / "clf"
    network().fit(made.data, made.target).save(path)
    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["skfau"])
    for key in ("train_subjects", "sha256"):
        del header[key]
    save_file(load_file(path), path, {"skfau": json.dumps(header)})
    clf = ResNetClassifier.load(path)
    assert clf.train_subjects_ == ()
    assert told(clf.score, made.data, made.target) == []


def test_a_table_warns_of_the_subjects_that_it_is_told(made):
    clf = landmark_baseline().fit(made.data, made.target)
    proba = clf.predict_proba(made.data)
    how = {"y_proba": proba, "subjects": made.data.subject, "n_resamples": 10}
    assert told(lambda: score_table(made.target, **how)) == []
    for known in (clf[1].train_subjects_, np.unique(made.data.subject)):
        with pytest.warns(SubjectOverlapWarning, match=SEEN):
            score_table(made.target, **how, train_subjects=known)
    assert told(lambda: score_table(made.target, **how, train_subjects=["x"])) == []
