"""Row numbers, columns and frame lookup of `Faces`."""

from typing import Any, NamedTuple

import numpy as np

from skfau._arrays import MappedArray, hash_array, mapped_base
from skfau._kept import KeptRows, keep
from skfau._landmark_layouts import are_shares, as_points, in_other_order

_KEY_COLUMNS = ("subject", "video", "frame", "person")


class Column(NamedTuple):
    """Values of a column and, if it was given to some rows only, their positions.

    ``at`` None: ``data`` has one entry per store row. Otherwise ``at`` (a range, or
    an array with -1 for "no value") holds one position in ``data`` per view row.
    """

    data: Any
    at: Any = None


def row_array(rows):
    """Return a range or array of row numbers as an integer array."""
    if isinstance(rows, range):
        small = max(rows.start, rows.stop) < 2**31
        dtype = np.int32 if small else np.int64
        return np.arange(rows.start, rows.stop, rows.step, dtype=dtype)
    return rows


def row_key(key):
    """Return a user's index as an int, a slice or a 1-D integer or boolean array."""
    # scikit-learn indexes objects that have a shape with (rows, Ellipsis).
    if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
        key = key[0]
    if key is Ellipsis:
        return slice(None)
    if isinstance(key, slice):
        return key
    array = None if isinstance(key, tuple) else np.asarray(key)
    if array is not None:
        if array.ndim == 0 and array.dtype.kind in "iu":
            return int(array)
        if array.ndim == 1 and array.dtype.kind in "iub":
            return array
        if array.shape == (0,) and not isinstance(key, np.ndarray):
            return np.empty(0, np.intp)
    raise IndexError(
        "Faces are indexed by row: an integer, a slice, a 1-D array of integers or a "
        f"boolean mask with one entry per row; got {key!r}. Columns are read with "
        "Faces.column(name)."
    )


def select(rows, key):
    """Compose row numbers with a key from `row_key`; a sliced range stays a range."""
    if isinstance(key, (int, slice)):
        return rows[key]
    return row_array(rows)[key]


def as_slice(rows):
    """Return the slice that a range stands for."""
    stop = rows.stop if rows.stop >= 0 else None
    return slice(rows.start, stop, rows.step) if len(rows) else slice(0, 0)


def names_of(values):
    """Return names of rows in a form that NumPy can sort, and which rows have none.

    If some are text and some are numbers, all become text: 1 and "1" are the same name.
    """
    values = np.asarray(values)
    if values.dtype != object:
        return values, values != values
    missing = np.array([_is_missing(value) for value in values], bool)
    plain = values if missing.any() else np.array(values.tolist())
    return (plain if plain.shape == values.shape else values), missing


def _is_missing(value):
    # The comparison of pandas' NA with itself is NA, not a bool.
    differs = value != value
    return value is None or not isinstance(differs, bool | np.bool_) or bool(differs)


def as_numbers(values):
    """Return an array; masked entries, None and pandas' NA among numbers become NaN."""
    if isinstance(values, np.ma.MaskedArray):
        return values.astype(float).filled(np.nan)
    values = np.asarray(values)
    if values.dtype != object:
        return values
    try:
        return values.astype(float)
    except TypeError:
        missing = [_is_missing(value) for value in values.flat]
        return np.where(np.reshape(missing, values.shape), np.nan, values).astype(float)


def flat_columns(name, values):
    """Yield name and values of each column of a table that holds an array's rows."""
    if name == "landmarks":
        for axis, letter in enumerate("xy"):
            yield from flat_columns(letter, values[..., axis])
        return
    for place in np.ndindex(values.shape[1:]):
        yield "_".join(map(str, (name, *place))), values[(slice(None), *place)]


# Columns of points in pixels, and the shape of those of one face.
_POINT_COLUMNS = {"landmarks": (68, 2), "five_points": (5, 2), "mesh": (468, 3)}


