"""Displays of attention: what they compute and keep, and that they draw it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skfau.exceptions import FaceImageError, LabelError
from skfau.inspection import (
    AttentionMapDisplay,
    AURelationsDisplay,
    AUScoreDisplay,
    AUTimelineDisplay,
)
from tests.lookers import ALL_ABSENT, AUS, Looker, Negative, make_gray_faces


@pytest.fixture
def ax():
    """Axes that pyplot does not know of, so that nothing stays open."""
    return Figure().subplots()


@pytest.fixture
def faces():
    return make_gray_faces()


@pytest.fixture
def looker(faces):
    return Looker().fit(faces, ALL_ABSENT)


def test_attention_keeps_images_maps_aus_and_predictions(looker, faces, ax):
    display = AttentionMapDisplay.from_estimator(looker, faces, ax=ax)
    assert display.images.shape == (4, 8, 6, 3) and display.images.dtype == np.uint8
    np.testing.assert_array_equal(display.maps, looker.attention_maps(faces))
    assert display.aus == AUS
    np.testing.assert_array_equal(display.active, looker.predict(faces))
    assert display.ax_ is ax and display.figure_ is ax.figure


def test_attention_in_a_pipeline_shows_what_the_classifier_sees(faces, ax):
    pipe = make_pipeline(Negative(), Looker()).fit(faces, ALL_ABSENT)
    display = AttentionMapDisplay.from_estimator(pipe, faces, ax=ax)
    np.testing.assert_array_equal(display.images, 255 - faces.images[...])
    np.testing.assert_allclose(display.maps[0], 1)


def test_wrapped_classifiers_are_found_through_every_layer(faces, ax):
    pipe = make_pipeline(Negative(), make_pipeline(Negative(), Looker()))
    splits = [([0, 1], [2, 3])]
    search = GridSearchCV(pipe, {"pipeline__looker__gain": [1]}, cv=splits)
    search.fit(faces, ALL_ABSENT)
    display = AttentionMapDisplay.from_estimator(search, faces, ax=ax)
    np.testing.assert_array_equal(display.images, faces.images[...])


def test_a_pipeline_of_one_step_is_its_classifier(looker, faces, ax):
    display = AttentionMapDisplay.from_estimator(make_pipeline(looker), faces, ax=ax)
    np.testing.assert_array_equal(display.images, faces.images[...])


def test_a_classifier_without_attention_is_named(faces):
    with pytest.raises(TypeError, match=r"'attention_maps'.*got Pipeline.*Negative"):
        AttentionMapDisplay.from_estimator(make_pipeline(Negative()), faces)


@given(
    arrays(np.float32, (3, 4, 2, 2), elements=st.floats(0, 1, width=32)),
    arrays(np.float32, (3, 4), elements=st.sampled_from([0, 1, np.nan])),
)
@settings(max_examples=30, deadline=None)
def test_combined_map_is_the_maximum_over_active_aus(maps, active):
    display = AttentionMapDisplay(None, maps, (1, 2, 4, 5), active=active)
    for row, combined in enumerate(display.combined_maps()):
        chosen = [maps[row, j] for j in range(4) if active[row, j] == 1]
        np.testing.assert_array_equal(combined, np.max([np.zeros((2, 2)), *chosen], 0))


def test_combined_map_without_a_face_is_nan():
    maps = np.full((1, 1, 2, 2), np.nan, np.float32)
    display = AttentionMapDisplay(None, maps, (1,), active=np.zeros((1, 1)))
    assert np.isnan(display.combined_maps()).all()


def test_combined_map_needs_to_know_the_active_aus(ax):
    images, maps = np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 3, 2, 2))
    with pytest.raises(ValueError, match="pass y"):
        AttentionMapDisplay.from_predictions(images, maps, AUS, combined=True, ax=ax)


@pytest.mark.parametrize("combined", [False, True])
def test_every_face_is_drawn_and_one_scale_serves_all_maps(combined, looker, faces, ax):
    y = [[1, 0, 1]] * 4
    AttentionMapDisplay.from_estimator(looker, faces, y, combined=combined, ax=ax)
    maps = [image for image in ax.images if image.get_array().shape == (4, 4)]
    assert len(ax.images) == (4 + 4 + 3 if combined else 4 + 4 * 3 + 3 * 3)
    scales = {(image.norm.vmin, image.norm.vmax) for image in maps}
    assert scales == {(0, np.float32(0.4))}
    assert [t.get_text() for t in ax.texts] == ["no face"] * (1 if combined else 3)
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert labels == (["AU1 AU12"] * 4 if combined else ["face", "AU1", "AU6", "AU12"])


def test_shown_chooses_aus_by_number(looker, faces, ax):
    AttentionMapDisplay.from_estimator(looker, faces, shown=(12, 1), ax=ax)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["face", "AU12", "AU1"]
    with pytest.raises(ValueError, match=r"\(1, 6, 12\), got \[9\]"):
        AttentionMapDisplay.from_estimator(looker, faces, shown=(9, 1), ax=ax)


def test_attention_refuses_what_does_not_fit(ax):
    images, maps = np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 3, 2, 2))
    with pytest.raises(FaceImageError, match="uint8 of shape"):
        AttentionMapDisplay.from_predictions(images / 255, maps, AUS, ax=ax)
    with pytest.raises(ValueError, match=r"\(2, 2, h, w\).*got \(2, 3, 2, 2\)"):
        AttentionMapDisplay.from_predictions(images, maps, (1, 2), ax=ax)
    with pytest.raises(LabelError, match="2 rows but y has 1"):
        AttentionMapDisplay.from_predictions(images, maps, AUS, y=[[1, 0, 1]], ax=ax)


def test_relations_are_the_mean_over_rows_with_a_face(looker, faces, ax):
    pipe = make_pipeline(Negative(), looker)
    display = AURelationsDisplay.from_estimator(pipe, faces, ax=ax)
    expected = (np.full((3, 3), 1 / 3) + 2 * np.eye(3)) / 3
    np.testing.assert_allclose(display.matrix, expected, rtol=1e-6)
    assert display.aus == AUS and display.kind == "attention"


def test_relations_need_a_face(looker, faces):
    with pytest.raises(ValueError, match="none of the 1 rows"):
        AURelationsDisplay.from_estimator(looker, faces[3:])


@given(arrays(np.float32, (12, 3), elements=st.sampled_from([0, 1, np.nan])))
@settings(max_examples=25, deadline=None)
def test_phi_is_the_correlation_of_the_rows_where_both_are_known(y):
    matrix = AURelationsDisplay.from_labels(y, AUS, ax=Figure().subplots()).matrix
    np.testing.assert_array_equal(matrix, matrix.T)
    for i in range(3):
        for j in range(3):
            a, b = y[~np.isnan(y[:, [i, j]]).any(1)][:, [i, j]].T.astype(float)
            if len(a) and np.ptp(a) and np.ptp(b):
                assert matrix[i, j] == pytest.approx(np.corrcoef(a, b)[0, 1])
            else:
                assert np.isnan(matrix[i, j])


def test_undefined_phi_is_drawn_as_such(ax):
    AURelationsDisplay.from_labels([[1, 0, 1], [1, 1, 0]], AUS, ax=ax)
    texts = [t.get_text() for t in ax.texts]
    assert texts == ["–", "–", "–", "–", "1.00", "-1.00", "–", "-1.00", "1.00"]


def test_a_missing_matplotlib_is_named_before_anything_is_computed(monkeypatch, faces):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    doors = [
        (AttentionMapDisplay.from_estimator, (None, faces)),
        (AURelationsDisplay.from_estimator, (None, faces)),
        (AUTimelineDisplay.from_estimator, (None, faces)),
        (AUScoreDisplay.from_estimator, (None, faces, None)),
    ]
    for door, arguments in doors:
        with pytest.raises(ImportError, match=r"pip install 'skfau\[plot\]'"):
            door(*arguments)


def test_without_axes_a_figure_is_made(looker, faces):
    import matplotlib.pyplot as plt

    display = AURelationsDisplay.from_estimator(looker, faces)
    assert plt.fignum_exists(display.figure_.number)
    plt.close(display.figure_)


def test_importing_inspection_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys, skfau.inspection;"
        "print([m for m in ('matplotlib', 'torch', 'skorch') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"


def test_labels_named_in_another_order_are_not_drawn_askew(faces, looker, ax):
    turned = pd.DataFrame(ALL_ABSENT, columns=["AU12", "AU6", "AU1"])
    timed = faces.with_columns(video=["v"] * 4, frame=range(4))
    images, maps = faces.images[...], looker.attention_maps(faces)
    proba = np.full((4, 3), 0.5)
    for draw in (
        lambda: AttentionMapDisplay.from_predictions(images, maps, AUS, y=turned),
        lambda: AURelationsDisplay.from_labels(turned, AUS),
        lambda: AUTimelineDisplay.from_predictions(proba, AUS, y=turned),
        lambda: AUTimelineDisplay.from_estimator(looker, timed, y=turned),
    ):
        with pytest.raises(LabelError, match=r"columns of y are \('AU12'.*same order"):
            draw()
