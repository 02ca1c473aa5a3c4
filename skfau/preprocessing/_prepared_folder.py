"""The folder of prepared faces: arrays, and the journal that makes them resumable."""

import contextlib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from skfau._files import naming, read_json, reading, sealed_json, write_atomically
from skfau._warn import warn
from skfau.exceptions import DatasetError, DatasetWarning, FaceImageError

_COLUMNS = ("landmarks", "matrix", "five_points", "mesh")


@contextlib.contextmanager
def locked(path):
    """Lock a folder: one process at a time prepares faces in it."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        # No lock on Windows, which cannot lock a folder.
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        # An OSError means a network file system that cannot lock folders.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class PreparedFolder:
    """The files of prepared faces, and the journal of the blocks that are in them.

    The journal gets a block's line after the block's pixels are on the disk. Blocks
    without a line, which an interruption may leave, are written again.
    """

    def __init__(self, path, identity, blocks):
        self.path = path
        self.blocks = blocks
        self._identity = identity
        self._journal = path / "journal.jsonl"
        self._manifest = path / "prepared.json"
        self._entries = {}
        self._files = {}
        self._layouts = {}
        self.read_manifest()

    def read_manifest(self):
        """Read the manifest, if there is one: then the folder is finished."""
        self.finished = self._manifest.exists()
        if self.finished:
            with self._guard(self._manifest):
                content = read_json(self._manifest.read_bytes())
                identity, blocks = content["identity"], content["blocks"]
                self._layouts = content.get("arrays", {})
                self._entries = {e["block"]: e for e in blocks}
                self._check_entries()
            self._check(identity)
            # A journal is left if a run was interrupted between its last two steps. A
            # finished folder may lie on a disk that can only be read.
            with contextlib.suppress(OSError):
                self._journal.unlink()

    @contextlib.contextmanager
    def _guard(self, file):
        """Whatever is wrong with a file of a finished folder, the error names both."""
        remedy = f"To go on, delete {self.path} and prepare the faces again."
        try:
            with reading(file, "is damaged", remedy):
                yield
        except FileNotFoundError as error:
            raise DatasetError(
                f"{file} is damaged (it does not exist). {remedy}"
            ) from error

    def _check_entries(self):
        """Raise ValueError if the entries of a manifest are not those of all blocks."""
        rows = [int(row) for row in self.status]
        names = {frozenset(e["crc32"]) for e in self._entries.values()}
        if sorted(self._entries) != list(range(len(self.blocks))) or len(names) != 1:
            raise ValueError("its blocks are not those of these faces")
        if not {"images"} <= set(*names) <= {"images", *_COLUMNS}:
            raise ValueError(f"its arrays are {sorted(*names)}")
        if not all(0 <= row < self.blocks[-1][1] for row in rows):
            raise ValueError("it names rows that do not exist")

    @property
    def status(self):
        """Reasons why rows have no face: dict of row number, as str, to reason."""
        return {
            row: why for e in self._entries.values() for row, why in e["status"].items()
        }

    def _check(self, identity):
        if identity != self._identity:
            raise DatasetError(
                f"{self.path} holds other faces, or these aligned with other "
                "parameters, or from images that have changed; choose another folder, "
                "or delete it"
            )

    def _name(self, array):
        return self.path / f"{array}.npy{'' if self.finished else '.partial'}"

    def open(self, verify):
        """Read the journal of an interrupted run; return the blocks to be done."""
        kept, head = b"", None
        lines = self._journal.read_bytes() if self._journal.exists() else b""
        for line in lines.splitlines(keepends=True):
            try:
                entry = read_json(line)
                if head is None:
                    identity, layouts = entry["identity"], entry["arrays"]
                else:
                    self._entries[range(len(self.blocks))[entry["block"]]] = entry
            except (ValueError, TypeError, LookupError, RecursionError):
                # The last line was cut off by the interruption.
                break
            if head is None:
                self._check(identity)
                head, self._layouts = entry, layouts
            kept += line
        if b"\n" in lines[len(kept) :]:
            warn(
                f"{self._journal} is damaged from byte {len(kept)} on; the faces that "
                "it does not list are aligned again",
                DatasetWarning,
            )
        self._open_journal(lines, len(kept))
        if verify:
            for block in self.damaged():
                del self._entries[block]
        return [k for k in range(len(self.blocks)) if k not in self._entries]

    def _open_journal(self, lines, n_sound):
        """Keep the sound start of a journal, and open the files of its blocks."""
        try:
            if n_sound:
                os.truncate(self._journal, n_sound)
                self._open_files()
        except Exception:
            # A file is missing, cut off or damaged: no block can be trusted.
            n_sound = 0
        if lines and not n_sound:
            self._forget()

    def _open_files(self):
        for name in self._layouts:
            path = self._name(name)
            if not path.exists():
                # The run was interrupted while `finish` renamed the files.
                path.with_suffix("").replace(path)
            layout = self._map(name)
            self._files[name] = (path.open("r+b", buffering=0), layout)

    def _map(self, name):
        """Return a file's array, mapped; ValueError if its header is another."""
        array = np.load(self._name(name), mmap_mode="r")
        # Earlier versions wrote only the names.
        known = self._layouts.get(name) if isinstance(self._layouts, dict) else None
        if known is not None and known != _layout(array):
            raise ValueError(f"it holds an array {_layout(array)}, not {known}")
        size = self._name(name).stat().st_size
        if array.offset + array.nbytes != size or not array.flags.c_contiguous:
            raise ValueError("its header is not the one that was written")
        return array

    def _forget(self):
        """Forget all blocks and start again."""
        self.close()
        self._files, self._entries, self._layouts = {}, {}, {}
        self._journal.unlink()

    def _create(self, arrays):
        """Create the files for arrays of these shapes and dtypes."""
        n_rows = self.blocks[-1][1]
        for name, (shape, dtype) in arrays.items():
            with naming(self._name(name)):
                path, shape = self._name(name), (n_rows, *shape)
                np.lib.format.open_memmap(path, "w+", dtype, shape).flush()
        self._layouts = {
            name: [dtype.str, [n_rows, *shape]]
            for name, (shape, dtype) in arrays.items()
        }
        self._open_files()
        self._log({"identity": self._identity, "arrays": self._layouts})

    def _log(self, entry):
        with naming(self._journal), self._journal.open("ab") as file:
            file.write(sealed_json(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def write(self, block, aligned, batch_size, bar):
        """Write one block to the disk, then its line to the journal."""
        start, stop = self.blocks[block]
        if len(aligned) != stop - start:
            raise FaceImageError(
                f"the aligner made {len(aligned)} faces of {stop - start}; prepare "
                "needs one for each."
            )
        columns = [name for name in _COLUMNS if name in aligned.columns]
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
                # A thread writes one batch while the next is warped.
                if pending is not None:
                    sums["images"] = pending.result()
                pending = writer.submit(
                    self._put, "images", start + at, images, sums["images"]
                )
                bar.update(len(images))
            sums["images"] = pending.result()
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
        data = memoryview(values).cast("B")
        with naming(self._name(name)):
            # Write to the file, not to the memory map: there a full disk is a crash.
            file.seek(layout.offset + start * layout[:1].nbytes)
            while data:
                data = data[file.write(data) :]
            # Sync each batch, while the next is warped, not a whole block at its end.
            os.fsync(file.fileno())
        return zlib.crc32(values, crc)

    def close(self):
        """Close the files."""
        for file, _ in self._files.values():
            file.close()

    def finish(self):
        """Give the files their final names and write the manifest."""
        for name in self._files:
            partial = self._name(name)
            partial.replace(partial.with_suffix(""))
        content = {
            "identity": self._identity,
            "arrays": self._layouts,
            "rows": self.blocks,
            "blocks": [self._entries[k] for k in range(len(self.blocks))],
        }
        with write_atomically(self._manifest) as file:
            file.write(sealed_json(content).encode())
        # Any process that finds the manifest also deletes the journal.
        self._journal.unlink(missing_ok=True)
        self.finished = True

    def _maps(self):
        """Return the arrays, mapped, by name."""
        names = next(iter(self._entries.values()), {"crc32": ()})["crc32"]
        maps = {}
        for name in names:
            with self._guard(self._name(name)):
                maps[name] = self._map(name)
        return maps

    def verify(self):
        """Raise DatasetError if a finished folder does not match its checksums."""
        if damaged := self.damaged():
            raise DatasetError(
                f"blocks {damaged} of {self.path} are not what was written; delete the "
                "folder and prepare the faces again"
            )

    def damaged(self):
        """List the blocks that do not match their checksums."""
        arrays = self._maps()
        bad = []
        for block, entry in sorted(self._entries.items()):
            for name, expected in entry["crc32"].items():
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
        maps = self._maps()
        status = np.full(len(faces), "", object)
        for row, why in self.status.items():
            status[int(row)] = why
        return faces.with_images(maps.pop("images"), **maps, status=status)


def _layout(array):
    """Return what a ``.npy`` header says, as JSON gives it back."""
    return [array.dtype.str, list(array.shape)]
