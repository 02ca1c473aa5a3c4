"""What is drawn into the uv square of a face: wrinkles, skin, lips, brows, beard."""

import cv2
import numpy as np
from actions import AUS, COL

TEXTURE, CELLS = 512, 256
# Wrinkles, and how much each AU deepens them.
WRINKLES = {
    "forehead, middle": {1: 1.0, 2: 0.3},
    "forehead, sides": {2: 1.0},
    "glabella": {4: 0.9, 9: 0.5},
    "root of the nose": {9: 0.9, 4: 0.2},
    "sides of the nose": {9: 1.0},
    "above the lid": {4: 0.7, 9: 0.6},
    "crow's feet": {6: 1.0, 7: 0.25, 9: 0.25},
    "under the eye": {6: 0.9, 9: 0.6, 7: 0.3},
    "lower lid": {7: 1.0, 6: 0.6, 9: 0.7},
    "nasolabial fold": {10: 0.9, 12: 1.0, 9: 0.5, 6: 0.4},
    "top of that fold": {9: 1.0, 10: 0.8},
    "dimple": {14: 1.0},
    "corner of the mouth": {15: 1.0, 20: 0.4},
    "chin": {17: 1.0, 24: 0.3, 15: 0.3},
    "lips": {23: 1.0, 24: 0.8},
    "upper lid, shut": {45: 0.8},
}
NAMES = list(WRINKLES)
DRIVE = np.zeros((len(NAMES), len(AUS)), np.float32)
for _row, _aus in zip(DRIVE, WRINKLES.values(), strict=True):
    for _au, _share in _aus.items():
        _row[COL[_au]] = _share
# The left half of the face, in columns of the uv square.
LEFT = np.clip((np.arange(CELLS) / CELLS - 0.46) / 0.08, 0, 1).astype(np.float32)
_YY, _XX = np.mgrid[:TEXTURE, :TEXTURE].astype(np.float32) / TEXTURE
_VV = 1 - _YY


def noise2(rng, n, cells):
    """Return smooth noise (n, n) of as many cells a side."""
    few = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(few, (n, n), interpolation=cv2.INTER_CUBIC)


def curve(points, n=24):
    """Return a smooth line of n points through a few."""
    points = np.asarray(points, float)
    k, t = np.arange(len(points)), np.linspace(0, len(points) - 1, n)
    degree = min(len(points) - 1, 3)
    return np.stack([np.polyval(np.polyfit(k, p, degree), t) for p in points.T], 1)


def stroke(img, points, width, value=1.0):
    """Draw a line through uv points."""
    n = img.shape[0]
    p = np.rint(np.array([(u * n, (1 - v) * n) for u, v in points]) * 16)
    p = p.astype(np.int32).reshape(-1, 1, 2)
    thick = max(1, round(width * n))
    cv2.polylines(img, [p], False, float(value), thick, cv2.LINE_AA, 4)


class _Pen:
    """Draws into the map of a wrinkle, on one side or on both."""

    def __init__(self, rng):
        self.rng = rng
        self.maps = np.zeros((len(NAMES), CELLS, CELLS), np.float32)

    def both(self, name, points, width, value=1.0):
        for side in (-1, 1):
            placed = [(0.5 + side * (u - 0.5), v) for u, v in points]
            self.one(name, placed, width, value)

    def one(self, name, points, width, value=1.0):
        moved = np.array(points) + self.rng.normal(0, 0.003, (len(points), 2))
        value *= self.rng.uniform(0.6, 1)
        stroke(self.maps[NAMES.index(name)], curve(moved), width, value)


