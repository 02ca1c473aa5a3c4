"""Convolutions with separate filters for every patch of a face, at several scales.

In aligned faces a patch always shows the same part, so patches need not share filters.
"""

import torch
from torch import nn

from skfau.nn._blocks import conv_norm_relu

__all__ = ["REGION_LAYERS", "PatchConv", "RegionBackbone", "RegionLayer"]

REGION_LAYERS = ("parallel", "hierarchical")
# Smallest side of a patch: over one position of one image batch norm has no variance.
_MIN_PATCH = 2
# Sides of images are multiples of this: 8x8 patches on maps of half the side.
_SIZE_STEP = 16

# Patches along each side of a face.
_PARALLEL_GRIDS = (8, 4, 2, 1)
_HIERARCHICAL_GRIDS = (8, 4, 2)
# Shares of a layer's channels: a quarter each, or half and two quarters.
_HIERARCHICAL_SHARES = (2, 4, 4)


def _to_patches(maps, grid):
    """Cut (n, c, h, w) in grid x grid patches, (n, grid**2 * c, h/grid, w/grid)."""
    n, channels, height, width = maps.shape
    patches = maps.reshape(n, channels, grid, height // grid, grid, width // grid)
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 3)


def _from_patches(patches, grid):
    """Put the patches of `_to_patches` together again."""
    patches = patches.unflatten(1, (grid, grid, -1))
    return patches.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


class PatchConv(nn.Module):
    """Convolve each patch of a grid with its own 3x3 filters.

    Patches are channels of one grouped convolution; each is padded with zeros like a
    separate image.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of one patch.
    grid : int
        Patches along each side.
    own_norm : bool
        Whether batch norm per patch and ReLU come first.
    affine : bool, default=True
        Whether that batch norm has weights.
    """

    def __init__(self, in_channels, out_channels, grid, own_norm, affine=True):
        super().__init__()
        self.grid = grid
        self.norm = None
        if own_norm:
            self.norm = nn.BatchNorm2d(grid**2 * in_channels, affine=affine)
        self.conv = nn.Conv2d(
            grid**2 * in_channels,
            grid**2 * out_channels,
            3,
            padding=1,
            groups=grid**2,
        )

    def forward(self, maps):
        patches = _to_patches(maps, self.grid)
        if self.norm is not None:
            patches = self.norm(patches).relu()
        return _from_patches(self.conv(patches), self.grid)


class RegionLayer(nn.Module):
    """Multi-scale region layer: local convolutions at several scales plus their input.

    A 3x3 convolution gives maps of `channels` channels. Cut into patches at several
    scales, they go through 3x3 convolutions with separate filters for each patch. The
    outputs, concatenated, are added to the maps; batch norm and ReLU follow.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    channels : int
        Channels of the output, a multiple of 4.
    scales : {"parallel", "hierarchical"}, default="parallel"
        ``"parallel"`` [1]_: after batch norm and ReLU the maps are cut in 8x8, 4x4, 2x2
        and 1x1 patches, a quarter of the channels each. ``"hierarchical"`` [2]_: 8x8
        patches give half of the channels, 4x4 patches of their output a quarter, 2x2
        patches of that output the last quarter; batch norm per patch and ReLU come
        first.

    References
    ----------
    .. [1] Z. Shao, Z. Liu, J. Cai, Y. Wu and L. Ma, "Facial action unit detection
       using attention and relation learning", first version, arXiv:1808.03457.
    .. [2] Z. Shao, Z. Liu, J. Cai and L. Ma, "Deep adaptive attention for joint facial
       action unit detection and face alignment", ECCV 2018.
    """

    def __init__(self, in_channels, channels, scales="parallel"):
        super().__init__()
        self.scales = scales
        self.input = nn.Conv2d(in_channels, channels, 3, padding=1)
        if scales == "parallel":
            self.input_norm = nn.BatchNorm2d(channels)
            steps = [(channels, channels // 4, grid) for grid in _PARALLEL_GRIDS]
        else:
            widths = [channels // share for share in _HIERARCHICAL_SHARES]
            inputs = [channels, *widths[:-1]]
            steps = zip(inputs, widths, _HIERARCHICAL_GRIDS, strict=True)
        own_norm = scales == "hierarchical"
        self.patches = nn.ModuleList(PatchConv(*step, own_norm) for step in steps)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, maps):
        """Return maps of the same size.

        Parameters
        ----------
        maps : Tensor of shape (n, in_channels, h, w)
            Height and width multiples of 8, at least 16.

        Returns
        -------
        maps : Tensor of shape (n, channels, h, w)
        """
        maps = self.input(maps)
        if self.scales == "parallel":
            shared = self.input_norm(maps).relu()
            local = [conv(shared) for conv in self.patches]
        else:
            local = [self.patches[0](maps)]
            for conv in self.patches[1:]:
                local.append(conv(local[-1]))
        return self.norm(torch.cat(local, dim=1) + maps).relu()


class RegionBackbone(nn.Sequential):
    """Two region layers, each followed by a pooling that halves the size.

    Parameters
    ----------
    channels : int
        Of the first layer, a multiple of 4; the second has twice as many.
    scales : {"parallel", "hierarchical"} or None, default="hierarchical"
        See `RegionLayer`; None has plain convolutions.
    """

    def __init__(self, channels, scales="hierarchical"):
        super().__init__()
        for in_channels, width in ((3, channels), (channels, 2 * channels)):
            if scales is None:
                self.append(conv_norm_relu(in_channels, width, 3))
                self.append(conv_norm_relu(width, width, 3))
            else:
                self.append(RegionLayer(in_channels, width, scales))
            self.append(nn.MaxPool2d(2))
        self.size_step = 1 if scales is None else _SIZE_STEP

    def forward(self, images):
        """Return maps at a quarter of the side for images (n, 3, height, width).

        Raises
        ------
        ValueError
            If the images cannot be cut in patches.
        """
        self.check_size(*images.shape[-2:])
        return super().forward(images)

    def check_size(self, height, width):
        """Raise if images of this size cannot be cut in patches."""
        step = self.size_step
        smallest = max(8, step * _MIN_PATCH)
        if height % step or width % step or min(height, width) < smallest:
            cut = f", in multiples of {step} that region layers can cut in patches"
            raise ValueError(
                f"Images must be at least {smallest} px high and wide"
                f"{cut if step > 1 else ''}. Got {height}x{width}; resize them "
                "(image_size= of a classifier)."
            )
