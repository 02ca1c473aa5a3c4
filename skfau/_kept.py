"""Some rows of a store or column, for pickles of small views.

Kept rows have the numbers that they had, so that a view finds its pixels, columns and
neighbours, and its fingerprint, by the same numbers in every process.
"""

import numpy as np

from skfau._arrays import digest, hash_array
from skfau.exceptions import FaceImageError


class KeptRows:
    """Some rows of an array, or entries of a list, under the numbers they had in it.

    Parameters
    ----------
    values : array or list of length k
        What was kept.
    rows : ndarray of shape (k,), dtype intp
        Their numbers, ascending.
    length : int
        Of the whole.
    """

    def __init__(self, values, rows, length):
        self.values = values
        self.rows = rows
        self._length = length

    shape = property(lambda self: (self._length, *self.values.shape[1:]))
    dtype = property(lambda self: self.values.dtype)
    ndim = property(lambda self: self.values.ndim)
    nbytes = property(lambda self: nbytes(self.values))

    def __len__(self):
        return self._length

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            rows = np.arange(self._length)[rows]
        at = np.searchsorted(self.rows, rows)
        there = at < len(self.rows)
        if not np.all(there) or np.any(self.rows[at] != rows):
            lost = np.setdiff1d(rows, self.rows)
            raise FaceImageError(
                f"store row {lost[0]} did not travel along: the pickle of a view holds "
                "its rows and the other frames of their videos. Pickle the faces that "
                "hold all rows you need."
            )
        if isinstance(self.values, list) and np.ndim(at):
            return [self.values[place] for place in at]
        return self.values[at]

    def kept(self, rows):
        """Return fewer of the rows."""
        return KeptRows(self[rows], rows, self._length)


def nbytes(data):
    """Return the bytes that an array, a list of arrays, a column or a store holds."""
    if isinstance(data, list):
        return sum(map(nbytes, data))
    return int(getattr(data, "nbytes", 0))


def keep(data, rows):
    """Return what is needed of a column, an array or a store to read rows of it.

    Parameters
    ----------
    data : array, list or object
        What has no ``kept(rows)`` of its own, and is no array or list, stays whole.
    rows : ndarray of shape (k,), dtype intp
        Ascending. Where they are more than half of the rows, all are kept.

    Returns
    -------
    data : object
        With rows under the same numbers.
    """
    if 2 * len(rows) > len(data):
        return data
    if isinstance(data, list):
        return KeptRows([data[row] for row in rows], rows, len(data))
    if isinstance(data, np.ndarray):
        return KeptRows(data[rows], rows, len(data))
    kept = getattr(data, "kept", None)
    return kept(rows) if callable(kept) else data


class KeptStore:
    """Base of stores that can be cut down to some rows.

    A subclass names the attribute that holds one entry per row (``_entries``), and
    answers ``_digest()`` of all rows and ``_marks(rows)``, a number for each row; both
    follow what the rows show now.
    """

    _entries = ""
    # Fingerprint of the whole and the marks of its rows, when some of them were kept.
    _known = None

    def __getstate__(self):
        state = dict(self.__dict__)
        if not self._cut:
            state.pop("_known", None)
        return state

    @property
    def _cut(self):
        return isinstance(getattr(self, self._entries), KeptRows)

    @property
    def nbytes(self):
        """Bytes that are held in memory."""
        return nbytes(getattr(self, self._entries))

    def kept(self, rows):
        """Return a store that has these rows only, under the same numbers."""
        if self._known is None or not self._unchanged(self, rows):
            # A part cannot tell what the whole is; the whole is asked once.
            self._known = self.fingerprint(), self._marks(np.arange(len(self)))
        store = object.__new__(type(self))
        store.__dict__.update(self.__dict__)
        setattr(store, self._entries, keep(getattr(self, self._entries), rows))
        whole, marks = self._known
        store._known = whole, keep(marks, rows)
        return store

    def _unchanged(self, store, rows):
        """Say whether rows of a store are what they were when this one was made."""
        return np.array_equal(store._marks(rows), self._known[1][rows])

    def shows_as(self, store):
        """Say whether the rows that were kept are what `store` shows now."""
        return self._unchanged(store, self._known[1].rows)

    def fingerprint(self):
        if not self._cut:
            return self._digest()
        # What was not kept counts as it was; what was kept may have changed since.
        whole, marks = self._known
        if self._unchanged(self, marks.rows):
            return whole
        return digest(whole, hash_array(self._marks(marks.rows)))


def still_shows(kept, store):
    """Say whether a store that was cut down shows what its origin shows now."""
    shows_as = getattr(kept, "shows_as", None)
    return kept is store or (callable(shows_as) and shows_as(store))
