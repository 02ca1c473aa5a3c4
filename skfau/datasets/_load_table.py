"""Faces and labels from a table of one's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skfau._warn import warn
from skfau.datasets._au_columns import au_columns, no_au_column, read_levels
from skfau.datasets._file_names import find_files
from skfau.datasets._landmarks_of_rows import landmarks_of_rows
from skfau.datasets._recordings import VideoReport, check_aus, check_threshold
from skfau.datasets._table_columns import check_columns, places, read_columns, typed
from skfau.datasets._video_rows import (
    are_videos,
    find_frames,
    video_faces,
    with_keys,
)
from skfau.exceptions import (
    DatasetError,
    DatasetWarning,
    LabelError,
    SeveralFacesWarning,
)
from skfau.faces import Faces

if TYPE_CHECKING:
    from pandas import DataFrame

_DESCR = """\
Faces from {source}: {n_rows} rows with an image. Left out: {n_lost} rows without an
image; {n_unlabelled} rows have no label, {n_bare} no landmarks; in {n_several} the file
of landmarks shows several faces. `report` names them.
"""


def load_table(
    source: str | Path | DataFrame | Mapping[str, ArrayLike],
    *,
    root: str | Path | None = None,
    aus: Sequence[int] | None = None,
    threshold: float | None = None,
    unknown: float | tuple[float, ...] = (),
    landmarks: str | Path | None = None,
    first_frame: Literal["auto", 0, 1] = "auto",
    verbose: bool = False,
) -> Bunch:
    """Load faces and labels from a CSV file or a DataFrame.

    Parameters
    ----------
    source : str, Path, DataFrame or dict of array-like
        A CSV file with a header, or its columns: ``path``; where known, ``subject``,
        ``video``, ``frame``; labels ``AU1``, ``au_12``, ...; others go along. A path
        may be of a video: its rows need ``frame``, or ``time`` (seconds; the nearest
        frame).
    root : str, Path or None, default=None
        What paths start from; None is the folder of the CSV file, or the current one.
    aus : sequence of int or None, default=None
        AUs to load; None takes all, in the order of the table, () none.
    threshold : float or None, default=None
        None: labels are 0 or 1 (OpenFace's ``AU01_c``). A number: they are intensities
        from 0 to 5 (``AU01_r``), and those from `threshold` on are present.
    unknown : float or tuple of float, default=()
        Codes of labels that are not known, besides NaN and an empty cell: ``(9,)``.
    landmarks : str, Path or None, default=None
        Folder of their files, by video or image; see `skfau.datasets`.
    first_frame : {"auto", 0, 1}, default="auto"
        What the table calls the first frame of a video; "auto" is 0 if it has a frame
        0 or no column ``frame``, else 1, with a `DatasetWarning` if it has no frame 1.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    bunch : Bunch
        ``data`` : Faces; ``target`` : float32 (n, n_aus) in {0, 1, NaN};
        ``intensity`` : float32 (n, n_aus), or None without `threshold`; ``aus``;
        ``report`` : lines ``without_image`` (left out, with a `DatasetWarning`),
        ``without_label``, ``without_landmarks``, ``several_faces``, and ``videos`` as
        in `load_bp4d`; ``DESCR``.

    Raises
    ------
    FileNotFoundError, LabelError, DatasetError, ValueError
        If the table is damaged or not in UTF-8, a frame is there twice, a subject or
        video has no name, a parameter is wrong; if there is no AU, image or landmark.

    Examples
    --------
    >>> import cv2, numpy as np, os, tempfile
    >>> from skfau.datasets import load_table
    >>> image = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> _ = cv2.imwrite(image, np.zeros((8, 8, 3), np.uint8))
    >>> load_table({"path": [image], "AU1": [0], "AU12": [np.nan]}).target
    array([[ 0., nan]], dtype=float32)
    """
    files = landmarks, first_frame, verbose
    return _load(source, root, aus, threshold, unknown, *files)


def _load(source, root, aus, threshold, unknown, landmarks, first_frame, verbose):
    if first_frame not in ("auto", 0, 1):
        raise ValueError(f"first_frame must be 'auto', 0 or 1, got {first_frame!r}")
    intense = threshold is not None
    if intense:
        check_threshold(threshold)
    root = _root(source, root)
    name, columns, lines = read_columns(source)
    where = places(name, lines)
    check_columns(name, columns, where)
    coded = _coded(name, columns, aus, intense)
    cells = {au: columns.pop(column) for au, column in coded.items()}
    levels = read_levels(cells, where, unknown, intense)
    target = levels
    if intense:
        target = np.where(np.isnan(levels), np.nan, levels >= threshold)
    here, paths = _find_images(name, root, columns.pop("path"), where)
    first = _first(name, columns.get("frame"), first_frame)
    found = None
    if are_videos(paths):
        here, paths, found = _find_frames(
            name, here, paths, columns, first, where, verbose
        )
    kept = {c: typed(c, np.asarray(values)[here]) for c, values in columns.items()}
    if found is not None:
        kept = with_keys(found, kept, [where[k] for k in np.flatnonzero(here)])
    points, several = landmarks_of_rows(landmarks, root, paths, kept, first, verbose)
    if several.any():
        warn(
            f"in {several.sum()} of {len(several)} rows of {name} the file of "
            "landmarks shows several faces; landmarks are of one person, the one with "
            "the largest faces in total. report.several_faces has the lines",
            SeveralFacesWarning,
        )
    report = _report(here, target, points, several, lines, columns)
    return Bunch(
        data=(
            Faces(paths, **kept | points)
            if found is None
            else video_faces(found, kept | points)
        ),
        target=target[here].astype(np.float32),
        intensity=levels[here] if intense else None,
        aus=tuple(coded),
        report=report,
        DESCR=_DESCR.format(
            source=name,
            n_rows=len(paths),
            n_lost=len(report.without_image),
            n_unlabelled=len(report.without_label),
            n_bare=len(report.without_landmarks),
            n_several=len(report.several_faces),
        ),
    )


def _root(source, root):
    if root is None:
        root = Path(source).parent if isinstance(source, str | os.PathLike) else "."
    return Path(root).absolute()


def _coded(name, columns, aus, intensities):
    """Map the AUs to load to their columns; warn of columns that are not read."""
    chosen, unread, other = au_columns(name, columns, intensities)
    if isinstance(aus, list | tuple) and not aus:
        return {}
    if aus is not None:
        aus = check_aus(aus)
        lacking = sorted(set(aus) - chosen.keys())
        if lacking:
            hint = [other[au] for au in lacking if au in other]
            remedy = f"it has those of {', '.join(map(str, chosen)) or 'none'}"
            if hint:
                remedy = f"{hint[0]} is of the other kind, see threshold="
            raise LabelError(
                f"{name} has no column for AU {', '.join(map(str, lacking))}; {remedy}"
            )
        return {au: chosen[au] for au in aus}
    if not chosen:
        raise no_au_column(name, columns, other, intensities)
    if unread:
        warn(
            f"{name} has columns that begin like an AU and are not named as one "
            f"({len(unread)}: {_shown(unread)}); they go along as columns of the faces",
            DatasetWarning,
        )
    if other:
        kind = "occurrence" if intensities else "intensity"
        warn(
            f"{name} has AUs with a column of {kind} only ({len(other)}: "
            f"{_shown(other.values())}); they are not loaded. Pass threshold= for "
            "intensities, None for occurrence",
            DatasetWarning,
        )
    return chosen


def _shown(names):
    names = [*names]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _find_images(name, root, paths, where):
    """Return which rows have an image, and its path; warn of rows without."""
    if not len(paths):
        raise DatasetError(f"{name} has no rows below its header")
    here, full = find_files(root, paths, where)
    if not here.any():
        no_folder = "" if root.is_dir() else f" (there is no folder {root})"
        raise DatasetError(
            f"no image of {name} is there, the first would be {full[0]}{no_folder}; "
            "pass root= (--root), the folder that paths start from"
        )
    lost = np.flatnonzero(~here)
    if len(lost):
        warn(
            f"{len(lost)} of {len(here)} rows are left out, as their image is not "
            f"there: {where[lost[0]]}, {full[lost[0]]}{', ...' * (len(lost) > 1)}",
            DatasetWarning,
        )
    return here, [path for path, found in zip(full, here, strict=True) if found]


def _find_frames(name, here, paths, columns, first, where, verbose):
    """Return which rows have a frame, its video, and the frames; warn of others."""
    rows = np.flatnonzero(here)
    given = {c: columns[c][rows] for c in ("frame", "time", "person") if c in columns}
    places = [where[row] for row in rows]
    found = find_frames(paths, given, min(first, 1), places, verbose)
    if first > 1:
        warn(
            f"{name} has neither a frame 0 nor a frame 1: its frames are taken to "
            f"count from 1, so that frame {first} is image {first - 1} of a video, "
            "counted from 0. Pass first_frame=1 if so, else first_frame=0",
            DatasetWarning,
        )
    shown = found.frames >= 0
    lost = np.flatnonzero(~shown)
    if len(lost):
        warn(
            f"{len(lost)} of {len(rows)} rows of {name} are left out, as their video "
            f"has no such frame: {where[rows[lost[0]]]}, {paths[lost[0]]}"
            f"{', ...' * (len(lost) > 1)}",
            DatasetWarning,
        )
    here = here.copy()
    here[rows[lost]] = False
    found = found._replace(video=found.video[shown], frames=found.frames[shown])
    return here, [paths[k] for k in np.flatnonzero(shown)], found


def _first(name, frames, first_frame):
    """Return the number that the frames of the table count from.

    A frame 0 anywhere in the table means that its frames count from 0.
    """
    if frames is None or not len(frames):
        return 0 if first_frame == "auto" else first_frame
    lowest = int(frames.min())
    if first_frame == "auto":
        return lowest
    if lowest < first_frame:
        raise DatasetError(
            f"{name} has a frame {lowest}, but first_frame={first_frame} says that "
            "its frames count from there; pass first_frame=0, or renumber them"
        )
    return first_frame


def _report(here, target, points, several, lines, columns):
    """List the lines of the table, and the frames of each video, that lack something.

    `points` and `several` are of the rows with an image, the rest of all rows.
    """
    rows = np.flatnonzero(here)
    lacking = {
        "without_label": np.isnan(target).all(axis=1) & here,
        "without_image": ~here,
        "without_landmarks": np.zeros(len(here), bool),
        "several_faces": np.zeros(len(here), bool),
    }
    for found in points.values():
        lacking["without_landmarks"][rows[np.isnan(found).all(axis=(1, 2))]] = True
    lacking["several_faces"][rows[several]] = True
    report = Bunch(**{key: lines[mask] for key, mask in lacking.items()})
    if {"video", "frame"} <= columns.keys():
        frames, videos = columns["frame"], np.asarray(columns["video"]).astype(str)
        report.videos = {
            str(video): VideoReport(
                **{k: frames[mask & (videos == video)] for k, mask in lacking.items()}
            )
            for video in np.unique(videos)
        }
    return report
