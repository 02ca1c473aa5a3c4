"""The network of Jacob and Stenger: parts against plain versions, ablations, errors."""

import copy
import math

import pytest
import torch
from torch import nn

from skfau.losses import FAUTransformerLoss
from skfau.nn import FAUTransformer
from tests.networks import draw_images, small_backbone, stirred

N_AUS = 4


def make_network(seed=0, **parameters):
    torch.manual_seed(seed)
    small = {"embedding_dim": 16, "n_heads": 4, "encoder_layers": 2}
    return FAUTransformer(N_AUS, small_backbone(), **small | parameters)


def make_branches(n_aus, channels, widths, embedding_dim):
    """Return the AUs' branches of a network with nothing else behind its backbone."""
    network = FAUTransformer(
        n_aus,
        small_backbone(channels),
        branch_channels=widths,
        embedding_dim=embedding_dim,
        attention=False,
        encoder_layers=0,
    )
    return network.branches


def make_encoder(n_aus, encoding, dim=12, depth=2, n_heads=3):
    network = FAUTransformer(
        n_aus,
        small_backbone(),
        embedding_dim=dim,
        encoder_layers=depth,
        n_heads=n_heads,
        positional_encoding=encoding,
    )
    return network.encoder


def conv_norm_relu(in_channels, out_channels, kernel):
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same", bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


class LoneBranch(nn.Sequential):
    """The branch of one AU, as it would be written for one AU."""

    def __init__(self, channels, wide, narrow, embedding_dim):
        super().__init__(
            conv_norm_relu(channels, wide, 3),
            conv_norm_relu(wide, wide, 3),
            conv_norm_relu(wide, narrow, 1),
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(narrow * 36, embedding_dim),
        )

    def take(self, branches, au):
        """Copy the parameters and statistics of one AU out of grouped branches."""
        state = branches.state_dict()
        grouped = [
            state.pop("gated.filters.weight"),
            *[v for k, v in state.items() if k.startswith("layers.")],
            state["embed.weight"].transpose(1, 2),
            state["embed.bias"].squeeze(1),
        ]
        for own, entry in zip(self.state_dict().values(), grouped, strict=True):
            if own.ndim:
                own.copy_(entry.reshape(branches.n_aus, *own.shape)[au])
        return self


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_grouped_branches_equal_a_loop_of_branches(gated, training):
    widths = (10, 8, 4, 6)
    branches = stirred(make_branches(N_AUS, 10, (8, 4), 6)).train(training)
    lone = [LoneBranch(*widths).take(branches, i).train(training) for i in range(N_AUS)]
    maps, gates = torch.randn(5, 10, 7, 7), torch.rand(5, N_AUS, 7, 7)
    looped = torch.stack(
        [
            branch(maps * (1 + gates[:, i : i + 1]) if gated else maps)
            for i, branch in enumerate(lone)
        ],
        dim=1,
    )
    ours = branches(maps, gates if gated else None)
    torch.testing.assert_close(ours, looped, atol=1e-5, rtol=1e-5)


def test_number_of_parameters_of_a_branch():
    branches = make_branches(12, 768, (128, 64), 128)
    per_au = 768 * 9 * 128 + 128 * 9 * 128 + 128 * 64  # convolutions
    per_au += 2 * (128 + 128 + 64) + 36 * 64 * 128 + 128  # batch norm, linear
    assert sum(p.numel() for p in branches.parameters()) == 12 * per_au


@pytest.mark.parametrize(("channels", "widths"), [(768, (128, 64)), (64, (16, 16))])
def test_branches_are_narrower_on_a_narrow_backbone(channels, widths):
    network = FAUTransformer(
        2, small_backbone(channels), encoder_layers=0, embedding_dim=4
    )
    assert network.branches.gated.filters.out_channels == 2 * widths[0]
    assert network.branches.embed.weight.shape == (2, widths[1] * 36, 4)


def test_every_au_starts_like_a_layer_of_its_own():
    torch.manual_seed(0)
    branches = make_branches(12, 8, (32, 16), 32)
    grouped, linear = branches.layers[3][0], branches.embed
    assert grouped.groups == 12
    for weight, fans in ((grouped.weight, 32 + 16), (linear.weight, 36 * 16 + 32)):
        bound = math.sqrt(6 / fans)
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert not linear.bias.any()


@pytest.mark.parametrize(
    ("parameters", "keys"),
    [
        ({}, {"attention_maps", "attention_logits", "embeddings"}),
        ({"attention": False}, {"embeddings"}),
        ({"encoder_layers": 0}, {"attention_maps", "attention_logits", "embeddings"}),
        ({"n_heads": 1, "feed_forward": False}, None),
        ({"positional_encoding": "trigonometric"}, None),
        ({"multi_task": False, "attention": False, "encoder_layers": 0}, set()),
    ],
)
def test_ablations_return_what_they_have(parameters, keys):
    network = make_network(**parameters)
    logits, aux = network(draw_images())
    assert logits.shape == (3, N_AUS)
    assert keys is None or set(aux) == keys
    shapes = {
        "attention_maps": (3, N_AUS, 6, 6),
        "attention_logits": (3, N_AUS),
        "embeddings": (3, N_AUS, 16),
    }
    for name, value in aux.items():
        assert value.shape == shapes[name]
    if "attention_maps" in aux:
        assert aux["attention_maps"].min() >= 0
        assert aux["attention_maps"].max() <= 1


