"""EmotioNet: images from the Internet, matched to their labels by file name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skfau._limits import refuse_special
from skfau._stores import PathStore
from skfau._warn import warn
from skfau.datasets._image_files import IMAGE_SUFFIXES
from skfau.datasets._index import read_indexed
from skfau.datasets._recordings import NOT_CODED, Recording, check_aus, code_table
from skfau.datasets._text_files import check_header, csv_rows, read_lines
from skfau.exceptions import DatasetError, DatasetWarning, LabelError
from skfau.faces import Faces
from skfau.facs import DATASET_AUS

_AU = re.compile(r"['\"\s]*AU\s*0*(\d+)['\"\s]*", re.IGNORECASE)
_N_AUS = 60  # columns of the automatic labels
_N_MANUAL = 24_600
_UNKNOWN = 999
_CODES = {"0": 0, "1": 1, "999": -1, "0.0": 0, "1.0": 1, "999.0": -1}
_DESCR = """\
EmotioNet: images of faces from the Internet; action units labelled {how}.

Read from {root}:
{n_rows} images with a label. Left out: {n_bare} images without a label and {n_lost}
labels without an image; `report` names them.
"""


class _Row(NamedTuple):
    """File and line of the label of an image."""

    file: Path
    line: int


def load_emotionet(
    root: str | Path,
    *,
    subset: Literal["auto", "manual", "automatic"] = "auto",
    aus: Sequence[int] = DATASET_AUS["emotionet"],
    images: str | Path = "auto",
    index: str | Path | None = "auto",
    n_jobs: int | None = -1,
    verbose: bool = False,
) -> Bunch:
    """Load EmotioNet as lazy faces with labels, matched by file name.

    Parameters
    ----------
    root : str or Path
        Holds the labels and, in folders of any depth, the images
        (``N_0000000001_00001.jpg``). Labels are ``dataFile_*.txt`` (automatic) or a CSV
        file with columns ``URL`` and ``'AU 1'``, ... (manual; save the sheet as CSV).
    subset : {"auto", "manual", "automatic"}, default="auto"
        Labels to load; "auto" takes the kind that exists.
    aus : sequence of int, default=(1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26, 43)
        AUs to load, in the order of the columns of ``target``.
    images : "auto", str or Path, default="auto"
        Folder of the images; "auto" is `root`.
    index : "auto", str, Path or None, default="auto"
        As in `load_bp4d`; it stores the labels.
    n_jobs : int or None, default=-1
        As in `load_bp4d`.
    verbose : bool, default=False
        As in `load_bp4d`.

    Returns
    -------
    bunch : Bunch
        ``data`` : Faces, without ``subject``; ``target`` : float32 (n, n_aus) in
        {0, 1, NaN}, NaN for 999; ``intensity`` : None; ``aus``; ``report`` : Bunch of
        ``without_image`` and ``without_label``, names of files; ``DESCR``.

    Raises
    ------
    FileNotFoundError, LabelError, DatasetError
        If labels are missing, damaged or duplicated, or two images have one name.
        If there are both kinds of labels and `subset` is "auto".

    Examples
    --------
    >>> from skfau.datasets import load_emotionet
    >>> bunch = load_emotionet("/data/EmotioNet", subset="manual")  # doctest: +SKIP
    """
    root, aus = Path(root).absolute(), check_aus(aus)
    subset, paths = _label_files(root, subset)
    files = read_indexed(
        [Recording(str(path), path, partial(_read, path, subset)) for path in paths],
        index=index,
        name=("emotionet", str(root), subset),
        n_jobs=n_jobs,
        verbose=verbose,
    )
    return _join(root, subset, files, aus, images)


def _join(root, subset, files, aus, images):
    """Join labels and images by name."""
    places = _places(files)
    folder = _image_folder(root, images)
    found = _find_images(folder)
    names = [name for name in places if name in found]
    if not names:
        raise LabelError(f"no image in {folder} has a label in {files[0].labels}")
    rows = np.array([name in found for name in places])
    report = Bunch(
        without_image=[os.fsdecode(name) for name in places if name not in found],
        without_label=[os.fsdecode(name) for name in found if name not in places],
    )
    _warn(subset, len(places), report.without_image)
    return Bunch(
        data=Faces(PathStore([found[name] for name in names])),
        target=_targets(files, aus)[rows],
        intensity=None,
        aus=aus,
        report=report,
        DESCR=_DESCR.format(
            how="by coders" if subset == "manual" else "automatically",
            root=root,
            n_rows=len(names),
            n_bare=len(report.without_label),
            n_lost=len(report.without_image),
        ),
    )


def _label_files(root, subset):
    """Return which labels to read and their files."""
    found = {
        "manual": [
            path
            for pattern in ("*.csv", "*/*.csv")
            for path in sorted(root.glob(pattern))
            if "URL" in _first_line(path)
        ],
        "automatic": sorted(
            {*root.glob("dataFile_*.txt"), *root.glob("*/dataFile_*.txt")}
        ),
    }
    if subset == "auto":
        kinds = [kind for kind, files in found.items() if files]
        if len(kinds) > 1:
            raise DatasetError(
                f"there are manual labels ({found['manual'][0].name}) and automatic "
                f"ones ({found['automatic'][0].name}); pass subset='manual' or "
                "subset='automatic'"
            )
        subset = kinds[0] if kinds else "manual"
    if subset not in found:
        raise ValueError(
            f"subset must be 'auto', 'manual' or 'automatic', got {subset!r}"
        )
    if not found[subset]:
        raise FileNotFoundError(
            f"found no labels in {root}: looked for dataFile_*.txt and for CSV files "
            "with a column URL. Save spreadsheets (.xlsx) as CSV."
        )
    return subset, found[subset]


def _first_line(path):
    refuse_special(path, LabelError)
    with path.open("rb") as file:
        return file.readline(4096).decode("utf-8", errors="replace")


def _read(path, subset):
    """Read one file of labels; the index stores the result."""
    lines = read_lines(path)
    if subset == "manual":
        (_, header), *rows = csv_rows(path, lines, skip=0)
        columns = _manual_columns(path, header)
        address = [cell.strip("'\" ") for cell in header].index("URL")
        width = len(header)
    else:
        columns, address = {au: au + 1 for au in range(1, _N_AUS + 1)}, 0
        width = _N_AUS + 2
        rows = [(k, line.split("\t")) for k, line in enumerate(lines, 1)]
        # The header of some copies is no row.
        rows = rows[1:] if rows and "URL" in rows[0][1][0] else rows
    names, numbers, codes = [], [], []
    for number, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        names.append(_name(path, number, cells, address, width))
        numbers.append(number)
        codes.append([_code(path, number, cells[k], au) for au, k in columns.items()])
    codes = np.array(codes, np.int8).reshape(len(codes), len(columns))
    return {
        "names": np.array(names, "S"),
        "lines": np.array(numbers, np.int32),
        "codes": code_table(len(names), columns, codes),
    }


def _manual_columns(path, header):
    matches = {k: _AU.fullmatch(cell) for k, cell in enumerate(header)}
    check_header(path, [int(match[1]) for match in matches.values() if match])
    columns = {int(match[1]): k for k, match in matches.items() if match}
    if not columns or "URL" not in [cell.strip("'\" ") for cell in header]:
        raise LabelError(
            f"{path}, line 1: expected columns URL, 'AU 1', 'AU 2', ..., got "
            f"{','.join(header)[:60]!r}"
        )
    return columns


def _name(path, number, cells, address, width):
    """Return the file name at the end of an address."""
    # Too many cells are an error, too: a comma in an address shifts the cells after it.
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        raise LabelError(
            f"{path}, line {number}: expected {width} cells, got {len(cells)} in "
            f"{' '.join(cells)[:60]!r}; the file may be truncated, or not separated by "
            "tabs (.txt) or commas (.csv)"
        )
    name = cells[address].strip("'\" ").replace("\\", "/").rsplit("/", 1)[-1]
    if not name.lower().endswith(IMAGE_SUFFIXES):
        raise LabelError(
            f"{path}, line {number}: expected the address of an image, got "
            f"{cells[address][:60]!r}"
        )
    return os.fsencode(name)


def _code(path, number, cell, au):
    code = _CODES.get(cell.strip("'\" "))
    if code is None:
        raise LabelError(
            f"{path}, line {number}: AU{au} is {cell[:40]!r}, expected 0, 1 or 999 "
            "(not known)"
        )
    return code


def _places(files):
    """Map image name to the place of its label, in the order of the files."""
    places = {}
    for file in files:
        path = file.labels
        names, lines = file.record["names"].tolist(), file.record["lines"].tolist()
        for name, line in zip(names, lines, strict=True):
            if name in places:
                first = places[name]
                raise LabelError(
                    f"{path}, line {line}: {os.fsdecode(name)} is labelled already in "
                    f"{first.file.name}, line {first.line}; keep one"
                )
            places[name] = _Row(path, line)
    return places


def _targets(files, aus):
    codes = []
    for file in files:
        chosen = file.record["codes"][:, list(aus)]
        lacking = [a for a, c in zip(aus, chosen[:1].T, strict=True) if NOT_CODED in c]
        if lacking:
            raise LabelError(
                f"{file.labels} has no column for AU {', '.join(map(str, lacking))}; "
                "pass aus= without"
            )
        codes.append(chosen)
    codes = np.concatenate(codes)
    return np.where(codes < 0, np.nan, codes).astype(np.float32)


def _image_folder(root, images):
    if images == "auto":
        return root
    found = [p for p in (root / images, Path(images).absolute()) if p.is_dir()]
    if not found:
        raise FileNotFoundError(f"there is no folder {root / images}")
    return found[0]


def _find_images(folder):
    """Map name to path of every image in a folder and below, following links once."""
    found, visited = {}, set()
    for place, folders, names in os.walk(folder, followlinks=True):
        stat = os.stat(place)  # noqa: PTH116 (saves a Path per folder)
        if (stat.st_dev, stat.st_ino) in visited:
            folders.clear()
            continue
        visited.add((stat.st_dev, stat.st_ino))
        folders.sort()
        start = os.fsencode(place) + b"/"
        for name in names:
            if name.startswith(".") or not name.lower().endswith(IMAGE_SUFFIXES):
                continue
            key = os.fsencode(name)
            if key in found:
                raise DatasetError(
                    f"{os.fsdecode(found[key])} and {place}/{name} have one name; pass "
                    "images= the folder of the copy you mean"
                )
            found[key] = start + key
    return dict(sorted(found.items()))


def _warn(subset, n_labels, lost):
    told = []
    if subset == "manual" and n_labels != _N_MANUAL:
        told.append(
            f"EmotioNet has {_N_MANUAL:,} manual labels, this copy {n_labels:,}"
        )
    if lost:
        shown = ", ".join(lost[:5])
        told.append(f"{len(lost):,} labels have no image ({shown}, ...)")
    if told:
        warn(f"{'; '.join(told)}.", DatasetWarning)
