"""Dependencies of AUs: against loops, scikit-learn, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import matthews_corrcoef, precision_score, recall_score

from skfau.exceptions import LabelError
from skfau.metrics import au_adjacency, au_adjacency_distance, au_dependency_f1_score


def predictions(n=200, n_aus=4, seed=0, unknown=0.1):
    rng = np.random.default_rng(seed)
    smile = rng.random((n, 1)) < 0.4
    y_true = (rng.random((n, n_aus)) < np.where(smile, 0.7, 0.2)).astype(float)
    y_pred = np.where(rng.random(y_true.shape) < 0.25, 1 - y_true, y_true)
    y_true[rng.random(y_true.shape) < unknown] = np.nan
    y_pred[rng.random(n) < unknown] = np.nan
    return y_true, y_pred


def test_adjacency_is_the_correlation_coefficient():
    y, _ = predictions(unknown=0)
    np.testing.assert_allclose(au_adjacency(y), np.corrcoef(y.T), atol=1e-12)


def test_adjacency_takes_each_pair_on_its_known_rows():
    y, _ = predictions()
    for i in range(4):
        for j in range(4):
            known = ~np.isnan(y[:, [i, j]]).any(axis=1)
            expected = matthews_corrcoef(y[known, i], y[known, j])
            assert au_adjacency(y)[i, j] == pytest.approx(expected, abs=1e-12)


def test_distance_is_the_norm_over_entries_known_in_both():
    y_true, y_pred = predictions()
    unknown = np.isnan(y_true) | np.isnan(y_pred)
    y_true[unknown] = y_pred[unknown] = np.nan
    total = 0
    for i in range(4):
        for j in range(4):
            rows = ~unknown[:, [i, j]].any(axis=1)
            wanted = np.corrcoef(y_true[rows, i], y_true[rows, j])[0, 1]
            found = np.corrcoef(y_pred[rows, i], y_pred[rows, j])[0, 1]
            total += (wanted - found) ** 2
    distance = au_adjacency_distance(y_true, y_pred)
    assert distance == pytest.approx(np.sqrt(total), abs=1e-12)


def test_never_predicting_an_au_is_not_rewarded():
    y = np.tile([[1.0, 1.0], [0.0, 0.0]], (5, 1))
    never = y * [1, 0]
    assert au_adjacency_distance(y, never) == pytest.approx(np.sqrt(2))
    constant = np.ones_like(y)  # labels say nothing about the pair
    assert au_adjacency_distance(constant, y) == 0


def test_dependency_f1_is_conditional_precision_and_recall():
    y_true, y_pred = predictions()
    precision, recall, pairs = (
        [],
        [],
        au_dependency_f1_score(*predictions(), average=None),
    )
    for i in range(4):
        for j in set(range(4)) - {i}:
            rows = (y_true[:, j] == 1) & ~np.isnan(y_true[:, i] + y_pred[:, i])
            truth, called = y_true[rows, i], y_pred[rows, i]
            p, r = precision_score(truth, called), recall_score(truth, called)
            assert pairs[i, j] == pytest.approx(2 * p * r / (p + r), abs=1e-12)
            precision.append(p)
            recall.append(r)
    p, r = np.mean(precision), np.mean(recall)
    score = au_dependency_f1_score(y_true, y_pred)
    assert score == pytest.approx(2 * p * r / (p + r), abs=1e-12)
    assert np.isnan(np.diag(pairs)).all()


def test_dependency_f1_without_predictions_is_zero_and_without_pairs_undefined():
    y = np.ones((3, 2))
    assert au_dependency_f1_score(y, np.zeros_like(y)) == 0
    with pytest.warns(UndefinedMetricWarning, match="no two AUs occur together"):
        assert np.isnan(au_dependency_f1_score([[1, 0], [0, 1]], [[1, 1], [1, 1]]))


LABELS = hnp.arrays(
    float, st.tuples(st.integers(1, 12), st.just(3)), elements=st.sampled_from([0, 1])
)


@given(LABELS, st.permutations(range(3)), st.integers(0, 99))
def test_order_of_aus_does_not_matter_and_perfection_is_best(y, order, seed):
    rng = np.random.default_rng(seed)
    y_pred = np.where(rng.random(y.shape) < 0.3, 1 - y, y)
    moved = np.ix_(order, order)
    np.testing.assert_array_equal(au_adjacency(y[:, order]), au_adjacency(y)[moved])
    pairs = au_dependency_f1_score(y, y_pred, average=None)
    reordered = au_dependency_f1_score(y[:, order], y_pred[:, order], average=None)
    np.testing.assert_array_equal(reordered, pairs[moved])
    distance = au_adjacency_distance(y, y_pred)
    assert au_adjacency_distance(y[:, order], y_pred[:, order]) == pytest.approx(
        distance, abs=1e-12
    )
    assert distance >= au_adjacency_distance(y, y) == 0
    best = au_dependency_f1_score(y, y, average=None)
    assert (best[~np.isnan(best)] == 1).all()


def test_what_cannot_be_compared_is_refused():
    y = np.ones((3, 2))
    with pytest.raises(LabelError, match="must both have shape"):
        au_adjacency_distance(y, y[:, :1])
    with pytest.raises(LabelError, match="threshold probabilities first"):
        au_dependency_f1_score(y, y * 0.7)
    with pytest.raises(ValueError, match=r"average must be one of \('macro', None\)"):
        au_dependency_f1_score(y, y, average="micro")
