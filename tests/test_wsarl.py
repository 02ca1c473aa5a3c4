"""The network of Shao et al.: branches one by one, ablations, CRF, odd input."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skfau.losses import WSARLLoss
from skfau.nn import IMAGENET_MEAN, IMAGENET_STD, WSARL, transfer_state
from tests.networks import draw_images, stirred

N_AUS = 3
VARIANTS = pytest.mark.parametrize("variant", ["wsarl", "arl"])


def make_network(variant="wsarl", *, n_aus=N_AUS, seed=0, **parameters):
    torch.manual_seed(seed)
    small = {"channels": 1, "crf_scale": 1, "crf_iterations": 2}
    return WSARL(n_aus, variant, **small | parameters)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


class LoneBranch:
    """What the paper writes for one AU, without a CRF, in evaluation mode."""

    def __init__(self, network, au):
        self.network, self.au = network, au

    def take(self, entry):
        """Cut one AU's block out of a parameter or a statistic."""
        return entry.chunk(N_AUS)[self.au]

    def conv(self, layer, maps):
        weight, bias = self.take(layer.weight), self.take(layer.bias)
        return F.conv2d(maps, weight, bias, padding=1)

    def norm(self, layer, maps):
        statistics = self.take(layer.running_mean), self.take(layer.running_var)
        affine = self.take(layer.weight), self.take(layer.bias)
        return F.batch_norm(maps, *statistics, *affine, eps=layer.eps)

    def linear(self, layer, values):
        return values @ self.take(layer.weight)[0] + self.take(layer.bias)[0]

    def weighted(self, maps):
        """Equations 3 and 4."""
        channel = self.network.channel
        f1 = self.norm(channel.first.norm, self.conv(channel.first.conv, maps)).relu()
        weights = self.linear(channel.weigh, f1.mean(dim=(2, 3))).sigmoid()
        return weights[:, :, None, None] * self.conv(channel.second.conv, f1), weights

    def __call__(self, maps, variant):
        channel, spatial = self.network.channel, self.network.spatial
        decision = self.network.decision
        fc, weights = self.weighted(maps)
        fc = self.norm(channel.second.norm, fc).relu()
        f3 = self.norm(channel.third.norm, self.conv(channel.third.conv, fc)).relu()
        seen = f3
        if variant == "arl":
            seen = self.conv(spatial.features.conv, f3)
            seen = self.norm(spatial.features.norm, seen).tanh()
        attention = self.conv(spatial.score, seen).sigmoid()
        fourth = decision.fourth
        if variant == "arl":
            fs = self.conv(fourth.conv, f3 * attention)
        else:
            fs = attention * self.conv(fourth.conv, f3)
        fs = self.norm(fourth.norm, fs).relu()
        fp = self.conv(decision.fifth, fs).mean(dim=(2, 3))
        return self.linear(decision.classify, fp), attention, weights


@VARIANTS
def test_grouped_branches_equal_a_loop_over_aus(variant):
    network = stirred(make_network(variant, crf=False)).double().eval()
    images = draw_images(2, 32).double()
    with torch.no_grad():
        logits, aux = network(images)
        maps = network.trunk(images)
        for au in range(N_AUS):
            logit, attention, weights = LoneBranch(network, au)(maps, variant)
            close = {"atol": 1e-10, "rtol": 1e-10}
            torch.testing.assert_close(logits[:, au : au + 1], logit, **close)
            ours = aux["attention_maps"][:, au : au + 1]
            torch.testing.assert_close(ours, attention, **close)
            ours = aux["channel_attention"][:, au]
            torch.testing.assert_close(ours, weights, **close)


@VARIANTS
def test_channel_maps_are_equation_4(variant):
    network = stirred(make_network(variant)).double().eval()
    images = draw_images(2, 32).double()
    with torch.no_grad():
        ours, maps = network.channel_maps(images), network.trunk(images)
        for au in range(N_AUS):
            expected, _ = LoneBranch(network, au).weighted(maps)
            torch.testing.assert_close(ours[:, au], expected, atol=1e-12, rtol=1e-10)


def test_numbers_of_parameters_are_the_published_ones():
    per_au_crf = 3  # what tells two labels apart in the released 12
    arl, wsarl = WSARL(12, "arl"), WSARL(12)
    assert count(arl.trunk) == 1_615_392
    assert count(arl) == 1_615_392 + 12 * (198_798 - 12 + per_au_crf)
    assert count(wsarl.trunk) == 1_001_016
    assert count(wsarl) == 1_001_016 + 12 * (398_594 + per_au_crf)


