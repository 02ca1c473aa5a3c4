"""Align faces once into files that survive an interruption."""

from __future__ import annotations

import inspect
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skfau._arrays import digest
from skfau._progress import Progress
from skfau._validation import check_faces
from skfau._warn import warn
from skfau.exceptions import MissingFaceWarning, SeveralFacesWarning
from skfau.preprocessing._prepared_folder import PreparedFolder, locked

if TYPE_CHECKING:
    from skfau.faces import Faces
    from skfau.preprocessing import FaceAligner

_FORMAT = 1
# Rows of a block, or more for a longer video. An interruption loses at most one block.
_BLOCK_ROWS = 1024
_WITHOUT_EFFECT = {"n_jobs", "verbose", "on_missing"}
# Parameters that older folders do not know of, and what they were then.
_ADDED = {"mesh": False}


def prepare(
    faces: Faces,
    aligner: FaceAligner,
    out: str | Path,
    *,
    batch_size: int = 256,
    verify: bool = False,
    verbose: bool = False,
) -> Faces:
    """Align faces once and keep the crops in a memory-mapped file.

    After any interruption the same call continues where it stopped, and the files are
    the same to the byte. A call for a finished folder returns at once. If another
    process is preparing the folder, a call waits for it (not on Windows). Memory holds
    two batches and one video's landmarks. The aligner sets the number of threads.

    Parameters
    ----------
    faces : Faces of n_samples rows
        Source images, in the order of their videos.
    aligner : FaceAligner
        Or another transformer to as many faces of one size. Callables count by name.
    out : str or Path
        Folder to write: ``images.npy``, ``landmarks.npy``, ``matrix.npy`` and
        ``prepared.json``, which holds the checksums; ``five_points.npy`` and
        ``mesh.npy`` if there are.
    batch_size : int, default=256
        Crops of one batch; two batches are in memory.
    verify : bool, default=False
        Whether to compare existing files with their checksums. Rows that differ are
        aligned again; in a finished folder they are an error.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    faces : Faces of n_samples rows
        Over the memory map, with the columns of `faces` and the aligner's
        ``landmarks``, ``matrix`` and ``status``.

    Raises
    ------
    DatasetError
        If the folder holds other faces, faces aligned in another way, or damaged files.
    FaceImageError
        If an image cannot be read, or crops differ in size.
    OSError
        If the disk is full; the same call goes on once there is room.

    Warns
    -----
    DatasetWarning
        If the journal of an interrupted call is damaged: its blocks are aligned again.

    Examples
    --------
    >>> import tempfile
    >>> from skfau.datasets import make_faces
    >>> from skfau.preprocessing import FaceAligner, prepare
    >>> made = make_faces(n_subjects=2, n_frames=3, image_size=64, random_state=0)
    >>> prepare(made.data, FaceAligner(output_size=48), tempfile.mkdtemp()).image_shape
    (48, 48)
    """
    faces = check_faces(faces)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    identity = digest(_FORMAT, faces.fingerprint(), _identity(aligner))
    folder = PreparedFolder(Path(out), identity, _blocks(faces))
    if not folder.finished:
        with locked(folder.path):
            folder.read_manifest()
            if not folder.finished:
                _fill(folder, faces, aligner, batch_size, verify, verbose)
    elif verify:
        folder.verify()
    return folder.faces(faces)


def _identity(value):
    """Return what determines a transformer's output, equal in every process."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        return kind, sorted(
            (k, _identity(v))
            for k, v in params.items()
            if k not in _WITHOUT_EFFECT and not (k in _ADDED and v is _ADDED[k])
        )
    if isinstance(value, partial):
        parts = (value.func, *value.args, *value.keywords.values())
        return kind, [*map(_identity, parts)], [*value.keywords]
    if inspect.ismethod(value):
        return value.__func__.__qualname__, _settings(value.__self__)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if not callable(value):
        return repr(value)
    return kind, _settings(value)


def _settings(value):
    return sorted(
        (k, repr(v))
        for k, v in getattr(value, "__dict__", {}).items()
        if k not in _WITHOUT_EFFECT and not k.startswith("_")
    )


def _blocks(faces):
    """List (start, stop) of rows; a video is not divided."""
    starts = np.arange(0, len(faces), _BLOCK_ROWS)
    if faces.video is not None:
        video = faces.video
        change = np.flatnonzero(video[1:] != video[:-1]) + 1
        edges = np.concatenate([[0], change])
        # A block starts at the first edge at or after each regular start.
        at = np.unique(np.searchsorted(edges, starts))
        starts = edges[at[at < len(edges)]]
    stops = [*starts[1:].tolist(), len(faces)]
    return list(zip(starts.tolist(), stops, strict=True))


def _fill(folder, faces, aligner, batch_size, verify, verbose):
    try:
        n_several = _fill_blocks(
            folder, folder.open(verify), faces, aligner, batch_size, verbose
        )
    finally:
        folder.close()
    folder.finish()
    if n_several:
        warn(
            f"{n_several} images show several faces; one of them is used. "
            "skfau.preprocessing.find_faces gives a row to each.",
            SeveralFacesWarning,
        )
    n_missing = len(folder.status)
    if n_missing:
        first = next(iter(sorted(folder.status, key=int)))
        warn(
            f"{n_missing} of {len(faces)} faces were not aligned (row {first}: "
            f"{folder.status[first]}; ...). They stay as black images with NaN "
            "landmarks; the column 'status' tells why.",
            MissingFaceWarning,
        )


def _fill_blocks(folder, todo, faces, aligner, batch_size, verbose):
    """Align and write blocks; return how many of their images show several faces."""
    n_several = 0
    left = (folder.blocks[block] for block in todo)
    done = len(faces) - sum(stop - start for start, stop in left)
    shown = "Preparing faces", len(faces), "faces", __name__, verbose
    with Progress(*shown, done=done) as bar:
        for block in todo:
            rows = slice(*folder.blocks[block])
            with warnings.catch_warnings():
                # _fill warns once, when the missing faces of all blocks are counted.
                warnings.simplefilter("ignore", MissingFaceWarning)
                warnings.simplefilter("ignore", SeveralFacesWarning)
                aligned = aligner.transform(faces[rows])
            if "n_faces" in aligned.columns and "n_faces" not in faces.columns:
                n_several += int((aligned.column("n_faces") > 1).sum())
            folder.write(block, aligned, batch_size, bar)
    return n_several
