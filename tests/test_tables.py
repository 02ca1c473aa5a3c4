"""Tables of features and probabilities: columns named by AU, rows by face."""

import inspect
import sys

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import TransformerMixin, clone
from sklearn.pipeline import make_pipeline, make_union

from skfau import FaceAligner, Faces
from skfau.datasets import published_results
from skfau.estimators import (
    AULogisticRegression,
    ResNetClassifier,
    hog_baseline,
    landmark_baseline,
)
from skfau.exceptions import MissingFaceWarning
from skfau.metrics import (
    au_f1_score,
    compare_predictions,
    per_au_f1_scorer,
    score_table,
)
from skfau.model_selection import (
    AUThresholdClassifier,
    AUVotingClassifier,
    ProbabilitySmoother,
    SmoothedClassifier,
    SubjectKFold,
    oof_predict_proba,
)
from skfau.preprocessing import HOGFeatures, LandmarkFeatures, LBPFeatures
from tests.small import make_small
from tests.test_docs import PUBLIC

pandas = pytest.importorskip("pandas")

# All that can be a step; a smoother takes the faces beside the probabilities.
TRANSFORMERS = [
    cls
    for cls in PUBLIC.values()
    if inspect.isclass(cls)
    and issubclass(cls, TransformerMixin)
    and cls is not ProbabilitySmoother
]


@pytest.fixture(scope="module")
def aligned(made):
    return FaceAligner(output_size=48, mesh=True, n_jobs=1).fit_transform(made.data)


def tables_of(chain):
    """Let a chain return tables, of features and of probabilities."""
    chain.set_output(transform="pandas")[-1].set_output(predict_proba="pandas")
    return chain


def transformed(step, faces, choose):
    if choose == "set_output":
        return make_pipeline(step).set_output(transform="pandas").fit_transform(faces)
    with config_context(transform_output="pandas"):
        return step.fit_transform(faces)


@pytest.mark.parametrize("choose", ["set_output", "set_config"])
@pytest.mark.parametrize("cls", TRANSFORMERS)
def test_every_transformer_takes_the_choice_of_tables(cls, choose, aligned):
    plain = cls().fit_transform(aligned)
    table = transformed(cls(), aligned, choose)
    if isinstance(plain, Faces):
        assert isinstance(table, Faces)
        return
    np.testing.assert_array_equal(table.to_numpy(), plain)
    assert list(table.index.names) == ["subject", "video", "frame"]
    frames = table.index.get_level_values("frame")
    np.testing.assert_array_equal(frames, aligned.column("frame"))
    assert table.columns.is_unique
    assert list(table.columns) == list(cls().fit(aligned).get_feature_names_out())


@pytest.mark.parametrize(
    "descriptor", [HOGFeatures(cell_size=8, block_size=1), LBPFeatures(cell_size=8)]
)
def test_names_of_features_say_where_they_lie(descriptor):
    flat = np.full((1, 48, 48, 3), 100, np.uint8)
    spot = flat.copy()
    spot[0, 18:22, 26:30] = 200  # inside of the cell of row 2, column 3
    names = descriptor.fit(flat).get_feature_names_out()
    changed = descriptor.transform(spot)[0] != descriptor.transform(flat)[0]
    assert changed.any()
    assert all("2_3_" in name for name in names[changed])


def test_names_of_blocks_and_landmarks(aligned):
    blocks = HOGFeatures(cell_size=24).fit(aligned).get_feature_names_out()
    assert [*blocks[[0, 9, -1]]] == [
        "hog_block0_0_cell0_0_bin0",
        "hog_block0_0_cell0_1_bin0",
        "hog_block0_0_cell1_1_bin8",
    ]
    assert [*LandmarkFeatures().get_feature_names_out()[:3]] == ["x17", "y17", "x18"]


def test_without_fit_a_table_has_numbers_for_columns(aligned):
    hog = HOGFeatures().set_output(transform="pandas")
    assert hog.transform(aligned).columns.tolist() == [*range(324)]
    with pytest.raises(AttributeError, match="before fit: the size of the faces"):
        hog.get_feature_names_out()


def test_columns_of_another_size_than_in_fit_are_refused(aligned):
    hog = HOGFeatures().fit(aligned)
    small = aligned.images[...][:, 4:, 4:]
    assert hog.transform(small).shape[1] < len(hog.get_feature_names_out())
    hog.set_output(transform="pandas")
    with pytest.raises(ValueError, match="as in fit, 48x48 px, got 44x44; align all"):
        hog.transform(small)


def test_a_union_names_features_of_chains_with_aligners(made):
    chain = make_pipeline(FaceAligner(output_size=48), HOGFeatures())
    union = make_union(chain, LandmarkFeatures()).set_output(transform="pandas")
    table = union.fit_transform(made.data.with_columns(frame=None)[[0, 0, 1]])
    assert table.columns[0] == "pipeline__hog_block0_0_cell0_0_bin0"
    assert table.columns[-1] == "landmarkfeatures__y67"
    assert table.index.equals(table.index[[0, 0, 2]])


