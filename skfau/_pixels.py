"""Decoded pixels of faces: by row, looked at once, written to a file."""

from typing import NamedTuple

import numpy as np

from skfau._columns import row_array, row_key, select
from skfau._decoder_warnings import LISTENING
from skfau._files import write_atomically
from skfau._progress import Progress
from skfau._stores import rows_at_once, stack_images
from skfau.exceptions import FaceImageError


class Images:
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


def check_images(faces, on_error, verbose):
    """Read every image once; see `Faces.check_images`."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
    errors = {}
    shown = "Checking images", len(faces), "images", "skfau.faces", verbose
    listening = LISTENING.set(True)
    try:
        with Progress(*shown) as progress:
            for row in range(len(faces)):
                try:
                    faces.images[row]
                except FaceImageError as error:
                    if on_error == "raise":
                        raise
                    errors[row] = str(error)
                progress.update()
    finally:
        LISTENING.reset(listening)
    ok = np.ones(len(faces), dtype=bool)
    ok[list(errors)] = False
    return ImageReport(ok, errors)


def write_images(faces, path, batch_size, verbose):
    """Decode every row into a ``.npy`` file; see `Faces.to_memmap`."""
    if not len(faces):
        raise FaceImageError("there are no rows to write.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    shape = (len(faces), *faces.image_shape, 3)
    batch_size = min(batch_size, rows_at_once(shape[1:]))
    # Not through a memory map: there a full disk is a crash.
    shown = "Writing images", len(faces), "images", "skfau.faces", verbose
    with write_atomically(path) as file, Progress(*shown) as progress:
        layout = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, layout)
        for start in range(0, len(faces), batch_size):
            block = faces.images[start : start + batch_size]
            if block.shape[1:] != shape[1:]:
                raise FaceImageError(
                    f"images differ in size: row 0 is {shape[1:3]}, row {start} is "
                    f"{block.shape[1:3]}. Align the faces first (FaceAligner)."
                )
            file.write(np.ascontiguousarray(block))
            progress.update(len(block))
