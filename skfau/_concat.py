"""Faces of several stores as rows of one."""

import numpy as np

from skfau._arrays import MappedArray, digest, hash_array
from skfau._columns import hash_values, row_array
from skfau._kept import KeptRows, keep, nbytes, still_shows
from skfau._stores import image_sizes
from skfau.exceptions import FaceImageError


class JoinedStore:
    """Rows of several stores, one after the other."""

    def __init__(self, stores, rows):
        self._stores = stores
        self._rows = rows
        self._ends = np.cumsum([len(part) for part in rows])
        shapes = {s.image_shape for s, r in zip(stores, rows, strict=True) if len(r)}
        self.image_shape = shapes.pop() if len(shapes) == 1 else None

    @property
    def kind(self):
        """Name of the store; that of videos if one is, since they are read in order."""
        kinds = {getattr(store, "kind", None) for store in self._stores}
        return "videos" if "videos" in kinds else "joined"

    def __len__(self):
        return int(self._ends[-1])

    def image_sizes(self, rows):
        sizes = np.empty((len(rows), 2))
        for part, at, inside in _by_part(rows, self._ends):
            wanted = self._rows[part][inside].astype(np.intp)
            sizes[at] = image_sizes(self._stores[part], wanted)
        return sizes

    def gather(self, rows):
        images = [None] * len(rows)
        for part, at, inside in _by_part(rows, self._ends):
            wanted = self._rows[part][inside].astype(np.intp)
            try:
                found = self._stores[part].gather(wanted)
            except FaceImageError as error:
                # The row that it names is one of the part.
                raise FaceImageError(f"part {part} of joined faces, {error}") from error
            for k, image in zip(at, found, strict=True):
                images[k] = image
        return images

    @property
    def nbytes(self):
        """Bytes that are held in memory."""
        return nbytes(self._stores)

    def kept(self, rows):
        """Return a store that has these rows only, under the same numbers."""
        inside = [np.empty(0, np.intp)] * len(self._stores)
        for part, _, places in _by_part(rows, self._ends):
            inside[part] = np.unique(self._rows[part][places]).astype(np.intp)
        store = object.__new__(type(self))
        store.__dict__.update(self.__dict__)
        store._stores = [*map(keep, self._stores, inside)]
        return store

    def shows_as(self, store):
        """Say whether the rows that were kept are what `store` shows now."""
        return all(map(still_shows, self._stores, store._stores))

    def fingerprint(self):
        rows = [hash_array(part.astype("<i8")) for part in self._rows]
        return digest(*(store.fingerprint() for store in self._stores), *rows)


class JoinedColumn:
    """Values of several columns, read by row; unknown where a part has none."""

    def __init__(self, columns, lengths):
        # Of each part, values and where the rows' are; or None.
        self._columns = columns
        self._ends = np.cumsum(lengths)

    def __len__(self):
        return int(self._ends[-1])

    def fingerprint(self):
        """Return a digest of the parts' values."""
        parts = (hash_values(*column) if column else [] for column in self._columns)
        return digest(*parts, self._ends.tolist())

    def __getitem__(self, rows):
        found, places = [], []
        for part, at, inside in _by_part(rows, self._ends):
            if self._columns[part] is not None:
                data, where = self._columns[part]
                found.append(np.asarray(data[where[inside].astype(np.intp)]))
                places.append(at)
        if not found:
            data, where = next(column for column in self._columns if column)
            found.append(np.asarray(data[where[:0].astype(np.intp)]))
            places.append(np.empty(0, np.intp))
        if sum(map(len, places)) == len(rows):
            values = np.empty((len(rows), *found[0].shape[1:]), np.result_type(*found))
        else:
            values = unknown(found[0], len(rows))
        for at, part in zip(places, found, strict=True):
            values[at] = part
        return values


def is_computed(data):
    """Return whether the values of a column are made when they are asked for."""
    if isinstance(data, JoinedColumn):
        return any(is_computed(column[0]) for column in data._columns if column)
    return not isinstance(data, np.ndarray | MappedArray | KeptRows)


def _by_part(rows, ends):
    """Yield part, places in ``rows``, and row numbers inside the part."""
    rows = np.asarray(rows, np.intp)
    part_of = np.searchsorted(ends, rows, side="right")
    for part in np.unique(part_of):
        at = np.flatnonzero(part_of == part)
        yield part, at, rows[at] - (ends[part - 1] if part else 0)


