"""Where pixels live: arrays in memory, mapped files, image files, videos.

A store is anything with ``__len__``, ``gather(rows)`` (``rows`` an intp array;
answers uint8 RGB images, as one (m, H, W, 3) array or a list of (H, W, 3) arrays)
and ``fingerprint()``; ``image_shape`` is (H, W), or None when sizes are unknown or
differ. Stores that read files pickle as names, never as pixels.
"""

import os
import threading
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np

from skfau._arrays import MappedArray, digest, hash_array, mapped_base, stamp
from skfau.exceptions import FaceImageError

_DECODE_ROWS = 256
_HINT = "find all such rows with Faces.check_images(on_error='skip')"
# Open decoders cost tens of megabytes each, so a thread keeps only this many.
_MAX_OPEN_VIDEOS = 8
# Up to here, decoding the frames in between beats seeking to a key frame.
_MAX_FRAMES_SKIPPED = 32


def as_store(images):
    """Return the store for what a user handed to ``Faces`` as images."""
    # Tensors have a method gather, too.
    if callable(getattr(images, "gather", None)) and not hasattr(images, "__array__"):
        return images
    if isinstance(images, (str, bytes, os.PathLike)):
        raise TypeError(
            f"images must hold one entry per row, got the single path {images!r}; "
            "pass a list of image paths, or a video as Faces.from_videos([path])."
        )
    if hasattr(images, "__array__"):
        array = images if isinstance(images, np.ndarray) else np.asarray(images)
        if array.dtype.kind not in "OUS":
            kind = ArrayStore if mapped_base(array) is None else MappedStore
            return kind(array)
        images = array.tolist()
    if not isinstance(images, (list, tuple)):
        raise TypeError(
            "images must be a uint8 array of shape (n, H, W, 3), a sequence of image "
            f"paths or of uint8 (H, W, 3) arrays, or a store; got {type(images)}."
        )
    if all(isinstance(image, (str, os.PathLike)) for image in images):
        return PathStore(images)
    if all(isinstance(image, np.ndarray) for image in images):
        return ListStore(images)
    odd = next(i for i, x in enumerate(images) if not isinstance(x, (str, os.PathLike)))
    raise TypeError(
        "a sequence of images must hold only paths (str or Path) or only uint8 "
        f"arrays; entry {odd} is {type(images[odd])}. Of an image of PIL, pass "
        "np.asarray(image.convert('RGB'))."
    )


def check_pixels(array):
    """Raise unless ``array`` is a uint8 stack (n, H, W, 3) or (n, H, W)."""
    wanted = "expected uint8 images of shape (n, H, W, 3) in RGB, or (n, H, W) gray"
    got = f"got {array.dtype} of shape {array.shape}"
    if array.dtype != np.uint8:
        remedy = (
            "(images >> 8).astype('uint8'), or >> 4 where they hold 12 bits"
            if array.dtype == np.uint16
            else "scale floats in [0, 1] by 255 and cast with astype('uint8')"
        )
        raise FaceImageError(f"{wanted}; {got}. Pixels run from 0 to 255: {remedy}.")
    colour = array.ndim == 4 and array.shape[-1] == 3
    # (H, W, 3) is one image far more often than a stack of gray images 3 pixels wide.
    gray = array.ndim == 3 and array.shape[-1] > 4
    if not (colour or gray):
        raise FaceImageError(
            f"{wanted}; {got}. For one image pass image[None]; move a channel axis "
            "to the end; drop an alpha channel."
        )
    if 0 in array.shape[1:3]:
        raise FaceImageError(f"{wanted}; {got}: the images have no pixels.")


def _rgb(images):
    return np.repeat(images[..., None], 3, axis=-1) if images.ndim == 3 else images


def stack_images(store, rows):
    """Decode rows into one array, in blocks so that it is held only once."""
    stacked = None
    for start in range(0, len(rows), _DECODE_ROWS):
        block = store.gather(rows[start : start + _DECODE_ROWS])
        if len(rows) <= _DECODE_ROWS and isinstance(block, np.ndarray):
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
    if stacked is None:
        return np.empty((0, *(store.image_shape or (0, 0)), 3), np.uint8)
    return stacked


class ArrayStore:
    """A uint8 stack in memory; shared with the caller, never copied whole."""

    kind = "array"

    def __init__(self, array):
        check_pixels(array)
        self._array = array

    @property
    def image_shape(self):
        return self._array.shape[1:3]

    def __len__(self):
        return len(self._array)

    def gather(self, rows):
        return _rgb(self._array[rows])

    def fingerprint(self):
        return hash_array(self._array)


class MappedStore(ArrayStore):
    """A uint8 stack in a memory-mapped file; pickles as the file's name."""

    kind = "memmap"

    def __init__(self, array):
        check_pixels(array)
        self._array = MappedArray(array)

    def fingerprint(self):
        return self._array.fingerprint()


