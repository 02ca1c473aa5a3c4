"""Head, eyes, brows, nose and mouth, drawn from landmarks in face space."""

import numpy as np

from skfau.datasets.drawn._geometry import resting_landmarks
from skfau.datasets.drawn._sketch import beside, ellipse, mix, smooth


def draw_features(sketch):
    """Add head, mouth, eyes and nose to a `Sketch`."""
    _head(sketch)
    _mouth(sketch)
    rest = resting_landmarks(sketch.person)
    for half in sketch.halves():
        _eye(half, rest)
        _nose_side(half)
    _nose_tip(sketch)


def draw_brows_and_glasses(sketch):
    """Add brows and glasses, which cover wrinkles."""
    for half in sketch.halves():
        _brow(half)
    if sketch.person.glasses:
        _glasses(sketch)


def _in_all_frames(sketch, points):
    return np.broadcast_to(np.asarray(points, float), (len(sketch), len(points), 2))


def _with_mirror(points):
    """Complete the left half of an outline, given from bottom to top, by its mirror."""
    points = np.asarray(points, float)
    return np.concatenate([points, (points * (-1, 1))[::-1]])


def _head(sketch):
    who, skin = sketch.person, sketch.skin
    wide = np.array([who.face_width, 1.0])
    hair = np.asarray(who.hair)
    if not who.bald:
        crown = [(-1.19, 0.25), (-1.22, -0.3), (-1.12, -0.9), (-0.72, -1.42), (0, -1.6)]
        if who.long_hair:
            crown = [(-1.25, 2.6), (-1.38, 1.7), (-1.34, 0.8), *crown[1:]]
        back = smooth(_in_all_frames(sketch, _with_mirror(crown) * wide), closed=True)
        sketch.fill(back, hair * 0.8)
    neck = _with_mirror([(-0.66, 2.7), (-0.56, 2.1), (-0.6, 1.2)])
    sketch.fill(_in_all_frames(sketch, neck * wide), skin * 0.78)
    shirt = _with_mirror([(-2.6, 3.4), (-2.0, 2.3), (-0.62, 2.02), (-0.2, 2.2)])
    sketch.fill(smooth(_in_all_frames(sketch, shirt), closed=True), who.clothes)
    for half in sketch.halves():
        ear = half.spot(1, -0.035, -0.06)
        half.fill(ellipse(ear, 0.11, 0.25), skin * 0.9)
        half.fill(ellipse(ear + beside(-0.01, 0.0), 0.05, 0.15), skin * 0.74)
    forehead = np.array([(1.03, -0.5), (0.88, -0.95), (0.5, -1.27), (0, -1.37)])
    forehead = np.concatenate([forehead, forehead[-2::-1] * (-1, 1)]) * wide
    outline = [sketch.landmarks[:, :17], _in_all_frames(sketch, forehead)]
    sketch.fill(smooth(np.concatenate(outline, axis=1), closed=True), skin)
    if not who.bald:
        _hair_front(sketch, wide)


def _hair_front(sketch, wide):
    who = sketch.person
    line = np.array(
        [(-1.07, 0.0), (-1.035, -0.35), (-0.9, -0.72), (-0.55, -1.0), (0.0, -1.08),
         (0.55, -1.0), (0.9, -0.72), (1.035, -0.35), (1.07, 0.0)]
    )  # fmt: skip
    inner = np.clip(1 - np.abs(line[:, 0]), 0, 1)
    line[:, 1] += inner * (who.hairline + 0.3 * who.parting * line[:, 0])
    over = [(1.15, -0.3), (1.12, -0.9), (0.72, -1.42), (0.0, -1.62)]
    over = np.concatenate([over, np.array(over[-2::-1]) * (-1, 1)])
    outline = np.concatenate([line, over]) * wide
    sketch.fill(smooth(_in_all_frames(sketch, outline), closed=True), who.hair)


def _lids(half):
    upper = smooth(half.landmarks[:, [36, 37, 38, 39]], 6)
    lower = smooth(half.landmarks[:, [36, 41, 40, 39]], 6)
    return upper, lower


