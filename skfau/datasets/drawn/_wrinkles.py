"""Furrows, dimples and bulges that each AU adds to the skin."""

import numpy as np

from skfau.datasets.drawn._sketch import beside, ellipse, smooth


def draw_wrinkles(sketch):
    """Add every line and shade of the skin to a `Sketch`."""
    _relief(sketch)
    _forehead_centre(sketch)
    _chin(sketch)
    _lip_margins(sketch)
    for half in sketch.halves():
        _forehead_side(half)
        _glabella(half)
        _nose_root(half)
        _around_eye(half)
        _cheek(half)
        _dimple_and_droop(half)


def _relief(sketch):
    """Shade a face at rest: forehead, sockets, cheeks, jaw."""
    between = sketch.landmarks[:, [21, 22]].mean(axis=1)
    sketch.shade(between + beside(0, -0.3), (0.5, 0.25), 0.07)
    sketch.shade(sketch.spot(8, 0, -0.24), (0.2, 0.16), 0.06)
    blush = 0.05 + 0.07 * sketch.person.redness
    for half in sketch.halves():
        socket = half.landmarks[:, [20, 38]].mean(axis=1)
        half.shade(socket + beside(0.08, 0.03), (0.17, 0.09), -0.16)
        half.shade(half.spot(2, 0.12, 0.05), (0.16, 0.5), -0.13)
        half.shade(half.spot(5, 0.10, -0.05), (0.2, 0.2), -0.10)
        half.shade(half.spot(0, 0.12, -0.5), (0.12, 0.3), -0.10)
        half.shade(half.spot(41, -0.02, 0.46), (0.24, 0.16), -blush, (0.1, 1.0, 0.8))


def _forehead_centre(sketch):
    """AU1: lines across the middle, reaching to the temples if AU2 joins in."""
    inner = sketch.act(1)
    both = np.minimum(inner, sketch.act(2))
    strength = 0.9 * inner + sketch.person.forehead_lines
    brow = sketch.landmarks[:, [21, 22]].mean(axis=1)
    across = np.linspace(-1, 1, 9)
    width = (0.42 + 0.28 * both)[:, None] * across
    bow = np.outer(-0.05 * (1 - both) * (inner + 0.2), np.cos(across * np.pi))
    for shorter, height in ((1.0, 0.12), (0.86, 0.225), (0.72, 0.33)):
        line = np.stack([shorter * width, brow[:, 1:] - height + bow], axis=2)
        sketch.stroke(smooth(line, 3), 0.034, strength=strength)
        sketch.shade(brow + beside(0, 0.05 - height), (0.3, 0.025), 0.10 * inner)


def _forehead_side(half):
    """AU2: lines above the outer brow."""
    outer = half.act(2)
    for height, strength in ((0.12, 0.9), (0.23, 0.76)):
        arc = half.path(
            (17, 0.05, -height),
            (18, 0.02, -height - 0.02),
            (19, 0.0, -height - 0.015),
            (20, 0.0, -height + 0.02),
        )
        rest = 0.6 * half.person.forehead_lines
        half.stroke(smooth(arc), 0.034, strength=strength * outer + rest)
        half.shade(half.spot(18, 0.07, 0.06 - height), (0.18, 0.03), 0.1 * outer)


def _glabella(half):
    """AU4: an upright fold at the inner end of each brow."""
    frown = half.act(4)
    inwards = -0.58 * half.landmarks[:, 21, 0]
    fold = half.path(
        (21, inwards - 0.02, -0.14),
        (21, inwards, -0.02),
        (21, inwards + 0.015, 0.12),
        (21, inwards - 0.02, 0.22),
    )
    strength = 0.95 * frown + half.person.glabella_lines
    half.stroke(smooth(fold), 0.042, strength=strength)
    half.shade(half.spot(21, 0.06, 0.03), (0.10, 0.12), -0.22 * frown)
    half.shade(half.spot(38, 0.02, -0.10), (0.2, 0.06), -0.2 * frown)


def _nose_root(half):
    """AU9: creases across the root of the nose and down its sides."""
    wrinkled = half.act(9)
    for y in (-0.02, 0.08, 0.18):
        across = half.path((27, -0.13, y - 0.03), (27, -0.06, y), (27, 0.01, y - 0.02))
        half.stroke(smooth(across), 0.032, strength=wrinkled)
    for x, y in ((-0.25, 0.10), (-0.28, 0.21)):
        side = half.path((27, x, y), (27, x + 0.06, y + 0.1), (27, x + 0.09, y + 0.22))
        half.stroke(smooth(side), 0.036, strength=0.9 * wrinkled)
    half.shade(half.spot(28, -0.17, -0.05), (0.08, 0.16), -0.22 * wrinkled)
    half.shade(half.spot(21, 0.10, 0.05), (0.10, 0.08), -0.16 * wrinkled)


def _around_eye(half):
    """AU6: crow's feet, a fold under the eye, the cheek's apple; AU7: a taut lid."""
    raised, tight, old = half.act(6), half.act(7), half.person.eye_lines
    for y, dx, dy in ((-0.03, -0.19, -0.12), (0.01, -0.22, 0.0), (0.05, -0.19, 0.12)):
        foot = half.path(
            (36, -0.05, y),
            (36, -0.05 + 0.5 * dx, y + 0.4 * dy),
            (36, -0.05 + dx, y + dy),
        )
        half.stroke(smooth(foot), 0.03, strength=0.9 * raised + 0.6 * old)
    fold = half.path(
        (39, -0.04, 0.10), (40, -0.02, 0.115), (41, 0.0, 0.12), (36, -0.06, 0.15)
    )
    half.stroke(smooth(fold), 0.036, strength=0.85 * raised + 0.5 * old)
    taut = half.path(
        (39, -0.02, 0.04), (40, 0.0, 0.05), (41, 0.0, 0.05), (36, 0.04, 0.05)
    )
    half.stroke(smooth(taut), 0.026, strength=0.85 * tight)
    half.shade(half.spot(40, -0.10, 0.03), (0.17, 0.03), 0.16 * tight)
    half.shade(half.spot(41, -0.03, 0.33), (0.2, 0.12), 0.17 * raised)
    half.shade(half.spot(41, -0.03, 0.16), (0.22, 0.05), -0.16 * raised)
    half.shade(half.spot(41, -0.01, 0.55), (0.2, 0.08), -0.06 * raised)


