"""Landmarks of one video from the files in which data sets keep them."""

import numpy as np

from skfau.facs import to_68

_SOURCES = {"landmarks68": ".csv", "2DFeatures": ".mat"}


def landmark_reader(root, source):
    """Return ``read(name, frames) -> (n, 68, 2)``, NaN where there is nothing.

    Parameters
    ----------
    root : Path
        Holds the folders ``landmarks68`` and ``2DFeatures``.
    source : {"auto", "landmarks68", "2DFeatures"} or None
        Which folder to read; "auto" takes the first that knows the video.

    Returns
    -------
    read : callable
        Takes the name of a video and frame numbers, ndarray of shape (n,); returns
        float32 pixels of shape (n, 68, 2).
    """
    if source is not None and source not in ("auto", *_SOURCES):
        raise ValueError(
            f"landmarks must be 'auto', None or one of {tuple(_SOURCES)}, got "
            f"{source!r}"
        )
    if source in _SOURCES and not (root / source).is_dir():
        raise FileNotFoundError(f"there is no folder {root / source}")
    folders = {"auto": tuple(_SOURCES), None: ()}.get(source, (source,))

    def read(name, frames):
        for folder in folders:
            path = root / folder / f"{name}{_SOURCES[folder]}"
            if path.exists():
                reader = _read_csv if path.suffix == ".csv" else _read_mat
                return reader(path, frames)
        return np.full((len(frames), 68, 2), np.nan, dtype=np.float32)

    return read


def _read_csv(path, frames):
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    if table.shape[1] != 1 + 2 * 68:
        raise ValueError(
            f"{path} must have 137 columns (frame, x1, y1, ..., x68, y68), got "
            f"{table.shape[1]}"
        )
    points = np.full((len(frames), 68, 2), np.nan, dtype=np.float32)
    row_of = {int(frame): row for row, frame in enumerate(table[:, 0])}
    for k, frame in enumerate(frames.tolist()):
        if frame in row_of:
            points[k] = table[row_of[frame], 1:].reshape(68, 2)
    return points


def _read_mat(path, frames):
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs h5py: pip install 'skfau[bp4d]', or pass "
            "landmarks=None"
        ) from error
    points = np.full((len(frames), 49, 2), np.nan, dtype=np.float32)
    with h5py.File(path, "r") as file:
        entries = file["fit/pred"][()].ravel()
        for k, frame in enumerate(frames.tolist()):
            # Frames count from 1. Where tracking failed MATLAB left an empty array.
            entry = entries[frame - 1] if 1 <= frame <= len(entries) else None
            found = file[entry][()] if entry else np.empty(0)
            if found.size == points[k].size:
                points[k] = found.T if len(found) == 2 else found
    return to_68(points)
