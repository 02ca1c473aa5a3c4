"""The face alignment network that gives AUNet its features."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skfau.nn._weights import IMAGENET_MEAN, IMAGENET_STD, init_kaiming_, load_weights

__all__ = ["FAN", "BatchNorm", "MultiScaleBlock", "halve"]

# Levels of an hourglass.
_DEPTH = 4
# Sizes as published, and of the shipped network.
_PUBLISHED = {"width": 256, "n_stacks": 2}
_RENDERED = {"width": 64, "n_stacks": 1}
# Cells either side of a heatmap's peak that say where between cells it is; beyond lie
# other landmarks' shadows.
_NEAR = 2
# Initial scale of the layers that give heatmaps: small, as heatmaps are 0 almost
# everywhere. After 230 steps on made faces landmarks were 0.8 cells off; with the
# scale of the other layers the network had not even learned the empty map.
_HEATMAP_STD = 1e-3


def halve(maps):
    """Max-pool by 2; an odd side keeps its last cell, so any image size is allowed."""
    return F.max_pool2d(maps, 2, ceil_mode=True)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that also takes vectors, and training batches of one value a channel.

    One value has no variance, so the running statistics are used. The last batch of an
    epoch may hold a single face, and the innermost maps of a small image a single cell.
    """

    def _check_input_dim(self, inputs):
        """Take maps (n, c, h, w) and vectors (n, c)."""

    def forward(self, inputs):
        """Normalise over all axes but the second."""
        if not self.training or inputs.numel() > inputs.shape[1]:
            return super().forward(inputs)
        running = self.running_mean, self.running_var
        return F.batch_norm(inputs, *running, self.weight, self.bias, eps=self.eps)


class MultiScaleBlock(nn.Module):
    """Three 3x3 convolutions in a row, their outputs concatenated, and a shortcut.

    Batch norm and ReLU come before each convolution. The convolutions' widths are a
    half, a quarter and a quarter of the output (Bulat and Tzimiropoulos, 2017).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels; `out_channels` is a multiple of 4.
    """

    def __init__(self, in_channels, out_channels):
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.bn1 = BatchNorm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, half, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(half)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3 = BatchNorm(quarter)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample = None
        if in_channels != out_channels:
            self.downsample = nn.Sequential(
                BatchNorm(in_channels),
                nn.ReLU(),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
            )

    def forward(self, maps):
        """Map (n, in_channels, h, w) to (n, out_channels, h, w)."""
        half = self.conv1(F.relu(self.bn1(maps)))
        quarter = self.conv2(F.relu(self.bn2(half)))
        last = self.conv3(F.relu(self.bn3(quarter)))
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return torch.cat([half, quarter, last], dim=1) + shortcut


class Hourglass(nn.Module):
    """Down to a sixteenth of the side and up again, with a shortcut at each level.

    Parameters
    ----------
    channels : int
        Channels at every level.
    """

    def __init__(self, channels):
        super().__init__()
        for level in range(_DEPTH, 0, -1):
            for name in ("b1", "b2", "b3"):
                self.add_module(f"{name}_{level}", MultiScaleBlock(channels, channels))
        self.b2_plus_1 = MultiScaleBlock(channels, channels)

    def forward(self, maps, level=_DEPTH):
        """Map (n, channels, h, w) to maps of the same shape."""
        shortcut = self.get_submodule(f"b1_{level}")(maps)
        down = self.get_submodule(f"b2_{level}")(halve(maps))
        inner = self.b2_plus_1(down) if level == 1 else self.forward(down, level - 1)
        up = self.get_submodule(f"b3_{level}")(inner)
        return shortcut + F.interpolate(up, shortcut.shape[-2:])


