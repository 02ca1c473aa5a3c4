"""Landmarks of one recording from the files in which data sets and tools keep them."""

from pathlib import Path

import numpy as np

from skfau._landmark_layouts import in_other_order
from skfau.datasets._landmark_matlab import read_frame_files, read_tracked
from skfau.datasets._landmark_pts import read_pts_folder
from skfau.datasets._landmark_tables import is_tool_header, read_plain, read_tool
from skfau.datasets._text_files import read_lines
from skfau.exceptions import DatasetError
from skfau.facs import to_68

# Files of one frame's points, in the folder of a recording.
_FRAME_FILES = ("*_lm.mat", "*.pts")


def landmark_folders(root, source, usual):
    """Return the folders in which landmarks are looked for.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    source : str, Path or None
        "auto" takes those of `usual` that exist; a name in `root`, or a path, that
        folder; None, no folder.
    usual : tuple of str
        Names under which the data set keeps them.
    """
    if source is None:
        return ()
    if source == "auto":
        return tuple(root / name for name in usual if (root / name).is_dir())
    for folder in (root / source, Path(source)):
        if folder.is_dir():
            return (folder,)
    raise FileNotFoundError(
        f"there is no folder {root / source}; landmarks must be 'auto', None, the name "
        f"of a folder in {root}, or the path of one that holds a file per recording"
    )


def landmark_files(folders, *names):
    """Return the first file or folder of a recording's points, and where was looked.

    A recording has ``NAME.csv``, ``NAME.mat`` or a folder ``NAME`` of one file per
    frame, maybe in one more folder.
    """
    for name in names:
        if name in ("", ".", "..") or {"/", "\\", "\0"} & set(name):
            raise DatasetError(
                f"a recording is called {name!r}, so that its landmarks would be "
                "looked for elsewhere than in their folder; names of recordings have "
                "no separators of folders"
            )
    places = [
        folder / f"{name}{suffix}"
        for folder in folders
        for name in names
        for suffix in (".csv", ".mat", "")
    ]
    found = next((place for place in places if place.exists()), None)
    if found is not None and found.is_dir():
        inner = sorted(found.glob("[!.]*/"))
        if inner and not any(any(found.glob(files)) for files in _FRAME_FILES):
            if len(inner) > 1:
                raise DatasetError(
                    f"{found} holds several folders ({inner[0].name}, {inner[1].name}"
                    ", ...): which of them has the points? Leave one."
                )
            found = inner[0]
        return found, (*places, found)
    return found, tuple(places)


def check_any(source, folders, recordings):
    """Raise if a folder of landmarks was named that has none of the recordings."""
    if source in (None, "auto") or not recordings:
        return
    if not any(
        place.exists()
        for recording in recordings
        for place in recording.others
        if folders[0] in place.parents
    ):
        raise DatasetError(
            f"{folders[0]} has no landmarks of any recording; files must be named as "
            f"{recordings[0].name}.csv, or pass landmarks=None"
        )


