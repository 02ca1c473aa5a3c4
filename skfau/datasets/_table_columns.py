"""Columns of a table of one's own: read as text, checked, and typed."""

import os
import re
from pathlib import Path

import numpy as np

from skfau._columns import names_of
from skfau.datasets._text_files import csv_rows, read_lines
from skfau.exceptions import DatasetError, LabelError

_KEYS = ("subject", "video")
_DECIMAL = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def read_columns(source):
    """Return a name for errors, the columns, and the line of every row."""
    if isinstance(source, str | os.PathLike):
        return _read_file(Path(source))
    # Iterating a polars frame gives its columns, not their names.
    names = [*getattr(source, "columns", source)]
    columns = {str(name).strip(): np.asarray(source[name]) for name in names}
    if len(columns) < len(names):
        raise DatasetError(f"the table has a column twice: {names}")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise DatasetError(f"columns differ in length: {sorted(lengths)}")
    return "the table", columns, np.arange(next(iter(lengths), 0))


def _read_file(path):
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"there is no file {path}"
        raise FileNotFoundError(
            f"{what}; check the path. Expected a CSV file with the columns path, "
            "subject, AU1, ..."
        )
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


def places(name, lines):
    """Return the place of every row in the table, for errors."""
    kind = "row" if name == "the table" else "line"
    return [f"{name}, {kind} {line}" for line in lines]


def check_columns(name, columns, where):
    """Raise unless every row says who and when it is; write both in one way."""
    if "path" not in columns:
        found = f"has {[*columns]}" if columns else "is empty"
        raise DatasetError(
            f"{name} must have a column 'path'; it {found}. Name the column of images "
            "or videos so, and those of AUs AU1, AU2, ..."
        )
    for column in {"images", "landmarks", "five_points", "self"} & columns.keys():
        raise DatasetError(f"{name} has a column {column!r}; give it another name")
    _check_people(columns, where)
    if "frame" in columns:
        columns["frame"] = _frames(columns["frame"], where)
        _check_once(columns, where)


def _check_people(columns, where):
    """Take blanks off the names of subjects and videos; raise if one has no name."""
    for column in [c for c in _KEYS if c in columns]:
        cells = columns[column].tolist()
        cells = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
        nameless = names_of(np.array(cells, object))[1]
        nameless |= np.array([str(cell) == "" for cell in cells], bool)
        if nameless.any():
            raise DatasetError(
                f"{where[np.argmax(nameless)]}: {column!r} is empty; name it, leave "
                "these rows out, or the column"
            )
        columns[column] = np.array(cells, object)


def _frames(cells, where):
    """Return whole frame numbers, which pandas may have written as 1.0."""
    frames = np.empty(len(cells), np.int64)
    for k, cell in enumerate(cells):
        try:
            try:
                frames[k] = int(cell)
                whole = float(cell) == frames[k]
            except ValueError:
                number = float(cell)
                frames[k], whole = int(number), number.is_integer()
        except (OverflowError, TypeError, ValueError):
            whole = False
        if not whole:
            raise DatasetError(
                f"{where[k]}: 'frame' must be a whole number, got {cell!r}"
            )
    return frames


def _check_once(columns, where):
    """Raise if a frame of a video is there twice."""
    if "video" not in columns:
        return
    seen = {}
    who = columns.get("subject", [""] * len(where))
    frames = columns["frame"].tolist()
    for key, place in zip(
        zip(who, columns["video"], frames, strict=True), where, strict=True
    ):
        if key in seen:
            raise DatasetError(
                f"{place}: frame {key[2]} of video {key[1]} is there already, "
                f"{seen[key]}"
            )
        seen[key] = place


def typed(column, values):
    """Turn the text of a column into numbers, if all of it is.

    "007" is a name. In other columns than those of subjects and videos "1.50" is a
    number, unless "1.5" is there as well: two texts never become one.
    """
    if values.dtype != object:
        return values
    texts = [str(value).strip() for value in values]
    for kind in (np.int64, np.float64):
        try:
            numbers = values.astype(kind)
        except (OverflowError, TypeError, ValueError):
            continue
        if [*map(str, numbers)] == texts:
            return numbers
    decimal = column not in _KEYS and all(map(_DECIMAL.fullmatch, texts))
    if decimal and len(set(map(float, texts))) == len(set(texts)):
        return np.array(texts, np.float64)
    return np.array(texts)
