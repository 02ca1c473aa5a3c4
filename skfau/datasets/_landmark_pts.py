"""Points of one image in a file of its own, as iBUG writes them (``.pts``)."""

import re
from itertools import pairwise

import numpy as np

from skfau._landmark_layouts import COUNTS, POINT_COUNTS
from skfau.datasets._number_texts import to_float
from skfau.datasets._text_files import read_lines
from skfau.exceptions import DatasetError

_HEADER = re.compile(r"\s*n_points\s*:\s*(\d+)\s*", re.IGNORECASE)
_NUMBERED = re.compile(r".*?(\d+)")


def read_pts(path):
    """Return the points of one file, (n_points, 2) float64, in pixels from 0.

    The format counts pixels from 1, as MATLAB does: (1, 1) is the top-left pixel.
    """
    lines = [line.strip() for line in read_lines(path, DatasetError)]
    try:
        start, end = lines.index("{"), lines.index("}")
        points = [
            [to_float(c) for c in line.split()] for line in lines[start + 1 : end]
        ]
        points = np.array([pair for pair in points if pair], float)
    except ValueError as error:
        raise DatasetError(
            f"{path} must hold lines 'x y' between '{{' and '}}' ({error}); the file "
            "may be truncated"
        ) from error
    counts = [int(m[1]) for line in lines[:start] if (m := _HEADER.fullmatch(line))]
    if points.ndim != 2 or points.shape[1] != 2 or counts not in ([], [len(points)]):
        raise DatasetError(
            f"{path} must hold {counts[0] if counts else 68} points, a line 'x y' "
            f"each, got {len(points)}; the file may be truncated"
        )
    if len(points) not in POINT_COUNTS:
        raise DatasetError(
            f"{path} has {len(points)} points, expected {COUNTS}: "
            "where others lie on the face is not known"
        )
    points[np.isinf(points).any(axis=1)] = np.nan
    return points - 1


def read_pts_folder(folder, frames):
    """Read the files whose names end in the numbers of ``frames``.

    Returns numbers (n,), ascending, and points (n, n_points, 2).
    """
    files = [(_NUMBERED.fullmatch(p.stem), p) for p in folder.glob("[!.]*.pts")]
    numbered = sorted((int(match[1]), path) for match, path in files if match)
    for one, other in pairwise(numbered):
        if one[0] == other[0]:
            raise DatasetError(
                f"{folder} holds the points of frame {one[0]} twice: {one[1].name} "
                f"and {other[1].name}; keep one"
            )
    wanted = set(np.asarray(frames).tolist())
    read = {number: read_pts(path) for number, path in numbered if number in wanted}
    counts = {len(points) for points in read.values()}
    if len(counts) > 1:
        raise DatasetError(
            f"the files in {folder} differ in their number of points: {sorted(counts)}"
        )
    points = np.array([*read.values()]).reshape(len(read), -1, 2) if read else None
    empty = np.empty((0, 68, 2))
    return np.array([*read], np.int64), empty if points is None else points
