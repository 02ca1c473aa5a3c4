"""Pixels of images that other libraries hold in memory: PIL, PyTorch, NumPy."""

import numpy as np

from skfau.exceptions import FaceImageError

_ORIENTATION = 274  # the EXIF tag
# What puts an image of each orientation upright.
_TURNS = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


def is_of_pil(image):
    """Say whether an object is an image of PIL, which need not be installed."""
    return hasattr(image, "getexif") and hasattr(image, "convert")


def pixels_of(image, row):
    """Return the pixels of an array, a tensor or an image of PIL, channels last.

    Anything else comes back as it is.
    """
    if is_of_pil(image):
        return _pixels_of_pil(image, row)
    if not hasattr(image, "__array__"):
        return image
    return channels_last(np.asarray(image)[None])[0] if np.ndim(image) else image


def _pixels_of_pil(image, row):
    if image.mode[:1] in "IF":
        raise FaceImageError(
            f"row {row}: the image of PIL has mode {image.mode!r}, more than 8 bits a "
            "pixel; pass the path of its file, or scale it to 8 bits."
        )
    try:
        pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        orientation = image.getexif().get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError) as error:
        raise FaceImageError(
            f"row {row}: PIL cannot decode the image ({error}); copy its file again."
        ) from error
    return np.ascontiguousarray(_TURNS.get(orientation, np.asarray)(pixels))


def channels_last(images):
    """Return a stack of images (n, H, W, 3) or (n, H, W), no pixels copied.

    The channels are moved where they come first beyond doubt, as in tensors. What is
    refused later keeps its shape, which the error names.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] == 3:
        return images
    if images.shape[-1] == 1:
        return images[..., 0]
    if images.shape[1] == 3:
        return np.moveaxis(images, 1, -1)
    return images[:, 0] if images.shape[1] == 1 else images
