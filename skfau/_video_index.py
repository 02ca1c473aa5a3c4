"""What a video holds: its frames, counted by decoding them, and the time of each."""

import glob
import os
import time
import zlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from skfau._arrays import stamp
from skfau._cache_files import cache_path, read_arrays, settled, write_arrays
from skfau._files import reading
from skfau._image_size import is_photograph
from skfau._limits import refuse_large, refuse_special
from skfau._progress import Progress
from skfau._warn import warn
from skfau.exceptions import FaceImageError

VIDEO_SUFFIXES = (
    ".3gp",
    ".avi",
    ".flv",
    ".m2ts",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".ogv",
    ".ts",
    ".webm",
    ".wmv",
)
# Raise it whenever the index of the same file becomes another.
_FORMAT = 2
# An image's mark is made of so many pixels, or up to four times as many, a side.
_MARK_SIZE = 64


class VideoIndex(NamedTuple):
    """The frames of a video, as one pass over it found them.

    Attributes
    ----------
    times : ndarray of shape (n_frames,), dtype float64
        What OpenCV tells as the time of each frame, in milliseconds.
    marks : ndarray of shape (n_frames,), dtype uint32
        Checksums of some pixels: they tell the frame that comes after a seek.
    image_shape : tuple (H, W) or None
        Size of the images; None if they differ.
    promised : tuple of float
        Number of frames and seconds by the header; NaN if it tells none.
    """

    times: np.ndarray
    marks: np.ndarray
    image_shape: tuple | None
    promised: tuple

    @property
    def seconds(self):
        """Time of each frame, (n_frames,) float64; NaN where the clock runs back."""
        seconds = self.times / 1000
        before = np.maximum.accumulate(seconds)[:-1]
        known = np.append(True, seconds[1:] > before)
        return np.where(known, seconds, np.nan)

    @property
    def missing(self):
        """Seconds that the header promises beyond the last frame; 0 if about none."""
        return missing_seconds(len(self.times), self.times.max(), self.promised)


def missing_seconds(n_frames, last, promised):
    """Return the seconds that a header promises beyond the last frame, or 0.

    `last` is its time in milliseconds; for `promised` see `VideoIndex`.
    """
    n_promised, length = promised
    missing = length - last / 1000
    # Sound may go on for a while, and a number may be length times rate.
    cut_off = n_promised > n_frames and missing > max(1, 0.05 * length)
    return missing if cut_off else 0.0


def warn_if_cut(path, n_frames, missing):
    """Warn of a video that ends before its header tells."""
    if missing:
        warn(
            f"the video {path!r} ends {missing:.1f} s earlier than its header tells, "
            f"after {n_frames} frames; it may be cut off."
        )


def promised_by(capture):
    """Return the number of frames and seconds by the header, NaN if it tells none."""
    count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    return (count, count / rate) if rate > 0 and 0 < count < 2**31 else (np.nan, np.nan)


def find_videos(paths):
    """Return the video files of a list, a folder or a pattern, sorted by name.

    Raises
    ------
    TypeError
        If it is a single video.
    FaceImageError
        If there is no video, or nothing of that name.
    """
    if not isinstance(paths, str | os.PathLike):
        found = list(paths)
        where = "the list"
    elif Path(paths).is_dir():
        found = [p for p in Path(paths).iterdir() if not p.name.startswith(".")]
        found = sorted(p for p in found if p.suffix.lower() in VIDEO_SUFFIXES)
        where = (
            f"the folder {os.fspath(paths)!r} (suffixes {', '.join(VIDEO_SUFFIXES)})"
        )
    elif glob.has_magic(os.fspath(paths)) and not Path(paths).is_file():
        found = sorted(glob.glob(os.fspath(paths), recursive=True))  # noqa: PTH207
        where = f"what the pattern {os.fspath(paths)!r} finds"
    elif not Path(paths).exists():
        raise FaceImageError(
            f"there is no folder or video {os.fspath(paths)!r}; check the path."
        )
    else:
        raise TypeError(
            "paths must be a list of videos, a folder or a pattern; pass "
            f"[{str(paths)!r}]."
        )
    if not found:
        raise FaceImageError(f"there is no video in {where}.")
    return found


