"""A single AU: labels of shape (n,) give the shapes of scikit-learn's two classes."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from skorch.callbacks import EpochScoring

import skfau
from skfau._unwrap import find_aus
from skfau.datasets import make_faces
from skfau.estimators import AULogisticRegression, ResNetClassifier
from skfau.exceptions import LabelError, MissingFaceWarning, SubjectOverlapWarning
from skfau.metrics import au_scorer, f1_scorer, per_au_f1_scorer
from skfau.model_selection import (
    AdaptedAUClassifier,
    AUThresholdClassifier,
    AUVotingClassifier,
    CalibratedAUClassifier,
    SmoothedClassifier,
    SubjectKFold,
    oof_predict_proba,
)
from skfau.preprocessing import FaceAligner, LandmarkFeatures

MADE = make_faces(n_subjects=6, n_frames=6, image_size=48, aus=(12,), random_state=0)
X, Y = MADE.data, MADE.target
y = Y[:, 0]
FOLDS = list(SubjectKFold(2).split(X, y))
ALIGNED = FaceAligner(output_size=48).fit_transform(X)


def make_missing(faces, n=3):
    """Return faces of which the first have no landmarks."""
    landmarks = faces.landmarks.copy()
    landmarks[:n] = np.nan
    return faces.with_columns(landmarks=landmarks)


def net(**parameters):
    return ResNetClassifier(
        backbone="tiny", image_size=16, max_epochs=1, random_state=0, **parameters
    )


def linear(aus=(12,)):
    return make_pipeline(LandmarkFeatures(), AULogisticRegression(C=100.0, aus=aus))


WRAPPED = {
    "network": lambda: net(aus=(12,)),
    "linear": linear,
    "threshold": lambda: AUThresholdClassifier(linear(), cv=2),
    "given threshold": lambda: AUThresholdClassifier(linear(), thresholds={12: 0.3}),
    "vote": lambda: AUVotingClassifier([("a", linear()), ("b", linear())]),
    "smoothed": lambda: SmoothedClassifier(linear(), width=3),
    "calibrated": lambda: CalibratedAUClassifier(
        FrozenEstimator(linear().fit(ALIGNED, y)), occurrence=0.5
    ),
    "adapted": lambda: AdaptedAUClassifier(
        FrozenEstimator(linear().fit(ALIGNED, y)), net()
    ),
}


@pytest.fixture(scope="module")
def both():
    """Every classifier fitted to labels of shape (n,), and of shape (n, 1)."""
    return {
        name: (make().fit(ALIGNED, y), make().fit(ALIGNED, Y))
        for name, make in WRAPPED.items()
    }


@pytest.mark.parametrize("name", WRAPPED)
def test_the_shape_of_the_labels_decides(both, name):
    binary, column = both[name]
    assert binary.classes_.tolist() == [0, 1]
    assert column.classes_.tolist() == [[0, 1]]
    proba = column.predict_proba(ALIGNED)
    assert proba.shape == (len(X), 1)
    np.testing.assert_array_equal(
        binary.predict_proba(ALIGNED), np.hstack([1 - proba, proba])
    )
    called = binary.predict(ALIGNED)
    assert called.dtype == np.int64
    np.testing.assert_array_equal(called, column.predict(ALIGNED)[:, 0])


@pytest.mark.parametrize("name", WRAPPED)
def test_both_shapes_of_labels_are_scored_alike(both, name):
    binary, column = both[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectOverlapWarning)
        scores = {clf.score(ALIGNED, t) for clf in (binary, column) for t in (y, Y)}
        for scorer in (f1_scorer, au_scorer("roc_auc")):
            assert scorer(binary, ALIGNED, y) == scorer(column, ALIGNED, Y)
        assert per_au_f1_scorer(binary, ALIGNED, y).keys() == {"AU12", "mean"}
    assert len(scores) == 1


@pytest.mark.parametrize("name", WRAPPED)
def test_a_file_and_a_pickle_keep_the_shape(both, name, tmp_path):
    for clf in both[name]:
        skfau.save(clf, tmp_path / "clf.safetensors")
        for again in (
            skfau.load(tmp_path / "clf.safetensors"),
            pickle.loads(pickle.dumps(clf)),
        ):
            np.testing.assert_array_equal(again.classes_, clf.classes_)
            np.testing.assert_array_equal(
                again.predict_proba(ALIGNED), clf.predict_proba(ALIGNED)
            )


def test_a_binary_file_of_several_aus_is_refused(both, tmp_path):
    two = net(aus=None).fit(ALIGNED, np.hstack([Y, Y]))
    two.classes_ = np.array([0, 1])
    two.save(tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match="its 'binary' is True, expected a bool"):
        ResNetClassifier.load(tmp_path / "two.safetensors")


@pytest.mark.parametrize("name", WRAPPED)
def test_missing_faces_stay_unknown_and_are_counted(both, name):
    missing, binary = make_missing(ALIGNED), both[name][0]
    with pytest.warns(MissingFaceWarning, match="3 of 36 rows have no face"):
        proba = binary.predict_proba(missing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingFaceWarning)
        called = binary.predict(missing)
    assert np.isnan(proba).all(axis=1).tolist() == [True] * 3 + [False] * 33
    assert called.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(called), np.isnan(proba[:, 0]))


def test_margins_of_missing_faces_are_counted():
    clf = linear().fit(ALIGNED, y)
    assert clf.decision_function(ALIGNED).shape == (36,)
    with pytest.warns(MissingFaceWarning, match="3 of 36 rows have no face"):
        margins = clf.decision_function(make_missing(ALIGNED))
    assert np.isnan(margins[:3]).all()


TOOLS = {
    "sigmoid": lambda clf: CalibratedClassifierCV(clf, cv=FOLDS),
    "isotonic": lambda clf: CalibratedClassifierCV(clf, method="isotonic", cv=FOLDS),
    "temperature": lambda clf: CalibratedClassifierCV(
        clf, method="temperature", cv=FOLDS, ensemble=False
    ),
    "tuned": lambda clf: TunedThresholdClassifierCV(
        clf, scoring="f1", thresholds=9, cv=FOLDS
    ),
    "fixed": lambda clf: FixedThresholdClassifier(clf, threshold=0.3),
    "one-vs-rest": OneVsRestClassifier,
    "stack": lambda clf: StackingClassifier([("a", clf), ("b", clf)], cv=FOLDS),
    "soft vote": lambda clf: VotingClassifier([("a", clf)], voting="soft"),
    "hard vote": lambda clf: VotingClassifier([("a", clf)]),
}


@pytest.mark.parametrize("name", TOOLS)
def test_binary_tools_of_scikit_learn_take_a_pipeline(name):
    clf = TOOLS[name](linear()).fit(ALIGNED, y)
    called = clf.predict(ALIGNED)
    assert called.shape == (36,)
    assert set(np.unique(called)) <= {0, 1}
    assert np.mean(called == y) > 0.7
    if hasattr(clf, "predict_proba"):
        assert clf.predict_proba(ALIGNED).shape == (36, 2)


@pytest.mark.parametrize("name", ["sigmoid", "tuned", "one-vs-rest", "hard vote"])
def test_binary_tools_of_scikit_learn_take_a_network(name):
    clf = TOOLS[name](net(aus=(12,))).fit(ALIGNED, y)
    assert clf.predict(ALIGNED).shape == (36,)


def test_one_classifier_per_au():
    both_aus = np.column_stack([y, 1 - y])
    one_each = linear(aus=None)
    for tool in (OneVsRestClassifier, MultiOutputClassifier):
        clf = tool(one_each).fit(ALIGNED, both_aus)
        called = clf.predict(ALIGNED)
        for column, labels in enumerate(both_aus.T):
            alone = clone(one_each).fit(ALIGNED, labels).predict(ALIGNED)
            np.testing.assert_array_equal(called[:, column], alone)
    # Members know one AU each, which is not what the whole predicts.
    assert find_aus(clf) is None


@pytest.mark.parametrize("scoring", ["f1", "roc_auc", "average_precision"])
def test_scorers_of_scikit_learn(scoring):
    clf = linear()
    scores = cross_val_score(
        clf, ALIGNED, y, cv=FOLDS, scoring=scoring, error_score="raise"
    )
    assert len(scores) == 2
    proba = cross_val_predict(clf, ALIGNED, y, cv=FOLDS, method="predict_proba")
    assert proba.shape == (36, 2)
    np.testing.assert_array_equal(
        proba[:, 1:], oof_predict_proba(clf, ALIGNED, y, cv=FOLDS)
    )


@pytest.mark.parametrize("name", ["isotonic", "stack", "hard vote"])
def test_tools_that_fail_where_a_face_is_missing(name):
    missing = make_missing(ALIGNED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingFaceWarning)
        with pytest.raises((ValueError, TypeError), match=r"NaN|Cannot cast"):
            TOOLS[name](linear()).fit(missing, y).predict(missing)


@pytest.mark.parametrize("name", ["tuned", "fixed", "one-vs-rest", "soft vote"])
def test_tools_that_call_a_missing_face_absent(name):
    clf = TOOLS[name](linear()).fit(ALIGNED, y)
    with pytest.warns(MissingFaceWarning, match="3 of 36 rows have no face"):
        assert not clf.predict(make_missing(ALIGNED))[:3].any()


def test_unknown_labels_are_left_out():
    unknown = np.where(np.arange(len(y)) < 10, np.nan, y)
    column = linear().fit(ALIGNED, unknown[:, None]).predict_proba(ALIGNED)
    binary = linear().fit(ALIGNED, unknown)
    np.testing.assert_array_equal(binary.predict_proba(ALIGNED)[:, 1:], column)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectOverlapWarning)
        known = f1_scorer(binary, ALIGNED[10:], y[10:])
        assert f1_scorer(binary, ALIGNED, unknown) == known


@pytest.mark.parametrize(
    "labels",
    [
        y.tolist(),
        tuple(y.astype(bool).tolist()),
        pd.Series(y, name="smile"),
        pd.Series(y).astype("boolean"),
        np.ma.masked_array(y, mask=False),
    ],
    ids=["list", "tuple", "series", "nullable", "masked"],
)
def test_labels_of_any_kind(labels):
    clf = linear().fit(ALIGNED, labels)
    assert clf.classes_.shape == (2,)
    np.testing.assert_array_equal(
        clf.predict(ALIGNED), linear().fit(ALIGNED, y).predict(ALIGNED)
    )


def test_a_series_names_its_au():
    named = pd.Series(y, name="AU12")
    assert linear(aus=None).fit(ALIGNED, named)[-1].aus_ == (12,)
    with pytest.raises(LabelError, match=r"aus is \(6,\), but the columns of y are"):
        linear(aus=(6,)).fit(ALIGNED, named)


def test_a_table_has_both_classes():
    clf = net(aus=(12,)).set_output(predict_proba="pandas").fit(ALIGNED, y)
    table = clf.predict_proba(ALIGNED)
    assert list(table.columns) == ["no_AU12", "AU12"]
    assert table.index.names == ["subject", "video", "frame", "status"]
    around = AUVotingClassifier([("a", clf)]).fit(ALIGNED, y)
    assert list(around.predict_proba(ALIGNED).columns) == ["no_AU12", "AU12"]
    np.testing.assert_array_equal(around.predict(ALIGNED), clf.predict(ALIGNED))


def test_wrappers_take_classifiers_of_scikit_learn():
    chain = make_pipeline(LandmarkFeatures(), LogisticRegression())
    clf = AUThresholdClassifier(chain, thresholds=[0.3]).fit(ALIGNED, y)
    proba = chain.fit(ALIGNED, y).predict_proba(ALIGNED)
    np.testing.assert_array_equal(clf.predict_proba(ALIGNED)[:, 1], proba[:, 1])
    np.testing.assert_array_equal(clf.predict(ALIGNED), proba[:, 1] >= 0.3)


def test_a_fit_of_several_aus_takes_no_vector():
    with pytest.raises(LabelError, match="y has 1 columns, but aus names 2 AUs"):
        linear(aus=(6, 12)).fit(ALIGNED, y)


def test_training_goes_on_in_the_shape_of_the_first_call():
    clf = net(aus=(12,)).partial_fit(ALIGNED, y).partial_fit(ALIGNED, Y)
    assert clf.classes_.shape == (2,)
    assert (
        net(warm_start=True, aus=(12,)).fit(ALIGNED, y).fit(ALIGNED, Y).classes_.ndim
        == 2
    )


def test_learning_curves_may_go_on_from_size_to_size():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectOverlapWarning)
        warnings.filterwarnings("ignore", "AU12 never occurs")
        *_, scores = learning_curve(
            net(aus=(12,)),
            ALIGNED,
            y,
            cv=FOLDS,
            train_sizes=[0.5, 1.0],
            exploit_incremental_learning=True,
            error_score="raise",
        )
    assert scores.shape == (2, 2)
    assert np.isfinite(scores).all()


def test_displays_show_the_au(both):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from skfau.inspection import AUScoreDisplay, AUTimelineDisplay

    binary, column = both["linear"]
    rows = ALIGNED.video == ALIGNED.video[0]
    film = ALIGNED[rows]
    drawn = [
        AUTimelineDisplay.from_estimator(clf, film, t, ax=Figure().subplots())
        for clf, t in ((binary, y[rows]), (column, Y[rows]))
    ]
    np.testing.assert_array_equal(drawn[0].probabilities, drawn[1].probabilities)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectOverlapWarning)
        display = AUScoreDisplay.from_estimator(
            binary, ALIGNED, y, ax=Figure().subplots()
        )
        f1 = f1_scorer(binary, ALIGNED, y)
    assert display.table.index == ("AU12", "mean")
    assert display.table.columns["f1"].tolist() == [f1, f1]


def test_intensities_have_a_column_per_au(both):
    binary, column = both["calibrated"]
    proba = column.predict_proba(ALIGNED)
    told = column.to_intensity(proba)
    for ours in (
        binary.predict_intensity(ALIGNED),
        binary.to_intensity(proba),
        binary.to_intensity(binary.predict_proba(ALIGNED)),
    ):
        np.testing.assert_array_equal(ours, told)


def test_callbacks_score_both_shapes_alike():
    names = {"f1": f1_scorer, "auc": "roc_auc", "own": None}
    histories = []
    for labels in (y, Y):
        scored = [
            EpochScoring(scoring, name=name, on_train=True, lower_is_better=False)
            for name, scoring in names.items()
        ]
        clf = net(aus=(12,), callbacks=scored).fit(ALIGNED, labels)
        histories.append([{k: epoch[k] for k in names} for epoch in clf.history_])
    assert histories[0] == histories[1]
