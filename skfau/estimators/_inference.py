"""Run a prepared network over faces batch by batch, without a gradient."""

import numpy as np
import torch

from skfau.estimators._batches import move_landmarks
from skfau.estimators._labels import rows_with_face


def logits_of(outputs):
    """Return the logits of a network that returns them alone or with more."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def apply_network(
    module,
    faces,
    read,
    *,
    batch_size,
    augmentation=None,
    method="forward",
    columns=(),
):
    """Return `read` of the network's outputs for every face.

    Memory holds one batch of pixels and the result.

    Parameters
    ----------
    module : PreparedNetwork
        Put into evaluation mode.
    faces : Faces
        Any number of rows.
    read : callable
        What to keep of a batch's outputs: a tensor whose first axis is the batch.
    batch_size : int
        Faces per forward pass.
    augmentation : FaceAugmentation or None, default=None
        Its ``crop`` says which central window the network was trained on.
    method : str, default="forward"
        Method of the network to call.
    columns : tuple of str, default=()
        What the network takes beside the images: ``("landmarks",)`` or nothing.

    Returns
    -------
    values : ndarray of shape (n_samples, ...), dtype float32
        NaN in rows without a face.
    """
    module.eval()
    found = np.flatnonzero(rows_with_face(faces))
    if not len(found):
        # One blank face tells the shape of a row.
        blank = np.zeros((1, module.image_size, module.image_size, 3), np.uint8)
        points = np.zeros((1, 68, 2), np.float32) if columns else None
        shape = _forward(module, method, read, blank, points, augmentation).shape[1:]
        return np.full((len(faces), *shape), np.nan, np.float32)
    out = None
    for start in range(0, len(found), batch_size):
        rows = found[start : start + batch_size]
        points = faces.column("landmarks", rows) if columns else None
        values = _forward(
            module, method, read, faces.images[rows], points, augmentation
        )
        if out is None:
            out = np.full((len(faces), *values.shape[1:]), np.nan, np.float32)
        out[rows] = values
    return out


def _forward(module, method, read, images, landmarks, augmentation):
    """Return `read` of the outputs for a batch of faces, as the augmentation crops."""
    inputs, geometry = {"images": images}, None
    if augmentation is not None and augmentation.crop:
        geometry = augmentation.centre(len(images))
        inputs["warp"] = geometry.warp
    if landmarks is not None:
        sizes = images.shape[1:3], module.image_size
        inputs["landmarks"] = move_landmarks(landmarks, *sizes, geometry)
    device = next(module.parameters()).device
    inputs = {name: torch.as_tensor(v).to(device) for name, v in inputs.items()}
    with torch.inference_mode():
        return read(module(**inputs, method=method)).float().cpu().numpy()
