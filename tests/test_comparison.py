"""Tables of several systems: what they hold, against the single scores and tests."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.datasets import published_results
from skfau.exceptions import LabelError
from skfau.facs import DATASET_AUS
from skfau.metrics import (
    PairedBootstrap,
    au_f1_score,
    au_roc_auc_score,
    bootstrap_ci,
    compare_predictions,
    paired_bootstrap_test,
)

AUS = (1, 6, 12)


def systems(seed=0, n_aus=3, n_subjects=8, n_frames=12):
    rng = np.random.default_rng(seed)
    y = (rng.random((n_subjects * n_frames, n_aus)) < 0.4).astype(np.float32)
    named = {
        name: np.where(rng.random(y.shape) < error, 1 - y, y)
        for name, error in {"good": 0.1, "same": 0.12, "bad": 0.4}.items()
    }
    y[rng.random(y.shape) < 0.1] = np.nan
    named["bad"][:5] = np.nan
    return y, named, np.repeat(np.arange(n_subjects), n_frames)


def test_scores_are_those_of_the_entries_that_all_predict():
    y, named, subjects = systems()
    table = compare_predictions(y, named, subjects, aus=AUS, random_state=0)
    y[:5] = np.nan
    assert table.index == ("AU1", "AU6", "AU12", "mean")
    for name, predicted in named.items():
        per_au = au_f1_score(y, predicted, average=None)
        expected = [*per_au, per_au.mean()]
        np.testing.assert_allclose(table.scores[name].estimate, expected)
    np.testing.assert_allclose(table.chance[-1], au_f1_score(y, np.ones_like(y)))
    assert "5 of 96 rows lack a prediction" in repr(table)


def test_intervals_and_tests_are_those_of_the_single_functions():
    y, named, subjects = systems()
    table = compare_predictions(
        y, named, subjects, n_resamples=99, random_state=np.random.default_rng(3)
    )
    common = np.where(np.isnan(named["bad"]), np.nan, y)
    for average, rows in ((None, slice(3)), ("macro", 3)):
        options = {"average": average, "n_resamples": 99}
        interval = bootstrap_ci(
            "f1", common, named["good"], subjects, random_state=3, **options
        )
        np.testing.assert_allclose(table.scores["good"].low[rows], interval.low)
        test = paired_bootstrap_test(
            "f1", y, named["good"], named["bad"], subjects, random_state=3, **options
        )
        found = table.differences["good", "bad"]
        for one, other in zip(found, test, strict=True):
            np.testing.assert_allclose(np.asarray(one)[rows], other)


def step_down(p_values):
    """Holm's method, by a loop over the sorted p-values."""
    order, adjusted, highest = np.argsort(p_values), np.empty(len(p_values)), 0
    for k, test in enumerate(order):
        highest = max(highest, (len(order) - k) * p_values[test])
        adjusted[test] = min(highest, 1)
    return adjusted


def test_unknown_p_values_are_no_tests_and_none_is_above_one():
    y, named, subjects = systems(n_aus=2)
    table = compare_predictions(y, named, subjects, n_resamples=9, random_state=0)
    p_values = {"same": [0.01, 0.04, 0.9], "bad": [np.nan, 0.03, 0.8]}
    differences = {
        (name, "good"): PairedBootstrap(0, 0, 0, np.array(p))
        for name, p in p_values.items()
    }
    adjusted = replace(table, differences=differences).adjusted_p_values()
    np.testing.assert_allclose(adjusted["same"], [0.03, 0.06, 1])
    np.testing.assert_allclose(adjusted["bad"], [np.nan, 0.06, 1])


def test_p_values_are_adjusted_over_aus_and_systems():
    table = compare_predictions(*systems(), random_state=0)
    adjusted = table.adjusted_p_values("same")
    raw = np.stack([table.differences[n, "same"].p_value for n in ("good", "bad")])
    expected = np.column_stack(
        [step_down(raw[:, :3].ravel()).reshape(2, 3), step_down(raw[:, 3])]
    )
    found = np.stack([adjusted["good"], adjusted["bad"]])
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match="one of 'good', 'same', 'bad', got 'none'"):
        table.adjusted_p_values("none")


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.permutations(range(3)))
def test_order_of_aus_and_of_systems_does_not_matter(seed, order):
    y, named, subjects = systems(seed)
    one = compare_predictions(y, named, subjects, n_resamples=50, random_state=seed)
    turned = {name: named[name][:, order] for name in reversed(named)}
    other = compare_predictions(
        y[:, order], turned, subjects, n_resamples=50, random_state=seed
    )
    for name, interval in one.scores.items():
        for a, b in zip(interval, other.scores[name], strict=True):
            np.testing.assert_allclose(a[[*order, 3]], b, atol=1e-12)
    forth, back = one.differences["good", "bad"], other.differences["bad", "good"]
    np.testing.assert_allclose(forth[0][[*order, 3]], -back[0], atol=1e-12)
    np.testing.assert_array_equal(forth.p_value[:3][order], back.p_value[:3])


