"""The per-AU convolution: gated or not, in tiles or direct, it is one layer per AU."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.nn import _gated_conv, _winograd
from skfau.nn._gated_conv import GatedConv2d


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
    layer = GatedConv2d(n_aus, channels, 3)
    grad_out = torch.randn(n, 3 * n_aus, height, width, generator=rng)
    return layer, maps, gates, grad_out


@pytest.mark.parametrize("gated", [True, False])
def test_direct_form_is_one_convolution_per_au(gated):
    layer, *inputs = draw(2, 5, 7, 6, 3, gated)
    ours, loop = run(layer, *inputs), run(layer, *inputs, one_by_one(layer))
    for a, b in zip(ours, loop, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, n) for n in (3, 5, 9, 9, 3)]),
    gated=st.booleans(),
    chunk=st.integers(1, 10**5),
)
def test_tiles_give_the_same_values_and_gradients(shape, gated, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_winograd, "_MIN_CHANNELS", 1)
        patch.setattr(_winograd, "_MIN_TILES", 1)
        patch.setattr(_winograd, "_CHUNK_BYTES", chunk)
        layer, *inputs = draw(*shape, gated)
        ours, loop = run(layer, *inputs), run(layer, *inputs, one_by_one(layer))
    for a, b in zip(ours, loop, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)


def test_tiles_stay_close_at_the_width_of_the_papers_backbone(monkeypatch):
    layer, *inputs = draw(2, 768, 12, 12, 4, True)
    monkeypatch.setattr(_winograd, "_MIN_TILES", 1)
    ours, loop = run(layer, *inputs), run(layer, *inputs, one_by_one(layer))
    for a, b in zip(ours, loop, strict=True):
        assert not torch.equal(a, b)
        assert (a - b).abs().max() < 3e-5 * b.abs().max()


@pytest.mark.parametrize(
    "why", ["few channels", "few tiles", "double", "autocast", "compiling"]
)
def test_tiles_are_for_wide_float32_batches_on_a_cpu(monkeypatch, why):
    def refuse(*args):
        raise AssertionError("tiles were used")

    monkeypatch.setattr(_gated_conv, "tiled_conv", refuse)
    channels = 8 if why == "few channels" else 256
    layer, maps, gates, _ = draw(1 if why == "few tiles" else 16, channels, 8, 8, 2, 1)
    if why == "double":
        layer, maps, gates = layer.double(), maps.double(), gates.double()
    if why == "compiling":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with torch.autocast("cpu", enabled=why == "autocast"):
        assert layer(maps, gates).shape[1] == 6


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
