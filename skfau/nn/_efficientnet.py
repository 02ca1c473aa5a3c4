"""EfficientNet-B0 backbone, cut after its 14x14 stage or whole.

References
----------
Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural
networks", ICML 2019.
"""

from collections import OrderedDict

import torch
from torch import nn

from skfau.nn._weights import init_kaiming_

__all__ = ["efficientnet_b0"]

# Table 1 of the paper: expansion, kernel, stride, channels, blocks of each stage.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_N_BLOCKS = sum(stage[-1] for stage in _STAGES)
_MAX_DROP = 0.2


def _conv_norm(in_channels, out_channels, kernel, stride=1, groups=1, act=True):
    padding = kernel // 2
    layers = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([nn.SiLU(inplace=True)] if act else []))


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from the means of all channels.

    Parameters
    ----------
    channels, squeezed : int
        Channels of the maps and of the hidden layer of the gate.
    """

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.act = nn.SiLU(inplace=True)

    def forward(self, maps):
        """Map (n, channels, h, w) to maps of the same shape."""
        means = maps.mean(dim=(2, 3), keepdim=True)
        return maps * torch.sigmoid(self.fc2(self.act(self.fc1(means))))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, gate the channels, project; add the input.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output; equal (at stride 1) adds the input.
    expansion : int
        Factor from the input's channels to the inner ones.
    kernel, stride : int
        Of the depthwise convolution.
    drop : float
        Probability with which training skips an image's residual branch (stochastic
        depth); the branches that stay are scaled by 1 / (1 - drop).
    """

    def __init__(self, in_channels, out_channels, expansion, kernel, stride, drop):
        super().__init__()
        inner = in_channels * expansion
        expand = [_conv_norm(in_channels, inner, 1)] if expansion > 1 else []
        self.block = nn.Sequential(
            *expand,
            _conv_norm(inner, inner, kernel, stride, groups=inner),
            SqueezeExcitation(inner, in_channels // 4),
            _conv_norm(inner, out_channels, 1, act=False),
        )
        self.residual = stride == 1 and in_channels == out_channels
        self.drop = drop

    def forward(self, maps):
        """Map (n, in_channels, h, w) to (n, out_channels, h / stride, w / stride)."""
        out = self.block(maps)
        if not self.residual:
            return out
        if self.training:
            keep = out.new_empty(len(out), 1, 1, 1).bernoulli_(1 - self.drop)
            out = out * (keep / (1 - self.drop))
        return out + maps


def efficientnet_b0(full):
    """Return EfficientNet-B0 whole (`full`, 7x7x1280 at 224 px) or cut at 14x14x112."""
    layers, channels, block = [_conv_norm(3, 32, 3, 2)], 32, 0
    for expansion, kernel, stride, width, depth in _STAGES[: None if full else 5]:
        stage = []
        for position in range(depth):
            step = stride if position == 0 else 1
            drop = _MAX_DROP * block / _N_BLOCKS
            stage.append(
                InvertedResidual(channels, width, expansion, kernel, step, drop)
            )
            channels, block = width, block + 1
        layers.append(nn.Sequential(*stage))
    unused = ["classifier."]
    if full:
        layers.append(_conv_norm(channels, 1280, 1))
        channels = 1280
    else:
        unused += ["features.6.", "features.7.", "features.8."]
    backbone = nn.Sequential(OrderedDict(features=nn.Sequential(*layers)))
    backbone.out_channels = channels
    backbone.unused_entries = tuple(unused)
    init_kaiming_(backbone)
    return backbone
