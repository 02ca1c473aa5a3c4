"""Transforms of other libraries that change the colours of single training faces."""

import re

import numpy as np
import torch
from torch import nn

from skfau.estimators._torch_state import PrivateStream

# Names of what torchvision, Kornia and others call by such words.
_MOVES = re.compile(
    "Flip|Rotat|Affine|Perspective|Elastic|Spline|Fisheye|Crop|Resize|Pad|Zoom|Jigsaw"
    "|AutoAugment|RandAugment|TrivialAugment|AugMix|MixUp|Mixup|CutMix"
)


def check_transform(transform):
    """Raise if a transform, or a part of it, moves pixels by its name."""
    name = getattr(transform, "__name__", type(transform).__name__)
    if _MOVES.search(name):
        raise ValueError(
            f"FaceAugmentation(colour_transform=...) has {name}, which moves or mixes "
            "faces: landmarks, maps and labels would stay behind. FaceAugmentation "
            "moves all of them together: flip, rotation, scale, shift, crop, cutmix, "
            "mixup."
        )
    parts = transform.children() if isinstance(transform, nn.Module) else ()
    for part in (*parts, *(getattr(transform, "transforms", None) or ())):
        check_transform(part)


def transform_faces(transform, images, seeds):
    """Return uint8 images (n, H, W, 3), each changed with torch seeded anew.

    Parameters
    ----------
    transform : callable
        See `FaceAugmentation`.
    images : ndarray of shape (n, H, W, 3), dtype uint8
        RGB.
    seeds : ndarray of shape (n,), dtype int
        One per face.
    """
    stream = PrivateStream("cpu")
    changed = np.empty_like(images, order="C")
    for row, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        stream.seed(int(seed))
        # A copy, which transforms may change in place.
        face = torch.tensor(image).permute(2, 0, 1).contiguous()
        with stream():
            found = transform(face)
        shape = getattr(found, "shape", None)
        if getattr(found, "dtype", None) != torch.uint8 or shape != face.shape:
            got = type(found) if shape is None else f"{found.dtype} {tuple(shape)}"
            raise ValueError(
                "FaceAugmentation(colour_transform=...) must return what it takes, a "
                f"tensor of torch.uint8 {tuple(face.shape)}, got {got}. Leave out what "
                "scales to floats, normalises or resizes: the classifier does so."
            )
        changed[row] = found.permute(1, 2, 0).numpy()
    return changed