def _disc_between(centre, radius, upper, lower):
    """Outline of the part of a disc that is visible between two lids."""
    angle = np.linspace(np.pi, 0, 15)
    x = centre[:, :1] + radius * np.cos(angle)
    rise = radius * np.sin(angle)
    lids = [
        np.stack(
            [np.interp(*row) for row in zip(x, *lid.transpose(2, 0, 1), strict=True)]
        )
        for lid in (upper, lower)
    ]
    top = np.clip(centre[:, 1:] - rise, lids[0], np.maximum(*lids))
    bottom = np.clip(centre[:, 1:] + rise, top, np.maximum(top, lids[1]))
    outline = np.concatenate([top, bottom[:, ::-1]], axis=1)
    return np.stack([np.concatenate([x, x[:, ::-1]], axis=1), outline], axis=2)


def _eye(half, rest):
    who = half.person
    upper, lower = _lids(half)
    opening = (half.landmarks[:, 41, 1] - half.landmarks[:, 37, 1]) / 0.19
    open_enough = np.clip(opening * 4 - 0.4, 0, 1)
    socket = np.concatenate([upper, lower[:, ::-1]], axis=1)
    half.fill(socket, (242, 238, 232))
    middle = rest[[36, 37, 38, 39, 40, 41]].mean(axis=0)
    centre = middle + half.gaze * (0.06, 0.03)
    half.fill(_disc_between(centre, 0.118, upper, lower), np.asarray(who.iris) * 0.6)
    half.fill(_disc_between(centre, 0.098, upper, lower), who.iris)
    half.fill(_disc_between(centre, 0.05, upper, lower), (16, 14, 14))
    glint = ellipse(centre + beside(-0.035 * half._sign[0], -0.04), 0.022, 0.022, 8)
    half.fill(glint, (250, 250, 250), np.where(opening > 0.75, 1.0, 0.0))
    lash = np.asarray((34, 24, 22)) + 0.12 * half.skin
    width = 0.05 * np.linspace(1.0, 0.45, upper.shape[1])
    half.ribbon(upper + beside(0.0, -0.01), width, lash)
    half.stroke(lower + beside(0.0, 0.008), 0.02, strength=0.55 + 0.3 * half.act(7))
    lifted = half.landmarks[:, 18:21, 1].mean(axis=1) - rest[18:21, 1].mean()
    above = rest[[36, 37, 38, 39]] + [
        (-0.03, -0.03),
        (0, -0.075),
        (0, -0.075),
        (0, -0.04),
    ]
    crease = np.broadcast_to(above, (len(half), 4, 2)).copy()
    crease[..., 1] += 0.25 * lifted[:, None]
    crease[..., 1] = np.minimum(
        crease[..., 1], half.landmarks[:, [36, 37, 38, 39], 1] - 0.025
    )
    half.stroke(smooth(crease, 6), 0.022, strength=0.5 - 0.2 * open_enough)


def _brow(half):
    who = half.person
    curve = smooth(half.landmarks[:, 17:22], 5)
    profile = np.array([0.025, 0.075, 0.115, 0.13, 0.105]) * who.brow_thickness
    profile = np.interp(np.linspace(0, 4, curve.shape[1]), np.arange(5), profile)
    colour = np.minimum(np.asarray(who.hair) * 0.75, half.skin * 0.5)
    half.ribbon(curve, profile, colour)


def _nose_side(half):
    wing = smooth(
        half.path(
            (31, 0.06, -0.19), (31, -0.015, -0.14), (31, -0.045, -0.05),
            (31, -0.01, 0.015), (31, 0.055, 0.005),
        )
    )  # fmt: skip
    flare = half.act(9, 10)
    half.stroke(wing, 0.034, strength=0.7 + 0.3 * flare)
    nostril = half.spot(32, 0.0, -0.01)
    half.fill(ellipse(nostril, 0.06, 0.028), half.ink * 0.5, 0.9)
    ridge = smooth(half.path((27, -0.13, -0.06), (28, -0.09, 0.0), (29, -0.10, 0.02)))
    half.stroke(ridge, 0.016, strength=0.22)
    half.shade(half.spot(29, -0.17, 0.0), (0.07, 0.22), -0.13)


