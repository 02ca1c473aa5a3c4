"""Points in MATLAB's files: BP4D's tracked points, DISFA's file per frame."""

import re

import numpy as np
from scipy.io import loadmat, whosmat

from skfau._files import reading
from skfau._limits import refuse_large
from skfau.exceptions import DatasetError

_POINTS = (68, 66, 51, 49)
_VALUES = 2 * max(_POINTS)  # of a frame, at most
_FRAME_FILE = re.compile(r"(.*?)(\d+)_lm\.mat")


def read_tracked(path):
    """Read ``fit/pred`` of BP4D's ``2DFeatures``; frame k is entry k - 1."""
    remedy = "Copy it again, or pass landmarks=None."
    with reading(path, "does not hold tracked points (fit/pred)", remedy):
        with path.open("rb") as file:
            old = file.read(10) == b"MATLAB 5.0"
        return _stack(_old_entries(path) if old else _hdf5_entries(path))


def _stack(entries):
    """Return the numbers of frames, from 1, and their points."""
    size = next((entry.size for entry in entries if entry.size // 2 in _POINTS), 2 * 49)
    points = np.full((len(entries), size // 2, 2), np.nan, np.float32)
    for k, entry in enumerate(entries):
        # Where tracking failed MATLAB left an empty array.
        if entry.size == size:
            points[k] = entry.T if len(entry) == 2 else entry
    return np.arange(1, len(entries) + 1), points


def _hdf5_entries(path):
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs h5py: pip install 'skfau[bp4d]', or pass "
            "landmarks=None"
        ) from error
    with h5py.File(path, "r") as file:
        frames = file["fit/pred"]
        refuse_large(f"fit/pred of {path}", (*frames.shape, _VALUES), DatasetError)
        return [
            _hdf5_points(path, file[frame]) if frame else np.empty(0)
            for frame in frames[()].ravel()
        ]


def _hdf5_points(path, entry):
    """Return the points of a frame; MATLAB's empty arrays hold their own shape."""
    if entry.size > _VALUES:
        raise DatasetError(
            f"{path} holds an entry of shape {entry.shape} under fit/pred, expected "
            "two rows of 49 to 68 points. Copy it again, or pass landmarks=None."
        )
    return entry[()]


def _old_entries(path):
    content = _load_mat(path, "fit")
    try:
        entries = content["pred"].ravel()
        # A cell in one struct, or one struct per frame.
        nested = len(entries) == 1 and entries[0].dtype == object
        return [np.atleast_2d(e) for e in (entries[0].ravel() if nested else entries)]
    except (AttributeError, IndexError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{path} has no field fit.pred; pass landmarks=None"
        ) from error


def _load_mat(path, name):
    fault = f"is not a MATLAB file with the variable {name!r}"
    with reading(path, fault, "Copy it again, or pass landmarks=None."):
        for found, shape, _ in whosmat(path):
            if found == name:
                refuse_large(f"{name} of {path}", shape, DatasetError)
        return loadmat(path, variable_names=[name])[name]


def read_frame_files(folder, frames):
    """Read one file of ``pts`` per frame, as DISFA has them."""
    files = folder.glob("[!.]*_lm.mat")
    matches = [_FRAME_FILE.fullmatch(path.name) for path in files]
    matches = [match for match in matches if match]
    numbers = np.array([int(match[2]) for match in matches], np.int64)
    order = np.argsort(numbers)
    numbers = numbers[order]
    if not len(numbers):
        return numbers, np.empty((0, 68, 2))
    if len(np.unique(numbers)) < len(numbers):
        raise DatasetError(f"{folder} holds two files of points with one number")
    # Files named SN001_0000_lm.mat count from 0; those named l00001_lm.mat count from 0
    # in some copies, from 1 in others.
    if numbers[0] == 0 or (
        matches[0][1] != "l" and not (len(frames) and numbers[-1] == frames[-1])
    ):
        numbers = numbers + 1
    elif not len(frames) or numbers[-1] != frames[-1]:
        raise DatasetError(
            f"the files in {folder} are numbered {numbers[0]} to {numbers[-1]}, the "
            f"labels {frames[:1]} to {frames[-1:]}: it cannot be told whether they "
            "count from 0 or 1. Pass landmarks=None, or give the points as a CSV file."
        )
    points = np.full((len(numbers), 66, 2), np.nan, np.float32)
    for k, at in enumerate(order):
        found = np.asarray(_load_mat(folder / matches[at][0], "pts"))
        if found.shape != (66, 2):
            raise DatasetError(
                f"{folder / matches[at][0]} must hold 66 points (66, 2), got "
                f"{found.shape}"
            )
        points[k] = found
    return numbers, points
