"""Attention and decision of one branch per AU, for all AUs side by side."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from skfau.nn._blocks import PerAULinear
from skfau.nn._weights import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["ChannelAttention", "Decision", "PerAUConv", "SpatialAttention"]


def _gated(maps, gates):
    """Weight maps (n, n_aus * c, h, w) by gates (n, n_aus, 1 or c, 1 or h, 1 or w)."""
    return (maps.unflatten(1, (gates.shape[1], -1)) * gates).flatten(1, 2)


class PerAUConv(nn.Module):
    """3x3 convolution, batch norm and activation, with separate weights for each AU.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    in_channels, channels : int
        Channels of one AU's input and output.
    shared_input : bool, default=False
        All AUs see the same `in_channels` maps.
    """

    def __init__(self, n_aus, in_channels, channels, shared_input=False):
        super().__init__()
        groups = 1 if shared_input else n_aus
        self.conv = nn.Conv2d(
            groups * in_channels, n_aus * channels, 3, padding=1, groups=groups
        )
        self.norm = nn.BatchNorm2d(n_aus * channels)

    def forward(self, maps, gates=None, activation=F.relu):
        """Return (n, n_aus * channels, h, w); gates weigh the convolution's output."""
        maps = self.conv(maps)
        return activation(self.norm(maps if gates is None else _gated(maps, gates)))


class ChannelAttention(nn.Module):
    """Give each AU its own maps and weigh their channels (equations 3 and 4).

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    in_channels : int
        Channels of the shared maps.
    width : int
        Channels of each AU's maps.
    weigh : bool
        Whether to weigh the channels.
    """

    def __init__(self, n_aus, in_channels, width, weigh):
        super().__init__()
        self.n_aus = n_aus
        self.first = PerAUConv(n_aus, in_channels, width, shared_input=True)
        self.weigh = PerAULinear(n_aus, width, width) if weigh else None
        self.second = PerAUConv(n_aus, width, width)
        self.third = PerAUConv(n_aus, width, width)

    def forward(self, maps):
        """Return (n, n_aus * width, h, w) and weights (n, n_aus, width) or None."""
        maps = self.first(maps)
        weights = self._weights(maps)
        gates = None if weights is None else weights[..., None, None]
        return self.third(self.second(maps, gates)), weights

    def weighted(self, maps):
        """Return the weighted maps of equation 4, (n, n_aus * width, h, w)."""
        maps = self.first(maps)
        weights = self._weights(maps)
        maps = self.second.conv(maps)
        return maps if weights is None else _gated(maps, weights[..., None, None])

    def _weights(self, maps):
        if self.weigh is None:
            return None
        pooled = maps.mean(dim=(2, 3)).unflatten(1, (self.n_aus, -1))
        return self.weigh(pooled).sigmoid()


