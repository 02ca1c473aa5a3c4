"""The network of Shao et al.: branches one by one, ablations, CRF, odd input."""

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

    def __call__(self, maps, variant):
        channel, spatial = self.network.channel, self.network.spatial
        decision = self.network.decision
        f1 = self.norm(channel.first.norm, self.conv(channel.first.conv, maps)).relu()
        weights = self.linear(channel.weigh, f1.mean(dim=(2, 3))).sigmoid()
        fc = weights[:, :, None, None] * self.conv(channel.second.conv, f1)
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
    network = make_network(region_layer=region_layer, **parameters)
    logits, aux = network(draw_images(2, 32))
    assert logits.shape == (2, N_AUS)
    maps = {"attention_maps", "refined_maps", "crf_energy", "channel_attention"}
    assert set(aux) == (maps if on else set())
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


def test_energy_is_the_expected_cost_of_labels_under_the_mean_field():
    network = make_network(crf_iterations=60, crf_widths=(2.0, 60.0, 1.0)).double()
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
    ],
)
def test_parameters_that_do_not_go_together_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_network(**parameters)


def test_loss_adds_the_energy_of_all_aus_if_wanted():
    outputs = torch.zeros(2, 3), {"crf_energy": torch.arange(6.0).view(2, 3)}
    targets = {"labels": torch.ones(2, 3)}
    plain, full = WSARLLoss(), WSARLLoss(energy_weight=0.5)
    assert full(outputs, targets) - plain(outputs, targets) == pytest.approx(3.75)
    assert set(plain.parts) == {"wce"} and set(full.parts) == {"wce", "crf_energy"}
    with pytest.raises(ValueError, match="energy_weight=0 or take a network with a"):
        full(torch.zeros(2, 3), targets)
