"""Sketches turned into pixels."""

import cv2
import numpy as np

from skfau.datasets.drawn._features import draw_brows_and_glasses, draw_features
from skfau.datasets.drawn._geometry import moved_landmarks, project, resting_landmarks
from skfau.datasets.drawn._sketch import Sketch
from skfau.datasets.drawn._wrinkles import draw_wrinkles

# Shapes are drawn this much larger and averaged down, which smooths their edges.
_OVERSAMPLING = 2
_SUBPIXEL_BITS = 4


def draw_frames(out, person, strength, pose, light, seeds):
    """Draw frames of one person in one light.

    Parameters
    ----------
    out : ndarray of shape (n, image_size, image_size, 3), uint8
        Filled in place, RGB.
    person : Person
    strength : ndarray of shape (n, len(SUPPORTED_AUS)), float
        1 is intensity 5 as this person shows it.
    pose : Pose
    light : Light
    seeds : sequence of n ints
        Seed of each frame's sensor noise.

    Returns
    -------
    landmarks : ndarray of shape (n, 68, 2), float32, pixels
    """
    size = out.shape[1]
    points = moved_landmarks(resting_landmarks(person), strength, person.asymmetry)
    sketch = Sketch(points, strength, person, pose.gaze)
    draw_features(sketch)
    draw_wrinkles(sketch)
    draw_brows_and_glasses(sketch)
    frames = _shapes_by_frame(sketch, pose)
    shading = _shading(sketch, pose, size)
    shading *= _lighting(light, size)
    wall = np.empty((_OVERSAMPLING * size, _OVERSAMPLING * size, 3), np.uint8)
    wall[:] = light.background
    canvas = np.empty_like(wall)
    for frame, shapes in enumerate(frames):
        np.copyto(canvas, wall)
        for outline, colour in shapes:
            cv2.fillPoly(canvas, [outline], colour, cv2.LINE_AA, _SUBPIXEL_BITS)
        image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
        out[frame] = _expose(image, shading[frame], light, seeds[frame])
    return project(points, pose).astype(np.float32)


def _shapes_by_frame(sketch, pose):
    """Visible shapes of each frame: fixed-point corners (m, 2), int32, and colour."""
    corners = [outline for outline, _, _ in sketch.polygons]
    pixels = project(np.concatenate(corners, axis=1, dtype=np.float32), pose)
    # The larger grid is shifted: pixel centres are whole numbers on both grids.
    canvas = pixels * _OVERSAMPLING + (_OVERSAMPLING - 1) / 2
    canvas = np.rint(canvas * (1 << _SUBPIXEL_BITS)).astype(np.int32, order="C")
    frames = [[] for _ in range(len(sketch))]
    first = 0
    for outline, colour, visible in sketch.polygons:
        rows = slice(first, first + outline.shape[1])
        first = rows.stop
        colour = colour.tolist()
        for frame in np.flatnonzero(visible).tolist():
            frames[frame].append((canvas[frame, rows], colour[frame]))
    return frames


def _shading(sketch, pose, size):
    """Brightness factors (n, size, size, 3) of all soft spots together."""
    centre = np.stack([spot[0] for spot in sketch.shades], axis=1)
    spread = np.stack([spot[1] for spot in sketch.shades], axis=1)
    amount = np.stack([spot[2] for spot in sketch.shades], axis=1)
    centre = project(centre, pose)
    spread = 1.4 * spread * pose.scale[:, None, None]
    grid = np.arange(size, dtype=np.float32)
    offset = (grid - centre[..., None]) / spread[..., None]
    bell = np.exp(-(offset.astype(np.float32) ** 2))
    across = bell[:, :, 0, :, None] * amount[:, :, None, :].astype(np.float32)
    down = bell[:, :, 1, :].transpose(0, 2, 1)
    n, spots = centre.shape[:2]
    shade = down @ across.reshape(n, spots, size * 3)
    shade += 1
    return shade.reshape(n, size, size, 3)


def _lighting(light, size):
    grid = np.linspace(-1, 1, size, dtype=np.float32)
    right, down = light.slope
    plane = 1 + right * grid[None, :, None] + down * grid[:, None, None]
    return light.gain * plane * np.asarray(light.tint, np.float32)


def _expose(image, shading, light, seed):
    image = image * shading
    if light.blur:
        image = cv2.GaussianBlur(image, (0, 0), light.blur)
    if light.noise:
        rng = np.random.default_rng(seed)
        grain = rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
        image += light.noise * grain
    return np.clip(image + 0.5, 0, 255, out=image).astype(np.uint8)
