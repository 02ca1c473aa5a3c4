"""Images and frames a batch at a time, each decoded once, the next ones ahead."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from time import perf_counter

import cv2
import numpy as np

from skfau._files import reading
from skfau._stores import ListStore
from skfau._video_index import missing_seconds, open_video, promised_by, warn_if_cut
from skfau.exceptions import FaceImageError
from skfau.faces import Faces

_BATCH = 32
_BATCH_BYTES = 128 * 2**20  # of pixels; the next batch is decoded meanwhile
_CAMERA_BATCH = 4  # a camera does not wait
_MAX_UNTIMED = 16  # frames, as for Faces.from_videos


def image_batches(paths, n_done):
    """Yield images as faces with a column ``source``, the number of their path."""
    for start in range(n_done, len(paths), _BATCH):
        files = np.arange(start, min(start + _BATCH, len(paths)))
        yield Faces([paths[at] for at in files], source=files)


def video_batches(path, every, n_done):
    """Yield frames of a video as faces with ``source`` (0), ``frame`` and ``time``.

    Parameters
    ----------
    path : str
        The video.
    every : float or None
        Seconds between frames; None means all frames.
    n_done : int
        Frames to leave out at the beginning.

    Raises
    ------
    FaceImageError
        If the video cannot be decoded.
    """
    fault = "is a video that OpenCV cannot decode"
    with reading(path, fault, "Copy it again, or re-encode it.", FaceImageError):
        capture = open_video(path)
        timed = _Timed(capture, lambda: capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        frames = islice(timed.frames(every, path), n_done, None)
        yield from _in_batches(frames, _BATCH)
        if not timed.n_frames:
            raise FaceImageError(
                f"OpenCV cannot decode a single frame of the video {path!r}; it may be "
                "truncated: copy it again, or re-encode it."
            )
    missing = missing_seconds(timed.n_frames, 1000 * timed.last, promised_by(capture))
    warn_if_cut(path, timed.n_frames, missing)


def camera_batches(number, every):
    """Yield what a camera sees, as `video_batches`, until it ends."""
    capture = open_camera(number)
    began = perf_counter()
    timed = _Timed(capture, lambda: perf_counter() - began)
    try:
        yield from _in_batches(timed.frames(every, f"camera {number}"), _CAMERA_BATCH)
    finally:
        capture.release()


def open_camera(number):
    """Return an open `cv2.VideoCapture` of a camera; raise FaceImageError."""
    # What OpenCV tries on the way would hide the one line that says it.
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        logging.setLogLevel(before)
    if not capture.isOpened():
        raise FaceImageError(
            f"there is no camera {number}, or another program has it; cameras count "
            "from 0."
        )
    return capture


def expected_frames(path, every):
    """Return how many frames the header of a video promises, or None."""
    try:
        n_frames, seconds = promised_by(open_video(path))
    except FaceImageError:
        # Reading it will say so.
        return 1
    if np.isnan(n_frames):
        return None
    return int(n_frames if every is None else min(n_frames, -(-seconds // every)))


def frame_rate(path, every):
    """Return frames a second of a video that is thinned; None if it tells none."""
    rate = open_video(path).get(cv2.CAP_PROP_FPS)
    if not 0 < rate < np.inf:
        return None if every is None else 1 / every
    return rate if every is None else min(rate, 1 / every)


def ahead(batches):
    """Yield batches while a thread prepares the next one."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


class _Timed:
    """Frames of an open video with their numbers and times."""

    def __init__(self, capture, clock):
        self._capture, self._clock = capture, clock
        self.n_frames, self.last = 0, -np.inf

    def frames(self, every, name):
        """Yield number, seconds (NaN where unknown) and image of the frames to take."""
        step, n_untimed = -np.inf, 0
        while self._capture.grab():
            now = self._clock()
            # A clock that runs back tells nothing.
            known = now > self.last
            self.last = max(self.last, now)
            n_untimed += not known
            if every is not None and n_untimed > _MAX_UNTIMED:
                raise FaceImageError(
                    f"the video {name!r} tells no time for {n_untimed} of its first "
                    f"{self.n_frames + 1} frames; leave out --every."
                )
            before, step = step, self._step(every)
            if step > before:
                read, image = self._capture.retrieve()
                if not read:
                    return
                image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                yield self.n_frames, now if known else np.nan, image
            self.n_frames += 1

    def _step(self, every):
        # Containers round to milliseconds.
        return self.n_frames if every is None else (self.last + 5e-4) // every


def _in_batches(frames, size):
    numbers, times, images, n_bytes = [], [], [], 0
    for number, time, image in frames:
        numbers.append(number)
        times.append(time)
        images.append(image)
        n_bytes += image.nbytes
        if len(images) == size or n_bytes > _BATCH_BYTES:
            yield _as_faces(numbers, times, images)
            numbers, times, images, n_bytes = [], [], [], 0
    if images:
        yield _as_faces(numbers, times, images)


def _as_faces(numbers, times, images):
    zero = np.zeros(len(images), int)
    return Faces(_Frames(images), source=zero, frame=numbers, time=np.array(times))


class _Frames(ListStore):
    """Decoded frames. Nobody writes into them, and so they are not copied."""

    def gather(self, rows):
        return [self._images[row] for row in rows]
