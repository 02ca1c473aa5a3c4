"""`MEGraphClassifier`: its two stages, its schedule, and what it starts from."""

import numpy as np
import pytest

from skfau import MEGraphClassifier
from tests.small import make_small


def same_weights(one, other):
    one, other = one.network_state(), other.network_state()
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_a_fit_is_the_first_stage_and_then_one_that_starts_from_it(made):
    how = {"class_weight": None, "weight_decay": 0.01}
    both = make_small(MEGraphClassifier, node_epochs=2, max_epochs=1, **how)
    both.fit(made.data, made.target)
    first = make_small(MEGraphClassifier, edge_features=False, max_epochs=2, **how)
    first.set_params(random_state=both.net_.seed).fit(made.data, made.target)
    assert both.node_history_ == first.history_
    second = make_small(MEGraphClassifier, init_from=first, max_epochs=1, **how)
    second.fit(made.data, made.target)
    assert same_weights(second, both)
    assert second.history_ == both.history_


def test_the_first_stage_is_left_out_where_there_is_none(made):
    for setting in ({"node_epochs": 0}, {"edge_features": False}):
        clf = make_small(MEGraphClassifier, max_epochs=1, **setting)
        assert not hasattr(clf.fit(made.data, made.target), "node_history_")
    clf = make_small(MEGraphClassifier, max_epochs=1).fit(made.data, made.target)
    assert len(clf.node_history_) == 1
    again = make_small(MEGraphClassifier, init_from=clf, max_epochs=1)
    assert not hasattr(again.fit(made.data, made.target), "node_history_")
    clf.set_params(warm_start=True, random_state=1).fit(made.data, made.target)
    assert len(clf.history_) == 1


def test_the_first_stage_has_a_checkpoint_of_its_own(made, tmp_path):
    clf = make_small(MEGraphClassifier, checkpoint_dir=tmp_path, max_epochs=1)
    clf.fit(made.data, made.target)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(kept) == 2
    longer = make_small(MEGraphClassifier, checkpoint_dir=tmp_path, max_epochs=2)
    longer.fit(made.data, made.target)
    assert all(path.read_bytes() == kept[path] for path in kept)
    afresh = make_small(MEGraphClassifier, max_epochs=2).fit(made.data, made.target)
    assert same_weights(longer, afresh)


def rates_of(clf):
    return [group["lr"] for group in clf.net_.optimizer_.param_groups]


def test_the_learning_rate_falls_as_a_cosine_over_all_steps(made):
    clf = make_small(
        MEGraphClassifier, schedule="cosine", max_epochs=2, batch_size=24, lr=0.01
    )
    clf.fit(made.data, made.target)
    # Four steps an epoch: the last of eight has done seven eighths.
    last = 0.01 * (1 + np.cos(np.pi * 7 / 8)) / 2
    assert rates_of(clf) == pytest.approx([last] * len(rates_of(clf)))
    clf.partial_fit(made.data, made.target)
    anew = 0.01 * (1 + np.cos(np.pi * 3 / 8)) / 2
    assert rates_of(clf) == pytest.approx([anew] * len(rates_of(clf)))


def test_history_has_the_parts_of_the_loss(made):
    clf = make_small(MEGraphClassifier, max_epochs=1).fit(made.data, made.target)
    row = clf.history_[-1]
    assert row["train_loss"] == pytest.approx(row["label"] + row["edge"])


def test_aus_without_a_column_name_reach_the_first_stage(made):
    clf = make_small(MEGraphClassifier, aus=None, max_epochs=1)
    assert clf.fit(made.data, made.target[:, :3]).aus_ == (0, 1, 2)
