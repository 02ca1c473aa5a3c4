"""Landmarks of one recording from the files in which data sets and tools keep them."""

import re
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from skfau.datasets._text_files import check_frames, csv_rows, read_lines
from skfau.exceptions import DatasetError
from skfau.facs import to_68

_POINTS = (68, 66, 51, 49)
_NAME = re.compile(r"[ \t]*[A-Za-z_]")
# As NumPy reads them; float() takes more.
_NUMBER = re.compile(
    r"[ \t]*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[nN][aA][nN])[ \t]*"
)
_FRAME_FILE = re.compile(r"(.*?)(\d+)_lm\.mat")


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
    places = [
        folder / f"{name}{suffix}"
        for folder in folders
        for name in names
        for suffix in (".csv", ".mat", "")
    ]
    found = next((place for place in places if place.exists()), None)
    if found is not None and found.is_dir():
        inner = sorted(found.glob("[!.]*/"))
        if inner and not any(found.glob("*_lm.mat")):
            if len(inner) > 1:
                raise DatasetError(
                    f"{found} holds several folders ({inner[0].name}, {inner[1].name}"
                    ", ...): which of them has the points? Leave one."
                )
            found = inner[0]
        return found, (*places, found)
    return found, tuple(places)


def read_points(path, frames, record, first=1):
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
        Number of the first frame there is: 1, or of whom the frames are.

    Returns
    -------
    dict
        ``seen`` : int32 (k,), frames with points; ``points`` : float32 (k, 68, 2);
        ``by_image`` : int8, (1,) where ``seen`` are numbers of images, which need not
        be those of frames, else (0,).
    """
    by_image = False
    if path is None:
        numbers, points = np.empty(0, np.int64), np.empty((0, 68, 2))
    elif path.is_dir():
        numbers, points = _read_frame_files(path, frames)
    elif path.suffix == ".mat":
        numbers, points = _read_tracked(path)
    else:
        lines = read_lines(path, DatasetError)
        header = [cell.strip() for cell in (lines[0] if lines else "").split(",")]
        if "x_0" in header:
            by_image = len(record["files"]) > 0
            numbers, points = _read_tool(path, lines, header)
            numbers = _numbers_of_positions(path, numbers, record, first)
            if not by_image:
                _check_given_all(path, numbers, np.sort(frames))
        else:
            numbers, points = _read_table(path, lines, header, first)
    # Image i may be frame i + 1.
    wanted = np.isin(numbers, np.append(frames, frames - 1) if by_image else frames)
    points = to_68(points[wanted])
    found = ~np.isnan(points).all(axis=(1, 2))
    return {
        "seen": numbers[wanted][found].astype(np.int32),
        "points": points[found],
        "by_image": np.ones(int(by_image), np.int8),
    }


def _read_table(path, lines, header, first):
    """Read frame, x1, y1, x2, y2, ...; these names may be the first line."""
    n_columns = len(header)
    if (n_columns - 1) / 2 not in _POINTS:
        raise DatasetError(
            f"{path} must have 137 columns (frame, x1, y1, ..., x68, y68) or those of "
            f"49, 51 or 66 points, or OpenFace's header; got {n_columns} columns: "
            f"{','.join(header)[:60]!r}"
        )
    skip = int(_NAME.match(header[0]) is not None)
    if skip:
        _check_names(path, header)
    numbers = [k for k, line in enumerate(lines[skip:], skip + 1) if line.strip()]
    rows = [lines[k - 1] for k in numbers]
    if not rows:
        return np.empty(0, np.int64), np.empty((0, 68, 2))
    try:
        table = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        table = None
    if table is None or np.isinf(table).any() or (table[:, 0] % 1 != 0).any():
        raise _fault(path, rows, numbers, n_columns)
    # Where frames count from 1, a frame 0 tells that all of them are off by one.
    check_frames(
        path, table[:, 0], numbers, first=int(first == 1), error_type=DatasetError
    )
    return table[:, 0].astype(np.int64), table[:, 1:].reshape(len(table), -1, 2)


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


def _read_tool(path, lines, header):
    """Read positions, from 0, and points that OpenFace or py-feat wrote.

    Of several faces in a frame the surest counts.
    """
    column = {name: k for k, name in enumerate(header)}
    wanted = [column[f"{axis}_{k}"] for k in range(68) for axis in "xy"]
    sure = column.get("confidence", column.get("FaceScore"))
    best = {}
    for number, row in csv_rows(path, lines, skip=1, error_type=DatasetError):
        try:
            frame = float(row[column["frame"]])
            score = _number(row[sure]) if sure is not None else 0.0
            lost = "success" in column and _number(row[column["success"]]) == 0
            points = [_number(row[k]) for k in wanted]
            if not (frame >= 0 and frame % 1 == 0 and np.isfinite(frame)):
                raise ValueError(f"frame {frame}")
            if len(row) > len(header):
                raise IndexError(f"{len(row)} cells for {len(header)} columns")
        except (IndexError, KeyError, ValueError) as error:
            raise DatasetError(
                f"{path}, line {number}: expected a frame and 68 points under the "
                f"file's own header, got {','.join(row)[:60]!r} ({error}); the file "
                "may be truncated"
            ) from error
        if frame not in best or score > best[frame][0]:
            best[frame] = (score, [np.nan] * 136 if lost else points)
    positions = np.array(sorted(best), np.int64)
    points = np.array([best[p][1] for p in positions.tolist()]).reshape(-1, 68, 2)
    # OpenFace counts from 1, py-feat from 0: both give every frame they were given.
    if len(positions) and positions[0] not in (0, 1):
        raise DatasetError(
            f"{path} begins with frame {positions[0]}; expected 1 (OpenFace) or 0 "
            "(py-feat) and a line for every frame, with or without a face"
        )
    if "success" not in column and len(positions) and positions[0] == 1:
        raise DatasetError(
            f"{path} does not tell whether frames count from 0 or from 1: it has no "
            "frame 0, as py-feat writes it, and no column 'success', as OpenFace does"
        )
    return positions - positions[:1].sum(), points


def _number(cell):
    return float(cell) if cell.strip() else np.nan


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


def _read_tracked(path):
    """Read ``fit/pred`` of BP4D's ``2DFeatures``; frame k is entry k - 1."""
    with path.open("rb") as file:
        old = file.read(10) == b"MATLAB 5.0"
    entries = _old_entries(path) if old else _hdf5_entries(path)
    size = next((entry.size for entry in entries if entry.size // 2 in _POINTS), 2 * 49)
    points = np.full((len(entries), size // 2, 2), np.nan, np.float32)
    for k, entry in enumerate(entries):
        # Where tracking failed MATLAB left an empty array.
        if entry.size == size:
            points[k] = entry.T if len(entry) == 2 else entry
    return np.arange(1, len(entries) + 1), points


def _hdf5_entries(path):
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs h5py: pip install 'skfau[bp4d]', or pass "
            "landmarks=None"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            references = file["fit/pred"][()].ravel()
            return [file[r][()] if r else np.empty(0) for r in references]
    except (OSError, KeyError) as error:
        raise DatasetError(
            f"{path} does not hold tracked points (fit/pred): {error}. Copy it again, "
            "or pass landmarks=None."
        ) from error


def _old_entries(path):
    content = _load_mat(path, "fit")
    try:
        entries = content["pred"].ravel()
        # A cell in one struct, or one struct per frame.
        nested = len(entries) == 1 and entries[0].dtype == object
        return [np.atleast_2d(e) for e in (entries[0].ravel() if nested else entries)]
    except (AttributeError, IndexError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{path} has no field fit.pred; pass landmarks=None"
        ) from error


def _load_mat(path, name):
    # SciPy raises whatever its parser stumbles over.
    try:
        return loadmat(path, variable_names=[name])[name]
    except Exception as error:
        raise DatasetError(
            f"{path} is not a MATLAB file with the variable {name!r} ({error}); copy "
            "it again, or pass landmarks=None"
        ) from error


def _read_frame_files(folder, frames):
    """Read one file of ``pts`` per frame, as DISFA has them."""
    files = folder.glob("[!.]*_lm.mat")
    matches = [_FRAME_FILE.fullmatch(path.name) for path in files]
    matches = [match for match in matches if match]
    numbers = np.array([int(match[2]) for match in matches], np.int64)
    order = np.argsort(numbers)
    numbers = numbers[order]
    if not len(numbers):
        return numbers, np.empty((0, 68, 2))
    if len(np.unique(numbers)) < len(numbers):
        raise DatasetError(f"{folder} holds two files of points with one number")
    # SN001_0000_lm.mat counts from 0; who wrote l00001_lm.mat, from 0 or from 1.
    if numbers[0] == 0 or (
        matches[0][1] != "l" and not (len(frames) and numbers[-1] == frames[-1])
    ):
        numbers = numbers + 1
    elif not len(frames) or numbers[-1] != frames[-1]:
        raise DatasetError(
            f"the files in {folder} are numbered {numbers[0]} to {numbers[-1]}, the "
            f"labels {frames[:1]} to {frames[-1:]}: it cannot be told whether they "
            "count from 0 or 1. Pass landmarks=None, or give the points as a CSV file."
        )
    points = np.full((len(numbers), 66, 2), np.nan, np.float32)
    for k, at in enumerate(order):
        found = np.asarray(_load_mat(folder / matches[at][0], "pts"))
        if found.shape != (66, 2):
            raise DatasetError(
                f"{folder / matches[at][0]} must hold 66 points (66, 2), got "
                f"{found.shape}"
            )
        points[k] = found
    return numbers, points
