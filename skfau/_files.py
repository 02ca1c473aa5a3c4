"""Files: one way to write them, one way to know that one is whole, one door in.

A file is written beside its target under a name of its own, and takes the target's
place once it is on the disk: a reader sees the old file or the new one. A seal, the
digest at a file's end, tells damage from content. Whatever the file of a stranger does
to a parser becomes an error that names the file.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import stat
import time
from pathlib import Path
from uuid import uuid4

from skfau.exceptions import DatasetError

try:
    import fcntl
except ImportError:
    # Windows, which removes and renames no file that is open.
    fcntl = None

_SEAL = b"skfau-sha256:"
_SEAL_LENGTH = len(_SEAL) + hashlib.sha256().digest_size
# How a file is called while it is written: by a random name, or, in earlier versions,
# by the number of its process and thread.
_PARTIAL = r"\.([0-9a-f]{32}|\d+(-\d+)?)\.(partial|tmp)"
# A file without the lock of a writer is nobody's a day after its last byte.
_ABANDONED_SECONDS = 86_400


@contextlib.contextmanager
def write_atomically(path, *, sealed=False):
    """Open a file for writing that takes its place once it is written whole.

    What the block writes goes to a file beside the target. It replaces the target when
    the block ends, and is removed if the block raises. What writers that were killed
    left beside this target is removed, too.

    Parameters
    ----------
    path : str or Path
        The file; its folder must exist.
    sealed : bool, default=False
        Whether to put a digest at its end, which `check_seal` looks for.

    Yields
    ------
    file : io.RawIOBase
        Takes bytes; it cannot seek.

    Raises
    ------
    OSError
        If it cannot be written; the error names `path`.
    """
    path = Path(path)
    with beside(path) as (partial, raw):
        file = _Writer(raw)
        try:
            yield file
        except Exception as error:
            # Writers of other packages hide why a disk took no more.
            if file.error in (None, error):
                raise
            raise file.error from error
        if sealed:
            raw.write(_SEAL + file.digest.digest())
        raw.flush()
        os.fsync(raw.fileno())
        if fcntl is None:
            raw.close()
        partial.replace(path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def beside(path):
    """Open a new file beside a target, which is removed unless it was renamed.

    Yields its path and the file, locked while it is open: so leftovers of writers that
    were killed are told from it, and removed. An OSError names the target.
    """
    with naming(path):
        partial, raw = _create(path)
        try:
            with raw:
                yield partial, raw
        finally:
            partial.unlink(missing_ok=True)
    _sweep(path)


class _Writer(io.RawIOBase):
    """A file to write to that knows its digest, and the error that ended it."""

    def __init__(self, raw):
        self._raw = raw
        self.digest = hashlib.sha256()
        self.error = None

    def writable(self):
        return True

    def write(self, data):
        try:
            self._raw.write(data)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(data)
        return memoryview(data).nbytes


def _create(path):
    """Return the name of a new file beside a target, and the file, open and locked."""
    while True:
        partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
        raw = partial.open("xb")
        if not _lock(raw) or os.fstat(raw.fileno()).st_nlink:
            return partial, raw
        # Another writer took it for a leftover before it had its lock.
        raw.close()


def _lock(file, flags=0):
    """Lock an open file; return whether that is possible here.

    With ``fcntl.LOCK_NB``, BlockingIOError says that another holds the lock.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | flags)
    except BlockingIOError:
        raise
    except OSError:
        # Some network disks have no locks.
        return False
    return True


def _sweep(path):
    """Remove what writers that are no more have left beside a target."""
    name, stem = re.escape(path.name), re.escape(path.stem)
    # An OSError means that this folder, or this leftover, is another's.
    with contextlib.suppress(OSError):
        for entry in path.parent.iterdir():
            found = re.fullmatch(f"({name}|{stem}){_PARTIAL}", entry.name)
            if found:
                with contextlib.suppress(OSError):
                    _remove_abandoned(entry, has_lock=len(found[2]) == 32)


