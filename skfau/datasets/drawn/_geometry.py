"""The drawn face as 68 points: its build, its muscles, the pose of its head.

Face space: x to the image's right, y down, origin midway between the pupils, one unit
is the distance between them. Points are in iBUG-68 order. Only the subject's right half
(the image's left) is given; the left half is its mirror image, so a face at rest is
symmetric.
"""

import numpy as np

from skfau.facs import FLIP_68

MIRROR = np.array(FLIP_68)

JAW_LINE = [0, 1, 2, 3, 4, 5, 6, 7, 8]
BROW = [17, 18, 19, 20, 21]
EYE = [36, 37, 38, 39, 40, 41]
UPPER_LIP = [48, 49, 50, 51]
LOWER_LIP = [57, 58, 59]
MOUTH = [*UPPER_LIP, *LOWER_LIP, 60, 61, 62, 66, 67]

_HALF_FACE = {
    0: (-1.06, -0.02), 1: (-1.055, 0.27), 2: (-1.025, 0.56), 3: (-0.96, 0.85),
    4: (-0.845, 1.13), 5: (-0.68, 1.38), 6: (-0.475, 1.585), 7: (-0.245, 1.715),
    8: (0.0, 1.755),
    17: (-0.89, -0.285), 18: (-0.77, -0.385), 19: (-0.605, -0.415),
    20: (-0.43, -0.395), 21: (-0.255, -0.345),
    27: (0.0, -0.06), 28: (0.0, 0.14), 29: (0.0, 0.335), 30: (0.0, 0.53),
    31: (-0.205, 0.665), 32: (-0.105, 0.70), 33: (0.0, 0.725),
    36: (-0.735, 0.015), 37: (-0.60, -0.105), 38: (-0.40, -0.10),
    39: (-0.265, 0.03), 40: (-0.405, 0.085), 41: (-0.595, 0.09),
    48: (-0.43, 1.09), 49: (-0.26, 1.02), 50: (-0.09, 0.98), 51: (0.0, 1.0),
    57: (0.0, 1.255), 58: (-0.125, 1.245), 59: (-0.285, 1.19),
    60: (-0.385, 1.09), 61: (-0.13, 1.09), 62: (0.0, 1.095),
    66: (0.0, 1.10), 67: (-0.13, 1.098),
}  # fmt: skip

