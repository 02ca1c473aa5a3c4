"""Warp faces by similarity transforms, lazily and by threads."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from skfau._arrays import digest, hash_array
from skfau._kept import keep, nbytes, still_shows
from skfau._parallel import count_threads
from skfau.exceptions import FaceImageError

# Decoded source images that all threads together hold at once, in bytes, and that one
# thread holds, however small.
HELD_BYTES = 256 * 2**20
_BLOCK = 8
# Factors by which averages are found faster around every pixel than block by block,
# with the same result.
_FAST_BLUR = (3, 5)


def thread_map(function, items, n_jobs):
    """Return ``[function(item) for item in items]``, run by up to `n_jobs` threads."""
    n_threads = min(count_threads(n_jobs), len(items))
    if n_threads < 2:
        return [function(item) for item in items]
    # Each call makes its own pool: a kept one would hang in a forked worker.
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, items))


def reading_jobs(store, n_jobs):
    """Return the threads that should read from a store."""
    # One thread for videos, which are decoded in order: another would decode all again.
    return 1 if getattr(store, "kind", None) == "videos" else n_jobs


def warp_face(image, matrix, out, border_value=0):
    """Warp one image into `out`, without aliasing when it shrinks.

    Bilinear sampling reads four source pixels per output pixel, so below a scale of
    one half it skips pixels; the source region is then averaged by a whole factor.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), dtype uint8
        Source image.
    matrix : ndarray of shape (2, 3), dtype float64
        Similarity from source to output pixels, x then y, (0, 0) = centre of the
        top-left pixel.
    out : ndarray of shape (size, size, 3), dtype uint8
        C-contiguous; overwritten.
    border_value : int, default=0
        Grey level outside of the source image, 0 to 255.
    """
    shrink = int(1.0 / max(np.hypot(matrix[0, 0], matrix[1, 0]), 1e-6))
    if shrink >= 2:
        image, matrix = _shrunk_region(image, matrix, out.shape, shrink)
    if image is None:
        out[...] = border_value
        return
    cv2.warpAffine(
        image,
        matrix,
        (out.shape[1], out.shape[0]),
        dst=out,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(border_value, border_value, border_value),
    )


def _shrunk_region(image, matrix, out_shape, shrink):
    """Average the region that the output shows; return it and its own matrix."""
    height, width = out_shape[:2]
    corners = np.array([[-1, -1], [width, -1], [-1, height], [width, height]], float)
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low = np.maximum(np.floor(seen.min(axis=0)).astype(int) - shrink, 0)
    high = np.minimum(
        np.ceil(seen.max(axis=0)).astype(int) + shrink, image.shape[1::-1]
    )
    # Cells are whole blocks: the matrix assumes that all have the same size.
    cells = (high - low) // shrink
    if (cells < 1).any():
        return None, None
    x, y = low
    region = image[y : y + cells[1] * shrink, x : x + cells[0] * shrink]
    small = _averaged(region, shrink)
    offset = low + (shrink - 1) / 2  # source position of the first block's centre
    moved = np.column_stack(
        [matrix[:, :2] * shrink, matrix[:, 2] + matrix[:, :2] @ offset]
    )
    return small, moved


def _averaged(region, factor):
    """Average whole blocks of so many pixels a side."""
    if factor in _FAST_BLUR:
        means = cv2.boxFilter(region, -1, (factor, factor), anchor=(0, 0))
        return np.ascontiguousarray(means[::factor, ::factor])
    size = region.shape[1] // factor, region.shape[0] // factor
    return cv2.resize(region, size, interpolation=cv2.INTER_AREA)


def _check_shown(row, image_shape, matrix, output_size):
    """Raise if an aligned image shows nothing of its source.

    The aligner tells of such rows, but for sources whose size it cannot know.
    """
    height, width = image_shape[:2]
    unit = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    moved = (unit * (width, height) - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    seen = (unit * output_size - 0.5 - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    # Two rectangles are apart where they are along a side of one of them.
    apart = (moved.max(axis=0) < 0) | (moved.min(axis=0) > output_size - 1)
    apart |= (seen.max(axis=0) < 0) | (seen.min(axis=0) > (width - 1, height - 1))
    if apart.any():
        raise FaceImageError(
            f"row {row}: the face lies outside of its image of {width} x {height} "
            "pixels, so that nothing of it would be seen. Landmarks must be of this "
            "very image, in its pixels: give the row others, or NaN."
        )


class AlignedImages:
    """Image store of `Faces` that warps source rows when they are asked for.

    Parameters
    ----------
    store : object
        Image store of the source faces.
    rows : ndarray of shape (n_samples,), dtype intp
        Row of `store` that each aligned image comes from.
    matrices : ndarray of shape (n_samples, 2, 3), dtype float64
        Similarities from source to output pixels; a NaN matrix gives a black image
        and its source is never read.
    output_size : int
        Height and width of the aligned images, in pixels.
    border_value : int, default=0
        Grey level outside of the source image, 0 to 255.
    n_jobs : int, default=-1
        Threads that read and warp; -1 = one per core.
    """

    kind = "aligned"
    # Fingerprints of the sources and of the whole, when some of the rows were kept.
    _known = None

    def __init__(self, store, rows, matrices, output_size, border_value=0, n_jobs=-1):
        self.store = store
        self.rows = np.asarray(rows, dtype=np.intp)
        self.matrices = np.asarray(matrices, dtype=np.float64)
        self.output_size = int(output_size)
        self.border_value = int(border_value)
        self.n_jobs = n_jobs

    def __len__(self):
        return len(self.rows)

    @property
    def image_shape(self):
        """Height and width of every image, in pixels."""
        return (self.output_size, self.output_size)

    def gather(self, rows):
        """Return aligned images.

        Parameters
        ----------
        rows : ndarray of shape (m,), dtype intp
            Rows of this store.

        Returns
        -------
        images : ndarray of shape (m, output_size, output_size, 3), dtype uint8
            RGB, C-contiguous.

        Raises
        ------
        FaceImageError
            If a source image cannot be read, or the face lies outside of it.
        """
        rows = np.asarray(rows, dtype=np.intp)
        images = np.empty((len(rows), *self.image_shape, 3), dtype=np.uint8)
        found = np.isfinite(self.matrices[rows]).all(axis=(1, 2))
        images[~found] = 0
        places = np.flatnonzero(found)
        # In the order of the source: videos seek less, and a frame that shows several
        # faces is decoded once.
        sources, first = np.unique(self.rows[rows[places]], return_inverse=True)
        places = places[np.argsort(first, kind="stable")]
        n_faces = np.bincount(first)
        ends = np.cumsum(n_faces)

        def warp(block):
            for i, image in zip(block, self.store.gather(sources[block]), strict=True):
                for place in places[ends[i] - n_faces[i] : ends[i]]:
                    matrix = self.matrices[rows[place]]
                    _check_shown(rows[place], image.shape, matrix, self.output_size)
                    warp_face(image, matrix, images[place], self.border_value)
            return image.nbytes

        self._in_blocks(warp, len(sources))
        return images

    def _in_blocks(self, warp, n_sources):
        """Call ``warp(block)`` on all sources, by threads, within `HELD_BYTES`."""
        n_threads = count_threads(reading_jobs(self.store, self.n_jobs))
        shape, todo, size = getattr(self.store, "image_shape", None), 0, 1
        if n_sources and shape is None:
            # Sizes may differ: the first image tells how many to hold at a time.
            todo, n_bytes = 1, warp([0])
        elif n_sources:
            n_bytes = 3 * int(np.prod(shape))
            size = max(min(HELD_BYTES // (n_threads * n_bytes), _BLOCK), 1)
        blocks = [
            np.arange(start, min(start + size, n_sources))
            for start in range(todo, n_sources, size)
        ]
        if blocks:
            thread_map(warp, blocks, max(min(n_threads, HELD_BYTES // n_bytes), 1))

    @property
    def nbytes(self):
        """Bytes that are held in memory."""
        return nbytes([self.store, self.matrices, self.rows])

    def kept(self, rows):
        """Return a store that has these rows only, under the same numbers."""
        store = object.__new__(type(self))
        store.__dict__.update(self.__dict__)
        store._known = self.store.fingerprint(), self.fingerprint()
        store.store = keep(self.store, np.unique(self.rows[rows]))
        store.rows, store.matrices = keep(self.rows, rows), keep(self.matrices, rows)
        return store

    def shows_as(self, store):
        """Say whether the rows that were kept are what `store` shows now."""
        return still_shows(self.store, store.store)

    def fingerprint(self):
        """Return a digest of the source images, their rows and the transforms."""
        source = self.store.fingerprint()
        if self._known is not None:
            known, whole = self._known
            return whole if source == known else digest(whole, source)
        return digest(
            source,
            hash_array(self.rows.astype("<i8")),
            hash_array(self.matrices.astype("<f8")),
            self.output_size,
            self.border_value,
        )
