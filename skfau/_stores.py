"""Where pixels live: arrays in memory, mapped files, image files.

A store is anything with ``__len__``, ``gather(rows)`` (``rows`` an intp array;
answers uint8 RGB images, as one (m, H, W, 3) array or a list of (H, W, 3) arrays)
and ``fingerprint()``; ``image_shape`` is (H, W), or None when sizes are unknown or
differ. Stores that read files pickle as names, never as pixels.
"""

import hashlib
import os
import stat
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np

from skfau._arrays import MappedArray, digest, hash_array, mapped_base, stamp
from skfau._decoder_warnings import LISTENING, overhear
from skfau._image_objects import channels_last, is_of_pil, pixels_of
from skfau._image_size import claimed_size, is_shorter_than_claimed, size_of_file
from skfau._kept import KeptStore
from skfau._limits import refuse_large
from skfau.exceptions import FaceImageError

# Decoded images are held by their bytes: 256 of a telephone would be 37 GB.
_HELD_BYTES = 2**28
_HINT = "find all such rows with Faces.check_images(on_error='skip')"


def as_store(images):
    """Return the store for what a user handed to ``Faces`` as images."""
    if _is_store(images):
        return images
    if isinstance(images, (str, bytes, os.PathLike)):
        raise TypeError(
            f"images must hold one entry per row, got the single path {images!r}; "
            "pass a list of image paths, or a video as Faces.from_videos([path])."
        )
    if hasattr(images, "__array__"):
        array = images if isinstance(images, np.ndarray) else np.asarray(images)
        if array.dtype.kind not in "OUS":
            if array is not images and array.ndim == 3 and len(array) == 3:
                raise FaceImageError(
                    f"a tensor of shape {array.shape} is one image, or three grey "
                    "ones; pass tensor[None] or tensor[:, None]."
                )
            kind = ArrayStore if mapped_base(array) is None else MappedStore
            return kind(channels_last(array))
        images = array.tolist()
    if is_of_pil(images):
        raise TypeError(
            "images must hold one entry per row, got a single image of PIL; pass "
            "[image]."
        )
    if not isinstance(images, (list, tuple)):
        raise TypeError(
            "images must be a uint8 array of shape (n, H, W, 3), a sequence of image "
            "paths or of uint8 (H, W, 3) arrays, or a store (gather, fingerprint and "
            f"a length); got {type(images)}. Of a dataset, pass "
            "[image for image, label in dataset]."
        )
    if all(isinstance(image, (str, os.PathLike)) for image in images):
        return PathStore(images)
    images = [pixels_of(image, row) for row, image in enumerate(images)]
    if all(isinstance(image, np.ndarray) for image in images):
        return ListStore(images)
    path = isinstance(images[0], (str, os.PathLike))
    kinds = (str, os.PathLike) if path else np.ndarray
    odd = next(i for i, image in enumerate(images) if not isinstance(image, kinds))
    raise TypeError(
        "a sequence of images must hold only paths (str or Path) or only images "
        "(uint8 arrays, tensors, images of PIL); entry "
        f"{odd} is {type(images[odd])}."
    )


def _is_store(images):
    # Tensors of torch and series of polars have a gather of their own.
    methods = ("gather", "fingerprint", "__len__")
    return all(callable(getattr(images, method, None)) for method in methods)


def check_pixels(array):
    """Raise unless ``array`` is a uint8 stack (n, H, W, 3) or (n, H, W)."""
    wanted = "expected uint8 images of shape (n, H, W, 3) in RGB, or (n, H, W) gray"
    remedy = (
        "For one image pass image[None]; move a channel axis to the end; drop an alpha "
        "channel (images[..., :3])."
    )
    _check_pixels(array, 1, wanted, remedy)


def _check_entry(image, row):
    """Raise unless an entry of a list is a uint8 image (H, W, 3) or (H, W)."""
    wanted = f"row {row}: expected a uint8 image of shape (H, W, 3) in RGB, or (H, W)"
    remedy = f"Each entry is one image: {_to_one_image(image.shape)}."
    _check_pixels(image, 0, f"{wanted} gray", remedy)


def _check_pixels(array, n_before, wanted, remedy):
    """Raise unless ``array`` is uint8 and an image after `n_before` axes."""
    wanted = f"{wanted}; got {array.dtype} of shape {array.shape}"
    if array.dtype != np.uint8:
        scale = "scale floats in [0, 1] by 255, round"
        if array.dtype == np.uint16:
            scale = "divide 16 bits by 257 (12 bits by 16)"
        raise FaceImageError(
            f"{wanted}. Pixels run from 0 to 255: {scale} and cast with "
            "astype('uint8'), or .to(torch.uint8)."
        )
    shape = array.shape[n_before:]
    colour = len(shape) == 3 and shape[-1] == 3
    # (H, W, 3) is one image far more often than a stack of gray images 3 pixels wide,
    # and an entry (n, 2), (n, 3) or (n, 4) is points, boxes or colours.
    gray = len(shape) == 2 and shape[-1] > 4
    if not (colour or gray):
        raise FaceImageError(f"{wanted}. {remedy}")
    if 0 in shape[:2]:
        raise FaceImageError(f"{wanted}: the images have no pixels.")


