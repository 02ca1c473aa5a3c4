"""A folder beside a table that keeps what is done until the table is complete."""

import json
import shutil
from pathlib import Path

import numpy as np

from skfau._cache_files import read_arrays, write_arrays
from skfau._files import read_json, reading, sealed_json, write_atomically
from skfau.exceptions import DatasetError

_KEPT_IMAGES = 256  # searched before they are written
_REMEDY = "Remove the folder it is in, and start anew."


class WorkFolder:
    """What is done of one table, as files that are each written whole or not at all.

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
        self._output = output
        self.path = output.with_name(f"{output.name}.partial")
        # As it comes back from JSON.
        job = json.loads(json.dumps(job))
        kept = self.path / "job.json"
        if not kept.exists():
            self.path.mkdir(exist_ok=True)
            for path in self.path.glob("[0-9]" * 6 + "*"):
                path.unlink()
            _write(kept, sealed_json(job).encode())
        elif (before := _read(kept)) != job:
            changed = [name for name in job if job[name] != before.get(name)]
            raise DatasetError(
                f"{self.path} holds the beginning of another table (not the same: "
                f"{', '.join(changed)}). Run that command again to complete it, or "
                "remove the folder."
            )

    def summary(self, source):
        """Return the counts of a source that is done, else None."""
        path = self._done(source)
        return _read(path) if path.exists() else None

    def has(self, source, start):
        """Return whether the rows of a source from `start` on are written."""
        return self._part(source, start).exists()

    def write(self, source, start, lines):
        """Write some rows of a source."""
        _write(self._part(source, start), lines)

    def close(self, source, counts):
        """Write down that all rows of a source are written, and its counts."""
        _write(self._done(source), sealed_json(counts).encode())
        for path in self.path.glob(f"{source:06d}-faces-*"):
            path.unlink()

    def finish(self, header):
        """Write the table from its parts, and remove the folder."""
        with write_atomically(self._output) as file:
            file.write(header)
            for path in sorted(self.path.glob("*.csv")):
                file.write(path.read_bytes())
        # Without it the other files count for nothing, should this be cut off.
        (self.path / "job.json").unlink()
        shutil.rmtree(self.path)

    def _part(self, source, start):
        return self.path / f"{source:06d}-{start:09d}.csv"

    def _done(self, source):
        return self.path / f"{source:06d}.json"


class RememberingDetector:
    """A detector that writes down what it found, and does not search again.

    Parameters
    ----------
    detector : object with a method ``faces``
        See `MeshDetector.faces`.
    folder : Path
        Where it is written.
    source : int
        Number of the source whose images are searched, always in the same order.

    Attributes
    ----------
    n_searched : int
        Number of images that were searched, not remembered.
    """

    def __init__(self, detector, folder, source):
        self._detector = detector
        self._name = str(folder / f"{source:06d}-faces-{{:06d}}")
        self._kept, self._new, self._n_files = [], [], 0
        while (path := self._file()).exists():
            self._kept += _read_found(path)
            self._n_files += 1
        self._next = self.n_searched = 0

    def __repr__(self):
        return repr(self._detector)

    def faces(self, images):
        """Return the boxes and landmarks of each image."""
        known = self._kept[self._next : self._next + len(images)]
        self._next += len(images)
        images = images[len(known) :]
        self.n_searched += len(images)
        new = list(self._detector.faces(images)) if images else []
        self._new += new
        if len(self._new) >= _KEPT_IMAGES:
            boxes, landmarks = zip(*self._new, strict=True)
            arrays = {
                "counts": np.array([len(box) for box in boxes]),
                "boxes": np.concatenate(boxes),
                "landmarks": np.concatenate(landmarks),
            }
            write_arrays(self._file(), arrays)
            self._n_files += 1
            self._new = []
        return known + new

    def _file(self):
        return Path(self._name.format(self._n_files))


def _read_found(path):
    with reading(path, "cannot be read", _REMEDY), read_arrays(path) as file:
        ends = np.cumsum(file["counts"])[:-1]
        parts = (np.split(file[name], ends) for name in ("boxes", "landmarks"))
        return list(zip(*parts, strict=True))


def _write(path, content):
    with write_atomically(path) as file:
        file.write(content)


def _read(path):
    with reading(path, "cannot be read", _REMEDY):
        return read_json(path.read_text("utf-8"))
