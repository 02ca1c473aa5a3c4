"""BP4D and BP4D+ from the folders in which they are distributed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skfau.datasets._image_files import is_video, one_source_each, read_images
from skfau.datasets._landmark_files import (
    check_any,
    landmark_files,
    landmark_folders,
    read_points,
)
from skfau.datasets._recordings import (
    NOT_CODED,
    DataSet,
    Recording,
    check_aus,
    code_table,
    load_recordings,
)
from skfau.datasets._text_files import (
    N_CODES,
    check_codes,
    check_frames,
    int_table,
    read_lines,
)
from skfau.exceptions import LabelError
from skfau.facs import DATASET_AUS

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_VIDEO = re.compile(r"([FM]\d{3})_T(\d+)")
# Names such as AU06/F001_T1_AU06; the AU at the end may be missing.
_INTENSITY = re.compile(r"AU0*(\d{1,2})/([FM]\d{3}_T\d+)(?:_AU0*\1)?")
_WORD = re.compile(r"[A-Za-z][\w .-]*")
_TASK = re.compile(r"T\d+")
# "BP4D-training", "BP4D-AUCoding" and "BP4D-fpoints" are FERA 2015's names.
_IMAGE_FOLDERS = ("2D+3D", "BP4D-training", ".")
_LABEL_FOLDERS = ("AUCoding/AU_OCC", "AU_OCC", "AUCoding", "BP4D-AUCoding/AUCoding")
_INTENSITY_FOLDERS = ("AUCoding/AU_INT", "AU_INT", "AU Intensity Codes3.0")
_LANDMARK_FOLDERS = ("landmarks68", "2DFeatures", "BP4D-fpoints")
_UNKNOWN = 9
_ABOUT = {
    "bp4d": """\
BP4D: spontaneous expressions of 41 subjects in up to 8 tasks each, with the
occurrence of action units coded by experts.
""",
    "bp4d_plus": """\
