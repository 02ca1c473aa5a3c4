"""From a person, a pose and the weights of shapes to a picture and its points."""

import cv2
import numpy as np
from scenes import fixed, pass_by, photograph
from shading import rasterise, rotation, shade, vertex_normals
from skin import heights


class Renderer:
    """Draws square pictures of `size` pixels, each from `ss` x `ss` samples."""

    def __init__(self, model, size, ss=2):
        self.model, self.size, self.ss = model, size, ss
        n = size * ss
        self.depth, self.w1, self.w2 = (np.empty((n, n), np.float32) for _ in range(3))
        self.seen = np.empty((n, n), np.int32)
        self.out = np.empty((n, n, 3), np.float32)
        self.normals = np.empty_like(model.mean)

    def __call__(self, person, frame, scene, rng, phase=0.5):
        """Return a picture (size, size, 3), uint8, and the exact points (68, 2).

        `frame` holds ``delta``, the movement of the vertices; ``levels`` of the AUs and
        the ``share`` that each half does; ``gaze``; ``pose`` in degrees.
        """
        model, img = self.model, self.out
        v = person.base + frame["delta"].reshape(-1, 3)
        self._look(v, frame["gaze"])
        turn = rotation(*frame["pose"])
        v = ((v - np.float32([0, 0, 2])) @ turn.T).astype(np.float32)
        vertex_normals(v, model.tri, self.normals)
        p = self._project(v, turn, scene)
        rasterise(p, model.tri, self.depth, self.seen, self.w1, self.w2)
        wrinkles = heights(
            person.still, person.maps, person.gains, frame["levels"], frame["share"]
        )
        shade(
            self.seen,
            (self.w1, self.w2),
            (model.tri, model.uv, model.material, self.normals, model.openness),
            (person.colour, person.mix, person.texture, person.eye, person.gloss),
            wrinkles,
            np.ascontiguousarray(turn[:, :2].T),
            (scene["lights"], scene["ambient"], scene["background"]),
            img,
        )
        points = (p[model.lm, :2] + 0.5) / self.ss - 0.5
        if person.fringe:
            self._fringe(img, person.fringe, turn, scene)
        if person.glasses:
            draw_glasses(img, points, person.lens, self.ss)
        if scene["occluder"]:
            pass_by(img, scene["occluder"], phase, self.ss)
        return photograph(img, self.size, scene, rng), points

    def _look(self, v, gaze):
        """Turn the eyeballs about their centres."""
        for e in self.model.eyes:
            centre = np.append(v[e, :2].mean(0), v[e, 2].max() - 1.77)
            turn = rotation(np.degrees(gaze[0]), -np.degrees(gaze[1]), 0)
            v[e] = (v[e] - centre) @ turn.T + centre

    def _project(self, v, turn, scene):
        """Return x right, y down, in samples, of vertices already turned."""
        n, distance = self.size * self.ss, scene["distance"]
        px = np.float32(0.72 * n / 17.5 * scene["scale"])
        # The face stays near the centre.
        c = 0.8 * px * (turn @ np.float32([0, 1.0, 7]))
        p = v.copy()
        p[:, :2] *= px * distance / (distance + 7 - v[:, 2:])
        p[:, 0] += n * (0.5 + scene["shift"][0]) - c[0]
        p[:, 1] = n * (0.5 + scene["shift"][1]) + c[1] - p[:, 1]
        return p

    def _fringe(self, img, strands, turn, scene):
        lights = scene["lights"]
        lit = 0.35 + 0.6 * float((lights[:, 3:] * lights[:, 2:3].clip(0.2)).mean())
        unit = 0.72 * self.size * self.ss / 17.5 * scene["scale"]
        for points, width, colour in strands:
            v = ((points - [0, 0, 2]) @ turn.T).astype(np.float32)
            line = np.rint(self._project(v, turn, scene)[:, :2] * 16).astype(np.int32)
            colour = [lit * c for c in colour]
            thick = max(1, round(width * unit))
            line = line.reshape(-1, 1, 2)
            cv2.polylines(img, [line], False, colour, thick, cv2.LINE_AA, 4)


def draw_glasses(img, points, lens, ss):
    """Draw a frame before the eyes, lenses that are dark or mirror something."""
    eyes = np.stack([points[36:42].mean(0), points[42:48].mean(0)])
    d = eyes[1] - eyes[0]
    span = float(np.hypot(*d))
    across = d / span
    axes = np.stack([across, [-across[1], across[0]]])
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    shape = np.stack([np.cos(t), np.sin(t)], 1)
    shape = np.sign(shape) * np.abs(shape) ** (2 / lens["square"])
    shape = (shape * lens["size"] * span) @ axes
    rims = [np.int32([fixed(q, ss) for q in eye + shape]) for eye in eyes]
    if lens["dark"] or lens["mirror"]:
        over = img.copy()
        cv2.fillPoly(over, rims, [0.02] * 3 if lens["dark"] else [0.9] * 3, 16, 4)
        if not lens["dark"]:
            _only_a_stripe(over, img, eyes, span, ss)
        opaque = lens["dark"] or lens["mirror"]
        cv2.addWeighted(over, opaque, img, 1 - opaque, 0, dst=img)
    thick = max(1, round(lens["width"] * span * ss))
    cv2.polylines(img, rims, True, lens["colour"], thick, cv2.LINE_AA, 4)
    u = lens["size"][0] * d
    for a, b in (
        (eyes[0] + u, eyes[1] - u),
        (eyes[0] - u, points[0]),
        (eyes[1] + u, points[16]),
    ):
        line = (fixed(a, ss), fixed(b, ss))
        cv2.line(img, *line, lens["colour"], thick, cv2.LINE_AA, 4)


def _only_a_stripe(over, img, eyes, span, ss):
    """Keep of a mirroring lens a slanted stripe."""
    stripe = np.zeros(img.shape[:2], np.uint8)
    for eye in eyes:
        a = fixed(eye + np.array([-0.1, 0.5]) * span, ss)
        b = fixed(eye + np.array([0.2, -0.5]) * span, ss)
        cv2.line(stripe, a, b, 1, max(1, round(0.16 * span * ss)), cv2.LINE_8, 4)
    over[stripe == 0] = img[stripe == 0]