def _cheek(half):
    """Draw the fold from nose to mouth: AU12 rounds, AU10 bends, AU9 deepens it."""
    smile, sneer, wrinkled = half.act(12), half.act(10), half.act(9)
    rest = 0.7 * half.person.cheek_lines
    top = half.path(
        (31, -0.03, -0.16), (31, -0.10, -0.08), (31, -0.16 - 0.04 * sneer, 0.06)
    )
    deep = 0.9 * np.maximum(wrinkled, sneer) + 0.2 * smile + 0.2 * half.act(6)
    half.stroke(smooth(top), 0.042, strength=deep + rest)
    start, end = half.spot(31, -0.09, -0.09), half.spot(48, -0.11, 0.06)
    bulge = beside(-0.07 - 0.06 * sneer, -0.07)
    fold = [
        start,
        0.62 * start + 0.38 * end + bulge,
        0.25 * start + 0.75 * end + 0.8 * bulge,
        end,
    ]
    deep = 0.95 * smile + 0.8 * sneer + 0.35 * half.act(20)
    half.stroke(smooth(np.stack(fold, axis=1)), 0.042, strength=deep + rest)
    pushed = 0.12 * (sneer + wrinkled)
    half.shade(half.spot(31, -0.30, -0.02), (0.14, 0.12), pushed)
    half.shade(half.spot(48, -0.22, -0.22), (0.13, 0.14), 0.16 * smile)
    half.shade(half.spot(48, -0.13, -0.04), (0.05, 0.12), -0.16 * smile)


def _dimple_and_droop(half):
    """Mark the mouth's corner: AU14 dimples it, AU15 drags it, AU20 stretches it."""
    dimple, droop, stretched = half.act(14), half.act(15), half.act(20)
    comma = half.path((48, -0.035, -0.12), (48, -0.10, -0.02), (48, -0.045, 0.11))
    half.stroke(smooth(comma), 0.065, strength=dimple)
    half.shade(half.spot(48, -0.03, 0.0), (0.06, 0.08), -0.32 * dimple)
    half.shade(half.spot(48, -0.22, 0.0), (0.07, 0.12), 0.24 * dimple)
    drag = half.path((48, -0.015, 0.0), (48, -0.055, 0.09), (48, -0.04, 0.21))
    half.stroke(smooth(drag), 0.05, strength=droop)
    half.shade(half.spot(48, -0.13, 0.08), (0.06, 0.09), 0.16 * droop)
    half.shade(half.spot(48, 0.03, 0.10), (0.08, 0.06), -0.2 * droop)
    for dx in (-0.09, -0.17):
        bracket = half.path(
            (48, dx + 0.03, -0.12), (48, dx, 0.0), (48, dx + 0.02, 0.13)
        )
        half.stroke(smooth(bracket), 0.036, strength=0.8 * stretched)


def _chin(sketch):
    """AU17: a crease under the lip and a pitted chin."""
    boss = sketch.act(17)
    room = sketch.landmarks[:, 8, 1] - sketch.landmarks[:, 57, 1]
    crease = sketch.path(
        (57, -0.2, 0.23 * room + 0.05),
        (57, -0.1, 0.23 * room),
        (57, 0.0, 0.23 * room - 0.015),
        (57, 0.1, 0.23 * room),
        (57, 0.2, 0.23 * room + 0.05),
    )
    strength = boss + 0.3 * sketch.act(15) + sketch.person.chin_lines
    sketch.stroke(smooth(crease), 0.042, strength=strength)
    middle = sketch.spot(57, 0.0, 0.65 * room)
    sketch.shade(middle, (0.17, 0.11), 0.18 * boss)
    for dx, dy in (
        (-0.13, -0.04), (0.0, -0.075), (0.13, -0.04), (-0.07, 0.01), (0.07, 0.01),
        (-0.13, 0.07), (0.0, 0.07), (0.13, 0.07),
    ):  # fmt: skip
        pit = ellipse(middle + beside(dx, dy), 0.03, 0.021, 8)
        sketch.fill(pit, sketch.ink, 0.85 * boss)


def _lip_margins(sketch):
    """AU23: fine lines that run into the lips; AU24: bulges above and below them."""
    tight, pressed = sketch.act(23), sketch.act(24)
    for index, away in ((50, -1), (51, -1), (52, -1), (56, 1), (57, 1), (58, 1)):
        for dx in (-0.045, 0.045):
            line = sketch.path(
                (index, dx, 0.02 * away),
                (index, 1.3 * dx, 0.06 * away),
                (index, 1.6 * dx, 0.105 * away),
            )
            sketch.stroke(line, 0.02, strength=0.85 * tight)
    seam = sketch.landmarks[:, [60, 62, 64]].mean(axis=1)
    for away in (-1, 1):
        bulge, edge = seam + beside(0, 0.12 * away), seam + beside(0, 0.20 * away)
        sketch.shade(bulge, (0.3, 0.05), 0.24 * pressed)
        sketch.shade(edge, (0.28, 0.035), -0.16 * pressed)