def prepare_column(name, values, n_rows):
    """Check and freeze one column for ``n_rows`` rows."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"column {name!r} has masked entries; put NaN where landmarks are unknown, "
            "and leave out rows without a name."
        )
    if isinstance(values, np.ndarray) and mapped_base(values) is not None:
        values = MappedArray(values)
    elif name in _POINT_COLUMNS and isinstance(values, (list, tuple)):
        values = as_points(values, _POINT_COLUMNS[name])
    elif hasattr(values, "__array__") or isinstance(values, (list, tuple, range)):
        # Values are copied, so that later changes of the caller's array do not matter.
        values = np.array(values)
    elif isinstance(values, (str, bytes, dict)) or not (
        hasattr(values, "__len__") and hasattr(values, "__getitem__")
    ):
        raise TypeError(
            f"column {name!r} must be array-like with one entry per row, got "
            f"{type(values)}."
        )
    if getattr(values, "ndim", 1) == 0 or len(values) != n_rows:
        size = "a single value" if getattr(values, "ndim", 1) == 0 else len(values)
        raise ValueError(
            f"column {name!r} must have one entry per row: expected {n_rows}, got "
            f"{size}."
        )
    if name in _POINT_COLUMNS:
        values = _prepare_points(name, values)
    elif name in _KEY_COLUMNS:
        values = _prepare_key(name, np.asarray(values[np.arange(n_rows)]))
    if isinstance(values, np.ndarray):
        values.setflags(write=False)
    return values


def _prepare_points(name, values):
    shape = getattr(values, "shape", None)
    wanted = _POINT_COLUMNS[name]
    if shape is not None and shape[1:] != wanted and name == "mesh":
        raise ValueError(
            "mesh must have shape (n, 468, 3), in pixels, x, y and depth; got "
            f"{tuple(shape)}. FaceAligner(mesh=True) finds it; of MediaPipe's 478 "
            "points take the first 468."
        )
    if shape is not None and shape[1:] != wanted:
        raise ValueError(
            f"{name} must have shape (n, {wanted[0]}, 2), in pixels, x then y; got "
            f"{tuple(shape)}. Bring other layouts (49, 51, 66, 98, 468, 478 points, or "
            "with depth) to 68 landmarks with skfau.facs.to_68; 5 points are the "
            "column 'five_points'."
        )
    if isinstance(values, MappedArray) and values.dtype != np.float32:
        values = np.array(values[:])
    if not isinstance(values, np.ndarray):
        return values
    if values.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be numbers, got dtype {values.dtype}.")
    values = values.astype(np.float32, copy=False)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values).any(axis=(1, 2)))[0])
        raise ValueError(
            f"{name} hold an infinite value in row {row}; mark unknown points as NaN."
        )
    if name == "mesh" and are_shares(values):
        raise ValueError(
            "mesh must be in pixels, and its points are shares of the image. Multiply "
            "x and depth by its width and y by its height."
        )
    if name == "five_points" and in_other_order(values):
        raise ValueError(
            "five_points are in another order than the eye on the left of the image, "
            "the other eye, nose, the corner of the mouth on the left, the other "
            "corner (RetinaFace, MTCNN, InsightFace, YuNet)."
        )
    return values


def _prepare_key(name, values):
    if values.ndim != 1:
        raise ValueError(f"column {name!r} must be 1-D, got shape {values.shape}.")
    values, missing = names_of(values)
    if missing.any():
        raise ValueError(
            f"column {name!r} is missing in row {int(np.flatnonzero(missing)[0])}; "
            "give every row a value, or leave the column out."
        )
    if name != "frame":
        return values
    odd = values
    if values.dtype.kind in "iuf":
        odd = values[(values != np.round(values)) | (np.abs(values) >= 2**63)]
    if len(odd) or values.dtype.kind not in "iuf":
        raise TypeError(
            f"column 'frame' must hold whole frame numbers, got {odd[:3]}..."
        )
    return values.astype(np.int64)


def hash_values(data, at):
    """Return digests of the values at some places, -1 where there is none."""
    if callable(getattr(data, "fingerprint", None)):
        return [data.fingerprint(), hash_array(at)]
    at = at[at >= 0]
    return [
        hash_array(data[at[start : start + 4096]]) for start in range(0, len(at), 4096)
    ]


class Timeline:
    """Finds the frame at t + offset; built on first use, shared by all views.

    Entry i stands for ``person[i]`` in frame ``frame[i]`` of ``video[i]`` (of
    ``subject[i]``) that lies at store row ``rows[i]``, or i when ``rows`` is None.
    Store rows with equal ``origin`` are copies of one image, so they may stand for the
    same frame.
    """

    def __init__(self, subject, video, frame, rows=None, origin=None, person=None):
        self._keys = (subject, person, video, frame)
        self._rows = rows
        self._origin = origin
        self._lookup = None

    def __getstate__(self):
        # Of a part, the lookup is all there is.
        kept = self._lookup if self._keys is None else None
        return {**self.__dict__, "_lookup": kept}

    def rows_of(self, entries):
        """Return the store rows of entries."""
        return entries if self._rows is None else self._rows[entries]

    def recordings_of(self, entries):
        """Return all entries of the recordings, and persons, that entries are of."""
        keys, _, span, ordered, order = self._look_up()
        group = np.unique(keys[entries] // span)
        return np.sort(order[np.isin(ordered // span, group)])

    def kept(self, entries):
        """Return a timeline of some whole recordings, with the same numbers."""
        keys, time, span, ordered, order = self._look_up()
        part = Timeline(None, None, None)
        part._keys = None
        if self._rows is not None:
            part._rows = keep(self._rows, entries)
        own = np.isin(order, entries)
        times = KeptRows(time[entries], entries, len(keys))
        keys = KeptRows(keys[entries], entries, len(keys))
        part._lookup = keys, times, span, ordered[own], order[own]
        return part

    def _look_up(self):
        if self._lookup is None:
            self._lookup = self._build()
        return self._lookup

    def _build(self):
        *names, video, frame = self._keys
        group = np.unique(video, return_inverse=True)[1].astype(np.int64)
        # The subject is part of the name: "T1" may exist once per subject. So is the
        # person: a frame with several people has a row for each.
        for values in names:
            if values is not None:
                who = np.unique(values, return_inverse=True)[1]
                group = group * (int(who.max(initial=0)) + 1) + who
        first = int(frame.min(initial=0))
        span = int(frame.max(initial=0)) - first + 1
        if (int(group.max(initial=0)) + 1) * span >= 2**63:
            raise ValueError(
                f"frame numbers span {span}; give frame counts, not time stamps."
            )
        keys = group * span + (frame - first)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        rows = self.rows_of(order)
        origin = rows if self._origin is None else self._origin[rows]
        twice = np.flatnonzero((np.diff(ordered) == 0) & (np.diff(origin) != 0))
        if len(twice):
            one, other = rows[twice[0]], rows[twice[0] + 1]
            raise ValueError(
                f"store rows {one} and {other} are both frame {frame[order[twice[0]]]} "
                f"of video {video[order[twice[0]]]}; give each recording its own "
                "name in the column 'video'."
            )
        return keys, frame - first, span, ordered, order.astype(np.int32)

    def shift(self, entries, offset):
        """Return the entry ``offset`` frames later, or the same one where none is."""
        keys, time, span, ordered, order = self._look_up()
        if not len(entries) or abs(offset) >= span:
            return entries
        moved = time[entries] + offset
        wanted = keys[entries] + offset
        at = np.searchsorted(ordered, wanted).clip(max=len(ordered) - 1)
        found = (moved >= 0) & (moved < span) & (ordered[at] == wanted)
        return np.where(found, order[at], entries)


def carry(at, rows, moved_rows, n_store):
    """Return the positions of the values of other store rows, -1 where there is none.

    The value of store row ``rows[i]`` is at ``at[i]``.
    """
    at, rows = row_array(at), row_array(rows)
    where = np.full(n_store, -1, np.int32)
    where[rows[::-1]] = at[::-1]
    # A row that does not move keeps its own value, even if the view repeats it.
    return np.where(moved_rows == rows, at, where[moved_rows])
