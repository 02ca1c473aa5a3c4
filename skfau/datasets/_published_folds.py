"""Published partitions of subjects, and the frames that a whole data set holds."""

from __future__ import annotations

from typing import Literal, NamedTuple

from skfau._warn import warn
from skfau.exceptions import DatasetWarning

# Parts in the order of JAA-Net's lists. Other codebases use the same parts in another
# order.
_PARTS = {
    "bp4d": (
        "F001 F002 F008 F009 F010 F016 F018 F023 M001 M004 M007 M008 M012 M014",
        "F003 F005 F011 F013 F020 F022 M002 M005 M010 M011 M013 M016 M017 M018",
        "F004 F006 F007 F012 F014 F015 F017 F019 F021 M003 M006 M009 M015",
    ),
    "disfa": (
        "SN001 SN002 SN009 SN010 SN016 SN026 SN027 SN030 SN032",
        "SN006 SN011 SN012 SN013 SN018 SN021 SN024 SN028 SN031",
        "SN003 SN004 SN005 SN007 SN008 SN017 SN023 SN025 SN029",
    ),
}
_ORDERS = {
    ("jaa", "bp4d"): (0, 1, 2),
    ("jaa", "disfa"): (0, 1, 2),
    ("me-graphau", "bp4d"): (2, 1, 0),
    ("me-graphau", "disfa"): (2, 1, 0),
    ("au-net", "bp4d"): (2, 1, 0),
    ("au-net", "disfa"): (0, 1, 2),
}
_SHOWN = 12  # names in a warning
_LONGER = "have more images than labels, which are of other frames if the rate differs"


def published_folds(
    name: Literal["bp4d", "disfa"],
    numbering: Literal["jaa", "me-graphau", "au-net"] = "jaa",
) -> tuple[tuple[str, ...], ...]:
    """Return the test subjects of each fold of a published partition.

    JAA-Net, ME-GraphAU and AU-Net use the same three parts of BP4D's 41 and DISFA's
    27 subjects, but not the same numbers: ME-GraphAU's fold 1 tests on the third
    part of JAA-Net, and AU-Net's does so on BP4D only. A network scored on the fold
    of another numbering has seen its test subjects.

    Parameters
    ----------
    name : {"bp4d", "disfa"}
        Data set.
    numbering : {"jaa", "me-graphau", "au-net"}, default="jaa"
        Codebase whose numbers to use.

    Returns
    -------
    folds : tuple of tuple of str
        Test subjects of fold 1, 2 and 3; all other subjects are for training.

    Raises
    ------
    ValueError
        If the data set or the numbering is unknown.

    Examples
    --------
    >>> from skfau.datasets import published_folds
    >>> [len(fold) for fold in published_folds("bp4d")]
    [14, 14, 13]
    >>> published_folds("bp4d", "me-graphau")[2] == published_folds("bp4d", "jaa")[0]
    True
    """
    if (numbering, name) not in _ORDERS:
        names = ", ".join(map(repr, _PARTS))
        numberings = ", ".join(map(repr, dict.fromkeys(key[0] for key in _ORDERS)))
        raise ValueError(
            f"there are published folds for {names}, numbered as by {numberings}; "
            f"got name={name!r}, numbering={numbering!r}"
        )
    return tuple(tuple(_PARTS[name][k].split()) for k in _ORDERS[numbering, name])


class _Expected(NamedTuple):
    """A published data set: total of frames, names and sizes of its recordings."""

    title: str
    n_frames: int
    names: tuple
    per_recording: tuple = ()
    parts: tuple = ()
    lists: dict = {}


def _tasks(subjects, tasks):
    return tuple(f"{subject}_T{task}" for subject in subjects for task in tasks)


_BP4D = tuple(sorted(sum(published_folds("bp4d"), ())))
_DISFA = tuple(sorted(sum(published_folds("disfa"), ())))
_BP4D_PLUS = (
    *(f"F{k:03d}" for k in range(1, 83)),
    *(f"M{k:03d}" for k in range(1, 59)),
)

# Parts are those of `published_folds` in JAA-Net's order; `lists` are the totals of
# codebases that leave out frames without landmarks.
_EXPECTED = {
    "bp4d": _Expected(
        "BP4D",
        146_847,
        _tasks(_BP4D, range(1, 9)),
        parts=(50_631, 50_182, 46_034),
        lists={146_576: "JAA-Net", 146_538: "AU-Net"},
    ),
    "bp4d_plus": _Expected("BP4D+", 197_756, _tasks(_BP4D_PLUS, (1, 6, 7, 8))),
    "disfa": _Expected(
        "DISFA",
        130_814,
        _DISFA,
        per_recording=(4844, 4845),
        parts=(43_604, 43_605, 43_605),
        lists={126_144: "JAA-Net and AU-Net"},
    ),
}


def warn_of_deviations(name, counts, lost, spare, subjects):
    """Warn if a copy is not the published data set; return the recordings that differ.

    Parameters
    ----------
    name : str
        "bp4d", "bp4d_plus" or "disfa"; other names give no warning.
    counts : dict of str to int
        Number of rows of every recording.
    lost : dict of str to int
        Number of labels without an image of every recording.
    spare : dict of str to int
        Number of images without a label of every recording.
    subjects : dict of str to str
        Subject of every recording.

    Returns
    -------
    deviating : tuple of str
    """
    expected = _EXPECTED.get(name)
    total = sum(counts.values())
    if expected is None:
        return ()
    # One image without a label is normal: it is the last frame of a video.
    longer = [
        n for n in counts if expected.per_recording and counts[n] and spare[n] > 1
    ]
    if total == expected.n_frames and not longer:
        return ()
    absent = [n for n in expected.names if not counts.get(n)]
    strange = [n for n in counts if n not in set(expected.names) and counts[n]]
    bare = [n for n in counts if lost[n] and counts[n]]
    odd = [
        n
        for n in counts
        if counts[n] and expected.per_recording
        if counts[n] not in expected.per_recording
    ]
    parts = _rows_per_part(name, expected, counts, subjects)
    told = [
        _told(longer, _LONGER),
        _told(absent, "are not here"),
        _told(strange, "do not belong to it"),
        _told(bare, "have labels without an image"),
        _told([n for n in odd if n not in bare], "hold another number of frames"),
        f"rows per published part: {', '.join(parts)}" if parts else "",
    ]
    known = expected.lists.get(total)
    warn(
        f"{expected.title} has {expected.n_frames:,} labelled frames, this copy "
        f"{total:,}{f' (as many as the lists of {known})' if known else ''}: "
        f"{'; '.join(filter(None, told))}. Figures of this copy do not compare with "
        "published ones; report.videos and report.deviating tell more.",
        DatasetWarning,
    )
    return tuple(dict.fromkeys([*longer, *absent, *strange, *bare, *odd]))


def _told(names, what):
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more} {what}" if names else ""


def _rows_per_part(name, expected, counts, subjects):
    if not expected.parts:
        return []
    return [
        f"{sum(counts[v] for v in counts if subjects[v] in part):,} of {wanted:,}"
        for part, wanted in zip(published_folds(name), expected.parts, strict=True)
    ]
