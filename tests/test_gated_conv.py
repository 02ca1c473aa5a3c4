"""The per-AU convolution: gated or not, in tiles or direct, it is one layer per AU."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.nn import FAUTransformer
from tests.networks import small_backbone


def make_layer(n_aus, channels):
    """Return the first layer of the AUs' branches, with three filters each."""
    network = FAUTransformer(
        n_aus,
        small_backbone(channels),
        branch_channels=(3, 1),
        attention=False,
        encoder_layers=0,
    )
    return network.branches.gated


def run(layer, maps, gates, grad_out, convolve=None):
    """Return the output and the gradients of maps, gates and filters."""
    maps = maps.clone().requires_grad_()
    gates = gates if gates is None else gates.clone().requires_grad_()
    out = (convolve or layer)(maps, gates)
    inputs = [maps, layer.filters.weight] + ([] if gates is None else [gates])
    return [out.detach(), *torch.autograd.grad(out, inputs, grad_out)]


def one_by_one(layer):
    """Return the same layer as a loop over AUs, written from its definition."""

    def convolve(maps, gates):
        filters = layer.filters.weight.chunk(layer.n_aus)
        seen = [
            maps if gates is None else maps * (1 + gates[:, i : i + 1])
            for i in range(layer.n_aus)
        ]
        pairs = zip(seen, filters, strict=True)
        return torch.cat([F.conv2d(x, w, padding=1) for x, w in pairs], dim=1)

    return convolve


def draw(n, channels, height, width, n_aus, gated, seed=0):
    rng = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, channels, height, width, generator=rng)
    gates = torch.rand(n, n_aus, height, width, generator=rng) if gated else None
    layer = make_layer(n_aus, channels)
    grad_out = torch.randn(n, 3 * n_aus, height, width, generator=rng)
    return layer, maps, gates, grad_out


@pytest.mark.parametrize("gated", [True, False])
def test_direct_form_is_one_convolution_per_au(gated):
    layer, *inputs = draw(2, 5, 7, 6, 3, gated)
    ours, loop = run(layer, *inputs), run(layer, *inputs, one_by_one(layer))
    for a, b in zip(ours, loop, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def assert_tiled_and_close(ours, loop):
    """Tiles sum in another order: not the same bits, but nearly the same values."""
    for a, b in zip(ours, loop, strict=True):
        assert not torch.equal(a, b)
        assert (a - b).abs().max() < 3e-5 * b.abs().max()


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(2, 3),
    sides=st.tuples(st.integers(21, 26), st.integers(21, 26)),
    n_aus=st.integers(1, 3),
    gated=st.booleans(),
)
def test_tiles_give_the_same_values_and_gradients(n, sides, n_aus, gated):
    layer, *inputs = draw(n, 256, *sides, n_aus, gated)
    ours, loop = run(layer, *inputs), run(layer, *inputs, one_by_one(layer))
    assert_tiled_and_close(ours, loop)


@pytest.mark.parametrize("shape", [(8, 768, 12, 12, 4), (6, 256, 32, 33, 4)])
def test_tiles_stay_close_at_the_width_of_the_papers_backbone_and_in_chunks(shape):
    """Of the second, the transforms take more than one chunk of memory."""
    layer, *inputs = draw(*shape, True)
    ours, loop = run(layer, *inputs), run(layer, *inputs, one_by_one(layer))
    assert_tiled_and_close(ours, loop)


def grouped(layer, maps, gates):
    """The layer as one grouped convolution."""
    shared = maps.permute(0, 2, 3, 1).contiguous().unsqueeze(3)
    seen = shared * (1 + gates.permute(0, 2, 3, 1)).unsqueeze(4)
    seen = seen.flatten(3).permute(0, 3, 1, 2)
    return F.conv2d(seen, layer.filters.weight, padding=1, groups=layer.n_aus)


@pytest.mark.parametrize("why", ["few channels", "few tiles", "double", "autocast"])
def test_tiles_are_for_wide_float32_batches_on_a_cpu(why):
    channels = 8 if why == "few channels" else 256
    layer, maps, gates, _ = draw(1 if why == "few tiles" else 16, channels, 8, 8, 2, 1)
    if why == "double":
        layer, maps, gates = layer.double(), maps.double(), gates.double()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=why == "autocast"):
        assert torch.equal(layer(maps, gates), grouped(layer, maps, gates))


def test_inference_mode_uses_tiles_too():
    layer, maps, gates, _ = draw(16, 256, 8, 8, 2, True)
    with torch.inference_mode():
        out = layer(maps, gates)
    torch.testing.assert_close(out, layer(maps, gates).detach())


def test_exported_graph_holds_the_plain_convolution():
    layer, maps, gates, _ = draw(16, 256, 8, 8, 2, True)
    graph = torch.export.export(layer.eval(), (maps, gates)).graph
    called = {str(node.target) for node in graph.nodes if node.op == "call_function"}
    assert any("conv2d" in name for name in called)
    assert not any("bmm" in name or "matmul" in name for name in called)
