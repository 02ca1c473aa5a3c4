"""Tables in text files; errors name the file and the line."""

import csv
import re
import warnings

import numpy as np

from skfau._files import check_regular
from skfau.exceptions import LabelError

_SEPARATORS = {",": "commas", "\t": "tabs", " ": "spaces", ";": "semicolons"}
# ASCII digits only: NumPy reads no others, int() does.
_WHOLE = re.compile(r"[ \t]*[+-]?[0-9]{1,18}[ \t]*")
# All but tab, newline and carriage return; NumPy and str.strip skip some as blanks.
_CONTROL = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f]")
_LAST_FRAME = 2**31 - 1

#: AU numbers are below this.
N_CODES = 100


def read_lines(path, error_type=LabelError):
    """Return the lines of a text file with the line ends of any system.

    Raises
    ------
    LabelError, or the error type given
        If the file cannot be read or is not text.
    """
    try:
        check_regular(path)
        data = path.read_bytes()
    except OSError as error:
        raise error_type(f"{path} cannot be read: {error.strerror}") from error
    control = _CONTROL.search(data)
    if control:
        line = data.count(b"\n", 0, control.start()) + 1
        raise error_type(
            f"{path}, line {line}: holds the control character {control[0]!r}; the "
            "file is no text, damaged, or text in UTF-16. Check the path, copy it "
            "again, or save it as UTF-8."
        )
    text = data.decode("utf-8-sig", errors="replace")
    # str.splitlines would also split at characters that end no line in an editor.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def int_table(path, lines, *, skip=0, n_columns=None, separator=","):
    """Read whole numbers.

    Parameters
    ----------
    path : Path
        For errors.
    lines : list of str
        The whole file.
    skip : int, default=0
        Lines of its header.
    n_columns : int or None, default=None
        Numbers in each line; None means as many as in the first.
    separator : str, default=","
        Character between the numbers.

    Returns
    -------
    table : ndarray of shape (n, n_columns), dtype int64
    numbers : ndarray of shape (n,), dtype int64
        Line of each row, from 1; blank lines give no row.
    """
    numbers = [k for k, line in enumerate(lines[skip:], skip + 1) if line.strip()]
    rows = [lines[k - 1] for k in numbers]
    if not rows:
        return np.empty((0, n_columns or 1), np.int64), np.empty(0, np.int64)
    if n_columns is None:
        n_columns = rows[0].count(separator) + 1
    try:
        with warnings.catch_warnings():
            # Older NumPy reads 1.5 as 1, with a warning.
            warnings.simplefilter("error", DeprecationWarning)
            table = np.loadtxt(
                rows, delimiter=separator, dtype=np.int64, comments=None, ndmin=2
            )
    except (ValueError, DeprecationWarning):
        table = None
    if table is None or table.shape != (len(rows), n_columns):
        raise _first_fault(path, numbers, rows, n_columns, separator)
    return table, np.array(numbers)


def _first_fault(path, numbers, rows, n_columns, separator):
    """Return the error for the first faulty line."""
    number, row = next(
        (number, row)
        for number, row in zip(numbers, rows, strict=True)
        if row.count(separator) + 1 != n_columns
        or not all(map(_WHOLE.fullmatch, row.split(separator)))
    )
    cells = row.split(separator)
    odd = [cell for cell in cells if not _WHOLE.fullmatch(cell)]
    found = [f"{len(cells)} cells"] * (len(cells) != n_columns)
    found += [f"the cell {odd[0][:40]!r}"] if odd else []
    others = [
        s for s in _SEPARATORS if s != separator and row.count(s) == n_columns - 1
    ]
    hint = f" Is it separated by {_SEPARATORS[others[0]]}?" if others else ""
    return LabelError(
        f"{path}, line {number}: expected {n_columns} whole numbers separated by "
        f"{_SEPARATORS[separator]}, got {' and '.join(found)} in {row[:60]!r}; the "
        f"file may be truncated.{hint}"
    )


def csv_rows(path, lines, *, skip, separator=",", error_type=LabelError):
    """Yield the number of the line in which a row begins, and its cells.

    Quoted cells may span several lines; blank lines give no row.
    """
    reader = csv.reader(lines[skip:], delimiter=separator)
    number = skip + 1
    try:
        for row in reader:
            if row:
                yield number, row
            number = skip + reader.line_num + 1
    except csv.Error as error:
        raise error_type(
            f"{path}, line {number}: {error}; is a quote not closed?"
        ) from error


def check_frames(path, frames, lines, *, first=0, error_type=LabelError):
    """Raise if a frame number is below ``first``, above int32 or duplicated.

    ``lines`` are the lines of the frames, for the error.
    """
    outside = np.flatnonzero((frames < first) | (frames > _LAST_FRAME))
    if len(outside):
        at = outside[0]
        raise error_type(
            f"{path}, line {lines[at]}: frame {frames[at]:.0f}, expected {first} to "
            f"{_LAST_FRAME}: whose images these are cannot be told. Renumber them."
        )
    order = np.argsort(frames, kind="stable")
    twice = np.flatnonzero(np.diff(frames[order]) == 0)
    if len(twice):
        one, other = order[twice[0]], order[twice[0] + 1]
        raise error_type(
            f"{path}, line {lines[other]}: frame {frames[other]:.0f} is in line "
            f"{lines[one]} already; keep one of the two"
        )


def check_header(path, aus):
    """Raise LabelError if an AU has two columns or is no AU."""
    for au in aus:
        if aus.count(au) > 1:
            raise LabelError(f"{path}, line 1: AU{au} has two columns; keep one")
        if not 0 < au < N_CODES:
            raise LabelError(f"{path}, line 1: there is no AU{au}")


def check_codes(path, values, lines, aus, allowed, meaning):
    """Raise LabelError if ``values`` (n, n_aus) holds a code that is not allowed."""
    wrong = np.argwhere(~np.isin(values, allowed))
    if len(wrong):
        row, column = wrong[0]
        raise LabelError(
            f"{path}, line {lines[row]}: AU{aus[column]} is {values[row, column]}, "
            f"expected {meaning}"
        )
