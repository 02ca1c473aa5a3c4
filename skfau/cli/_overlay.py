"""Copies of videos and images in which faces and AUs are drawn."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from skfau._files import write_atomically
from skfau._progress import Progress
from skfau._video_index import VIDEO_SUFFIXES
from skfau.cli._frames import frame_rate
from skfau.cli._marks import hides_faces, mark_faces
from skfau.cli._sources import IMAGE_SUFFIXES
from skfau.exceptions import FaceImageError

_CODECS = {".avi": "MJPG", ".webm": "VP80"}  # else what MP4 files hold
_USUAL_RATE = 25.0  # frames a second, where a video does not tell
_HIGHEST = 5.0  # intensity
_LOOK_EVERY = 10  # frames, to see where bars have room
_SELDOM = 0.05  # of the frames
_LONGEST_GAP = 10.0  # seconds; behind a longer one the clock is not believed


def plan_overlays(target, sources):
    """Return the file of each video and image, and make their folder.

    Parameters
    ----------
    target : str or None
        A video or an image, or a folder.
    sources : sequence of Source
        What is to be copied.

    Returns
    -------
    files : dict of str to Path
        By the path of the original; empty for None.

    Raises
    ------
    ValueError
        If there are several for one file, or one would take the place of its original.
    """
    if target is None:
        return {}
    target = Path(target)
    originals = [path for source in sources for path in source.paths]
    kinds = {".mp4" if source.is_recording else ".jpg" for source in sources}
    suffix = target.suffix.lower()
    if suffix in VIDEO_SUFFIXES or suffix in IMAGE_SUFFIXES:
        fits = {".mp4"} if suffix in VIDEO_SUFFIXES else {".jpg"}
        if len(originals) > 1 or kinds != fits:
            raise ValueError(
                f"--overlay {target} is one file, for one "
                f"{'video' if fits == {'.mp4'} else 'image'}; for others, or several, "
                "give a folder."
            )
        files = {originals[0]: target}
    else:
        if target.is_file():
            raise ValueError(
                f"--overlay {target} is a file that is neither video nor image by its "
                "suffix; give one that is, or a folder."
            )
        target.mkdir(exist_ok=True)
        files = _in_folder(target, sources)
    for original, file in files.items():
        if file.exists() and Path(original).exists() and file.samefile(original):
            raise ValueError(f"--overlay would replace {original}; take another name.")
    return files


def _in_folder(folder, sources):
    """Return a file per original; equal names are numbered."""
    files, taken = {}, set()
    for source in sources:
        for path in source.paths:
            suffix = Path(path).suffix
            if source.is_recording:
                suffix = ".mp4"
            elif suffix.lower() in VIDEO_SUFFIXES:
                suffix = ".jpg"  # of an image that is called as a video
            stem = Path(path).stem
            name, number = f"{stem}{suffix}", 2
            while name in taken:
                name, number = f"{stem}-{number}{suffix}", number + 1
            taken.add(name)
            files[path] = folder / name
    return files


def write_overlays(files, sources, parts_of, chain, every):
    """Write all overlays from what is found.

    Parameters
    ----------
    files : dict of str to Path
        See `plan_overlays`.
    sources : sequence of Source
        The originals.
    parts_of : callable
        Number of a source -> its parts.
    chain : Chain
        Knows AUs, thresholds and intensities.
    every : float or None
        Seconds between frames.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    for number, source in enumerate(sources):
        file = files[source.paths[0]]
        # What could not be read has been told.
        with (
            contextlib.suppress(FaceImageError),
            Progress(file.name, None, "frames", __name__) as progress,
        ):
            images, rows = _images(source, every), _frames(parts_of(number), progress)
            if not source.is_recording:
                for (path, image), row in zip(images, rows, strict=False):
                    if image is not None:
                        _write_image(files[path], mark(image, row, chain))
                continue
            with OverlayVideo(file, frame_rate(source.paths[0], every)) as video:
                strip = None
                for (time, image), row in zip(images, rows, strict=False):
                    if strip is None:
                        strip = needs_strip(image.shape, parts_of(number), chain)
                    video.write(mark(image, row, chain, strip), time)


