"""Label graphs against loops, and the two networks that are built on them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skfau.nn import MLGCN, MSCAM, label_graph
from tests.networks import draw_images, small_backbone, stirred

labels = arrays(
    np.float32, (9, 4), elements=st.sampled_from([0.0, 1.0, np.nan]), fill=st.nothing()
)


def pairs(y):
    """Yield two different AUs and their labels where both are known."""
    for i, j in np.ndindex(y.shape[1], y.shape[1]):
        if i != j:
            both = np.isfinite(y[:, i]) & np.isfinite(y[:, j])
            yield i, j, y[both, i].astype(float), y[both, j].astype(float)


def weighed(joined):
    """Re-weight and normalise entry by entry, as ML-GCN's paper and code do."""
    n = len(joined)
    a = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        column = sum(abs(joined[k, j]) for k in range(n))
        a[i, j] = 1 if i == j else 0.25 * joined[i, j] / (column + 1e-6)
    d = np.abs(a).sum(axis=1)
    return np.array(
        [[a[j, i] / np.sqrt(d[i] * d[j]) for j in range(n)] for i in range(n)]
    )


@settings(deadline=None, max_examples=25)
@given(y=labels)
def test_correlation_graph_is_that_of_a_loop(y):
    joined = np.zeros((4, 4))
    for i, j, a, b in pairs(y):
        if len(a) and a.std() and b.std():
            # NumPy rounds 1/5 to either side of the threshold.
            rho = np.corrcoef(a, b)[0, 1].round(9)
            joined[i, j] = 1 if rho > 0.2 else -1 if rho < -0.03 else 0
    np.testing.assert_allclose(label_graph(y), weighed(joined), atol=1e-6)


def test_a_correlation_on_the_threshold_does_not_join():
    y = np.array([[1, 0]] * 4 + [[0, 0], [1, 1]])
    assert np.corrcoef(y.T)[0, 1].round(9) == 0.2
    assert torch.equal(label_graph(y), torch.eye(2))


@settings(deadline=None, max_examples=25)
@given(y=labels)
def test_conditional_graph_is_that_of_a_loop(y):
    joined = np.zeros((4, 4))
    for i, j, a, b in pairs(y):
        joined[i, j] = bool(a.any()) and b[a == 1].mean() >= 0.4
    np.testing.assert_allclose(
        label_graph(y, "conditional"), weighed(joined), atol=1e-6
    )


@settings(deadline=None, max_examples=25)
@given(y=labels, order=st.permutations(range(4)))
def test_graph_follows_the_order_of_the_aus(y, order):
    for kind in ("correlation", "conditional"):
        graph = label_graph(y, kind)
        assert torch.equal(label_graph(y[:, order], kind), graph[order][:, order])


def test_thresholds_decide_who_is_joined():
    y = [[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]]
    alone = label_graph(y, positive_threshold=1, negative_threshold=-1)
    assert torch.equal(alone, torch.eye(3))
    assert torch.equal(label_graph(y, "conditional", conditional_threshold=2), alone)


def make_network(cls, **parameters):
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)
    text, graph = torch.randn(4, 6, generator=rng), torch.rand(4, 4, generator=rng)
    network = cls(4, text, graph, small_backbone(), hidden_dim=8, **parameters)
    return stirred(network).eval()


def test_mlgcn_is_two_graph_convolutions_and_a_product():
    network, images = make_network(MLGCN), draw_images()
    graph, state = network.encoder.graph, network.state_dict()
    hidden = graph @ network.text @ state["encoder.first.weight"].T
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    classifiers = graph @ hidden @ state["encoder.second.weight"].T
    pooled = network.backbone(images).flatten(2).max(dim=-1).values
    torch.testing.assert_close(network(images), pooled @ classifiers.T)


def test_mscam_attends_with_the_embedded_graph():
    network, images = make_network(MSCAM), draw_images()
    guides = network.attention.project(network.encoder(network.text))
    maps = network.backbone(images)
    cosines = torch.einsum(
        "nchw,ac->nahw", F.normalize(maps, dim=1), F.normalize(guides, dim=-1)
    )
    attention = cosines.relu() + 0.01
    attention = attention / attention.sum(dim=(2, 3), keepdim=True)
    features = torch.einsum("nahw,nchw->nac", attention, maps)
    logits, aux = network(images)
    torch.testing.assert_close(aux["attention_maps"], attention)
    expected = network.attention.classifier(features).squeeze(-1)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("cls", [MLGCN, MSCAM])
def test_permuting_the_aus_permutes_the_logits(cls):
    network, images, order = make_network(cls), draw_images(), [2, 0, 3, 1]
    moved = make_network(cls)
    state = network.state_dict()
    graph = state["encoder.graph"][order][:, order]
    moved.load_state_dict(
        state | {"text": state["text"][order], "encoder.graph": graph}
    )
    ours, theirs = (net(images) for net in (moved, network))
    if cls is MSCAM:
        ours, theirs = ours[0], theirs[0]
    torch.testing.assert_close(ours, theirs[:, order])


@pytest.mark.parametrize("cls", [MLGCN, MSCAM])
def test_another_graph_is_seen_in_the_next_prediction(cls):
    network, images = make_network(cls), draw_images()
    with torch.inference_mode():
        before = network.guides()
        assert network.guides() is before
    network.encoder.graph.copy_(torch.eye(4))
    with torch.inference_mode():
        assert not torch.equal(network.guides(), before)
        network(images)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="kind must be 'correlation' or 'conditional'"):
        label_graph([[1, 0]], "cosine")
    with pytest.raises(ValueError, match=r"labels must have shape .* Got \(3,\)"):
        label_graph([1, 0, 1])
    with pytest.raises(ValueError, match=r"shape \(2, 2\)\. Got \(3, 3\)"):
        MLGCN(2, graph=torch.eye(3), backbone=small_backbone())
    with pytest.raises(ValueError, match=r"shape \(2, d\)\. Got \(2, 3, 4\)"):
        MSCAM(2, torch.rand(2, 3, 4), backbone=small_backbone())
