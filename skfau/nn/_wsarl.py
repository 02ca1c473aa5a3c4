"""WSARL, the network of Shao et al., as first printed and as released (ARL)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal

from torch import Tensor, nn

from skfau.nn._au_branches import ChannelAttention, Decision, SpatialAttention
from skfau.nn._blocks import init_xavier_
from skfau.nn._crf import DenseCRF
from skfau.nn._region_layer import REGION_LAYERS, RegionBackbone
from skfau.nn._transfer import declare_au_axes

__all__ = ["WSARL"]

# What differs between the variants, widths in units of `channels`.
_VARIANTS = {
    "wsarl": {
        "branch_width": 12,
        "kernel_features": 0,
        "region_layer": "parallel",
        "crf_iterations": 10,
        "crf_scale": 4,
        "crf_widths": (14.0, 13.0, 0.75),
        "crf_weights": (1.0, 0.5),
    },
    "arl": {
        "branch_width": 8,
        "kernel_features": 2,
        "region_layer": "hierarchical",
        "crf_iterations": 5,
        "crf_scale": 1,
        "crf_widths": (160.0, 3.0, 3.0),
        "crf_weights": (5.0, 3.0),
    },
}


def _make_crf(n_aus, settings):
    """Return the CRF, its widths in pixels of the maps that it works on."""
    alpha, beta, gamma = settings["crf_widths"]
    appearance, smoothness = settings["crf_weights"]
    return DenseCRF(
        n_aus,
        n_iter=settings["crf_iterations"],
        alpha=_scaled(alpha, settings["crf_scale"]),
        beta=beta,
        gamma=_scaled(gamma, settings["crf_scale"]),
        appearance_weight=appearance,
        smoothness_weight=smoothness,
    )


def _scaled(width, scale):
    """Return a width, or one per AU, times a number."""
    return scale * width if isinstance(width, Real) else [scale * w for w in width]


def _check(variant, region_layer, spatial_attention, crf, crf_widths, crf_weights):
    for name, value, parts in (
        ("crf_widths", crf_widths, "alpha, beta, gamma"),
        ("crf_weights", crf_weights, "appearance, smoothness"),
    ):
        n_parts = parts.count(",") + 1
        if value is not None and len(value) != n_parts:
            raise ValueError(
                f"{name} must be {n_parts} numbers ({parts}) or None, each of which "
                f"may be one per AU. Got {value!r}."
            )
    if variant not in _VARIANTS:
        raise ValueError(f"variant must be one of {(*_VARIANTS,)}. Got {variant!r}.")
    if region_layer not in ("auto", *REGION_LAYERS, None):
        raise ValueError(
            f"region_layer must be 'auto', one of {REGION_LAYERS} or None. Got "
            f"{region_layer!r}."
        )
    if crf and not spatial_attention:
        raise ValueError(
            "The CRF refines spatial attention. Got spatial_attention=False with "
            "crf=True; pass crf=False with it."
        )


class WSARL(nn.Module):
    """AU detection by attention learned from AU labels alone, refined by a CRF [1]_.

    A backbone of two multi-scale region layers gives maps at a quarter of the images'
    side, shared by all AUs. In a branch per AU, channel attention weighs the channels
    of the AU's own maps, spatial attention their positions; a fully connected CRF over
    the pixels, unrolled into mean-field iterations, refines the spatial attention.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    variant : {"wsarl", "arl"}, default='wsarl'
        The paper's first version, or the authors' later one as they released it; see
        Notes.
    channels : int, default=8
        The paper's c: the backbone is 4c and 8c channels wide, a branch 12c (``"arl"``:
        8c).
    region_layer : {"auto", "parallel", "hierarchical"} or None, default='auto'
        Multi-scale region layer; None has plain convolutions. ``"auto"`` is
        ``"parallel"`` for ``"wsarl"`` and ``"hierarchical"`` for ``"arl"``.
    channel_attention : bool, default=True
        Weigh channels.
    spatial_attention : bool, default=True
        Weigh positions.
    crf : bool, default=True
        Refine spatial attention; needs `spatial_attention`.
    crf_iterations : int or None, default=None
        Mean-field iterations; None is 10 (``"arl"``: 5).
    crf_scale : int or None, default=None
        Side of the maps that the CRF works on, as a multiple of the attention maps'
        side; 4 is the size of the images. None is 4 (``"arl"``: 1). The cost of an
        exact CRF grows with its fourth power.
    crf_widths : tuple of 3 or None, default=None
        Alpha, beta and gamma of equation 7, each one number or a sequence of one per
        AU. Alpha and gamma are in cells of the attention maps (a quarter of the images'
        side), whatever `crf_scale`; beta is in colours from 0 to 255, or in learned
        features. None is (14, 13, 0.75) (``"arl"``: (160, 3, 3)). Where alpha or beta
        differ between AUs, so does the kernel, and the CRF takes as many times as long.
    crf_weights : tuple of 2 or None, default=None
        Weights of the appearance and the smoothness kernel at the start of training,
        each one number or a sequence of one per AU. None is (1, 0.5) (``"arl"``: (5,
        3)).
    energy : bool, default=False
        Return the CRF's energy as well, for `skfau.losses.WSARLLoss`. The CRF then runs
        twice.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    trunk : nn.Module
        From images to maps for all AUs.
    channel, spatial, decision : nn.Module
        The branches of all AUs, side by side; `spatial` is None without spatial
        attention, ``spatial.crf`` a `skfau.nn.DenseCRF`.

    Raises
    ------
    ValueError
        If a parameter has an unknown value or two do not go together.

    Notes
    -----
    Where ``"arl"`` differs from ``"wsarl"``: region layers of three scales, each on the
    output of the one before, with batch norm per patch; branches 64 wide; 16 maps per
    AU, through tanh, from which the attention is read and whose values take the place
    of colours in the CRF, at the maps' own size; attention weighs maps before and not
    after a convolution.

    The paper does not say how kernels are normalised; here it is per pixel, as in [2]_
    and in the released code. Weights, widths and iterations of ``"arl"`` are those of
    the released code. Those of ``"wsarl"`` (in the paper "obtained by cross
    validation") are ours: alpha and
    gamma are 56 and 3 pixels of a 176 px face, beta is the usual 13 of dense CRFs, and
    with weights that sum to less than 2 the mean field is a contraction: the refined
    map follows the initial one without jumping to all or nothing. Without a CRF the
    attention stays at the maps' size.

    Weights start from Xavier's distribution. Gaussians of standard deviation 0.01, as
    released, leave the layers after the last batch norm with hardly any gradient.

    The branches of all AUs are grouped convolutions and batched products, and so are
    the patches of a region layer. A NaN in an image makes that image's outputs NaN; in
    evaluation mode other images are not affected.

    References
    ----------
    .. [1] Z. Shao, Z. Liu, J. Cai, Y. Wu and L. Ma, "Facial action unit detection
       using attention and relation learning", first version, arXiv:1808.03457v1.
    .. [2] S. Zheng et al., "Conditional random fields as recurrent neural networks",
       ICCV 2015.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import WSARL
    >>> network = WSARL(12, channels=2, crf_scale=1).eval()
    >>> logits, aux = network(torch.zeros(2, 3, 64, 64))
    >>> logits.shape
    torch.Size([2, 12])
    >>> aux["attention_maps"].shape, aux["refined_maps"].shape
    (torch.Size([2, 12, 16, 16]), torch.Size([2, 12, 16, 16]))
    """

    def __init__(
        self,
        n_aus: int,
        variant: Literal["wsarl", "arl"] = "wsarl",
        *,
        channels: int = 8,
        region_layer: Literal["auto", "parallel", "hierarchical"] | None = "auto",
        channel_attention: bool = True,
        spatial_attention: bool = True,
        crf: bool = True,
        crf_iterations: int | None = None,
        crf_scale: int | None = None,
        crf_widths: tuple[float | Sequence[float], ...] | None = None,
        crf_weights: tuple[float | Sequence[float], ...] | None = None,
        energy: bool = False,
    ) -> None:
        super().__init__()
        _check(variant, region_layer, spatial_attention, crf, crf_widths, crf_weights)
        own = dict(_VARIANTS[variant])
        given = {
            "crf_iterations": crf_iterations,
            "crf_scale": crf_scale,
            "crf_widths": crf_widths,
            "crf_weights": crf_weights,
        }
        own |= {name: value for name, value in given.items() if value is not None}
        if region_layer != "auto":
            own["region_layer"] = region_layer
        self.n_aus = n_aus
        width = own["branch_width"] * channels
        self.trunk = RegionBackbone(4 * channels, own["region_layer"])
        self.channel = ChannelAttention(n_aus, 8 * channels, width, channel_attention)
        self.spatial = None
        if spatial_attention:
            self.spatial = SpatialAttention(
                n_aus,
                width,
                own["kernel_features"] * channels,
                _make_crf(n_aus, own) if crf else None,
                own["crf_scale"],
                energy,
            )
        self.decision = Decision(n_aus, width, attend_first=variant == "arl")
        init_xavier_(self)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return logits, and what the loss and inspection need.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``; the
            colours in the CRF's kernels are taken back to 0 to 255. Sides are multiples
            of 16 from 32, with ``region_layer=None`` any from 8.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        aux : dict
            ``"channel_attention"`` (n, n_aus, branch width) in [0, 1];
            ``"attention_maps"`` (n, n_aus, h, w) in [0, 1], at the size that the CRF
            works at; ``"gates"`` (n, n_aus, height / 4, width / 4), what weighs the
            positions (equation 9); with a CRF also ``"refined_maps"`` of the size of
            ``"attention_maps"``, and with `energy` ``"crf_energy"`` (n, n_aus), a mean
            over pixels.

        Raises
        ------
        ValueError
            If the images cannot be cut in patches.
        """
        maps, weights = self.channel(self.trunk(images))
        aux = {} if weights is None else {"channel_attention": weights}
        attention = None
        if self.spatial is not None:
            attention, of_space = self.spatial(maps, images)
            aux |= of_space
        return self.decision(maps, attention), aux

    def channel_maps(self, images: Tensor) -> Tensor:
        """Return every AU's maps, weighted by its channel attention (equation 4).

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            As for `forward`.

        Returns
        -------
        maps : Tensor of shape (n, n_aus, branch width, height / 4, width / 4)
            Before the batch norm and the ReLU that follow.
        """
        maps = self.channel.weighted(self.trunk(images))
        return maps.unflatten(1, (self.n_aus, -1))

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            Entry name and the axes along which the AUs' equal blocks follow each
            other. The backbone's entries are absent.
        """
        return declare_au_axes(
            self, {"channel": (0,), "spatial": (0,), "decision": (0,)}
        )
