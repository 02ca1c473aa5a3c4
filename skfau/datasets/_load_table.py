"""Faces and labels from a table of one's own."""

import os
import re
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skfau._columns import names_of
from skfau.datasets._image_files import read_images
from skfau.datasets._landmark_files import (
    landmark_files,
    landmark_folders,
    read_points,
)
from skfau.datasets._recordings import VideoReport, check_aus, check_threshold
from skfau.datasets._text_files import check_header, csv_rows, read_lines
from skfau.exceptions import DatasetError, LabelError
from skfau.faces import Faces

_AU = re.compile(r"AU\s*0*(\d+)", re.IGNORECASE)
_UNKNOWN = ("", "nan", "none", "na", "<na>")
_DESCR = """\
Faces from {source}: {n_rows} rows with an image. Left out: {n_lost} rows without an
image; {n_unlabelled} rows have no label, {n_bare} no landmarks. `report` names them.
"""


def load_table(
    source, *, root=None, aus=None, threshold=None, unknown=(), landmarks=None
):
    """Load faces and labels from a CSV file or a DataFrame.

    Parameters
    ----------
    source : str, Path, DataFrame or dict of array-like
        A CSV file with a header (separated by commas, semicolons or tabs), or its
        columns: ``path``; where known, ``subject``, ``video`` and ``frame``; labels
        ``AU1``, ``AU02``, ...; further columns go along with the faces.
    root : str, Path or None, default=None
        What paths start from; None is the folder of the CSV file, or the current one.
    aus : sequence of int or None, default=None
        AUs to load; None takes all, in the order of the table.
    threshold : float or None, default=None
        None: labels are 0 or 1. A number: they are intensities from 0 to 5, and those
        from `threshold` on are present.
    unknown : float or tuple of float, default=()
        Codes of labels that are not known, besides NaN and an empty cell: ``(9,)``.
    landmarks : str, Path or None, default=None
        Folder with a file ``VIDEO.csv`` per video, as in `load_bp4d`; needs ``video``
        and ``frame``. To the files of OpenFace and py-feat, frames count from 0 if the
        table has a frame 0, else from 1.

    Returns
    -------
    bunch : Bunch
        ``data`` : Faces; ``target`` : float32 (n, n_aus) in {0, 1, NaN};
        ``intensity`` : float32 (n, n_aus), or None without `threshold`; ``aus``;
        ``report`` : lines ``without_image`` (left out), ``without_label`` and
        ``without_landmarks``, and ``videos`` as in `load_bp4d`; ``DESCR``.

    Raises
    ------
    FileNotFoundError, LabelError, DatasetError, ValueError
        If the table is damaged, not in UTF-8, a frame twice there or a subject or
        video not named; names file and line. If `threshold` is not in (0, 5].

    Examples
    --------
    >>> import cv2, numpy as np, os, tempfile
    >>> from skfau.datasets import load_table
    >>> image = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> _ = cv2.imwrite(image, np.zeros((8, 8, 3), np.uint8))
    >>> bunch = load_table({"path": [image], "AU1": [0], "AU12": [np.nan]})
    >>> bunch.aus, bunch.target
    ((1, 12), array([[ 0., nan]], dtype=float32))
    """
    name, columns, lines = _columns(source)
    _check_columns(name, columns, lines)
    coded = _coded(name, columns)
    aus = tuple(coded) if aus is None else check_aus(aus)
    if not coded.keys() >= set(aus):
        raise LabelError(f"{name} has no column for AU {set(aus) - coded.keys()}")
    labels = {au: columns[coded[au]] for au in aus}
    levels = _levels(name, labels, lines, unknown, threshold)
    columns = {c: v for c, v in columns.items() if c not in coded.values()}
    root = _root(source, root)
    return _bunch(name, root, lines, columns, levels, threshold, aus, landmarks)


def _check_names(name, columns):
    if "path" not in columns:
        raise DatasetError(f"{name} must have a column 'path'; it has {[*columns]}")
    for column in {"images", "landmarks"} & columns.keys():
        raise DatasetError(f"{name} has a column {column!r}; give it another name")


def _coded(name, columns):
    """Map AU to the name of its column."""
    matches = {c: m for c in columns if (m := _AU.fullmatch(c))}
    check_header(name, [int(match[1]) for match in matches.values()])
    return {int(match[1]): c for c, match in matches.items()}


