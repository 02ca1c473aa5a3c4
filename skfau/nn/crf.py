"""Mean field of a fully connected two-label CRF over the maps of an image.

References
----------
Krähenbühl and Koltun, "Efficient inference in fully connected CRFs with Gaussian edge
potentials", NIPS 2011; Zheng et al., "Conditional random fields as recurrent neural
networks", ICCV 2015.
"""

import math
from numbers import Integral, Real

import torch
from torch import nn

__all__ = ["DenseCRF"]


class DenseCRF(nn.Module):
    """Refine maps of logits by the image: similar, close pixels take one label.

    Each map is a binary labelling of all pixels. Every pair of pixels i, j is tied by

        ``appearance_weight * exp(-|p_i - p_j|^2 / 2 alpha^2 - |I_i - I_j|^2 / 2 beta^2)
        + smoothness_weight * exp(-|p_i - p_j|^2 / 2 gamma^2)``

    if their labels differ, with positions p in pixels and features I. (In print, the
    colour term of Shao et al., eq. 7, has slipped out of the exponential.)

    Parameters
    ----------
    n_maps : int
        Maps per image, e.g. one per AU.
    n_iter : int, default=10
        Mean-field iterations; 0 returns the logits.
    alpha, gamma : float or sequence of n_maps floats, default=160.0, 3.0
        Widths of the kernels in pixels of the maps: halve them with the maps' side.
    """

    def __init__(
        self,
        n_maps,
        *,
        n_iter=10,
        alpha=160.0,
        beta=3.0,
        gamma=3.0,
        appearance_weight=5.0,
        smoothness_weight=3.0,
        include_self=True,
    ):
        super().__init__()
        if not isinstance(n_maps, Integral) or n_maps < 1:
            raise ValueError(f"n_maps must be an int of at least 1, got {n_maps!r}.")
        if not isinstance(n_iter, Integral) or n_iter < 0:
            raise ValueError(f"n_iter must be an int of at least 0, got {n_iter!r}.")
        self.n_maps, self.n_iter, self.include_self = n_maps, n_iter, include_self
        self.alpha = _per_map("alpha", alpha, n_maps, positive=True)
        self.beta = _per_map("beta", beta, n_maps, positive=True)
        self.gamma = _per_map("gamma", gamma, n_maps, positive=True)
        self.appearance_weight = nn.Parameter(
            torch.tensor(_per_map("appearance_weight", appearance_weight, n_maps))
        )
        self.smoothness_weight = nn.Parameter(
            torch.tensor(_per_map("smoothness_weight", smoothness_weight, n_maps))
        )
        self.bias = nn.Parameter(torch.zeros(n_maps))

    def forward(self, logits, features):
        """Return the refined logits (n, n_maps, h, w)."""
        dtype = torch.promote_types(logits.dtype, torch.float32)
        with torch.autocast(logits.device.type, enabled=False):
            return self._refine(logits.to(dtype), features.to(dtype))

    def _refine(self, logits, features):
        n, m, h, w = logits.shape
        if features.ndim == 4:
            features = features.unsqueeze(1)
        place = torch.cartesian_prod(
            *(torch.arange(k, dtype=logits.dtype, device=logits.device) for k in (h, w))
        )
        alpha, beta, gamma = (
            logits.new_tensor(widths).view(-1, 1, 1)
            for widths in (self.alpha, self.beta, self.gamma)
        )
        colour = features.flatten(3).transpose(2, 3) / beta
        joint = torch.cat([(place / alpha).expand(*colour.shape[:3], 2), colour], -1)
        kernels = [_gaussian(joint), _gaussian(place / gamma)]
        weights = [self.appearance_weight, self.smoothness_weight]
        if not self.include_self:
            eye = torch.eye(h * w, dtype=logits.dtype, device=logits.device)
            kernels = [k - eye for k in kernels]
        kernels = [k / k.sum(-1, keepdim=True) for k in kernels]
        unary = logits.flatten(2).unsqueeze(-1)
        state = unary
        for _ in range(self.n_iter):
            spread = (state / 2).tanh()
            state = unary + self.bias.view(-1, 1, 1)
            for k, weight in zip(kernels, weights, strict=True):
                state = state + weight.view(-1, 1, 1) * (k @ spread)
        return state.view(n, m, h, w)


def _gaussian(joint):
    gap = torch.cdist(joint, joint, compute_mode="donot_use_mm_for_euclid_dist")
    return (gap.square() / -2).exp()


def _per_map(name, value, n_maps, positive=False):
    values = [value] * n_maps if isinstance(value, Real) else [float(v) for v in value]
    if len(values) != n_maps:
        raise ValueError(
            f"{name} must be one number or {n_maps}, one per map; got {len(values)}."
        )
    if not all(math.isfinite(v) and (v > 0 or not positive) for v in values):
        kind = "above 0" if positive else "finite"
        raise ValueError(f"{name} must be {kind}, got {value!r}.")
    return [float(v) for v in values]
