"""Images, labels and landmarks of recordings, joined by frame number to one table."""

import os
from collections.abc import Callable
from numbers import Real
from operator import index
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skfau._stores import PathStore
from skfau._video_store import VideoStore
from skfau.datasets._image_files import first_image_number
from skfau.datasets._index import read_indexed
from skfau.datasets._published_folds import warn_of_deviations
from skfau.datasets._text_files import N_CODES
from skfau.exceptions import DatasetError, LabelError
from skfau.faces import Faces

#: Code of an AU for which a file has no column.
NOT_CODED = -128


class VideoReport(NamedTuple):
    """Frame numbers of one video for which something is missing.

    Attributes
    ----------
    without_label, without_image : ndarray of int
        Not in the data.
    without_landmarks : ndarray of int
        In the data, with NaN landmarks.
    several_faces : ndarray of int
        In the data; the file of landmarks shows more than one face. The landmarks
        are of one person in all frames.
    """

    without_label: np.ndarray
    without_image: np.ndarray
    without_landmarks: np.ndarray
    several_faces: np.ndarray


class DataSet(NamedTuple):
    """A data set on disk.

    Attributes
    ----------
    name : str
        As in `warn_of_deviations`.
    root : str or Path
        Its folder.
    options : tuple
        Options of the loader that choose the files to read; with them, the name and
        the root, "auto" names the index.
    every_frame : bool, default=False
        As in `first_image_number`.
    """

    name: str
    root: str | Path
    options: tuple
    every_frame: bool = False


class Recording(NamedTuple):
    """One recording: where its files are, and what was read from them.

    Attributes
    ----------
    name : str
        As in the column ``video``; the key in the index.
    labels : Path
        File or folder of its labels.
    read : functools.partial
        Returns the record; called without arguments, maybe in another process.
    others : tuple of Path, default=()
        Further paths that the record depends on, whether or not they exist.
    source : Path or None, default=None
        Its folder of images or its video.
    subject : str, default=""
        As in the column ``subject``.
    record : dict, default={}
        What `read` returned. For `load_recordings`: the entries of `read_images`
        and `read_points`, the labels, and their ``frames``, ascending.
    """

    name: str
    labels: Path
    read: Callable
    others: tuple = ()
    source: Path | None = None
    subject: str = ""
    record: dict = {}

    @property
    def watched(self):
        """All paths that the record depends on: it is valid until one changes."""
        source = () if self.source is None else (self.source,)
        return (self.labels, *self.others, *source)


def check_aus(aus):
    """Return ``aus`` as a tuple of int; raise unless they are different AUs."""
    try:
        numbers = tuple(map(index, aus))
    except TypeError as error:
        raise TypeError(
            f"aus must be a sequence of whole numbers, as (6, 12), got {aus!r}"
        ) from error
    allowed = all(0 < au < N_CODES for au in numbers)
    if not numbers or not allowed or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"aus must name at least one AU, none twice, by numbers from 1 to "
            f"{N_CODES - 1}; got {numbers}"
        )
    return numbers


def check_threshold(threshold):
    """Return ``threshold``; raise unless only AUs that are present reach it."""
    if not isinstance(threshold, Real) or not 0 < threshold <= 5:
        raise ValueError(
            "threshold must be the lowest intensity that counts as present, above 0 "
            f"(all would be) and at most 5; got {threshold!r}"
        )
    return threshold


def code_table(n_frames, aus, values):
    """Return (n_frames, 100) int8: the codes of AU number k in column k."""
    table = np.full((n_frames, N_CODES), NOT_CODED, np.int8)
    table[:, list(aus)] = values
    return table


def load_recordings(
    data_set,
    recordings,
    *,
    unread=(),
    read_labels,
    aus,
    first_frame,
    about,
    reading,
):
    """Read recordings and join them to the Bunch that a loader returns.

    Parameters
    ----------
    data_set : DataSet
    recordings : list of Recording
        In the order of the rows, not read yet.
    unread : list of Path, default=()
        Files whose names the loader did not understand.
    read_labels : callable
        Called with a `Recording` that was read, the rows wanted of its record, and
        `aus`; returns target and intensity, float32 (n, n_aus); intensity is None if
        it is not coded.
    aus : tuple of int
        AUs of the columns.
    first_frame : {"auto", 0, 1}
        As in `first_image_number`.
    about : str
        Description of the data set, for ``DESCR``.
    reading : dict
        ``index``, ``n_jobs`` and ``verbose`` of `read_indexed`.
    """
    root = Path(data_set.root).absolute()
    name = (data_set.name, str(root), *map(str, data_set.options))
    recordings = read_indexed(recordings, name=name, **reading)
    joined = _join_all(recordings, first_frame, data_set.every_frame, root)
    labels = [
        read_labels(r, j.coded, aus) for r, j in zip(recordings, joined, strict=True)
    ]
    return Bunch(
        data=_faces(recordings, joined),
        target=np.concatenate([target for target, _ in labels]),
        intensity=_intensity(labels),
        aus=aus,
        report=_report(data_set.name, recordings, joined, unread),
        DESCR=_describe(about, root, joined),
    )


def _join_all(recordings, first_frame, every_frame, root):
    numbers = [
        (r.name, r.record["images"], r.record["frames"])
        for r in recordings
        if len(r.record["files"])
    ]
    first = first_image_number(first_frame, numbers, every_frame=every_frame)
    joined = [_join(recording, first) for recording in recordings]
    if not any(len(rows.frames) for rows in joined):
        odd = [file for r in recordings for file in r.record["unread"].tolist()]
        raise LabelError(
            f"no frame in {root} has both an image and a label; are the images "
            "unpacked?"
            + (f" No frame number is in {os.fsdecode(odd[0])}, ..." if odd else "")
        )
    return joined