def _brow_wrinkles(pen):
    rng = pen.rng
    for v in np.linspace(0.845, 0.915, rng.integers(3, 6)):
        v += rng.normal(0, 0.004)
        arch = [(u, v + 0.012 * np.cos(9 * (u - 0.5))) for u in (0.42, 0.46, 0.5)]
        pen.one(NAMES[0], arch + [(1 - u, w) for u, w in arch[1::-1]], 0.006)
        side = [(u, v + 0.008 * np.cos(9 * (u - 0.37))) for u in (0.30, 0.36, 0.43)]
        pen.both(NAMES[1], side, 0.006)
    # One, two or three lines stand between the brows.
    if rng.random() < 0.3:
        pen.one("glabella", [(0.5, 0.765), (0.5, 0.79), (0.5, 0.815)], 0.009)
    pen.both("glabella", [(0.484, 0.758), (0.483, 0.785), (0.475, 0.815)], 0.010)
    pen.both("glabella", [(0.458, 0.800), (0.448, 0.814), (0.442, 0.828)], 0.010, 0.5)
    pen.both("above the lid", [(0.345, 0.752), (0.38, 0.757), (0.42, 0.748)], 0.022)


def _nose_wrinkles(pen):
    for v in (0.757, 0.744, 0.731):
        across = [(0.470, v - 0.006), (0.485, v), (0.5, v + 0.002)]
        pen.both("root of the nose", across, 0.008)
    # Folds fan out from the bridge down to the cheek.
    for v in (0.722, 0.705, 0.688, 0.671):
        fan = [(0.492, v), (0.472, v - 0.006), (0.450, v - 0.024)]
        pen.both("sides of the nose", fan, 0.008)
    pen.both("sides of the nose", [(0.44, 0.60), (0.45, 0.63), (0.46, 0.65)], 0.008)
    fold = [(0.442, 0.62), (0.425, 0.585), (0.407, 0.55)]
    pen.both("top of that fold", fold, 0.012)


def _eye_wrinkles(pen):
    for dv in (0.03, 0.018, 0.002, -0.014, -0.03):
        foot = [
            (0.298, 0.717 + dv * 0.3),
            (0.272, 0.717 + dv),
            (0.245, 0.717 + dv * 1.6),
        ]
        pen.both("crow's feet", foot, 0.006)
    pen.both("under the eye", [(0.312, 0.680), (0.35, 0.655), (0.41, 0.668)], 0.009)
    pen.both("under the eye", [(0.30, 0.672), (0.33, 0.645), (0.38, 0.640)], 0.007, 0.6)
    pen.both("lower lid", [(0.318, 0.702), (0.36, 0.692), (0.408, 0.703)], 0.007)
    pen.both("lower lid", [(0.325, 0.694), (0.36, 0.684), (0.40, 0.692)], 0.005, 0.6)
    pen.both("upper lid, shut", [(0.325, 0.735), (0.36, 0.742), (0.40, 0.732)], 0.005)


def _mouth_wrinkles(pen):
    fold = [(0.428, 0.575), (0.392, 0.535), (0.365, 0.475), (0.360, 0.425)]
    pen.both("nasolabial fold", fold, 0.010)
    pen.both("dimple", [(0.378, 0.475), (0.368, 0.445), (0.376, 0.410)], 0.012)
    corner = [(0.385, 0.432), (0.372, 0.405), (0.372, 0.375)]
    pen.both("corner of the mouth", corner, 0.010)
    for u in (0.44, 0.46, 0.48):
        pen.both("lips", [(u, 0.515), (u - 0.002, 0.54)], 0.004, 0.5)
    chin = [(0.45, 0.335), (0.5, 0.345), (0.55, 0.335)]
    pen.one("chin", chin, 0.012)
    yy, xx = np.mgrid[:CELLS, :CELLS] / CELLS
    near = np.exp(-((xx - 0.5) ** 2 + (0.685 - yy) ** 2) / 0.028**2)
    pits = np.abs(noise2(pen.rng, CELLS, 64)) * 0.9
    pen.maps[NAMES.index("chin")] += (near * pits).astype(np.float32)


