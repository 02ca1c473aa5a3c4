"""Mean field of a fully connected two-label CRF over the maps of an image.

References
----------
Krähenbühl and Koltun, "Efficient inference in fully connected CRFs with Gaussian edge
potentials", NIPS 2011; Zheng et al., "Conditional random fields as recurrent neural
networks", ICCV 2015; Shao et al., "Weakly supervised attention and relation learning
for facial action unit detection", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

import torch
from torch import Tensor, nn

from skfau.nn._mean_field import MeanField, Settings, attention_mean_field

__all__ = ["DenseCRF"]

_BACKENDS = ("auto", "exact", "approximate", "attention")
_MAX_EXACT = 64 * 64


class DenseCRF(nn.Module):
    """Refine maps of logits by their image: similar close pixels get the same label.

    Every map labels all pixels of its image 0 or 1. Two pixels i, j of different
    labels cost

        ``appearance_weight * exp(-|p_i - p_j|^2 / 2 alpha^2 - |I_i - I_j|^2 / 2 beta^2)
        + smoothness_weight * exp(-|p_i - p_j|^2 / 2 gamma^2)``,

    with positions p and features I, a Potts model (Shao et al., eq. 6 and 7; in print,
    the colour term stands outside of the exponential by mistake). Each kernel is
    normalised per pixel by its sum over all pixels. With two labels, the mean field
    needs one channel: with ``s = 2 * sigmoid(logits) - 1``, an iteration is ``logits =
    unary + bias + appearance_weight * A s + smoothness_weight * S s``.

    Parameters
    ----------
    n_maps : int
        Maps per image, e.g. one per AU.
    n_iter : int, default=10
        Mean-field iterations; 0 returns the logits.
    alpha : float or sequence of n_maps floats, default=160.0
        Width in pixels of the appearance kernel. Pixels are those of the maps: maps of
        half the side need half the width.
    beta : float or sequence of n_maps floats, default=3.0
        Width of the appearance kernel in units of the features.
    gamma : float or sequence of n_maps floats, default=3.0
        Width in pixels of the smoothness kernel.
    appearance_weight : float or sequence of n_maps floats, default=5.0
        Initial value of the learned weights of the appearance kernel.
    smoothness_weight : float or sequence of n_maps floats, default=3.0
        Initial value of those of the smoothness kernel.
    include_self : bool, default=True
        Whether a pixel is also compared with itself, as in the released code. If not,
        a pixel for which all others together weigh less than 1e-3 gets less than their
        mean.
    backend : {"auto", "exact", "approximate", "attention"}, default="auto"
        How the appearance kernel is applied, see Notes.

    Attributes
    ----------
    appearance_weight, smoothness_weight, bias : Parameter of shape (n_maps,)
        Learned. With two labels, the released 2 x 2 kernel weights and compatibilities
        matter only through these three numbers. For a kernel with M = -compatibility *
        kernel weights, the weight is ``(M[1, 1] - M[0, 1] - M[1, 0] + M[0, 0]) / 2``,
        and ``(M[1, 1] + M[1, 0] - M[0, 1] - M[0, 0]) / 2`` is added to the bias. The
        bias starts at 0.

    Notes
    -----
    The smoothness kernel is a product of one matrix per axis, always exact.

    ``"exact"``
        Exact up to rounding. Points are sorted into blocks by position and features,
        and pairs of blocks out of reach are left out. A kernel of up to 128 MiB an
        image is stored for all iterations; a larger one is computed again in each.
    ``"approximate"``
        Pixels are grouped in the cells of a grid, one width wide in every feature and
        0.55 widths in position (wider if there are over 8,192 cells). The mean of a
        cell stands for its pixels; pairs with a weight below 0.01 are dropped. On made
        faces of 176 x 176 pixels, after 10 iterations at the defaults, probabilities
        were off by 0.0005 in the mean and by 0.0022 in the 99th percentile, and 0.05 %
        of pixels changed label (rendered faces: 0.0004, 0.0016, 0.04 %; made faces of
        half the size at the settings of `WSARL`: 0.0007, 0.012, 0.07 %). Single pixels
        on the edge between two solutions may differ by 1: iterations magnify small
        differences there. Use it for few features, such as colours: with many, hardly
        any two pixels share a cell.
    ``"attention"``
        Exact except for cancellation: where features are hundreds of widths apart, a
        weight in float32 is wrong by up to a thousandth of itself. It needs no N x N
        memory where torch has fused attention. It is slower on a CPU, and the only
        backend whose graph can be exported.
    ``"auto"``
        Attention on other devices than the CPU and in compiled or exported graphs;
        else exact for up to 64 x 64 pixels, approximate above.

    A lower resolution loses more accuracy than the approximation does: made
    faces solved exactly at 88 x 88 (44 x 44) and enlarged to 176 x 176 were off by
    0.0045 (0.0076) in the mean, with 0.4 % (0.7 %) of the labels changed.

    Gradients reach logits, features and parameters. The forward pass keeps only the
    logits before each iteration, ``n_iter`` times the size of the output. The backward
    pass builds the kernels again and runs the adjoint of the iterations. For 12 maps
    that share a kernel at 44 x 44, that took a quarter of the time of automatic
    differentiation with each image checkpointed, and 60 % of its memory. Through
    "approximate", features get the gradient at fixed cells. There are no second
    derivatives, except through "attention".

    A map with a NaN logit is returned all NaN. A non-finite feature does the same to
    all maps of its image or, where features are per map, to its map. Other maps and
    images are not affected. An infinite logit is a pixel whose label is certain.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import DenseCRF
    >>> image = torch.zeros(1, 3, 16, 16)
    >>> image[..., 8:] = 200.0
    >>> logits = torch.where(image[:, :1] > 0, 1.0, -1.0)
    >>> logits[0, 0, 4, 10] = -1.0
    >>> refined = DenseCRF(1)(logits, image)
    >>> bool(refined[0, 0, 4, 10] > 0), tuple(refined.shape)
    (True, (1, 1, 16, 16))
    """

    def __init__(
        self,
        n_maps: int,
        *,
        n_iter: int = 10,
        alpha: float | Sequence[float] = 160.0,
        beta: float | Sequence[float] = 3.0,
        gamma: float | Sequence[float] = 3.0,
        appearance_weight: float | Sequence[float] = 5.0,
        smoothness_weight: float | Sequence[float] = 3.0,
        include_self: bool = True,
        backend: Literal["auto", "exact", "approximate", "attention"] = "auto",
    ) -> None:
        super().__init__()
        _check_count("n_maps", n_maps, 1)
        _check_count("n_iter", n_iter, 0)
        if backend not in _BACKENDS:
            raise ValueError(f"backend must be one of {_BACKENDS}, got {backend!r}.")
        self.n_maps, self.n_iter = n_maps, n_iter
        self.include_self, self.backend = include_self, backend
        self.alpha = _widths("alpha", alpha, n_maps)
        self.beta = _widths("beta", beta, n_maps)
        self.gamma = _widths("gamma", gamma, n_maps)
        weights = {
            "appearance_weight": appearance_weight,
            "smoothness_weight": smoothness_weight,
            "bias": 0.0,
        }
        for name, value in weights.items():
            start = torch.tensor(_per_map(name, value, n_maps))
            self.register_parameter(name, nn.Parameter(start))

    def forward(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return refined logits.

        Parameters
        ----------
        logits : Tensor of shape (n, n_maps, h, w), float
            Unary potentials, label 1 against label 0.
        features : Tensor of shape (n, c, h, w) or (n, n_maps, c, h, w)
            What pixels are compared by, for all maps or per map. The default `beta` is
            meant for RGB from 0 to 255.

        Returns
        -------
        refined : Tensor of shape (n, n_maps, h, w), float32 or float64
            float32 under autocast too; float64 for float64 logits.

        Raises
        ------
        TypeError
            If `logits` are not of a floating point type.
        ValueError
            If shapes do not fit.
        """
        self._check(logits, features)
        dtype = torch.promote_types(logits.dtype, torch.float32)
        logits, features = logits.to(dtype), features.to(dtype)
        if features.ndim == 4:
            features = features.unsqueeze(1)
        usable = features.isfinite().flatten(2).all(2)
        features = features.where(usable[:, :, None, None, None], 0)
        usable = usable & ~logits.isnan().flatten(2).any(2)
        logits = logits.where(usable[:, :, None, None], math.nan)
        weights = self.appearance_weight, self.smoothness_weight, self.bias
        weights = [weight.to(dtype) for weight in weights]
        backend = self._choose_backend(logits)
        if backend == "exact":
            # float64, as iterations magnify the rounding of features many widths apart.
            features = features.double()
        points = _points(features, self.alpha, self.beta)
        settings = Settings(
            self.n_iter, self.gamma, self.include_self, backend == "approximate"
        )
        iterate = attention_mean_field if backend == "attention" else MeanField.apply
        with torch.autocast(logits.device.type, enabled=False):
            return iterate(logits, points, *weights, settings)

    def _choose_backend(self, logits):
        if self.backend != "auto":
            return self.backend
        if torch.compiler.is_compiling() or logits.device.type != "cpu":
            return "attention"
        n_pixels = logits.shape[2] * logits.shape[3]
        return "exact" if n_pixels <= _MAX_EXACT else "approximate"

    def _check(self, logits, features):
        if not logits.is_floating_point():
            raise TypeError(
                f"logits must be of a floating point type, got {logits.dtype}: pass "
                "torch.logit of probabilities."
            )
        shape = tuple(logits.shape)
        if len(shape) != 4 or shape[1] != self.n_maps:
            raise ValueError(
                f"logits must have shape (n, {self.n_maps}, h, w), one map for each of "
                f"n_maps={self.n_maps}; got {shape}."
            )
        n, m, h, w = shape
        given = tuple(features.shape)
        shared = len(given) == 4 and (given[0], *given[2:]) == (n, h, w)
        per_map = len(given) == 5 and (*given[:2], *given[3:]) == (n, m, h, w)
        if not shared and not per_map:
            raise ValueError(
                f"features must have shape ({n}, c, {h}, {w}), or ({n}, {m}, c, {h}, "
                f"{w}) for features per map, to fit logits of shape {shape}; got "
                f"{given}. Resize one to the other's height and width."
            )

    def extra_repr(self) -> str:
        """Return the settings that are not learned."""
        names = "n_maps", "n_iter", "alpha", "beta", "gamma", "include_self", "backend"
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def _points(features, alpha, beta):
    """Return positions and features in units of the kernel's widths, (n, g, h * w, d).

    g is 1 where all maps share one kernel.
    """
    n, _, _, *size = features.shape
    sides = (
        torch.arange(side, dtype=features.dtype, device=features.device)
        for side in size
    )
    place = torch.cartesian_prod(*sides) / features.new_tensor(alpha).view(-1, 1, 1)
    colour = features.flatten(3).transpose(2, 3)
    colour = colour / features.new_tensor(beta).view(-1, 1, 1)
    n_kernels = max(len(place), colour.shape[1])
    return torch.cat([part.expand(n, n_kernels, -1, -1) for part in (place, colour)], 3)


def _check_count(name, value, least):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an int of at least {least}, got {value!r}.")


def _per_map(name, value, n_maps):
    values = [value] * n_maps if isinstance(value, Real) else list(value)
    if len(values) != n_maps:
        raise ValueError(
            f"{name} must be one number, or one for each of {n_maps} maps; got "
            f"{len(values)}."
        )
    if not all(math.isfinite(v) for v in values):
        raise ValueError(f"{name} must be finite, got {value!r}.")
    return [float(v) for v in values]


def _widths(name, value, n_maps):
    """Return a tuple of one width, or of one per map where they differ."""
    widths = _per_map(name, value, n_maps)
    if min(widths) <= 0:
        raise ValueError(f"{name} is a width and must be above 0, got {value!r}.")
    return tuple(widths[:1] if len(set(widths)) == 1 else widths)