def test_text_marks_what_differs_and_leaves_out_what_is_unknown():
    y, named, subjects = systems()
    y[:, 1] = 0
    text = repr(compare_predictions(y, named, subjects, aus=AUS, random_state=0))
    lines = text.splitlines()
    assert lines[0] == "F1 of 3 systems on 8 subjects, 95 % intervals over subjects"
    assert lines[1].split() == ["good", "same", "bad", "all", "1"]
    marked = {line.split()[0]: line.count("*") for line in lines[2:6]}
    assert marked == {"AU1": 1, "AU6": 0, "AU12": 1, "mean": 1}
    assert lines[3].split() == ["AU6", "-", "-", "-", "-"]
    assert "AU6: too few known labels; not in the mean." in text


def test_too_few_resamples_or_subjects_are_told():
    few = repr(compare_predictions(*systems(), n_resamples=100))
    assert "100 resamples are too few to mark one of 6 differences" in few
    assert "8 subjects are few: intervals too narrow, marks too many." in few
    enough = compare_predictions(*systems(n_subjects=12), random_state=0)
    assert "too" not in repr(enough)


def test_published_figures_stand_beside_their_aus():
    y, named, subjects = systems(n_aus=12)
    table = compare_predictions(
        y, named, subjects, aus=DATASET_AUS["bp4d"], published="bp4d", n_resamples=9
    )
    assert list(table.published)[:3] == ["FAU-Transformer", "WSARL", "SEV-Net"]
    np.testing.assert_allclose(table.published["AUNet"][[0, -1]], [0.58, 0.65])
    assert "0.580" in repr(table).splitlines()[2]


def test_means_over_other_aus_and_misprints_are_left_out():
    y, named, subjects = systems()
    options = {"aus": AUS, "n_resamples": 9}
    table = compare_predictions(y, named, subjects, published="disfa", **options)
    np.testing.assert_allclose(
        table.published["WSARL"], [0.51, 0.403, 0.745, np.nan], equal_nan=True
    )
    assert np.isnan(table.published["ResNet18 (AUNet)"][0])
    rows = published_results("bp4d").data
    rows = rows[rows["table"] == "VII"]
    table = compare_predictions(y, named, subjects, published=rows, **options)
    names = ["AU-FAN (AUNet)", "AU-VAE (AUNet)", "AU-TDN (AUNet)", "AUNet"]
    assert list(table.published) == names


def test_mean_is_left_out_where_an_au_has_no_score_here():
    y, named, subjects = systems(n_aus=12)
    y[:, 3] = 0
    table = compare_predictions(
        y, named, subjects, aus=DATASET_AUS["bp4d"], published="bp4d", n_resamples=9
    )
    assert np.isnan(table.published["AUNet"][-1])


def test_csv_and_frame_hold_every_number(tmp_path):
    table = compare_predictions(
        *systems(), aus=AUS, published="disfa", n_resamples=50, random_state=0
    )
    table.to_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    frame = table.to_frame()
    assert len(rows) == len(frame) == 4 * (3 + 1 + 7)
    assert list(frame.columns) == list(rows[0])
    row = next(r for r in rows if r["system"] == "bad" and r["au"] == "mean")
    assert float(row["score"]) == table.scores["bad"].estimate[-1]
    test = table.differences["bad", "good"]
    assert float(row["difference_high"]) == test.high[-1]
    assert float(row["p_adjusted"]) == table.adjusted_p_values()["bad"][-1]
    assert rows[0]["p_value"] == ""


def test_ranking_scores_take_probabilities():
    y, _, subjects = systems()
    proba = {"a": np.random.default_rng(0).random(y.shape)}
    table = compare_predictions(y, proba, subjects, metric="roc_auc", n_resamples=9)
    expected = au_roc_auc_score(y, proba["a"])
    assert table.scores["a"].estimate[-1] == pytest.approx(expected)
    assert table.chance is None and "ROC AUC of 1 system on" in repr(table)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"predictions": [np.ones((96, 3))]}, TypeError, "a dict with a name for each"),
        ({"predictions": {"a": np.ones((9, 3))}}, LabelError, "y_true and 'a' must"),
        ({"metric": "f2"}, ValueError, "metric must be one of"),
        ({"published": "bp4d"}, ValueError, "pass aus= to name the columns"),
        ({"published": "fera", "aus": AUS}, ValueError, "got 'fera'"),
        ({"published": "emotionet", "aus": AUS}, ValueError, "no paper compares f1"),
        ({"published": [1], "aus": AUS}, TypeError, "rows of published_results"),
        (
            {"published": "bp4d", "aus": AUS, "metric": "roc_auc"},
            ValueError,
            "papers report f1 and accuracy, not 'roc_auc'",
        ),
        ({"aus": (1, 2)}, LabelError, "aus names 2 AUs, but there are 3"),
    ],
)
def test_what_cannot_be_tabulated_is_refused(change, error, message):
    y, predictions, subjects = systems()
    named = {"predictions": predictions} | change
    with pytest.raises(error, match=message):
        compare_predictions(y, subjects=subjects, **named)