# Movement of each point at intensity 5: (outwards, down). `_keep_lids_and_lips_apart`
# corrects lids and lips.
_HALF_ACTIONS = {
    1: {21: (0.01, -0.19), 20: (0.01, -0.15), 19: (0.0, -0.06), 18: (0.0, -0.01),
        38: (0.0, -0.01)},
    2: {17: (0.01, -0.15), 18: (0.01, -0.20), 19: (0.0, -0.15), 20: (0.0, -0.06),
        21: (0.0, -0.01), 37: (0.0, -0.01)},
    4: {21: (-0.085, 0.13), 20: (-0.075, 0.13), 19: (-0.05, 0.10), 18: (-0.03, 0.06),
        17: (-0.015, 0.03), 37: (0.0, 0.015), 38: (0.0, 0.025)},
    5: {37: (0.0, -0.075), 38: (0.0, -0.075), 36: (0.0, -0.01), 40: (0.0, 0.01),
        41: (0.0, 0.01)},
    6: {36: (-0.015, 0.0), 40: (0.0, -0.03), 41: (0.0, -0.04), 37: (0.0, 0.012),
        17: (0.0, 0.025), 18: (0.0, 0.015)},
    7: {40: (0.0, -0.07), 41: (0.0, -0.07), 37: (0.0, 0.038), 38: (0.0, 0.038)},
    9: {31: (0.02, -0.10), 32: (0.01, -0.085), 33: (0.0, -0.05), 30: (0.0, -0.045),
        29: (0.0, -0.03), 21: (-0.03, 0.08), 20: (-0.02, 0.07), 19: (0.0, 0.035),
        39: (0.01, 0.0), 40: (0.0, -0.02), 38: (0.0, 0.015),
        49: (0.02, -0.06), 50: (0.0, -0.075), 51: (0.0, -0.07),
        61: (0.0, -0.02), 62: (0.0, -0.02)},
    10: {49: (0.05, -0.11), 50: (0.03, -0.12), 51: (0.0, -0.095), 61: (0.02, -0.045),
         62: (0.0, -0.045), 66: (0.0, -0.03), 67: (0.01, -0.03), 57: (0.0, -0.02),
         58: (0.0, -0.02), 48: (0.0, -0.025), 60: (0.0, -0.025), 31: (0.03, -0.03),
         32: (0.015, -0.025)},
    12: {48: (0.15, -0.14), 60: (0.15, -0.13), 49: (0.10, -0.05), 59: (0.09, -0.045),
         50: (0.035, 0.02), 51: (0.0, 0.03), 58: (0.04, 0.0), 61: (0.045, 0.01),
         62: (0.0, 0.02), 66: (0.0, 0.02), 67: (0.045, 0.01), 31: (0.02, -0.01),
         3: (0.02, -0.01), 4: (0.02, -0.01)},
    14: {48: (0.03, -0.015), 60: (0.04, -0.015), 49: (0.03, 0.012), 59: (0.03, -0.012),
         50: (0.02, 0.025), 51: (0.0, 0.025), 58: (0.02, -0.025), 57: (0.0, -0.025)},
    15: {48: (0.015, 0.135), 60: (0.01, 0.12), 49: (0.01, 0.06), 59: (0.01, 0.075),
         50: (0.0, 0.005), 58: (0.0, 0.01)},
    17: {57: (0.0, -0.06), 58: (0.0, -0.055), 59: (0.0, -0.02), 66: (0.0, -0.07),
         67: (0.0, -0.06), 61: (0.0, -0.06), 62: (0.0, -0.07), 50: (0.0, -0.05),
         51: (0.0, -0.05), 49: (0.0, -0.02), 48: (0.0, 0.02), 60: (0.0, 0.02),
         8: (0.0, -0.06), 7: (0.0, -0.045), 6: (0.0, -0.015)},
    20: {48: (0.19, 0.03), 60: (0.19, 0.03), 49: (0.13, 0.02), 59: (0.13, -0.03),
         50: (0.05, 0.02), 51: (0.0, 0.015), 58: (0.06, -0.035), 57: (0.0, -0.035),
         61: (0.06, 0.0), 67: (0.06, 0.0), 4: (0.02, 0.0), 5: (0.015, 0.0)},
    23: {48: (-0.15, 0.0), 60: (-0.135, 0.0), 49: (-0.085, 0.03), 59: (-0.085, -0.025),
         50: (-0.025, 0.045), 51: (0.0, 0.04), 58: (-0.04, -0.06), 57: (0.0, -0.06),
         61: (-0.03, 0.0), 67: (-0.03, 0.0)},
    24: {48: (0.01, 0.0), 60: (0.01, 0.0), 49: (0.0, 0.05), 50: (0.0, 0.085),
         51: (0.0, 0.07), 59: (0.0, -0.065), 58: (0.0, -0.10), 57: (0.0, -0.105)},
    25: {61: (0.02, -0.025), 62: (0.0, -0.025), 50: (0.0, -0.02), 51: (0.0, -0.02),
         49: (0.0, -0.01), 66: (0.0, 0.085), 67: (0.03, 0.08), 57: (0.0, 0.07),
         58: (0.0, 0.065), 59: (0.0, 0.035)},
    26: {8: (0.0, 0.28), 7: (0.0, 0.27), 6: (-0.01, 0.23), 5: (-0.02, 0.17),
         4: (-0.02, 0.09), 3: (-0.01, 0.04), 57: (0.0, 0.25), 58: (0.0, 0.24),
         59: (-0.02, 0.16), 66: (0.0, 0.24), 67: (-0.005, 0.22), 48: (-0.04, 0.06),
         60: (-0.04, 0.06), 61: (0.0, -0.01), 62: (0.0, -0.01)},
    43: {17: (0.0, 0.01), 18: (0.0, 0.012), 19: (0.0, 0.012)},
}  # fmt: skip

SUPPORTED_AUS = tuple(sorted(_HALF_ACTIONS))
AU_COLUMN = {au: k for k, au in enumerate(SUPPORTED_AUS)}


def _neutral_points():
    points = np.zeros((68, 2))
    for index, (x, y) in _HALF_FACE.items():
        points[index] = x, y
        points[MIRROR[index]] = -x, y
    return points


def _action_fields():
    fields = np.zeros((len(SUPPORTED_AUS), 68, 2))
    for au, moves in _HALF_ACTIONS.items():
        for index, (out, down) in moves.items():
            on_midline = MIRROR[index] == index
            fields[AU_COLUMN[au], index] = 0.0 if on_midline else -out, down
            fields[AU_COLUMN[au], MIRROR[index]] = 0.0 if on_midline else out, down
    return fields


NEUTRAL = _neutral_points()
ACTIONS = _action_fields()


def _both_sides(half):
    return sorted({*half, *MIRROR[half].tolist()})