def _to_one_image(shape):
    """Say how the entry of a list becomes an image."""
    if len(shape) == 4:
        return "of a stack pass all images, as list(stack)"
    if len(shape) == 3 and shape[-1] in (2, 4):
        # Gray and alpha, or RGB and alpha.
        return f"drop its alpha channel (image[..., {':3' if shape[-1] == 4 else '0'}])"
    if len(shape) == 3 and shape[0] in (2, 4):
        kept = "[:3].transpose(1, 2, 0)" if shape[0] == 4 else "[0]"
        return f"drop its alpha channel, and put channels last (image{kept})"
    return "pass three channels, last, or a single one"


def _rgb(images):
    return np.repeat(images[..., None], 3, axis=-1) if images.ndim == 3 else images


def rows_at_once(image_shape):
    """Return how many images of a size (H, W) to hold beside the result."""
    return max(1, _HELD_BYTES // max(1, 3 * image_shape[0] * image_shape[1]))


def stack_images(store, rows):
    """Decode rows into one array, in blocks so that it is held only once."""
    stacked, start = None, 0
    at_once = rows_at_once(store.image_shape) if store.image_shape else 1
    while start < len(rows):
        block = store.gather(rows[start : start + at_once])
        if at_once >= len(rows) and isinstance(block, np.ndarray):
            return block
        for i, image in enumerate(block, start):
            if stacked is None:
                stacked = np.empty((len(rows), *image.shape), image.dtype)
            elif image.shape != stacked.shape[1:]:
                raise FaceImageError(
                    f"images differ in size: store row {rows[0]} is "
                    f"{stacked.shape[1:3]}, row {rows[i]} is {image.shape[:2]} "
                    "(height, width). Align the faces first (FaceAligner), or take "
                    "them as a list with Faces.read()."
                )
            stacked[i] = image
        start += at_once
        at_once = rows_at_once(stacked.shape[1:])
    if stacked is None:
        return np.empty((0, *(store.image_shape or (0, 0)), 3), np.uint8)
    return stacked


def image_sizes(store, rows):
    """Return the sizes of images without decoding them, as far as that can be done.

    Parameters
    ----------
    store : object
        Image store.
    rows : ndarray of shape (m,), dtype intp
        Rows of it.

    Returns
    -------
    sizes : ndarray of shape (m, 2), dtype float64
        Width and height in pixels; NaN where not known before the image is decoded.
    """
    shape = getattr(store, "image_shape", None)
    if shape is not None:
        return np.full((len(rows), 2), shape[::-1], float)
    if hasattr(store, "image_sizes"):
        return np.array(store.image_sizes(rows), float).reshape(len(rows), 2)
    return np.full((len(rows), 2), np.nan)


def _mark(data):
    """Return a number that stands for bytes."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


class ArrayStore(KeptStore):
    """A uint8 stack in memory; shared with the caller, never copied whole."""

    kind = "array"
    _entries = "_array"

    def __init__(self, array):
        check_pixels(array)
        self._array = array

    @property
    def image_shape(self):
        return self._array.shape[1:3]

    def __len__(self):
        return len(self._array)

    def gather(self, rows):
        # Of tensors, whose channels came first, too.
        return _rgb(np.ascontiguousarray(self._array[rows]))

    def _digest(self):
        return hash_array(self._array)

    def _marks(self, rows):
        images = (np.ascontiguousarray(self._array[row]) for row in rows)
        return np.array([_mark(image) for image in images], np.uint64)


class MappedStore(ArrayStore):
    """A uint8 stack in a memory-mapped file; pickles as the file's name."""

    kind = "memmap"

    def __init__(self, array):
        check_pixels(array)
        self._array = MappedArray(array)

    def kept(self, rows):
        return self

    def fingerprint(self):
        return self._array.fingerprint()


class ListStore(KeptStore):
    """Images of any sizes, held in memory as a list of uint8 arrays."""

    kind = "list"
    _entries = "_images"

    def __init__(self, images):
        for row, image in enumerate(images):
            _check_entry(image, row)
        self._images = list(images)
        sizes = {image.shape[:2] for image in images}
        self.image_shape = sizes.pop() if len(sizes) == 1 else None

    def __len__(self):
        return len(self._images)

    def image_sizes(self, rows):
        return [self._images[row].shape[1::-1] for row in rows]

    def gather(self, rows):
        return [_rgb(self._images[row][None])[0].copy() for row in rows]

    def _digest(self):
        return digest(*(hash_array(image) for image in self._images))

    def _marks(self, rows):
        hashes = (hash_array(self._images[row]).encode() for row in rows)
        return np.array([_mark(data) for data in hashes], np.uint64)


def _truncated(data):
    """Say whether JPEG or PNG bytes stop before their end marker."""
    if data[:4] == b"\x89PNG":
        return data.rfind(b"IEND\xae\x42\x60\x82") < 0
    if data[:2] != b"\xff\xd8":
        return False
    # Walk over the header segments: an embedded thumbnail has an end marker as well.
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) < 0
        padding = marker == 0xFF
        at += 1 if padding else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return True