PARTS = {
    "channel_attention": "channel.weigh",
    "spatial_attention": "spatial.score",
    "crf": "spatial.crf",
}


@pytest.mark.parametrize("region_layer", [None, "parallel", "hierarchical"])
@pytest.mark.parametrize("on", [(), PARTS], ids=["B-Net", "WSARL"])
def test_ablations_have_what_they_say(on, region_layer):
    parameters = {name: name in on for name in PARTS}
    network = make_network(region_layer=region_layer, energy=True, **parameters)
    logits, aux = network(draw_images(2, 32))
    assert logits.shape == (2, N_AUS)
    maps = {"attention_maps", "refined_maps", "gates", "crf_energy"}
    assert set(aux) == ({*maps, "channel_attention"} if on else set())
    names = " ".join(name for name, _ in network.named_parameters())
    for parameter, part in PARTS.items():
        assert (part in names) == (parameter in on)
    assert ("patches" in names) == (region_layer is not None)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_maps_have_the_size_that_the_crf_works_at(scale):
    network = make_network(crf_scale=scale)
    _, aux = network(draw_images(2, 32))
    for name in ("attention_maps", "refined_maps"):
        assert aux[name].shape == (2, N_AUS, 8 * scale, 8 * scale)
        assert 0 <= aux[name].min() <= aux[name].max() <= 1
    assert not torch.equal(aux["attention_maps"], aux["refined_maps"])


def test_gates_are_the_refined_maps_at_a_quarter_of_their_side():
    _, aux = make_network(crf_scale=4)(draw_images(2, 32))
    # Where a cell of four by four has its centre, bilinear interpolation takes the mean
    # of the four pixels around.
    inner = aux["refined_maps"].unflatten(3, (8, 4)).unflatten(2, (8, 4))
    expected = inner[:, :, :, 1:3, :, 1:3].mean(dim=(3, 5))
    torch.testing.assert_close(aux["gates"], expected)


def test_gates_weigh_the_positions():
    network = stirred(make_network(crf_scale=4)).eval()
    with torch.no_grad():
        logits, aux = network(draw_images(2, 32))
        maps, _ = network.channel(network.trunk(draw_images(2, 32)))
        torch.testing.assert_close(network.decision(maps, aux["gates"]), logits)


@VARIANTS
def test_a_crf_without_weight_changes_nothing(variant):
    idle = make_network(variant, crf_weights=(0.0, 0.0)).eval()
    none = make_network(variant, crf=False).eval()
    none.load_state_dict(idle.state_dict(), strict=False)
    images = draw_images(2, 32)
    logits, aux = idle(images)
    torch.testing.assert_close(logits, none(images)[0])
    torch.testing.assert_close(aux["refined_maps"], aux["attention_maps"])


class Recorder(nn.Module):
    """Stands where the CRF does and keeps what it is given."""

    appearance_weight = smoothness_weight = bias = torch.zeros(N_AUS)

    def forward(self, logits, features):
        self.given = logits, features
        return logits


def test_kernels_see_the_colours_of_the_image():
    network = make_network(crf_scale=4)
    network.spatial.crf = Recorder()
    pixels = torch.randint(0, 256, (2, 3, 32, 32)).float()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    network((pixels / 255 - mean) / std)
    logits, colours = network.spatial.crf.given
    assert logits.shape == (2, N_AUS, 32, 32)
    torch.testing.assert_close(colours, pixels, atol=1e-3, rtol=0)


def test_kernels_of_arl_see_learned_maps_and_leave_them_alone():
    network = make_network("arl")
    network.spatial.crf = crf = Recorder()
    network(draw_images(2, 32))
    logits, features = crf.given
    assert features.shape == (2, N_AUS, 2, *logits.shape[2:])
    assert features.abs().max() <= 1
    assert not features.requires_grad


@VARIANTS
def test_kernels_have_the_widths_and_weights_they_should(variant):
    expected = {
        "wsarl": (10, 56.0, 13.0, 3.0, 1.0, 0.5),
        "arl": (5, 160.0, 3.0, 3.0, 5.0, 3.0),
    }[variant]
    crf = WSARL(2, variant, channels=1).spatial.crf
    widths = (crf.alpha, crf.beta, crf.gamma)
    weights = (crf.appearance_weight, crf.smoothness_weight)
    assert expected == (crf.n_iter, *(w[0] for w in (*widths, *weights)))
    given = WSARL(
        2, variant, channels=1, crf_scale=2, crf_widths=(5, 6, 7), crf_weights=(8, 9)
    ).spatial.crf
    assert (given.alpha[0], given.beta[0], given.gamma[0]) == (10, 6, 14)
    assert given.appearance_weight[0] == 8


