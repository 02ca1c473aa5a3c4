"""People: shape, skin, hair, glasses, a face at rest, and habits of moving it."""

import numpy as np
from actions import AUS, COL, person_level
from face_model import EYESOCKET, FACE, GUMS, HEAD, LIDS, LIPS, SOCKET, TEETH
from shading import vertex_normals
from skin import CELLS, NAMES, noise2, skin_texture, wrinkle_gains, wrinkle_maps

# Colours are written in sRGB and used linear.
SKINS = np.array(
    [
        (0.93, 0.79, 0.71),
        (0.88, 0.70, 0.58),
        (0.79, 0.59, 0.45),
        (0.64, 0.45, 0.32),
        (0.48, 0.33, 0.24),
        (0.36, 0.25, 0.19),
    ]
)
HAIR = np.array(
    [
        (0.06, 0.05, 0.05),
        (0.13, 0.09, 0.07),
        (0.28, 0.19, 0.12),
        (0.42, 0.30, 0.18),
        (0.60, 0.48, 0.30),
        (0.45, 0.43, 0.42),
        (0.75, 0.74, 0.72),
    ]
)
IRIS = np.array(
    [
        (0.20, 0.11, 0.06),
        (0.30, 0.18, 0.09),
        (0.34, 0.34, 0.18),
        (0.30, 0.42, 0.52),
        (0.38, 0.42, 0.42),
    ]
)
# Spread of the shapes of faces at rest.
REST = {
    "browInnerUp*": 0.06,
    "browOuterUp*": 0.06,
    "browDown*": 0.07,
    "eyeSquint*": 0.07,
    "eyeWide*": 0.07,
    "cheekSquint*": 0.06,
    "mouthSmile*": 0.04,
    "mouthFrown*": 0.05,
    "mouthDimple*": 0.05,
    "mouthPress*": 0.05,
    "mouthUpperUp*": 0.03,
    "noseSneer*": 0.04,
    "mouthStretch*": 0.05,
    "cheekPuff*": 0.06,
    "mouthPucker": 0.05,
    "mouthRollLower": 0.05,
    "mouthRollUpper": 0.04,
    "mouthShrugLower": 0.05,
}


