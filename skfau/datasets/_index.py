"""Index of a data set: what was read from its files, stored until they change."""

import json
import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from skfau import __version__
from skfau._arrays import stamp
from skfau._cache_files import cache_path, read_arrays, settled, write_arrays
from skfau._progress import Progress
from skfau._warn import warn
from skfau.exceptions import DatasetWarning

# Format of the index; raise it when a reader returns other records for equal files.
_FORMAT = 3
# Time to read without workers: about as long as starting them takes.
_SERIAL_SECONDS = 2.0


def read_indexed(recordings, *, index, name, n_jobs, verbose):
    """Read recordings, from an index where their files have not changed.

    Parameters
    ----------
    recordings : list of Recording
        Each with a ``name`` of its own. ``read`` returns a dict of arrays; arrays of
        one name must agree over all recordings, in all axes but the first.
    index : {"auto"}, str, Path or None
        File of the index; "auto" is a file in the user's cache folder; None reads all
        files.
    name : tuple of str
        Data set, its folder, and options; "auto" names the file by them.
    n_jobs : int or None
        Number of processes that read what is not in the index, as in joblib.
    verbose : bool
        Whether to show progress on standard error.

    Returns
    -------
    recordings : list of Recording
        The same with their records.
    """
    path = _index_path(index, name)
    began = time.time_ns()
    stamps = {r.name: _stamps(r) for r in recordings}
    known = {} if path is None else _load(path)
    stale = [r for r in recordings if known.get(r.name, (None,))[0] != stamps[r.name]]
    records = {video: record for video, (_, record) in known.items()}
    records |= _read_all(stale, name[0], n_jobs, verbose)
    recordings = [r._replace(record=records[r.name]) for r in recordings]
    if path is not None and recordings and (stale or len(known) != len(recordings)):
        kept = [s if _settled(s, began) else None for s in stamps.values()]
        _write(path, list(stamps), kept, [r.record for r in recordings])
    return recordings


def _index_path(index, name):
    if index is None:
        return None
    return cache_path("index", name[0], *name) if index == "auto" else Path(index)


def _stamps(recording):
    marks = [stamp(str(path))[1:] for path in recording.watched]
    # Lists, not tuples: JSON gives lists back, and these are compared with them.
    return [repr(recording.read.args), [list(mark) for mark in marks]]


def _settled(stamps, began):
    return all(settled(modified, began) for _, modified in stamps[1])


def _read_all(recordings, title, n_jobs, verbose):
    """Return name -> record; worker processes join in if it takes long."""
    names, reads = [r.name for r in recordings], [r.read for r in recordings]
    records = []
    began = time.monotonic()
    with Progress(f"Reading {title}", len(reads), "files", __name__, verbose) as bar:
        for read in reads:
            if time.monotonic() - began > _SERIAL_SECONDS:
                break
            records.append(read())
            bar.update()
        rest = reads[len(records) :]
        # joblib starts its workers even for an empty list.
        parallel = Parallel(n_jobs=n_jobs, return_as="generator") if rest else list
        for record in parallel(delayed(read)() for read in rest):
            records.append(record)
            bar.update()
    return dict(zip(names, records, strict=True))


def _write(path, keys, stamps, records):
    about = {"format": [_FORMAT, __version__], "keys": keys, "stamps": stamps}
    about["fields"] = list(records[0])
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for field in records[0]:
        parts = [record[field] for record in records]
        arrays[f"values_{field}"] = np.concatenate(parts)
        arrays[f"lengths_{field}"] = np.array([len(part) for part in parts])
    try:
        write_arrays(path, arrays)
    except OSError as error:
        warn(
            f"the index {path} cannot be written ({error.strerror}), so the next load "
            "reads all files again; pass index=FILE in a folder that can be written, "
            "or index=None",
        )


def _load(path):
    """Return name -> (stamps, record); empty if there is no sound index."""
    try:
        with read_arrays(path) as file:
            about = json.loads(file["about"].tobytes())
            if about["format"] != [_FORMAT, __version__]:
                return {}
            return _unpack(about, file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except Exception as error:
        # zipfile has errors of many types.
        warn(
            f"the index {path} is not as it was written ({error}), so all files are "
            "read again",
            DatasetWarning,
        )
        return {}


def _unpack(about, file):
    """Return name -> (stamps, record); raise ValueError if parts do not agree."""
    n_keys = len(about["keys"])
    split = {}
    for field in about["fields"]:
        values, lengths = file[f"values_{field}"], file[f"lengths_{field}"]
        if len(lengths) != n_keys or lengths.min() < 0 or lengths.sum() != len(values):
            raise ValueError(field)
        split[field] = np.split(values, np.cumsum(lengths)[:-1])
    return {
        key: (stamps, {field: parts[k] for field, parts in split.items()})
        for k, (key, stamps) in enumerate(
            zip(about["keys"], about["stamps"], strict=True)
        )
    }
