"""Displays of probabilities and scores: what they keep, and that they draw it."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.pipeline import make_pipeline

from skfau.exceptions import MissingColumnError
from skfau.inspection import AUScoreDisplay, AUTimelineDisplay, ComparisonDisplay
from skfau.metrics import au_f1_score, bootstrap_ci, compare_predictions, score_table
from tests.lookers import ALL_ABSENT, AUS, Looker, Negative, Tuned, make_gray_faces


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


def test_timeline_takes_one_video_in_order_and_breaks_at_gaps(looker, faces, ax):
    y = np.array([[0, 1, 0], [1, 1, np.nan], [0, 0, 1], [1, 1, 1]])
    backwards = faces[[3, 2, 1, 0]]
    display = AUTimelineDisplay.from_estimator(
        looker, backwards, y[::-1], video="a", ax=ax
    )
    np.testing.assert_array_equal(display.frames, [5, 6, 7, 9])
    np.testing.assert_allclose(display.probabilities[:, 0], [0, 0.2, np.nan, 0.4])
    nan = np.full(3, np.nan)
    np.testing.assert_array_equal(display.occurrence, [y[0], y[1], nan, y[2]])
    np.testing.assert_array_equal(display.thresholds, [0.5] * 3)
    assert display.title == "a" and ax.get_title(loc="left") == "a"
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == [
        "AU1 inner brow raiser",
        "AU6 cheek raiser",
        "AU12 lip corner puller",
    ]


def test_timeline_takes_tuned_thresholds(looker, faces, ax):
    tuned = Tuned(make_pipeline(Negative(), looker))
    display = AUTimelineDisplay.from_estimator(tuned, faces[:3], ax=ax)
    np.testing.assert_array_equal(display.thresholds, [0.2, 0.5, 0.9])
    np.testing.assert_allclose(display.probabilities[0], 1)


def test_timeline_without_columns_counts_rows(looker, ax):
    images = np.zeros((3, 4, 4, 3), np.uint8)
    display = AUTimelineDisplay.from_estimator(looker, images, ax=ax)
    np.testing.assert_array_equal(display.frames, [0, 1, 2])


def test_timeline_refuses_several_videos(looker, faces):
    with pytest.raises(ValueError, match=r"rows are of 2: a, b\. Pass video="):
        AUTimelineDisplay.from_estimator(looker, faces)
    with pytest.raises(ValueError, match="no video 'c'; there are 'a', 'b'"):
        AUTimelineDisplay.from_estimator(looker, faces, video="c")
    with pytest.raises(MissingColumnError, match="video"):
        AUTimelineDisplay.from_estimator(looker, faces.images[...], video="a")


@pytest.mark.parametrize(
    ("y_proba", "frames", "message"),
    [
        ([[0.5, 0.5]], None, r"\(n_frames, 3\).*got \(1, 2\)"),
        ([[0.5, 0.5, 2]], None, "in \\[0, 1\\], got 0.5 to 2.0"),
        ([[0, 0, 0], [0, 0, 0]], [1, 1], "frame 1 comes twice"),
        ([[0, 0, 0], [0, 0, 0]], [1], r"shape \(2,\), got \(1,\)"),
    ],
)
def test_timeline_refuses_what_does_not_fit(y_proba, frames, message):
    with pytest.raises(ValueError, match=message):
        AUTimelineDisplay.from_predictions(y_proba, AUS, frames=frames)


def test_timeline_draws_bands_where_the_au_occurs(ax):
    y = np.array([[1], [1], [0], [1], [np.nan]])
    AUTimelineDisplay.from_predictions(np.full((5, 1), 0.4), (12,), y=y, ax=ax)
    present, unknown = ax.collections[:2]
    starts = [path.get_extents().intervalx for path in present.get_paths()]
    np.testing.assert_array_equal(starts, [[-0.5, 1.5], [2.5, 3.5]])
    np.testing.assert_array_equal(
        unknown.get_paths()[0].get_extents().intervalx, [3.5, 4.5]
    )


def test_a_frame_between_gaps_is_drawn_as_a_point(ax):
    AUTimelineDisplay.from_predictions([[0.1], [np.nan], [0.3]], (1,), ax=ax)
    np.testing.assert_array_equal(ax.lines[-1].get_xdata(), [0, 2])


def test_scores_are_those_of_the_metrics(ax):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, (2, 60, 3)).astype(float)
    y_true[:20, 1] = np.nan
    subjects = np.repeat(np.arange(6), 10)
    display = AUScoreDisplay.from_predictions(
        y_true, y_pred, AUS, subjects=subjects, random_state=0, ax=ax
    )
    columns = display.table.columns
    f1 = au_f1_score(y_true, y_pred, average=None)
    np.testing.assert_allclose(columns["f1"], [*f1, f1.mean()])
    rates = np.nanmean(y_true, axis=0)
    np.testing.assert_allclose(columns["f1_chance"][:3], 2 * rates / (1 + rates))
    interval = bootstrap_ci(
        "f1", y_true, y_pred, subjects, average=None, random_state=0
    )
    np.testing.assert_allclose(columns["f1_low"][:3], interval.low)
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, columns["f1"])


def test_an_au_without_positives_has_no_bar(ax):
    AUScoreDisplay(score_table([[1, 0], [0, 0]], [[1, 0], [0, 1]], (1, 2))).plot(ax=ax)
    assert [t.get_text() for t in ax.texts] == ["1.00", "no known positive", "1.00"]
    assert ax.patches[1].get_width() == 0


def test_scores_of_an_estimator_are_those_of_its_predictions(looker, faces, ax):
    y = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1], [1, 1, 1]])
    display = AUScoreDisplay.from_estimator(looker, faces, y, ax=ax)
    expected = au_f1_score(y, looker.predict(faces), average=None)
    np.testing.assert_allclose(display.table.columns["f1"][:3], expected)
    assert display.table.index == ("AU1", "AU6", "AU12", "mean")


@pytest.mark.parametrize("published", [None, "disfa"])
def test_comparison_shows_every_system_au_and_star(published, ax):
    people, y = np.repeat(np.arange(15), 8), np.tile(np.eye(2)[[0, 1, 1, 0]], (30, 1))
    systems = {"right": y, "as right": y.copy(), "wrong": 1 - y}
    table = compare_predictions(
        y, systems, people, aus=(1, 12), published=published, n_resamples=999
    )
    display = ComparisonDisplay.from_comparison(table, ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["AU1 inner brow raiser", "AU12 lip corner puller", "mean"]
    shown = {line.get_label(): line.get_xdata() for line in ax.lines}
    np.testing.assert_array_equal(shown["right"], [1, 1, 1])
    np.testing.assert_array_equal(shown["wrong"], [0, 0, 0])
    assert [text.get_text() for text in ax.texts] == ["*"] * 3
    assert len(shown) == 3 + len(table.published)
    if published:
        np.testing.assert_allclose(shown["AUNet, as printed"][:2], [0.603, 0.797])
    bare = display.plot(ax=Figure().subplots(), published=False)
    assert len(bare.ax_.lines) == 3
