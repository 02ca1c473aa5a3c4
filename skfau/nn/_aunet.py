"""AUNet, the network of Yang, Hristov, Shen, Lin and Pantic (2023)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skfau.nn._backbones import make_backbone
from skfau.nn._blocks import init_xavier_
from skfau.nn._fan import FAN, BatchNorm, MultiScaleBlock
from skfau.nn._residual import BasicBlock
from skfau.nn._transfer import declare_au_axes
from skfau.nn._weights import check_state_dict, init_kaiming_, read_checkpoint

__all__ = ["AUNet"]

_BACKBONES = ("fan", "resnet18", "resnet34", "resnet50", "tiny")


class AUNet(nn.Module):
    """Landmark-centred features, and how they change from frame to frame [1]_.

    A frozen face alignment network gives each frame's basic features. Convolutions
    with pooling lead from these to one vector per face. On the way, motion is added:
    the features minus those of an earlier frame, and those of a later frame minus the
    features, at half the resolution.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    backbone : {"fan", "resnet18", "resnet34", "resnet50", "tiny"}, default='fan'
        ``"fan"`` is frozen and always in evaluation mode. A residual backbone is
        trained: its first stage gives the basic features (64x64 at 256 px, like the
        FAN's), and its other stages replace the convolutions, ResNet-18-A of Table
        XIII.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of the backbone: ``"rendered"`` or a file for ``"fan"``, see
        `FAN`; for the others see `make_backbone`.
    temporal : bool, default=True
        Whether the network has the temporal difference module.
    static_share : float, default=0.9
        Weight alpha of the face's own maps where motion is added.
    motion_share : float, default=0.1
        Weight beta of the motion that is added.
    fan_width : int or None, default=None
        Channels of the FAN's hourglasses, and of the layers after it. None is 256, or
        64 with ``weights="rendered"``.
    fan_stacks : int or None, default=None
        Hourglasses of the FAN. None is 2, or 1 with ``weights="rendered"``.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    trunk : nn.Module
        Gives the basic features.

    Raises
    ------
    ValueError
        If the backbone is not one of these; see also `FAN` and `make_backbone`.

    Notes
    -----
    After the FAN come 1,857,164 parameters for 12 AUs (``temporal=False``), or
    2,657,036. The differences have the sign of the authors' code; the paper prints the
    opposite sign for the later frame. Pooling and, at inference, the layer after the
    differences are applied before the subtraction. Up to rounding the result is the
    same, and each frame passes through them only once.

    Neighbours can be moved to the place of the face itself: see `moves` of `forward`.
    The paper moves their pixels. Here their features are moved, so that the features
    of a frame are computed only once, whichever frame they are compared with.

    For residual backbones the paper does not say where the module is added or how wide
    the classifier's hidden layer is; ours is half as wide as its input, as after the
    FAN.

    References
    ----------
    .. [1] J. Yang, Y. Hristov, J. Shen, Y. Lin and M. Pantic, "Towards robust facial
       action units detection", Proceedings of the IEEE, 2023.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import AUNet
    >>> network = AUNet(12, fan_width=16).eval()
    >>> before, face, after = torch.zeros(3, 2, 3, 64, 64)
    >>> network(face, before, after).shape
    torch.Size([2, 12])
    """

    def __init__(
        self,
        n_aus: int,
        backbone: Literal["fan", "resnet18", "resnet34", "resnet50", "tiny"] = "fan",
        weights: str | Path | None = None,
        *,
        temporal: bool = True,
        static_share: float = 0.9,
        motion_share: float = 0.1,
        fan_width: int | None = None,
        fan_stacks: int | None = None,
    ) -> None:
        super().__init__()
        if backbone not in _BACKBONES:
            raise ValueError(
                f"backbone must be one of {', '.join(map(repr, _BACKBONES))}. Got "
                f"{backbone!r}."
            )
        self.n_aus = n_aus
        self.frozen = backbone == "fan"
        self.static_share, self.motion_share = static_share, motion_share
        if self.frozen:
            self.trunk = FAN(weights, width=fan_width, n_stacks=fan_stacks)
            self.trunk.requires_grad_(False).eval()
            motion = self._add_fan_head(self.trunk.out_channels, self.trunk.width)
        else:
            motion = self._split(make_backbone(backbone, weights, cut="full"))
        channels = _out_channels(self.rest)
        self.predictor = nn.Sequential(
            nn.Linear(channels, channels // 2),
            BatchNorm(channels // 2),
            nn.ReLU(),
            nn.Linear(channels // 2, n_aus),
        )
        init_xavier_(self.predictor)
        self.motion, self.reduce_motion = motion if temporal else (None, None)

    def _add_fan_head(self, in_channels, width):
        def stage():
            pool = nn.MaxPool2d(2, ceil_mode=True)
            return nn.Sequential(MultiScaleBlock(width, width), pool)

        self.reduce = nn.Conv2d(in_channels, width, 1)
        self.first = stage()
        self.rest = nn.Sequential(*(stage() for _ in range(3)))
        motion = stage(), nn.Conv2d(2 * in_channels, width, 1)
        for part in (self.reduce, self.first, self.rest, *motion):
            init_kaiming_(part)
        return motion

    def _split(self, backbone):
        layers = dict(backbone.named_children())
        further = [name for name in layers if name.startswith("layer")][1:]
        self.reduce = nn.Identity()
        self.first = layers[further[0]]
        self.rest = nn.Sequential(*(layers[name] for name in further[1:]))
        self.trunk = nn.Sequential(
            *(layer for name, layer in layers.items() if name not in further)
        )
        width = _out_channels(self.trunk)
        block = BasicBlock(width, _out_channels(self.first), stride=2)
        motion = nn.Sequential(block), nn.Conv2d(2 * width, width, 1)
        for part in motion:
            init_kaiming_(part)
        return motion

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of all but a frozen backbone."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def forward(
        self,
        images: Tensor,
        previous: Tensor | None = None,
        following: Tensor | None = None,
        moves: Tensor | None = None,
    ) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.
        previous, following : Tensor of shape (n, 3, height, width) or None
            A frame before and one after each image. None stands for the image itself:
            differences are 0. Ignored without the temporal module.
        moves : Tensor of shape (n, 2, 2, 3) or None
            How to move the two neighbours, see `compare`.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        """
        if previous is None or self.motion is None:
            return self.head(self.features(images))
        sides = (self.half(self.features(each)) for each in (previous, following))
        return self.head(self.features(images), *sides, moves)

    def features(self, images: Tensor) -> Tensor:
        """Return each image's basic features, which depend on it alone.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        features : Tensor of shape (n, channels, height / 4, width / 4)
        """
        return self.trunk.features(images) if self.frozen else self.trunk(images)

    def half(self, features: Tensor) -> Tensor:
        """Return features at half the resolution, at which frames are compared."""
        return F.avg_pool2d(features, 2, ceil_mode=True)

    def head(
        self,
        features: Tensor,
        previous: Tensor | None = None,
        following: Tensor | None = None,
        moves: Tensor | None = None,
    ) -> Tensor:
        """Return logits for basic features.

        Parameters
        ----------
        features : Tensor of shape (n, channels, h, w)
            Features of the faces.
        previous, following : Tensor of shape (n, channels, h / 2, w / 2) or None
            Features of their neighbours, see `half`.
        moves : Tensor of shape (n, 2, 2, 3) or None
            See `compare`.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        """
        if previous is None or self.motion is None:
            return self.compare(*self.summary(features))
        if moves is not None:
            previous = _warped(previous, moves[:, 0])
            following = _warped(following, moves[:, 1])
        half = self.half(features)
        # Half the work of three summaries, but repeated for every pair of frames.
        motion = self.reduce_motion(torch.cat([half - previous, following - half], 1))
        return self._join(self.reduce(features), motion)

    def summary(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return what a frame adds to comparisons with any other frame.

        The layer after the differences is linear, so it can be applied before them.

        Parameters
        ----------
        features : Tensor of shape (n, channels, h, w)
            Basic features.

        Returns
        -------
        maps : Tensor of shape (n, width, h, w)
            Maps of the frame by itself.
        earlier, later : Tensor of shape (n, width, h / 2, w / 2)
            What it adds to a difference as the earlier and as the later frame; only
            with the temporal module.
        """
        maps = self.reduce(features)
        if self.motion is None:
            return (maps,)
        weight = torch.cat(self.reduce_motion.weight.chunk(2, dim=1))
        return maps, *F.conv2d(self.half(features), weight).chunk(2, dim=1)

    def compare(
        self,
        maps: Tensor,
        earlier: Tensor | None = None,
        later: Tensor | None = None,
        before: Tensor | None = None,
        after: Tensor | None = None,
        moves: Tensor | None = None,
    ) -> Tensor:
        """Return logits for the summaries of faces and of their neighbours.

        Parameters
        ----------
        maps, earlier, later : Tensor
            What `summary` returns for the faces.
        before : Tensor of shape (n, width, h / 2, w / 2) or None
            What it returns as `earlier` for their earlier neighbours.
        after : Tensor of shape (n, width, h / 2, w / 2) or None
            What it returns as `later` for their later neighbours.
        moves : Tensor of shape (n, 2, 2, 3) or None
            For the earlier and the later neighbour, the affine map from a position in
            the face's image to the same point of the face in the neighbour's image.
            Positions run from -1 to 1 over the image, x then y. None moves nothing.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        """
        if self.motion is None:
            return self._predict(self.first(maps))
        if before is None:
            before, after = earlier, later
        elif moves is not None:
            before, after = _warped(before, moves[:, 0]), _warped(after, moves[:, 1])
        bias = self.reduce_motion.bias[:, None, None]
        # Frame minus earlier frame, later frame minus frame.
        return self._join(maps, (earlier - before) + (after - later) + bias)

    def _join(self, maps, motion):
        maps = self.first(self._add(maps, motion))
        return self._predict(self._add(maps, self.motion(motion)))

    def _add(self, maps, motion):
        motion = F.interpolate(self.motion_share * motion, maps.shape[-2:])
        return torch.add(motion, maps, alpha=self.static_share)

    def _predict(self, maps):
        return self.predictor(self.rest(maps).mean(dim=(2, 3)))

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            The last layer's entries; all others are shared by the AUs.
        """
        return declare_au_axes(self, {"predictor.3": (0,)})

    def load_published(self, path: str | Path) -> None:
        """Read the layers after the FAN from a file that the authors published.

        The entry names in these files are not reliable. Entries are therefore taken in
        the order in which the authors' class declares its layers.

        Parameters
        ----------
        path : path-like
            State dict of a predictor (``bp4d_split1.pth`` and the like), from the same
            `temporal` and as many AUs.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, it is no state dict, or an entry is missing, left
            over or of another shape.
        """
        own = self.state_dict()
        order = ["reduce", "first", "motion", "rest", "predictor", "reduce_motion"]
        names = [name for part in order for name in own if name.startswith(f"{part}.")]
        state = read_checkpoint(path)
        check_state_dict(state, repr(str(path)))
        given = list(state.items())
        if len(given) != len(names):
            raise ValueError(
                f"{str(path)!r} must hold the {len(names)} entries of a published "
                f"predictor, batch counters included. Got {len(given)}. Check "
                "temporal: the authors' files have the temporal module."
            )
        for name, (theirs, value) in zip(names, given, strict=True):
            if own[name].shape != value.shape:
                raise ValueError(
                    f"Entry {theirs!r} of {str(path)!r} must have the shape "
                    f"{tuple(own[name].shape)} of {name!r}. Got {tuple(value.shape)}; "
                    "check the number of AUs and the order of the entries."
                )
        values = (value for _, value in given)
        self.load_state_dict(dict(zip(names, values, strict=True)), strict=False)


def _out_channels(layers):
    """Return the output channels of residual or multi-scale stages."""
    last = layers[-1][0] if isinstance(layers[-1], nn.Sequential) else layers[-1]
    if isinstance(last, MultiScaleBlock):
        return last.bn1.num_features
    norms = [m for m in layers.modules() if isinstance(m, nn.BatchNorm2d)]
    return norms[-1].num_features


def _warped(maps, move):
    """Sample maps at affinely moved positions; outside of the maps is 0."""
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    # No autocast: positions in bfloat16 are wrong by up to half a pixel of the image.
    with torch.autocast(maps.device.type, enabled=False):
        grid = F.affine_grid(move.to(wide), maps.shape, align_corners=False)
        moved = F.grid_sample(wide, grid, align_corners=False)
    # grid_sample loses the memory layout; mixed layouts cost later layers copies.
    channels_last = maps.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return moved.to(maps.dtype, memory_format=layout)