class Person:
    """One person, the same for one seed and number.

    Parameters
    ----------
    model : Model
    seed, number : int
    root : ndarray
        Root of the AUs' correlations.
    nuisance : float
        0 is a plain face that does as it is told, 1 usual variety.
    """

    def __init__(self, model, seed, number, root, nuisance=1.0):
        rng = np.random.default_rng([seed, number])
        self.level = person_level(rng, root)
        spread = rng.normal(0, 0.16) + rng.normal(0, 0.16, len(AUS))
        self.gain = np.clip(np.exp(nuisance * spread), 0.45, 1.5)
        self.gain[COL[45]] = 1
        people = rng.standard_normal(len(model.ident)).astype(np.float32)
        self.base = model.mean + (people @ model.ident).reshape(-1, 3)
        self._at_rest(model, rng, nuisance)
        self._colours(rng)
        self.male, self.age = rng.random() < 0.5, rng.random()
        amounts = [0, rng.uniform(0.1, 0.35), rng.uniform(0.6, 0.9)]
        self.beard = rng.choice(amounts, p=[0.45, 0.35, 0.20]) * self.male
        self.texture = skin_texture(rng, model.vuv[model.lm], self)
        self._hair(model, rng, nuisance)
        self.maps = wrinkle_maps(rng)
        self.gains = wrinkle_gains(rng, self.age)
        still = rng.uniform(0, 0.36, len(NAMES)) * self.age * nuisance
        still = np.tensordot(still.astype(np.float32), self.maps, 1)
        pores = rng.uniform(0.005, 0.035)
        still += pores * (noise2(rng, CELLS, 128) + noise2(rng, CELLS, 40))
        self.still = still.astype(np.float32)
        self._glasses(rng, nuisance)

    def _at_rest(self, model, rng, nuisance):
        self.side = np.ones(len(model.names))
        self.rest = np.zeros(len(model.names), np.float32)
        for name in (n for n in model.names if n.endswith("_L")):
            left, right = model.index(name[:-2] + "*")
            d = rng.normal(0, 0.08 * nuisance)
            self.side[left], self.side[right] = 1 + d, 1 - d
        for name, sd in REST.items():
            rows = model.index(name)
            own = rng.normal(0, sd) + rng.normal(0, sd * 0.25, len(rows))
            self.rest[rows] = nuisance * own
        # Lids of a face at rest cover the top of the iris, more in some.
        self.rest[model.index("eyeBlink*")] = rng.uniform(0.04, 0.26)
        # Mouths of the model stand a little open.
        gap = model.gap(self.base + (self.rest @ model.expr).reshape(-1, 3), LIPS)
        rows = model.index("mouthLowerDown*")
        opens = model.gap(model.expr[rows].sum(0).reshape(-1, 3), LIPS)
        close = (gap - rng.uniform(0.02, 0.06)) / opens
        self.rest[rows] = -np.clip(close, 0, 0.4)
        # Larger eyes need more to shut.
        closes = -model.expr[model.index("eyeBlink*")].sum(0).reshape(-1, 3)
        shut = 1.06 * model.gap(self.base, LIDS) / model.gap(closes, LIDS)
        self.shut = np.clip(shut, 0.85, 1.7)

    def _colours(self, rng):
        self.dark = rng.random()
        k = self.dark * (len(SKINS) - 1.001)
        tone = SKINS[int(k)] * (1 - k % 1) + SKINS[int(k) + 1] * (k % 1)
        self.tone = np.clip(tone * rng.normal(1, 0.02, 3), 0, 1) ** 2.2
        hair = HAIR[rng.integers(0, 2 if self.dark > 0.55 else len(HAIR))]
        self.hair = (hair * rng.uniform(0.8, 1.2)) ** 2.2
        iris = IRIS[rng.integers(0, 2 if self.dark > 0.5 else len(IRIS))] ** 2.2
        iris = iris * rng.uniform(0.8, 1.3)
        sclera = np.array([0.75, 0.70, 0.67]) * rng.uniform(0.6, 1)
        radius = [rng.uniform(0.64, 0.74)] * 3
        self.eye = np.float32([sclera, iris * 0.25, iris, [0.004] * 3, radius])
        self.gloss = np.float32(rng.uniform(0.02, 0.09))

    def _hair(self, model, rng, nuisance):
        hair = self._vertex_colours(model, rng)
        volume = rng.uniform(0.1, 1.4)
        self.hat = rng.random() < 0.06 * nuisance
        if self.hat:
            cover = np.clip((model.mean[:, 1] - rng.uniform(7.4, 9.2)) / 0.3, 0, 1)
            cover = cover * (model.part <= HEAD)
            colour = rng.uniform(0.01, 0.6) * rng.uniform(0.4, 1.3, 3)
            self.colour += cover[:, None] * (colour.astype(np.float32) - self.colour)
            self.mix = np.maximum(self.mix, cover).astype(np.float32)
            hair, volume = np.maximum(hair, cover), rng.uniform(0.5, 1.2)
        normals = np.empty_like(self.base)
        vertex_normals(self.base, model.tri, normals)
        self.base += normals * (hair * volume)[:, None].astype(np.float32)
        self.fringe = None
        if not self.hat and hair.any() and rng.random() < 0.22 * nuisance:
            self.fringe = fringe(rng, self.hair)

    def _vertex_colours(self, model, rng):
        """Colour all but the facial skin; return where hair grows."""
        g, part = model.mean, model.part
        colour, mix = np.ones((len(g), 3)) * self.tone, (part != FACE).astype(float)
        colour[(part == SOCKET) | (part == EYESOCKET)] = (0.10, 0.02, 0.02)
        colour[part == GUMS] = np.array([0.36, 0.11, 0.11]) * rng.uniform(0.6, 1.1)
        colour[part == TEETH] = np.array([0.80, 0.76, 0.66]) * rng.uniform(0.7, 1.15)
        depth = np.interp(g[part == TEETH, 2], (7.7, 9.9), (0.04, 1))
        colour[part == TEETH] *= depth[:, None]
        shirt = g[:, 1] < -13 - 0.02 * g[:, 0] ** 2 + 1.5 * rng.random()
        colour[shirt] = rng.uniform(0.02, 0.6) * rng.uniform(0.6, 1.2, 3)
        mix[shirt] = 1
        top = rng.uniform(9.3, 11.2)
        line = [-6, -5, 1 if self.male else -2, 4.5, 7.5, top - 0.9, top]
        line = np.interp(g[:, 2], [-9, -1, 0.5, 3, 5, 7.5, 9.5], line)
        line += 0.35 * np.sin(g[:, 0] * rng.uniform(0.8, 2) + rng.uniform(0, 6))
        line += rng.normal(0, 0.15, len(g))
        ear = (np.abs(model.vuv[:, 0] - 0.5) > 0.415) & (model.vuv[:, 1] < 0.70)
        grows = ~(ear & (part == FACE)) * (part <= HEAD) * (rng.random() > 0.08)
        hair = np.clip((g[:, 1] - line) / 0.8, 0, 1) * grows
        waves = g[:, 0] * rng.uniform(4, 9) + 3 * np.sin(g[:, 1])
        streak = 1 + 0.25 * np.sin(waves) + rng.normal(0, 0.12, len(g))
        colour += hair[:, None] * (self.hair * streak[:, None].clip(0.4, 2) - colour)
        mix = np.maximum(mix, hair)
        upper = rng.uniform(0.5, 1) * np.clip(1.6 - model.lids[0] / 0.12, 0, 1)
        lower = rng.uniform(0.1, 0.5) * np.clip(1.5 - model.lids[1] / 0.08, 0, 1)
        lash = np.maximum(upper, lower)
        colour[lash > mix] = np.minimum(self.hair * 0.5, self.tone * 0.2)
        self.colour = colour.astype(np.float32)
        self.mix = np.maximum(mix, lash).astype(np.float32)
        return hair

    def _glasses(self, rng, nuisance):
        self.glasses = rng.random() < 0.12 * nuisance
        frame = rng.uniform(0, 0.12) * np.ones(3)
        if rng.random() < 0.3:
            frame = rng.uniform(0, 0.5, 3)
        self.lens = {
            "colour": frame.tolist(),
            "width": rng.uniform(0.015, 0.055),
            "size": rng.uniform([0.34, 0.24], [0.44, 0.38]),
            "square": rng.uniform(2, 4.5),
            "dark": rng.uniform(0.75, 0.97) if rng.random() < 0.08 else 0.0,
            "mirror": rng.uniform(0.08, 0.4) if rng.random() < 0.35 else 0.0,
        }


