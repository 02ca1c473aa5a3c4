"""The multi-scale region layer against a loop over patches, in float64."""

import pytest
import torch
import torch.nn.functional as F

from skfau.nn import WSARL
from tests.networks import stirred

C = 8


def make_layer(scales, channels=C):
    """Return the first region layer of a network's backbone."""
    torch.manual_seed(0)
    network = WSARL(1, channels=channels // 4, region_layer=scales, crf=False)
    return stirred(network.trunk[0].double())


def norm(maps, module, channels=slice(None), training=False):
    """Batch norm with some of a module's channels, written out."""
    mean, variance = module.running_mean[channels], module.running_var[channels]
    if training:
        mean = maps.mean(dim=(0, 2, 3))
        variance = maps.var(dim=(0, 2, 3), correction=0)
    shape = (1, -1, 1, 1)
    scaled = (maps - mean.view(shape)) / (variance.view(shape) + module.eps).sqrt()
    weight, bias = module.weight[channels], module.bias[channels]
    return scaled * weight.view(shape) + bias.view(shape)


def loop_over_patches(step, maps, training):
    """Cut, convolve and stitch patch by patch."""
    n, channels, height, width = maps.shape
    grid = step.grid
    filters = step.conv.weight.unflatten(0, (grid**2, -1))
    biases = step.conv.bias.unflatten(0, (grid**2, -1))
    out = maps.new_empty(n, filters.shape[1], height, width)
    for place in range(grid**2):
        row, column = divmod(place, grid)
        at = (
            ...,
            slice(row * height // grid, (row + 1) * height // grid),
            slice(column * width // grid, (column + 1) * width // grid),
        )
        patch = maps[at]
        if step.norm is not None:
            own = slice(place * channels, (place + 1) * channels)
            patch = norm(patch, step.norm, own, training).relu()
        out[at] = F.conv2d(patch, filters[place], biases[place], padding=1)
    return out


def region_layer(layer, maps, training):
    """The layer as the papers write it, for one patch at a time."""
    maps = F.conv2d(maps, layer.input.weight, layer.input.bias, padding=1)
    if layer.scales == "parallel":
        shared = norm(maps, layer.input_norm, training=training).relu()
        local = [loop_over_patches(step, shared, training) for step in layer.patches]
    else:
        local = [maps]
        for step in layer.patches:
            local.append(loop_over_patches(step, local[-1], training))
        local = local[1:]
    return norm(torch.cat(local, 1) + maps, layer.norm, training=training).relu()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("scales", ["parallel", "hierarchical"])
def test_layer_equals_a_loop_over_patches(scales, training):
    layer = make_layer(scales).train(training)
    maps = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    with torch.no_grad():
        expected = region_layer(layer, maps, training)
        got = layer(maps)
    assert got.shape == (2, C, 16, 24)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    ("scales", "grids", "widths"),
    [
        ("parallel", [8, 4, 2, 1], [2, 2, 2, 2]),
        ("hierarchical", [8, 4, 2], [4, 2, 2]),
    ],
)
def test_scales_share_the_channels(scales, grids, widths):
    steps = make_layer(scales).patches
    assert [step.grid for step in steps] == grids
    assert [s.conv.out_channels // s.grid**2 for s in steps] == widths


def test_a_patch_does_not_see_its_neighbours():
    quarters = make_layer("hierarchical").eval().patches[2]
    maps = torch.randn(1, 2, 16, 16, dtype=torch.float64)
    other = maps.clone()
    other[..., 8:] += 1
    before, after = quarters(maps), quarters(other)
    assert torch.equal(before[..., :8], after[..., :8])
    assert not torch.equal(before[..., 8:], after[..., 8:])


def test_number_of_parameters():
    # Filters and biases of all patches, batch norms, and the input convolution.
    parallel = 3 * 9 * 32 + 32 + 85 * (32 * 9 * 8 + 8) + 2 * 2 * 32
    hierarchical = 3 * 9 * 32 + 32 + 2 * 32
    for grid, wide, narrow in ((8, 32, 16), (4, 16, 8), (2, 8, 8)):
        hierarchical += grid**2 * (2 * wide + wide * 9 * narrow + narrow)
    for scales, expected in (("parallel", parallel), ("hierarchical", hierarchical)):
        layer = make_layer(scales, 32)
        assert sum(p.numel() for p in layer.parameters()) == expected


def test_one_image_trains_on_the_smallest_maps():
    layer = make_layer("hierarchical").train()
    out = layer(torch.randn(1, 3, 16, 16, dtype=torch.float64))
    out.sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())