def _root(source, root):
    if root is None:
        root = Path(source).parent if isinstance(source, str | os.PathLike) else "."
    return Path(root).absolute()


def _bunch(name, root, lines, columns, levels, threshold, aus, landmarks):
    """Leave out what has no image and join the rest."""
    here, paths = _existing(root, columns.pop("path"))
    if not here.any():
        raise DatasetError(
            f"no image of {name} is there, the first would be {[*paths, None][0]}; "
            "pass root= the folder that paths start from"
        )
    kept = {c: _typed(np.asarray(values)[here]) for c, values in columns.items()}
    points = _points(landmarks, root, kept, columns.get("frame"))
    target = levels
    if threshold is not None:
        target = np.where(np.isnan(levels), np.nan, levels >= threshold)
    report = _report(here, target, points.get("landmarks"), lines, columns)
    return Bunch(
        data=Faces([p for p, h in zip(paths, here, strict=True) if h], **kept | points),
        target=target[here].astype(np.float32),
        intensity=None if threshold is None else levels[here],
        aus=aus,
        report=report,
        DESCR=_DESCR.format(
            source=name,
            n_rows=int(here.sum()),
            n_lost=len(report.without_image),
            n_unlabelled=len(report.without_label),
            n_bare=len(report.without_landmarks),
        ),
    )


def _columns(source):
    """Return a name for errors, the columns, and the line of every row."""
    if not isinstance(source, str | os.PathLike):
        columns = {str(name).strip(): np.asarray(source[name]) for name in source}
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise DatasetError(f"columns differ in length: {sorted(lengths)}")
        return "the table", columns, np.arange(next(iter(lengths), 0))
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        # Two names may differ in just these letters.
        if "\N{REPLACEMENT CHARACTER}" in line:
            raise DatasetError(
                f"{path}, line {number}: is not in UTF-8, so that letters are lost in "
                f"{line[:60]!r}; save it as UTF-8"
            )
    first = lines[0] if lines else ""
    separator = max(",;\t", key=first.count)
    _, cells = next(csv_rows(path, [first], skip=0, separator=separator), (1, []))
    header = [cell.strip() for cell in cells]
    if len(set(header)) < len(header):
        raise DatasetError(f"{path}, line 1: a column is there twice: {first[:80]!r}")
    rows, numbers = [], []
    for number, row in csv_rows(path, lines, skip=1, separator=separator):
        if len(row) != len(header):
            raise LabelError(
                f"{path}, line {number}: expected {len(header)} cells as "
                f"in the header, got {len(row)} in {separator.join(row)[:60]!r}; the "
                "file may be truncated"
            )
        rows.append(row)
        numbers.append(number)
    columns = dict(zip(header, zip(*rows, strict=True), strict=False))
    columns = {name: np.array(columns.get(name, ()), object) for name in header}
    return str(path), columns, np.array(numbers, np.int64)


def _where(name, line):
    return f"{name}, {'row' if name == 'the table' else 'line'} {line}"


def _check_columns(name, columns, lines):
    """Check which there are, and who and when every row is; write both in one way."""
    _check_names(name, columns)
    _check_people(name, columns, lines)
    _check_frames(name, columns, lines)


def _check_people(name, columns, lines):
    """Take blanks off the names of subjects and videos; raise if one has no name."""
    for column in [c for c in ("subject", "video") if c in columns]:
        cells = columns[column].tolist()
        cells = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
        nameless = names_of(np.array(cells, object))[1] | [cell == "" for cell in cells]
        if nameless.any():
            raise DatasetError(
                f"{_where(name, lines[np.argmax(nameless)])}: {column!r} is empty; "
                "name it, leave these rows out, or the column"
            )
        columns[column] = np.array(cells, object)


def _check_frames(name, columns, lines):
    """Raise if a frame is no whole number or there twice."""
    if "frame" not in columns:
        return
    frames = np.empty(len(lines), np.int64)
    for k, cell in enumerate(columns["frame"]):
        try:
            frames[k] = int(cell)
            whole = float(cell) == frames[k]
        except (OverflowError, TypeError, ValueError):
            whole = False
        if not whole:
            raise DatasetError(
                f"{_where(name, lines[k])}: 'frame' must be a whole number, got "
                f"{cell!r}"
            )
    columns["frame"] = frames
    if "video" not in columns:
        return
    seen = {}
    who = columns.get("subject", [""] * len(lines))
    for key, line in zip(
        zip(who, columns["video"], frames.tolist(), strict=True), lines, strict=True
    ):
        if key in seen:
            raise DatasetError(
                f"{_where(name, line)}: frame {key[2]} of video {key[1]} is there "
                f"already, {_where(name, seen[key])}"
            )
        seen[key] = line


