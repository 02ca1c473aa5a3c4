"""The multi-label transformer: its equations in float64, sizes, and its losses."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.losses import MultiLabelTransformerLoss, WeightedBCE, WeightedDice
from skfau.nn import MultiLabelTransformer
from tests.networks import draw_images, small_backbone, stirred

N_AUS, DIM, HEADS = 4, 12, 3


def make_network(seed=0, n_aus=N_AUS, **parameters):
    torch.manual_seed(seed)
    small = {"image_size": 24, "embedding_dim": DIM, "n_heads": HEADS}
    network = MultiLabelTransformer(n_aus, small_backbone(), **small | parameters)
    return stirred(network).eval()


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


# -- equations, a head and a query at a time ---------------------------------------


def attend(layer, queries, keys):
    """Equations 1 to 3."""
    attention = layer.attention
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    projected = [
        x @ w.T + b
        for x, w, b in zip(
            (queries, keys, keys), weight.chunk(3), bias.chunk(3), strict=True
        )
    ]
    width = DIM // HEADS
    outputs, weights = torch.zeros_like(queries), []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        q, k, v = (x[:, part] for x in projected)
        shares = torch.stack([softmax(k @ row / math.sqrt(width)) for row in q])
        outputs[:, part] = shares @ v
        weights.append(shares)
    out = attention.out_proj
    return outputs @ out.weight.T + out.bias, torch.stack(weights)


def softmax(values):
    return values.exp() / values.exp().sum()


def norm(layer, tokens):
    centred = tokens - tokens.mean(dim=-1, keepdim=True)
    spread = (centred.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    return centred / spread * layer.norm.weight + layer.norm.bias


def perceptron(block, tokens):
    """Equations 4 and 7."""
    first, last = block.layers[0], block.layers[3]
    hidden = tokens @ first.weight.T + first.bias
    hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    return norm(block, tokens + hidden @ last.weight.T + last.bias)


@pytest.mark.parametrize("form", ["paper", "released"])
def test_a_layer_of_the_decoder_is_equations_1_to_7(form):
    network = make_network(feed_forward_dim=20, decoder=form).double()
    layer = network.decoder.layers[0]
    rng = torch.Generator().manual_seed(1)
    tokens = torch.randn(N_AUS, DIM, generator=rng, dtype=torch.float64)
    patches = torch.randn(9, DIM, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        relations, maps = [], []
        ours = layer(tokens[None], patches[None], relations, maps)[0]
        own, shares = attend(layer.to_tokens, tokens, tokens)
        torch.testing.assert_close(relations[0][0].double(), shares)
        tokens = norm(layer.to_tokens, tokens + own)
        if form == "released":
            tokens = perceptron(layer.between, tokens)
        seen, shares = attend(layer.to_patches, tokens, patches)
        torch.testing.assert_close(maps[0][0].double(), shares)
        tokens = norm(layer.to_patches, tokens + seen)
        torch.testing.assert_close(ours, perceptron(layer.perceptron, tokens))


def test_patches_are_projected_placed_and_encoded():
    network, images = make_network(encoder_layers=0), draw_images(2)
    maps, encoder = network.backbone(images), network.encoder
    tokens = torch.einsum("nchw,dc->nhwd", maps, encoder.embed.weight[:, :, 0, 0])
    tokens = tokens.flatten(1, 2) + encoder.embed.bias
    places = encoder.positions.weight + encoder.positions.bias
    torch.testing.assert_close(encoder(maps), tokens + places)


@pytest.mark.parametrize("head", ["shared", "per_label"])
def test_logits_are_linear_in_an_aus_token(head):
    network = make_network(head=head)
    layer = network.decoder.head
    tokens = torch.randn(2, N_AUS, DIM)
    logits = layer(tokens)[..., 0]
    for au in range(N_AUS):
        if head == "shared":
            weight, bias = layer.weight[0], layer.bias
        else:
            weight, bias = layer.weight[au, :, 0], layer.bias[au, 0]
        torch.testing.assert_close(logits[:, au], tokens[:, au] @ weight + bias)


# -- sizes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decoder", "per_layer"), [("paper", 264_576), ("released", 396_544)]
)
def test_released_sizes(decoder, per_layer):
    network = MultiLabelTransformer(12, decoder=decoder)
    assert network.encoder.grid == (8, 8)
    n_backbone = n_parameters(network.backbone)
    assert round(n_backbone / 1e6, 2) == 21.79
    assert [n_parameters(layer) for layer in network.decoder.layers] == [per_layer] * 2
    expected = 1_263_745 - 2 * (396_544 - per_layer)
    assert n_parameters(network) - n_backbone == expected


def test_a_head_per_label_is_as_many_layers():
    shared, own = (make_network(head=head) for head in ("shared", "per_label"))
    more = n_parameters(own) - n_parameters(shared)
    assert more == (N_AUS - 1) * (DIM + 1)
    assert "decoder.head.weight" in own.au_axes()
    assert shared.au_axes() == {"decoder.tokens.weight": (0,)}


# -- invariants --------------------------------------------------------------------


@settings(deadline=None, max_examples=10)
@given(
    order=st.permutations(range(N_AUS)), decoder=st.sampled_from(["paper", "released"])
)
def test_permuting_the_aus_permutes_the_outputs(order, decoder):
    network, images = make_network(decoder=decoder, head="per_label"), draw_images(2)
    before = network(images), network.attention_maps(images), network.relations(images)
    state = network.state_dict()
    for name in network.au_axes():
        state[name] = state[name][list(order)]
    network.load_state_dict(state)
    torch.testing.assert_close(network(images), before[0][:, order])
    torch.testing.assert_close(
        network.attention_maps(images), before[1][:, :, :, order]
    )
    relations = before[2][:, :, :, order][..., order]
    torch.testing.assert_close(network.relations(images), relations)


def test_only_positions_tell_patches_apart():
    network, maps = make_network(), torch.rand(2, 16, 6, 6)
    order = torch.randperm(36, generator=torch.Generator().manual_seed(0))
    moved = maps.flatten(2)[:, :, order].unflatten(2, (6, 6))
    logits = network.decoder(network.encoder(maps))
    assert not torch.allclose(
        network.decoder(network.encoder(moved)), logits, atol=1e-3
    )
    network.encoder.positions.weight.data.zero_()
    logits = network.decoder(network.encoder(maps))
    torch.testing.assert_close(network.decoder(network.encoder(moved)), logits)


def test_maps_and_relations_are_distributions_and_cost_no_logit():
    network, images = make_network(), draw_images(2)
    maps, relations = network.attention_maps(images), network.relations(images)
    assert maps.shape == (2, 2, HEADS, N_AUS, 6, 6)
    assert relations.shape == (2, 2, HEADS, N_AUS, N_AUS)
    torch.testing.assert_close(maps.sum(dim=(-1, -2)), torch.ones(maps.shape[:4]))
    torch.testing.assert_close(relations.sum(dim=-1), torch.ones(maps.shape[:4]))
    # The first layer's tokens have not seen the image.
    assert torch.equal(relations[0, 0], relations[1, 0])
    assert not torch.equal(relations[0, 1], relations[1, 1])
    patches = network.encoder(network.backbone(images))
    with_weights = network.decoder(patches, relations=[], maps=[])
    torch.testing.assert_close(with_weights, network(images))


# -- losses ------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 1.5]])
def test_dice_is_the_mean_of_single_fractions(weight):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 3)), rng.choice([0, 0.2, 1, np.nan], (5, 3))
    total = []
    for (i, j), y in np.ndenumerate(labels):
        p = 1 / (1 + np.exp(-logits[i, j]))
        if not np.isnan(y):
            dice = 1 - (2 * y * p + 1) / (y * y + p * p + 1)
            total.append(dice * (1 if weight is None else weight[j]))
    loss = WeightedDice(weight)(torch.tensor(logits), {"labels": torch.tensor(labels)})
    np.testing.assert_allclose(loss, np.mean(total), rtol=1e-10)


def test_the_whole_loss_is_the_sum_of_its_parts():
    logits, weight = torch.randn(4, 2), [0.5, 1.5]
    targets = {"labels": torch.tensor([[1.0, 0.0]] * 3 + [[0.0, torch.nan]])}
    loss = MultiLabelTransformerLoss(weight, dice_weight=0.5)
    value = loss(logits, targets)
    torch.testing.assert_close(
        value,
        WeightedBCE(weight)(logits, targets)
        + WeightedDice(weight)(logits, targets) / 2,
    )
    assert value == sum(loss.parts.values()) and set(loss.parts) == {"wce", "dice"}
    plain = MultiLabelTransformerLoss()
    assert plain(logits, targets) == WeightedBCE()(logits, targets)
    assert set(plain.parts) == {"wce"}


# -- errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"decoder": "code"}, "decoder must be one of"),
        ({"head": "own"}, "head must be one of"),
        ({"n_heads": 5}, r"multiple of n_heads\. Got embedding_dim=12, n_heads=5"),
        ({"decoder_layers": 0}, "never see the image"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_network(**parameters)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"6x6 patches\. These images give 8x8"):
        make_network()(draw_images(1, 32))
