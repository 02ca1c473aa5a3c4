"""Align once, keep the crops: into a file that survives an interruption."""

import json
import os
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from skfau._arrays import digest
from skfau._validation import check_faces
from skfau.exceptions import DatasetError, FaceImageError, MissingFaceWarning

_FORMAT = 1
# What is redone after an interruption is less than this, or one video.
_BLOCK_ROWS = 1024
_ARRAYS = ("images", "landmarks", "matrix")
_WITHOUT_EFFECT = {"n_jobs", "verbose", "on_missing"}


def prepare(faces, aligner, out, *, batch_size=256, verify=False, verbose=False):
    """Align faces once and keep the crops in a memory-mapped file.

    Interrupted in any way, the same call goes on where it stopped, and the files
    become the same to the byte. A later call returns at once. Memory is that of two
    batches and one video's landmarks; as many threads work as the aligner has.

    Parameters
    ----------
    faces : Faces of n_samples rows
        Source images, in the order of their videos: detectors follow a face in them.
    aligner : FaceAligner
        Or a transformer of Faces to as many of one size; callables count by name.
    out : str or Path
        Folder to write: ``images.npy``, ``landmarks.npy``, ``matrix.npy`` and
        ``prepared.json``, which has the checksums.
    batch_size : int, default=256
        Crops in memory at a time, twice.
    verify : bool, default=False
        Whether to compare what is there with its checksums. What differs is aligned
        again; in a finished folder it is an error.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    faces : Faces of n_samples rows
        Over the memory map, with the columns of `faces` and the aligner's
        ``landmarks``, ``matrix`` and ``status``.

    Raises
    ------
    DatasetError
        If the folder holds other faces, or the same ones aligned otherwise, or its
        checksums do not match.
    FaceImageError
        If an image cannot be read, or crops differ in size.

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
    folder = _Folder(Path(out), identity, _blocks(faces))
    if not folder.finished:
        _fill(folder, faces, aligner, batch_size, verify, verbose)
    elif verify and (damaged := folder.damaged()):
        raise DatasetError(
            f"blocks {damaged} of {folder.path} are not what was written; delete the "
            "folder and prepare the faces again"
        )
    return folder.faces(faces)


def _identity(value):
    """Return what of a transformer decides its output, the same in any process."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        return kind, sorted(
            (k, _identity(v)) for k, v in params.items() if k not in _WITHOUT_EFFECT
        )
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if not callable(value):
        return repr(value)
    return kind, sorted(
        (k, repr(v))
        for k, v in vars(value).items()
        if k not in _WITHOUT_EFFECT and not k.startswith("_")
    )


def _blocks(faces):
    """List (start, stop) of rows; a video is not divided."""
    starts = np.arange(0, len(faces), _BLOCK_ROWS)
    if faces.video is not None:
        video = faces.video
        change = np.flatnonzero(video[1:] != video[:-1]) + 1
        edges = np.concatenate([[0], change])
        # The first edge at or behind each of the even starts.
        at = np.unique(np.searchsorted(edges, starts))
        starts = edges[at[at < len(edges)]]
    stops = [*starts[1:].tolist(), len(faces)]
    return list(zip(starts.tolist(), stops, strict=True))


def _fill(folder, faces, aligner, batch_size, verify, verbose):
    try:
        _fill_blocks(folder, folder.open(verify), faces, aligner, batch_size, verbose)
    finally:
        folder.close()
    folder.finish()
    n_missing = len(folder.status)
    if n_missing:
        first = next(iter(sorted(folder.status, key=int)))
        warnings.warn(
            f"{n_missing} of {len(faces)} faces were not aligned (row {first}: "
            f"{folder.status[first]}; ...). They stay as black images with NaN "
            "landmarks; the column 'status' tells why.",
            MissingFaceWarning,
            stacklevel=3,
        )


def _fill_blocks(folder, todo, faces, aligner, batch_size, verbose):
    done = sum(stop - start for k, (start, stop) in enumerate(folder.blocks))
    done -= sum(folder.blocks[k][1] - folder.blocks[k][0] for k in todo)
    with tqdm(total=len(faces), initial=done, disable=not verbose, unit="face") as bar:
        for block in todo:
            rows = slice(*folder.blocks[block])
            with warnings.catch_warnings():
                # One warning for all of them, when they are counted.
                warnings.simplefilter("ignore", MissingFaceWarning)
                aligned = aligner.transform(faces[rows])
            folder.write(block, aligned, batch_size, bar)


