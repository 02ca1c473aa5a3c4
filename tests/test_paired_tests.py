"""Paired tests: against SciPy, against loops, and symmetric in the systems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skfau.exceptions import LabelError
from skfau.metrics import (
    au_f1_score,
    bootstrap_ci,
    mcnemar_test,
    paired_bootstrap_test,
    paired_t_test,
)


def systems(seed=0, n_subjects=6, n_frames=20, n_aus=3):
    rng = np.random.default_rng(seed)
    n = n_subjects * n_frames
    y = (rng.random((n, n_aus)) < 0.4).astype(float)
    first = np.where(rng.random(y.shape) < 0.2, 1 - y, y)
    second = np.where(rng.random(y.shape) < 0.3, 1 - y, y)
    y[rng.random(y.shape) < 0.1] = np.nan
    first[rng.integers(0, n, 3)] = np.nan
    return y, first, second, rng.permutation(np.arange(n) % n_subjects)


def test_bootstrap_is_bootstrap_ci_on_common_entries_with_a_p_value():
    y, first, second, subjects = systems()
    test = paired_bootstrap_test("f1", y, first, second, subjects, random_state=1)
    common = np.where(np.isnan(first), np.nan, y)
    interval = bootstrap_ci(
        "f1", common, first, subjects, baseline=second, random_state=1
    )
    np.testing.assert_allclose(test[:3], interval, atol=1e-12)
    difference = au_f1_score(common, first) - au_f1_score(common, second)
    assert test.difference == pytest.approx(difference)


def test_bootstrap_p_value_counts_resamples_on_the_rarer_side():
    y, first, second, subjects = systems(1)

    def advantage_of(predictions):
        return [
            au_f1_score(y[rows], predictions[rows], average=None)
            for rows in resampled_rows()
        ]

    def resampled_rows():
        chances = np.full(6, 1 / 6)
        times = np.random.default_rng(5).multinomial(6, chances, size=50)
        for draw in times:
            yield np.concatenate(
                [np.tile(np.flatnonzero(subjects == s), k) for s, k in enumerate(draw)]
            )

    y[np.isnan(first)] = np.nan
    values = np.subtract(advantage_of(first), advantage_of(second))
    rarer = np.minimum((values <= 0).sum(axis=0), (values >= 0).sum(axis=0))
    test = paired_bootstrap_test(
        "f1", y, first, second, subjects, average=None, n_resamples=50, random_state=5
    )
    np.testing.assert_allclose(test.p_value, np.minimum(2 * (1 + rarer) / 51, 1))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.sampled_from(["macro", "pooled", None]))
def test_swapping_the_systems_turns_the_bootstrap_round(seed, average):
    y, first, second, subjects = systems(seed)
    options = {"average": average, "n_resamples": 30, "random_state": seed}
    one = paired_bootstrap_test("f1", y, first, second, subjects, **options)
    other = paired_bootstrap_test("f1", y, second, first, subjects, **options)
    np.testing.assert_allclose(one.difference, -np.asarray(other.difference))
    np.testing.assert_allclose(one.low, -np.asarray(other.high), atol=1e-12)
    np.testing.assert_array_equal(one.p_value, other.p_value)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999))
def test_identical_systems_never_differ(seed):
    y, first, _, subjects = systems(seed)
    test = paired_bootstrap_test("f1", y, first, first, subjects, n_resamples=20)
    assert test == (0, 0, 0, 1)
    assert mcnemar_test(y, first, first).p_value == 1
    assert paired_t_test(first, first)[:3] == (0, 1, 0)
    assert paired_t_test(first, first, y_true=y, subjects=subjects).p_value == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.permutations(range(3)))
def test_swapping_and_reordering_leave_the_other_tests_as_they_are(seed, order):
    y, first, second, subjects = systems(seed)
    one = mcnemar_test(y, first, second, average=None)
    other = mcnemar_test(y[:, order], second[:, order], first[:, order], average=None)
    np.testing.assert_array_equal(one.gained[order], other.lost)
    np.testing.assert_array_equal(one.p_value[order], other.p_value)
    forth = paired_t_test(first, second, subjects=subjects)
    back = paired_t_test(second[:, order], first[:, order], subjects=subjects)
    assert forth.statistic == pytest.approx(-back.statistic)
    assert forth.p_value == pytest.approx(back.p_value)


def test_t_test_over_entries_is_scipys():
    y, first, second, _ = systems()
    expected = stats.ttest_rel(first, second, axis=None, nan_policy="omit")
    test = paired_t_test(first, second)
    assert test[:2] == pytest.approx((expected.statistic, expected.pvalue))
    assert test.n == np.sum(~np.isnan(first))
    errors = np.abs(y - second), np.abs(y - first)
    expected = stats.ttest_rel(*errors, axis=0, nan_policy="omit")
    test = paired_t_test(first, second, y_true=y, average=None)
    np.testing.assert_allclose(test.statistic, expected.statistic)
    np.testing.assert_allclose(test.p_value, expected.pvalue)


def test_t_test_over_subjects_takes_one_mean_of_each():
    _, first, second, subjects = systems()
    means = [np.nanmean((first - second)[subjects == s]) for s in range(6)]
    expected = stats.ttest_1samp(means, 0)
    test = paired_t_test(first, second, subjects=subjects)
    assert test[:2] == pytest.approx((expected.statistic, expected.pvalue))
    assert test.n == 6


def test_t_test_over_all_entries_gives_the_published_p_values():
    """Table XII of Yang et al.: 12 AUs of BP4D's 146,538 frames, not the frames."""
    noise = np.random.default_rng(0).normal(size=(146_538, 12))
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    for t, p_value in ((26.78, 6.33e-158), (26.94, 7.62e-160), (26.40, 1.51e-153)):
        test = paired_t_test(noise, np.full_like(noise, t / np.sqrt(noise.size)))
        assert test.statistic == pytest.approx(-t)
        # t is printed to 0.005, which moves so small a p-value by 14 %.
        assert abs(np.log(test.p_value / p_value)) < 0.14


