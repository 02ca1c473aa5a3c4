"""Intervals over subjects: against resampled rows, and against known spreads."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from skfau.exceptions import LabelError
from skfau.metrics import (
    au_accuracy_score,
    au_f1_score,
    au_roc_auc_score,
    au_skew_normalized_f1_score,
    bootstrap_ci,
)


def predictions(n_subjects=8, n_frames=15, n_aus=3, seed=0):
    rng = np.random.default_rng(seed)
    n = n_subjects * n_frames
    y_true = (rng.random((n, n_aus)) < 0.4).astype(np.float32)
    y_pred = np.where(rng.random(y_true.shape) < 0.25, 1 - y_true, y_true)
    y_true[rng.random(y_true.shape) < 0.1] = np.nan
    y_pred[rng.integers(0, n, 4)] = np.nan
    return y_true, y_pred, rng.permutation(np.arange(n) % n_subjects)


@pytest.mark.parametrize("average", ["macro", "pooled", None])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("f1", au_f1_score),
        ("skew_normalized_f1", au_skew_normalized_f1_score),
        ("accuracy", au_accuracy_score),
    ],
)
def test_counts_give_what_resampled_rows_give(name, function, average):
    data = predictions()
    options = {"n_resamples": 40, "random_state": 3}
    by_counts = bootstrap_ci(name, *data, average=average, **options)
    by_rows = bootstrap_ci(
        lambda t, p: function(t, p, average=average), *data, **options
    )
    for one, other in zip(by_counts, by_rows, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("average", ["macro", "pooled", None])
@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_pairs_of_subjects_give_what_resampled_rows_give(average, absent):
    y_true, y_pred, subjects = predictions(n_subjects=5)
    y_score = (y_pred + np.random.default_rng(1).normal(size=y_pred.shape)).round(1)
    # Only one subject has the first AU, and the second is never labelled.
    y_true[subjects > 0, 0] = 0
    y_true[:, 1] = np.nan
    options = {"n_resamples": 60, "random_state": 3}

    def by_rows(t, p):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return au_roc_auc_score(t, p, average=average, absent=absent)

    data = y_true, y_score, subjects
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        fast = bootstrap_ci("roc_auc", *data, average=average, absent=absent, **options)
    slow = bootstrap_ci(by_rows, *data, **options)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_auc_of_more_subjects_than_are_paired_goes_by_rows():
    y_true, y_pred, subjects = predictions(n_subjects=501, n_frames=2)
    data = y_true, y_pred + 0.1 * y_true, subjects
    options = {"n_resamples": 20, "random_state": 0}
    found = bootstrap_ci("roc_auc", *data, **options)
    assert found == bootstrap_ci(au_roc_auc_score, *data, **options)


def test_auc_of_probabilities_has_an_interval():
    y_true, y_pred, subjects = predictions()
    y_score = y_pred + np.random.default_rng(1).normal(size=y_pred.shape)
    score, low, high = bootstrap_ci(
        "roc_auc", y_true, y_score, subjects, n_resamples=50, random_state=0
    )
    assert score == au_roc_auc_score(y_true, y_score)
    assert low < score < high


def test_interval_is_wide_when_subjects_differ_however_many_frames():
    """One subject in two is predicted perfectly, the other not at all."""
    subjects = np.repeat(np.arange(10), 2000)
    y_true = np.tile([[1.0], [0.0]], (10_000, 1))
    y_pred = np.where(subjects[:, None] % 2, y_true, 1 - y_true)
    by_subject = bootstrap_ci("f1", y_true, y_pred, subjects, random_state=0)
    by_frame = bootstrap_ci(
        "f1", y_true, y_pred, np.arange(20_000) % 500, random_state=0
    )
    assert by_subject.high - by_subject.low > 10 * (by_frame.high - by_frame.low)


def test_difference_to_a_baseline_is_paired():
    y_true, y_pred, subjects = predictions()
    worse = y_pred.copy()
    for subject in np.unique(subjects):
        worse[np.flatnonzero(subjects == subject)[:2]] *= 0
    alone = bootstrap_ci("f1", y_true, y_pred, subjects, random_state=0)
    gain = bootstrap_ci("f1", y_true, y_pred, subjects, baseline=worse, random_state=0)
    assert gain.estimate == au_f1_score(y_true, y_pred) - au_f1_score(y_true, worse)
    assert 0 < gain.low < gain.high
    assert gain.high - gain.low < alone.high - alone.low
    same = bootstrap_ci("f1", y_true, y_pred, subjects, baseline=y_pred, random_state=0)
    assert tuple(same) == (0, 0, 0)


def test_a_face_that_one_system_does_not_find_counts_for_neither():
    """Left out of one score only, hard faces would look like a gain."""
    y_true, y_pred, subjects = predictions()
    holes = np.where((y_pred != y_true).any(axis=1, keepdims=True), np.nan, y_pred)
    options = {"baseline": y_pred, "random_state": 0}
    gain = bootstrap_ci("f1", y_true, holes, subjects, **options)
    assert tuple(gain) == (0, 0, 0)


def test_seed_fixes_the_interval_and_global_state_is_left_alone():
    data = predictions()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    runs = [
        bootstrap_ci("f1", *data, n_resamples=50, random_state=state)
        for state in (7, 7, np.random.default_rng(7), np.random.RandomState(7))
    ]
    assert runs[0] == runs[1] == runs[2] != runs[3]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    with pytest.raises(TypeError, match="random_state must be"):
        bootstrap_ci("f1", *data, random_state="seven")


def test_au_that_only_one_subject_shows_is_skipped_where_that_one_is_not_drawn():
    y_true = np.zeros((40, 2))
    y_true[:, 0] = np.arange(40) % 2
    y_true[:5, 1] = 1
    subjects = np.repeat(np.arange(4), 10)
    skip = bootstrap_ci("f1", y_true, y_true, subjects, random_state=0)
    assert tuple(skip) == (1, 1, 1)
    zero = bootstrap_ci("f1", y_true, y_true, subjects, absent="zero", random_state=0)
    assert (zero.estimate, zero.low) == (1, 0.5)
    strict = bootstrap_ci(
        "f1", y_true, y_true, subjects, absent="error", random_state=0
    )
    assert strict == skip


def test_absent_au_has_no_interval():
    y_true = np.array([[1, 0]] * 6)
    with pytest.warns(UndefinedMetricWarning, match=r"column\(s\) 1"):
        ends = bootstrap_ci("f1", y_true, y_true, np.arange(6), average=None)
    np.testing.assert_array_equal(ends.low, [1, np.nan])
    with pytest.raises(LabelError, match=r"column\(s\) 1"):
        bootstrap_ci("f1", y_true, y_true, np.arange(6), absent="error")


def test_errors_say_what_is_wrong():
    y_true, y_pred, subjects = predictions()
    with pytest.raises(ValueError, match=r"at least 2 of them, got 1 \(ann\)"):
        bootstrap_ci("f1", y_true, y_pred, np.full(len(y_true), "ann"))
    with pytest.raises(ValueError, match="metric must be one of"):
        bootstrap_ci("f2", y_true, y_pred, subjects)
    with pytest.raises(ValueError, match="confidence_level must be in"):
        bootstrap_ci("f1", y_true, y_pred, subjects, confidence_level=95)
    with pytest.raises(ValueError, match="n_resamples must be at least 1"):
        bootstrap_ci("f1", y_true, y_pred, subjects, n_resamples=0)
    for nobody in (np.nan, None):
        who = np.where(np.arange(len(subjects)) > 1, subjects, nobody)
        with pytest.raises(ValueError, match=r"2 rows have no subject.* is row 0"):
            bootstrap_ci("f1", y_true, y_pred, who)
    with pytest.raises(LabelError, match="y_true and baseline"):
        bootstrap_ci("f1", y_true, y_pred, subjects, baseline=y_pred[1:])