def _intensity(labels):
    if all(intensity is None for _, intensity in labels):
        return None
    return np.concatenate(
        [np.full_like(t, np.nan) if i is None else i for t, i in labels]
    )


def _report(name, recordings, joined, unread):
    unread = list(unread)
    for recording in recordings:
        odd = recording.record["unread"]
        unread += [recording.source / os.fsdecode(file) for file in odd]
    videos = {r.name: j.report for r, j in zip(recordings, joined, strict=True)}
    deviating = warn_of_deviations(
        name,
        {r.name: len(j.frames) for r, j in zip(recordings, joined, strict=True)},
        {video: len(report.without_image) for video, report in videos.items()},
        {video: len(report.without_label) for video, report in videos.items()},
        {r.name: r.subject for r in recordings},
    )
    return Bunch(videos=videos, unread_files=unread, deviating=deviating)


class _Rows(NamedTuple):
    """Rows of one recording: their frames and places in its record, and its report."""

    frames: np.ndarray
    images: np.ndarray
    coded: np.ndarray
    points: np.ndarray | None
    report: VideoReport


def _join(recording, first):
    record = recording.record
    images = record["images"] + (1 - first if len(record["files"]) else 0)
    frames = record["frames"]
    coded = np.flatnonzero(np.isin(frames, images))
    frames = frames[coded].astype(np.int64)
    points, bare = None, frames
    shift = 1 - first if len(record["by_image"]) else 0
    known, several = record["seen"] + shift, record["several"] + shift
    seen = np.isin(known, frames)
    if seen.any():
        points = np.full((len(frames), 68, 2), np.nan, np.float32)
        points[np.searchsorted(frames, known[seen])] = record["points"][seen]
        bare = frames[np.isnan(points).all(axis=(1, 2))]
    report = VideoReport(
        np.setdiff1d(images, record["frames"]),
        np.setdiff1d(record["frames"], images),
        bare,
        frames[np.isin(frames, several)],
    )
    return _Rows(frames, np.searchsorted(images, frames), coded, points, report)


def _faces(recordings, joined):
    lengths = [len(rows.frames) for rows in joined]
    columns = {
        "subject": np.repeat([r.subject for r in recordings], lengths),
        "video": np.repeat([r.name for r in recordings], lengths),
        "frame": np.concatenate([rows.frames for rows in joined]),
    }
    landmarks = None
    if any(rows.points is not None for rows in joined):
        landmarks = np.concatenate(
            [
                np.full((length, 68, 2), np.nan, np.float32)
                if rows.points is None
                else rows.points
                for rows, length in zip(joined, lengths, strict=True)
            ]
        )
    clips = [r for r, n in zip(recordings, lengths, strict=True) if n and _clip(r)]
    if clips:
        return _video_faces(recordings, joined, landmarks)
    names = []
    for recording, rows in zip(recordings, joined, strict=True):
        start = os.fsencode(recording.source or "") + b"/"
        files = recording.record["files"][rows.images].tolist()
        names += [start + file for file in files]
    return Faces(PathStore(names), landmarks=landmarks, **columns)


def _clip(recording):
    """Return the path of a recording's video, None if it is a folder of images."""
    clip = recording.record["clip"]
    if not len(clip):
        return None
    source = recording.source
    return source / os.fsdecode(clip[0]) if source.is_dir() else source


def _video_faces(recordings, joined, landmarks):
    """Return rows of whole videos, so that neighbors can be frames without a label."""
    used = [k for k, rows in enumerate(joined) if len(rows.frames)]
    paths = [_clip(recordings[k]) for k in used]
    if None in paths:
        raise LabelError(
            f"{recordings[used[paths.index(None)]].source} holds images, other "
            "recordings are videos; pass images= the folder that holds them all"
        )
    store = VideoStore(paths)
    _check_counts(store, [recordings[k].record for k in used])
    starts = np.cumsum(store.counts) - store.counts
    rows = np.concatenate(
        [start + joined[k].images for start, k in zip(starts, used, strict=True)]
    )
    faces = Faces(
        store,
        subject=np.repeat([recordings[k].subject for k in used], store.counts),
        video=np.repeat([recordings[k].name for k in used], store.counts),
        frame=store.frames + 1,
        time=store.seconds,
    )[rows]
    return faces if landmarks is None else faces.with_columns(landmarks=landmarks)


def _check_counts(store, records):
    """Raise if a video in a folder was replaced, which the index does not notice."""
    for path, count, record in zip(store.paths, store.counts, records, strict=True):
        if count != len(record["images"]):
            raise DatasetError(
                f"{path} has {count} frames and had {len(record['images'])} when its "
                "folder was read; touch the folder, or pass index=None"
            )


def _describe(about, root, joined):
    n_rows = [len(rows.frames) for rows in joined]
    missing = np.sum([[len(f) for f in rows.report] for rows in joined], axis=0)
    return (
        f"{about}\nRead from {root}:\n"
        f"{sum(n_rows)} frames of {np.count_nonzero(n_rows)} videos with an image and "
        f"a label; {missing[2]} of them have\nno landmarks. Left out: {missing[0]} "
        f"images without a label and {missing[1]} labels without an\nimage. `report` "
        "names them by video.\n"
    )
