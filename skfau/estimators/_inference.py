"""Run a prepared network over faces batch by batch, without a gradient."""

import numpy as np
import torch

from skfau.estimators._labels import rows_with_face


def logits_of(outputs):
    """Return the logits of a network that returns them alone or with more."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def apply_network(
    module, faces, read, *, batch_size, augmentation=None, method="forward"
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

    Returns
    -------
    values : ndarray of shape (n_samples, ...), dtype float32
        NaN in rows without a face.
    """
    module.eval()
    device = next(module.parameters()).device

    def forward(images):
        inputs = {"images": torch.as_tensor(images).to(device)}
        if augmentation is not None and augmentation.crop:
            warp = augmentation.centre(len(images)).warp
            inputs["warp"] = torch.as_tensor(warp).to(device)
        with torch.inference_mode():
            return read(module(**inputs, method=method)).float().cpu().numpy()

    found = np.flatnonzero(rows_with_face(faces))
    if not len(found):
        # One blank face tells the shape of a row.
        blank = np.zeros((1, module.image_size, module.image_size, 3), np.uint8)
        return np.full((len(faces), *forward(blank).shape[1:]), np.nan, np.float32)
    out = None
    for start in range(0, len(found), batch_size):
        rows = found[start : start + batch_size]
        values = forward(faces.images[rows])
        if out is None:
            out = np.full((len(faces), *values.shape[1:]), np.nan, np.float32)
        out[rows] = values
    return out