BP4D+: spontaneous expressions of 140 subjects in 10 tasks, of which tasks 1, 6, 7 and
8 are coded by experts for the occurrence of action units.
""",
}


def load_bp4d(
    root: str | Path,
    *,
    aus: Sequence[int] = DATASET_AUS["bp4d"],
    landmarks: str | Path | None = "auto",
    first_frame: Literal["auto", 0, 1] = "auto",
    index: str | Path | None = "auto",
    n_jobs: int | None = -1,
    verbose: bool = False,
) -> Bunch:
    """Load BP4D as lazy faces with labels, matched by frame number.

    Parameters
    ----------
    root : str or Path
        Holds ``2D+3D/F001/T1/0001.jpg`` (any padding, or a video per task; or FERA
        2015's ``BP4D-training``) and ``AUCoding/AU_OCC/F001_T1.csv``.
    aus : sequence of int, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AUs to load, in the order of the columns of ``target``.
    landmarks : "auto", str, Path or None, default="auto"
        Folder with a file per video: ``F001_T1.csv`` (frame, x1, y1, ... of 49 to 68
        points, or OpenFace's or py-feat's) or ``2DFeatures/F001_T1.mat`` (49 points,
        needs h5py); "auto" takes the usual folders. Unknown points are NaN.
    first_frame : {"auto", 0, 1}, default="auto"
        Number of the image of label frame 1, as delivered 1. "auto" finds it out.
    index : "auto", str, Path or None, default="auto"
        File that stores what was read; what changed is read again. "auto" is a file in
        ``~/.cache/skfau/index`` (or under ``XDG_CACHE_HOME``); None stores nothing.
    n_jobs : int or None, default=-1
        Number of processes that read what is not in the index, as in joblib.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    bunch : Bunch
        ``data`` : Faces with ``subject`` ("F001"), ``video`` ("F001_T1"), ``frame`` and
        ``landmarks``, if any; ``target`` : float32 (n, n_aus), 0, 1 or NaN (BP4D's 9);
        ``intensity`` : float32 (n, n_aus), 0 to 5 or NaN, or None without a folder
        ``AU_INT``; ``aus``; ``report`` : Bunch of ``videos`` (dict, name -> frames
        without label, image, landmarks), ``unread_files`` and ``deviating`` (videos
        unlike the published ones); ``DESCR``.

    Raises
    ------
    FileNotFoundError, ImportError
        If a folder or h5py is missing.
    LabelError, DatasetError, FaceImageError
        If files are damaged, duplicated or ambiguous; the message says what to do.

    Examples
    --------
    >>> from skfau.datasets import load_bp4d
    >>> bunch = load_bp4d("/data/BP4D", aus=(6, 12))  # doctest: +SKIP
    """
    reading = {"index": index, "n_jobs": n_jobs, "verbose": verbose}
    return _load("bp4d", root, aus, landmarks, first_frame, reading)


def load_bp4d_plus(
    root: str | Path,
    *,
    aus: Sequence[int] = DATASET_AUS["bp4d_plus"],
    landmarks: Any = "auto",
    first_frame: Any = "auto",
    index: Any = "auto",
    n_jobs: int | None = -1,
    verbose: bool = False,
) -> Bunch:
    """Load BP4D+ as lazy faces with labels, matched by frame number.

    Parameters
    ----------
    root : str or Path
        Holds ``2D+3D/F001/T1/0001.jpg`` (unpacked; or a video per task) and
        ``AUCoding/AU_OCC/F001_T1.csv``, whose columns are found by their header: only
        coded AUs have one.
    aus : sequence of int, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AUs to load, in the order of the columns of ``target``.
    landmarks, first_frame, index : object, default="auto"
        As in `load_bp4d`.
    n_jobs : int or None, default=-1
        As in `load_bp4d`.
    verbose : bool, default=False
        As in `load_bp4d`.

    Returns
    -------
    bunch : Bunch
        As `load_bp4d` returns it; ``intensity`` is coded for AU6, 10, 12, 14 and 17.

    Raises
    ------
    FileNotFoundError, LabelError, DatasetError, FaceImageError, ImportError
        As in `load_bp4d`.

    Examples
    --------
    >>> from skfau.datasets import load_bp4d_plus
    >>> bunch = load_bp4d_plus("/data/BP4D+")  # doctest: +SKIP
    """
    reading = {"index": index, "n_jobs": n_jobs, "verbose": verbose}
    return _load("bp4d_plus", root, aus, landmarks, first_frame, reading)


def _load(name, root, aus, landmarks, first_frame, reading):
    root = Path(root).absolute()
    recordings, unread = _find_recordings(root, landmarks)
    return load_recordings(
        DataSet(name, root, (landmarks,)),
        recordings,
        unread=unread,
        read_labels=_labels,
        aus=check_aus(aus),
        first_frame=first_frame,
        about=_ABOUT[name],
        reading=reading,
    )


def _find_recordings(root, landmarks):
    """Return the recordings, and files of labels whose names are not understood."""
    images = _find_folder(root, _IMAGE_FOLDERS, "subject folders (F001, ...)")
    labels = _find_folder(root, _LABEL_FOLDERS, "label files (F001_T1.csv, ...)")
    intensities = _intensity_files(root)
    folders = landmark_folders(root, landmarks, _LANDMARK_FOLDERS)
    unread, recordings = [], []
    sources = _sources(images)
    for video in _video_names(labels, sources, unread):
        source, label = sources.get(video), labels / f"{video}.csv"
        levels = intensities.get(video, {})
        points, looked = landmark_files(folders, video)
        recordings.append(
            Recording(
                name=video,
                subject=video.split("_")[0],
                labels=label,
                source=source,
                others=(*levels.values(), *looked),
                read=partial(_read, source, label, levels, points),
            )
        )
    check_any(landmarks, folders, recordings)
    return recordings, unread


def _find_folder(root, candidates, what):
    """Return the first candidate that holds something named like a subject."""
    for candidate in candidates:
        folder = root / candidate
        if folder.is_dir() and any(folder.glob("[FM][0-9][0-9][0-9]*")):
            return folder
    raise FileNotFoundError(
        f"found no {what} in {root}; looked in {', '.join(candidates)}. Pass the "
        "folder that holds BP4D's '2D+3D' and 'AUCoding'."
    )


def _sources(folder):
    """Map "F001_T1" to the folder or video of its frames."""
    paths = [*folder.glob("[FM][0-9][0-9][0-9]/T*"), *folder.glob("[FM]*_T*.*")]
    return one_source_each(
        (video, path)
        for path in sorted(paths)
        if _VIDEO.fullmatch(video := _video_of(path))
        and (is_video(path) or path.is_dir())
    )


def _video_of(path):
    video = path.stem if is_video(path) else path.name
    return f"{path.parent.name}_{video}" if _TASK.fullmatch(video) else video


def _video_names(label_root, sources, unread):
    """List "F001_T1", ... that have images, labels or both, in order."""
    names = set(sources)
    for path in sorted(label_root.iterdir()):
        if path.suffix == ".csv" and _VIDEO.fullmatch(path.stem):
            names.add(path.stem)
        elif not path.is_dir():
            unread.append(path)
    matches = map(_VIDEO.fullmatch, names)
    return [m[0] for m in sorted(matches, key=lambda m: (m[1], int(m[2])))]


def _intensity_files(root):
    """Map video to {AU: file} for the files AU06/F001_T1_AU06.csv."""
    files = {}
    for folder in (root / name for name in _INTENSITY_FOLDERS):
        for path in sorted(folder.glob("AU[0-9]*/*.csv")):
            match = _INTENSITY.fullmatch(f"{path.parent.name}/{path.stem}")
            if match:
                files.setdefault(match[2], {})[int(match[1])] = path
    return files


def _read(source, label, levels, points):
    """Read one recording; the index stores the result."""
    record = read_images(source)
    frames, lines, occurrence = _read_occurrence(label)
    return {
        **record,
        "frames": frames,
        "lines": lines,
        "occurrence": occurrence,
        "intensity": _read_intensities(levels, frames),
        **read_points(points, frames, record),
    }


def _read_occurrence(path):
    """Return frames and lines (n,) and codes (n, 100); empty without a file."""
    if not path.exists() and not path.is_symlink():
        empty = np.empty(0, np.int32)
        return empty, empty, code_table(0, (), ())
    lines = read_lines(path)
    header = [c.strip().removeprefix("AU") for c in (lines or [""])[0].split(",")]
    columns = {
        int(au): k for k, au in enumerate(header) if k and au.isdecimal() and int(au)
    }
    words = [cell for cell in header[1:] if _WORD.fullmatch(cell)]
    # Cells without a word are AUs. With fewer AUs, one is duplicated, damaged or 0.
    if not columns or len(columns) + len(words) < len(header) - 1:
        raise LabelError(
            f"{path}, line 1: expected a header of the frame and one number per AU, "
            f"separated by commas, got {lines[0][:60] if lines else 'nothing'!r}"
        )
    table, numbers = int_table(path, lines, skip=1, n_columns=len(header))
    check_frames(path, table[:, 0], numbers)
    columns = {au: k for au, k in columns.items() if au < N_CODES}
    codes = table[:, list(columns.values())]
    check_codes(path, codes, numbers, tuple(columns), range(100), "0, 1 or 9")
    order = np.argsort(table[:, 0])
    occurrence = code_table(len(codes), columns, codes[order])
    return table[order, 0].astype(np.int32), numbers[order].astype(np.int32), occurrence


def _read_intensities(levels, frames):
    """Return codes (n, 100) of the AUs that have a file."""
    intensity = code_table(len(frames), (), ())
    for au, path in levels.items():
        lines = read_lines(path)
        # BP4D's files have no header, FERA 2015's have one.
        skip = int(bool(lines) and not lines[0].split(",")[0].strip().isdecimal())
        table, numbers = int_table(path, lines, skip=skip, n_columns=2)
        check_frames(path, table[:, 0], numbers)
        check_codes(
            path, table[:, 1:], numbers, (au,), (*range(6), _UNKNOWN), "0 to 5 or 9"
        )
        _, ours, theirs = np.intersect1d(frames, table[:, 0], return_indices=True)
        intensity[ours, au] = table[theirs, 1]
    return intensity


def _labels(recording, rows, aus):
    """Check the codes of the wanted rows; return their target and intensity."""
    record, path = recording.record, recording.labels
    codes = record["occurrence"][np.ix_(rows, aus)]
    lacking = [
        au for au, code in zip(aus, codes[:1].T, strict=True) if NOT_CODED in code
    ]
    if lacking:
        raise LabelError(
            f"{path} has no column for AU {', '.join(map(str, lacking))}; pass aus= "
            "without"
        )
    lines = record["lines"][rows]
    meaning = "0, 1 or 9 (not known). Intensities are in another folder."
    check_codes(path, codes, lines, aus, (0, 1, _UNKNOWN), meaning)
    target = np.where(codes == _UNKNOWN, np.nan, codes).astype(np.float32)
    levels = record["intensity"][np.ix_(rows, aus)]
    if (levels == NOT_CODED).all():
        return target, None
    unknown = (levels == NOT_CODED) | (levels == _UNKNOWN)
    return target, np.where(unknown, np.nan, levels).astype(np.float32)