def refine(unary, colours, alpha, beta, gamma, weights, n_iter):
    """The mean field of equation 7 for one map of one image, all pairs at once."""
    height, width = unary.shape
    place = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()
    near = torch.cdist(place, place).square() / -2
    alike = torch.cdist(colours.flatten(1).mT, colours.flatten(1).mT).square() / -2
    kernels = (near / alpha**2 + alike / beta**2).exp(), (near / gamma**2).exp()
    state = unary.flatten()
    for _ in range(n_iter):
        signs = 2 * state.sigmoid() - 1
        state = unary.flatten() + sum(
            weight * (kernel @ signs) / kernel.sum(dim=1)
            for weight, kernel in zip(weights, kernels, strict=True)
        )
    return state.sigmoid().view(height, width)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_every_au_has_its_own_widths_and_weights_at_any_scale(scale):
    alpha, beta, gamma = [1.0, 2.5, 0.7], [9.0, 30.0, 70.0], (0.5, 0.8, 1.5)
    first, second = [0.9, 0.2, 1.4], [0.3, 1.1, 0.1]
    settings = {"crf_widths": (alpha, beta, gamma), "crf_weights": (first, second)}
    network = make_network(crf_scale=scale, crf_iterations=3, **settings).double()
    images = draw_images(1, 32).double()
    with torch.no_grad():
        network.spatial.score.weight *= 10
        _, aux = network.eval()(images)
    colours = images * network.spatial.std + network.spatial.mean
    size = 8 * scale
    if scale < 4:
        colours = F.interpolate(colours, (size,) * 2, mode="bilinear", antialias=True)
    for au in range(N_AUS):
        ours = refine(
            aux["attention_maps"][0, au].logit(),
            colours[0],
            scale * alpha[au],
            beta[au],
            scale * gamma[au],
            (first[au], second[au]),
            3,
        )
        torch.testing.assert_close(aux["refined_maps"][0, au], ours, atol=1e-6, rtol=0)


def test_energy_is_the_expected_cost_of_labels_under_the_mean_field():
    settings = {"crf_iterations": 60, "crf_widths": (2.0, 60.0, 1.0), "energy": True}
    network = make_network(**settings).double()
    images = draw_images(1, 32).double()
    with torch.no_grad():
        network.spatial.score.weight *= 10
        _, aux = network.eval()(images)
    colours = images * network.spatial.std + network.spatial.mean
    colours = F.interpolate(colours, (8, 8), mode="bilinear", antialias=True)
    place = torch.cartesian_prod(torch.arange(8), torch.arange(8)).double()
    near = torch.cdist(place, place).square()
    alike = torch.cdist(colours.flatten(2).mT, colours.flatten(2).mT)[0].square()
    kernels = [(-near / 8 - alike / 7200).exp(), (-near / 2).exp()]
    crf = network.spatial.crf
    for au in range(N_AUS):
        weights = crf.appearance_weight[au], crf.smoothness_weight[au]
        pairs = sum(
            w * k / k.sum(1, keepdim=True)
            for w, k in zip(weights, kernels, strict=True)
        )
        p, q = (aux[f"{k}_maps"][0, au].flatten() for k in ("attention", "refined"))
        unary = -(q * p.log() + (1 - q) * (1 - p).log())
        differ = q[:, None] * (1 - q) + (1 - q[:, None]) * q
        expected = (unary + (pairs * differ).sum(dim=1) / 2).mean()
        assert aux["crf_energy"][0, au].item() == pytest.approx(expected.item(), 1e-5)


def test_energy_moves_the_attention_and_no_weight_of_the_kernels():
    network = make_network(energy=True)
    _, aux = network(draw_images(2, 32))
    aux["crf_energy"].sum().backward()
    assert network.spatial.score.weight.grad.any()
    assert all(weight.grad is None for weight in network.spatial.crf.parameters())


def test_permuted_aus_give_permuted_outputs():
    order = (4, 1, 2)
    source, target = (stirred(make_network("arl", seed=s), s).eval() for s in (0, 1))
    state, report = transfer_state(
        source.state_dict(), (1, 2, 4), target.state_dict(), order, target.au_axes()
    )
    target.load_state_dict(state)
    assert report["fresh"] == report["partly"] == ()
    images, columns = draw_images(2, 32), [2, 0, 1]
    with torch.no_grad():
        (logits, aux), (moved, moved_aux) = source(images), target(images)
    torch.testing.assert_close(moved, logits[:, columns])
    for name, value in aux.items():
        torch.testing.assert_close(moved_aux[name], value[:, columns])


