"""EAC-Net, the network of Li et al. (FG 2017, TPAMI 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from skfau.nn._blocks import PerAULinear, check_size, init_xavier_
from skfau.nn._roi_maps import ROIRule, draw_diamonds, resolve_aus
from skfau.nn._transfer import declare_au_axes
from skfau.nn._weights import init_kaiming_, load_weights

__all__ = ["EACNet"]

# Support and slope of the attention map around a centre: 7 of 100 cells over the face,
# and 1 - 0.07 d. The paper's slope is 0.095; see the notes of `EACNet`.
_SUPPORT, _SLOPE = 0.07, 7.0
# Side of a crop in cells, and its side after upsampling and an unpadded convolution.
_CROP = 3
_DEEP_CROP = 2 * _CROP - 2
# Pixels of the image per cell of the fourth group's maps.
_STEP = 8
# Convolutions of a group, and their widths in units of the first group's.
_GROUPS = ((2, 1), (2, 2), (4, 4), (4, 8), (4, 8))


class VGG19(nn.Module):
    """The convolutions and the first linear layer of VGG-19, as torchvision names them.

    Parameters
    ----------
    channels : int
        Channels of the first group, 64 in VGG-19.
    image_size : int
        Side of the images, pixels.
    """

    # Prefixes of checkpoint entries of layers that this backbone does not have.
    unused_entries = ("classifier.3.", "classifier.6.")

    def __init__(self, channels, image_size):
        super().__init__()
        layers, in_channels, self.groups = [], 3, []
        for depth, times in _GROUPS:
            start = len(layers)
            for _ in range(depth):
                layers.append(nn.Conv2d(in_channels, times * channels, 3, padding=1))
                layers.append(nn.ReLU())
                in_channels = times * channels
            self.groups.append((start, len(layers)))
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        flat = in_channels * (image_size // 32) ** 2
        self.classifier = nn.Sequential(nn.Linear(flat, 64 * channels))
        init_kaiming_(self.features)

    def group(self, number, maps, gate=None):
        """Return the maps of a group, counted from 0, before the pooling after it.

        With a gate (n, 1, h, w), the output of the group's first convolution, weighted
        by it, is added to that of the last.
        """
        start, end = self.groups[number]
        if number:
            maps = self.features[start - 1](maps)
        for place in range(start, end):
            maps = self.features[place](maps)
            if place == start + 1:
                first = maps
        return maps if gate is None else maps + gate * first

    def pooled(self, maps):
        """Return the first linear layer's output for the maps of the last group."""
        return self.classifier[0](self.features[-1](maps).flatten(1)).relu()


class _CroppingNet(nn.Module):
    """Two crops per AU, a convolution and an embedding of each, and one decision."""

    def __init__(self, n_aus, in_channels, embedding_dim, hidden, dropout):
        super().__init__()
        crops = 2 * n_aus
        self.conv = nn.Conv2d(crops * in_channels, crops * in_channels, 3, groups=crops)
        self.embed = PerAULinear(crops, in_channels * _DEEP_CROP**2, embedding_dim)
        self.hidden = nn.Linear(crops * embedding_dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, n_aus)

    def forward(self, crops):
        """Return logits for crops (n, 2 * n_aus, in_channels, 3, 3)."""
        maps = F.interpolate(crops.flatten(1, 2), scale_factor=2.0)
        maps = self.conv(maps).relu().unflatten(1, (crops.shape[1], -1))
        embedded = self.embed(maps.flatten(2)).relu()
        return self.out(self.dropout(self.hidden(embedded.flatten(1)).relu()))


