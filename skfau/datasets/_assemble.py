"""Images, labels and landmarks of recordings, joined by frame number to one table."""

import os
from numbers import Real
from operator import index
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skfau._stores import PathStore, VideoStore
from skfau.datasets._expected import warn_of_deviations
from skfau.datasets._frames import first_image_number
from skfau.datasets._index import Task, read_indexed
from skfau.datasets._text_files import N_CODES
from skfau.exceptions import DatasetError, LabelError
from skfau.faces import Faces

#: What the readers put where a file has no column for an AU.
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


class Recording(NamedTuple):
    """One recording, found and read.

    Attributes
    ----------
    name, subject : str
        As in the columns ``video`` and ``subject``.
    source : Path or None
        Its folder of images or its video.
    labels : Path
        File of its labels, for errors.
    watched : tuple of Path
        Further files that are looked at, whether or not they exist.
    arguments : tuple
        What reads it.
    record : dict
        What `read_images`, `read_points` and the reader of its labels returned, with
        ``frames``, ascending.
    """

    name: str
    subject: str
    source: Path | None
    labels: Path
    watched: tuple
    arguments: tuple
    record: dict = {}


def check_aus(aus):
    """Return ``aus`` as a tuple of int; raise unless it names AUs, each once."""
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
    recordings,
    read,
    name,
    unread=(),
    *,
    read_labels,
    aus,
    first_frame,
    every_frame=False,
    reading,
    about,
    stacklevel=5,
):
    """Read recordings and join them to what a loader returns.

    Parameters
    ----------
    recordings : list of Recording
        In the order of the rows.
    read : callable
        Takes their arguments, returns their records.
    name : tuple
        Data set, as in `warn_of_deviations`; its folder; options that the reader sees.
    unread : list of Path, default=()
        Files that the loader did not understand.
    read_labels : callable
        Takes a read `Recording`, the places of the wanted frames in it, and `aus`;
        returns target and intensity, float32 (n, n_aus), or None if not coded.
    aus : tuple of int
        AUs of the columns.
    first_frame, every_frame : object
        As in `first_image_number`.
    reading : dict
        Options of `read_indexed`.
    about : str
        What the data set is, for ``DESCR``.
    stacklevel : int, default=5
        As in `warn_of_deviations`.
    """
    tasks = [
        Task(r.name, (*r.watched, *([r.source] if r.source else [])), r.arguments)
        for r in recordings
    ]
    records = read_indexed(read, tasks, name=name, **reading)
    recordings = [
        r._replace(record=record) for r, record in zip(recordings, records, strict=True)
    ]
    joined = _join_all(recordings, first_frame, every_frame, root=name[1])
    labels = [
        read_labels(r, j.coded, aus) for r, j in zip(recordings, joined, strict=True)
    ]
    return Bunch(
        data=_faces(recordings, joined),
        target=np.concatenate([target for target, _ in labels]),
        intensity=_intensity(labels),
        aus=aus,
        report=_report(name[0], recordings, joined, unread, stacklevel),
        DESCR=_describe(about, name[1], joined),
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


def _report(name, recordings, joined, unread, stacklevel):
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
        stacklevel,
    )
    return Bunch(videos=videos, unread_files=unread, deviating=deviating)


class _Rows(NamedTuple):
    """Rows of one recording: their places in its record, and what is missing."""

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
    """Return a view of videos, so that neighbors reach frames without a label, too."""
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
        frame=np.concatenate([np.arange(1, n + 1) for n in store.counts]),
    )[rows]
    return faces if landmarks is None else faces.with_columns(landmarks=landmarks)


def _check_counts(store, records):
    """Raise if a video in a folder was replaced: that leaves the folder's date."""
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
