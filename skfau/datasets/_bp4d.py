"""BP4D from the folders in which it is distributed."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skfau.datasets._landmark_files import landmark_reader
from skfau.exceptions import FaceImageError, LabelError
from skfau.faces import Faces
from skfau.facs import DATASET_AUS

_VIDEO = re.compile(r"([FM]\d{3})_T(\d+)")
_IMAGE_FOLDERS = ("2D+3D", "BP4D-training", ".")
_LABEL_FOLDERS = ("AUCoding/AU_OCC", "AU_OCC")
_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_UNKNOWN = 9

_DESCR = """\
BP4D: spontaneous expressions of 41 subjects in up to 8 tasks each, with the
occurrence of action units coded by experts.

Read from {root}:
{n_rows} frames of {n_videos} videos with an image and a label; {n_bare} of them have
no landmarks. Left out: {n_uncoded} images without a label (some 500 frames of a task
are coded) and {n_lost} labels without an image. `report` names them by video.
"""


class VideoReport(NamedTuple):
    """Frame numbers of one video for which something is missing.

    Attributes
    ----------
    without_label, without_image : ndarray of int
        Not in the data.
    without_landmarks : ndarray of int
        In the data, with NaN landmarks.
    """

    without_label: np.ndarray
    without_image: np.ndarray
    without_landmarks: np.ndarray


def load_bp4d(root, *, aus=DATASET_AUS["bp4d"], landmarks="auto"):
    """Load BP4D as lazy faces with labels, matched by frame number.

    Parameters
    ----------
    root : str or Path
        Holds ``2D+3D/F001/T1/0001.jpg`` (or the subjects in ``BP4D-training``, or
        directly) and ``AUCoding/AU_OCC/F001_T1.csv``.
    aus : sequence of int, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AUs to load, in the order of the columns of ``target``.
    landmarks : {"auto", "landmarks68", "2DFeatures"} or None, default="auto"
        ``landmarks68/F001_T1.csv`` (frame, x1, y1, ..., x68, y68),
        ``2DFeatures/F001_T1.mat`` (49 points; needs h5py; the jaw line and the inner
        lip corners are NaN), or for each video the first of the two.

    Returns
    -------
    bunch : Bunch
        ``data`` : Faces with ``subject`` ("F001"), ``video`` ("F001_T1"), ``frame``
        and, where there are any, ``landmarks``; ``target`` : float32 (n, n_aus) in
        {0, 1, NaN}, NaN for BP4D's 9; ``aus`` : tuple; ``report`` : Bunch of
        ``videos`` (dict, name -> `VideoReport`) and ``unread_files``; ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If a folder is not there; the message says what was looked for.
    LabelError
        If a label is not 0, 1 or 9 or an AU is not coded; names file and line.
    FaceImageError
        If two images of a video have the same number.
    ImportError
        If ``2DFeatures`` are read and h5py is missing.

    Examples
    --------
    >>> from skfau.datasets import load_bp4d
    >>> bunch = load_bp4d("/data/BP4D", aus=(6, 12))  # doctest: +SKIP
    >>> clf.fit(bunch.data, bunch.target)  # doctest: +SKIP
    """
    root = Path(root)
    image_root = _find_folder(root, _IMAGE_FOLDERS, "subject folders (F001, ...)")
    label_root = _find_folder(root, _LABEL_FOLDERS, "label files (F001_T1.csv, ...)")
    read_landmarks = landmark_reader(root, landmarks)
    unread, parts, videos = [], [], {}
    for name in _video_names(image_root, label_root, unread):
        images = _image_files(image_root.joinpath(*name.split("_")), unread)
        coded, labels = _read_labels(label_root / f"{name}.csv", aus)
        shot = np.array(list(images), dtype=np.int64)
        has_image = np.isin(coded, shot)
        frames, labels = coded[has_image], labels[has_image]
        points = read_landmarks(name, frames)
        bare = frames[np.isnan(points).all(axis=(1, 2))]
        paths = [images[frame] for frame in frames.tolist()]
        parts.append((name, frames, labels, points, paths))
        lost = coded[~has_image]
        videos[name] = VideoReport(np.setdiff1d(shot, coded), lost, bare)
    return _assemble(root, tuple(aus), parts, Bunch(videos=videos, unread_files=unread))


def _assemble(root, aus, parts, report):
    names, frames, labels, points, paths = zip(*parts, strict=True)
    lengths = [len(part) for part in frames]
    video = np.repeat(names, lengths)
    landmarks = np.concatenate(points)
    n_bare = sum(len(v.without_landmarks) for v in report.videos.values())
    if not sum(lengths):
        raise LabelError(
            f"no frame in {root} has both an image and a label; are the images "
            "unpacked (2D+3D/F001/T1/0001.jpg)?"
        )
    faces = Faces(
        [path for part in paths for path in part],
        landmarks=None if n_bare == len(landmarks) else landmarks,
        subject=np.repeat([name.split("_")[0] for name in names], lengths),
        video=video,
        frame=np.concatenate(frames),
    )
    return Bunch(
        data=faces,
        target=np.concatenate(labels),
        aus=aus,
        report=report,
        DESCR=_DESCR.format(
            root=root,
            n_rows=len(faces),
            n_videos=len(set(video)),
            n_bare=n_bare,
            n_uncoded=sum(len(v.without_label) for v in report.videos.values()),
            n_lost=sum(len(v.without_image) for v in report.videos.values()),
        ),
    )


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


def _video_names(image_root, label_root, unread):
    """List "F001_T1", ... that have images, labels or both, in order."""
    names = {f"{p.parent.name}_{p.name}" for p in image_root.glob("[FM]*/T*")}
    for path in label_root.iterdir():
        if path.suffix == ".csv" and _VIDEO.fullmatch(path.stem):
            names.add(path.stem)
        else:
            unread.append(path)
    matches = [match for match in map(_VIDEO.fullmatch, names) if match]
    return [m[0] for m in sorted(matches, key=lambda m: (m[1], int(m[2])))]


def _image_files(folder, unread):
    """Map frame number to image path."""
    images = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in _IMAGE_SUFFIXES:
            continue
        if not path.stem.isdecimal():
            unread.append(path)
        elif int(path.stem) in images:
            raise FaceImageError(
                f"{path} and {images[int(path.stem)].name} are the same frame; keep one"
            )
        else:
            images[int(path.stem)] = path
    return images


def _read_labels(path, aus):
    """Return frame numbers (n,) and labels (n, n_aus); none without a file."""
    if not path.exists():
        return np.empty(0, dtype=np.int64), np.empty((0, len(aus)), np.float32)
    lines = path.read_text().splitlines()
    header = lines[0].split(",") if lines else []
    columns = {
        int(au): k for k, au in enumerate(header) if k and au.strip().isdecimal()
    }
    lacking = [au for au in aus if au not in columns]
    if lacking:
        raise LabelError(
            f"{path} has no column for AU {', '.join(map(str, lacking))}; its header "
            f"is {lines[0][:60] if lines else 'empty'!r}"
        )
    number_of = [n for n, line in enumerate(lines[1:], 2) if line.strip()]
    if not number_of:
        return np.empty(0, dtype=np.int64), np.empty((0, len(aus)), np.float32)
    try:
        table = np.loadtxt(
            [lines[n - 1] for n in number_of],
            delimiter=",",
            dtype=np.int64,
            usecols=[0, *(columns[au] for au in aus)],
            ndmin=2,
        )
    except ValueError as error:
        raise LabelError(f"{path}: {error}") from error
    frames, values = table[:, 0], table[:, 1:]
    wrong = np.argwhere(~np.isin(values, (0, 1, _UNKNOWN)))
    if len(wrong):
        row, column = wrong[0]
        raise LabelError(
            f"{path}, line {number_of[row]}: AU{aus[column]} is {values[row, column]}, "
            "expected 0, 1 or 9 (not known). Intensities are in another folder."
        )
    if len(np.unique(frames)) < len(frames):
        raise LabelError(f"{path} holds a frame twice")
    return frames, np.where(values == _UNKNOWN, np.nan, values).astype(np.float32)