def read_points(path, frames, record, first=1, *, five=False):
    """Return the points of those frames that have any.

    Parameters
    ----------
    path : Path or None
        From `landmark_files`.
    frames : ndarray of shape (n,), dtype int
        Labelled frames, from 1.
    record : dict
        ``images`` and ``files`` of the recording; tools number what they were given.
    first : int, default=1
        Number that the frames of the labels count from: at most 0, or from 1 on.
    five : bool, default=False
        Whether 5 points a face are taken; else they are an error.

    Returns
    -------
    dict
        ``seen`` : int32 (k,), frames with points; ``points`` : float32 (k, 68, 2), or
        (k, 5, 2) where a face has 5; ``several`` : int32 (m,), frames in which the
        file has more than one face; ``by_image`` : int8, (1,) where these are numbers
        of images, which need not be those of frames, else (0,).
    """
    several, by_image = np.empty(0, np.int64), False
    if path is None:
        numbers, points = np.empty(0, np.int64), np.empty((0, 68, 2))
    elif path.is_dir():
        has_pts = any(path.glob("[!.]*.pts"))
        read_folder = read_pts_folder if has_pts else read_frame_files
        numbers, points = read_folder(path, frames)
    elif path.suffix == ".mat":
        numbers, points = read_tracked(path)
    else:
        lines = read_lines(path, DatasetError)
        header = [cell.strip() for cell in (lines[0] if lines else "").split(",")]
        if is_tool_header(header):
            by_image = len(record["files"]) > 0
            positions, points, several = read_tool(path, lines, header)
            numbers = _numbers_of_positions(path, positions, record, first)
            several = numbers[np.isin(positions, several)]
            if not by_image:
                _check_given_all(path, numbers, np.sort(frames))
        else:
            numbers, points = read_plain(path, lines, header, first)
    # Image i may be frame i + 1.
    labelled = np.append(frames, frames - 1) if by_image else frames
    wanted = np.isin(numbers, labelled)
    points = known_layout(path, points[wanted], five)
    # Of a point both coordinates are known, or neither.
    points[np.isnan(points).any(axis=2)] = np.nan
    found = ~np.isnan(points).all(axis=(1, 2))
    return {
        "seen": numbers[wanted][found].astype(np.int32),
        "points": points[found],
        "several": several[np.isin(several, labelled)].astype(np.int32),
        "by_image": np.ones(int(by_image), np.int8),
    }


def known_layout(path, points, five):
    """Return float32 points (n, 68, 2), or (n, 5, 2) if they are five and may be."""
    known = points[np.isfinite(points)]
    most = np.abs(points).max(initial=0, where=~np.isnan(points))
    if most > np.finfo(np.float32).max:
        raise DatasetError(
            f"{path} has a coordinate of {most:.3g}, expected pixels, or NaN where a "
            "point is not known"
        )
    if points.shape[1] > 68 and len(known) and np.abs(known).max() <= 2:
        raise DatasetError(
            f"{path} has points in shares of the image, as MediaPipe gives them; "
            "multiply x by its width and y by its height, in pixels"
        )
    if points.shape[1] != 5:
        return to_68(points)
    if not five:
        raise DatasetError(
            f"{path} has 5 points a face, too few for this data set's faces; give all "
            "68, or pass landmarks=None and add a column: "
            "faces.with_columns(five_points=...), by which FaceAligner aligns"
        )
    if in_other_order(points):
        raise DatasetError(
            f"{path} has 5 points a face in another order than the eye on the left of "
            "the image, the other eye, nose, the corner of the mouth on the left, the "
            "other corner (RetinaFace, MTCNN, YuNet)"
        )
    return points.astype(np.float32)


def _numbers_of_positions(path, positions, record, first):
    """Turn positions in what a tool was given into numbers of images, or frames."""
    images, files = record["images"], record["files"]
    if not len(files) or not len(positions):
        return positions + min(first, 1)
    # Tools take the images of a folder by name: 1.jpg, 10.jpg, 2.jpg.
    by_name = images[np.argsort(files, kind="stable")]
    if by_name[0] in (0, 1) and (np.diff(by_name) == 1).all():
        return positions + by_name[0]
    if positions[-1] + 1 != len(images):
        raise DatasetError(
            f"{path} holds {positions[-1] + 1} frames, the folder {len(images)} images "
            f"that are not numbered without a gap from 0 or 1 ({images[0]}, ...): "
            "which belong together? Run the tool on all images of the folder."
        )
    return by_name[positions]


def _check_given_all(path, numbers, frames):
    """Raise if a tool seems to have been given just these frames, and counted them."""
    if len(numbers) == len(frames) and (numbers != frames).any():
        raise DatasetError(
            f"{path} counts its {len(numbers)} frames from {numbers[0]}; there are as "
            f"many frames of other numbers ({frames[0]} to {frames[-1]}): which belong "
            "together? Run the tool on the whole video, or number frames like it."
        )
