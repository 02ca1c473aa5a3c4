"""A 3x3 convolution per AU over shared maps that the AU's gate weights.

Each AU i has its own filters on ``maps * (1 + gate_i)``. The gated copies together
are n_aus times as large as the maps, and the layer holds most of a network's
multiplications. On a GPU, and for narrow maps, it is one grouped convolution; for wide
maps on a CPU see `_winograd`.
"""

import torch.nn.functional as F
from torch import nn

from skfau.nn._winograd import tiled_conv, tiles_pay

__all__ = ["GatedConv2d"]


class GatedConv2d(nn.Module):
    """Convolve shared maps with the 3x3 filters of every AU, gated per AU or not.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    in_channels : int
        Channels of the maps.
    out_channels : int
        Channels of each AU's output.

    Notes
    -----
    On a CPU, in float32 and for at least 256 channels and 64 tiles of 4x4 positions in
    the batch, sums are reordered: outputs differ from a direct convolution's by some
    1e-5 of the largest one. Compiled and exported graphs hold the plain convolution.
    """

    def __init__(self, n_aus, in_channels, out_channels):
        super().__init__()
        self.n_aus = n_aus
        # nn.Conv2d gives its initialisation and entry names; its forward is not used.
        self.filters = nn.Conv2d(
            in_channels, n_aus * out_channels, 3, padding=1, bias=False
        )

    def forward(self, maps, gates=None):
        """Return the maps of all AUs side by side.

        Parameters
        ----------
        maps : Tensor of shape (n, in_channels, h, w)
            Shared by all AUs.
        gates : Tensor of shape (n, n_aus, h, w) or None, default=None
            In [0, 1]; what AU i sees is ``maps * (1 + gates[:, i])``. None: maps.

        Returns
        -------
        out : Tensor of shape (n, n_aus * out_channels, h, w)
        """
        weight = self.filters.weight
        if tiles_pay(maps, weight):
            return tiled_conv(maps, gates, weight)
        if gates is None:
            return F.conv2d(maps, weight, padding=1)
        # Channels last, the layout in which grouped convolutions are fastest.
        shared = maps.permute(0, 2, 3, 1).contiguous().unsqueeze(3)
        gated = shared * (1 + gates.permute(0, 2, 3, 1)).unsqueeze(4)
        gated = gated.flatten(3).permute(0, 3, 1, 2)
        return F.conv2d(gated, weight, padding=1, groups=self.n_aus)
