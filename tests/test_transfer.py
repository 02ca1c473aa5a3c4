"""Weights go from one set of AUs to another, block by block."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.nn import FAUTransformer, transfer_state
from tests.networks import draw_images, small_backbone, stirred

BP4D = (1, 2, 4, 6, 7)
DISFA = (4, 9, 1, 25)


def make_network(aus, seed, **parameters):
    small = {"embedding_dim": 8, "n_heads": 2, "encoder_layers": 1}
    network = FAUTransformer(len(aus), small_backbone(), **small | parameters)
    return stirred(network, seed).eval()


def transferred(source, source_aus, target, target_aus):
    state, report = transfer_state(
        source.state_dict(),
        source_aus,
        target.state_dict(),
        target_aus,
        target.au_axes(),
    )
    target.load_state_dict(state)
    return report


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(BP4D), attention=st.booleans())
def test_permuted_aus_give_permuted_outputs(order, attention):
    parameters = {"positional_encoding": None, "attention": attention}
    source = make_network(BP4D, 0, **parameters)
    target = make_network(order, 1, **parameters)
    report = transferred(source, BP4D, target, order)
    assert report["fresh"] == report["partly"] == ()
    assert report["aus"] == tuple(order)
    columns = [BP4D.index(au) for au in order]
    with torch.no_grad():
        logits, aux = source(draw_images())
        moved, moved_aux = target(draw_images())
    torch.testing.assert_close(moved, logits[:, columns])
    for name, value in aux.items():
        torch.testing.assert_close(moved_aux[name], value[:, columns])


def test_the_plain_cnn_permutes_too():
    plain = {"multi_task": False, "attention": False, "encoder_layers": 0}
    source, target = make_network(BP4D, 0, **plain), make_network(DISFA, 1, **plain)
    fresh = target(draw_images())[0]
    transferred(source, BP4D, target, DISFA)
    ours, theirs = target(draw_images())[0], source(draw_images())[0]
    torch.testing.assert_close(ours[:, [0, 2]], theirs[:, [2, 0]])
    assert not torch.allclose(ours[:, 1], theirs[:, 1])
    assert not torch.allclose(ours, fresh)


def test_branches_of_shared_aus_are_taken_and_others_stay():
    source = make_network(BP4D, 0, attention=False)
    target = make_network(DISFA, 1, attention=False)
    source.backbone.load_state_dict(target.backbone.state_dict())
    fresh = target(draw_images())[1]["embeddings"]
    report = transferred(source, BP4D, target, DISFA)
    ours = target(draw_images())[1]["embeddings"]
    theirs = source(draw_images())[1]["embeddings"]
    torch.testing.assert_close(ours[:, [0, 2]], theirs[:, [2, 0]])
    torch.testing.assert_close(ours[:, [1, 3]], fresh[:, [1, 3]])
    assert report["aus"] == (4, 1)
    assert "branches.embed.weight" in report["partly"]
    assert "head.1.bias" in report["copied"]


def test_relative_biases_need_the_same_number_of_aus():
    name = "encoder.layers.0.attention.relative_bias"
    source = make_network(BP4D, 0)
    assert name in transferred(source, BP4D, make_network(DISFA, 1), DISFA)["fresh"]
    other = (9, 2, 25, 26, 12)
    assert name in transferred(source, BP4D, make_network(other, 1), other)["copied"]


def test_nothing_shared_leaves_all_that_belongs_to_aus():
    source, target = make_network((1, 2, 4), 0), make_network((9, 25), 1)
    before = {k: v.clone() for k, v in target.state_dict().items()}
    report = transferred(source, (1, 2, 4), target, (9, 25))
    assert report["partly"] == ()
    assert set(target.au_axes()) <= set(report["fresh"])
    for name in target.au_axes():
        assert torch.equal(target.state_dict()[name], before[name])


def test_entries_of_other_shapes_or_names_stay():
    target = {"weight": torch.ones(3), "more": torch.ones(2)}
    state, report = transfer_state({"weight": torch.zeros(4)}, (1,), target, (1,), {})
    assert report == {
        "aus": (1,),
        "copied": (),
        "partly": (),
        "fresh": ("weight", "more"),
    }
    assert all(torch.equal(state[name], target[name]) for name in target)
    assert state["more"] is not target["more"]


aus = st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True)


@given(source_aus=aus, target_aus=aus, block=st.integers(1, 3))
def test_two_axes_take_the_pairs_of_shared_aus(source_aus, target_aus, block):
    n, m = len(source_aus), len(target_aus)
    taken = torch.arange(1, n * 2 * n * block + 1.0).reshape(n, 2, n * block)
    entry = torch.zeros(m, 2, m * block)
    state, _ = transfer_state(
        {"w": taken}, source_aus, {"w": entry}, target_aus, {"w": (0, 2)}
    )
    got = state["w"].reshape(m, 2, m, block).numpy()
    given_ = taken.reshape(n, 2, n, block).numpy()
    for i, row in enumerate(target_aus):
        for j, column in enumerate(target_aus):
            expected = np.zeros((2, block))
            if row in source_aus and column in source_aus:
                k, l_ = source_aus.index(row), source_aus.index(column)
                expected = given_[k, :, l_]
            np.testing.assert_array_equal(got[i, :, j], expected)


def test_an_au_listed_twice_is_refused():
    with pytest.raises(ValueError, match=r"once each. Got \(1, 1\)"):
        transfer_state({}, (1, 1), {}, (1,), {})
