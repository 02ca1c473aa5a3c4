"""Features of frames on disk, so that a frozen network sees each image once."""

import os
import zlib
from pathlib import Path

import numpy as np
import torch

from skfau._arrays import digest, hash_array
from skfau._files import beside, naming
from skfau._warn import warn
from skfau.exceptions import DatasetWarning

# Raise it when the same frames and weights give other features.
_FORMAT = "1"


def check_cacheable(folder, backbone, augmentation):
    """Raise if the features of a frame would not be the same every time.

    Without a folder nothing is kept, and nothing can be wrong.
    """
    if folder is None:
        return
    if backbone != "fan":
        raise ValueError(
            "feature_cache keeps the features of a frozen network; got backbone="
            f"{backbone!r}, which trains along. Pass feature_cache=None."
        )
    if augmentation is not None:
        raise ValueError(
            "feature_cache keeps the features of faces as they are; turned, moved, "
            "mirrored or relit ones have others. Pass augmentation=None with it (got "
            f"{augmentation!r}), or feature_cache=None."
        )


class FeatureCache:
    """The basic features of all frames of one store, float16, in one file.

    The file is named after the frames' content, the frozen network's weights and the
    preparation of its input: other frames or weights go to another file. It is sparse:
    frames that have not been computed yet take no space. Fits in several processes may
    share the file and may be interrupted: an incomplete entry is computed again.

    Parameters
    ----------
    folder : path-like
        Folder of the file; created if it does not exist.
    module : FrameNetwork
        Computes missing features.
    neighbourhood : Neighbourhood
        Gives the pixels of the store's frames.
    batch_size : int
        Frames per forward pass.
    """

    def __init__(self, folder, module, neighbourhood, batch_size):
        self.module = module
        self.neighbourhood = neighbourhood
        self.batch_size = batch_size
        weights = module.network.trunk.state_dict().items()
        name = digest(
            _FORMAT,
            neighbourhood.frames.store.fingerprint(),
            *((key, hash_array(value.cpu().reshape(-1))) for key, value in weights),
            *(module.image_size, module.grayscale, str(module.autocast)),
        )
        self.path = Path(folder) / f"{name[:32]}.npy"
        if not self.path.exists():
            self._create()
        self._entries = self._open()
        # Rows whose checksum was right once.
        self._sound = np.zeros(len(self._entries), bool)

    def read(self, rows, which="features"):
        """Return the features of store rows; compute and keep those that are missing.

        Parameters
        ----------
        rows : ndarray of shape (m,), dtype intp
            Store rows.
        which : {"features", "half"}, default="features"
            Features in full, or at the half resolution that neighbours have.

        Returns
        -------
        features : ndarray of shape (m, channels, h, w), dtype float16
            Channels last in memory, which is faster for convolutions.

        Raises
        ------
        ValueError
            If a feature is too large for float16.
        OSError
            If the disk is full, or the file is not the one that was opened.
        """
        missing = self._missing(np.unique(rows))
        for start in range(0, len(missing), self.batch_size):
            part = missing[start : start + self.batch_size]
            self._write(part, self._compute(part))
        return np.moveaxis(self._entries[which][rows], 3, 1)

    def _missing(self, rows):
        """Return which rows must be computed; warn if some are damaged."""
        absent = self._entries["done"][rows] == 0
        unknown = rows[~absent & ~self._sound[rows]]
        damaged = [row for row in unknown if not self._is_sound(row)]
        self._sound[rows] = True
        if damaged:
            warn(
                f"the feature cache {str(self.path)!r} is damaged in {len(damaged)} "
                f"frames (frame {damaged[0]}, ...), which are computed again",
                DatasetWarning,
            )
        return np.union1d(rows[absent], np.array(damaged, rows.dtype))

    def _is_sound(self, row):
        entry = self._entries[row]
        # Earlier versions wrote 1.
        return entry["done"] in (1, _checksum(entry))

    def _open(self):
        """Return the entries, mapped; a new file takes the place of a damaged one."""
        try:
            return self._map()
        except OSError:
            raise
        except Exception as error:
            # NumPy reads the header with Python's own parser.
            warn(
                f"the feature cache {str(self.path)!r} is damaged ({error}), so that "
                "all its frames are computed again",
                DatasetWarning,
            )
        self.path.unlink()
        self._create()
        return self._map()

    def _map(self):
        # For reading: `_write` opens the file, and a full cache may lie on a disk that
        # can only be read.
        entries = np.load(self.path, mmap_mode="r")
        names = entries.dtype.names or ()
        kinds = [(name, entries.dtype[name].base.str) for name in names]
        if kinds != [("features", "<f2"), ("half", "<f2"), ("done", "<u2")]:
            raise ValueError(f"it holds {kinds}")
        n_bytes = entries.offset + entries.nbytes
        n_frames = len(self.neighbourhood.frames)
        if entries.shape != (n_frames,) or self.path.stat().st_size != n_bytes:
            raise ValueError(f"it holds {entries.shape} frames of {n_frames}")
        return entries

    def _compute(self, rows):
        device = next(self.module.parameters()).device
        size = self.module.image_size
        images = self.neighbourhood.gather(rows, size)["images"]
        images = torch.as_tensor(images).to(device)
        with torch.no_grad():
            features = self.module.features(images).float()
            kept = {"features": features, "half": self.module.network.half(features)}
        if not features.half().isfinite().all():
            raise ValueError(
                "feature_cache keeps float16, up to 65504; got features up to "
                f"{features.abs().max():.3g}. A face alignment network after few "
                "steps of training gives such: raise fan_epochs or give fan_weights, "
                "or pass feature_cache=None."
            )
        return {k: v.movedim(1, 3).half().cpu().numpy() for k, v in kept.items()}

    def _write(self, rows, kept):
        entries = self._entries
        shapes = {name: values.shape[1:] for name, values in kept.items()}
        if shapes != {name: entries.dtype[name].shape for name in kept}:
            raise OSError(f"the header of {str(self.path)!r} is damaged; delete it.")
        starts = [entries.offset + int(row) * entries.itemsize for row in rows]
        # Write to the file, not through the map: with a full disk, the map would end
        # the process without a message.
        marks = []
        with naming(self.path), self.path.open("r+b") as file:
            for i, start in enumerate(starts):
                entry = np.zeros((), entries.dtype)
                for name, values in kept.items():
                    entry[name] = values[i]
                marks.append(_checksum(entry))
                file.seek(start)
                file.write(entry.tobytes())
            file.flush()
            os.fsync(file.fileno())
            # Mark rows as done last: other processes may read, and this one may be
            # stopped.
            kind, within = entries.dtype.fields["done"]
            for start, mark in zip(starts, marks, strict=True):
                file.seek(start + within)
                file.write(np.array(mark, kind).tobytes())
        if not entries["done"][rows].all():
            raise OSError(
                f"the feature cache {str(self.path)!r} was replaced while in use. "
                "Start the fit or prediction again."
            )

    def _create(self):
        n_frames = len(self.neighbourhood.frames)
        one = self._compute(self.neighbourhood.rows[:1, 0])
        fields = [(name, np.float16, value.shape[1:]) for name, value in one.items()]
        entry = np.dtype([*fields, ("done", np.uint16)])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        layout = {"descr": entry.descr, "fortran_order": False, "shape": (n_frames,)}
        with beside(self.path) as (partial, file):
            np.lib.format.write_array_header_2_0(file, layout)
            # The file is sparse.
            file.truncate(file.tell() + n_frames * entry.itemsize)
            file.flush()
            os.fsync(file.fileno())
            self._give_name(partial)

    def _give_name(self, partial):
        """Move a new file to its place, unless another process was faster."""
        # Link the file: unlike a rename, a link never replaces another process's file.
        try:
            self.path.hardlink_to(partial)
        except FileExistsError:
            return
        except OSError:
            # Rename it where the disk has no links (some removable and network disks).
            # If two processes begin at once there, `_write` tells one of them to start
            # again.
            partial.replace(self.path)


def _checksum(entry):
    """Return what `done` of an entry is: neither 0, for none, nor 1, of before."""
    total = 0
    for name in entry.dtype.names[:-1]:
        total = zlib.crc32(np.ascontiguousarray(entry[name]), total)
    return total % (2**16 - 2) + 2
