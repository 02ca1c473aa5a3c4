"""Files of rendered faces: arrays that are mapped, and images that are JPEG bytes."""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skfau._arrays import MappedArray, digest, hash_array
from skfau._files import reading
from skfau._stores import as_store, decode_image
from skfau.exceptions import DatasetError, FaceImageError

# How numpy.load names an array, and the members of its archives.
_SUFFIX = ".npy"
_NEEDED = ("all_intensities", "landmarks_clean", "subject", "video", "frame", "meta")
# What the file tells besides of the faces, or tells twice.
_OTHER = ("landmarks", "y", "intensities", "aus", "images", "jpeg", "jpeg_ends")


class JpegStore:
    """JPEG images, one after the other in a mapped array; decoded on every access.

    Parameters
    ----------
    data : MappedArray of shape (n_bytes,), dtype uint8
        The images.
    ends : ndarray of shape (n,), dtype int64
        Where each ends.
    image_shape : tuple of int
        Height and width of all of them.
    """

    kind = "jpeg"

    def __init__(self, data, ends, image_shape):
        self._data = data
        self._ends = ends
        self.image_shape = image_shape

    def __len__(self):
        return len(self._ends)

    def fingerprint(self):
        return digest(self._data.fingerprint(), hash_array(self._ends))

    def gather(self, rows):
        images = np.empty((len(rows), *self.image_shape, 3), np.uint8)
        for image, row in zip(images, map(int, rows), strict=True):
            start = self._ends[row - 1] if row else 0
            name = f"{row} of {self._data.path!r}"
            data = self._data[start : self._ends[row]].tobytes()
            decoded = decode_image(data, row, name)
            if decoded.shape != image.shape:
                raise FaceImageError(
                    f"row {row}: the image {name} has the size {decoded.shape[:2]}, "
                    f"the file says {self.image_shape} (height, width); it is "
                    "damaged, copy it again."
                )
            image[...] = decoded
        return images


class RenderedFile(NamedTuple):
    """What a file of rendered faces holds.

    Attributes
    ----------
    images : object
        Store of the n images.
    arrays : dict of ndarray of length n
        By name.
    meta : dict
        ``all_aus``, a list of int; ``seed``; ``size`` of the images in pixels.
    """

    images: object
    arrays: dict
    meta: dict


def read_rendered(path):
    """Read a file of rendered faces; its images stay where they are.

    Parameters
    ----------
    path : Path
        Written by ``numpy.savez``.

    Returns
    -------
    RenderedFile

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DatasetError
        If it is something else, damaged, compressed, or lacks an array.
    """
    remedy = "Expected an .npz file of the renderer; copy it again, or render it again."
    with (
        reading(path, "cannot be read as rendered faces", remedy),
        zipfile.ZipFile(path) as archive,
    ):
        members = _members(path, archive)
        arrays = {
            name: np.lib.format.read_array(io.BytesIO(archive.read(member)))
            for name, member in members.items()
            if name not in ("images", "jpeg")
        }
        meta = _meta(str(arrays.pop("meta")))
        images = _images(path, members, arrays.get("jpeg_ends"), meta)
        arrays = {k: v for k, v in arrays.items() if k not in _OTHER}
        _check(path, images, arrays, meta)
    return RenderedFile(images, arrays, meta)


def _members(path, archive):
    """Map the name of each array to its member of the archive."""
    members = {
        info.filename.removesuffix(_SUFFIX): info
        for info in archive.infolist()
        if info.filename.endswith(_SUFFIX)
    }
    images = ("images",) if "images" in members else ("jpeg", "jpeg_ends")
    lacking = [name for name in (*images, *_NEEDED) if name not in members]
    if lacking:
        raise DatasetError(
            f"{path} is no file of rendered faces: it lacks {', '.join(lacking)} and "
            f"holds {', '.join(members) or 'no arrays'}. Render it again."
        )
    if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
        raise DatasetError(
            f"{path} is compressed, so that its images cannot be read one by one; "
            "write it with numpy.savez, not numpy.savez_compressed."
        )
    return members


def _meta(text):
    """Return what the file tells of itself: AUs, seed and size of the images."""
    meta = json.loads(text)
    return {
        "all_aus": [int(au) for au in meta["all_aus"]],
        "seed": int(meta["seed"]),
        "size": int(meta["size"]),
    }


def _images(path, members, ends, meta):
    if "images" in members:
        return as_store(_map(path, members["images"]))
    data = _map(path, members["jpeg"])
    lengths = np.diff(ends, prepend=0)
    if ends.ndim != 1 or not len(ends) or lengths.min() < 1 or ends[-1] != len(data):
        raise DatasetError(
            f"{path} is damaged: jpeg_ends must rise to the {len(data)} bytes of jpeg. "
            "Render it again."
        )
    return JpegStore(MappedArray(data), ends.astype(np.int64), (meta["size"],) * 2)


def _map(path, member):
    """Map an array that lies in an archive as it is."""
    with Path(path).open("rb") as file:
        file.seek(member.header_offset)
        local = file.read(30)
        name_and_extra = int.from_bytes(local[26:28], "little") + int.from_bytes(
            local[28:30], "little"
        )
        start = file.seek(name_and_extra, 1)
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, by_columns, dtype = read(file)
        offset = file.tell()
    size = offset - start + math.prod(shape) * dtype.itemsize
    if by_columns or dtype != np.uint8 or size != member.file_size:
        raise ValueError(
            f"{member.filename} is of {dtype} and shape {shape}, not of bytes that "
            "fill its place"
        )
    return np.memmap(path, np.uint8, "r", offset, shape)


def _check(path, images, arrays, meta):
    n, n_aus = len(images), len(meta["all_aus"])
    for name, array in arrays.items():
        wanted = {"all_intensities": (n, n_aus), "landmarks_clean": (n, 68, 2)}
        shape = wanted.get(name, (n, *array.shape[1:]))
        if array.shape != shape:
            raise DatasetError(
                f"{path} is damaged: {name} has shape {array.shape}, expected {shape} "
                f"for {n} images. Render it again."
            )
    levels = arrays["all_intensities"]
    if not np.all((levels >= 0) & (levels <= 5)):
        raise DatasetError(
            f"{path} is damaged: intensities must be from 0 to 5, got "
            f"{levels.min()} to {levels.max()}. Render it again."
        )