class _Folder:
    """The files of prepared faces, and the journal of the blocks that are in them.

    A block counts once its pixels are on the disk and then its line is in the
    journal; whatever an interruption leaves of other blocks is written over.
    """

    def __init__(self, path, identity, blocks):
        self.path = path
        self.blocks = blocks
        self._identity = identity
        self._journal = path / "journal.jsonl"
        self._manifest = path / "prepared.json"
        self._entries = {}
        self._files = {}
        text = self._manifest.read_text() if self._manifest.exists() else ""
        self.finished = bool(text)
        if text:
            content = json.loads(text)
            self._check(content)
            # It outlives an interruption between the last two steps.
            self._journal.unlink(missing_ok=True)
            self._entries = {e["block"]: e for e in content["blocks"]}

    @property
    def status(self):
        """Why rows have no face: dict of row number, as str, to reason."""
        return {
            row: why for e in self._entries.values() for row, why in e["status"].items()
        }

    def _check(self, content):
        if content["identity"] != self._identity:
            raise DatasetError(
                f"{self.path} holds other faces, or these aligned with other "
                "parameters, or from images that have changed; choose another folder, "
                "or delete it"
            )

    def _name(self, array):
        return self.path / f"{array}.npy{'' if self.finished else '.partial'}"

    def open(self, verify):
        """Read the journal of an interrupted run; return the blocks to be done."""
        self.path.mkdir(parents=True, exist_ok=True)
        kept, head = b"", None
        lines = self._journal.read_bytes() if self._journal.exists() else b""
        for line in lines.splitlines(keepends=True):
            try:
                entry = json.loads(line)
            except ValueError:
                # The line that was being written.
                break
            if head is None:
                head = entry
                self._check(head)
            else:
                self._entries[entry["block"]] = entry
            kept += line
        if head is not None:
            os.truncate(self._journal, len(kept))
            self._open_files(head["arrays"])
        if verify:
            for block in self.damaged():
                del self._entries[block]
        return [k for k in range(len(self.blocks)) if k not in self._entries]

    def _open_files(self, names):
        for name in names:
            path = self._name(name)
            if not path.exists():
                # Interrupted while the files were given their names.
                path.with_suffix("").replace(path)
            file = path.open("r+b", buffering=0)
            self._files[name] = (file, np.load(path, mmap_mode="r"))

    def _create(self, arrays):
        """Begin the files that one block's arrays are to go to."""
        n_rows = self.blocks[-1][1]
        for name, (shape, dtype) in arrays.items():
            file = np.lib.format.open_memmap(
                self._name(name), "w+", dtype, (n_rows, *shape)
            )
            file.flush()
        self._open_files(arrays)
        self._log({"identity": self._identity, "arrays": list(arrays)})

    def _log(self, entry):
        with self._journal.open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def write(self, block, aligned, batch_size, bar):
        """Write one block, on the disk before it is in the journal."""
        start, stop = self.blocks[block]
        if len(aligned) != stop - start:
            raise FaceImageError(
                f"the aligner made {len(aligned)} faces of {stop - start}; prepare "
                "needs one for each."
            )
        columns = [name for name in _ARRAYS[1:] if name in aligned.columns]
        values = {name: aligned.column(name) for name in columns}
        if not self._files:
            shapes = {"images": ((*aligned.image_shape, 3), np.dtype(np.uint8))}
            shapes |= {n: (v.shape[1:], v.dtype) for n, v in values.items()}
            self._create(shapes)
        sums = {name: self._put(name, start, v, 0) for name, v in values.items()}
        sums["images"] = 0
        with ThreadPoolExecutor(1) as writer:
            pending = None
            for at in range(0, stop - start, batch_size):
                images = aligned.images[at : at + batch_size]
                # While one batch is written the next is warped.
                if pending is not None:
                    sums["images"] = pending.result()
                pending = writer.submit(
                    self._put, "images", start + at, images, sums["images"]
                )
                bar.update(len(images))
            sums["images"] = pending.result()
        for file, _ in self._files.values():
            os.fsync(file.fileno())
        why = aligned.column("status") if "status" in aligned.columns else ()
        status = {str(start + k): str(text) for k, text in enumerate(why) if text}
        self._entries[block] = {"block": block, "crc32": sums, "status": status}
        self._log(self._entries[block])

    def _put(self, name, start, values, crc):
        file, layout = self._files[name]
        if layout.shape[1:] != values.shape[1:]:
            raise FaceImageError(
                f"crops differ in size: {layout.shape[1:]} and {values.shape[1:]}; the "
                "aligner must give one size."
            )
        values = np.ascontiguousarray(values)
        # Not through the map: a full disk is an error here and a crash there.
        file.seek(layout.offset + start * layout[:1].nbytes)
        data = memoryview(values).cast("B")
        while data:
            data = data[file.write(data) :]
        return zlib.crc32(values, crc)

    def close(self):
        """Close the files."""
        for file, _ in self._files.values():
            file.close()

    def finish(self):
        """Give the files their names and write down what is in them."""
        for name in self._files:
            partial = self._name(name)
            partial.replace(partial.with_suffix(""))
        content = {
            "identity": self._identity,
            "rows": self.blocks,
            "blocks": [self._entries[k] for k in range(len(self.blocks))],
        }
        partial = self._manifest.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.replace(self._manifest)
        self._journal.unlink()
        self.finished = True

    def damaged(self):
        """List the blocks whose checksums are not those that were written down."""
        arrays = {}
        bad = []
        for block, entry in sorted(self._entries.items()):
            for name, expected in entry["crc32"].items():
                if name not in arrays:
                    arrays[name] = np.load(self._name(name), mmap_mode="r")
                crc = 0
                for row in range(*self.blocks[block], 256):
                    stop = min(row + 256, self.blocks[block][1])
                    crc = zlib.crc32(np.ascontiguousarray(arrays[name][row:stop]), crc)
                if crc != expected:
                    bad.append(block)
                    break
        return bad

    def faces(self, faces):
        """Return the rows of `faces` over the prepared arrays."""
        maps = {
            name: np.load(self._name(name), mmap_mode="r")
            for name in _ARRAYS
            if self._name(name).exists()
        }
        status = np.full(len(faces), "", object)
        for row, why in self.status.items():
            status[int(row)] = why
        return faces.with_images(maps.pop("images"), **maps, status=status)
