"""Sheets of pictures to judge the renderer by."""

import cv2
import numpy as np
from actions import AUS, COL, shape_weights
from people import Person
from scenes import make_scene

FACES = {
    "neutral": {},
    "joy": {6: 4, 7: 2, 12: 5, 25: 4},
    "sadness": {1: 5, 4: 3, 15: 4, 17: 3},
    "anger": {4: 5, 7: 4, 23: 4},
    "surprise": {1: 4, 2: 5, 5: 5, 25: 3, 26: 5},
    "disgust": {4: 2, 7: 3, 9: 5, 10: 3},
    "fear": {1: 4, 2: 3, 4: 4, 5: 5, 20: 4, 25: 3},
    "blink": {45: 5},
    "contempt": {14: 5, 12: 1, 17: 2},
}
COLUMNS = {"contact": 9, "aus": 9, "landmarks": 4}


def _rows(kind, first):
    if kind == "contact":
        return [(first + s, FACES[name], name) for s in range(8) for name in FACES]
    if kind == "landmarks":
        return [(first + s, {}, "") for s in range(8)]
    return [
        (first, {au: x}, f"AU{au} {x}" if x else "") for au in AUS for x in (0, 2.5, 5)
    ]


def _tile(options, renderer, root, number, aus):
    """Return one picture, BGR, and its points."""
    model, clean = renderer.model, options.preview == "aus"
    nuisance = 0 if clean else options.nuisance
    person = Person(model, options.seed, number, root, nuisance)
    rng = np.random.default_rng([options.seed, number, 0])
    scene = make_scene(rng, renderer.size, person, nuisance)
    scene["background"] = cv2.resize(
        scene["background"], (renderer.size * renderer.ss,) * 2
    )
    scene["occluder"] = None
    levels, share = np.zeros((1, len(AUS))), np.ones((2, len(AUS)))
    for au, x in aus.items():
        levels[0, COL[au]] = x
    weights = person.rest + shape_weights(model, levels * person.gain, share)
    weights[:, model.index("eyeBlink*")] *= person.shut
    turned = np.clip(rng.normal(0, (9, 5, 3)), (-20, -12, -8), (20, 12, 8))
    frame = {
        "delta": weights[0].clip(-0.6, 1.8).astype(np.float32) @ model.expr,
        "levels": levels[0],
        "share": share,
        "gaze": (0, 0),
        "pose": (0, 0, 0) if clean else turned,
    }
    img, points = renderer(person, frame, scene, rng)
    return np.ascontiguousarray(img[..., ::-1]), points


def preview(options, renderer, root):
    """Write a sheet: ``contact``, ``aus`` (each AU at 0, 2.5, 5) or ``landmarks``."""
    tiles, kind = [], options.preview
    for number, aus, title in _rows(kind, options.first_subject):
        img, points = _tile(options, renderer, root, number, aus)
        if kind == "landmarks":
            img = cv2.resize(img, None, fx=2, fy=2)
            for x, y in np.rint(points * 2).astype(int):
                cv2.circle(img, (int(x), int(y)), 2, (0, 255, 0), -1)
        font, white = cv2.FONT_HERSHEY_SIMPLEX, (255, 255, 255)
        cv2.putText(img, title, (3, 11), font, 0.38, white, 1, cv2.LINE_AA)
        tiles.append(img)
    n = COLUMNS[kind]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % n)
    lines = [np.hstack(tiles[i : i + n]) for i in range(0, len(tiles), n)]
    cv2.imwrite(options.out, np.vstack(lines))
