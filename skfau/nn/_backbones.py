"""Image backbones by name, or any module that returns feature maps.

Where a named backbone ends, and its maps for 224 px images (112 px for `tiny`):

================= ======================= ====================================
name              cut="12x12"             cut="full"
================= ======================= ====================================
inception_v3      Mixed_6e, 12x12x768     Mixed_7c, 5x5x2048 (8x8 at 299 px)
resnet18, 34      layer3, 14x14x256       layer4, 7x7x512
resnet50          layer3, 14x14x1024      layer4, 7x7x2048
efficientnet_b0   features.5, 14x14x112   features.8, 7x7x1280
tiny              layer2, 14x14x64        layer3, 7x7x128
================= ======================= ====================================

Random weights are Kaiming normal with the fan out, also where torchvision departs from
it (Inception-v3, depthwise filters). Inception-v3 was published for images scaled to
[-1, 1] and converts its input itself, with any weights. EfficientNet-B0 keeps the
stochastic depth (up to 0.2) of its training.
"""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from skfau.nn._efficientnet import efficientnet_b0
from skfau.nn._inception import inception_v3
from skfau.nn._residual import resnet18, resnet34, resnet50, tiny
from skfau.nn._weights import load_weights

__all__ = ["BACKBONES", "feature_map_size", "make_backbone"]

_BUILDERS = {
    "efficientnet_b0": efficientnet_b0,
    "inception_v3": inception_v3,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "tiny": tiny,
}
#: Names that `make_backbone` knows.
BACKBONES = tuple(_BUILDERS)


def make_backbone(
    backbone: str | nn.Module,
    weights: str | Path | None = None,
    *,
    cut: Literal["12x12", "full"] = "12x12",
) -> nn.Module:
    """Return an image backbone that knows the number of channels of its maps.

    All named backbones, Inception-v3 too, take RGB images (n, 3, height, width), float,
    scaled to [0, 1] and then normalised with `IMAGENET_MEAN` and `IMAGENET_STD`. They
    return maps (n, out_channels, height', width').

    Parameters
    ----------
    backbone : str or nn.Module
        One of `BACKBONES`, or your own module with such maps, which is returned itself.
        If it lacks the integer attribute `out_channels`, the attribute is set after one
        run on a zero image of 224 px; nothing else in the module changes.
    weights : {"imagenet", "rendered"}, path-like or None, default=None
        None draws from torch's generator. ``"imagenet"`` fetches torchvision's file
        (ResNet-50: version 1) into torch.hub's folder and checks its hash.
        ``"rendered"`` reads what is shipped for ``"tiny"``: it has learned AUs on
        rendered faces, see `skfau.load_pretrained`. A path reads ``.safetensors`` or a
        saved state dict with torchvision's entry names.
        Entries of layers after the cut and of the classifiers are ignored.
    cut : {"12x12", "full"}, default="12x12"
        End after the last layer with at least 12 by 12 positions for 224 px images,
        the rule of [1]_ (at Table 3), or before the final pooling. Your own module is
        never cut.

    Returns
    -------
    backbone : nn.Module
        With the integer attribute `out_channels`.

    Raises
    ------
    TypeError
        If `backbone` is neither a name nor a module that returns one tensor.
    ValueError
        If a name is unknown, a module comes with `weights` or its output is not 4-D, or
        a checkpoint holds pickled code or has missing, unknown or reshaped entries.
    OSError
        If there is no file at the path (FileNotFoundError) or the published one cannot
        be fetched or has another hash.

    References
    ----------
    .. [1] Jacob and Stenger, "Facial action unit detection with transformers", 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import make_backbone
    >>> backbone = make_backbone("tiny")
    >>> backbone.out_channels, backbone(torch.zeros(2, 3, 112, 112)).shape
    (64, torch.Size([2, 64, 14, 14]))
    """
    if cut not in ("12x12", "full"):
        raise ValueError(f"cut must be '12x12' or 'full'. Got {cut!r}.")
    if isinstance(backbone, nn.Module):
        return _adopt(backbone, weights)
    _check_choice(backbone, weights)
    module = _BUILDERS[backbone](full=cut == "full")
    if weights is not None:
        load_weights(module, backbone, weights)
    return module


def feature_map_size(
    backbone: nn.Module, image_size: int | tuple[int, int]
) -> tuple[int, int]:
    """Return the height and width of a backbone's maps for images of one size.

    One run on a zero image finds it, in evaluation mode and without gradient. Training
    mode, batch statistics and random state do not change.

    Parameters
    ----------
    backbone : nn.Module
        Maps images (n, 3, height, width) to feature maps (n, C, height', width').
    image_size : int or (int, int)
        Height and width of the images in pixels; an int for square images.

    Returns
    -------
    size : (int, int)
        Height and width of the maps.

    Raises
    ------
    TypeError
        If the backbone does not return one tensor.
    ValueError
        If the backbone cannot take images of this size or its output is not 4-D.

    Examples
    --------
    >>> from skfau.nn import feature_map_size, make_backbone
    >>> feature_map_size(make_backbone("tiny"), 112)
    (14, 14)
    """
    if isinstance(image_size, Integral):
        image_size = (image_size, image_size)
    return tuple(_dry_run(backbone, *image_size).shape[2:])


def _check_choice(backbone, weights):
    """Raise if `backbone` or `weights` cannot mean a named backbone."""
    if not isinstance(backbone, str):
        raise TypeError(
            "backbone must be a name or a torch.nn.Module. Got "
            f"{type(backbone).__name__}; pass an instance of a module, or one of "
            f"{', '.join(map(repr, BACKBONES))}."
        )
    if backbone not in _BUILDERS:
        raise ValueError(
            f"backbone must be one of {', '.join(map(repr, BACKBONES))} or a "
            f"torch.nn.Module. Got {backbone!r}."
        )
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise TypeError(
            "weights must be None, 'imagenet', 'rendered' or the path of a checkpoint "
            "file. Got "
            f"{type(weights).__name__}."
        )


def _adopt(module, weights):
    """Return a user's module with the attribute `out_channels`."""
    if weights is not None:
        raise ValueError(
            "weights applies to named backbones only. Got a module together with "
            f"weights={weights!r}; load them into the module first and pass "
            "weights=None."
        )
    if not isinstance(getattr(module, "out_channels", None), int):
        module.out_channels = _dry_run(module, 224, 224).shape[1]
    return module


def _dry_run(module, height, width):
    """Return the maps of one zero image and leave the module as it was."""
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    like = torch.empty(0) if like is None else like
    images = torch.zeros(1, 3, height, width, device=like.device, dtype=like.dtype)
    training = {part: part.training for part in module.modules()}
    cuda = [like.device] if like.device.type == "cuda" else []
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=cuda):
            maps = module(images)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            "The backbone must map images (n, 3, height, width) to feature maps. A "
            f"zero image of {height}x{width} pixels made it fail: {error}. Use larger "
            "images or another backbone."
        ) from error
    finally:
        for part, was_training in training.items():
            part.training = was_training
    if not isinstance(maps, torch.Tensor):
        raise TypeError(
            "The backbone must return one tensor of feature maps. Got "
            f"{type(maps).__name__}; wrap it in a module that picks the tensor."
        )
    if maps.ndim != 4:
        raise ValueError(
            "The backbone must return feature maps of shape (n, channels, height, "
            f"width). Got an output of shape {tuple(maps.shape)}; take off its pooling "
            "and classifier."
        )
    return maps
