"""Moving averages stay within a video and within its gaps."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from skfau import Faces
from skfau.exceptions import MissingColumnError
from skfau.metrics import f1_scorer
from skfau.model_selection import (
    AUThresholdClassifier,
    ProbabilitySmoother,
    SmoothedClassifier,
    SubjectKFold,
    best_f1_thresholds,
    oof_predict_proba,
)
from tests._midpoint import MidpointClassifier, draw_faces


def faces_of(video, frame, subject=None):
    images = np.zeros((len(video), 2, 2, 3), np.uint8)
    return Faces(images, video=video, frame=frame, subject=subject)


def brute_force(y_proba, subject, video, frame, width):
    """Average over all rows of the same video whose frame is in the window."""
    smoothed = np.full(y_proba.shape, np.nan)
    for row, au in np.argwhere(~np.isnan(y_proba)):
        near = [
            y_proba[other, au]
            for other in range(len(y_proba))
            if (subject[other], video[other]) == (subject[row], video[row])
            and -((width - 1) // 2) <= frame[other] - frame[row] <= width // 2
            and not np.isnan(y_proba[other, au])
        ]
        smoothed[row, au] = np.mean(near)
    return smoothed


@settings(deadline=None)
@given(data=st.data(), n=st.integers(1, 20), width=st.integers(1, 7))
def test_it_is_the_mean_over_known_frames_of_the_window(data, n, width):
    few = st.sampled_from([0.0, 0.25, 1.0, np.nan])
    y_proba = data.draw(arrays(np.float64, (n, 2), elements=few | st.floats(0, 1)))
    keys = st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(-5, 12)),
        min_size=n,
        max_size=n,
        unique=True,
    )
    subject, video, frame = np.array(data.draw(keys)).T
    faces = faces_of(video, frame, subject)
    ours = ProbabilitySmoother(width).fit_transform(y_proba, faces=faces)
    expected = brute_force(y_proba, subject, video, frame, width)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    assert np.nanmax(ours, initial=0) <= np.nanmax(y_proba, initial=0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    faces = faces_of(np.repeat(list("ab"), 15), np.tile(np.arange(15), 2))
    y_proba, order = rng.random((30, 3), np.float32), rng.permutation(30)
    smoother = ProbabilitySmoother(width=5)
    together = smoother.transform(y_proba, faces)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(
        smoother.transform(y_proba[order], faces[order]), together[order]
    )


def test_neither_another_video_nor_a_gap_nor_a_lost_face_is_a_neighbour():
    video = ["T1", "T1", "T1", "T1", "T2", "T1"]
    faces = faces_of(video, [0, 1, 2, 9, 3, 3], subject=[*"aaaaab"])
    y_proba = np.float64([[0.0], [np.nan], [0.8], [0.4], [1.0], [1.0]])
    smoothed = ProbabilitySmoother(width=5).transform(y_proba, faces)
    expected = [0.4, np.nan, 0.4, 0.4, 1.0, 1.0]
    np.testing.assert_allclose(smoothed[:, 0], expected)


def test_the_people_of_one_video_are_smoothed_apart():
    frame = np.repeat(np.arange(4), 2)
    faces = faces_of(["v"] * 8, frame).with_columns(person=[0, 1] * 4)
    y_proba = np.array([[0.0], [1.0]] * 4)
    smoothed = ProbabilitySmoother(3).fit_transform(y_proba, faces=faces)
    np.testing.assert_array_equal(smoothed, y_proba)


def test_a_table_keeps_its_names():
    faces = faces_of(["a", "a", "b"], [0, 1, 0])
    table = pd.DataFrame({"AU1": [0.2, 0.4, 1.0]}, index=["x", "y", "z"])
    smoothed = ProbabilitySmoother(width=3).fit_transform(table, faces=faces)
    expected = pd.DataFrame({"AU1": [0.3, 0.3, 1.0]}, index=["x", "y", "z"])
    pd.testing.assert_frame_equal(smoothed, expected)


def test_a_repeated_row_is_no_other_recording():
    faces = faces_of([*"aab"], [0, 1, 0])[[0, 0, 1, 2]]
    y_proba = np.float64([[0.2], [0.2], [0.8], [1.0]])
    smoothed = ProbabilitySmoother(width=3).transform(y_proba, faces)
    np.testing.assert_allclose(smoothed[:, 0], [0.4, 0.4, 0.4, 1.0])


def test_even_windows_reach_one_frame_further_ahead():
    smoothed = ProbabilitySmoother(width=2).transform(
        np.float64([[0], [1], [0]]), faces_of([*"aaa"], [0, 1, 2])
    )
    np.testing.assert_allclose(smoothed[:, 0], [0.5, 0.5, 0])


def test_unusable_input_is_refused():
    faces, y_proba = faces_of([*"aab"], [0, 1, 0]), np.zeros((3, 2))
    smoother = ProbabilitySmoother()
    with pytest.raises(MissingColumnError, match="frame"):
        smoother.transform(y_proba, faces.with_columns(frame=None))
    with pytest.raises(MissingColumnError, match="video"):
        smoother.transform(y_proba, faces.with_columns(video=None))
    with pytest.raises(ValueError, match=r"one row of probabilities per face, \(3,"):
        smoother.transform(y_proba[:2], faces)
    recordings = faces_of([*"aaaa"], [0, 1, 0, 1])
    with pytest.raises(ValueError, match="both frame 0 of video a; give each rec"):
        smoother.transform(np.zeros((4, 2)), recordings)
    with pytest.raises(ValueError, match="'width' parameter"):
        ProbabilitySmoother(width=0).fit(y_proba)


def in_videos(**parameters):
    """Faces of nine subjects with two videos each, and their labels."""
    faces, y = draw_faces(**parameters)
    frame = np.arange(len(faces)) % 6
    video = np.where(np.arange(len(faces)) % 12 < 6, "T1", "T2")
    return faces.with_columns(video=video, frame=frame), y


def test_a_classifier_smooths_what_its_own_says():
    faces, y = in_videos()
    inner = MidpointClassifier(aus=(1, 2, 4))
    clf = SmoothedClassifier(inner, width=3).fit(faces, y)
    proba = inner.fit(faces, y).predict_proba(faces)
    expected = ProbabilitySmoother(3).transform(proba, faces)
    np.testing.assert_array_equal(clf.predict_proba(faces), expected)
    np.testing.assert_array_equal(clf.predict(faces), expected >= 0.5)
    assert clf.aus_ == (1, 2, 4) and clf.classes_.tolist() == [[0, 1]] * 3
    assert clf.score(faces, y) == f1_scorer(clf, faces, y)
    assert get_tags(clf).classifier_tags.multi_label
    assert clone(clf).get_params(deep=False).keys() == {"estimator", "width"}


def test_thresholds_are_learned_for_what_is_smoothed():
    faces, y = in_videos(unknown=0.1)
    smooth = SmoothedClassifier(MidpointClassifier(), width=3)
    clf = AUThresholdClassifier(smooth).fit(faces, y)
    proba = oof_predict_proba(smooth, faces, y, cv=3)
    np.testing.assert_array_equal(clf.thresholds_, best_f1_thresholds(y, proba))


WITHIN = {
    "itself": lambda clf: clf,
    "pipeline": make_pipeline,
    "search": lambda clf: GridSearchCV(clf, {}, cv=SubjectKFold(2), scoring=f1_scorer),
    "smoother": SmoothedClassifier,
    "frozen": lambda clf: FrozenEstimator(make_pipeline(clf).fit(*in_videos())),
}


@pytest.mark.parametrize("wrap", WITHIN.values(), ids=WITHIN)
def test_thresholds_inside_are_kept(wrap):
    faces, y = in_videos()
    given = AUThresholdClassifier(MidpointClassifier(), thresholds=[0.2, 0.5, 0.8])
    clf = SmoothedClassifier(wrap(given), width=3).fit(faces, y)
    expected = clf.predict_proba(faces) >= [0.2, 0.5, 0.8]
    np.testing.assert_array_equal(clf.predict(faces), expected)


def test_the_width_is_searched_by_subject():
    faces, y = in_videos()
    search = GridSearchCV(
        SmoothedClassifier(MidpointClassifier()),
        {"width": [1, 5]},
        cv=SubjectKFold(3),
        scoring=f1_scorer,
        error_score="raise",
    )
    # Every label is drawn anew for each frame: neighbours tell nothing.
    assert search.fit(faces, y).best_params_ == {"width": 1}


def test_a_pipeline_hands_faces_to_the_smoother():
    faces = Faces(np.zeros((3, 8, 8, 3), "uint8"), video=list("aaa"), frame=[0, 1, 2])
    y_proba = np.float32([[0.0], [0.6], [0.6]])
    with config_context(enable_metadata_routing=True):
        smoother = ProbabilitySmoother(3).set_transform_request(faces=True)
        chain = make_pipeline(smoother)
        for smoothed in (
            chain.fit_transform(y_proba, faces=faces),
            chain.transform(y_proba, faces=faces),
        ):
            np.testing.assert_allclose(smoothed, [[0.3], [0.4], [0.6]], rtol=1e-6)
            assert smoothed.dtype == np.float32


def test_a_smoother_without_faces_says_what_to_do():
    for smooth in (
        ProbabilitySmoother(3).fit_transform,
        make_pipeline(ProbabilitySmoother(3)).fit(np.zeros((3, 1))).transform,
    ):
        with pytest.raises(TypeError, match="needs the faces of the rows: pass faces="):
            smooth(np.zeros((3, 1)))
