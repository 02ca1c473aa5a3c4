"""`Faces`: lazy rows of face images with their landmarks and subjects."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skfau._columns import Column, prepare_column, row_array, row_key, select
from skfau._rows import TIME_COLUMNS, RowTable
from skfau._stores import VideoStore, as_store, stack_images
from skfau.exceptions import FaceImageError

__all__ = ["Faces", "ImageReport"]


class _Images:
    """Decoded pixels of some faces, by row."""

    def __init__(self, faces):
        self._faces = faces

    def __len__(self):
        return len(self._faces)

    def __getitem__(self, key):
        rows = select(self._faces._rows, row_key(key))
        store = self._faces.store
        if isinstance(rows, int | np.integer):
            return store.gather(np.array([rows], np.intp))[0]
        return stack_images(store, row_array(rows).astype(np.intp))


class ImageReport(NamedTuple):
    """What `Faces.check_images` found.

    Attributes
    ----------
    ok : ndarray of shape (n,), dtype bool
        True where the image can be read; filter faces and labels with it.
    errors : dict of int to str
        Row number -> what is wrong with that row's image.
    """

    ok: np.ndarray
    errors: dict


class Faces(RowTable):
    """Lazy, indexable rows of face images with columns.

    Indexing composes row numbers over one shared store; pixels are read only by
    ``faces.images[...]``, `read`, iteration, a single integer index and
    ``np.asarray``.

    Parameters
    ----------
    images : array, sequence of paths or store
        uint8 array or ``np.memmap`` of shape (n, H, W, 3) in RGB or (n, H, W) gray;
        or a sequence of image paths; or a sequence of uint8 arrays of any sizes; or
        an object with ``__len__``, ``gather(rows)`` and ``fingerprint()``. The array
        is shared, not copied.
    landmarks : array-like of shape (n, 68, 2), default=None
        float32 pixels, x then y; a NaN row means no face, NaN points are unknown.
    subject, video : array-like of shape (n,), default=None
        Who is in the row and which recording it is from.
    frame : array-like of shape (n,), default=None
        Whole number of the frame within its video.
    **columns : array-like of length n
        Further columns. What is not an array but has ``__len__`` and
        ``__getitem__(int array)`` stays lazy and is read only by row.

    Raises
    ------
    FaceImageError
        If the pixels are not uint8 images.
    TypeError, ValueError
        If images or a column are of another kind, length or shape.

    Notes
    -----
    Of image files 16 bits become 8 (12 do where no pixel of an image has more, as
    cameras write them) and transparency is dropped, and they are turned as their EXIF
    tag says: landmarks are of the turned image.

    Columns are copied when given and read-only when read as a view. Files named here
    must not change while faces refer to them. Pickles hold file names for memory
    maps, image files and videos, and the pixels only of arrays in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau import Faces
    >>> images = np.zeros((6, 8, 8, 3), dtype=np.uint8)
    >>> faces = Faces(images, subject=["a", "a", "a", "b", "b", "b"])
    >>> faces
    Faces(6 rows, array store, 8x8 pixels, columns: subject, 2 subjects)
    >>> faces[3:].subject
    array(['b', 'b', 'b'], dtype='<U1')
    >>> faces[[0, 5]].images[...].shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        images,
        *,
        landmarks=None,
        subject=None,
        video=None,
        frame=None,
        **columns,
    ):
        if isinstance(images, Faces):
            raise TypeError(
                "images are Faces already; add columns with faces.with_columns(...)."
            )
        columns = {
            "landmarks": landmarks,
            "subject": subject,
            "video": video,
            "frame": frame,
            **columns,
        }
        super().__init__(as_store(images), columns)

    @classmethod
    def from_videos(cls, paths, *, subject=None, video=None):
        """Return one row per frame of some videos.

        Parameters
        ----------
        paths : sequence of str or Path
            Video files that OpenCV can decode.
        subject : array-like of shape (n_videos,), default=None
            Who is in each video.
        video : array-like of shape (n_videos,), default=None
            Name of each video; None means the file names without suffix where those
            differ, else the whole paths.

        Returns
        -------
        Faces
            With the columns ``video``, ``frame`` (from 0), and ``subject`` if given.

        Raises
        ------
        FaceImageError
            If a video is missing, cannot be opened, or does not know its length.

        Notes
        -----
        Frames in order are decoded one after the other; others are sought by number,
        which assumes a constant frame rate. Shuffled training seeks all the time: run
        `to_memmap` once instead.
        """
        if isinstance(paths, str | Path):
            raise TypeError(f"paths must be a list of videos; pass [{str(paths)!r}].")
        store = VideoStore(paths)
        if video is None:
            video = [Path(path).stem for path in store.paths]
            video = video if len(set(video)) == len(video) else store.paths
        columns = {"video": video, "subject": subject}
        columns = {
            name: np.repeat(
                prepare_column(name, values, len(store.paths)), store.counts
            )
            for name, values in columns.items()
            if values is not None
        }
        frame = np.concatenate([np.arange(count) for count in store.counts] or [[]])
        return cls(store, frame=frame, **columns)

    def __getitem__(self, key):
        """Return a view for a slice, integers or a mask; one image for an integer."""
        key = row_key(key)
        if isinstance(key, int):
            return self.images[key]
        moved = {}
        for column in self._columns.values():
            # Columns that were added together share one map, before and after.
            if column.at is not None and id(column.at) not in moved:
                moved[id(column.at)] = select(column.at, key)
        columns = {
            name: column._replace(at=moved.get(id(column.at)))
            for name, column in self._columns.items()
        }
        return self._derive(rows=select(self._rows, key), columns=columns)

    def __iter__(self):
        return (self.images[row] for row in range(len(self)))

    @property
    def images(self):
        """Decoded pixels: index with an integer, a slice, integers, a mask or ``...``.

        An integer gives uint8 (H, W, 3), anything else uint8 (m, H, W, 3), RGB.
        Raises `FaceImageError` when sizes differ or an image cannot be read.
        """
        return _Images(self)

    @property
    def image_shape(self):
        """Tuple (H, W) of the store, or of the first row; None without either."""
        if self._store.image_shape is not None or not len(self):
            return self._store.image_shape
        return self.images[0].shape[:2]

    def read(self, rows=slice(None)):
        """Decode rows whose sizes may differ.

        Parameters
        ----------
        rows : slice, int array or boolean mask, default=slice(None, None, None)
            Which rows of this view.

        Returns
        -------
        list of ndarray of shape (H, W, 3), dtype uint8
            RGB images.

        Raises
        ------
        FaceImageError
            If an image is missing or truncated; the message names file and row.
        """
        rows = np.atleast_1d(row_array(select(self._rows, row_key(rows))))
        return list(self._store.gather(rows.astype(np.intp)))

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(
                "faces are decoded into a new array: copy=False is not possible"
            )
        return self.images[...].astype(dtype or np.uint8, copy=False)

    def with_images(self, images, **columns):
        """Return faces with other pixels and the same columns.

        Parameters
        ----------
        images : array, sequence of paths or store
            One image per row of this view; see `Faces`.
        **columns : array-like of length n, or None
            Columns to add, replace or (None) remove.

        Returns
        -------
        Faces
            Over the new pixels; `neighbors` then sees the rows of this view only.

        Raises
        ------
        FaceImageError
            If the number of images is not the number of rows.
        """
        store = as_store(images)
        if len(store) != len(self):
            raise FaceImageError(
                f"expected one image per row ({len(self)}), got {len(store)}."
            )
        kept = {}
        for name, (data, at) in self._columns.items():
            if name in columns:
                continue
            if self._whole and at is None:
                kept[name] = Column(data)
            elif name in TIME_COLUMNS or (at is None and isinstance(data, np.ndarray)):
                kept[name] = Column(self.column(name))
            else:
                kept[name] = Column(data, self._rows if at is None else at)
        origin = self._origin
        if not self._whole:
            origin = row_array(self._rows) if origin is None else origin[self.rows]
        faces = self._derive(
            store=store, rows=range(len(store)), columns=kept, origin=origin
        )
        faces._timeline = faces._make_timeline()
        return faces.with_columns(**columns) if columns else faces

    def check_images(self, on_error="raise"):
        """Read every image once and report those that cannot be read.

        Parameters
        ----------
        on_error : {"raise", "skip"}, default="raise"
            Raise at the first unreadable image, or go on and report.

        Returns
        -------
        ImageReport
            ``ok``, a mask of shape (n,) for faces and labels alike, and ``errors``,
            a dict row -> message.

        Raises
        ------
        FaceImageError
            If an image cannot be read and ``on_error="raise"``.

        Examples
        --------
        >>> import numpy as np
        >>> from skfau import Faces
        >>> faces = Faces(["no_such_file.jpg"])
        >>> y = np.zeros((1, 12))
        >>> report = faces.check_images(on_error="skip")
        >>> faces[report.ok].shape, y[report.ok].shape
        ((0,), (0, 12))
        """
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
        errors = {}
        for row in range(len(self)):
            try:
                self.images[row]
            except FaceImageError as error:
                if on_error == "raise":
                    raise
                errors[row] = str(error)
        ok = np.ones(len(self), dtype=bool)
        ok[list(errors)] = False
        return ImageReport(ok, errors)

    def to_memmap(self, path, batch_size=256):
        """Decode every row into a ``.npy`` file and return faces over it.

        Parameters
        ----------
        path : str or Path
            File to write; replaced only once complete.
        batch_size : int, default=256
            Rows held in memory at a time, at least 1.

        Returns
        -------
        Faces
            The same rows and columns over the new memory map.

        Raises
        ------
        FaceImageError
            If there are no rows, sizes differ, or an image cannot be read.
        ValueError
            If ``batch_size`` is less than 1.
        """
        if not len(self):
            raise FaceImageError("there are no rows to write.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        path = Path(path)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        shape = (len(self), *self.image_shape, 3)
        try:
            self._write(partial, shape, batch_size)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return self.with_images(np.load(path, mmap_mode="r"))

    def _write(self, path, shape, batch_size):
        out = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        for start in range(0, len(self), batch_size):
            block = self.images[start : start + batch_size]
            if block.shape[1:] != shape[1:]:
                raise FaceImageError(
                    f"images differ in size: row 0 is {shape[1:3]}, row {start} is "
                    f"{block.shape[1:3]}. Align the faces first (FaceAligner)."
                )
            out[start : start + batch_size] = block
        out.flush()

    def __repr__(self):
        kind = getattr(self._store, "kind", type(self._store).__name__)
        shape = self._store.image_shape
        parts = [
            f"{len(self)} rows",
            f"{kind} store",
            f"{shape[0]}x{shape[1]} pixels" if shape else "sizes not known",
            f"columns: {', '.join(self._columns) or 'none'}",
        ]
        if "subject" in self._columns:
            parts.append(f"{len(np.unique(self.subject))} subjects")
        return f"Faces({', '.join(parts)})"
