"""Source images, decoded ahead of use in batches that are bounded by bytes."""

from functools import partial

import numpy as np

from skfau._parallel import count_threads
from skfau.exceptions import FaceImageError
from skfau.preprocessing._warp import HELD_BYTES, reading_jobs, thread_map

_BATCH = 32  # decoded source images held at once, however small
_READ = 4  # images of a known size that a thread reads at once


def read_batches(faces, order, n_jobs):
    """Decode rows of faces, a batch at a time.

    A batch holds up to 32 images and 256 MB, or a single larger image. Where sizes are
    not known before images are read, the images that are being read at the same time,
    one per thread, may come on top.

    Parameters
    ----------
    faces : Faces
        Source images.
    order : ndarray of shape (n,), dtype intp
        Rows to read, in this order.
    n_jobs : int or None
        Threads that decode images.

    Yields
    ------
    rows : ndarray of shape (m,), dtype intp
        The next rows of `order`.
    results : list of (ndarray of shape (H, W, 3), dtype uint8) or str
        One RGB image per row, or why it cannot be read.
    """
    n_jobs = reading_jobs(faces.store, n_jobs)
    known = getattr(faces.store, "image_shape", None)
    at_once = count_threads(n_jobs) * (_READ if known else 1)
    largest = 3 * int(np.prod(known)) if known else HELD_BYTES
    start = 0
    while start < len(order):
        results, held = [], 0
        while start + len(results) < len(order) and len(results) < _BATCH:
            room = (HELD_BYTES - held) // largest
            if results and room < 1:
                break
            stop = start + min(len(results) + min(max(room, 1), at_once), _BATCH)
            results += _read(faces, order[start + len(results) : stop], n_jobs)
            sizes = [r.nbytes for r in results if isinstance(r, np.ndarray)]
            largest, held = max([1, *sizes]), sum(sizes)
        yield order[start : start + len(results)], results
        start += len(results)


def _read(faces, rows, n_jobs):
    """Decode rows; the text of its error stands for an image that cannot be read."""
    n_threads = count_threads(n_jobs)
    blocks = np.array_split(rows, min(n_threads, len(rows)))
    results = thread_map(partial(_read_block, faces), blocks, n_jobs)
    return [result for block in results for result in block]


def _read_block(faces, block):
    # A closure that calls itself would keep the pixels until garbage is collected.
    try:
        return faces.read(block)
    except FaceImageError as error:
        if len(block) == 1:
            # Whoever shows it tells the row, which of a view is another.
            (row,) = faces.rows[block]
            return [str(error).removeprefix(f"row {row}: ")]
        return [result for row in block for result in _read_block(faces, [row])]
