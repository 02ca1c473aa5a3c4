"""Per-AU scores against scikit-learn, formulas and brute force."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as skm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import UndefinedMetricWarning

from skfau import metrics
from skfau.exceptions import LabelError
from skfau.metrics import (
    au_accuracy_score,
    au_average_precision_score,
    au_f1_score,
    au_roc_auc_score,
    au_skew_normalized_f1_score,
    fold_mean_f1,
    score_table,
)

SHAPES = st.tuples(st.integers(2, 40), st.integers(1, 4))


@st.composite
def labels_and_predictions(draw, unknown=False):
    shape = draw(SHAPES)
    values = st.sampled_from([0.0, 1.0] + [np.nan] * unknown)
    pair = [draw(arrays(np.float32, shape, elements=values)) for _ in range(2)]
    pair[0][:2] = [[0.0], [1.0]]
    pair[1][:2] = np.nan_to_num(pair[1][:2])
    return pair


@st.composite
def labels_and_scores(draw):
    y_true, _ = draw(labels_and_predictions())
    # Few distinct values, so that ties across classes are common.
    scores = st.integers(0, 6).map(lambda k: k / 6)
    return y_true, draw(arrays(np.float64, y_true.shape, elements=scores))


def per_column(function, *pair, **options):
    columns = zip(*(a.T for a in pair), strict=True)
    return [function(*column, **options) for column in columns]


@given(labels_and_predictions())
def test_f1_of_complete_labels_is_that_of_sklearn(pair):
    expected = per_column(skm.f1_score, *pair, zero_division=0)
    np.testing.assert_allclose(au_f1_score(*pair, average=None), expected, atol=1e-12)
    assert au_f1_score(*pair) == pytest.approx(np.mean(expected), abs=1e-12)
    micro = skm.f1_score(*(a.ravel() for a in pair), zero_division=0)
    assert au_f1_score(*pair, average="pooled") == pytest.approx(micro, abs=1e-12)


@given(labels_and_predictions())
def test_accuracy_of_complete_labels_is_that_of_sklearn(pair):
    expected = per_column(skm.accuracy_score, *pair)
    np.testing.assert_allclose(au_accuracy_score(*pair, average=None), expected)


@given(labels_and_scores())
def test_roc_auc_counts_ties_as_sklearn_does(pair):
    expected = per_column(skm.roc_auc_score, *pair)
    actual = au_roc_auc_score(*pair, average=None)
    np.testing.assert_allclose(actual, expected, atol=1e-12, rtol=0)


@given(labels_and_scores())
def test_average_precision_is_that_of_sklearn(pair):
    expected = per_column(skm.average_precision_score, *pair)
    actual = au_average_precision_score(*pair, average=None)
    np.testing.assert_allclose(actual, expected, atol=1e-12, rtol=0)


@given(labels_and_predictions())
def test_skew_normalised_f1_is_f1_of_balanced_repeats(pair):
    """Repeat positives n_negative times and negatives n_positive times."""
    for labels, predictions in zip(*(a.T for a in pair), strict=True):
        n_positive = int(labels.sum())
        times = np.where(labels == 1, len(labels) - n_positive, n_positive)
        repeated = np.repeat(labels, times), np.repeat(predictions, times)
        expected = skm.f1_score(*repeated, zero_division=0)
        actual = au_skew_normalized_f1_score(labels[:, None], predictions[:, None])
        assert actual == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "score",
    [au_f1_score, au_accuracy_score, au_roc_auc_score, au_average_precision_score],
)
@settings(max_examples=30)
@given(pair=labels_and_predictions(unknown=True))
def test_unknown_entries_do_not_count(score, pair):
    for labels, predictions in zip(*(a.T for a in pair), strict=True):
        known = ~(np.isnan(labels) | np.isnan(predictions))
        reduced = score(labels[known, None], predictions[known, None])
        assert score(labels[:, None], predictions[:, None]) == reduced


def test_f1_is_exact_over_many_chunks():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, size=(2, 90_001, 3))
    expected = skm.f1_score(y_true, y_pred, average=None)
    np.testing.assert_allclose(au_f1_score(y_true, y_pred, average=None), expected)
    nearly_all_ones = np.ones((90_001, 3), dtype=bool)
    nearly_all_ones[-1] = False
    expected = 2 * 90_000 / (90_000 + 90_001)
    assert au_f1_score(nearly_all_ones, np.ones((90_001, 3))) == expected


def test_views_and_dtypes_score_alike():
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.integers(0, 2, size=(2, 50, 4))
    expected = au_f1_score(y_true, y_pred)
    for dtype in (bool, np.int8, np.float64):
        fortran = np.asfortranarray(y_true.astype(dtype))
        assert au_f1_score(fortran, y_pred.astype(dtype)) == expected
    assert au_f1_score(y_true[::2], y_pred[::2]) == au_f1_score(
        y_true[::2].copy(), y_pred[::2].copy()
    )


def test_masked_and_none_labels_are_unknown():
    y_pred = np.array([[1], [1], [0]])
    masked = np.ma.masked_array([[1], [0], [1]], mask=[[False], [True], [False]])
    assert au_f1_score(masked, y_pred) == au_f1_score([[1], [None], [1]], y_pred)
    nullable = pytest.importorskip("pandas").array([1, None, 1], "Int64")
    y_true = np.asarray(nullable)[:, None]
    assert au_f1_score(y_true, y_pred) == au_f1_score(masked, y_pred)


ABSENT = np.array([[1, 0, np.nan], [0, 0, np.nan]])


def test_absent_au_is_skipped_with_a_warning_naming_it():
    with pytest.warns(
        UndefinedMetricWarning, match=r"F1 is undefined for column\(s\) 1, 2"
    ):
        per_au = au_f1_score(ABSENT, np.ones((2, 3)), average=None)
    np.testing.assert_allclose(per_au, [2 / 3, np.nan, np.nan])
    with pytest.warns(UndefinedMetricWarning):
        assert au_f1_score(ABSENT, np.ones((2, 3))) == pytest.approx(2 / 3)


def test_absent_zero_counts_positives_missing_but_not_labels_missing():
    with pytest.warns(UndefinedMetricWarning, match=r"column\(s\) 2"):
        per_au = au_f1_score(ABSENT, np.ones((2, 3)), average=None, absent="zero")
    np.testing.assert_allclose(per_au, [2 / 3, 0, np.nan])
    assert au_f1_score(ABSENT[:, :2], np.ones((2, 2)), absent="zero") == pytest.approx(
        1 / 3
    )


def test_absent_error_refuses():
    with pytest.raises(LabelError, match=r"column\(s\) 1, 2.*absent='skip'"):
        au_f1_score(ABSENT, np.ones((2, 3)), absent="error")


def test_pooled_score_does_not_mind_an_absent_au():
    assert au_f1_score(ABSENT, np.ones((2, 3)), average="pooled") == 0.4


def test_nothing_known_scores_nan():
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(au_f1_score(np.full((2, 2), np.nan), np.ones((2, 2))))


def test_warning_points_at_the_caller():
    with pytest.warns(UndefinedMetricWarning) as caught:
        au_roc_auc_score(ABSENT, np.ones((2, 3)))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("code", [9, -1, 999, 0.5])
def test_codes_for_unknown_are_refused(code):
    with pytest.raises(LabelError, match=f"got {code}"):
        au_f1_score(np.array([[1.0], [code]]), np.ones((2, 1)))
    with pytest.raises(LabelError, match="threshold probabilities first"):
        au_f1_score(np.ones((2, 1)), np.array([[1.0], [code]]))


def test_shape_errors_say_what_to_do():
    with pytest.raises(LabelError, match=r"pass y\[:, None\]"):
        au_f1_score([0, 1], [0, 1])
    with pytest.raises(LabelError, match=r"\(2, 1\) and \(3, 1\)"):
        au_roc_auc_score(np.ones((2, 1)), np.ones((3, 1)))
    with pytest.raises(ValueError, match="average must be one of"):
        au_f1_score([[1]], [[1]], average="micro")
    with pytest.raises(ValueError, match="absent must be one of"):
        au_f1_score([[1]], [[1]], absent="ignore")


def test_fold_mean_is_the_mean_of_fold_means():
    rng = np.random.default_rng(2)
    y_true, y_pred = rng.integers(0, 2, size=(2, 90, 4)).astype(float)
    folds = rng.integers(-1, 3, size=90)
    expected = np.mean(
        [au_f1_score(y_true[folds == k], y_pred[folds == k]) for k in range(3)]
    )
    assert fold_mean_f1(y_true, y_pred, folds) == pytest.approx(expected, abs=1e-12)


def test_fold_mean_names_the_fold_that_lacks_an_au():
    y_true = np.array([[1, 1], [1, 0]])
    with pytest.warns(
        UndefinedMetricWarning, match=r"F1 of fold 1 .* column\(s\) 1"
    ) as caught:
        assert fold_mean_f1(y_true, y_true, [0, 1]) == 1
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"one subject \(or fold\) per row"):
        fold_mean_f1(y_true, y_true, [0, 1, 1])


def test_score_table_shows_scores_chance_and_what_is_left_out():
    y_true = np.array([[1, 0, 0], [0, 1, 0], [0, 1, np.nan], [1, 1, 0]])
    y_pred = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0], [np.nan] * 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = score_table(y_true, y_pred, (1, 2, 4), y_proba=y_pred)
    assert table.index == ("AU1", "AU2", "AU4", "mean")
    np.testing.assert_allclose(table.columns["f1"], [2 / 3, 0.5, np.nan, 7 / 12])
    rate = table.columns["rate"]
    np.testing.assert_allclose(rate[:3], [1 / 3, 2 / 3, 0])
    chance = 2 * rate[:2] / (1 + rate[:2])
    np.testing.assert_allclose(table.columns["f1_chance"][:2], chance)
    np.testing.assert_array_equal(table.columns["n_known"], [3, 3, 2, 8])
    text = str(table)
    assert "AU4: no known positive" in text
    assert "1 of 4 rows have no prediction" in text
    assert "roc_auc" in text


def test_score_table_is_a_frame_with_intervals():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, size=(2, 60, 2))
    options = {"subjects": np.arange(60) % 6, "random_state": 0}
    frame = score_table(y_true, y_pred, (6, 12), **options).to_frame()
    assert frame.index.tolist() == ["AU6", "AU12", "mean"]
    assert (frame.f1_low < frame.f1).all()
    assert (frame.f1 < frame.f1_high).all()
    mean = metrics.bootstrap_ci("f1", y_true, y_pred, **options)
    assert frame.loc["mean", ["f1_low", "f1_high"]].tolist() == list(mean[1:])
    with pytest.raises(LabelError, match="aus names 1 AUs"):
        score_table(y_true, y_pred, (6,))


def test_a_table_of_probabilities_cuts_them_at_one_half():
    y_true = np.array([[1, 0], [1, 1], [0, 1]])
    y_proba = np.array([[0.9, 0.1], [0.2, 0.5], [np.nan, np.nan]])
    table = score_table(y_true, y_proba=y_proba)
    np.testing.assert_allclose(table.columns["f1"], [2 / 3, 1, 5 / 6])
    with pytest.raises(TypeError, match="needs y_pred or y_proba"):
        score_table(y_true)


def test_score_table_cuts_no_masked_probability():
    y_true = [[1], [0], [1]]
    y_proba = np.ma.masked_array([[0.9], [0.2], [0.1]], [[False], [False], [True]])
    table = score_table(y_true, y_proba=y_proba)
    assert table.columns["f1"][0] == 1 and table.columns["n_known"][0] == 2
