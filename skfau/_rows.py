"""Rows of a store and their columns: the part of `Faces` that touches no pixels."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau._arrays import digest, hash_array
from skfau._columns import (
    Column,
    Timeline,
    as_slice,
    carry,
    flat_columns,
    hash_values,
    prepare_column,
    row_array,
    row_key,
    select,
)
from skfau._concat import is_computed
from skfau._kept import nbytes
from skfau._pandas import import_pandas
from skfau._small_views import without_the_rest
from skfau.exceptions import MissingColumnError

if TYPE_CHECKING:
    from pandas import DataFrame

    from skfau.faces import Faces

TIME_COLUMNS = frozenset({"subject", "video", "frame", "person"})


class RowTable:
    """Lazy rows over one store, with columns; base of `Faces`."""

    ndim = 1

    def __init__(self, store: Any, columns: dict[str, Any]) -> None:
        self._store = store
        self._rows = range(len(store))
        self._columns = {
            name: Column(prepare_column(name, values, len(store)))
            for name, values in columns.items()
            if values is not None
        }
        # Store rows with equal entries repeat one image; None if no image is repeated.
        self._origin = None
        self._timeline = self._make_timeline()

    def __getstate__(self):
        small = without_the_rest(self, self.__dict__.get("_small"))
        if small is not self:
            # joblib knows an array that it has written by its identity.
            self._small = small
        return {k: v for k, v in small.__dict__.items() if k != "_small"}

    def __sizeof__(self):
        # Dask sends what is large once, and what looks small with every task.
        parts = [self._store, *(column.data for column in self._columns.values())]
        return object.__sizeof__(self) + nbytes(parts)

    def _derive(self, **changes):
        """Return faces that share everything with these except some attributes."""
        faces = object.__new__(type(self))
        faces.__dict__.update(self.__dict__)
        faces.__dict__.pop("_small", None)
        faces.__dict__.update({f"_{name}": value for name, value in changes.items()})
        return faces

    def _make_timeline(self, rows=None):
        if not {"video", "frame"} <= self._columns.keys():
            return None
        given = {
            name: self._columns[name].data
            for name in TIME_COLUMNS & self._columns.keys()
        }
        return Timeline(
            given.get("subject"),
            given["video"],
            given["frame"],
            rows,
            self._origin,
            given.get("person"),
        )

    @property
    def _whole(self):
        """Whether these are all rows of the store, in order."""
        return isinstance(self._rows, range) and self._rows == range(len(self._store))

    def __getattr__(self, name):
        # Without the underscore, copies that are being made would ask without end.
        if not name.startswith("_") and name in self._columns:
            return self.column(name)
        raise AttributeError(
            f"Faces have no attribute {name!r} and no column of that name; the columns "
            f"are {', '.join(self.__dict__.get('_columns', ())) or 'none'}, each also "
            "read by faces.column(name)."
        )

    @property
    def shape(self) -> tuple[int]:
        """Tuple (n,): number of rows."""
        return (len(self._rows),)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> NDArray[np.intp]:
        """Store row number of each row, ndarray of shape (n,), dtype intp."""
        return row_array(self._rows).astype(np.intp)

    @property
    def store(self) -> Any:
        """The store that all views of these faces share."""
        return self._store

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, a tuple of str."""
        return tuple(self._columns)

    @property
    def landmarks(self) -> NDArray[np.float32] | None:
        """Pixels, x then y, (n, 68, 2) float32; None when absent."""
        return self.column("landmarks") if "landmarks" in self._columns else None

    @property
    def subject(self) -> NDArray[Any] | None:
        """Subject of each row, ndarray of shape (n,); None when absent."""
        return self.column("subject") if "subject" in self._columns else None

    @property
    def video(self) -> NDArray[Any] | None:
        """Video of each row, ndarray of shape (n,); None when absent."""
        return self.column("video") if "video" in self._columns else None

    @property
    def frame(self) -> NDArray[Any] | None:
        """Frame number within the video, (n,) int64; None when absent."""
        return self.column("frame") if "frame" in self._columns else None

    def column(
        self, name: str, rows: int | slice | ArrayLike = slice(None)
    ) -> NDArray[Any]:
        """Return the values of a column.

        Parameters
        ----------
        name : str
            One of `columns`.
        rows : int, slice, int array or boolean mask, default=slice(None, None, None)
            Which rows of this view.

        Returns
        -------
        ndarray
            Values for those rows; a read-only view where no copy is needed.

        Raises
        ------
        MissingColumnError
            If there is no such column, or a row has no value in it.
        """
        if name not in self._columns:
            raise MissingColumnError(
                f"these faces have no column {name!r}; they have "
                f"{', '.join(self._columns) or 'none'}. Add it with "
                f"faces.with_columns({name}=...)."
            )
        data, at = self._columns[name]
        key = row_key(rows)
        if isinstance(key, int):
            return self.column(name, [key])[0]
        at = select(self._rows if at is None else at, key)
        if isinstance(at, range) and isinstance(data, np.ndarray):
            return data[as_slice(at)]
        at = row_array(at).astype(np.intp)
        if len(at) and at.min() < 0:
            raise MissingColumnError(
                f"column {name!r} was added to a part of these faces and has no value "
                "for a neighbor outside that part; add it before taking the part."
            )
        return np.asarray(data[at])

    def column_source(self, name: str) -> ArrayLike:
        """Return the object that was given as a column; a lazy one is not read.

        Parameters
        ----------
        name : str
            One of `columns`.

        Returns
        -------
        array-like
            Its rows need not be those of this view.

        Raises
        ------
        MissingColumnError
            If there is no such column.
        """
        self.column(name, slice(0))
        return self._columns[name].data

    def to_frame(self) -> DataFrame:
        """Return the columns as a table, one line per row.

        Returns
        -------
        pandas.DataFrame
            A column of several values a row becomes one of each: ``x_0``, ...,
            ``y_67`` of the landmarks, ``box_0``, ... of others. Lazy columns, as
            heatmaps, are left out: read them with `column`.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from skfau import Faces
        >>> images = np.zeros((3, 8, 8, 3), dtype=np.uint8)
        >>> faces = Faces(images, subject=["a", "a", "b"], age=[31, 31, 28])
        >>> faces[1:].to_frame()
          subject  age
        0       a   31
        1       b   28
        """
        pd = import_pandas("to_frame")
        table = {}
        for name, (data, _) in self._columns.items():
            if name == "landmarks" or not is_computed(data):
                table.update(flat_columns(name, self.column(name)))
        return pd.DataFrame(table, index=range(len(self)))

    def with_columns(self, **columns: ArrayLike | None) -> Faces:
        """Return faces of the same rows with columns added, replaced or removed.

        Parameters
        ----------
        **columns : array-like of length n, or None
            One entry per row of this view; None removes the column.

        Returns
        -------
        Faces
            Sharing the store and the other columns.

        Raises
        ------
        TypeError, ValueError
            If a column is not array-like or has another length or shape.
        """
        at = None if self._whole else range(len(self))
        if TIME_COLUMNS & columns.keys():
            # The columns that together name a frame must share one map.
            kept = (TIME_COLUMNS - columns.keys()) & self._columns.keys()
            columns = {**{name: self.column(name) for name in kept}, **columns}
        merged = dict(self._columns)
        for name, values in columns.items():
            if values is None:
                merged.pop(name, None)
            else:
                merged[name] = Column(prepare_column(name, values, len(self)), at)
        faces = self._derive(columns=merged)
        if TIME_COLUMNS & columns.keys():
            faces._timeline = faces._make_timeline(
                None if at is None else row_array(self._rows)
            )
        return faces

    def neighbors(self, offset: int) -> Faces:
        """Return, for each row, the frame ``offset`` frames later in its video.

        Parameters
        ----------
        offset : int
            Frames to go forward, or back when negative.

        Returns
        -------
        Faces
            As many rows. Frames are looked up by ``video`` and ``frame`` (and
            ``subject`` and ``person`` if present) in the whole store, also outside this
            view; a row without such a frame stays itself.

        Raises
        ------
        MissingColumnError
            If ``video`` or ``frame`` is absent.
        ValueError
            If two store rows claim the same frame of the same video.

        Examples
        --------
        >>> import numpy as np
        >>> from skfau import Faces
        >>> faces = Faces(
        ...     np.zeros((4, 8, 8, 3), dtype=np.uint8),
        ...     video=["v", "v", "v", "w"],
        ...     frame=[0, 1, 2, 3],
        ... )
        >>> faces.neighbors(1).frame
        array([1, 2, 2, 3])
        """
        offset = operator.index(offset)
        for name in ("video", "frame"):
            self.column(name, slice(0))
        own = self._columns["frame"].at
        here = row_array(self._rows if own is None else own)
        there = self._timeline.shift(here, offset)
        rows = self._timeline.rows_of(there)
        moved = {id(None): None, id(own): None if own is None else there}
        keys = (self._rows, rows, len(self._store))
        if own is not None and "person" in self._columns:
            # The people of one frame share its store row.
            keys = (here, there, len(self._columns["frame"].data))
        columns = {}
        for name, (data, at) in self._columns.items():
            if id(at) not in moved:
                moved[id(at)] = carry(at, *keys)
            columns[name] = Column(data, moved[id(at)])
        return self._derive(rows=rows, columns=columns)

    def fingerprint(self) -> str:
        """Return a digest of pixels' source, row numbers and columns.

        Files count by path, size and date, arrays in memory by content. A lazy column
        may define ``fingerprint()``; otherwise its values are computed and hashed.

        Returns
        -------
        str
            Equal for equal faces, whichever way they were indexed.
        """
        parts = [self._store.fingerprint(), hash_array(self.rows.astype("<i8"))]
        for name in sorted(self._columns):
            data, at = self._columns[name]
            at = row_array(self._rows if at is None else at).astype("<i8")
            parts += [name, hash_array(at < 0), *hash_values(data, at)]
        return digest(*parts)