def _decode(data):
    """Return uint8 RGB (H, W, 3), or None where OpenCV knows no such image.

    16 bits become 8: the upper ones, or those of 12 if no pixel has more.
    """
    data = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        # 12 bits of 16 reach 15, or 16 where OpenCV rounds.
        if image is None or image.max(initial=0) > 16:
            return image
        deep = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    if deep is None or deep.dtype != np.uint16 or deep.max() >= 4096:
        return image
    return np.ascontiguousarray(deep[..., ::-1] >> 4, np.uint8)


def read_image(path, row):
    """Decode one image file to uint8 RGB (H, W, 3); errors name file and row."""
    try:
        # Pipes and devices would be read for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            raise FaceImageError(
                f"row {row}: {path!r} is a folder or device, not an image file; check "
                f"the path, or {_HINT}."
            )
        # Read by Python: cv2.imread cannot open non-ASCII names on every system.
        data = Path(path).read_bytes()
    except OSError as error:
        raise FaceImageError(
            f"row {row}: cannot read the image {path!r} ({error.strerror}); check the "
            f"path, or {_HINT}."
        ) from error
    return decode_image(data, row, repr(path))


def decode_image(data, row, name):
    """Decode the bytes of an image file to uint8 RGB (H, W, 3)."""
    size = claimed_size(data) or (0, 0)
    refuse_large(f"row {row}: the image {name}", size, FaceImageError)
    # OpenCV fills the missing part of a truncated JPEG with gray and says nothing.
    if _truncated(data) or is_shorter_than_claimed(data, size):
        raise FaceImageError(
            f"row {row}: the image {name} is truncated at {len(data)} bytes; copy "
            f"the file again, or {_HINT}."
        )
    with overhear() if LISTENING.get() else nullcontext() as said:
        image = _decode(data)
    if image is not None and said:
        raise FaceImageError(
            f"row {row}: the image {name} is damaged ({said[0]}); copy the file "
            f"again, or {_HINT}."
        )
    if image is None:
        raise FaceImageError(
            f"row {row}: {name} ({len(data)} bytes) is not an image that OpenCV can "
            f"decode; replace the file, or {_HINT}. Videos go through "
            "Faces.from_videos."
        )
    return image


def _common_start(one, other):
    """Return the bytes with which both begin."""
    same = min(len(one), len(other))
    while one[:same] != other[:same]:
        same -= 1
    return one[:same]


class PathStore(KeptStore):
    """One image file per row, decoded on every access."""

    kind = "paths"
    _entries = "_names"
    image_shape = None

    def __init__(self, paths):
        # Workers may run in another folder, so names are absolute.
        names = [os.fsencode(path) for path in paths]
        names = [
            name
            if name[:1] == b"/"
            else os.fsencode(Path(os.fsdecode(name)).absolute())
            for name in names
        ]
        # One fixed-width array without the shared beginning: a fifth of the memory
        # of Python strings, and joblib shares it between processes.
        self._prefix = _common_start(min(names), max(names)) if names else b""
        self._names = np.array([name[len(self._prefix) :] for name in names], "S")
        self._stamps = None

    def __getstate__(self):
        # joblib's hash sees this state and must follow the files. Asking for every
        # file's date takes a second per 10^5 files, so once per store.
        self._stamps = self._stamps or self.fingerprint()
        return super().__getstate__()

    def kept(self, rows):
        store = super().kept(rows)
        # These files' dates are among the marks.
        store._stamps = None
        return store

    def __len__(self):
        return len(self._names)

    def path(self, row):
        """Return the absolute path of a row."""
        return os.fsdecode(self._prefix + bytes(self._names[row]))

    def image_sizes(self, rows):
        return [size_of_file(self.path(row)) for row in rows]

    def gather(self, rows):
        return [read_image(self.path(row), int(row)) for row in rows]

    def _digest(self):
        return digest(*(stamp(self.path(row)) for row in range(len(self))))

    def _marks(self, rows):
        stamps = (repr(stamp(self.path(row))).encode() for row in rows)
        return np.array([_mark(data) for data in stamps], np.uint64)
