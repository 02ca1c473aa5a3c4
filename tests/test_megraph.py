"""MEGraph and its losses against loops in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.losses import MEGraphLoss, WeightedAsymmetric
from skfau.nn import MEGraph
from tests.networks import draw_images, small_backbone, stirred

N_AUS, DIM = 4, 6
NAN = float("nan")


def make_network(n_aus=N_AUS, **parameters):
    torch.manual_seed(0)
    small = {"embedding_dim": DIM, "n_neighbors": 2}
    network = MEGraph(n_aus, small_backbone(8), **small | parameters)
    return stirred(network).double().eval()


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


class Weights:
    """The network's state in NumPy, and its layers written out."""

    def __init__(self, module):
        self.state = {k: v.numpy() for k, v in module.state_dict().items()}

    def linear(self, name, rows):
        return rows @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, name, rows):
        mean, var = (self.state[f"{name}.running_{of}"] for of in ("mean", "var"))
        scaled = (rows - mean) / np.sqrt(var + 1e-5)
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attend(self, name, queries, others):
        """Attend to others, a position at a time."""
        keys, values = (self.linear(f"{name}.{of}", others) for of in ("key", "value"))
        attended = []
        for query in self.linear(f"{name}.query", queries):
            share = np.exp(keys @ query / np.sqrt(len(query)))
            attended.append(share / share.sum() @ values)
        return np.array(attended)


def relu(values):
    return np.maximum(values, 0)


def run(module, *arrays):
    """Return what a module makes of one face, given in NumPy."""
    with torch.no_grad():
        made = module(*(torch.from_numpy(array)[None] for array in arrays))
    return [m[0].numpy() for m in made] if isinstance(made, tuple) else made[0].numpy()


# -- the first stage ---------------------------------------------------------------


def nearest_by_sorting(nodes, n_neighbors):
    joined = np.zeros((len(nodes), len(nodes)))
    for i, node in enumerate(nodes):
        others = [j for j in range(len(nodes)) if j != i]
        others.sort(key=lambda j: -(node @ nodes[j]))
        joined[i, others[:n_neighbors]] = 1
    return joined


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n_neighbors=st.integers(1, 5))
def test_neighbours_are_the_other_aus_of_largest_product(seed, n_neighbors):
    graph = make_network(edge_features=False, n_neighbors=n_neighbors).neighbors
    nodes = draw(N_AUS, DIM, seed=seed)
    joined = graph.adjacency(torch.from_numpy(nodes)[None])[0].numpy()
    np.testing.assert_array_equal(joined > 0, nearest_by_sorting(nodes, n_neighbors))
    np.testing.assert_allclose(joined.sum(axis=1), 1)


def test_the_first_graph_averages_neighbours_and_adds_the_node():
    graph = make_network(edge_features=False).neighbors
    nodes, layer = draw(N_AUS, DIM), Weights(graph)
    joined, expected = nearest_by_sorting(nodes, 2), []
    for i, node in enumerate(nodes):
        around = [layer.linear("others", n) for n in nodes[joined[i] == 1]]
        message = layer.linear("own", node) + sum(around) / 2
        expected.append(relu(node + layer.norm("norm", message)))
    np.testing.assert_allclose(run(graph, nodes), expected)


def test_probabilities_are_cosines_with_the_vectors():
    layer = make_network().similarity
    # Some entries are negative, none of the rows is.
    nodes, vectors = draw(N_AUS, DIM) + 0.5, draw(N_AUS, DIM, seed=1) + 0.5
    layer.vectors.data, expected = torch.from_numpy(vectors), []
    for node, vector in zip(relu(nodes), relu(vectors), strict=True):
        length = np.sqrt((node**2).sum()) * np.sqrt((vector**2).sum())
        expected.append(node @ vector / length)
    probabilities = 1 / (1 + np.exp(-run(layer, nodes)))
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_a_node_at_right_angles_to_its_vector_has_a_finite_logit():
    layer = make_network().similarity
    layer.vectors.data = torch.eye(N_AUS, DIM, dtype=torch.float64)
    nodes = torch.eye(N_AUS, DIM, dtype=torch.float64).flip(0)[None].requires_grad_()
    logits = layer(nodes)
    logits.sum().backward()
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 1e-4))
    assert nodes.grad.isfinite().all()


# -- the second stage --------------------------------------------------------------


def test_edges_are_cross_attention_with_the_face_then_with_each_other():
    edges = make_network().edges
    per_au, face = draw(N_AUS, 5, DIM), draw(5, DIM, seed=1)
    layer, expected = Weights(edges), np.zeros((N_AUS, N_AUS, DIM))
    places = [layer.attend("of_face", maps, face) for maps in per_au]
    for i, j in np.ndindex(N_AUS, N_AUS):
        pair = layer.attend("of_pair", places[j], places[i]).mean(axis=0)
        expected[i, j] = layer.norm("norm", layer.linear("project", pair))
    np.testing.assert_allclose(run(edges, per_au, face), expected)


def test_the_gated_graph_changes_edges_then_nodes():
    graph = make_network().layers[0]
    nodes, edges = draw(N_AUS, DIM), draw(N_AUS, N_AUS, DIM, seed=1)
    layer, new_edges, new_nodes = Weights(graph), edges.copy(), []
    for i, j in np.ndindex(N_AUS, N_AUS):
        message = layer.linear("edge", edges[i, j])
        message = message + layer.linear("edge_from", nodes[i])
        message = message + layer.linear("edge_to", nodes[j])
        new_edges[i, j] += relu(layer.norm("edge_norm", message))
    for i, node in enumerate(nodes):
        gates = 1 / (1 + np.exp(-new_edges[i]))
        gates = gates / (gates.sum(axis=0) + 1e-6)
        around = sum(gates[j] * layer.linear("others", nodes[j]) for j in range(N_AUS))
        message = layer.norm("norm", layer.linear("own", node) + around)
        new_nodes.append(relu(node + message))
    made = run(graph, nodes, edges)
    np.testing.assert_allclose(made[0], new_nodes)
    np.testing.assert_allclose(made[1], new_edges)