def test_rows_of_a_chain_are_named_from_faces_to_probabilities(made):
    chain = clone(tables_of(landmark_baseline())).fit(made.data, made.target)
    table = chain.predict_proba(made.data)
    assert table.columns.tolist() == [f"AU{au}" for au in made.aus]
    assert list(table.index.names) == ["subject", "video", "frame"]
    who = made.data.subject[0]
    rows = made.data.subject == who
    np.testing.assert_array_equal(table.loc[who].to_numpy(), table.to_numpy()[rows])
    plain = landmark_baseline().fit(made.data, made.target).predict_proba(made.data)
    np.testing.assert_array_equal(table.to_numpy(), plain)


WRAPPERS = {
    "smoother": SmoothedClassifier,
    "threshold": lambda clf: AUThresholdClassifier(clf, thresholds=[0.3] * 12),
    "vote": lambda clf: AUVotingClassifier([("a", clf), ("b", landmark_baseline())]),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_return_tables_of_their_own_or_as_inside(wrap, made):
    plain = wrap(landmark_baseline()).fit(made.data, made.target)
    own = clone(plain).set_output(predict_proba="pandas").fit(made.data, made.target)
    inside = wrap(tables_of(landmark_baseline())).fit(made.data, made.target)
    table, as_inside = (clf.predict_proba(made.data) for clf in (own, inside))
    assert list(table.columns) == [f"AU{au}" for au in made.aus]
    assert list(table.index.names) == ["subject", "video", "frame"]
    assert as_inside.index.equals(table.index)
    array = inside.set_output(predict_proba="default").predict_proba(made.data)
    assert isinstance(array, np.ndarray)
    for each in (table, as_inside, array):
        np.testing.assert_array_equal(each, plain.predict_proba(made.data))
    np.testing.assert_array_equal(own.predict(made.data), plain.predict(made.data))


def test_a_table_of_a_network_tells_why_a_row_has_no_face(made):
    landmarks = made.data.landmarks[:6].copy()
    landmarks[2] = np.nan
    faces, y = made.data[:6].with_columns(landmarks=landmarks), made.target[:6]
    network = make_small(ResNetClassifier, max_epochs=1)
    chain = make_pipeline(FaceAligner(output_size=48), network)
    chain[-1].set_output(predict_proba="pandas")
    clf = AUThresholdClassifier(chain, thresholds=[0.5] * 12)
    with pytest.warns(MissingFaceWarning), pytest.warns(UserWarning, match="never"):
        table = clf.fit(faces, y).predict_proba(faces)
    assert list(table.index.names) == ["subject", "video", "frame", "status"]
    lost = table.index.get_level_values("status") != ""
    np.testing.assert_array_equal(lost, table.isna().all(axis=1))
    assert lost.tolist() == [False, False, True, False, False, False]


def test_only_what_the_faces_have_names_the_rows(made):
    clf = SmoothedClassifier(hog_baseline(output_size=48), width=1)
    clf.set_output(predict_proba="pandas").fit(made.data, made.target)
    few = made.data[:3].with_columns(subject=None, time=[0.0, 0.5, 1], person=[1, 2, 1])
    index = clf.predict_proba(few).index
    assert list(index.names) == ["video", "frame", "time", "person"]
    assert index.get_level_values("person").tolist() == [1, 2, 1]


def test_rows_of_an_array_are_numbered(made):
    clf = AULogisticRegression().set_output(predict_proba="pandas")
    rows = np.eye(len(made.target))
    table = clf.fit(rows, made.target).predict_proba(rows[:8])
    assert table.index.tolist() == [*range(8)]


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
def test_tables_score_as_arrays_do(made):
    y = pandas.DataFrame(made.target, columns=[f"AU{au}" for au in made.aus])
    chain = tables_of(landmark_baseline()).fit(made.data, y)
    score = au_f1_score(y, chain.predict_proba(made.data) >= 0.5)
    assert score == au_f1_score(made.target, chain.predict(made.data))
    assert per_au_f1_scorer(chain, made.data, y)["mean"] == score
    proba = oof_predict_proba(chain, made.data, y, cv=SubjectKFold(2))
    assert np.isfinite(proba).all()


LABELS = np.array([[0, 1], [1, 0]])


@pytest.mark.parametrize(
    "ask",
    [
        lambda: published_results(as_frame=True),
        lambda: score_table(LABELS, LABELS, (6, 12)).to_frame(),
        lambda: compare_predictions(
            LABELS, {"a": LABELS}, ["p", "q"], aus=(6, 12), n_resamples=9
        ).to_frame(),
        lambda: AULogisticRegression().set_output(predict_proba="pandas"),
    ],
    ids=["published_results", "score_table", "compare_predictions", "set_output"],
)
def test_without_pandas_an_error_says_what_to_install(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas: pip install pandas"):
        ask()