def unknown(like, n):
    """Return n values that say nothing, for an array of such values."""
    shape = (n, *like.shape[1:])
    if like.dtype.kind in "US":
        return np.full(shape, "", like.dtype)
    if like.dtype.kind in "mM":
        return np.full(shape, "NaT", like.dtype)
    if like.dtype == object:
        text = all(isinstance(value, str) for value in like.flat)
        return np.full(shape, "" if text else None, object)
    return np.full(shape, np.nan, like.dtype if like.dtype.kind in "fc" else float)


def check_parts(parts, kind):
    """Return faces to join as a list; raise TypeError or ValueError."""
    parts = [parts] if isinstance(parts, kind) else list(parts)
    for k, part in enumerate(parts):
        if not isinstance(part, kind):
            raise TypeError(f"expected a list of Faces; entry {k} is {type(part)}.")
    if not parts:
        raise ValueError("there are no Faces to join; pass at least one.")
    return parts


def name_recordings(parts):
    """Give rows of parts without video and frame a recording of one frame each."""
    has = {
        name: [name in part.columns for part in parts] for name in ("video", "frame")
    }
    taken = {str(name) for part in parts for name in _videos_of(part)}
    named = []
    for k, part in enumerate(parts):
        new = {}
        if any(has["video"]) and not has["video"][k]:
            new["video"] = _free_names(f"part {k}", len(part), taken)
        if any(has["frame"]) and not has["frame"][k] and "video" in new:
            new["frame"] = np.zeros(len(part), int)
        if any(has["frame"]) and has["frame"][k] != ("video" not in new):
            lacking = "video" if has["frame"][k] else "frame"
            raise ValueError(
                f"part {k} has no column {lacking!r}, and other parts have; add it, or "
                f"remove 'video' and 'frame' from part {k}."
            )
        named.append(part.with_columns(**new) if new else part)
    return named


def _videos_of(part):
    return () if part.video is None else np.unique(part.video)


def _free_names(part, n_rows, taken):
    """Return names of recordings; those joined earlier may have the plain ones."""
    while any(name.startswith(f"{part} row ") for name in taken):
        part = f"another {part}"
    return [f"{part} row {row}" for row in range(n_rows)]


def join_rows(parts):
    """Return the store of faces' rows, and which store rows repeat one image."""
    rows = [row_array(part._rows) for part in parts]
    starts, n_rows = {}, 0
    for part in parts:
        if id(part.store) not in starts:
            starts[id(part.store)] = n_rows
            n_rows += len(part.store)
    origin = [
        starts[id(part.store)] + (own if part._origin is None else part._origin[own])
        for part, own in zip(parts, rows, strict=True)
    ]
    return JoinedStore([part.store for part in parts], rows), np.concatenate(origin)


def join_column(name, parts):
    """Return the values of a column of all parts."""
    present = [part for part in parts if name in part.columns]
    sources = [part._columns[name].data for part in present]
    if not all(isinstance(source, np.ndarray | KeptRows) for source in sources):
        return _join_lazily(name, parts)
    known = [part.column(name) for part in present]
    shapes = {values.shape[1:] for values in known}
    if len(shapes) > 1:
        raise ValueError(
            f"column {name!r} has values of several shapes, {sorted(shapes)}; remove "
            f"it with faces.with_columns({name}=None)."
        )
    values = [
        part.column(name) if name in part.columns else _missing(name, known[0], part)
        for part in parts
    ]
    try:
        return np.concatenate(values)
    except TypeError as error:
        kinds = sorted({str(part.dtype) for part in values})
        raise TypeError(
            f"column {name!r} has values of several kinds, {', '.join(kinds)}; remove "
            f"it with faces.with_columns({name}=None)."
        ) from error


def _missing(name, like, part):
    """Return values of a column that a part does not have."""
    if name == "person" and like.dtype.kind == "i":
        # As `find_faces` says of a row without a face.
        return np.full(len(part), -1)
    # Everybody needs a name: beside "", numbers become text.
    return unknown(np.array([""]) if name == "subject" else like, len(part))


def _join_lazily(name, parts):
    columns = [_source(part, name) for part in parts]
    known = [data for data, _ in filter(None, columns)]
    about = {getattr(data, "aus", None) for data in known}
    if len(about) > 1:
        raise ValueError(
            f"column {name!r} was made for the AUs {' and '.join(map(str, about))}; "
            "make it after the faces are joined."
        )
    joined = JoinedColumn(columns, [len(part) for part in parts])
    if about != {None}:
        joined.aus = about.pop()
    return joined


def _source(part, name):
    if name not in part.columns:
        return None
    data, at = part._columns[name]
    at = row_array(part._rows if at is None else at)
    missing = np.flatnonzero(at < 0)
    if len(missing):
        # Raises: the value of a neighbor that is not there.
        part.column(name, missing)
    return data, at
