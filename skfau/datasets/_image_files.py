"""Image files and videos: numbers of their frames, and the label of each image."""

import os
import re
from collections import Counter

import numpy as np

from skfau._video_index import VIDEO_SUFFIXES, index_video
from skfau.exceptions import DatasetError, FaceImageError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
_NUMBERED = re.compile(r"(.*?)(\d+)")
_LAST_NUMBER = 2**31 - 1


def read_images(source):
    """Return the frames of one recording: image files, or a video.

    File names are numbers with any padding (``1.jpg``, ``0001.jpg``), or one prefix
    and a number (``LeftVideoSN001_comp_00000000.jpg``). Hidden files (``._1.jpg``) are
    ignored.

    Parameters
    ----------
    source : Path or None
        A video, a folder of images, or a folder with one video and no image. None, or
        a path that does not exist, gives an empty record.

    Returns
    -------
    record : dict
        ``images`` : int32 (m,), ascending; ``files`` : their names, bytes, empty for a
        video, whose frames count from 1; ``unread`` : names of images without a
        number, bytes; ``clip`` : name of the video, bytes (1,), or (0,).
    """
    empty = np.empty(0, "S1")
    record = {"images": np.empty(0, np.int32), "files": empty, "unread": empty}
    if source is None or not source.exists():
        return {**record, "clip": empty}
    clip = source
    if source.is_dir():
        with os.scandir(source) as entries:
            names = sorted(e.name for e in entries if not e.name.startswith("."))
        pictures = [n for n in names if n.lower().endswith(IMAGE_SUFFIXES)]
        clips = [n for n in names if n.lower().endswith(VIDEO_SUFFIXES)]
        if pictures or not clips:
            return {**_numbered(source, pictures), "clip": empty}
        if len(clips) > 1:
            raise DatasetError(
                f"{source} holds {len(clips)} videos ({clips[0]}, {clips[1]}) and no "
                "image: leave one"
            )
        clip = source / clips[0]
    numbers = np.arange(1, len(index_video(clip).times) + 1, dtype=np.int32)
    return {**record, "images": numbers, "clip": np.array([os.fsencode(clip.name)])}


def _numbered(folder, names):
    """Sort the images of a folder by number."""
    parts = [_NUMBERED.fullmatch(name[: name.rindex(".")]) for name in names]
    start = _beginning(folder, Counter(match[1] for match in parts if match))
    numbers, files, unread = [], [], []
    for name, match in zip(names, parts, strict=True):
        if match and match[1] == start and int(match[2]) <= _LAST_NUMBER:
            numbers.append(int(match[2]))
            files.append(os.fsencode(name))
        else:
            unread.append(os.fsencode(name))
    numbers = np.array(numbers, np.int32)
    order = np.argsort(numbers, kind="stable")
    twice = np.flatnonzero(np.diff(numbers[order]) == 0)
    if len(twice):
        one, other = (os.fsdecode(files[k]) for k in order[twice[0] : twice[0] + 2])
        raise FaceImageError(f"{folder / one} and {other} are the same frame; keep one")
    return {
        "images": numbers[order],
        "files": np.array([files[k] for k in order], "S"),
        "unread": np.array(unread, "S"),
    }


def _beginning(folder, starts):
    """Return the prefix of the names of frames: empty, or the most frequent one."""
    if "" in starts or not starts:
        return ""
    (start, count), *others = starts.most_common(2)
    if others and 2 * others[0][1] > count:
        raise FaceImageError(
            f"{folder} holds {count} images {start}... and {others[0][1]} images "
            f"{others[0][0]}...; keep the frames of one recording in a folder"
        )
    return start


def is_video(path):
    """Return whether a path has the suffix of a video file."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def one_source_each(named, remedy="keep one"):
    """Map recordings to the folder or video of their frames.

    Parameters
    ----------
    named : iterable of (str, Path)
        Names of recordings, each with a folder or video of its frames.
    remedy : str, default="keep one"
        What the error tells the user to do.

    Raises
    ------
    DatasetError
        If two of them hold frames of one recording.
    """
    sources = {}
    for name, path in named:
        if name in sources:
            raise DatasetError(
                f"{sources[name]} and {path} both hold frames of {name}; {remedy}"
            )
        sources[name] = path
    return sources


def first_image_number(first_frame, recordings, *, every_frame):
    """Return the number of the image of label frame 1.

    Parameters
    ----------
    first_frame : {"auto", 0, 1}
        Option of the loader; "auto" compares the numbers.
    recordings : list of (name, images, frames)
        Numbers of images and of labelled frames, both ascending.
    every_frame : bool
        Whether every frame of a recording has a label; if so, the last numbers are
        compared, too.

    Returns
    -------
    first : {0, 1}
        An image i belongs to label frame ``i + 1 - first``.

    Raises
    ------
    DatasetError
        If the numbers do not decide between 0 and 1.
    """
    if first_frame in (0, 1):
        return first_frame
    if first_frame != "auto":
        raise ValueError(f"first_frame must be 'auto', 0 or 1, got {first_frame!r}")
    both = [r for r in recordings if len(r[1]) and len(r[2])]
    if not both:
        return 1
    from_zero = [name for name, images, _ in both if images[0] == 0]
    to_last = [n for n, images, f in both if images[0] and images[-1] == f[-1]]
    lost = [
        sum(int((~np.isin(f, images + 1 - first)).sum()) for _, images, f in both)
        for first in (0, 1)
    ]
    if every_frame:
        if bool(from_zero) != bool(to_last):
            return 0 if from_zero else 1
    elif from_zero and lost[0] < lost[1]:
        return 0
    elif not from_zero and lost[1] <= lost[0]:
        return 1
    raise DatasetError(
        "the numbers of images and labels do not tell which belong together: "
        f"{len(from_zero)} recordings have an image 0{_shown(from_zero)}, "
        f"{len(to_last)} have none and end with the last label{_shown(to_last)}; "
        f"{lost[1]} labels have no image of equal number, {lost[0]} none that is one "
        "less. Pass first_frame=0 if image i shows label frame i + 1, or "
        "first_frame=1 if the numbers are equal."
    )


def _shown(names):
    return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" * bool(names)