@pytest.mark.parametrize(
    ("region_layer", "size", "said"),
    [
        ("parallel", (16, 16), "at least 32 px .* multiples of 16 .* Got 16x16"),
        ("hierarchical", (40, 48), "Got 40x48; resize"),
        ("parallel", (48, 50), "Got 48x50"),
        (None, (6, 48), "at least 8 px high and wide. Got 6x48"),
    ],
)
def test_images_that_cannot_be_cut_are_refused(region_layer, size, said):
    network = make_network(region_layer=region_layer)
    with pytest.raises(ValueError, match=said):
        network(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("size", [(30, 41), (8, 8)])
def test_plain_convolutions_take_any_size(size):
    network = make_network(region_layer=None, crf_scale=4)
    assert network(torch.zeros(1, 3, *size))[0].isfinite().all()


@VARIANTS
def test_one_image_is_a_batch_to_train_on(variant):
    network = make_network(variant)
    logits, _ = network(draw_images(1, 32))
    WSARLLoss()(logits, {"labels": torch.ones(1, N_AUS)}).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@VARIANTS
def test_nan_stays_in_its_image(variant):
    network = make_network(variant).eval()
    images = draw_images(3, 32)
    broken = images.clone()
    broken[1, 0, 5, 5] = torch.nan
    with torch.no_grad():
        logits, expected = network(broken)[0], network(images)[0]
    assert logits[1].isnan().all()
    torch.testing.assert_close(logits[[0, 2]], expected[[0, 2]])


def test_bfloat16_autocast_stays_close():
    network, images = make_network().eval(), draw_images(2, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits, aux = network(images)
    assert aux["refined_maps"].dtype == torch.float32
    expected = network(images)[0].detach()
    torch.testing.assert_close(logits.float(), expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"variant": "jaa"}, r"one of \('wsarl', 'arl'\). Got 'jaa'"),
        ({"region_layer": "serial"}, "'auto', one of .* or None. Got 'serial'"),
        ({"spatial_attention": False}, "pass crf=False with it"),
        ({"crf_widths": (14, 13)}, r"3 numbers \(alpha, .*Got \(14, 13\)"),
        ({"crf_weights": (1,)}, r"crf_weights must be 2 numbers \(appearance, "),
        ({"crf_widths": ([14.0] * 2, 13, 1)}, "for each of 3 maps; got 2"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_network(**parameters)


def printed_loss(logits, labels, weights, energy):
    """Equations 2 and 10 for one face, with the minus sign that is missing in print."""
    det = 0.0
    for logit, label, weight in zip(logits, labels, weights, strict=True):
        if not math.isnan(label):
            p = 1 / (1 + math.exp(-logit))
            det -= weight * (label * math.log(p) + (1 - label) * math.log(1 - p))
    return det, sum(energy)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_is_what_is_printed_or_its_mean(reduction):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4, N_AUS, generator=rng, dtype=torch.float64)
    per_pixel = torch.rand(4, N_AUS, generator=rng, dtype=torch.float64)
    labels = (logits > 0).double()
    labels[0, 1] = labels[3] = torch.nan
    weights, n_pixels = [0.5, 1.0, 1.5], 8 * 6
    aux = {"crf_energy": per_pixel, "refined_maps": torch.zeros(4, N_AUS, 8, 6)}
    loss = WSARLLoss(weights, 0.3, reduction)
    value = loss((logits, aux), {"labels": labels})
    rows = zip(logits.tolist(), labels.tolist(), per_pixel.tolist(), strict=True)
    faces = [printed_loss(x, y, weights, e) for x, y, e in rows]
    wce, energy = (sum(part) / len(faces) for part in zip(*faces, strict=True))
    if reduction == "mean":
        wce, energy = wce * 4 / 8, energy / N_AUS
    else:
        energy = energy * n_pixels
    assert loss.parts["wce"].item() == pytest.approx(wce, rel=1e-12)
    assert loss.parts["crf_energy"].item() == pytest.approx(0.3 * energy, rel=1e-12)
    assert value.item() == pytest.approx(wce + 0.3 * energy, rel=1e-12)


def test_loss_leaves_the_energy_out_or_asks_for_it():
    targets = {"labels": torch.ones(2, 3)}
    plain = WSARLLoss()
    plain(torch.zeros(2, 3), targets)
    assert set(plain.parts) == {"wce"}
    with pytest.raises(ValueError, match="energy_weight=0 or take a network with a"):
        WSARLLoss(energy_weight=0.5)(torch.zeros(2, 3), targets)
    with pytest.raises(ValueError, match=r"'mean' or 'sum'\. Got 'none'"):
        WSARLLoss(reduction="none")
