"""Blocks of the image backbones against their formulas, written out in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skfau.nn._efficientnet import InvertedResidual
from skfau.nn._inception import Mixed, ToInceptionRange, inception_v3
from skfau.nn._residual import BasicBlock, Bottleneck


def settle(block):
    """Give every norm its own statistics, so that mixing two up shows."""
    torch.manual_seed(0)
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return block.double().eval(), block.state_dict()


def norm(maps, state, name, eps=1e-5):
    """Batch normalisation in evaluation, written out."""
    mean, var, weight, bias = (
        state[f"{name}.{part}"].view(-1, 1, 1)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (maps - mean) / (var + eps).sqrt() * weight + bias


def conv(maps, state, name, **options):
    return F.conv2d(maps, state[f"{name}.weight"], **options)


@pytest.mark.parametrize("stride", [1, 2])
def test_basic_block_is_its_formula(stride):
    block, w = settle(BasicBlock(4, 4, stride))
    x = torch.randn(2, 4, 9, 9, dtype=torch.double)
    y = norm(conv(x, w, "conv1", stride=stride, padding=1), w, "bn1").relu()
    y = norm(conv(y, w, "conv2", padding=1), w, "bn2")
    short = x
    if stride == 2:
        short = norm(conv(x, w, "downsample.0", stride=2), w, "downsample.1")
    torch.testing.assert_close(block(x), (y + short).relu())


def test_bottleneck_is_its_formula():
    block, w = settle(Bottleneck(6, 3, stride=2))
    x = torch.randn(2, 6, 9, 9, dtype=torch.double)
    y = norm(conv(x, w, "conv1"), w, "bn1").relu()
    y = norm(conv(y, w, "conv2", stride=2, padding=1), w, "bn2").relu()
    y = norm(conv(y, w, "conv3"), w, "bn3")
    short = norm(conv(x, w, "downsample.0", stride=2), w, "downsample.1")
    torch.testing.assert_close(block(x), (y + short).relu())


def unit(maps, state, name, padding=0, stride=1):
    """One convolution of Inception with its norm and ReLU."""
    maps = conv(maps, state, f"{name}.conv", padding=padding, stride=stride)
    return norm(maps, state, f"{name}.bn", eps=1e-3).relu()


def test_inception_blocks_are_their_formulas():
    backbone = inception_v3(full=True)
    x = torch.randn(1, 192, 7, 7, dtype=torch.double)
    block, w = settle(backbone.Mixed_5b)
    y5 = unit(unit(x, w, "branch5x5_1"), w, "branch5x5_2", 2)
    y3 = unit(unit(x, w, "branch3x3dbl_1"), w, "branch3x3dbl_2", 1)
    y3 = unit(y3, w, "branch3x3dbl_3", 1)
    pool = unit(F.avg_pool2d(x, 3, 1, 1), w, "branch_pool")
    expected = torch.cat([unit(x, w, "branch1x1"), y5, y3, pool], 1)
    torch.testing.assert_close(block(x), expected)

    x = torch.randn(1, 288, 7, 7, dtype=torch.double)
    block, w = settle(backbone.Mixed_6a)
    y3 = unit(unit(x, w, "branch3x3dbl_1"), w, "branch3x3dbl_2", 1)
    y3 = unit(y3, w, "branch3x3dbl_3", stride=2)
    expected = [unit(x, w, "branch3x3", stride=2), y3, F.max_pool2d(x, 3, 2)]
    torch.testing.assert_close(block(x), torch.cat(expected, 1))


def test_inception_fork_is_its_formula():
    paths = ((("a", 3, 1), (("b", 2, (1, 3)), ("c", 2, (3, 1)))), (("d", 2, 3),))
    block, w = settle(Mixed(4, paths))
    x = torch.randn(1, 4, 5, 6, dtype=torch.double)
    y = unit(x, w, "a")
    expected = [unit(y, w, "b", (0, 1)), unit(y, w, "c", (1, 0)), unit(x, w, "d", 1)]
    torch.testing.assert_close(block(x), torch.cat(expected, 1))
    assert block.out_channels == 6


def test_inverted_residual_is_its_formula():
    block, w = settle(InvertedResidual(4, 4, 6, 5, 1, drop=0.5))
    x = torch.randn(2, 4, 7, 7, dtype=torch.double)
    y = F.silu(norm(conv(x, w, "block.0.0"), w, "block.0.1"))
    y = conv(y, w, "block.1.0", padding=2, groups=24)
    y = F.silu(norm(y, w, "block.1.1"))
    gate = F.silu(
        conv(y.mean((2, 3), True), w, "block.2.fc1", bias=w["block.2.fc1.bias"])
    )
    gate = conv(gate, w, "block.2.fc2", bias=w["block.2.fc2.bias"]).sigmoid()
    y = norm(conv(y * gate, w, "block.3.0"), w, "block.3.1")
    torch.testing.assert_close(block(x), x + y)


def test_stochastic_depth_skips_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    block = InvertedResidual(4, 4, 1, 3, 1, drop=0.5).train()
    for layer in block.modules():
        layer.training = layer is block
    x = torch.randn(1, 4, 5, 5).expand(400, -1, -1, -1)
    with torch.no_grad():
        branch = block(x) - x
        expected = block.block(x[:1])
    skipped = (branch.abs().amax((1, 2, 3)) < 1e-6).float().mean()
    assert 0.4 < skipped < 0.6
    torch.testing.assert_close(
        branch[branch.abs().amax((1, 2, 3)) > 1e-6][:1], 2 * expected
    )


def test_inception_sees_pixels_scaled_to_plus_minus_one():
    pixels = torch.rand(2, 3, 4, 4)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    seen = ToInceptionRange()((pixels - mean) / std)
    torch.testing.assert_close(seen, 2 * pixels - 1)
