"""Residual backbones: ResNet-18, -34 and -50, and this library's small `tiny`.

References
----------
He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from skfau.nn._weights import init_kaiming_

__all__ = ["resnet18", "resnet34", "resnet50", "tiny"]


def _shortcut(in_channels, out_channels, stride):
    """Return the projection of the block's input, or None if its shape fits."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them.

    Parameters
    ----------
    in_channels, width : int
        Channels of the input and of the output.
    stride : int, default=1
        Stride of the first convolution.
    """

    expansion = 1

    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, maps):
        """Map (n, in_channels, h, w) to (n, width, h / stride, w / stride)."""
        residual = self.relu(self.bn1(self.conv1(maps)))
        residual = self.bn2(self.conv2(residual))
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return self.relu(residual + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution and a shortcut around them.

    The stride belongs to the 3x3 convolution, as in the published checkpoints, and not
    to the first 1x1 convolution as in the paper.

    Parameters
    ----------
    in_channels, width : int
        Channels of the input and of the inner maps; the output has 4 * width.
    stride : int, default=1
        Stride of the 3x3 convolution.
    """

    expansion = 4

    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, maps):
        """Map (n, in_channels, h, w) to (n, 4 * width, h / stride, w / stride)."""
        residual = self.relu(self.bn1(self.conv1(maps)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return self.relu(residual + shortcut)


def _make_backbone(stem, channels, block, stages, unused_entries):
    """Put residual stages after a stem and draw the initial weights.

    Parameters
    ----------
    stem : list of (str, nn.Module)
        The first layers with their names.
    channels : int
        Channels that come out of the stem.
    block : type
        `BasicBlock` or `Bottleneck`.
    stages : list of (int, int, int)
        Number of blocks, width and stride of each stage.
    unused_entries : tuple of str
        Prefixes of checkpoint entries of layers that this backbone does not have.
    """
    layers = OrderedDict(stem)
    for index, (depth, width, stride) in enumerate(stages, start=1):
        blocks = []
        for position in range(depth):
            blocks.append(block(channels, width, stride if position == 0 else 1))
            channels = width * block.expansion
        layers[f"layer{index}"] = nn.Sequential(*blocks)
    backbone = nn.Sequential(layers)
    backbone.out_channels = channels
    backbone.unused_entries = unused_entries
    init_kaiming_(backbone)
    return backbone


def _resnet(block, depths, full):
    """Return a ResNet up to layer4 (`full`, 7x7 at 224 px) or layer3 (14x14)."""
    stem = [
        ("conv1", nn.Conv2d(3, 64, 7, 2, 3, bias=False)),
        ("bn1", nn.BatchNorm2d(64)),
        ("relu", nn.ReLU(inplace=True)),
        ("maxpool", nn.MaxPool2d(3, 2, 1)),
    ]
    stages = list(zip(depths, (64, 128, 256, 512), (1, 2, 2, 2), strict=True))
    if full:
        return _make_backbone(stem, 64, block, stages, ("fc.",))
    return _make_backbone(stem, 64, block, stages[:3], ("fc.", "layer4."))


resnet18 = partial(_resnet, BasicBlock, (2, 2, 2, 2))
resnet34 = partial(_resnet, BasicBlock, (3, 4, 6, 3))
resnet50 = partial(_resnet, Bottleneck, (3, 4, 6, 3))


def tiny(full):
    """Return the small backbone: 14x14x64 at 112 px, or 7x7x128 when `full`.

    The blocks are plain 3x3 and not depthwise: at widths this small, one CPU thread
    trains a depthwise backbone with half the weights more slowly. Every image is first
    brought to mean 0 and variance 1, because with few subjects the backbone would
    otherwise learn light and skin by heart. There are no published weights that this
    would contradict.
    """
    stem = [
        ("norm0", nn.InstanceNorm2d(3)),
        ("conv1", nn.Conv2d(3, 16, 3, 2, 1, bias=False)),
        ("bn1", nn.BatchNorm2d(16)),
        ("relu", nn.ReLU(inplace=True)),
    ]
    stages = [(1, 32, 2), (2, 64, 2), (1, 128, 2)]
    if full:
        return _make_backbone(stem, 16, BasicBlock, stages, ())
    return _make_backbone(stem, 16, BasicBlock, stages[:2], ("layer3.",))