def resting_landmarks(who):
    """Landmarks of one person at rest.

    Parameters
    ----------
    who : Person
        Only the proportions of the face are used.

    Returns
    -------
    landmarks : ndarray of shape (68, 2), float64, face space
    """
    points = NEUTRAL.copy()
    side = np.sign(points[:, 0])
    jaw, brow, eye, mouth = (_both_sides(p) for p in (JAW_LINE, BROW, EYE, MOUTH))
    nose = list(range(27, 36))
    below = np.clip(points[jaw, 1], 0.0, None) / NEUTRAL[8, 1]
    points[jaw, 0] *= who.face_width * (1 + (who.jaw_width - 1) * below)
    points[jaw, 1] *= who.face_length
    centre = np.where(points[eye, 0] < 0, -0.5, 0.5)
    off_centre = points[eye, 0] - centre
    points[eye, 1] *= who.eye_opening
    points[eye, 1] -= who.eye_slant * off_centre * side[eye]
    points[eye, 0] = centre * who.eye_spacing + off_centre * who.eye_width
    inward = 0.6 - np.abs(points[brow, 0])
    points[brow, 1] += who.brow_height + who.brow_slant * inward
    points[brow, 1] += who.brow_arch * (inward**2 - 0.05)
    points[brow, 0] *= who.eye_spacing
    points[nose, 0] *= who.nose_width
    points[nose, 1] *= who.nose_length
    seam = 1.095
    height = points[mouth, 1] - seam
    lip = np.where(height < 0, who.upper_lip, who.lower_lip)
    points[mouth, 1] = seam + height * lip + who.mouth_height
    corner = np.abs(points[mouth, 0]) / 0.43
    points[mouth, 1] += who.corner_droop * corner**2
    points[mouth, 0] *= who.mouth_width
    return points


def moved_landmarks(rest, strength, asymmetry=0.0):
    """Move the landmarks of a face at rest as its AUs act.

    Parameters
    ----------
    rest : ndarray of shape (68, 2), face space
    strength : ndarray of shape (n, len(SUPPORTED_AUS)), float
        Strength of each AU: 0 is rest, 1 is intensity 5.
    asymmetry : float, default=0.0
        Share by which the image's left half acts more than the right half.

    Returns
    -------
    landmarks : ndarray of shape (n, 68, 2), float64, face space
    """
    strength = strength.copy()
    # AU24 weakens AU25 and AU26: pressed lips cannot hang open.
    pressed = 1 - 0.9 * np.clip(strength[:, [AU_COLUMN[24]]], 0, 1)
    for au in (25, 26):
        strength[:, AU_COLUMN[au]] *= pressed[:, 0]
    moves = np.einsum("na,apd->npd", strength, ACTIONS)
    moves *= 1 - asymmetry * np.sign(rest[:, :1])
    points = rest + moves
    _keep_lids_and_lips_apart(points, np.clip(strength[:, AU_COLUMN[43]], 0, 1))
    return points


def _keep_lids_and_lips_apart(points, shut):
    """Close the lids by AU43; keep lids and lips from crossing."""
    pairs = ((37, 41), (38, 40), (43, 47), (44, 46))
    for upper, lower in pairs:
        opening = np.maximum(points[:, lower, 1] - points[:, upper, 1], 0.03)
        # The upper lid moves nine tenths of the way.
        points[:, lower, 1] -= 0.1 * shut * opening
        points[:, upper, 1] = points[:, lower, 1] - opening * (1 - shut)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        gap = np.maximum(points[:, lower, 1] - points[:, upper, 1], 0.004)
        points[:, lower, 1] = points[:, upper, 1] + gap
        for lip, inner, sign in ((upper - 11, upper, -1), (lower - 9, lower, 1)):
            red = np.maximum(sign * (points[:, lip, 1] - points[:, inner, 1]), 0.012)
            points[:, lip, 1] = points[:, inner, 1] + sign * red


def depth(points):
    """Depth towards the viewer of points on the face, in face-space units.

    An ellipsoid for the head, a ridge for the nose, a swell for the lips.
    """
    x, y = points[..., 0], points[..., 1]
    head = 1.15 * np.sqrt(np.clip(1 - (x / 1.35) ** 2 - ((y - 0.35) / 2.3) ** 2, 0, 1))
    along = np.clip((y + 0.15) / 0.7, 0, 1) * np.clip((0.95 - y) / 0.3, 0, 1)
    nose = 0.36 * along * np.exp(-((x / 0.19) ** 2))
    lips = 0.08 * np.exp(-((x / 0.4) ** 2) - ((y - 1.1) / 0.2) ** 2)
    return head + nose + lips


def project(points, pose):
    """Project points of a head in some pose to the image.

    Parameters
    ----------
    points : ndarray of shape (n, m, 2), face space
    pose : Pose
        Per-frame yaw, pitch, roll (radians), scale (pixels per unit) and centre
        (pixels).

    Returns
    -------
    pixels : ndarray of shape (n, m, 2), dtype of `points`
        x then y; the centre of the top left pixel is (0, 0).
    """
    yaw, pitch, roll, scale = (
        angle.astype(points.dtype)[:, None]
        for angle in (pose.yaw, pose.pitch, pose.roll, pose.scale)
    )
    # The head turns about a point behind the nose, so the face stays in the middle.
    x, y, z = points[..., 0], points[..., 1] - 0.46, depth(points) - 0.85
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), z * np.cos(pitch) + y * np.sin(pitch)
    size = scale * (9.0 / (9.0 - z))
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    pixels = np.stack([size * x, size * y], axis=-1)
    return pixels + pose.centre[:, None, :].astype(points.dtype)