class SpatialAttention(nn.Module):
    """Predict where each AU looks; a CRF refines it (equations 5 to 8).

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    width : int
        Channels of each AU's maps.
    kernel_features : int
        Channels per AU of a convolution with tanh. The attention is computed from them,
        and the CRF compares pixels by them. With 0 there is no such convolution, and
        the CRF compares colours.
    crf : nn.Module or None
        Refines logits by features, see `skfau.nn.DenseCRF`.
    scale : int
        Side of the maps that the CRF works on, as a multiple of the input's side.
    energy : bool
        Whether to return the CRF's energy, too.
    """

    def __init__(self, n_aus, width, kernel_features, crf, scale, energy):
        super().__init__()
        self.n_aus, self.scale, self.energy = n_aus, scale, energy
        self.features = None
        if kernel_features:
            self.features = PerAUConv(n_aus, width, kernel_features)
        width = kernel_features or width
        self.score = nn.Conv2d(n_aus * width, n_aus, 3, padding=1, groups=n_aus)
        self.crf = crf
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            value = 255 * torch.tensor(value).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, maps, images):
        """Return attention (n, n_aus, h, w) at the size of the maps, and aux."""
        if self.features is not None:
            maps = self.features(maps, activation=torch.tanh)
        logits = self.score(maps)
        if self.crf is None:
            attention = logits.sigmoid()
            return attention, {"attention_maps": attention, "gates": attention}
        size = logits.shape[-2:]
        work = tuple(self.scale * side for side in size)
        logits = _resized(logits, work)
        features = self._kernel_features(maps, images, work)
        refined = self.crf(logits, features)
        attention = refined.sigmoid()
        gates = _resized(attention, size)
        aux = {
            "attention_maps": logits.sigmoid(),
            "refined_maps": attention,
            "gates": gates,
        }
        if self.energy:
            aux["crf_energy"] = self._energy(logits, features)
        # The CRF returns at least float32, even where autocast makes maps bfloat16.
        return gates.to(maps.dtype), aux

    def _kernel_features(self, maps, images, work):
        """Return colours from 0 to 255 (n, 3, ...), or maps (n, n_aus, channels, ...).

        They are detached, as in the released code: kernels give them no gradient.
        """
        if self.features is None:
            return _resized(images.detach() * self.std + self.mean, work, True)
        return _resized(maps.detach(), work).unflatten(1, (self.n_aus, -1))

    def _energy(self, logits, features):
        """Return the expected energy (equation 6) per pixel, (n, n_aus).

        The kernels are normalised per pixel. So what the last iteration added to the
        logits, apart from the bias, is each pixel's weighted mean of 2q - 1. As in the
        mean field, a pixel is paired with itself, too. Here the kernels' weights are
        constants, as in equation 7: by negative ones the energy would fall without end.
        """
        crf = {name: value.detach() for name, value in self.crf.named_parameters()}
        refined = functional_call(self.crf, crf, (logits, features))
        q = refined.sigmoid()
        unary = F.binary_cross_entropy_with_logits(logits, q, reduction="none")
        seen = refined - logits - crf["bias"].view(-1, 1, 1)
        disagreement = crf["appearance_weight"] + crf["smoothness_weight"]
        disagreement = disagreement - ((2 * q - 1) * seen).mean(dim=(2, 3))
        return unary.mean(dim=(2, 3)) + disagreement / 4


def _resized(maps, size, antialias=False):
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size, mode="bilinear", antialias=antialias)


class Decision(nn.Module):
    """Turn what an AU attends to into its logit (equations 9 and 1).

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    width : int
        Channels of each AU's maps.
    attend_first : bool
        Whether attention weighs the maps before or after the first convolution.
    """

    def __init__(self, n_aus, width, attend_first):
        super().__init__()
        self.n_aus, self.attend_first = n_aus, attend_first
        self.fourth = PerAUConv(n_aus, width, width)
        self.fifth = nn.Conv2d(n_aus * width, n_aus * width, 3, groups=n_aus)
        self.classify = PerAULinear(n_aus, width, 1)

    def forward(self, maps, attention=None):
        """Return logits (n, n_aus) for attention (n, n_aus, h, w) or None."""
        gates = None if attention is None else attention.unsqueeze(2)
        if self.attend_first and gates is not None:
            maps, gates = _gated(maps, gates), None
        maps = self.fourth(maps, gates)
        # The mean of a padded convolution equals the convolution of nine means. This
        # saves a fifth of a branch's multiplications.
        pooled = self.fifth(_shifted_means(maps)).flatten(1)
        return self.classify(pooled.unflatten(1, (self.n_aus, -1))).squeeze(2)


def _shifted_means(maps):
    """Return the mean input under each tap of a padded 3x3 filter, (n, c, 3, 3)."""
    height, width = maps.shape[-2:]
    sums = _shifted_sums(_shifted_sums(maps, 3), 2).transpose(2, 3)
    return sums / (height * width)


def _shifted_sums(maps, axis):
    total = maps.sum(dim=axis)
    first, last = maps.select(axis, 0), maps.select(axis, -1)
    return torch.stack([total - last, total, total - first], dim=-1)
