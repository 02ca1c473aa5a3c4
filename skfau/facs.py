"""Facial action units as data: names, places on the face, data sets, relations.

The numbers and names are those of the Facial Action Coding System (FACS). The
one-sentence descriptions, the strengths in `RELATED_AUS` and the ROI rules listed in
`OWN_ROI_AUS` are this library's own and no part of FACS. This module needs only the
standard library; `to_68` imports NumPy when it is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skfau import _facs_table

__all__ = [
    "ACTION_UNITS",
    "DATASET_AUS",
    "EMOTION_AUS",
    "FLIP_68",
    "FLIP_AUS",
    "INTENSITY_DESCRIPTIONS",
    "OWN_ROI_AUS",
    "RELATED_AUS",
    "ROI_RULES",
    "ActionUnit",
    "ROICentre",
    "action_unit",
    "au_names",
    "roi_rule",
    "to_68",
]


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One action unit (AU).

    Attributes
    ----------
    number : int
        FACS number, 12 for AU12.
    name : str
        FACS name, such as ``"Lip corner puller"``.
    muscle : str
        The muscle, or muscles, that move the skin.
    region : {"upper face", "lower face", "neck", "head", "gaze"}
        Where it shows. Units of the head and of the gaze move no facial skin.
    bilateral : bool
        Whether the left and the right side can act alone.
    description : str
        One sentence of ours on what the active unit looks like.
    """

    number: int
    name: str
    muscle: str
    region: str
    bilateral: bool
    description: str

    @property
    def code(self) -> str:
        """Short label, such as ``"AU12"``."""
        return f"AU{self.number}"


class ROICentre(NamedTuple):
    """Centre of a region of interest (ROI), relative to the 68 landmarks.

    Attributes
    ----------
    points : tuple of int
        One landmark, or two whose midpoint is taken (0-based, 68-point layout).
    dy : float
        Downward offset in units of R, the horizontal distance between the inner
        eye corners, landmarks 39 and 42. Negative is up.
    """

    points: tuple
    dy: float


#: All action units by number.
ACTION_UNITS = MappingProxyType(
    {row[0]: ActionUnit(*row) for row in _facs_table.ROWS},
)

#: Descriptions that also say how strong each change is, by AU number, for the 15 AUs
#: that were described so for SEV-Net (Yang et al., 2021). Sentences and strengths are
#: ours, and no coding criteria: an AU may occur weaker or stronger.
INTENSITY_DESCRIPTIONS = MappingProxyType(_facs_table.WITH_INTENSITY)

_BP4D = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)

#: AU sets by data set, in the order in which papers tabulate them. ``"*_coded"`` are
#: all AUs that the annotators coded; ``"emotionet"`` are the twelve AUs of its
#: manually labelled images, ``"emotionet_2020"`` the 23 of the 2020 challenge, and
#: ``"affwild2_2020"`` the eight of the first ABAW challenge.
DATASET_AUS = MappingProxyType(
    {
        "bp4d": _BP4D,
        "bp4d_plus": _BP4D,
        "bp4d_plus_coded": (
            *(1, 2, 4, 5, 6, 7),
            *range(9, 21),
            *(22, 23, 24),
            *range(27, 40),
        ),
        "disfa": (1, 2, 4, 6, 9, 12, 25, 26),
        "disfa_coded": (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26),
        "emotionet": (1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26, 43),
        "emotionet_2020": (
            *(1, 2, 4, 5, 6, 9, 10, 12, 15, 17, 18, 20, 24, 25, 26, 28, 43),
            *range(51, 57),
        ),
        "affwild2": (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26),
        "affwild2_2020": (1, 2, 4, 6, 12, 15, 20, 25),
    }
)

#: AU combinations that go with prototypic expressions: any one of the listed sets.
#: From Table II of the AUNet paper (Yang et al.), which adapts them from EMFACS.
EMOTION_AUS = MappingProxyType(
    {
        "happiness": ((6, 12), (7, 12)),
        "anger": ((4, 7), (17, 24), (23,)),
        "fear": ((1, 2, 4),),
        "sadness": ((1,), (1, 4), (6, 15)),
        "surprise": ((1, 2, 26),),
        "disgust": ((9,), (10,)),
    }
)

