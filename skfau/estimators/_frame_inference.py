"""Probabilities of videos: the features of a frame are computed once, then compared."""

import numpy as np
import torch

from skfau.estimators._feature_cache import FeatureCache
from skfau.estimators._frames import Neighbourhood
from skfau.estimators._labels import rows_with_face


def apply_to_frames(
    module, faces, read, *, batch_size, interval, augmentation=None, cache_dir=None
):
    """Return `read` of the network's logits for every face and its neighbours.

    Parameters
    ----------
    module : FrameNetwork
        Put into evaluation mode.
    faces : Faces
        At least one row with a face.
    read : callable
        What to keep of a batch's logits.
    batch_size : int
        Frames per forward pass.
    interval : int or None
        Frames from a face to its neighbours; None for no neighbours.
    augmentation : FaceAugmentation or None, default=None
        Its ``crop`` says which central window the network was trained on.
    cache_dir : path or None, default=None
        Folder of the feature cache.

    Returns
    -------
    values : ndarray of shape (n_samples, ...), dtype float32
        NaN in rows without a face.
    """
    module.eval()
    device = next(module.parameters()).device
    found = np.flatnonzero(rows_with_face(faces))
    around = Neighbourhood(faces[found], interval)
    crop = augmentation is not None and augmentation.crop
    geometry = augmentation.centre(1) if crop else None
    features = _feature_source(module, around, geometry, cache_dir, batch_size)
    order = _video_order(around.faces)
    out = None
    with torch.inference_mode():
        for rows, maps in _windows(features, around.rows, order, batch_size):
            moves = None
            if around.has_sides:
                centre = augmentation.centre(len(rows)) if crop else None
                moves = around.moves(rows, module.image_size, centre)
            if moves is not None:
                maps = [*maps, torch.as_tensor(moves).to(device)]
            values = read(module.computed(module.network.head, *maps))
            values = values.float().cpu().numpy()
            if out is None:
                shape = (len(faces), *values.shape[1:])
                out = np.full(shape, np.nan, np.float32)
            out[found[rows]] = values
    return out


def _feature_source(module, around, geometry, cache_dir, batch_size):
    """Return a function from store rows to features on the module's device."""
    device = next(module.parameters()).device
    if cache_dir is not None:
        cache = FeatureCache(cache_dir, module, around, batch_size)
        return lambda rows: torch.as_tensor(cache.read(rows)).to(device).float()

    def compute(rows):
        how = {}
        if geometry is not None:
            warp = torch.as_tensor(geometry.warp).to(device)
            how["warp"] = warp.expand(len(rows), -1, -1)
        return module.features(torch.as_tensor(around.images(rows)).to(device), **how)

    return compute


def _video_order(faces):
    """Return the rows such that frames of a video follow each other."""
    names = [n for n in ("subject", "video", "frame") if n in faces.columns]
    keys = [faces.column(name) for name in names] or [faces.rows]
    keys = [np.unique(key, return_inverse=True)[1] for key in keys]
    return np.lexsort(keys[::-1])


def _windows(features, store_rows, order, batch_size):
    """Yield rows and their features, each frame's computed once.

    Held are the features of one batch and of the frames that later batches compare
    with it: in the order of the videos no more than a batch and twice the interval.
    """
    starts = range(0, len(order), batch_size)
    last_use = np.full(store_rows.max() + 1, -1)
    for start in starts:
        last_use[store_rows[order[start : start + batch_size]]] = start
    held = {}
    for start in starts:
        rows = order[start : start + batch_size]
        wanted = np.unique(store_rows[rows])
        new = np.array([row for row in wanted if row not in held], np.intp)
        for begin in range(0, len(new), batch_size):
            part = new[begin : begin + batch_size]
            held.update(zip(part.tolist(), features(part), strict=True))
        columns = store_rows[rows].T.tolist()
        yield rows, [torch.stack([held[row] for row in column]) for column in columns]
        held = {row: maps for row, maps in held.items() if last_use[row] > start}