def wrinkle_maps(rng):
    """Return a height map for each wrinkle: valleys below 0 and their banks above.

    They are a little different for each person.
    """
    pen = _Pen(rng)
    for draw in (_brow_wrinkles, _nose_wrinkles, _eye_wrinkles, _mouth_wrinkles):
        draw(pen)
    deep = [cv2.GaussianBlur(one, (0, 0), 1.25) for one in pen.maps]
    wide = [cv2.GaussianBlur(one, (0, 0), 3.2) for one in pen.maps]
    return 0.75 * np.stack(wide) - 1.1 * np.stack(deep)


def wrinkle_gains(rng, age):
    """Return how deep the wrinkles of a person become."""
    gains = np.clip(rng.normal(0.32 + 0.5 * age, 0.14, len(NAMES)), 0.08, 1.1)
    # Noses and glabellas wrinkle in the young, too.
    for name in NAMES[2:6]:
        k = NAMES.index(name)
        gains[k] = np.clip(gains[k] + 0.35, 0.45, 1.25)
    return gains.astype(np.float32)


def heights(still, maps, gains, levels, share):
    """Return the wrinkles of a frame whose halves act by their share."""
    act = (DRIVE * (levels / 5 * share)[:, None]).max(-1) * gains
    out = still.copy()
    for k in np.flatnonzero(act.max(0) > 0.02):
        left, right = act[:, k]
        out += maps[k] * (right + (left - right) * LEFT)
    return out


# ------------------------------------------------------------------------------- skin


def _blob(u, v, su, sv):
    return np.exp(-(((_XX - u) / su) ** 2) - ((_VV - v) / sv) ** 2)[..., None]


def _ring(points, curves):
    ring = np.concatenate([curve(points[q]) for q in curves])
    return np.rint(np.c_[ring[:, 0], 1 - ring[:, 1]] * TEXTURE).astype(np.int32)


def _base(rng, tone):
    grain = 0.05 * noise2(rng, TEXTURE, 7) + 0.03 * noise2(rng, TEXTURE, 30)
    grain += rng.uniform(0.01, 0.05) * noise2(rng, TEXTURE, 160)
    skin = (1 + grain)[..., None] * tone.astype(np.float32)
    flush = _blob(0.33, 0.58, 0.07, 0.07) + _blob(0.67, 0.58, 0.07, 0.07)
    flush += _blob(0.5, 0.59, 0.04, 0.04) + 0.5 * _blob(0.5, 0.31, 0.06, 0.04)
    skin *= 1 + rng.uniform(0.3, 1.2) * flush * np.float32([0.04, -0.12, -0.10])
    rings = _blob(0.36, 0.695, 0.05, 0.016) + _blob(0.64, 0.695, 0.05, 0.016)
    skin *= 1 - rng.uniform(0.05, 0.35) * rings * np.float32([0.8, 1, 0.9])
    spots = np.zeros((TEXTURE, TEXTURE), np.float32)
    for _ in range(int(rng.choice([3, 8, 150], p=[0.5, 0.35, 0.15]))):
        at = rng.uniform([0.2, 0.1], [0.8, 0.7]) * TEXTURE
        size = int(rng.integers(1, 3))
        cv2.circle(
            spots,
            (int(at[0]), int(at[1])),
            size,
            rng.uniform(0.2, 0.8),
            -1,
            cv2.LINE_AA,
        )
    return skin * (1 - cv2.GaussianBlur(spots, (0, 0), 0.8)[..., None])


def _make_up(rng, skin):
    """Colour the lids and the cheeks."""
    colour = rng.uniform(0.02, 0.35, 3).astype(np.float32)
    shadow = _blob(0.36, 0.737, 0.045, 0.014) + _blob(0.64, 0.737, 0.045, 0.014)
    shadow = np.clip(shadow, 0, 1) * rng.uniform(0.1, 0.6)
    skin = skin * (1 - shadow) + shadow * colour
    rouge = _blob(0.31, 0.60, 0.06, 0.05) + _blob(0.69, 0.60, 0.06, 0.05)
    return skin * (1 - rng.uniform(0, 0.4) * rouge * np.float32([0.1, 0.7, 0.6]))