def fringe(rng, hair):
    """Return strands over the forehead: points in the head's space, width, colour."""
    strands, parting = [], rng.uniform(-3, 3)
    low, sweep = rng.uniform(5.0, 8.6), rng.normal(0, 1.2)
    left, right = sorted(rng.uniform([-6, 1], [-1, 6]))
    for x in np.sort(rng.uniform(left, right, int(rng.integers(20, 110)))):
        end_x = x * 1.08 + sweep + 0.25 * np.sign(x - parting)
        end_y = low + 0.06 * end_x**2 * rng.uniform(0, 1) + rng.normal(0, 0.4)
        start, end = np.array([x * 0.9, 11.4]), np.array([end_x, min(end_y, 9.5)])
        t = np.linspace(0, 1, 6)[:, None]
        xy = start * (1 - t) + end * t + [0.3, 0] * np.sin(np.pi * t) * rng.normal(0, 1)
        # A forehead is nearly an ellipse of these axes.
        z = 11.3 - 0.075 * xy[:, 0] ** 2 - 0.09 * np.clip(xy[:, 1] - 7, 0, 9) ** 2
        colour = (hair * rng.uniform(0.6, 1.4)).tolist()
        strands.append((np.c_[xy, z], rng.uniform(0.08, 0.3), colour))
    return strands