def _remove_abandoned(partial, *, has_lock):
    """Remove a leftover; BlockingIOError says that its writer lives."""
    with partial.open("rb") as file:
        locks = has_lock and _lock(file, fcntl.LOCK_NB if fcntl else 0)
        age = time.time() - os.fstat(file.fileno()).st_mtime
        if locks:
            partial.unlink()
    if not locks and age > _ABANDONED_SECONDS:
        partial.unlink()


def _sync_folder(folder):
    """Bring the names of a folder's files to the disk."""
    if os.name != "posix":
        return
    # Some disks have no such thing, and some folders are written but not read.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def naming(path):
    """Give an OSError of a block that names no file, or a partial one, this name."""
    try:
        yield
    except OSError as error:
        named = error.filename is not None
        if named and not str(error.filename).startswith(f"{path}."):
            raise
        if error.errno is None:
            raise OSError(f"{path} cannot be written: {error}") from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_seal(file):
    """Raise if a sealed file is not as it was written; return whether it has a seal.

    Parameters
    ----------
    file : file object
        Open for reading bytes; left at its start.

    Raises
    ------
    ValueError
        If its digest is another; the error does not name the file, see `reading`.
    """
    left = file.seek(0, os.SEEK_END) - _SEAL_LENGTH
    sealed = left >= 0
    if sealed:
        file.seek(left)
        seal = file.read()
        sealed = seal.startswith(_SEAL)
    file.seek(0)
    digest = hashlib.sha256()
    while sealed and left:
        block = file.read(min(left, 1 << 20))
        digest.update(block)
        left -= len(block)
    if sealed and seal != _SEAL + digest.digest():
        raise ValueError("it is not what was written")
    file.seek(0)
    return sealed


def sealed_json(content):
    """Return JSON of a dict with a digest of it, for `read_json`."""
    text = json.dumps(content)
    return json.dumps({**content, "sha256": hashlib.sha256(text.encode()).hexdigest()})


def read_json(text):
    """Return the dict in JSON; ValueError says that it is not what was written.

    JSON of earlier versions has no digest.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise TypeError("it is no JSON object")
    digest = content.pop("sha256", None)
    text = json.dumps(content)
    if digest not in (None, hashlib.sha256(text.encode()).hexdigest()):
        raise ValueError("its content is not what was written")
    return content


@contextlib.contextmanager
def reading(path, fault, remedy, error_type=DatasetError):
    """Read a file of a stranger: whatever goes wrong, the error names the file.

    Parameters
    ----------
    path : str or Path
        The file.
    fault : str
        What to say of it: "cannot be read as a checkpoint".
    remedy : str
        What to do, a sentence.
    error_type : type, default=DatasetError
        A ValueError.

    Raises
    ------
    error_type
        If the block raises anything but the errors below; and for a ValueError that
        does not name the file.
    OSError
        If the file cannot be read, or is a folder or a device.
    """
    try:
        check_regular(path)
        yield
    except ImportError:
        raise
    except OSError as error:
        if error.errno is not None and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        if error.errno is not None:
            raise
        raise _unfit(path, fault, remedy, error_type, error) from error
    except Exception as error:
        # Parsers of other packages raise errors of any type.
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        raise _unfit(path, fault, remedy, error_type, error) from error


def check_regular(path):
    """Raise OSError unless a path is of a file, not of a folder or a device."""
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "Is a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(22, "Is a device or a pipe, not a file", str(path))


def _unfit(path, fault, remedy, error_type, error):
    """Return the error that says what a parser said, and names the file."""
    said = (str(error).strip().splitlines() or [""])[0][:400].rstrip(".")
    if type(error) is not ValueError:
        said = f"{type(error).__name__}: {said}".rstrip(": ")
    return error_type(f"{path} {fault} ({said}). {remedy}")