def _lips(rng, skin, points, tone, painted):
    lip = np.zeros((TEXTURE, TEXTURE), np.float32)
    curves = ([48, 49, 50, 51], [51, 52, 53, 54], [54, 55, 56, 57], [57, 58, 59, 48])
    cv2.fillPoly(lip, [_ring(points, curves)], 1.0)
    lip = cv2.GaussianBlur(lip, (0, 0), 3)[..., None] * rng.uniform(0.4, 1)
    colour = tone * np.array([0.85, 0.52, 0.52]) * rng.uniform(0.7, 1.1)
    if painted:
        colour = np.array([0.35, 0.04, 0.06]) * rng.uniform(0.5, 1.6)
        colour *= rng.uniform(0.6, 1.4, 3)
    grain = 1 + 0.08 * noise2(rng, TEXTURE, 200)[..., None]
    return skin * (1 - lip) + lip * colour.astype(np.float32) * grain, lip


def _brows(rng, skin, points, person):
    """Draw hairs along the brows; thick or thin, dark or hardly there."""
    thick = rng.uniform(0.55, 1.6) * (1.15 if person.male else 0.85)
    drop, hairs = rng.normal(-0.012, 0.004), int(rng.integers(160, 420))
    brow = np.zeros((TEXTURE, TEXTURE), np.float32)
    for s, line in ((1, points[17:22]), (-1, points[22:27][::-1])):
        c = curve(line + np.array([0, drop]), 40)
        for _ in range(hairs):
            t = rng.beta(1.6, 1.1)
            spread = 0.0095 * thick * min(1, 0.35 + 1.1 * t)
            q = c[int(t * 39)] + [0, rng.normal(0, spread)]
            rise = 0.004 + 0.016 * t * rng.uniform(0.3, 1)
            lean = np.array([-s * (0.016 - 0.010 * t), rise])
            end = q + lean * rng.uniform(0.6, 1.2)
            stroke(brow, (q, end), 0.002, rng.uniform(0.5, 1))
    brow = np.clip(cv2.GaussianBlur(brow, (0, 0), 1.6) * 1.5, 0, 1)[..., None]
    brow *= rng.choice([rng.uniform(0.15, 0.5), rng.uniform(0.6, 1)], p=[0.2, 0.8])
    colour = np.minimum(person.hair * rng.uniform(0.5, 1.3), person.tone * 0.6)
    return skin * (1 - brow) + brow * colour.astype(np.float32)


def _beard(rng, skin, lip, amount, person):
    shape = _blob(0.5, 0.33, 0.26, 0.13) * 1.6 - _blob(0.5, 0.44, 0.115, 0.07) * 0.2
    moustache = _blob(0.5, 0.535, 0.09, 0.018)
    only = rng.random()
    beard = np.clip(shape, 0, 1) * (only > 0.2)
    if only < 0.85:
        beard = np.maximum(beard, moustache)
    beard = beard * (1 - lip) * (_VV < 0.60)[..., None]
    beard *= amount * np.clip(0.75 + 0.35 * noise2(rng, TEXTURE, 220), 0, 1)[..., None]
    colour = np.minimum(person.hair, person.tone * 0.5).astype(np.float32)
    return skin * (1 - beard) + beard * colour


def skin_texture(rng, points, person):
    """Return the skin of a person; `points` are the 68 in uv."""
    made_up = not person.male and rng.random() < 0.4
    skin = _base(rng, person.tone)
    if made_up:
        skin = _make_up(rng, skin)
    skin, lip = _lips(rng, skin, points, person.tone, made_up)
    skin = _brows(rng, skin, points, person)
    if person.beard:
        skin = _beard(rng, skin, lip, person.beard, person)
    return skin.clip(0.002, 1).astype(np.float32)
