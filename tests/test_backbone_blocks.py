"""Blocks of the image backbones against their formulas, written out in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skfau.nn import make_backbone


@pytest.fixture(scope="module")
def inception():
    return make_backbone("inception_v3", cut="full")


@pytest.fixture(scope="module")
def inverted_residual():
    """The first block of EfficientNet-B0 with 5x5 filters whose input is added."""
    return make_backbone("efficientnet_b0").features[3][1]


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
    backbone = make_backbone("resnet18")
    block, w = settle(backbone.layer1[1] if stride == 1 else backbone.layer2[0])
    x = torch.randn(2, 64, 9, 9, dtype=torch.double)
    y = norm(conv(x, w, "conv1", stride=stride, padding=1), w, "bn1").relu()
    y = norm(conv(y, w, "conv2", padding=1), w, "bn2")
    short = x
    if stride == 2:
        short = norm(conv(x, w, "downsample.0", stride=2), w, "downsample.1")
    torch.testing.assert_close(block(x), (y + short).relu())


def test_bottleneck_is_its_formula():
    block, w = settle(make_backbone("resnet50").layer2[0])
    x = torch.randn(2, 256, 9, 9, dtype=torch.double)
    y = norm(conv(x, w, "conv1"), w, "bn1").relu()
    y = norm(conv(y, w, "conv2", stride=2, padding=1), w, "bn2").relu()
    y = norm(conv(y, w, "conv3"), w, "bn3")
    short = norm(conv(x, w, "downsample.0", stride=2), w, "downsample.1")
    torch.testing.assert_close(block(x), (y + short).relu())


def unit(maps, state, name, padding=0, stride=1):
    """One convolution of Inception with its norm and ReLU."""
    maps = conv(maps, state, f"{name}.conv", padding=padding, stride=stride)
    return norm(maps, state, f"{name}.bn", eps=1e-3).relu()


def test_inception_blocks_are_their_formulas(inception):
    x = torch.randn(1, 192, 7, 7, dtype=torch.double)
    block, w = settle(inception.Mixed_5b)
    y5 = unit(unit(x, w, "branch5x5_1"), w, "branch5x5_2", 2)
    y3 = unit(unit(x, w, "branch3x3dbl_1"), w, "branch3x3dbl_2", 1)
    y3 = unit(y3, w, "branch3x3dbl_3", 1)
    pool = unit(F.avg_pool2d(x, 3, 1, 1), w, "branch_pool")
    expected = torch.cat([unit(x, w, "branch1x1"), y5, y3, pool], 1)
    torch.testing.assert_close(block(x), expected)

    x = torch.randn(1, 288, 7, 7, dtype=torch.double)
    block, w = settle(inception.Mixed_6a)
    y3 = unit(unit(x, w, "branch3x3dbl_1"), w, "branch3x3dbl_2", 1)
    y3 = unit(y3, w, "branch3x3dbl_3", stride=2)
    expected = [unit(x, w, "branch3x3", stride=2), y3, F.max_pool2d(x, 3, 2)]
    torch.testing.assert_close(block(x), torch.cat(expected, 1))


def test_inception_forks_are_their_formulas(inception):
    x = torch.randn(1, 1280, 5, 6, dtype=torch.double)
    block, w = settle(inception.Mixed_7b)
    y3 = unit(x, w, "branch3x3_1")
    y33 = unit(unit(x, w, "branch3x3dbl_1"), w, "branch3x3dbl_2", 1)
    expected = [
        unit(x, w, "branch1x1"),
        unit(y3, w, "branch3x3_2a", (0, 1)),
        unit(y3, w, "branch3x3_2b", (1, 0)),
        unit(y33, w, "branch3x3dbl_3a", (0, 1)),
        unit(y33, w, "branch3x3dbl_3b", (1, 0)),
        unit(F.avg_pool2d(x, 3, 1, 1), w, "branch_pool"),
    ]
    torch.testing.assert_close(block(x), torch.cat(expected, 1))


def test_inverted_residual_is_its_formula(inverted_residual):
    block, w = settle(inverted_residual)
    x = torch.randn(2, 40, 7, 7, dtype=torch.double)
    y = F.silu(norm(conv(x, w, "block.0.0"), w, "block.0.1"))
    y = conv(y, w, "block.1.0", padding=2, groups=240)
    y = F.silu(norm(y, w, "block.1.1"))
    gate = F.silu(
        conv(y.mean((2, 3), True), w, "block.2.fc1", bias=w["block.2.fc1.bias"])
    )
    gate = conv(gate, w, "block.2.fc2", bias=w["block.2.fc2.bias"]).sigmoid()
    y = norm(conv(y * gate, w, "block.3.0"), w, "block.3.1")
    torch.testing.assert_close(block(x), x + y)


def test_stochastic_depth_skips_whole_images_and_keeps_the_mean(inverted_residual):
    block = settle(inverted_residual)[0]
    # Norms in evaluation mode, so that images do not see each other.
    block.training = True
    x = torch.randn(1, 40, 5, 5, dtype=torch.double).expand(500, -1, -1, -1)
    with torch.no_grad():
        branch = block(x) - x
        expected = block.block(x[:1])
    stays = branch.abs().amax((1, 2, 3)) > 1e-9
    rate = 1 - stays.double().mean().item()
    # The rate grows with the place among 16 blocks, from 0 to 0.2; this place is 4.
    assert rate == pytest.approx(0.2 * 4 / 16, abs=0.03)
    kept = expected.expand(int(stays.sum()), -1, -1, -1) / (1 - 0.2 * 4 / 16)
    torch.testing.assert_close(branch[stays], kept)


def test_inception_sees_pixels_scaled_to_plus_minus_one(inception):
    pixels = torch.rand(2, 3, 4, 4)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    seen = inception.transform_input((pixels - mean) / std)
    torch.testing.assert_close(seen, 2 * pixels - 1)