def mark(image, rows, chain, strip=None):
    """Return an image with its faces drawn; `rows` are those of a part.

    None for `strip` means bars beside the faces where they hide none.
    """
    p = rows["probabilities"]
    r = chain.intensities(p)
    values, highest = (p, 1.0) if r is None else (r, _HIGHEST)
    present = p >= chain.thresholds
    if strip is None:
        strip = hides_faces(image.shape, rows, values, chain.aus)
    return mark_faces(image, rows, values, highest, present, chain.aus, strip)


def needs_strip(image_shape, parts, chain):
    """Return whether bars would hide faces in a video, which has one size for all."""
    n_hidden = n_frames = 0
    for part in parts:
        for rows in list(frames_of(part))[::_LOOK_EVERY]:
            n_frames += (rows["person"] >= 0).any()
            p = rows["probabilities"]
            n_hidden += hides_faces(image_shape, rows, p, chain.aus)
    return n_hidden > _SELDOM * n_frames


def _frames(parts, progress):
    """Yield the rows of each frame, and count it once it is done."""
    for part in parts:
        for rows in frames_of(part):
            yield rows
            progress.update()


def frames_of(part):
    """Yield the rows of each frame of a part."""
    starts = np.flatnonzero(np.append(True, np.diff(part["row"]) > 0))
    for rows in np.split(np.arange(len(part["row"])), starts[1:]):
        yield {name: values[rows] for name, values in part.items()}


def _images(source, every):
    """Yield the path or the time of each image, and its pixels, None if unreadable."""
    for batch in source.batches(every, 0):
        for row in range(len(batch)):
            if source.is_recording:
                yield batch.column("time")[row], batch.images[row]
                continue
            image = None
            with contextlib.suppress(FaceImageError):
                image = batch.images[row]
            yield source.paths[batch.column("source")[row]], image


def _write_image(path, image):
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with write_atomically(path) as file:
        file.write(data.tobytes())


class OverlayVideo:
    """A video that takes its place once it is complete; use it in a ``with``.

    Parameters
    ----------
    path : Path
        The file; its suffix tells the format.
    rate : float or None
        Frames a second; None means the usual rate.

    Raises
    ------
    OSError
        If it cannot be written whole, as on a full disk.
    """

    def __init__(self, path, rate):
        self._path, self._rate = path, rate or _USUAL_RATE
        self._partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        self._writer, self._size, self._n, self._began = None, None, 0, None

    def __enter__(self):
        return self

    def write(self, image, time):
        """Write a frame as often as it is to be seen until its time, in seconds."""
        if self._writer is None:
            self._open(image, time)
        if image.shape[1::-1] != self._size:
            image = cv2.resize(image, self._size)
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        wanted = self._n + 1
        if not np.isnan(time):
            wanted = round((time - self._began) * self._rate) + 1
        if wanted - self._n > _LONGEST_GAP * self._rate:
            self._began += (wanted - self._n - 1) / self._rate
            wanted = self._n + 1
        for _ in range(wanted - self._n):
            self._writer.write(image)
        self._n = max(self._n, wanted)

    def _open(self, image, time):
        self._size, self._began = image.shape[1::-1], np.nan_to_num(time)
        codec = cv2.VideoWriter_fourcc(*_CODECS.get(self._path.suffix.lower(), "mp4v"))
        name = str(self._partial)
        self._writer = cv2.VideoWriter(name, codec, self._rate, self._size)
        if not self._writer.isOpened():
            raise OSError(f"OpenCV cannot write the video {self._path}.")

    def __exit__(self, kind, error, trace):
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            # OpenCV says nothing of a full disk.
            written = cv2.VideoCapture(str(self._partial))
            n = max(round(written.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
            written.release()
            if abs(n - self._n) > 1:
                self._partial.unlink(missing_ok=True)
                raise OSError(
                    f"the video {self._path} is not whole ({n} of {self._n} frames); "
                    "is the disk full?"
                )
            self._partial.replace(self._path)
        self._partial.unlink(missing_ok=True)
