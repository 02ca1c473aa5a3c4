"""Frames of videos as rows; the frame that comes is checked, never assumed."""

import os
import threading
from collections import OrderedDict
from numbers import Real
from operator import index
from pathlib import Path

import cv2
import numpy as np

from skfau._arrays import digest, stamp
from skfau._columns import prepare_column
from skfau._files import reading
from skfau._progress import Progress
from skfau._video_index import index_video, mark_of, open_video, warn_if_cut
from skfau.exceptions import FaceImageError

# Open decoders cost tens of megabytes each, so a thread keeps only this many.
_MAX_OPEN_VIDEOS = 8
# Up to here, decoding the frames in between beats seeking to a key frame.
_MAX_FRAMES_SKIPPED = 32
# Places to seek, in frames before the wanted one: some containers land behind it.
_SEEK_EARLIER = (0, 16, 128)
# Some containers tell no time for the last frames, as many as an encoder holds back.
_MAX_UNTIMED = 16
# Times are told in milliseconds; no two frames are this close.
_SAME_TIME = 1e-3


class VideoStore:
    """Every frame of some videos, in order; decoders stay open per thread."""

    kind = "videos"

    def __init__(self, paths, verbose=False):
        self.paths = [str(Path(path).absolute()) for path in paths]
        self._indexes = []
        shown = "Indexing videos", len(self.paths), "videos", "skfau.faces", verbose
        with Progress(*shown) as progress:
            for path in self.paths:
                self._indexes.append(index_video(path, verbose))
                progress.update()
        for path, video in zip(self.paths, self._indexes, strict=True):
            warn_if_cut(path, len(video.times), video.missing)
        self.counts = np.array([len(video.times) for video in self._indexes], np.intp)
        shapes = {video.image_shape for video in self._indexes}
        self.image_shape = shapes.pop() if len(shapes) == 1 else None
        self._ends = np.cumsum(self.counts)
        self._local = threading.local()

    def __getstate__(self):
        return {**self.__dict__, "_local": None, "_stamps": self.fingerprint()}

    def __setstate__(self, state):
        self.__dict__.update(state, _local=threading.local())

    def __len__(self):
        return int(self.counts.sum())

    @property
    def seconds(self):
        """Time of each frame within its video, (n,) float64; NaN where unknown."""
        return np.concatenate([video.seconds for video in self._indexes])

    @property
    def frames(self):
        """Number of each frame within its video, from 0."""
        return np.concatenate([np.arange(count) for count in self.counts])

    @property
    def names(self):
        """File names without suffix where those differ, else the whole paths."""
        names = [Path(path).stem for path in self.paths]
        return names if len(set(names)) == len(names) else self.paths

    def spread(self, name, values):
        """Return a column of the frames from one with an entry per video."""
        n = len(self.paths)
        if not isinstance(values, str | bytes) and np.size(values) != n:
            raise ValueError(
                f"{name} must have one entry per video: expected {n}, got "
                f"{np.size(values)}."
            )
        return np.repeat(prepare_column(name, values, n), self.counts)

    def thinned(self, every, every_frames):
        """Return a mask of the first frame of each step of seconds or of frames."""
        if every is not None and every_frames is not None:
            raise ValueError("pass every, in seconds, or every_frames, not both.")
        if every is not None and not (isinstance(every, Real) and 0 < every < np.inf):
            raise ValueError(f"every must be seconds, above 0, got {every!r}.")
        if every is None:
            every_frames = 1 if every_frames is None else index(every_frames)
            if every_frames < 1:
                raise ValueError(
                    f"every_frames must be at least 1, got {every_frames}."
                )
            steps = [np.arange(n) // every_frames for n in self.counts]
        else:
            videos = zip(self._indexes, self.paths, strict=True)
            steps = [
                _steps_of_time(video.seconds, every, path) for video, path in videos
            ]
        return np.concatenate([np.append(True, np.diff(step) > 0) for step in steps])

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

    def _read(self, row):
        video = int(np.searchsorted(self._ends, row, side="right"))
        frame = row - int(self._ends[video] - self.counts[video])
        path = self.paths[video]
        fault = f"(row {row}) cannot be decoded"
        with reading(path, fault, "Copy it again, or re-encode it.", FaceImageError):
            image = self._decoder(path, self._indexes[video]).read(frame)
        if image is None:
            self._local.decoders.pop(path)
            raise FaceImageError(
                f"row {row}: frame {frame} of the video {path!r} cannot be decoded; "
                "the file may have changed since these faces were made."
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _decoder(self, path, index):
        """Return this thread's decoder of a video."""
        # A forked child inherits decoders whose threads and file position it lacks.
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.decoders = OrderedDict()
        decoders = self._local.decoders
        if path not in decoders:
            decoders[path] = _Decoder(path, index)
            if len(decoders) > _MAX_OPEN_VIDEOS:
                decoders.popitem(last=False)
        decoders.move_to_end(path)
        return decoders[path]


def _steps_of_time(seconds, every, path):
    """Return in which step of time each frame is."""
    unknown = int(np.isnan(seconds).sum())
    if unknown > _MAX_UNTIMED:
        raise FaceImageError(
            f"the video {path!r} tells no time for {unknown} of its {len(seconds)} "
            "frames; pass every_frames instead of every."
        )
    # Containers round to milliseconds.
    return np.floor((np.fmax.accumulate(seconds) + 5e-4) / every)


class _Decoder:
    """An open video that returns the frame with a number, or None."""

    def __init__(self, path, index):
        self._path = path
        self._index = index
        # Before this frame, seeks have led nowhere.
        self._seekless = 0
        # Seeks have come so many frames behind the place that was sought.
        self._late = 0
        self._open()

    def _open(self):
        self._capture = open_video(self._path)
        self._next = 0
        # Frames counted from the start are right; after a seek, each is checked.
        self._sought = False

    def read(self, frame):
        """Return a frame as BGR pixels; None if it does not come."""
        ahead = frame - self._next
        near = _MAX_FRAMES_SKIPPED
        if frame <= 2 * self._seekless + near:
            # Counting on costs less than another vain seek and the way from the start.
            near = frame
        image = self._forward(frame) if 0 <= ahead <= near else None
        if image is None:
            image = self._seek(frame)
        if image is None:
            self._seekless = frame
            self._open()
            image = self._forward(frame)
        return image

    def _seek(self, frame):
        """Return a frame by seeking it, or a frame before it."""
        self._sought = True
        for least in _SEEK_EARLIER:
            sought = frame - max(least, self._late)
            if sought <= 0:
                break
            place = self._index.times[: sought + 1].max()
            self._capture.set(cv2.CAP_PROP_POS_MSEC, place)
            if not self._capture.grab():
                continue
            # The clock says which frame came, whichever was sought.
            away = np.abs(self._index.times - self._time())
            came = np.flatnonzero(away < _SAME_TIME)
            if len(came) != 1:
                continue
            if came[0] > frame:
                # The next ones start as much earlier, unless decoding costs more.
                late = int(came[0]) - sought
                self._late = max(self._late, late if late <= _SEEK_EARLIER[-1] else 0)
                continue
            self._next = int(came[0]) + 1
            image = self._forward(frame)
            if image is not None:
                return image
        return None

    def _forward(self, frame):
        """Decode up to a frame and return it."""
        while self._next <= frame:
            if not self._capture.grab():
                return None
            self._next += 1
        if abs(self._time() - self._index.times[frame]) > _SAME_TIME:
            return None
        read, image = self._capture.retrieve()
        if not read or (self._sought and mark_of(image) != self._index.marks[frame]):
            return None
        return image

    def _time(self):
        return self._capture.get(cv2.CAP_PROP_POS_MSEC)