def test_the_plain_cnn_is_a_backbone_with_one_linear_layer():
    network = make_network(multi_task=False, attention=False, encoder_layers=0).eval()
    names = {name.split(".")[0] for name, _ in network.named_parameters()}
    assert names == {"backbone", "head"}
    images = draw_images()
    pooled = network.backbone(images).mean(dim=(2, 3))
    expected = pooled @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(images)[0], expected)


def test_without_encoder_the_classifier_sees_the_embeddings():
    network = make_network(encoder_layers=0)
    features, aux = network.forward_features(draw_images())
    assert features is aux["embeddings"]


@pytest.mark.parametrize("encoding", ["relative", "trigonometric", None])
def test_relations_are_the_weights_that_forward_mixes_with(encoding):
    encoder = stirred(make_encoder(5, encoding)).eval()
    tokens = torch.randn(2, 5, 12)
    relations = encoder.relations(tokens)
    assert relations.shape == (2, 2, 3, 5, 5)
    torch.testing.assert_close(relations.sum(dim=-1), torch.ones(2, 2, 3, 5))
    layer = encoder.layers[0].attention
    placed = tokens if encoder.places is None else tokens + encoder.places
    values = layer.qkv(placed)[..., 24:].unflatten(-1, (3, 4)).transpose(1, 2)
    mixed = (relations[:, 0] @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer.out(mixed), layer(placed))


def test_network_relations_have_an_axis_per_layer_and_head():
    network = make_network().eval()
    relations = network.relations(draw_images())
    assert relations.shape == (3, 2, 4, N_AUS, N_AUS)
    encoder, aux = network.encoder, network(draw_images())[1]
    torch.testing.assert_close(relations, encoder.relations(aux["embeddings"]))


def test_encoder_without_positions_does_not_know_the_order():
    tokens, order = torch.randn(2, 5, 12), torch.tensor([3, 0, 4, 1, 2])
    for encoding in ("relative", "trigonometric", None):
        encoder = stirred(make_encoder(5, encoding)).eval()
        permuted = encoder(tokens[:, order])
        same = torch.allclose(encoder(tokens)[:, order], permuted, atol=1e-5)
        assert same == (encoding is None)


def test_relative_bias_belongs_to_differences_of_places():
    layer = make_encoder(3, "relative", 4, 1, 1).layers[0].attention
    layer.relative_bias.data[:] = torch.tensor([[-2.0, -1, 0, 1, 2]])
    layer.qkv.weight.data[:] = 0
    scores = layer.weights(torch.randn(1, 3, 4))[0, 0].log()
    place = torch.arange(3.0)
    difference = place.unsqueeze(1) - place
    expected = difference - difference.logsumexp(dim=1, keepdim=True)
    torch.testing.assert_close(scores, expected)


def test_trigonometric_places_follow_the_formula():
    places = make_encoder(3, "trigonometric", 6, 1, 1).places
    for place in range(3):
        for i in range(3):
            angle = place / 10000 ** (2 * i / 6)
            assert places[place, 2 * i].item() == pytest.approx(math.sin(angle))
            assert places[place, 2 * i + 1].item() == pytest.approx(math.cos(angle))


def test_network_learns_random_labels_by_heart():
    network, images = make_network(dropout=0.0), draw_images(32)
    rng = torch.Generator().manual_seed(1)
    labels = (torch.rand(32, N_AUS, generator=rng) < 0.5).float()
    targets = {"labels": labels, "maps": torch.rand(32, N_AUS, 6, 6, generator=rng)}
    loss = FAUTransformerLoss(N_AUS, 16)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(network(images), targets).backward()
        optimizer.step()
        loss.after_step()
    with torch.no_grad():
        logits = network(images)[0]
    assert ((logits > 0) == (labels == 1)).all()


def test_bfloat16_autocast_stays_close():
    network, images = make_network().eval(), draw_images()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = network(images)[0].float()
        network.relations(images)
    torch.testing.assert_close(half, network(images)[0].detach(), atol=0.05, rtol=0.05)


def test_a_copy_gives_the_same_logits():
    network = make_network().eval()
    twin = copy.deepcopy(network)
    assert torch.equal(twin(draw_images())[0], network(draw_images())[0])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"multi_task": False}, "pass attention=False and encoder_layers=0"),
        (
            {"embedding_dim": 10},
            "multiple of n_heads. Got embedding_dim=10",
        ),
        ({"positional_encoding": "learned"}, "must be one of .* Got 'learned'"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_network(**parameters)


def test_relations_need_an_encoder():
    with pytest.raises(ValueError, match="encoder_layers of at least 1"):
        make_network(encoder_layers=0).relations(draw_images())
