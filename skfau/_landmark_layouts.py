"""Layouts of facial landmarks: what tools hand over, as rows of the 68 points."""

from contextlib import suppress

import numpy as np

from skfau._facs_table import MESH_TO_68, WFLW_MIXED, WFLW_TO_68

_WITHOUT_INNER_CORNERS = tuple(i for i in range(68) if i not in (60, 64))
# Number of points of a part of the 68 -> their rows, in its order.
PARTS = {
    49: _WITHOUT_INNER_CORNERS[17:],
    51: tuple(range(17, 68)),
    66: _WITHOUT_INNER_CORNERS,
    68: tuple(range(68)),
}
# Number of points of a layout -> rows of the 68, and its points that belong there.
_LAYOUTS = {
    5: ((30, 48, 54), (2, 3, 4)),
    **{n: (rows, tuple(range(n))) for n, rows in PARTS.items()},
    98: (PARTS[68], WFLW_TO_68),
    468: (PARTS[68], MESH_TO_68),
    478: (PARTS[68], MESH_TO_68),
}
POINT_COUNTS = tuple(_LAYOUTS)
COUNTS = f"{', '.join(map(str, POINT_COUNTS[:-1]))} or {POINT_COUNTS[-1]}"
# Both points of a mixture, and how much the second counts: half across a brow, and a
# third along a lid.
_MIXED = tuple(zip(*WFLW_MIXED.items(), strict=True))
_SHARES = np.where(np.array(_MIXED[0]) < 60, 1 / 2, 1 / 3).astype(np.float32)[:, None]


def rows_of_68(points):
    """Return points of a known layout (..., n_points, 2) as float32 (..., 68, 2)."""
    rows, taken = _LAYOUTS[points.shape[-2]]
    if points.shape[-2] == 98:
        points = points.copy()
        first, second = (points[..., each, :] for each in _MIXED)
        points[..., _MIXED[0], :] = first + _SHARES * (second - first)
    found = np.full((*points.shape[:-2], 68, 2), np.nan, dtype=np.float32)
    found[..., rows, :] = points[..., taken, :]
    return found


def as_points(found, shape=(68, 2)):
    """Return as an array what a tool hands over.

    Parameters
    ----------
    found : object
        Numbers (..., n_points, 2 or 3), or dlib's and MediaPipe's objects; or a list
        of one per face, in which None stands for a face that was not found.
    shape : tuple of (int, int), default=(68, 2)
        Of the points of a face, where a list of None alone does not tell.

    Returns
    -------
    points : ndarray of shape (..., n_points, 2 or 3), dtype float32
        NaN where a face was not found.
    """
    lost = isinstance(found, (list, tuple)) and any(each is None for each in found)
    # Of None alone NumPy makes NaN.
    if not lost:
        # Numbers are the usual case, and many; objects go on below.
        with suppress(TypeError, ValueError):
            return np.asarray(found, dtype=np.float32)
    found = _plain(found)
    if isinstance(found, list):
        shapes = {np.shape(each): i for i, each in enumerate(found) if each is not None}
        if len(shapes) > 1:
            raise ValueError(
                "faces must have one number of points each, got the shapes "
                f"{', '.join(f'{each} (entry {i})' for each, i in shapes.items())}."
            )
        unknown = np.full([*shapes, shape][0], np.nan)
        found = [unknown if each is None else each for each in found]
    return np.asarray(found, dtype=np.float32)


def _plain(found):
    """Return the numbers of objects, in lists; all else stays what it is."""
    if callable(getattr(found, "parts", None)):  # full_object_detection of dlib
        found = found.parts()
    found = getattr(found, "landmark", found)  # NormalizedLandmarkList of MediaPipe
    if hasattr(found, "x") and hasattr(found, "y"):
        return [getattr(found, axis) for axis in "xyz" if hasattr(found, axis)]
    if isinstance(found, (str, bytes)) or hasattr(found, "__array__"):
        return found
    try:
        return [_plain(each) for each in found]
    except TypeError:  # neither a list nor like one
        return found


def are_shares(points):
    """Say whether coordinates look like shares of an image: no face is so small."""
    known = points[np.isfinite(points)]
    if not len(known) or np.abs(known).max() > 2 or np.ptp(known) == 0:
        return False
    return bool((known != np.round(known)).any())


def in_pixels(points, size):
    """Return points (..., n_points, 2) that are shares of images, in their pixels."""
    size = np.asarray(size, np.float32)
    most = np.abs(points).max(initial=0, where=~np.isnan(points))
    if size.shape[-1:] != (2,) or not (size > 0).all() or most > 2:
        raise ValueError(
            "size must be (width, height) of an image in pixels, or one pair per face, "
            f"for landmarks that are shares of it; got size {size.tolist()} and "
            f"coordinates up to {most:.6g}. Landmarks in pixels need no size."
        )
    return points * size[..., None, :] - np.float32(0.5)


def in_other_order(points):
    """Say whether most sets of five points (n, 5, 2) are not in the usual order.

    Seen from the eyes towards the mouth, the first eye and corner are on the right.
    """
    eyes, mouth = points[:, 1] - points[:, 0], points[:, 3:].mean(axis=1)
    down = mouth - points[:, :2].mean(axis=1)
    turns = eyes[:, 0] * down[:, 1] - eyes[:, 1] * down[:, 0]
    known = np.isfinite(turns)
    return bool(2 * (turns[known] < 0).sum() > known.sum())
