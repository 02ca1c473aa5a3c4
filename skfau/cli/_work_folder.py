"""A folder beside a table that keeps what is done until the table is complete."""

import json
import shutil
from itertools import count
from platform import node

import numpy as np

from skfau._arrays import digest
from skfau._cache_files import read_arrays, write_arrays
from skfau._files import read_json, reading, sealed_json, write_atomically
from skfau.exceptions import DatasetError

_REMEDY = "Remove the folder it is in, and start anew."


class WorkFolder:
    """What is done of one table, as files that are each written whole or not at all.

    Sources have numbers, and each is written in parts, from 0, to a folder of its own:
    what is in a folder is listed at every file that is written to it.

    Parameters
    ----------
    output : Path
        The table; the folder is beside it, with ``.partial`` after its name.
    job : dict
        What makes the table: it must be the same to go on.

    Raises
    ------
    DatasetError
        If the folder is of another job.
    OSError
        If it cannot be made.
    """

    def __init__(self, output, job):
        self._folder = output.absolute().with_name(f"{output.name}.partial")
        # As it comes back from JSON.
        job = json.loads(json.dumps(job))
        kept = self._folder / "job.json"
        # A worker that was given up may still write: it must not meet another job.
        self._parts = self._folder / digest(json.dumps(job))[:16]
        if not kept.exists():
            if self._folder.exists():
                shutil.rmtree(self._folder)
            self._parts.mkdir(parents=True)
            _write_json(kept, job)
        elif (before := _read_json(kept)) != job:
            changed = [name for name in job if job[name] != before.get(name)]
            raise DatasetError(
                f"{self._folder} holds the beginning of another table (not the same: "
                f"{', '.join(changed)}). Run that command again to complete it, or "
                "remove the folder."
            )

    def check_seen(self):
        """Raise OSError if this folder is not on this machine.

        Pickled, it is its name: what another process writes into it is here if both
        see the same disk.
        """
        if not self._parts.exists():
            raise FileNotFoundError(
                f"{self._folder} is not there on the machine {node()}, which is to "
                "write into it. Put the table (-o) on a disk that all workers see "
                "under the same path."
            )

    def name(self, source, name):
        """Write down the name of a source that the job does not tell."""
        _write_json(self._own(source) / "name.json", {"name": name})

    def names(self):
        """Return the names that are written down, in the order of sources."""
        paths = sorted(self._parts.glob("*/name.json"))
        return [_read_json(path)["name"] for path in paths]

    def n_parts(self, source):
        """Return the number of parts of a source."""
        return next(n for n in count() if not self._part(source, n).exists())

    def write(self, source, part, arrays):
        """Write a part of a source, a dict of arrays."""
        self._own(source)
        write_arrays(self._part(source, part), arrays)

    def add(self, source, part, arrays):
        """Write further arrays of a part."""
        write_arrays(self._part(source, part, "-more"), arrays)

    def has_more(self, source, part):
        """Return whether further arrays of a part are written."""
        return self._part(source, part, "-more").exists()

    def read(self, source, part):
        """Return the arrays of a part."""
        arrays = _read_arrays(self._part(source, part))
        if self.has_more(source, part):
            arrays |= _read_arrays(self._part(source, part, "-more"))
        return arrays

    def parts(self, source):
        """Yield the arrays of each part of a source."""
        return (self.read(source, part) for part in range(self.n_parts(source)))

    def close(self, source, fault=""):
        """Write down that a source is done, and why it could not be read on."""
        _write_json(self._own(source) / "done.json", {"fault": fault})

    def is_done(self, source):
        """Return whether all parts of a source are written."""
        return self._done(source).exists()

    def fault(self, source):
        """Return why a source that is done could not be read on, or ""."""
        return _read_json(self._done(source))["fault"] if self.is_done(source) else ""

    def remove(self):
        """Remove the folder."""
        # Without it the other files count for nothing, should this be cut off.
        (self._folder / "job.json").unlink()
        shutil.rmtree(self._folder)

    def _own(self, source):
        """Return the folder of a source, which is there."""
        folder = self._parts / f"{source:06d}"
        folder.mkdir(exist_ok=True)
        return folder

    def _part(self, source, part, more=""):
        return self._parts / f"{source:06d}" / f"{part:06d}{more}.npz"

    def _done(self, source):
        return self._parts / f"{source:06d}" / "done.json"


def _read_arrays(path):
    with reading(path, "cannot be read", _REMEDY), read_arrays(path) as file:
        return {name: np.asarray(file[name]) for name in file.files}


def _write_json(path, content):
    with write_atomically(path) as file:
        file.write(sealed_json(content).encode())


def _read_json(path):
    with reading(path, "cannot be read", _REMEDY):
        return read_json(path.read_text("utf-8"))
