"""Files of rendered faces, as the renderer writes them, without a renderer."""

import json

import cv2
import numpy as np


def contents(n=6, *, seed=1, aus=(1, 6, 12), size=32, jpeg=False):
    """Return the arrays of a file: three frames of each person."""
    rng = np.random.default_rng(seed)
    # Smooth pixels: JPEG keeps them nearly as they are.
    small = rng.integers(0, 256, (n, 3, 3, 3), np.uint8)
    images = np.stack([cv2.resize(each, (size, size)) for each in small])
    levels = rng.uniform(0, 5, (n, len(aus))).astype(np.float32)
    arrays = {
        "images": images,
        "landmarks_clean": rng.uniform(0, size, (n, 68, 2)).astype(np.float32),
        "landmarks": np.zeros((n, 68, 2), np.float32),
        "all_intensities": levels,
        "intensities": levels[:, :1],
        "y": (levels[:, :1] >= 2).astype(np.int8),
        "aus": np.array(aus[:1]),
        "pose": rng.normal(size=(n, 3)).astype(np.float32),
        "glasses": np.arange(n) // 3 % 2 == 0,
        "subject": np.arange(n) // 3,
        "video": np.arange(n) // 3,
        "frame": np.arange(n) % 3,
        "meta": json.dumps({"all_aus": list(aus), "seed": seed, "size": size}),
    }
    if jpeg:
        files = [_jpeg(image) for image in arrays.pop("images")]
        arrays["jpeg"] = np.concatenate(files)
        arrays["jpeg_ends"] = np.cumsum([len(file) for file in files])
    return arrays


def _jpeg(image):
    quality = [cv2.IMWRITE_JPEG_QUALITY, 100]
    return cv2.imencode(".jpg", image[..., ::-1], quality)[1].ravel()
