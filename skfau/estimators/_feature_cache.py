"""Features of frames on disk, so that a frozen network sees each image once."""

import os
from pathlib import Path

import numpy as np
import torch

from skfau._arrays import digest, hash_array


def check_cacheable(estimator):
    """Raise if features are to be kept that are not the same whenever it sees a frame.

    Parameters
    ----------
    estimator : AUNetClassifier
        Without ``feature_cache`` all is well.
    """
    if estimator.feature_cache is None:
        return
    if estimator.backbone != "fan":
        raise ValueError(
            "feature_cache keeps the features of a frozen network; got backbone="
            f"{estimator.backbone!r}, which trains along. Pass feature_cache=None."
        )
    if estimator._augmentation is not None:
        raise ValueError(
            "feature_cache keeps the features of faces as they are; turned, moved, "
            "mirrored or relit ones have others. Pass augmentation=None with it (got "
            f"{estimator.augmentation!r}), or feature_cache=None."
        )


class FeatureCache:
    """The basic features of all frames of one store, float16, in one file.

    The file is named after the frames' content, the frozen network's weights and the
    preparation of its input: other frames or weights go to another file. It is sparse
    where nothing has been computed yet. Fits in several processes may share it.

    Parameters
    ----------
    folder : path-like
        Where the file is; made if it is not there.
    module : FrameNetwork
        Computes what is missing.
    neighbourhood : Neighbourhood
        Of faces of the store; gives the frames' pixels.
    batch_size : int
        Frames per forward pass.
    """

    def __init__(self, folder, module, neighbourhood, batch_size):
        self.module = module
        self.neighbourhood = neighbourhood
        self.batch_size = batch_size
        weights = module.network.trunk.state_dict().items()
        name = digest(
            neighbourhood.frames.store.fingerprint(),
            *((key, hash_array(value.cpu().reshape(-1))) for key, value in weights),
            *(module.image_size, module.grayscale, str(module.autocast)),
        )
        self.path = Path(folder) / f"{name[:32]}.npy"
        if not self.path.exists():
            self._create()
        self._entries = np.load(self.path, mmap_mode="r+")

    def read(self, rows):
        """Return the features of store rows, ndarray (m, channels, h, w), float16."""
        missing = np.unique(rows[~self._entries["done"][rows]])
        for start in range(0, len(missing), self.batch_size):
            part = missing[start : start + self.batch_size]
            self._entries["features"][part] = self._compute(part)
            # Only now: another process may be reading.
            self._entries["done"][part] = True
        return self._entries["features"][rows]

    def _compute(self, rows):
        device = next(self.module.parameters()).device
        images = torch.as_tensor(self.neighbourhood.images(rows)).to(device)
        with torch.no_grad():
            return self.module.features(images).half().cpu().numpy()

    def _create(self):
        n_frames = len(self.neighbourhood.frames)
        shape = self._compute(self.neighbourhood.rows[:1, 0]).shape[1:]
        entry = np.dtype([("features", np.float16, shape), ("done", np.bool_)])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            np.lib.format.open_memmap(partial, "w+", entry, (n_frames,))
            # Unlike a rename it never replaces what another process has begun.
            self.path.hardlink_to(partial)
        except FileExistsError:
            return
        finally:
            partial.unlink(missing_ok=True)
