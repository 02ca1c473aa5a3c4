"""`Faces`: lazy rows of face images with their landmarks and subjects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from skfau._columns import Column, row_array, row_key, select
from skfau._concat import check_parts, join_column, join_rows, name_recordings
from skfau._pixels import ImageReport, Images, check_images, write_images
from skfau._rows import TIME_COLUMNS, RowTable
from skfau._stores import as_store
from skfau._video_index import find_videos
from skfau._video_store import VideoStore
from skfau.exceptions import FaceImageError

__all__ = ["Faces", "ImageReport"]


class Faces(RowTable):
    """Lazy, indexable rows of face images with columns.

    Indexing composes row numbers over one shared store; pixels are read only by
    ``faces.images[...]``, `read`, iteration, a single integer index and
    ``np.asarray``.

    Parameters
    ----------
    images : array, sequence of paths or store
        uint8 array, tensor or ``np.memmap`` of shape (n, H, W, 3) in RGB or (n, H, W)
        gray, also (n, 3, H, W) and with a channel axis of 1; or a sequence of image
        paths; or a sequence of images of any sizes: such arrays or tensors, or images
        of PIL; or an object with ``__len__``, ``gather(rows)`` and ``fingerprint()``.
        Arrays are shared, not copied. Images of PIL are decoded at once, and held in
        memory: pass the paths of many.
    landmarks : array-like of shape (n, 68, 2), default=None
        float32 pixels, x then y; a NaN row, or None in a list, means no face, NaN
        points are unknown. `skfau.facs.to_68` brings points of other tools there.
    subject, video : array-like of shape (n,), default=None
        Who is in the row and which recording it is from.
    frame : array-like of shape (n,), default=None
        Whole number of the frame within its video.
    **columns : array-like of length n
        Further columns. What is not an array but has ``__len__`` and
        ``__getitem__(int array)`` stays lazy and is read only by row. In pixels as the
        landmarks are ``five_points`` (n, 5, 2) and ``mesh`` (n, 468, 3), by which
        `FaceAligner` aligns and which it moves along.

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
    tag says, as images of PIL are: landmarks are of the turned image. Image files, and
    frames of videos, whose header claims more than 2**28 pixels are refused before they
    are decoded; the environment variable ``SKFAU_MAX_PIXELS`` sets another limit.

    A column is read as ``faces.column("age")`` or ``faces.age``.
    Columns are copied when given and read-only when read as a view. Files named here
    must not change while faces refer to them.

    Pickles hold file names for memory maps, image files and videos, and the pixels only
    of arrays in memory. A view of at most half of the rows takes along its own rows
    and, where there are ``video`` and ``frame``, the other frames of their videos,
    which `neighbors` may ask for; `fingerprint` and row numbers stay. ``sys.getsizeof``
    counts the pixels and columns that are held in memory.

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
        images: ArrayLike | Sequence[str | Path] | Any,
        *,
        landmarks: ArrayLike | None = None,
        subject: ArrayLike | None = None,
        video: ArrayLike | None = None,
        frame: ArrayLike | None = None,
        **columns: ArrayLike,
    ) -> None:
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
    def from_videos(
        cls,
        paths: Sequence[str] | str | Path,
        *,
        subject: ArrayLike | None = None,
        video: ArrayLike | None = None,
        every: float | None = None,
        every_frames: int | None = None,
        verbose: bool = False,
    ) -> Self:
        """Return one row per frame of some videos.

        Parameters
        ----------
        paths : sequence of str or Path, or one str or Path
            Video files that OpenCV can decode; or the folder that holds them, or a
            pattern (``"videos/*.mp4"``), both sorted by name.
        subject : array-like of shape (n_videos,), default=None
            Who is in each video.
        video : array-like of shape (n_videos,), default=None
            Name of each video; None means the file names without suffix where those
            differ, else the whole paths.
        every : float, default=None
            Keep a frame every so many seconds: the first of each step. `neighbors`
            still finds the others.
        every_frames : int, default=None
            Keep every so manieth frame of each video.
        verbose : bool, default=False
            Whether to show progress on standard error.

        Returns
        -------
        Faces
            With the columns ``video``, ``frame`` (from 0), ``time`` (seconds from the
            start of the video, float64, as the file tells it; NaN where it does not),
            and ``subject`` if given.

        Raises
        ------
        FaceImageError
            If a video is missing, is an image or cannot be decoded, or tells no times
            for ``every``.
        TypeError, ValueError
            If there is one video outside a list, or a parameter cannot be.

        Warns
        -----
        UserWarning
            If a video ends long before the length that its header tells.

        Notes
        -----
        Row k of a video is the k-th frame that decodes. Each file is decoded once to
        its end to count them, and its index kept in the user's cache folder
        (``XDG_CACHE_HOME``) until the file changes. Frames in order are decoded one
        after the other, others are sought and checked. Shuffled training seeks all the
        time: run `to_memmap` once instead.
        """
        store = VideoStore(find_videos(paths), verbose)
        kept = store.thinned(every, every_frames)
        columns = {"video": store.names if video is None else video}
        if subject is not None:
            columns["subject"] = subject
        columns = {name: store.spread(name, columns[name]) for name in columns}
        faces = cls(store, frame=store.frames, time=store.seconds, **columns)
        return faces if kept.all() else faces[kept]

    @classmethod
    def concat(cls, faces: Sequence[Faces]) -> Self:
        """Return the rows of several faces, one after the other.

        Parameters
        ----------
        faces : sequence of Faces
            At least one. Pixels stay where they are, and their sizes may differ.

        Returns
        -------
        Faces
            With the columns of all, by name. What some faces have no column for is
            unknown there: NaN among numbers (whole ones and booleans become floats),
            "" among names and in ``subject``, -1 in a numbered ``person``. Without
            ``video`` each row is a recording of its own, named by its place
            (``"part 1 row 7"``), with ``frame`` 0. `neighbors` sees the rows of these
            views only.

        Raises
        ------
        TypeError, ValueError
            If there are no faces or something else, the values of a column do not
            fit together, or only one of ``video`` and ``frame`` is known.

        Notes
        -----
        Names that stand for different people or recordings in two data sets must
        differ: put the data set's name before them. Where only some faces have
        landmarks, align each before the join: a joined row without is without a face.

        Examples
        --------
        >>> import numpy as np
        >>> from skfau import Faces
        >>> frames = np.zeros((3, 8, 8, 3), np.uint8)
        >>> film = Faces(frames, video=["a", "a", "a"], frame=[0, 1, 2])
        >>> photos = Faces([np.zeros((9, 7, 3), np.uint8)] * 2, age=[31, 28])
        >>> faces = Faces.concat([film, photos])
        >>> faces.video
        array(['a', 'a', 'a', 'part 1 row 0', 'part 1 row 1'], dtype='<U12')
        >>> faces.age
        array([nan, nan, nan, 31., 28.])
        """
        parts = name_recordings(check_parts(faces, cls))
        store, origin = join_rows(parts)
        names = dict.fromkeys(name for part in parts for name in part.columns)
        joined = cls(store, **{name: join_column(name, parts) for name in names})
        joined._origin = origin
        joined._timeline = joined._make_timeline()
        return joined

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, key: slice | ArrayLike) -> Self: ...

    def __getitem__(self, key: Any) -> Any:
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

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self.images[row] for row in range(len(self)))

    @property
    def images(self) -> Images:
        """Decoded pixels: index with an integer, a slice, integers, a mask or ``...``.

        An integer gives uint8 (H, W, 3), anything else uint8 (m, H, W, 3), RGB.
        Raises `FaceImageError` when sizes differ or an image cannot be read.
        """
        return Images(self)

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Tuple (H, W) of the store, or of the first row; None without either."""
        if self._store.image_shape is not None or not len(self):
            return self._store.image_shape
        return self.images[0].shape[:2]

    def read(self, rows: slice | ArrayLike = slice(None)) -> list[NDArray[np.uint8]]:
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

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.uint8]:
        if copy is False:
            raise ValueError(
                "faces are decoded into a new array: copy=False is not possible"
            )
        return self.images[...].astype(dtype or np.uint8, copy=False)

    def with_images(
        self,
        images: ArrayLike | Sequence[str | Path] | Any,
        **columns: ArrayLike | None,
    ) -> Self:
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
            elif name in TIME_COLUMNS:
                kept[name] = Column(self.column(name))
            else:
                kept[name] = Column(join_column(name, [self]))
        origin = self._origin
        if not self._whole:
            origin = row_array(self._rows) if origin is None else origin[self.rows]
        faces = self._derive(
            store=store, rows=range(len(store)), columns=kept, origin=origin
        )
        faces._timeline = faces._make_timeline()
        return faces.with_columns(**columns) if columns else faces

    def check_images(
        self, on_error: Literal["raise", "skip"] = "raise", verbose: bool = False
    ) -> ImageReport:
        """Read every image once and report those that cannot be read.

        Files that end too early, and those that the decoder finds damaged: of a JPEG
        about every second damage, since its format has no checksums.

        Parameters
        ----------
        on_error : {"raise", "skip"}, default="raise"
            Raise at the first unreadable image, or go on and report.
        verbose : bool, default=False
            Whether to show progress on standard error.

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
        return check_images(self, on_error, verbose)

    def to_memmap(
        self, path: str | Path, batch_size: int = 256, verbose: bool = False
    ) -> Self:
        """Decode every row into a ``.npy`` file and return faces over it.

        Parameters
        ----------
        path : str or Path
            File to write; replaced only once complete.
        batch_size : int, default=256
            Rows held in memory at a time, at least 1; fewer of large images.
        verbose : bool, default=False
            Whether to show progress on standard error.

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
        OSError
            If the file cannot be written, as on a full disk; it is as before then.
        """
        write_images(self, Path(path), batch_size, verbose)
        return self.with_images(np.load(path, mmap_mode="r"))

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