def _levels(name, columns, lines, unknown, threshold):
    """Return labels, float32 (n, n_aus), NaN where not known."""
    levels = np.full((len(lines), len(columns)), np.nan, np.float32)
    unknown = np.ravel(unknown).tolist()
    wanted = "0 or 1"
    if threshold is not None:
        check_threshold(threshold)
        wanted = "an intensity, 0 to 5"
    for column, (au, cells) in enumerate(columns.items()):
        for row, cell in enumerate(cells):
            text = "" if cell is None else str(cell).strip()
            if text.lower() in _UNKNOWN:
                continue
            try:
                level = float(text)
            except ValueError:
                level = None
            if level in unknown:
                continue
            low = level is not None and 0 <= level <= 5
            if not low or (threshold is None and level not in (0, 1)):
                raise LabelError(
                    f"{_where(name, lines[row])}: AU{au} is {text[:40]!r}, expected "
                    f"{wanted}, or nothing; pass unknown=(code,) for codes of labels "
                    "that are not known"
                    + ("" if threshold is not None else ", threshold= for intensities")
                )
            levels[row, column] = level
    return levels


def _existing(root, paths):
    """Return which files are there, and absolute paths; lists every folder once."""
    full = [os.path.join(root, str(path)) for path in paths]  # noqa: PTH118
    folders = {}
    here = np.zeros(len(full), bool)
    for k, path in enumerate(full):
        folder, name = os.path.split(path)
        if folder not in folders:
            place = Path(folder)
            folders[folder] = (
                set(os.listdir(place)) if place.is_dir() else set()  # noqa: PTH208
            )
        here[k] = name in folders[folder]
    return here, full


def _typed(values):
    """Turn the text of a column into numbers, if all of it is."""
    if values.dtype != object:
        return values
    for kind in (np.int64, np.float64):
        try:
            numbers = values.astype(kind)
        except (TypeError, ValueError):
            continue
        # "007" is a name.
        if all(str(n) == str(v) for n, v in zip(numbers, values, strict=True)):
            return numbers
    return np.array([str(value) for value in values])


def _points(landmarks, root, columns, all_frames):
    """Return the column of landmarks, if any; `all_frames` also of lost images."""
    if landmarks is None:
        return {}
    if not {"video", "frame"} <= columns.keys():
        raise DatasetError("landmarks need the columns 'video' and 'frame'")
    folders = landmark_folders(root, landmarks, ())
    # Who has a frame 0 anywhere counts from 0, whatever the tool does.
    first = int(all_frames.min())
    points = np.full((len(columns["frame"]), 68, 2), np.nan, np.float32)
    for video in np.unique(columns["video"]):
        rows = np.flatnonzero(columns["video"] == video)
        rows = rows[np.argsort(columns["frame"][rows])]
        people = columns.get("subject", columns["video"])[rows]
        twice = (np.diff(columns["frame"][rows]) == 0).any()
        if twice or (people != people[0]).any():
            raise DatasetError(
                f"several subjects have a video {video}; give each its own name, so "
                "that it is clear whose landmarks are in its file"
            )
        path, _ = landmark_files(folders, str(video))
        frames = columns["frame"][rows]
        read = read_points(path, frames, read_images(None), first)
        # Files need not be in the order of frames.
        points[rows[np.searchsorted(frames, read["seen"])]] = read["points"]
    return {"landmarks": points}


def _report(here, target, landmarks, lines, columns):
    unlabelled = np.isnan(target).all(axis=1) & here
    bare = np.zeros(len(here), bool)
    if landmarks is not None:
        bare[np.flatnonzero(here)[np.isnan(landmarks).all(axis=(1, 2))]] = True
    report = Bunch(
        without_image=lines[~here],
        without_label=lines[unlabelled],
        without_landmarks=lines[bare],
    )
    if {"video", "frame"} <= columns.keys():
        frames, videos = columns["frame"], np.asarray(columns["video"]).astype(str)
        report.videos = {
            str(video): VideoReport(
                *(
                    frames[rows & (videos == video)]
                    for rows in (unlabelled, ~here, bare)
                )
            )
            for video in np.unique(videos)
        }
    return report
