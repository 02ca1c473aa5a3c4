"""Files by names that another system or program wrote down."""

import os
import unicodedata
from pathlib import Path

import numpy as np

from skfau.exceptions import DatasetError


def find_files(root, names, where):
    """Find the files that a table names.

    A file of exactly that name comes first. Where there is none, blanks at the ends
    are dropped, backslashes are taken for slashes, and names are the same whatever
    their case and their form of Unicode (macOS writes an accent after its letter).

    Parameters
    ----------
    root : Path
        Folder that relative names start from.
    names : sequence
        Names as in the table, turned into text.
    where : sequence of str
        Place of each name in the table, for errors.

    Returns
    -------
    here : ndarray of shape (n,), dtype bool
        Which files are there.
    paths : list of str
        Their paths, or where they would be.

    Raises
    ------
    DatasetError
        If a name could be one of several files, or two names are one file.
    """
    folders = _Folders()
    here, paths = np.zeros(len(names), bool), []
    # Files that were found under another spelling than theirs.
    spelled = {}
    exact = {}
    for k, name in enumerate(names):
        path = os.path.join(root, str(name))  # noqa: PTH118
        here[k] = folders.holds(path)
        if here[k]:
            exact.setdefault(path, k)
        else:
            text = str(name).strip().replace("\\", os.sep)
            wanted = os.path.join(root, text)  # noqa: PTH118
            found = folders.find(wanted, where[k])
            here[k] = found is not None
            path = found or path
            if found not in (None, wanted):
                other = spelled.setdefault(found, k)
                _check_one(names, where, other, k, found)
        paths.append(path)
    for found, k in spelled.items():
        if found in exact:
            _check_one(names, where, exact[found], k, found)
    return here, paths


def _check_one(names, where, one, other, path):
    """Raise if two rows name a file in two spellings: one of theirs may be lost."""
    ours, theirs = str(names[one]).strip(), str(names[other]).strip()
    if ours != theirs:
        raise DatasetError(
            f"{where[other]}: the path {theirs!r} and {ours!r} ({where[one]}) are both "
            f"{path} but for their case or form of Unicode; write paths as the files "
            "are named"
        )


class _Folders:
    """Names in folders, each of which is listed once."""

    def __init__(self):
        self._names = {}
        self._alike = {}
        self._found = {}

    def holds(self, path):
        folder, name = os.path.split(path)
        return name in self._list(folder)

    def find(self, path, where):
        """Return the path as it is written on disk, or None."""
        if path not in self._found:
            self._found[path] = self._find(path, where)
        return self._found[path]

    def _find(self, path, where):
        folder, name = os.path.split(path)
        if not name:
            return folder if Path(folder).is_dir() else None
        if not Path(folder).is_dir():
            folder = self.find(folder, where)
        if folder is None:
            return None
        names = [name] if name in self._list(folder) else self._like(folder, name)
        if len(names) > 1:
            raise DatasetError(
                f"{where}: the path {path} may be {names[0]!r} or {names[1]!r} in "
                f"{folder}; write it as the file is named"
            )
        return os.path.join(folder, names[0]) if names else None  # noqa: PTH118

    def _list(self, folder):
        if folder not in self._names:
            place = Path(folder)
            self._names[folder] = (
                set(os.listdir(place)) if place.is_dir() else set()  # noqa: PTH208
            )
        return self._names[folder]

    def _like(self, folder, name):
        """Return the names in a folder that differ from one in case or form only."""
        if folder not in self._alike:
            alike = self._alike[folder] = {}
            for one in sorted(self._list(folder)):
                alike.setdefault(_folded(one), []).append(one)
        return self._alike[folder].get(_folded(name), [])


def _folded(name):
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