#: How AUs are related, in [-1, 1]: positive pairs tend to act together, negative
#: pairs exclude each other. Keys are ``(low, high)``; pairs not listed are 0. Ours,
#: chosen by anatomy for drawn faces and not estimated from any data set. With ones
#: on the diagonal it is a valid (positive definite) correlation matrix.
RELATED_AUS = MappingProxyType(
    {
        (1, 2): 0.6,
        (1, 4): 0.2,
        (1, 5): 0.3,
        (2, 5): 0.4,
        (4, 7): 0.4,
        (4, 9): 0.3,
        (5, 43): -0.4,
        (6, 7): 0.4,
        (6, 10): 0.3,
        (6, 12): 0.6,
        (6, 25): 0.2,
        (7, 10): 0.3,
        (7, 12): 0.3,
        (9, 10): 0.4,
        (10, 12): 0.3,
        (12, 14): 0.2,
        (12, 15): -0.4,
        (12, 25): 0.3,
        (15, 17): 0.4,
        (17, 23): 0.2,
        (17, 24): 0.4,
        (17, 25): -0.2,
        (23, 24): 0.4,
        (23, 25): -0.2,
        (24, 25): -0.4,
        (25, 26): 0.5,
    }
)

#: ROI centres by convention, then AU: ``ROI_RULES["jaa"][12]``. ``"jaa"`` is the rule
#: of JAA-Net's code, extended by `OWN_ROI_AUS`; ``"eac"`` that of EAC-Net's code for
#: 68 landmarks; ``"aunet"`` Table I of the AUNet paper, whose garbled wording for AU6
#: is read as the midpoints of landmarks 2, 41 and of 14, 46.
ROI_RULES = MappingProxyType(
    {
        convention: MappingProxyType(
            {
                au: tuple(ROICentre(*centre) for centre in rules[au])
                for au in sorted(rules)
            }
        )
        for convention, rules in _facs_table.CONVENTIONS.items()
    }
)

#: AUs whose place in ``ROI_RULES["jaa"]`` is ours, because none is published.
OWN_ROI_AUS = tuple(sorted(_facs_table.OURS))

#: Mirroring a face turns its landmark ``FLIP_68[i]`` into landmark ``i``.
FLIP_68 = (
    *range(16, -1, -1),  # jaw line
    *range(26, 16, -1),  # eyebrows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # base of the nose
    *(45, 44, 43, 42, 47, 46),  # eye on the left of the image
    *(39, 38, 37, 36, 41, 40),  # eye on the right of the image
    *range(54, 47, -1),  # outer lip, top
    *range(59, 54, -1),  # outer lip, bottom
    *range(64, 59, -1),  # inner lip, top
    *(67, 66, 65),  # inner lip, bottom
)

#: AUs that name a side: mirroring a face turns each into its partner, so the labels of
#: these columns are exchanged when an image is flipped.
FLIP_AUS = MappingProxyType({51: 52, 52: 51, 55: 56, 56: 55, 61: 62, 62: 61})


def action_unit(number: int) -> ActionUnit:
    """Look up one action unit.

    Parameters
    ----------
    number : int
        FACS number.

    Returns
    -------
    ActionUnit

    Raises
    ------
    ValueError
        If FACS has no such unit, or this table does not hold it.

    Examples
    --------
    >>> from skfau.facs import action_unit
    >>> action_unit(12).name
    'Lip corner puller'
    """
    try:
        return ACTION_UNITS[number]
    except KeyError:
        known = ", ".join(map(str, ACTION_UNITS))
        raise ValueError(
            f"There is no AU{number}. Use one of these numbers: {known}."
        ) from None


def au_names(aus: Iterable[int]) -> list[str]:
    """Give the short labels of action units, for table columns and axes.

    Parameters
    ----------
    aus : iterable of int
        FACS numbers. The full name is ``action_unit(number).name``.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If a number is no action unit.

    Examples
    --------
    >>> from skfau.facs import DATASET_AUS, au_names
    >>> au_names(DATASET_AUS["disfa"])
    ['AU1', 'AU2', 'AU4', 'AU6', 'AU9', 'AU12', 'AU25', 'AU26']
    """
    return [action_unit(au).code for au in aus]


def roi_rule(
    au: int, convention: Literal["jaa", "eac", "aunet"] = "jaa"
) -> tuple[ROICentre, ...]:
    """Say where on the face an action unit shows.

    Parameters
    ----------
    au : int
        FACS number.

    convention : {"jaa", "eac", "aunet"}, default="jaa"
        Whose rule; see `ROI_RULES`.

    Returns
    -------
    tuple of ROICentre
        One centre, or two, the first on the left of the image of a frontal face.

    Raises
    ------
    ValueError
        If the convention is unknown or gives no rule for this AU.

    Examples
    --------
    >>> from skfau.facs import roi_rule
    >>> roi_rule(1)
    (ROICentre(points=(21,), dy=-0.5), ROICentre(points=(22,), dy=-0.5))
    """
    if convention not in ROI_RULES:
        raise ValueError(
            f"convention must be one of {', '.join(map(repr, ROI_RULES))}, "
            f"got {convention!r}."
        )
    action_unit(au)
    rules = ROI_RULES[convention]
    if au not in rules:
        hint = "" if au not in ROI_RULES["jaa"] else " convention='jaa' has one."
        raise ValueError(
            f"Convention {convention!r} has no region of interest for AU{au}; it has "
            f"one for AU {', '.join(map(str, rules))}.{hint}"
        )
    return rules[au]