class _EnhancingHead(nn.Module):
    """The decision from the whole face, after VGG-19's first linear layer."""

    def __init__(self, n_aus, in_features, hidden, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(in_features, hidden)
        self.out = nn.Linear(hidden, n_aus)

    def forward(self, features):
        hidden = self.hidden(self.dropout(features)).relu()
        return self.out(self.dropout(hidden))


def _cut_crops(maps, centres, stride):
    """Return 3x3 crops of maps (n, c, h, w) around centres in pixels of the images.

    Crops lie wholly in the maps; where a centre is NaN they are 0. Shape (n, n_aus * 2,
    c, 3, 3).
    """
    channels, height, width = maps.shape[1:]
    known = centres.isfinite().all(dim=-1).flatten(1)
    places = ((centres.flatten(1, 2).nan_to_num(0) + 0.5) / stride).floor().long()
    column = places[..., 0].clamp(1, width - 2)
    row = places[..., 1].clamp(1, height - 2)
    around = maps.new_tensor([-1, 0, 1]).long()
    rows = (row[..., None, None] + around.view(3, 1)) * width
    cells = (rows + column[..., None, None] + around).flatten(1)
    index = cells.unsqueeze(1).expand(-1, channels, -1)
    crops = maps.flatten(2).gather(2, index).unflatten(2, (-1, _CROP, _CROP))
    return crops.transpose(1, 2) * known[..., None, None, None]


class EACNet(nn.Module):
    """Enhancing and cropping nets around VGG-19 [1]_.

    Landmarks tell where each AU shows. Enhancing (E-Net): in VGG-19's third and fourth
    group, the output of the first convolution is added to that of the last one at these
    places. Cropping (C-Net): two crops per AU are cut from the fourth group's maps, and
    each has its own convolution and embedding. All embeddings together give the logits.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    aus : sequence of int or None, default=None
        Their FACS numbers, which say where to look; None is the first `n_aus` of BP4D.
    weights : {"imagenet", "rendered"}, path-like or None, default=None
        Initial weights of VGG-19: torchvision's file (downloaded once and checked), a
        file with its entry names, or random ones. Files need ``channels=64,
        image_size=224``.
    enhancing : bool, default=True
        Enhance the places of the AUs.
    cropping : bool, default=True
        Decide from the crops; False decides from the whole face: the paper's E-Net, or
        with ``enhancing=False`` its fine-tuned VGG.
    channels : int, default=64
        Channels of VGG-19's first group; all other widths are in proportion.
    embedding_dim : int, default=150
        Length of a crop's embedding.
    dropout : float, default=0.5
        Around the linear layers before the logits.
    freeze : bool, default=False
        Do not train the first two groups, as with ImageNet's weights in [1]_.
    image_size : int, default=224
        Side of the images, pixels, a multiple of 8 from 32.
    roi_convention : {"jaa", "eac", "aunet"}, default='eac'
        Which rule places the AUs, see `skfau.facs.ROI_RULES`; ``"eac"`` has none for
        AU9, AU25 and AU26 of DISFA.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    trunk : nn.Module
        VGG-19 without its last two linear layers.
    enhancing_head : nn.Module
        The decision from the whole face.
    cropping_net : nn.Module or None
        The crops' convolutions, embeddings and decision.

    Raises
    ------
    ValueError
        If no rule places an AU, the images are too small, or the weights do not fit.
    OSError
        If there is no file of weights, or it cannot be fetched.

    Notes
    -----
    Widths, the normalisation of the fourth group's maps before they are cut and the
    shapes of attention and crops are those of the authors' released code.

    Departures. The authors train the E-Net first, then the C-Net on its maps; here both
    are trained in one network, and the loss takes the logits of both
    (`skfau.losses.EACNetLoss`). They use 20 crops for 12 AUs: AU12, AU14 and AU15 share
    two, and so do AU23 and AU24. Here every AU has two crops with its own filters, so
    that branches can be transferred to another set of AUs. The attention map is drawn
    at a quarter of the images' side, with a symmetric support.

    The paper prints the attention as ``1 - 0.095 d``, d the Manhattan distance to an
    AU's centre in cells of a hundredth of the face. The released code has this slope in
    maps of single AUs, which end after 5 cells, and ``1 - 0.07 d`` up to 7 cells in the
    one map of all AUs that it enhances by. The latter is here, because the published
    network was trained with it. At the border both are about a half.

    The crops of all AUs are one gather, their convolutions one grouped convolution.

    References
    ----------
    .. [1] W. Li, F. Abtahi, Z. Zhu and L. Yin, "EAC-Net: Deep nets with enhancing and
       cropping for facial action unit detection", TPAMI 2018.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import EACNet
    >>> network = EACNet(12, channels=2, image_size=64).eval()
    >>> images, landmarks = torch.zeros(2, 3, 64, 64), 64 * torch.rand(2, 68, 2)
    >>> logits, aux = network(images, landmarks)
    >>> logits.shape, aux["attention_maps"].shape
    (torch.Size([2, 12]), torch.Size([2, 12, 16, 16]))
    """

    def __init__(
        self,
        n_aus: int,
        aus: Sequence[int] | None = None,
        weights: str | Path | None = None,
        *,
        enhancing: bool = True,
        cropping: bool = True,
        channels: int = 64,
        embedding_dim: int = 150,
        dropout: float = 0.5,
        freeze: bool = False,
        image_size: int = 224,
        roi_convention: Literal["jaa", "eac", "aunet"] = "eac",
    ) -> None:
        super().__init__()
        if image_size % _STEP or image_size < 32:
            raise ValueError(
                f"image_size must be a multiple of {_STEP} from 32. Got {image_size}."
            )
        self.n_aus, self.image_size, self.enhancing = n_aus, image_size, enhancing
        self.rule = ROIRule(resolve_aus(n_aus, aus), roi_convention)
        self.trunk = VGG19(channels, image_size)
        hidden = 32 * channels
        self.norm = nn.LocalResponseNorm(5, alpha=0.01, beta=0.75, k=2)
        self.enhancing_head = _EnhancingHead(n_aus, 64 * channels, hidden, dropout)
        self.cropping_net = None
        if cropping:
            self.cropping_net = _CroppingNet(
                n_aus, 8 * channels, embedding_dim, hidden, dropout
            )
            init_xavier_(self.cropping_net)
        init_xavier_(self.enhancing_head)
        init_xavier_(self.trunk.classifier)
        if weights is not None:
            load_weights(self.trunk, "vgg19", weights)
        if freeze:
            self.trunk.features[: self.trunk.groups[2][0]].requires_grad_(False)

    def forward(
        self, images: Tensor, landmarks: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return logits, and what the loss and inspection need.

        Parameters
        ----------
        images : Tensor of shape (n, 3, image_size, image_size), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.
        landmarks : Tensor of shape (n, 68, 2), float
            Pixels of the images, x then y; NaN is unknown: nothing is enhanced there,
            and crops around it are 0.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        aux : dict
            ``"attention_maps"`` (n, n_aus, h, w) in [0, 1] at a quarter of the images'
            side, whose maximum over the AUs is what enhances; with crops also
            ``"enhancing_logits"`` (n, n_aus), from the whole face.

        Raises
        ------
        ValueError
            If images or landmarks have another shape.
        """
        check_size(images, self.image_size)
        if landmarks.shape[1:] != (68, 2):
            raise ValueError(
                f"landmarks must have shape (n, 68, 2). Got {tuple(landmarks.shape)}; "
                "skfau.facs.to_68 brings other layouts to 68."
            )
        centres = self.rule(landmarks)
        attention = self._attention(centres)
        gates = [None, None, None, None, None]
        if self.enhancing:
            fine = attention.amax(dim=1, keepdim=True)
            gates[2], gates[3] = fine, F.max_pool2d(fine, 2)
        maps, fourth = images, None
        for number, gate in enumerate(gates):
            maps = self.trunk.group(number, maps, gate)
            fourth = maps if number == 3 else fourth
        logits, aux = self.enhancing_head(self.trunk.pooled(maps)), {}
        if self.cropping_net is not None:
            aux["enhancing_logits"] = logits
            crops = _cut_crops(self.norm(fourth), centres, _STEP)
            logits = self.cropping_net(crops)
        return logits, {"attention_maps": attention} | aux

    def _attention(self, centres):
        """Return maps (n, n_aus, h, w) around places in pixels, a quarter as wide."""
        size = self.image_size // 4
        cells = (centres + 0.5) / 4 - 0.5
        return draw_diamonds(cells, size, _SUPPORT * size + 0.5, _SLOPE / size)

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            Entry name and the axes along which the AUs' equal blocks follow each
            other. What all AUs share is absent.
        """
        axes = {
            "enhancing_head.out": (0,),
            "cropping_net.conv": (0,),
            "cropping_net.embed": (0,),
            "cropping_net.hidden.weight": (1,),
            "cropping_net.out": (0,),
        }
        return declare_au_axes(self, axes)