def open_video(path):
    """Return an open `cv2.VideoCapture`; raise FaceImageError naming the file."""
    refuse_special(path, FaceImageError)
    if not Path(path).is_file():
        folder = Path(path).is_dir()
        raise FaceImageError(
            f"{path!r} is a folder; pass it alone, as Faces.from_videos({path!r})."
            if folder
            else f"there is no video {path!r}; check the path."
        )
    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        raise FaceImageError(
            f"OpenCV cannot open the video {path!r}; it may be cut off, or none: copy "
            "it again, or re-encode it."
        )
    sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
    size = [max(capture.get(side), 0) for side in sides]
    refuse_large(f"a frame of the video {path!r}", size, FaceImageError)
    return capture


def mark_of(image):
    """Return a checksum of a grid of an image's pixels."""
    step = max(1, min(image.shape[:2]) // _MARK_SIZE)
    return zlib.crc32(np.ascontiguousarray(image[::step, ::step]))


def index_video(path, verbose=False):
    """Return the index of a video, kept on disk until the file changes.

    Headers are not believed: they tell more frames than a file holds that was cut
    off, and guess the number from rate and length, or tell none.

    Parameters
    ----------
    path : str or Path
        A video file that OpenCV can decode.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    VideoIndex

    Raises
    ------
    FaceImageError
        If there is no such file, it is an image, or OpenCV decodes no frame of it.
    """
    path = str(Path(path).absolute())
    # Versions and processors differ in the last bit of a pixel.
    decoder = (cv2.__version__, cv2.getCPUFeaturesLine())
    kept = cache_path("videos", "", path, _FORMAT, *decoder)
    began = time.time_ns()
    now = stamp(path)[1:]
    index = _load(kept, now)
    if index is None and not Path(path).is_file():
        open_video(path)
    if index is None:
        fault = "is a video that OpenCV cannot decode"
        with reading(path, fault, "Copy it again, or re-encode it.", FaceImageError):
            index = _scan(path, verbose)
        if settled(now[1], began):
            _write(kept, now, index)
    # A raw stream of JPEGs begins as one, but has more frames.
    if len(index.times) == 1 and is_photograph(path):
        raise FaceImageError(
            f"{path!r} is an image, not a video; pass images as Faces([path, ...]), "
            "and load a table of them without videos."
        )
    return index


def _scan(path, verbose):
    capture = open_video(path)
    promised = promised_by(capture)
    times, marks, shapes = [], [], set()
    # Headers may tell another number of frames.
    title = f"Counting {Path(path).name}"
    with Progress(title, None, "frames", "skfau.faces.index", verbose) as progress:
        while True:
            read, image = capture.read()
            if not read:
                break
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
            marks.append(mark_of(image))
            shapes.add(image.shape[:2])
            progress.update()
    capture.release()
    if not times:
        raise FaceImageError(
            f"OpenCV cannot decode a single frame of the video {path!r}; it may be "
            "truncated: copy it again, or re-encode it."
        )
    return VideoIndex(
        np.array(times),
        np.array(marks, np.uint32),
        shapes.pop() if len(shapes) == 1 else None,
        promised,
    )


def _write(kept, now, index):
    about = np.array([*(index.image_shape or (0, 0)), *index.promised])
    try:
        arrays = {"times": index.times, "marks": index.marks, "about": about}
        write_arrays(kept, {"stamp": np.array(now), **arrays})
    except OSError as error:
        warn(
            f"the indexes of videos cannot be kept in {kept.parent} ({error.strerror}),"
            " so each video is read to its end again the next time; set XDG_CACHE_HOME "
            "to a folder that can be written.",
        )


def _load(kept, now):
    """Return the index that was kept for a file of this size and date, else None."""
    try:
        with read_arrays(kept) as file:
            if file["stamp"].tolist() != list(now):
                return None
            height, width, *promised = file["about"].tolist()
            shape = (int(height), int(width)) if height else None
            index = VideoIndex(file["times"], file["marks"], shape, tuple(promised))
            if index.times.shape != index.marks.shape or not len(index.times):
                raise ValueError("its arrays do not fit together")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:
        # zipfile raises whatever it stumbles over.
        warn(
            f"{kept}, the index of a video, is not as it was written ({error}), so the "
            "video is read to its end again"
        )
        return None
    return index