def _paired_rules(aus, convention):
    """Return landmark numbers (n_aus, 2, 2) and offsets (n_aus, 2) of two centres.

    Nested tuples. A lone centre counts twice, a lone landmark is its own midpoint.
    """
    rules = [(roi_rule(au, convention) * 2)[:2] for au in aus]
    points = tuple(tuple((c.points * 2)[:2] for c in rule) for rule in rules)
    return points, tuple(tuple(c.dy for c in rule) for rule in rules)


def to_68(landmarks: Any, size: ArrayLike | None = None) -> NDArray[np.float32]:
    """Bring landmarks of other layouts, and of other tools, into the 68-point layout.

    Parameters
    ----------
    landmarks : array-like of shape (..., n_points, 2) or (..., n_points, 3), or list
        Pixels, x then y; a third number per point (depth, or a score) is left out. How
        many points there are tells what they are; see Notes. An entry of a list is one
        face: such an array, or dlib's or MediaPipe's object of it, or None where no
        face was found, which becomes NaN.
    size : array-like of shape (2,) or (n, 2), default=None
        Width and height of the image, or of that of each face, pixels: for points that
        are given as shares of it, as MediaPipe gives them. None: they are pixels.

    Returns
    -------
    ndarray of shape (..., 68, 2), dtype float32
        The same points in rows 0 to 67; rows that the layout lacks are NaN.

    Raises
    ------
    ValueError
        If the shape is not that of a known layout, or points are shares of an image of
        no known size.

    See Also
    --------
    skfau.preprocessing.FaceAligner : Aligns by 5 points, column ``five_points``.

    Notes
    -----
    ========= ==================================================================
    n_points  layout
    ========= ==================================================================
    68        iBUG, dlib, face-alignment, OpenFace, py-feat
    66        DISFA: without the inner lip corners (60 and 64)
    51        without the jaw line
    49        BP4D's ``2DFeatures``: without both
    98        WFLW. Brows are the middle between their edges, and four points of
              each eye a third of the way to the middle of the lid [1]_.
    468, 478  MediaPipe's face mesh, of which 68 are taken, as `MeshDetector` does
    5         RetinaFace, MTCNN, InsightFace, YuNet: the eye on the left of the
              image, the other eye, the tip of the nose (30) and the corners of
              the mouth, left (48) and right (54) in the image. The layout has no
              row for the centres of eyes: give such points to `skfau.Faces` as
              the column ``five_points``, by which faces are aligned.
    ========= ==================================================================

    Shares count from the edges of an image, pixels from the centre of the first one: a
    share of 0 is -0.5.

    References
    ----------
    .. [1] H. Jin et al., "Pixel-in-Pixel Net: Towards Efficient Facial Landmark
       Detection in the Wild", IJCV 129, 2021, which joins WFLW and 300W in this way.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.facs import to_68
    >>> points = to_68(np.zeros((5, 49, 2)))
    >>> points.shape, int(np.isnan(points[0, :, 0]).sum())
    ((5, 68, 2), 19)

    Two faces in shares of an image of 640 x 480 pixels, and one that was not found:

    >>> mesh = np.full((478, 3), 0.5)
    >>> to_68([mesh, mesh, None], size=(640, 480))[:, 0]
    array([[319.5, 239.5],
           [319.5, 239.5],
           [  nan,   nan]], dtype=float32)
    """
    # NumPy is imported there, because code without it uses the tables above.
    from skfau._landmark_layouts import (
        COUNTS,
        POINT_COUNTS,
        are_shares,
        as_points,
        in_pixels,
        rows_of_68,
    )

    points = as_points(landmarks)
    if points.ndim < 2 or points.shape[-1] not in (2, 3):
        raise ValueError(
            "landmarks must have shape (..., n_points, 2), x then y, got "
            f"{points.shape}; reshape flat rows x1 y1 x2 y2 ... first."
        )
    points, n_points = points[..., :2], points.shape[-2]
    if n_points not in POINT_COUNTS:
        raise ValueError(
            f"landmarks must have {COUNTS} points, got "
            f"{n_points}. For another layout, fill an array of shape (n, 68, 2) with "
            "NaN and put the points you have into their rows."
        )
    if size is not None:
        points = in_pixels(points, size)
    elif n_points > 68 and are_shares(points):
        raise ValueError(
            "landmarks are shares of the image, as MediaPipe gives them; pass size="
            "(width, height) of the image, in pixels."
        )
    return rows_of_68(points)
