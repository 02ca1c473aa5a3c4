"""How many frames the published data sets hold, to notice incomplete copies."""

import warnings
from typing import NamedTuple

from skfau.datasets._folds import published_folds
from skfau.exceptions import DatasetWarning

_SHOWN = 12  # names in a warning
_LONGER = "have more images than labels, which are of other frames if the rate differs"


class _Expected(NamedTuple):
    """A data set as published: frames, names of its recordings, what each may hold."""

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


def warn_of_deviations(name, counts, lost, spare, subjects, stacklevel):
    """Warn if a copy is not the published data set; return the recordings that differ.

    Parameters
    ----------
    name : str
        "bp4d", "bp4d_plus" or "disfa"; nothing is known of other data sets.
    counts : dict of str to int
        Rows of every recording.
    lost : dict of str to int
        Labels of every recording that have no image.
    spare : dict of str to int
        Images of every recording that have no label.
    subjects : dict of str to str
        Who is in a recording.
    stacklevel : int
        What the warning points to, as in `warnings.warn`.

    Returns
    -------
    deviating : tuple of str
    """
    expected = _EXPECTED.get(name)
    total = sum(counts.values())
    if expected is None:
        return ()
    # Where every frame is coded, only the last may lack its label.
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
    parts = _parts(name, expected, counts, subjects)
    told = [
        _told(longer, _LONGER),
        _told(absent, "are not here"),
        _told(strange, "do not belong to it"),
        _told(bare, "have labels without an image"),
        _told([n for n in odd if n not in bare], "hold another number of frames"),
        f"rows per published part: {', '.join(parts)}" if parts else "",
    ]
    known = expected.lists.get(total)
    warnings.warn(
        f"{expected.title} has {expected.n_frames:,} labelled frames, this copy "
        f"{total:,}{f' (as many as the lists of {known})' if known else ''}: "
        f"{'; '.join(filter(None, told))}. Figures of this copy do not compare with "
        "published ones; report.videos and report.deviating tell more.",
        DatasetWarning,
        stacklevel=stacklevel,
    )
    return tuple(dict.fromkeys([*longer, *absent, *strange, *bare, *odd]))


def _told(names, what):
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more} {what}" if names else ""


def _parts(name, expected, counts, subjects):
    if not expected.parts:
        return []
    return [
        f"{sum(counts[v] for v in counts if subjects[v] in part):,} of {wanted:,}"
        for part, wanted in zip(published_folds(name), expected.parts, strict=True)
    ]