class ListStore:
    """Images of any sizes, held in memory as a list of uint8 arrays."""

    kind = "list"

    def __init__(self, images):
        for row, image in enumerate(images):
            try:
                check_pixels(image[None] if image.ndim else image)
            except FaceImageError as error:
                raise FaceImageError(f"row {row}: {error}") from error
        self._images = list(images)
        sizes = {image.shape[:2] for image in images}
        self.image_shape = sizes.pop() if len(sizes) == 1 else None

    def __len__(self):
        return len(self._images)

    def gather(self, rows):
        return [_rgb(self._images[row][None])[0].copy() for row in rows]

    def fingerprint(self):
        return digest(*(hash_array(image) for image in self._images))


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
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    # 12 bits of 16 reach 15, or 16 where OpenCV rounds.
    if image is None or image.max(initial=0) > 16:
        return image
    deep = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if deep is None or deep.dtype != np.uint16 or deep.max() >= 4096:
        return image
    return np.ascontiguousarray(deep[..., ::-1] >> 4, np.uint8)


def read_image(path, row):
    """Decode one image file to uint8 RGB (H, W, 3); errors name file and row."""
    try:
        # Read by Python: cv2.imread cannot open non-ASCII names on every system.
        data = Path(path).read_bytes()
    except OSError as error:
        raise FaceImageError(
            f"row {row}: cannot read the image {path!r} ({error.strerror}); check the "
            f"path, or {_HINT}."
        ) from error
    # OpenCV fills the missing part of a truncated JPEG with gray and says nothing.
    if _truncated(data):
        raise FaceImageError(
            f"row {row}: the image {path!r} is truncated at {len(data)} bytes; copy "
            f"the file again, or {_HINT}."
        )
    try:
        image = _decode(np.frombuffer(data, np.uint8))
    except cv2.error:
        image = None
    if image is None:
        raise FaceImageError(
            f"row {row}: {path!r} ({len(data)} bytes) is not an image that OpenCV can "
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


class PathStore:
    """One image file per row, decoded on every access."""

    kind = "paths"
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
        return self.__dict__

    def __len__(self):
        return len(self._names)

    def path(self, row):
        """Return the absolute path of a row."""
        return os.fsdecode(self._prefix + bytes(self._names[row]))

    def gather(self, rows):
        return [read_image(self.path(row), int(row)) for row in rows]

    def fingerprint(self):
        return digest(*(stamp(self.path(row)) for row in range(len(self))))


class VideoStore:
    """Every frame of some videos, in order; decoders stay open per thread."""

    kind = "videos"

    def __init__(self, paths):
        self.paths = [str(Path(path).absolute()) for path in paths]
        counts, sizes = [], set()
        for path in self.paths:
            capture = self._open(path)
            counts.append(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            if counts[-1] < 1:
                raise FaceImageError(
                    f"the video {path!r} does not tell its number of frames; "
                    "re-encode it, or extract its frames to image files."
                )
            sizes.add(
                (
                    int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
                    int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
                )
            )
        self.counts = np.array(counts, np.intp)
        self.image_shape = sizes.pop() if len(sizes) == 1 else None
        self._ends = np.cumsum(self.counts)
        self._local = threading.local()

    def __getstate__(self):
        return {**self.__dict__, "_local": None, "_stamps": self.fingerprint()}

    def __setstate__(self, state):
        self.__dict__.update(state, _local=threading.local())

    def __len__(self):
        return int(self.counts.sum())

    def fingerprint(self):
        return digest(*map(stamp, self.paths), self.counts.tolist())

    def gather(self, rows):
        rows = np.asarray(rows, np.intp)
        images = [None] * len(rows)
        last_row, last = -1, None
        # In file order, whatever order was asked for: seeking is what costs.
        for at in np.argsort(rows, kind="stable"):
            row = int(rows[at])
            if not 0 <= row < len(self):
                raise IndexError(f"row {row} is outside the {len(self)} video frames")
            if row != last_row:
                last_row, last = row, self._read(row)
                images[at] = last
            else:
                images[at] = last.copy()
        return images

    @staticmethod
    def _open(path):
        if not Path(path).is_file():
            raise FaceImageError(f"there is no video {path!r}; check the path.")
        capture = cv2.VideoCapture(path)
        if not capture.isOpened():
            raise FaceImageError(f"OpenCV cannot open the video {path!r}.")
        return capture

    def _capture(self, path):
        """Return this thread's [capture, next frame] of a video."""
        # A forked child inherits decoders whose threads and file position it lacks.
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.captures = OrderedDict()
        captures = self._local.captures
        if path not in captures:
            captures[path] = [self._open(path), 0]
            if len(captures) > _MAX_OPEN_VIDEOS:
                captures.popitem(last=False)[1][0].release()
        captures.move_to_end(path)
        return captures[path]

    def _read(self, row):
        video = int(np.searchsorted(self._ends, row, side="right"))
        frame = row - int(self._ends[video] - self.counts[video])
        path = self.paths[video]
        state = self._capture(path)
        capture, position = state
        if not position <= frame <= position + _MAX_FRAMES_SKIPPED:
            capture.set(cv2.CAP_PROP_POS_FRAMES, frame)
            position = frame
        skipped = all(capture.grab() for _ in range(frame - position))
        read, image = capture.read() if skipped else (False, None)
        if not read:
            self._local.captures.pop(path)
            raise FaceImageError(
                f"row {row}: cannot decode frame {frame} of the video {path!r} "
                f"({self.counts[video]} frames by its header); the file may be "
                f"truncated: re-encode it, or {_HINT}."
            )
        state[1] = frame + 1
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
