"""JAA-Net, the network of Shao et al. (ECCV 2018, IJCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from skfau.nn._blocks import PerAULinear, check_size, conv_norm_relu, init_xavier_
from skfau.nn._region_layer import RegionBackbone
from skfau.nn._roi_maps import ROIRule, draw_diamonds, resolve_aus
from skfau.nn._transfer import declare_au_axes

__all__ = ["JAANet"]

_VARIANTS = ("ijcv", "eccv")
# Landmarks are learned in pixels of faces of this side.
_REFERENCE_SIDE = 176
# Cells that four unpadded convolutions take from each side of a map.
_MARGIN = 4
# A map's support and slope are fractions of its side.
_SUPPORT, _FILL = 0.14, 0.56
# Factor on the gradient from the label loss to the refinement.
_ENHANCEMENT = 2


def _deep_features(in_channels, channels, groups=1):
    """Return six convolutions that take the maps to an eighth of their side."""
    layers = []
    for width in (12 * channels, 16 * channels, 20 * channels):
        for _ in range(2):
            sizes = groups * in_channels, groups * width
            layers.append(conv_norm_relu(*sizes, 3, groups))
            in_channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _refinement(n_aus, width):
    """Return four unpadded convolutions per AU, from one map to one map."""
    widths = (1, width, width, width)
    layers = []
    for in_channels, out_channels in pairwise(widths):
        sizes = n_aus * in_channels, n_aus * out_channels
        layers += [
            nn.Conv2d(*sizes, 3, groups=n_aus, bias=False),
            nn.BatchNorm2d(n_aus * out_channels),
            nn.ReLU(inplace=True),
        ]
    last = nn.Conv2d(n_aus * width, n_aus, 3, groups=n_aus)
    return nn.Sequential(*layers, last, nn.Sigmoid())


class _LandmarkHead(nn.Module):
    """Two linear layers to landmarks in pixels; the mean face is added in float32."""

    def __init__(self, in_features, hidden, n_landmarks, image_size):
        super().__init__()
        self.scale = image_size / _REFERENCE_SIDE
        self.middle = (image_size - 1) / 2
        self.hidden = nn.Linear(in_features, hidden)
        self.out = nn.Linear(hidden, 2 * n_landmarks, bias=False)
        self.mean = nn.Parameter(torch.zeros(n_landmarks, 2))

    def forward(self, maps):
        moved = self.out(self.hidden(maps.flatten(1)))
        # float32, because bfloat16 resolves positions in a face to a pixel at best.
        moved = moved.to(self.mean.dtype).unflatten(1, (-1, 2))
        return self.middle + self.scale * (self.mean + moved)


class JAANet(nn.Module):
    """Joint AU detection and face alignment via adaptive attention [1]_ [2]_.

    A backbone of two hierarchical multi-scale region layers gives maps at a quarter of
    the images' side. One branch finds the landmarks; these place one attention map per
    AU, which the AU's own convolutions refine. Each AU has a branch on the maps,
    weighted by its attention. The mean of these branches, the alignment branch and a
    global branch together give the logits.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    aus : sequence of int or None, default=None
        Their FACS numbers, which say where their attention starts; None is the first
        `n_aus` of BP4D.
    variant : {"ijcv", "eccv"}, default='ijcv'
        The journal's version [2]_ or the conference's [1]_; see Notes.
    channels : int, default=8
        The unit of all widths; the papers' is 8.
    image_size : int, default=176
        Side of the images, pixels, a multiple of 16 from 32.
    n_landmarks : {49, 68}, default=49
        Landmarks to find: 68 without the jaw and the inner lip corners, or all.
    roi_convention : {"jaa", "eac", "aunet"}, default='jaa'
        Which rule places the maps, see `skfau.facs.ROI_RULES`.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    trunk, align, landmarks, refine, local, overall, head : nn.Module
        Region layers; maps for alignment and the landmarks computed from them;
        refinement; branches of all AUs, side by side; global branch; classifier.
    local_head : nn.Module or None
        Classifiers of the AUs' own branches, only in ``"ijcv"``.

    Raises
    ------
    ValueError
        If a parameter has an unknown value, or no rule places an AU.

    Notes
    -----
    ``"ijcv"``: each AU's branch has its own classifier, and the joint classifier gives
    the branches no gradient. ``"eccv"``: no such classifiers; the gradient from the
    labels to the refinement is doubled (back-propagation enhancement), and the loss
    keeps refined maps close to where they started. In both, no gradient goes from the
    maps to the landmarks. Widths are those of the authors' released PyTorch code.

    Departures. Two outputs per AU through a softmax are one logit here, their
    difference. Convolutions before batch norm have no bias, because batch norm would
    remove it. The released code draws an initial map of 52 cells over the face; four
    unpadded convolutions leave its middle 44. Here the margin of 4 cells lies outside
    of the face, and centres are not rounded to cells. Landmarks are predicted relative
    to the middle of the image.

    References
    ----------
    .. [1] Z. Shao, Z. Liu, J. Cai and L. Ma, "Deep adaptive attention for joint facial
       action unit detection and face alignment", ECCV 2018.
    .. [2] Z. Shao, Z. Liu, J. Cai and L. Ma, "JÂA-Net: Joint facial action unit
       detection and face alignment via adaptive attention", IJCV 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import JAANet
    >>> network = JAANet(12, channels=2, image_size=64).eval()
    >>> logits, aux = network(torch.zeros(2, 3, 64, 64))
    >>> logits.shape, aux["landmarks"].shape, aux["refined_maps"].shape
    (torch.Size([2, 12]), torch.Size([2, 49, 2]), torch.Size([2, 12, 16, 16]))
    """

    def __init__(
        self,
        n_aus: int,
        aus: Sequence[int] | None = None,
        *,
        variant: Literal["ijcv", "eccv"] = "ijcv",
        channels: int = 8,
        image_size: int = 176,
        n_landmarks: Literal[49, 68] = 49,
        roi_convention: Literal["jaa", "eac", "aunet"] = "jaa",
    ) -> None:
        super().__init__()
        if variant not in _VARIANTS:
            raise ValueError(f"variant must be one of {_VARIANTS}. Got {variant!r}.")
        if n_landmarks not in (49, 68):
            raise ValueError(f"n_landmarks must be 49 or 68. Got {n_landmarks}.")
        self.n_aus, self.image_size = n_aus, image_size
        self.rule = ROIRule(resolve_aus(n_aus, aus), roi_convention, n_landmarks)
        self.trunk = RegionBackbone(4 * channels)
        self.trunk.check_size(image_size, image_size)
        shared, hidden = 8 * channels, 64 * channels
        features = 20 * channels * (image_size // 32) ** 2
        self.align = _deep_features(shared, channels)
        self.landmarks = _LandmarkHead(features, hidden, n_landmarks, image_size)
        self.refine = _refinement(n_aus, 8 * channels)
        self.local = _deep_features(shared, channels, n_aus)
        self.local_head = None
        if variant == "ijcv":
            self.local_head = nn.Sequential(
                PerAULinear(n_aus, features, 8 * channels),
                PerAULinear(n_aus, 8 * channels, 1),
            )
        self.overall = _deep_features(shared, channels)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * features, hidden), nn.Linear(hidden, n_aus)
        )
        init_xavier_(self)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return logits, and what the loss and inspection need.

        Parameters
        ----------
        images : Tensor of shape (n, 3, image_size, image_size), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        aux : dict
            ``"landmarks"`` (n, n_landmarks, 2), pixels of the images, x then y;
            ``"attention_maps"`` (n, n_aus, h, w) in [0, 1], where landmarks place them,
            and ``"refined_maps"``, both at a quarter of the images' side; in ``"ijcv"``
            ``"local_logits"`` (n, n_aus) of the AUs' own branches.

        Raises
        ------
        ValueError
            If the images have another size.
        """
        check_size(images, self.image_size)
        shared = self.trunk(images)
        aligned = self.align(shared)
        landmarks = self.landmarks(aligned)
        initial = self.initial_maps(landmarks.detach(), shared.shape[-1])
        refined = self.refine(initial)
        inside = slice(_MARGIN, -_MARGIN)
        aux = {
            "landmarks": landmarks,
            "attention_maps": initial[..., inside, inside],
            "refined_maps": refined,
        }
        local = self._local_features(shared, refined)
        if self.local_head is not None:
            aux["local_logits"] = self.local_head(local.flatten(2)).squeeze(2)
            local = local.detach()
        features = [aligned, self.overall(shared), local.mean(dim=1)]
        return self.head(torch.cat(features, dim=1)), aux

    def initial_maps(self, landmarks: Tensor, size: int) -> Tensor:
        """Return maps (n, n_aus, size + 8, size + 8), which reach beyond the face.

        Parameters
        ----------
        landmarks : Tensor of shape (n, n_landmarks, 2)
            Pixels of the images, x then y.
        size : int
            Cells over the image's side.
        """
        centres = (self.rule(landmarks) + 0.5) * (size / self.image_size) - 0.5
        side = size + 2 * _MARGIN
        support = round((side - 1) / 2 * _SUPPORT) + 0.5
        slope = _FILL / (_SUPPORT * side)
        return draw_diamonds(centres + _MARGIN, side, support, slope)

    def _local_features(self, shared, refined):
        """Return the maps of each AU's branch on the attended maps, (n, n_aus, ...)."""
        if self.local_head is None:
            held = refined.detach()
            refined = held + _ENHANCEMENT * (refined - held)
        seen = (shared.unsqueeze(1) * refined.unsqueeze(2)).flatten(1, 2)
        return self.local(seen).unflatten(1, (self.n_aus, -1))

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            Entry name and the axes along which the AUs' equal blocks follow each
            other. What all AUs share is absent.
        """
        per_au = ("refine", "local", "local_head", "head.2")
        return declare_au_axes(self, dict.fromkeys(per_au, (0,)))
