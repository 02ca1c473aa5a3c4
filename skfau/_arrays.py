"""Digests of arrays and files, and arrays that pickle as the file they map."""

import hashlib
import os
from pathlib import Path

import numpy as np

from skfau.exceptions import FaceImageError


def digest(*parts):
    """Return one digest of several values, by their bytes or repr."""
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def stamp(path):
    """Return what identifies a file's content without reading it."""
    try:
        # os.stat of a str: making a Path takes longer than the call.
        stat = os.stat(path)  # noqa: PTH116
    except OSError:
        return (path, None, None)
    return (path, stat.st_size, stat.st_mtime_ns)


def hash_array(array):
    """Return a digest of an array's dtype, shape and content."""
    array = np.asarray(array)
    total = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    if array.dtype.hasobject:
        total.update(repr(array.tolist()).encode())
    else:
        # Dates become integers, because they have no buffer.
        array = array.view("i8") if array.dtype.kind in "mM" else array
        # Row blocks bound the copy that a non-contiguous array needs.
        for start in range(0, len(array), 1024):
            total.update(np.ascontiguousarray(array[start : start + 1024]).data)
    return total.hexdigest()


def mapped_base(array):
    """Return the memmap over a named file that ``array`` views, or None."""
    if not array.size:
        return None
    found = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            found = array
        array = array.base
    # A copy-on-write map may hold changes that its file does not.
    if found is None or found.filename is None or found.mode == "c":
        return None
    return found


class MappedArray:
    """Rows of a memory-mapped file; pickles as a file name and a layout.

    Unpickled, it opens the file when values are asked for: what passes a pickle on, as
    the scheduler of a cluster does, need not see the file.
    """

    def __init__(self, array):
        base = mapped_base(array)
        self._opened = np.asarray(array)
        low, high = np.lib.array_utils.byte_bounds(array)
        self._layout = {
            "path": str(Path(base.filename).absolute()),
            "dtype": array.dtype.str,
            "shape": array.shape,
            "strides": array.strides,
            "offset": base.offset + low - np.lib.array_utils.byte_bounds(base)[0],
            "n_bytes": high - low,
            "first": array.__array_interface__["data"][0] - low,
        }

    shape = property(lambda self: self._layout["shape"])
    dtype = property(lambda self: np.dtype(self._layout["dtype"]))
    path = property(lambda self: self._layout["path"])

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        if self._opened is None:
            self._opened = self._open()
        return self._opened[rows]

    def fingerprint(self):
        """Return the digest of the file's name, size and date, and the layout."""
        layout = sorted((k, v) for k, v in self._layout.items() if k != "path")
        return digest(stamp(self.path), layout)

    def __getstate__(self):
        # The stamp lets joblib's hash, which reads this state, change with the file.
        return (self._layout, stamp(self.path))

    def __setstate__(self, state):
        self._layout, _ = state
        self._opened = None

    def _open(self):
        layout = self._layout
        try:
            # The map is read-only whatever its mode was: "w+" would erase the file.
            raw = np.memmap(
                layout["path"],
                mode="r",
                offset=layout["offset"],
                shape=(layout["n_bytes"],),
            )
        except (OSError, ValueError) as error:
            raise FaceImageError(
                f"the memory-mapped file {self.path!r} cannot be opened here "
                f"({error}). These faces were pickled as the name of that file: put "
                "the same file there, on every machine that works with them."
            ) from error
        return np.ndarray(
            layout["shape"],
            np.dtype(layout["dtype"]),
            buffer=raw,
            offset=layout["first"],
            strides=layout["strides"],
        )