def test_constant_difference_is_certain_and_one_pair_is_nothing():
    y = np.zeros((4, 1))
    assert paired_t_test(y + 1, y)[:2] == (np.inf, 0)
    assert np.isnan(paired_t_test(y[:1] + 1, y[:1]).p_value)


@pytest.mark.parametrize("pair", [(0, 0), (5, 0), (3, 7), (400, 300)])
def test_mcnemar_is_the_exact_binomial_test(pair):
    gained, lost = pair
    y = np.ones((gained + lost + 4, 1))
    first, second = y.copy(), y.copy()
    second[:gained] = 0
    first[gained : gained + lost] = 0
    test = mcnemar_test(y, first, second)
    expected = stats.binomtest(gained, sum(pair)).pvalue if sum(pair) else 1
    assert test[:2] == pair
    assert test.p_value == pytest.approx(expected)


def test_mcnemar_leaves_unknown_entries_out():
    y = np.array([[1, np.nan], [1, 1], [0, 1]])
    first = np.array([[1, 1], [np.nan, 1], [0, 1]])
    test = mcnemar_test(y, first, np.array([[0, 0], [0, 0], [1, np.nan]]), average=None)
    np.testing.assert_array_equal(test.gained, [2, 1])
    np.testing.assert_array_equal(test.lost, [0, 0])


def test_what_cannot_be_compared_is_refused():
    y, first, second, subjects = systems()
    with pytest.raises(LabelError, match="baseline must both have shape"):
        paired_bootstrap_test("f1", y, first, second[1:], subjects)
    with pytest.raises(ValueError, match="needs at least 2"):
        paired_bootstrap_test("f1", y, first, second, np.zeros(len(y)))
    with pytest.raises(LabelError, match="threshold probabilities first"):
        mcnemar_test(y, first * 0.3, second)
    with pytest.raises(ValueError, match=r"one of \('pooled', None\), got 'macro'"):
        paired_t_test(first, second, average="macro")
    with pytest.raises(ValueError, match="one subject"):
        paired_t_test(first, second, subjects=subjects[1:])
