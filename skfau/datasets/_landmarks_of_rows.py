"""Landmarks of the rows of a table, from files by video or by image."""

from pathlib import Path

import numpy as np

from skfau._progress import Progress
from skfau.datasets._image_files import read_images
from skfau.datasets._landmark_files import (
    known_layout,
    landmark_files,
    landmark_folders,
    read_points,
)
from skfau.datasets._landmark_pts import read_pts
from skfau.exceptions import DatasetError


def landmarks_of_rows(landmarks, root, paths, columns, first, verbose=False):
    """Find the landmarks of each row.

    Parameters
    ----------
    landmarks : str, Path or None
        Folder of the files; None is none.
    root : Path
        Folder of the table.
    paths : list of str
        Image of each row.
    columns : dict of str to ndarray
        Columns of the rows: ``video`` and ``frame``, where files are by video.
    first : int or None
        What the frames of the table count from.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    points : dict of str to ndarray
        ``landmarks``, float32 (n, 68, 2), or ``five_points``, float32 (n, 5, 2);
        nothing if `landmarks` is None.
    several : ndarray of shape (n,), dtype bool
        Rows in whose frame the file has more than one face.
    """
    several = np.zeros(len(paths), bool)
    if landmarks is None:
        return {}, several
    folders = landmark_folders(root, landmarks, ())
    if {"video", "frame"} <= columns.keys():
        found = _by_video(folders, columns, first)
    else:
        found = _by_image(folders, root, paths)
    points, source = None, None
    shown = "Reading landmarks", len(paths), "rows", __name__, verbose
    with Progress(*shown) as progress:
        for path, rows, part, crowded in found:
            several[crowded] = True
            if not len(rows):
                continue
            if points is None:
                points, source = np.full((len(paths), *part.shape[1:]), np.nan), path
            if points.shape[1:] != part.shape[1:]:
                raise DatasetError(
                    f"{source} and {path} hold {points.shape[1]} and {part.shape[1]} "
                    "points a face; give all rows the same"
                )
            points[rows] = part
            progress.update(len(rows))
    if points is None:
        raise _nothing(folders[0], paths, columns)
    name = "five_points" if points.shape[1] == 5 else "landmarks"
    return {name: points.astype(np.float32)}, several


def _by_video(folders, columns, first):
    """Yield the file of each video, its rows with points, these, and crowded rows."""
    for video in np.unique(columns["video"]):
        rows = np.flatnonzero(columns["video"] == video)
        rows = rows[np.argsort(columns["frame"][rows])]
        frames = columns["frame"][rows]
        people = columns.get("subject", columns["video"])[rows]
        if (np.diff(frames) == 0).any() or (people != people[0]).any():
            raise DatasetError(
                f"several subjects have a video {video}, of which {folders[0]} has one "
                "file of landmarks; give each its own name, so that it is clear whose "
                "these are"
            )
        path, _ = landmark_files(folders, str(video))
        read = read_points(path, frames, read_images(None), first, five=True)
        # Files need not be in the order of frames.
        at = rows[np.searchsorted(frames, read["seen"])]
        crowded = rows[np.searchsorted(frames, read["several"])]
        yield path, at, read["points"], crowded


def _by_image(folders, root, paths):
    """Yield the ``.pts`` file of each image that has one, and its row."""
    owner = {}
    for row, image in enumerate(map(Path, paths)):
        names = [image.name]
        if image.is_relative_to(root):
            names.insert(0, image.relative_to(root))
        places = [(f / name).with_suffix(".pts") for f in folders for name in names]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            continue
        other = owner.setdefault(path, image)
        if other != image:
            raise DatasetError(
                f"{path} would be the points of {other} and of {image}; put the files "
                "into folders named as those of the images"
            )
        yield path, [row], known_layout(path, read_pts(path)[None], True), []


def _nothing(folder, paths, columns):
    """Return the error that no row has landmarks."""
    held = sorted(path.name for path in folder.glob("[!.]*"))
    shown = ", ".join(held[:4]) + (", ..." if len(held) > 4 else "")
    if {"video", "frame"} <= columns.keys():
        video = columns["video"][0]
        wanted = (
            f"looked for a file {video}.csv or {video}.mat, or a folder {video} of "
            f".pts files, with points of frame {columns['frame'][0]}, and so on"
        )
    else:
        wanted = (
            "landmarks need the columns 'video' and 'frame', or a file per image, as "
            f"{Path(paths[0]).stem}.pts"
        )
    return DatasetError(
        f"no row of the table has landmarks: {wanted}; {folder} holds "
        f"{shown or 'nothing'}. Name the files so, or leave out landmarks="
    )