class FAN(nn.Module):
    """Face alignment network: stacked hourglasses that mark facial landmarks [1]_.

    Parameters
    ----------
    weights : {"rendered"}, path or None, default=None
        None draws from torch's generator. ``"rendered"`` is shipped: a small network
        that learned the exact points of rendered faces at 128 px. A path reads
        ``.safetensors`` or a saved state dict of the published two-stack network
        (``2dfan2``), which has the same entry names.
    width : int or None, default=None
        Channels of the hourglasses, a multiple of 16; 16 to 64 train on a CPU. None is
        256 as published, or 64 with ``weights="rendered"``.
    n_stacks : int or None, default=None
        Hourglasses one after the other. None is 2 as published, or 1 with
        ``weights="rendered"``.
    n_landmarks : int, default=68
        Points marked.

    Attributes
    ----------
    width : int
        Channels of the hourglasses.
    n_stacks : int
        Hourglasses.
    out_channels : int
        Channels of `features`: `width` for each stack and for the maps before them.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no file at `weights`, or its entries do not fit; if `width` is not a
        multiple of 16, or the size is not that of ``weights="rendered"``.

    Notes
    -----
    As published, 12,106,504 parameters, for images of 256 px (maps of a quarter of
    the side). The published network takes RGB in [0, 1]; this one takes normalised
    images like every backbone here, and converts them back itself.

    References
    ----------
    .. [1] A. Bulat and G. Tzimiropoulos, "How far are we from solving the 2D & 3D face
       alignment problem?", ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import FAN
    >>> fan = FAN(width=16).eval()
    >>> fan(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 2, 68, 16, 16])
    >>> fan.features(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 48, 16, 16])
    >>> FAN("rendered").eval().landmarks(torch.zeros(1, 3, 128, 128)).shape
    torch.Size([1, 68, 2])
    """

    unused_entries = ()
    entry_names = "the entry names of the published '2dfan2'"

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        width: int | None = None,
        n_stacks: int | None = None,
        n_landmarks: int = 68,
    ) -> None:
        super().__init__()
        width, n_stacks = _size(weights, width, n_stacks)
        self.width, self.n_stacks = width, n_stacks
        self.out_channels = width * (n_stacks + 1)
        self.conv1 = nn.Conv2d(3, width // 4, 7, 2, 3)
        self.bn1 = BatchNorm(width // 4)
        self.conv2 = MultiScaleBlock(width // 4, width // 2)
        self.conv3 = MultiScaleBlock(width // 2, width // 2)
        self.conv4 = MultiScaleBlock(width // 2, width)
        for k in range(n_stacks):
            self._add_stack(k, width, n_landmarks, last=k == n_stacks - 1)
        shape = (1, 3, 1, 1)
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("mean", mean.view(shape), persistent=False)
        self.register_buffer("std", std.view(shape), persistent=False)
        init_kaiming_(self)
        for k in range(n_stacks):
            nn.init.normal_(getattr(self, f"l{k}").weight, std=_HEATMAP_STD)
        if weights is not None:
            load_weights(self, "fan", weights)

    def _add_stack(self, k, width, n_landmarks, last):
        layers = {
            f"m{k}": Hourglass(width),
            f"top_m_{k}": MultiScaleBlock(width, width),
            f"conv_last{k}": nn.Conv2d(width, width, 1),
            f"bn_end{k}": BatchNorm(width),
            f"l{k}": nn.Conv2d(width, n_landmarks, 1),
        }
        if not last:
            layers[f"bl{k}"] = nn.Conv2d(width, width, 1)
            layers[f"al{k}"] = nn.Conv2d(n_landmarks, width, 1)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, images: Tensor) -> Tensor:
        """Return the landmarks' heatmaps of every stack.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        heatmaps : Tensor of shape (n, n_stacks, n_landmarks, height / 4, width / 4)
        """
        return torch.stack(self._run(images)[1], dim=1)

    def features(self, images: Tensor) -> Tensor:
        """Return the basic features of AUNet.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        features : Tensor of shape (n, out_channels, height / 4, width / 4)
            The maps before the first hourglass, then those of each hourglass times the
            sum of the last one's heatmaps. The maps of all hourglasses but the last are
            taken after the layer that passes them on (``bl``), as in the authors' code.
        """
        maps, heatmaps = self._run(images)
        attention = heatmaps[-1].sum(dim=1, keepdim=True)
        return torch.cat([maps[0], *(attention * m for m in maps[1:])], dim=1)

    def landmarks(self, images: Tensor) -> Tensor:
        """Return where the landmarks are, by the heatmaps of the last hourglass.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        landmarks : Tensor of shape (n, n_landmarks, 2), float
            Pixels of the image, x then y: the mean place of the 5 x 5 cells around the
            highest, each weighted by its height.
        """
        heatmaps = self._run(images)[1][-1].float().clamp(min=0)
        height, width = heatmaps.shape[-2:]
        peaks = heatmaps.flatten(2).argmax(dim=2)
        x, y = peaks % width, peaks // width
        across = torch.arange(width).to(x) - x[..., None]
        down = torch.arange(height).to(y) - y[..., None]
        near = (down.abs() <= _NEAR)[..., None] & (across.abs() <= _NEAR)[..., None, :]
        heights = heatmaps * near
        total = heights.sum(dim=(2, 3)).clamp(min=1e-6)
        x = x + (heights.sum(dim=2) * across).sum(dim=2) / total
        y = y + (heights.sum(dim=3) * down).sum(dim=2) / total
        cells = torch.stack([x, y], dim=-1) + 0.5
        sides = cells.new_tensor([images.shape[-1], images.shape[-2]])
        return cells * sides / cells.new_tensor([width, height]) - 0.5

    def _run(self, images):
        """Return the maps before the hourglasses and of each, and each's heatmaps."""
        x = F.relu(self.bn1(self.conv1(images * self.std + self.mean)))
        x = self.conv4(self.conv3(halve(self.conv2(x))))
        maps, heatmaps = [x], []
        for k in range(self.n_stacks):
            layer = {n: getattr(self, f"{n}{k}") for n in ("m", "conv_last", "bn_end")}
            top = getattr(self, f"top_m_{k}")(layer["m"](x))
            top = F.relu(layer["bn_end"](layer["conv_last"](top)))
            heatmaps.append(getattr(self, f"l{k}")(top))
            if k < self.n_stacks - 1:
                top = getattr(self, f"bl{k}")(top)
                x = x + top + getattr(self, f"al{k}")(heatmaps[-1])
            maps.append(top)
        return maps, heatmaps


def _size(weights, width, n_stacks):
    """Return width and hourglasses of a network; None is those of its weights."""
    own = _RENDERED if weights == "rendered" else _PUBLISHED
    width = own["width"] if width is None else width
    n_stacks = own["n_stacks"] if n_stacks is None else n_stacks
    if width % 16:
        raise ValueError(f"width must be a multiple of 16. Got {width}.")
    if weights == "rendered" and (width, n_stacks) != tuple(own.values()):
        raise ValueError(
            "The face alignment network of weights='rendered' has "
            f"width={own['width']} and n_stacks={own['n_stacks']}. Got {width} and "
            f"{n_stacks}; leave both at None."
        )
    return width, n_stacks
