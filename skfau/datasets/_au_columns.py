"""Columns of AUs as data sets and tools name them, and the labels in them."""

import re

import numpy as np

from skfau.datasets._number_texts import is_missing, plain_number
from skfau.datasets._text_files import check_header
from skfau.exceptions import DatasetError, LabelError

_AU = re.compile(r"au[\s_-]*0*(\d+)(_[a-z]+|)", re.IGNORECASE)
# What follows the number: in OpenFace, _c is occurrence and _r intensity.
_KINDS = {
    "": "either",
    **dict.fromkeys(("_c", "_occurrence", "_presence"), "occurrence"),
    **dict.fromkeys(("_r", "_intensity"), "intensity"),
}
_LOOKS_LIKE_AU = re.compile(r"au[\s_-]*\d", re.IGNORECASE)
_NEAR = re.compile(r"[a-z _-]*\d+([\s_-]?[a-z]+)?", re.IGNORECASE)
_TRUTH = {"true": "1", "false": "0"}


def au_columns(name, columns, intensities):
    """Choose the column of each AU.

    Parameters
    ----------
    name : str
        The table, for errors.
    columns : iterable of str
        Its columns.
    intensities : bool
        Whether columns of intensity are wanted, or of occurrence. A column that names
        neither is taken for both.

    Returns
    -------
    chosen : dict of int to str
        Column of each AU, in the order of the table.
    unread : list of str
        Columns that begin like an AU and are none.
    other : dict of int to str
        Columns of AUs that have only the kind that is not wanted.
    """
    wanted = "intensity" if intensities else "occurrence"
    chosen, other, unread = [], {}, []
    for column in columns:
        match = _AU.fullmatch(column)
        kind = _kind(match[2]) if match else None
        if kind is None:
            unread += [column] if _LOOKS_LIKE_AU.match(column) else []
        elif kind in ("either", wanted):
            chosen.append((int(match[1]), column))
        else:
            other[int(match[1])] = column
    check_header(name, [au for au, _ in chosen])
    chosen = dict(chosen)
    return chosen, unread, {au: c for au, c in other.items() if au not in chosen}


def _kind(suffix):
    # A capital R is the right side of a face, and such an AU another than OpenFace's.
    return _KINDS.get(suffix if len(suffix) == 2 else suffix.lower())


def no_au_column(name, columns, other, intensities):
    """Return the error that a table has no column of labels."""
    if other:
        kind, remedy = (
            ("occurrence", "leave out threshold=")
            if intensities
            else ("intensity", "pass threshold=, the lowest that counts as present,")
        )
        return DatasetError(
            f"{name} has AUs by {kind} only ({_shown(other.values())}); {remedy} to "
            "load them"
        )
    near = [c for c in columns if _LOOKS_LIKE_AU.match(c)]
    near += [c for c in columns if c not in near and _NEAR.fullmatch(c)]
    return DatasetError(
        f"{name} has no column of an AU; name them AU1, AU12, ... or as OpenFace does "
        f"(AU01_c, AU01_r); "
        + (f"near it come {_shown(near)}" if near else f"it has {_shown(columns)}")
        + ". Pass aus=() to load faces without labels"
    )


def _shown(names):
    names = [*names]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def read_levels(columns, where, unknown, intensities):
    """Return labels, float32 (n, n_aus), NaN where they are not known.

    Parameters
    ----------
    columns : dict of int to array
        Cells of each AU.
    where : sequence of str
        Place of each row, for errors.
    unknown : float or sequence of float
        Codes of labels that are not known.
    intensities : bool
        Whether labels run from 0 to 5, or are 0 and 1.
    """
    levels = np.full((len(where), len(columns)), np.nan, np.float32)
    unknown = np.ravel(unknown).tolist()
    for column, (au, cells) in enumerate(columns.items()):
        for row, cell in enumerate(cells):
            text = "" if cell is None else str(cell).strip()
            if is_missing(text):
                continue
            try:
                level = float(_TRUTH.get(text.lower(), plain_number(text)))
            except ValueError:
                level = None
            if level in unknown:
                continue
            low = level is not None and 0 <= level <= 5
            if not low or not (intensities or level in (0, 1)):
                wanted = "an intensity, 0 to 5" if intensities else "0 or 1"
                raise LabelError(
                    f"{where[row]}: AU{au} is {text[:40]!r}, expected {wanted}, or "
                    "nothing; pass unknown=(code,) for codes of labels that are not "
                    f"known{'' if intensities else ', threshold= for intensities'}"
                )
            levels[row, column] = level
    return levels
