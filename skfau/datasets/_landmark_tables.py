"""Landmarks in text: tables of frame, x1, y1, ..., and what OpenFace and py-feat write.

What is read is told by how many points there are, never by the name of one column.
"""

import re

import numpy as np

from skfau._landmark_layouts import COUNTS, POINT_COUNTS
from skfau.datasets._landmark_people import follow_one
from skfau.datasets._number_texts import plain_number, to_float
from skfau.datasets._text_files import check_frames, csv_rows
from skfau.exceptions import DatasetError

_NAME = re.compile(r"[ \t]*[A-Za-z_]")
_COORDINATE = re.compile(r"([xy])_(\d+)")
# As NumPy reads them; float() takes more.
_NUMBER = re.compile(
    r"[ \t]*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[nN][aA][nN])[ \t]*"
)


def is_tool_header(header):
    """Say whether cells name columns as OpenFace and py-feat do."""
    return "x_0" in header


def read_plain(path, lines, header, first):
    """Read frame, x1, y1, x2, y2, ...; these names may be the first line.

    Returns frames (n,) and points (n, n_points, 2).
    """
    n_columns = len(header)
    if (n_columns - 1) / 2 not in POINT_COUNTS:
        raise DatasetError(
            f"{path} must have 137 columns (frame, x1, y1, ..., x68, y68) or those of "
            f"{COUNTS} points, or the header of OpenFace or py-feat; got {n_columns} "
            f"columns: {','.join(header)[:60]!r}"
        )
    skip = int(_NAME.match(header[0]) is not None)
    if skip:
        _check_names(path, header)
    numbers = [k for k, line in enumerate(lines[skip:], skip + 1) if line.strip()]
    rows = [lines[k - 1] for k in numbers]
    if not rows:
        return np.empty(0, np.int64), np.empty((0, n_columns // 2, 2))
    table = _table(rows)
    if table is None:
        rows = [",".join(map(plain_number, row.split(","))) for row in rows]
        table = _table(rows)
    if table is None or np.isinf(table).any() or (table[:, 0] % 1 != 0).any():
        raise _fault(path, rows, numbers, n_columns)
    # Where the labels count from 1, a frame 0 shows that the points do not.
    check_frames(
        path, table[:, 0], numbers, first=int(first == 1), error_type=DatasetError
    )
    return table[:, 0].astype(np.int64), table[:, 1:].reshape(len(table), -1, 2)


def _table(rows):
    try:
        return np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        return None


def _check_names(path, header):
    axes = [name[:1].lower() for name in header[1:]]
    points = [name[1:].lstrip("_") for name in header[1:]]
    alternate = axes == ["x", "y"] * (len(axes) // 2) and points[::2] == points[1::2]
    numbers = [int(point) for point in points if point.isdecimal()]
    rising = numbers == sorted(numbers)
    if not alternate or not rising or len(set(points)) < len(points) // 2:
        raise DatasetError(
            f"{path}, line 1: expected the columns frame, x1, y1, x2, y2, ... in this "
            f"order, got {','.join(header)[:60]!r}"
        )


def _fault(path, rows, numbers, n_columns):
    """Return the error of the first line that is not as it should be."""
    number, cells = next(
        (number, row.split(","))
        for number, row in zip(numbers, rows, strict=True)
        if row.count(",") + 1 != n_columns
        or not all(map(_is_number, row.split(",")))
        or float(row.split(",")[0]) % 1 != 0
    )
    odd = [cell for cell in cells if not _is_number(cell)] or cells[:1]
    whole = len(cells) == n_columns
    found = f"the cell {odd[0][:40]!r}" if whole else f"{len(cells)} cells"
    return DatasetError(
        f"{path}, line {number}: expected {n_columns} numbers separated by commas, a "
        f"frame and its points, got {found}; the file may be truncated"
    )


def _is_number(cell):
    return bool(_NUMBER.fullmatch(cell)) and not np.isinf(float(cell))


def read_tool(path, lines, header):
    """Read what OpenFace or py-feat wrote, of one person.

    Returns
    -------
    positions : ndarray of shape (n,), dtype int64
        Place of each frame in what the tool was given, from 0.
    points : ndarray of shape (n, n_points, 2)
        NaN where that person is not seen.
    several : ndarray of int64
        Positions with more than one face.
    """
    frames, points, scores = _faces(path, lines, header)
    counted, at = np.unique(frames, return_inverse=True)
    # OpenFace counts from 1, py-feat from 0: both give every frame they were given.
    if len(counted) and counted[0] not in (0, 1):
        raise DatasetError(
            f"{path} begins with frame {counted[0]}; expected 1 (OpenFace) or 0 "
            "(py-feat) and a line for every frame, with or without a face"
        )
    if "success" not in header and len(counted) and counted[0] == 1:
        raise DatasetError(
            f"{path} does not tell whether frames count from 0 or from 1: it has no "
            "frame 0, as py-feat writes it, and no column 'success', as OpenFace does. "
            "Write columns frame, x1, y1, x2, y2, ... with the frames of the labels"
        )
    chosen, several = follow_one(frames, points, scores)
    one = np.full((len(counted), *points.shape[1:]), np.nan)
    one[at[chosen]] = points[chosen]
    first = counted[:1].sum()
    return counted - first, one, several - first


def _point_columns(path, header):
    """Return the columns x_0, y_0, x_1, ...; raise unless the layout is known."""
    column = {name: k for k, name in enumerate(header)}
    named = [_COORDINATE.fullmatch(name) for name in header]
    axes = {axis: {int(m[2]) for m in named if m and m[1] == axis} for axis in "xy"}
    n_points = len(axes["x"])
    if not axes["x"] == axes["y"] == set(range(n_points)):
        odd = axes["x"] ^ axes["y"] or axes["x"] ^ set(range(n_points))
        raise DatasetError(
            f"{path}, line 1: expected x_0, x_1, ... and as many y_0, y_1, ...; of "
            f"point {min(odd)} a column lacks"
        )
    if n_points not in POINT_COUNTS:
        raise DatasetError(
            f"{path} has {n_points} points a face (x_0 to x_{n_points - 1}), expected "
            f"{COUNTS}: where others lie on the face is not known. Leave the columns "
            "of the 68 points of iBUG, in their order"
        )
    if "frame" not in column:
        raise DatasetError(
            f"{path}, line 1: there is no column 'frame', so it is of a single image; "
            "run the tool on the video or its folder of images"
        )
    return [column[f"{axis}_{k}"] for k in range(n_points) for axis in "xy"]


def _faces(path, lines, header):
    """Read the frame, the points and the score of every face."""
    wanted = _point_columns(path, header)
    column = {name: k for k, name in enumerate(header)}
    sure = column.get("confidence", column.get("FaceScore"))
    frames, faces, scores = [], [], []
    for number, row in csv_rows(path, lines, skip=1, error_type=DatasetError):
        try:
            frame = float(row[column["frame"]])
            scores.append(to_float(row[sure]) if sure is not None else 0.0)
            lost = "success" in column and to_float(row[column["success"]]) == 0
            points = [to_float(row[k]) for k in wanted]
            if not (frame >= 0 and frame % 1 == 0 and np.isfinite(frame)):
                raise ValueError(f"frame {frame}")
            if len(row) > len(header):
                raise IndexError(f"{len(row)} cells for {len(header)} columns")
        except (IndexError, ValueError) as error:
            raise DatasetError(
                f"{path}, line {number}: expected a frame and {len(wanted) // 2} "
                f"points under the file's own header, got {','.join(row)[:60]!r} "
                f"({error}); the file may be truncated"
            ) from error
        frames.append(frame)
        faces.append([np.nan] * len(wanted) if lost else points)
    points = np.array(faces, float).reshape(len(faces), -1, 2)
    if not len(points):
        points = np.empty((0, len(wanted) // 2, 2))
    # Where a tool's fit went to infinity the point is not known.
    points[np.isinf(points)] = np.nan
    return np.array(frames, float).astype(np.int64), points, np.array(scores)
