"""Around the face: lights, background, camera, what passes by, and what is lost."""

import cv2
import numpy as np
from skin import noise2


def _tint(rng):
    return (rng.uniform(0.02, 0.7) * rng.uniform(0.7, 1.15, 3)).astype(np.float32)


def _lights(rng, nuisance):
    """Return a main light and a weaker one, (2, 6), and the light around, (2, 3)."""
    az, el = np.radians(rng.uniform(-75, 75)), np.radians(rng.uniform(-15, 65))
    warm = np.array([1 + rng.uniform(-0.05, 0.18), 1, 1 - rng.uniform(-0.05, 0.2)])
    if rng.random() < 0.12 * nuisance:
        warm = rng.uniform(0.65, 1.2, 3)
    main = [np.sin(az) * np.cos(el), np.sin(el), np.cos(az) * np.cos(el)]
    weak = [-np.sin(az), 0.2, 0.8]
    strong = warm * rng.uniform(0.45, 1.05)
    lights = np.float32(
        [[*main, *strong], [*weak, *(rng.uniform(0.03, 0.5) * warm[::-1])]]
    )
    lights[:, :3] /= np.linalg.norm(lights[:, :3], axis=1, keepdims=True)
    around = rng.uniform(0.12, 0.5)
    return lights, np.float32([np.ones(3) * around, warm * around * 0.5])


def _background(rng, size):
    bg = np.ones((size, size, 3), np.float32) * _tint(rng)
    bg *= (1 + 0.3 * rng.random() * noise2(rng, size, int(rng.integers(2, 9))))[
        ..., None
    ]
    for _ in range(int(rng.integers(0, 7))):
        x, y, a, b = (int(q) for q in rng.integers(0, size, 4))
        cv2.rectangle(bg, (x, y), (x + a // 2, y + b), _tint(rng).tolist(), -1)
    return cv2.GaussianBlur(bg, (0, 0), rng.uniform(0.01, 0.03) * size).clip(0, 1)


def _occluder(rng, person):
    """Return a hand, a cup or a microphone: place, colour, ellipses, angle, times."""
    hand = rng.random() < 0.5
    ellipses = [(rng.normal(0, 0.02, 2), rng.uniform(0.06, 0.16, 2))]
    if hand:
        fingers = (np.array([0.045 * (i - 1.5), -0.14]) for i in range(4))
        ellipses += [(at, np.array([0.022, 0.11])) for at in fingers]
    colour = person.tone * rng.uniform(0.8, 1) if hand else _tint(rng) * 0.5
    return {
        "at": rng.uniform([0.25, 0.5], [0.75, 0.95]),
        "colour": colour.tolist(),
        "ellipses": ellipses,
        "angle": rng.uniform(-50, 50),
        "span": np.sort(rng.random(2)),
    }


def _border(rng):
    """Return the corners, in shares of the image, of what a crop has left."""
    turn = np.radians(rng.normal(0, 14))
    c, s = np.cos(turn), np.sin(turn)
    half = rng.uniform([0.42, 0.42], [0.62, 0.62])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    return 0.5 + corners @ np.array([[c, s], [-s, c]])


def make_scene(rng, size, person, nuisance=1.0):
    """Return what stays the same in a video, as a dict."""
    lights, ambient = _lights(rng, nuisance)
    bad = (
        rng.random(7) < np.array([0.12, 0.30, 0.25, 0.10, 0.08, 0.10, 0.04]) * nuisance
    )
    occluded, small, flat, grey, border, dim, bright = bad
    exposure = rng.uniform(0.85, 1.3) * (0.5 if dim else 1.6 if bright else 1)
    # Cameras meter on faces, in part.
    exposure *= np.clip((0.25 / person.tone.mean()) ** 0.35, 0.8, 1.9)
    return {
        "lights": lights,
        "ambient": ambient,
        "background": _background(rng, size),
        "scale": rng.uniform(0.82, 1.12),
        "shift": rng.uniform(-0.05, 0.05, 2),
        "distance": np.exp(rng.uniform(np.log(32), np.log(150))),
        "occluder": _occluder(rng, person) if occluded else None,
        "exposure": exposure,
        "pixels": rng.uniform(40, 90) if small else 9e9,
        "blur": max(0, rng.normal(0.25, 0.32) * nuisance),
        "noise": rng.uniform(0.003, 0.02) * nuisance * (1.5 if dim else 1),
        "gamma": 0.5 * np.exp(rng.normal(0, 0.17) * nuisance),
        "curve": rng.normal(0, 0.25) * nuisance,
        "levels": (rng.uniform(0, 0.18), rng.uniform(0.75, 1)) if flat else (0, 1),
        "grey": bool(grey),
        "border": _border(rng) if border else None,
        "border_colour": float(rng.choice([0, 0, 0, 1, 0.5])),
        "jpeg": int(rng.integers(30, 96)),
    }


def pass_by(img, occluder, phase, ss):
    """Draw the occluder where it is at `phase` (0 to 1) of the video."""
    start, end = occluder["span"]
    if not start <= phase <= end:
        return
    size = img.shape[0] / ss
    turn = np.radians(occluder["angle"])
    c, s = np.cos(turn), np.sin(turn)
    sway = np.array([0, 0.15 * np.cos(6 * (phase - start))])
    for at, axes in occluder["ellipses"]:
        at = occluder["at"] + np.array([[c, -s], [s, c]]) @ at + sway
        centre, half = fixed(at * size, ss), fixed(axes * size, ss)
        angle, colour = occluder["angle"], occluder["colour"]
        cv2.ellipse(img, centre, half, angle, 0, 360, colour, -1, cv2.LINE_AA, 4)


def fixed(point, ss):
    """Return a point of the image in the fixed-point pixels of the drawing."""
    return tuple(round(x * ss * 16) for x in point)


def photograph(img, size, scene, rng):
    """Return the uint8 picture that a camera takes of a linear image."""
    img = cv2.resize(img, (size, size), interpolation=cv2.INTER_AREA)
    if scene["pixels"] < size:
        few = (round(scene["pixels"]),) * 2
        img = cv2.resize(img, few, interpolation=cv2.INTER_AREA)
        img = cv2.resize(img, (size, size), interpolation=cv2.INTER_CUBIC)
    if scene["blur"] > 0.2:
        img = cv2.GaussianBlur(img, (0, 0), scene["blur"] * size / 160)
    img = np.clip(img * scene["exposure"], 0, 1) ** scene["gamma"]
    img = img + scene["curve"] * img * (1 - img) * (2 * img - 1)
    low, high = scene["levels"]
    img = low + (high - low) * img
    if scene["grey"]:
        img = np.repeat(img @ np.float32([0.3, 0.59, 0.11])[:, None], 3, 2)
        noise = rng.standard_normal((size, size, 1), np.float32)
    else:
        noise = rng.standard_normal((size, size, 3), np.float32)
    img = (img + noise * scene["noise"]).clip(0, 1)
    if scene["border"] is not None:
        kept = np.zeros((size, size), np.uint8)
        cv2.fillPoly(kept, [np.rint(scene["border"] * size).astype(np.int32)], 1)
        img = np.where(kept[..., None], img, scene["border_colour"])
    bgr = np.ascontiguousarray((img[..., ::-1] * 255 + 0.5).astype(np.uint8))
    quality = [cv2.IMWRITE_JPEG_QUALITY, scene["jpeg"]]
    data = cv2.imencode(".jpg", bgr, quality)[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
