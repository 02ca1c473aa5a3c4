"""Rows of a table that are frames of videos, by number or by time."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from skfau._video_index import VIDEO_SUFFIXES
from skfau._video_store import VideoStore
from skfau.datasets._number_texts import to_float
from skfau.exceptions import DatasetError
from skfau.faces import Faces

_PER_VIDEO = {"video", "subject"}


class VideoRows(NamedTuple):
    """Frames of whole videos, of which each row of a table is one.

    Attributes
    ----------
    store : VideoStore
        All frames of the videos.
    first : int
        Number of the first frame of a video.
    video : ndarray of shape (n,), dtype int
        Video of each row, by its place in the store.
    frames : ndarray of shape (n,), dtype int
        Place of each row's frame in its video, from 0; -1 where there is none.
    """

    store: VideoStore
    first: int
    video: np.ndarray
    frames: np.ndarray


def are_videos(paths):
    """Say whether paths are of videos; raise if some are and some are not."""
    videos = [Path(path).suffix.lower() in VIDEO_SUFFIXES for path in paths]
    if any(videos) and not all(videos):
        raise DatasetError(
            f"the table names videos ({paths[videos.index(True)]}) and images "
            f"({paths[videos.index(False)]}); load two tables and join their data with "
            "Faces.concat"
        )
    return any(videos)


def find_frames(paths, columns, first, where, verbose=False):
    """Find the frame of each row.

    Parameters
    ----------
    paths : list of str
        Video of each row.
    columns : dict of str to ndarray
        ``frame``, whole numbers; without it ``time``, in seconds: the frame with the
        nearest time. With ``person``, a frame may have a row for each.
    first : int
        Number of the first frame of a video.
    where : sequence of str
        Place of each row in the table, for errors.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    VideoRows

    Raises
    ------
    DatasetError
        If there is neither column, both tell of other frames, a time is no number or
        not told by the video, two rows are one frame of one person, or no row is a
        frame of a video.
    """
    names, video = np.unique(paths, return_inverse=True)
    store = VideoStore(names.tolist(), verbose)
    if "frame" in columns:
        frames = np.asarray(columns["frame"]) - first
        inside = (frames >= 0) & (frames < store.counts[video])
        frames = np.where(inside, frames, -1)
        if "time" in columns:
            by_time = _by_time(store, video, columns["time"], where)
            _check_agreement(frames, by_time, video, where, first)
    elif "time" in columns:
        frames = _by_time(store, video, columns["time"], where)
    else:
        raise DatasetError(
            f"{where[0]}: {paths[0]} is a video; add a column 'frame' (whole number) "
            "or 'time' (seconds)"
        )
    for k in range(len(names)):
        rows = np.flatnonzero(video == k)
        if (frames[rows] < 0).all():
            raise DatasetError(
                f"{where[rows[0]]}: {names[k]} has {store.counts[k]} frames, of which "
                f"no row of the table is one; its first is {first}, see first_frame="
            )
    people = columns.get("person", np.zeros(len(frames)))
    seen = {}
    for row in np.flatnonzero(frames >= 0).tolist():
        other = seen.setdefault((video[row], frames[row], people[row]), row)
        if other != row:
            raise DatasetError(
                f"{where[row]} and {where[other]} are both frame {frames[row] + first} "
                f"of {paths[row]}; keep one row per frame, or tell people apart in a "
                "column 'person'"
            )
    return VideoRows(store, first, video, frames)


def _check_agreement(frames, by_time, video, where, first):
    """Raise if most rows of a video have a number and a time of other frames."""
    away = np.where((frames >= 0) & (by_time >= 0), frames - by_time, 0)
    for k in np.unique(video):
        rows = np.flatnonzero(video == k)
        if np.median(away[rows]):
            row = rows[np.flatnonzero(away[rows])[0]]
            raise DatasetError(
                f"{where[row]}: frame {frames[row] + first}, counted from {first}, is "
                f"not at this time, at which the video shows frame "
                f"{by_time[row] + first}; pass first_frame=, or leave one of the "
                "columns 'frame' and 'time' out"
            )


def _by_time(store, video, cells, where):
    """Return the frame with the nearest time, -1 where the video is not shown."""
    times = np.array([_seconds(c, w) for c, w in zip(cells, where, strict=True)])
    frames = np.full(len(times), -1)
    per_video = np.split(store.seconds, np.cumsum(store.counts)[:-1])
    for k, seconds in enumerate(per_video):
        rows = np.flatnonzero(video == k)
        known = np.flatnonzero(np.isfinite(seconds))
        seconds = seconds[known]
        if len(seconds) < 2:
            raise DatasetError(
                f"{where[rows[0]]}: the video {store.paths[k]} does not tell the times "
                "of its frames; give a column 'frame'"
            )
        nearest = np.searchsorted((seconds[1:] + seconds[:-1]) / 2, times[rows])
        # The last frame is shown for as long as others.
        step = np.median(np.diff(seconds))
        shown = (times[rows] > seconds[0] - step) & (times[rows] < seconds[-1] + step)
        frames[rows] = np.where(shown, known[nearest], -1)
    return frames


def _seconds(cell, where):
    try:
        seconds = to_float(str(cell))
    except ValueError:
        seconds = np.nan
    if not np.isfinite(seconds):
        raise DatasetError(f"{where}: 'time' must be seconds, got {cell!r}")
    return seconds


def with_keys(found, columns, where):
    """Return columns of rows with ``video``, ``frame`` and, if found by it, ``time``.

    Raises
    ------
    DatasetError
        If one video has two names or subjects.
    """
    columns = dict(columns)
    columns.setdefault("video", np.array(found.store.names)[found.video])
    if "frame" not in columns:
        columns["time"] = found.store.seconds[_store_rows(found)]
    columns["frame"] = found.frames + found.first
    for name in _PER_VIDEO & columns.keys():
        values = columns[name]
        _, one = np.unique(found.video, return_index=True)
        odd = np.flatnonzero(values != values[one][found.video])
        if len(odd):
            raise DatasetError(
                f"{where[odd[0]]}: {name} {values[odd[0]]!s} is in a video of "
                f"{name} {values[one][found.video[odd[0]]]!s}; give a video one "
                f"{name}, or load a table for each and use Faces.concat"
            )
    return columns


def video_faces(found, columns):
    """Return the rows, as a view of whole videos: neighbors need no label."""
    store = found.store
    _, one = np.unique(found.video, return_index=True)
    whole = {
        name: np.repeat(columns[name][one], store.counts)
        for name in _PER_VIDEO & columns.keys()
    }
    faces = Faces(store, frame=store.frames + found.first, time=store.seconds, **whole)
    others = {n: v for n, v in columns.items() if n not in (*whole, "frame")}
    return faces[_store_rows(found)].with_columns(**others)


def _store_rows(found):
    counts = found.store.counts
    return (np.cumsum(counts) - counts)[found.video] + found.frames
