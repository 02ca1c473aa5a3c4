"""Inception-v3 backbone, cut after Mixed_6e or whole.

References
----------
Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the inception architecture
for computer vision", CVPR 2016.
"""

from collections import OrderedDict
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from skfau.nn._weights import IMAGENET_MEAN, IMAGENET_STD, init_kaiming_

__all__ = ["inception_v3"]


class ToInceptionRange(nn.Module):
    """Turn ImageNet-normalised images into the [-1, 1] range of Inception-v3.

    The published weights come from a network trained on pixels scaled to [-1, 1]
    (mean 0.5, standard deviation 0.5), while all backbones here take ImageNet
    normalisation. Random weights see the same range, so that a checkpoint means the
    same wherever it came from.
    """

    def __init__(self):
        super().__init__()
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("scale", (std / 0.5).view(3, 1, 1), persistent=False)
        shift = ((mean - 0.5) / 0.5).view(3, 1, 1)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, images):
        """Map (n, 3, h, w) to images of the same shape."""
        return torch.addcmul(self.shift, images, self.scale)


class ConvNormReLU(nn.Module):
    """Convolution, batch normalisation (eps 1e-3) and ReLU.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    kernel : int or (int, int)
        Height and width of the kernel, both odd.
    stride : int, default=1
        Stride of the convolution.
    padded : bool, default=True
        Whether zeros keep the map's size (at stride 1).
    """

    def __init__(self, in_channels, out_channels, kernel, stride=1, padded=True):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if padded else 0
        self.conv = nn.Conv2d(
            in_channels, out_channels, (height, width), stride, padding, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, maps):
        """Map (n, in_channels, h, w) to (n, out_channels, h', w')."""
        return F.relu(self.bn(self.conv(maps)), inplace=True)


# The mean counts padding as zeros, as the published weights expect.
_POOLS = {
    "mean": partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1),
    "halve": partial(F.max_pool2d, kernel_size=3, stride=2),
}


class Mixed(nn.Module):
    """An Inception block: parallel paths whose maps are concatenated.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    paths : tuple of tuple
        The steps of each path in order. A step is the name of a pooling, one
        convolution ``(name, channels, kernel)``, one that halves the map without
        padding ``(name, channels, kernel, "halve")``, or a tuple of convolutions that
        read the same maps and end the path.
    """

    def __init__(self, in_channels, paths):
        super().__init__()
        self.paths, self.out_channels = [], 0
        for path in paths:
            names, channels = [], in_channels
            for step in path:
                if isinstance(step, str):
                    names.append(step)
                    continue
                fork = step if isinstance(step[0], tuple) else (step,)
                for name, width, kernel, *halve in fork:
                    shape = {"stride": 2, "padded": False} if halve else {}
                    conv = ConvNormReLU(channels, width, kernel, **shape)
                    self.add_module(name, conv)
                names.append(tuple(conv[0] for conv in fork))
                channels = sum(conv[1] for conv in fork)
            self.paths.append(names)
            self.out_channels += channels

    def forward(self, maps):
        """Map (n, in_channels, h, w) to (n, out_channels, h', w')."""
        outputs = []
        for path in self.paths:
            found = [maps]
            for step in path:
                if isinstance(step, str):
                    found = [_POOLS[step](found[0])]
                else:
                    found = [getattr(self, name)(found[0]) for name in step]
            outputs += found
        return torch.cat(outputs, dim=1)


def _mixed_5(pooled):
    return (
        (("branch1x1", 64, 1),),
        (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
        (
            ("branch3x3dbl_1", 64, 1),
            ("branch3x3dbl_2", 96, 3),
            ("branch3x3dbl_3", 96, 3),
        ),
        ("mean", ("branch_pool", pooled, 1)),
    )


_MIXED_6A = (
    (("branch3x3", 384, 3, "halve"),),
    (
        ("branch3x3dbl_1", 64, 1),
        ("branch3x3dbl_2", 96, 3),
        ("branch3x3dbl_3", 96, 3, "halve"),
    ),
    ("halve",),
)


def _mixed_6(width):
    return (
        (("branch1x1", 192, 1),),
        (
            ("branch7x7_1", width, 1),
            ("branch7x7_2", width, (1, 7)),
            ("branch7x7_3", 192, (7, 1)),
        ),
        (
            ("branch7x7dbl_1", width, 1),
            ("branch7x7dbl_2", width, (7, 1)),
            ("branch7x7dbl_3", width, (1, 7)),
            ("branch7x7dbl_4", width, (7, 1)),
            ("branch7x7dbl_5", 192, (1, 7)),
        ),
        ("mean", ("branch_pool", 192, 1)),
    )


_MIXED_7A = (
    (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, "halve")),
    (
        ("branch7x7x3_1", 192, 1),
        ("branch7x7x3_2", 192, (1, 7)),
        ("branch7x7x3_3", 192, (7, 1)),
        ("branch7x7x3_4", 192, 3, "halve"),
    ),
    ("halve",),
)
_MIXED_7 = (
    (("branch1x1", 320, 1),),
    (
        ("branch3x3_1", 384, 1),
        (("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))),
    ),
    (
        ("branch3x3dbl_1", 448, 1),
        ("branch3x3dbl_2", 384, 3),
        (("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))),
    ),
    ("mean", ("branch_pool", 192, 1)),
)
_BLOCKS = {
    "Mixed_5b": _mixed_5(32),
    "Mixed_5c": _mixed_5(64),
    "Mixed_5d": _mixed_5(64),
    "Mixed_6a": _MIXED_6A,
    "Mixed_6b": _mixed_6(128),
    "Mixed_6c": _mixed_6(160),
    "Mixed_6d": _mixed_6(160),
    "Mixed_6e": _mixed_6(192),
    "Mixed_7a": _MIXED_7A,
    "Mixed_7b": _MIXED_7,
    "Mixed_7c": _MIXED_7,
}


def inception_v3(full):
    """Return Inception-v3 up to Mixed_7c (`full`, 8x8x2048 at 299 px) or Mixed_6e."""
    layers = OrderedDict(
        transform_input=ToInceptionRange(),
        Conv2d_1a_3x3=ConvNormReLU(3, 32, 3, stride=2, padded=False),
        Conv2d_2a_3x3=ConvNormReLU(32, 32, 3, padded=False),
        Conv2d_2b_3x3=ConvNormReLU(32, 64, 3),
        maxpool1=nn.MaxPool2d(3, 2),
        Conv2d_3b_1x1=ConvNormReLU(64, 80, 1),
        Conv2d_4a_3x3=ConvNormReLU(80, 192, 3, padded=False),
        maxpool2=nn.MaxPool2d(3, 2),
    )
    channels = 192
    for name, paths in _BLOCKS.items():
        if not full and name.startswith("Mixed_7"):
            break
        layers[name] = Mixed(channels, paths)
        channels = layers[name].out_channels
    backbone = nn.Sequential(layers)
    backbone.out_channels = channels
    backbone.unused_entries = ("AuxLogits.", "fc.") + (() if full else ("Mixed_7",))
    init_kaiming_(backbone)
    return backbone
