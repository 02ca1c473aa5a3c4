"""Files in the user's cache folder: what was read once and is so until files change."""

import contextlib
import os
from pathlib import Path

import numpy as np

from skfau._arrays import digest
from skfau._files import check_seal, write_atomically

# A file that was written this shortly before it was read may have been written again
# within one tick of the file system's clock.
_UNSETTLED_NS = 2_000_000_000


def cache_path(folder, name, *about):
    """Return the cache file of what a name and further values stand for."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    start = f"{name}-" if name else ""
    return Path(cache, "skfau", folder, f"{start}{digest(*about)[:16]}.npz")


def settled(modified, began):
    """Say whether a file of that date cannot have changed since ``began`` unseen."""
    return modified is None or modified < began - _UNSETTLED_NS


def write_arrays(path, arrays):
    """Write a ``.npz`` file whole or not at all; raise OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path, sealed=True) as file:
        np.savez(file, **arrays)


@contextlib.contextmanager
def read_arrays(path):
    """Open a ``.npz`` file of `write_arrays`; raise if it is not what was written."""
    with path.open("rb") as file:
        if not check_seal(file):
            raise ValueError("it is cut off, or of an earlier version")
        with np.load(file, allow_pickle=False) as arrays:
            yield arrays
