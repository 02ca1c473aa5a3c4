"""What the files of a data set say, read once and kept until they change."""

import contextlib
import json
import os
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from skfau import __version__
from skfau._arrays import digest, stamp

# Raise it whenever a reader returns something else for the same files.
_FORMAT = 3
# Starting worker processes takes about as long.
_SERIAL_SECONDS = 2.0
# A file that was written this shortly before it was read may have been written again
# within one tick of the file system's clock.
_UNSETTLED_NS = 2_000_000_000


class Task(NamedTuple):
    """One recording to read.

    Attributes
    ----------
    key : str
        Its name.
    watched : tuple of Path
        Files and folders that were looked at, whether or not they exist.
    arguments : tuple
        What the reader is called with.
    """

    key: str
    watched: tuple
    arguments: tuple


def read_indexed(read, tasks, *, index, name, n_jobs, verbose):
    """Return ``[read(*task.arguments) for task in tasks]``, from an index if it knows.

    Parameters
    ----------
    read : callable
        Returns a dict of arrays; over all tasks, arrays of one name must agree in
        all axes but the first.
    tasks : list of Task
        What to read.
    index : {"auto"}, str, Path or None
        File of the index; "auto" is one in the user's cache folder, None is none.
    name : tuple
        What "auto" names the file by: the data set, its folder, options.
    n_jobs : int or None
        Processes that read what the index does not know, as in joblib.
    verbose : bool
        Whether to show a progress bar.

    Returns
    -------
    records : list of dict of ndarray
    """
    path = _index_path(index, name)
    began = time.time_ns()
    stamps = [_stamps(task) for task in tasks]
    known = {} if path is None else _load(path)
    stale = [
        task
        for task, now in zip(tasks, stamps, strict=True)
        if known.get(task.key, (None,))[0] != now
    ]
    fresh = _read_all(read, stale, name[0], n_jobs, verbose)
    new = dict(zip((task.key for task in stale), fresh, strict=True))
    records = [new[t.key] if t.key in new else known[t.key][1] for t in tasks]
    if path is not None and tasks and (new or len(known) != len(tasks)):
        kept = [s if _settled(s, began) else None for s in stamps]
        _write(path, [task.key for task in tasks], kept, records)
    return records


def _index_path(index, name):
    if index is None:
        return None
    if index != "auto":
        return Path(index)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "skfau", "index", f"{name[0]}-{digest(*name)[:16]}.npz")


def _stamps(task):
    marks = [stamp(str(path))[1:] for path in task.watched]
    # As JSON gives it back, so that what was read equals what was written.
    return [repr(task.arguments), [list(mark) for mark in marks]]


def _settled(stamps, began):
    return all(
        modified is None or modified < began - _UNSETTLED_NS
        for _, modified in stamps[1]
    )


def _read_all(read, tasks, title, n_jobs, verbose):
    records = []
    began = time.monotonic()
    with tqdm(total=len(tasks), desc=title, disable=not verbose, unit="file") as bar:
        for task in tasks:
            if time.monotonic() - began > _SERIAL_SECONDS:
                break
            records.append(read(*task.arguments))
            bar.update()
        rest = tasks[len(records) :]
        # Even for nothing joblib prepares its workers.
        parallel = Parallel(n_jobs=n_jobs, return_as="generator") if rest else list
        for record in parallel(delayed(read)(*task.arguments) for task in rest):
            records.append(record)
            bar.update()
    return records


def _write(path, keys, stamps, records):
    about = {"format": [_FORMAT, __version__], "keys": keys, "stamps": stamps}
    about["fields"] = list(records[0])
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for field in records[0]:
        parts = [record[field] for record in records]
        arrays[f"values_{field}"] = np.concatenate(parts)
        arrays[f"lengths_{field}"] = np.array([len(part) for part in parts])
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        partial.replace(path)
    except OSError as error:
        warnings.warn(
            f"the index {path} cannot be written ({error.strerror}), so the next load "
            "reads all files again; pass index=FILE in a folder that can be written, "
            "or index=None",
            stacklevel=4,
        )
        with contextlib.suppress(OSError):
            partial.unlink()


def _load(path):
    """Return key -> (stamps, record); nothing if there is no sound index."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            if about["format"] != [_FORMAT, __version__]:
                return {}
            split = {
                field: np.split(
                    file[f"values_{field}"],
                    np.cumsum(file[f"lengths_{field}"])[:-1],
                )
                for field in about["fields"]
            }
    except Exception:
        # Absent or damaged, at which zipfile raises whatever it stumbles over: the
        # files themselves are read again.
        return {}
    return {
        key: (stamps, {field: parts[k] for field, parts in split.items()})
        for k, (key, stamps) in enumerate(
            zip(about["keys"], about["stamps"], strict=True)
        )
    }
