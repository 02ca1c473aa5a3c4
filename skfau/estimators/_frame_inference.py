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
    summary = _summaries(module, around, geometry, cache_dir, batch_size)
    order = _video_order(around.faces)
    out = None
    with torch.inference_mode():
        for rows, parts in _windows(summary, around.rows, order, batch_size):
            moves = None
            if around.has_sides:
                centre = augmentation.centre(len(rows)) if crop else None
                moves = around.moves(rows, module.image_size, centre)
            if moves is not None:
                parts = [*parts, torch.as_tensor(moves).to(device)]
            values = read(module.computed(module.network.compare, *parts))
            values = values.float().cpu().numpy()
            if out is None:
                shape = (len(faces), *values.shape[1:])
                out = np.full(shape, np.nan, np.float32)
            out[found[rows]] = values
    return out


def _summaries(module, around, geometry, cache_dir, batch_size):
    """Return a function from store rows to `AUNet.summary` of their frames."""
    device = next(module.parameters()).device
    cache = None
    if cache_dir is not None:
        cache = FeatureCache(cache_dir, module, around, batch_size)

    def features(rows):
        if cache is not None:
            return torch.as_tensor(cache.read(rows)).to(device).float()
        how = {}
        if geometry is not None:
            warp = torch.as_tensor(geometry.warp).to(device)
            how["warp"] = warp.expand(len(rows), -1, -1)
        return module.features(torch.as_tensor(around.images(rows)).to(device), **how)

    return lambda rows: module.computed(module.network.summary, features(rows))


def _video_order(faces):
    """Return the rows such that frames of a video follow each other."""
    names = [n for n in ("subject", "video", "frame") if n in faces.columns]
    keys = [faces.column(name) for name in names] or [faces.rows]
    keys = [np.unique(key, return_inverse=True)[1] for key in keys]
    return np.lexsort(keys[::-1])


def _windows(summary, store_rows, order, batch_size):
    """Yield rows and the arguments of `AUNet.compare`, each frame's computed once.

    Held are the summaries of one batch and of the frames that later batches compare
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
            held.update(
                zip(part.tolist(), zip(*summary(part), strict=True), strict=True)
            )
        own, *sides = store_rows[rows].T.tolist()
        parts = [
            torch.stack(each) for each in zip(*(held[r] for r in own), strict=True)
        ]
        # Of the earlier frame its part as such, likewise of the later one.
        for place, side in enumerate(sides, start=1):
            parts.append(torch.stack([held[row][place] for row in side]))
        yield rows, parts
        held = {row: part for row, part in held.items() if last_use[row] > start}