@pytest.mark.parametrize("edge_features", [True, False])
def test_the_network_is_the_chain_of_its_parts(edge_features):
    network, images = make_network(edge_features=edge_features), draw_images().double()
    with torch.no_grad():
        logits, aux = network(images)
        maps = network.embed(network.backbone(images))
        face = maps.flatten(2).transpose(1, 2)
        conv, norm, _ = network.features
        per_au = []
        for au in range(N_AUS):
            rows = slice(au * DIM, (au + 1) * DIM)
            mapped = face @ conv.weight[rows, :, 0, 0].T - norm.running_mean[rows]
            mapped = mapped / (norm.running_var[rows] + norm.eps).sqrt()
            per_au.append((mapped * norm.weight[rows] + norm.bias[rows]).relu())
        per_au = torch.stack(per_au, dim=1)
        nodes = per_au.mean(dim=2)
        if edge_features:
            edges = network.edges(per_au, face)
            for layer in network.layers:
                nodes, edges = layer(nodes, edges)
            torch.testing.assert_close(aux["edge_logits"], network.patterns(edges))
        else:
            nodes = network.neighbors(nodes)
        torch.testing.assert_close(logits, network.similarity(nodes))


@pytest.mark.parametrize("edge_features", [True, False])
def test_permuting_the_aus_permutes_the_logits(edge_features):
    network = make_network(edge_features=edge_features)
    moved, order = make_network(edge_features=edge_features), [2, 0, 3, 1]
    state = network.state_dict()
    for name in network.au_axes():
        blocks = state[name].unflatten(0, (N_AUS, -1))
        state[name] = blocks[order].flatten(0, 1)
    moved.load_state_dict(state)
    images = draw_images().double()
    torch.testing.assert_close(moved(images)[0], network(images)[0][:, order])


def test_the_sizes_are_those_that_papers_report():
    def millions(**parameters):
        network = MEGraph(12, **parameters)
        return sum(p.numel() for p in network.parameters()) / 1e6

    # MEGraph in section F of AUNet's paper.
    assert millions() == pytest.approx(31.67, abs=0.01)
    assert millions(edge_features=False) == pytest.approx(28.25, abs=0.01)


@pytest.mark.parametrize("edge_features", [True, False])
def test_one_au_of_one_face_can_be_trained(edge_features):
    network = make_network(1, edge_features=edge_features).train()
    assert network(draw_images(1).double())[0].isfinite().all()


def test_a_graph_without_layers_is_refused():
    with pytest.raises(ValueError, match=r"graph_layers must be at least 1.*Got 0"):
        make_network(graph_layers=0)


# -- losses ------------------------------------------------------------------------


def draw_labels(n=5, seed=0):
    labels = (draw(n, N_AUS, seed=seed) > 0).astype(float)
    labels[draw(n, N_AUS, seed=seed + 1) > 0.5] = NAN
    return labels


def test_the_asymmetric_loss_weighs_negatives_by_their_probability():
    logits, labels, weight = draw(5, N_AUS), draw_labels(), [0.5, 1.0, 2.0, 3.0]
    each = []
    for n, au in np.argwhere(np.isfinite(labels)):
        y, p = labels[n, au], 1 / (1 + np.exp(-logits[n, au]))
        each.append(-weight[au] * (y * np.log(p) + (1 - y) * p * np.log(1 - p)))
    loss = WeightedAsymmetric(weight).double()
    targets = {"labels": torch.from_numpy(labels)}
    ours = loss(torch.from_numpy(logits), targets)
    assert ours.item() == pytest.approx(np.mean(each), rel=1e-6)


@pytest.mark.parametrize("soft", [False, True])
def test_the_edge_loss_is_the_cross_entropy_of_known_pairs(soft):
    edge_logits, labels = draw(5, N_AUS, N_AUS, 4), draw_labels()
    labels = 0.1 + 0.7 * labels if soft else labels
    weight, sums = np.linspace(0.5, 2, 5), [0.0, 0.0]
    for n, i, j in np.ndindex(5, N_AUS, N_AUS):
        a, b, row = labels[n, i], labels[n, j], edge_logits[n, i, j]
        if i != j and np.isfinite(a * b):
            log_p = np.log(np.exp(row) / np.exp(row).sum())
            shares = [(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b]
            sums[0] -= weight[n] * (shares @ log_p)
            sums[1] += weight[n]
    loss = MEGraphLoss(edge_weight=0.3)
    outputs = torch.zeros(5, N_AUS), {"edge_logits": torch.from_numpy(edge_logits)}
    targets = {"labels": labels, "weight": weight}
    total = loss(outputs, {k: torch.from_numpy(v) for k, v in targets.items()})
    assert loss.parts["edge"].item() == pytest.approx(0.3 * sums[0] / sums[1])
    assert total == pytest.approx(sum(loss.parts.values()))


def test_an_edge_loss_without_edges_is_refused():
    outputs, targets = torch.zeros(1, 2), {"labels": torch.ones(1, 2)}
    assert MEGraphLoss(edge_weight=0)(outputs, targets) > 0
    with pytest.raises(ValueError, match=r"needs 'edge_logits'.*Pass edge_weight=0"):
        MEGraphLoss()(outputs, targets)