def _nose_tip(sketch):
    base = smooth(sketch.path((32, 0.02, 0.01), (33, 0.0, 0.015), (34, -0.02, 0.01)))
    sketch.stroke(base, 0.03, strength=0.8)
    sketch.shade(sketch.spot(30, 0, -0.02), (0.10, 0.09), 0.16)
    sketch.shade(sketch.spot(28, 0, 0.02), (0.05, 0.22), 0.10)
    sketch.shade(sketch.spot(33, 0, 0.08), (0.16, 0.05), -0.14)


def _mouth(sketch):
    points = sketch.landmarks
    top = smooth(points[:, 48:55], 5)
    bottom = smooth(points[:, [48, 59, 58, 57, 56, 55, 54]], 5)
    seam_top = smooth(points[:, [48, 60, 61, 62, 63, 64, 54]], 5)
    seam_bottom = smooth(points[:, [48, 60, 67, 66, 65, 64, 54]], 5)
    red = np.array([188.0, 72.0, 76.0]) * (0.45 + 0.55 * sketch.skin.mean() / 200)
    lip = mix(sketch.skin * (0.9, 0.72, 0.70), red, 0.25 + 0.4 * sketch.person.redness)
    sketch.fill(np.concatenate([top, seam_bottom[:, ::-1]], axis=1), lip * 0.86)
    sketch.fill(np.concatenate([seam_bottom, bottom[:, ::-1]], axis=1), lip)
    gap = seam_bottom - seam_top
    opening = gap[..., 1].max(axis=1)
    dark = np.array([66.0, 26.0, 28.0])
    inside = np.concatenate([seam_top, seam_bottom[:, ::-1]], axis=1)
    sketch.fill(inside, dark, np.where(opening > 0.015, 1.0, 0.0))
    room = np.clip(0.75 * gap - 0.005, 0.0, 0.105) * (0.0, 1.0)
    teeth = np.concatenate([seam_top, (seam_top + room)[:, ::-1]], axis=1)
    sketch.fill(teeth, (238, 234, 224), np.where(opening > 0.03, 1.0, 0.0))
    tongue = seam_bottom - gap * 0.3
    tongue = np.concatenate([tongue[:, 7:-7], seam_bottom[:, 7:-7][:, ::-1]], axis=1)
    sketch.fill(tongue, (128, 52, 54), np.where(opening > 0.16, 1.0, 0.0))
    sketch.stroke(seam_top, 0.032, dark * 0.8 + 0.15 * sketch.skin)
    below = (points[:, 57] + points[:, 66]) / 2
    sketch.shade(below, (0.12, 0.04), 0.10)
    sketch.shade(sketch.spot(57, 0.0, 0.10), (0.20, 0.05), -0.12)


def _glasses(sketch):
    colour = (44, 40, 42)
    rest = resting_landmarks(sketch.person)
    for half in sketch.halves():
        middle = rest[36:42].mean(axis=0) + beside(0.0, 0.05)
        ring = ellipse(np.broadcast_to(middle, (len(half), 2)), 0.36, 0.30, 24)
        ring = np.concatenate([ring, ring[:, :2]], axis=1)
        half.ribbon(ring, np.full(ring.shape[1], 0.04), colour)
        arm = _in_all_frames(half, [middle + beside(-0.36, -0.03), (-1.08, -0.03)])
        half.ribbon(arm, np.full(2, 0.045), colour)
    bridge = rest[[39, 42]] + [(0.10, 0.0), (-0.10, 0.0)]
    bridge = np.insert(bridge, 1, bridge.mean(axis=0) + beside(0.0, -0.04), axis=0)
    curve = smooth(_in_all_frames(sketch, bridge))
    sketch.ribbon(curve, np.full(curve.shape[1], 0.04), colour)
