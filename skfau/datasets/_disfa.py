"""DISFA from the folders in which it is distributed, or as images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skfau.datasets._image_files import (
    IMAGE_SUFFIXES,
    is_video,
    one_source_each,
    read_images,
)
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
    check_threshold,
    code_table,
    load_recordings,
)
from skfau.datasets._text_files import (
    check_codes,
    check_frames,
    int_table,
    read_lines,
)
from skfau.exceptions import DatasetError, LabelError
from skfau.facs import DATASET_AUS

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_SUBJECT = re.compile(r"SN\d{3}")
_AU_FILE = re.compile(r"(SN\d{3})_au0*(\d{1,2})\.txt", re.IGNORECASE)
_LABEL_FOLDERS = ("ActionUnit_Labels", ".")
_LANDMARK_FOLDERS = ("landmarks68", "Landmark_Points")
_ABOUT = """\
DISFA: spontaneous expressions of 27 subjects, one video each, every frame coded by an
expert for the intensity (0 to 5) of 12 action units.
"""


def load_disfa(
    root: str | Path,
    *,
    aus: Sequence[int] = DATASET_AUS["disfa"],
    threshold: int = 2,
    images: str | Path = "auto",
    camera: Literal["left", "right"] = "left",
    landmarks: str | Path | None = "auto",
    first_frame: Any = "auto",
    index: Any = "auto",
    n_jobs: int | None = -1,
    verbose: bool = False,
) -> Bunch:
    """Load DISFA as lazy faces with labels: video frame i has label line i + 1.

    Parameters
    ----------
    root : str or Path
        Holds ``ActionUnit_Labels/SN001/SN001_au1.txt`` and videos
        (``.../LeftVideoSN001_comp.avi``) or images (``SN001/0.png``).
    aus : sequence of int, default=(1, 2, 4, 6, 9, 12, 25, 26)
        AUs to load; also coded: 5, 15, 17, 20.
    threshold : int, default=2
        Lowest intensity, 1 to 5, that counts as present.
    images : "auto", str or Path, default="auto"
        Folder of the videos or of the image folders, if there are several.
    camera : {"left", "right"}, default="left"
        Camera of the frames, if the names of files or folders name it.
    landmarks : "auto", str, Path or None, default="auto"
        As in `load_bp4d`, or DISFA's ``Landmark_Points`` (a file per frame).
    first_frame, index : object, default="auto"
        As in `load_bp4d`; `first_frame` has no effect on videos.
    n_jobs : int or None, default=-1
        As in `load_bp4d`.
    verbose : bool, default=False
        As in `load_bp4d`.

    Returns
    -------
    bunch : Bunch
        As in `load_bp4d`; ``video`` is the subject, ``frame`` counts from 1.

    Raises
    ------
    FileNotFoundError, LabelError, DatasetError, FaceImageError, ValueError
        As in `load_bp4d`; the last also if `threshold` is not from 1 to 5.

    Examples
    --------
    >>> bunch = load_disfa("/data/DISFA")  # doctest: +SKIP
    """
    return load_recordings(
        DataSet("disfa", root, (images, camera, landmarks), every_frame=True),
        _find_recordings(Path(root).absolute(), images, camera, landmarks),
        read_labels=partial(_labels, threshold=check_threshold(threshold)),
        aus=check_aus(aus),
        first_frame=first_frame,
        about=_ABOUT,
        reading={"index": index, "n_jobs": n_jobs, "verbose": verbose},
    )


def _find_recordings(root, images, camera, landmarks):
    labels = _label_folders(root)
    folders = landmark_folders(root, landmarks, _LANDMARK_FOLDERS)
    sources = _sources(root, images, camera, {p.parent for p in labels.values()})
    recordings = []
    for name in sorted({*labels, *sources}):
        source, folder = sources.get(name), labels.get(name, root / name)
        points, looked = landmark_files(folders, name)
        files = _au_files(folder) if name in labels else {}
        recordings.append(
            Recording(
                name=name,
                subject=name,
                labels=folder,
                source=source,
                others=(*files.values(), *looked),
                read=partial(_read, source, files, points),
            )
        )
    check_any(landmarks, folders, recordings)
    return recordings


def _label_folders(root):
    """Map subject to the folder of its AU files."""
    for candidate in _LABEL_FOLDERS:
        found = {
            path.name: path
            for path in sorted((root / candidate).glob("SN[0-9][0-9][0-9]"))
            if path.is_dir() and _au_files(path)
        }
        if found:
            return found
    raise FileNotFoundError(
        f"found no label files (SN001/SN001_au1.txt, ...) in {root}; looked in "
        f"{', '.join(_LABEL_FOLDERS)}. Pass the folder that holds 'ActionUnit_Labels'."
    )


def _au_files(folder):
    files = {}
    for path in sorted(folder.iterdir()):
        match = _AU_FILE.fullmatch(path.name)
        if not match:
            continue
        if match[1].upper() != folder.name:
            raise DatasetError(f"{path} is of another subject than its folder; move it")
        au = int(match[2])
        if au in files:
            raise DatasetError(
                f"{files[au]} and {path.name} both code AU{au}; keep one"
            )
        files[au] = path
    return dict(sorted(files.items()))


def _sources(root, images, camera, label_roots):
    """Map subject to its video or its folder of images."""
    if camera not in ("left", "right"):
        raise ValueError(f"camera must be 'left' or 'right', got {camera!r}")
    if images == "auto":
        folders = [root, *(p for p in sorted(root.iterdir()) if p.is_dir())]
        folders = [folder for folder in folders if folder not in label_roots]
    else:
        folders = [p for p in (root / images, Path(images)) if p.is_dir()][:1]
    found = {folder: _subjects(folder, camera) for folder in folders}
    found = {folder: sources for folder, sources in found.items() if sources}
    if len(found) > 1:
        raise DatasetError(
            f"there are frames in {' and in '.join(str(f) for f in found)}; say which "
            "with images=FOLDER"
        )
    if not found:
        raise FileNotFoundError(
            f"found no videos (LeftVideoSN001_comp.avi) and no image folders (SN001) "
            f"of the {camera} camera in {images if images != 'auto' else root} or one "
            "level below; pass images=FOLDER"
        )
    return next(iter(found.values()))


def _subjects(folder, camera):
    """Map subject to its video or folder of images, of one camera."""
    other = {"left": "right", "right": "left"}[camera]
    named = []
    for path in sorted(folder.iterdir()):
        match = _SUBJECT.search(path.name)
        told = f"{folder.name}/{path.name}".lower()
        if (
            not match
            or path.name.startswith(".")
            or (other in told and camera not in path.name.lower())
        ):
            continue
        if is_video(path) or _holds_frames(path):
            named.append((match[0], path))
    return one_source_each(named, "keep one, or name the folder of one with images=")


def _holds_frames(folder):
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(
            entry.name.lower().endswith(IMAGE_SUFFIXES) or is_video(Path(entry.name))
            for entry in entries
        )


def _read(source, files, points):
    """Read one subject; the index stores the result."""
    frames, intensity = np.empty(0, np.int32), code_table(0, (), ())
    for k, (au, path) in enumerate(files.items()):
        table, numbers = int_table(path, read_lines(path), n_columns=2)
        check_frames(path, table[:, 0], numbers, first=1)
        check_codes(path, table[:, 1:], numbers, (au,), range(6), "0 to 5")
        table = table[np.argsort(table[:, 0])]
        if k == 0:
            first, frames = path, table[:, 0]
            intensity = code_table(len(frames), (), ())
        if not np.array_equal(frames, table[:, 0]):
            odd = np.setxor1d(frames, table[:, 0])
            raise LabelError(
                f"{path} and {first.name} must code the same frames; {len(odd)} frames "
                f"({', '.join(map(str, odd[:3]))}, ...) are in one of them only: one "
                "may be truncated"
            )
        intensity[:, au] = table[:, 1]
    record = read_images(source)
    return {
        **record,
        "frames": frames.astype(np.int32),
        "intensity": intensity,
        **read_points(points, frames, record),
    }


def _labels(recording, rows, aus, threshold):
    """Return target and intensity of the wanted rows."""
    levels = recording.record["intensity"][np.ix_(rows, aus)].astype(np.float32)
    lacking = [
        au for au, level in zip(aus, levels[:1].T, strict=True) if NOT_CODED in level
    ]
    if lacking:
        raise LabelError(
            f"{recording.labels} has no file for AU {', '.join(map(str, lacking))}; "
            "pass aus= without"
        )
    return (levels >= threshold).astype(np.float32), levels
