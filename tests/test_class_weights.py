"""Class weights: published values, scale, order, AUs that never occur."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skfau import losses

NAN = float("nan")
# Relative rates behind published BP4D weights, and rates of DISFA's label files in %.
BP4D = [0.356, 0.287, 0.341, 0.776, 0.924, 1, 0.946, 0.784, 0.285, 0.578, 0.278, 0.255]
DISFA = [4.97, 4.31, 15.24, 7.89, 4.18, 12.88, 27.71, 8.82]


@pytest.mark.parametrize(
    ("counts", "worked", "mean"),
    [
        (
            BP4D,
            [1.09, 1.16, 1.10, 0.86, 0.82, 0.80, 0.81, 0.86, 1.17, 0.94, 1.17, 1.21],
            12.3,
        ),
        (DISFA, [1.16, 1.22, 0.83, 1.01, 1.23, 0.88, 0.70, 0.98], 8.3),
    ],
)
def test_soft_balance_weights_of_published_data(counts, worked, mean):
    np.testing.assert_allclose(losses.soft_balance_weights(counts), worked, atol=0.006)
    raw = losses.soft_balance_weights(counts, normalize=False)
    assert float(raw.mean()) == pytest.approx(mean, abs=0.06)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12), st.floats(0, 1))
def test_weights_have_mean_one_and_favour_rare_aus(counts, power):
    for weights in (
        losses.soft_balance_weights(counts, power),
        losses.inverse_rate_weights(np.divide(counts, 10**6)),
    ):
        assert float(weights.mean()) == pytest.approx(1, rel=1e-4)
        order = np.argsort(counts, kind="stable")
        assert (np.diff(weights.numpy()[order]) <= 1e-5).all()


@pytest.mark.parametrize("weigh", ["soft_balance_weights", "inverse_rate_weights"])
def test_an_au_never_seen_weighs_as_much_as_the_rarest(weigh):
    weights = getattr(losses, weigh)([0.0, 0.2, 0.4, NAN])
    assert weights[0] == weights[1] == weights[3] > weights[2]
    assert getattr(losses, weigh)([0.0, 0.0]).tolist() == [1, 1]
    with pytest.raises(ValueError, match="at least 0 per AU"):
        getattr(losses, weigh)([-1.0])
