"""Similarity transforms from landmarks, in closed form for all faces at once.

A similarity of the plane is ``w = a z + b`` over complex numbers ``z = x + iy``: the
argument of ``a`` is the rotation, its modulus the scale. Least squares over points is
then one complex division, and equals the singular-value form of Umeyama (1991,
eq. 40-42) in two dimensions except that it never proposes a reflection.
"""

from functools import partial

import numpy as np

# Mean of the 68 points over 94 of the 100 faces of ``skimage.data.lfw_subset`` (those
# on which `MeshDetector` finds a face in the picture and in its mirror image), made
# symmetric. Origin between the eye centres, unit = distance of the eye centres.
# fmt: off
MEAN_FACE = np.array([
    -1.111, 0.028, -1.101, 0.256, -1.093, 0.491, -1.067, 0.744, -0.911, 1.132,
    -0.788, 1.396, -0.639, 1.539, -0.371, 1.729, 0.000, 1.816, 0.371, 1.729,
    0.639, 1.539, 0.788, 1.396, 0.911, 1.132, 1.067, 0.744, 1.093, 0.491,
    1.101, 0.256, 1.111, 0.028, -0.894, -0.236, -0.793, -0.317, -0.643, -0.362,
    -0.449, -0.352, -0.227, -0.325, 0.227, -0.325, 0.449, -0.352, 0.643, -0.362,
    0.793, -0.317, 0.894, -0.236, 0.000, -0.056, 0.000, 0.188, 0.000, 0.418,
    0.000, 0.558, -0.215, 0.682, -0.127, 0.746, 0.000, 0.751, 0.127, 0.746,
    0.215, 0.682, -0.710, -0.004, -0.600, -0.049, -0.438, -0.059, -0.278, 0.016,
    -0.406, 0.047, -0.569, 0.049, 0.278, 0.016, 0.438, -0.059, 0.600, -0.049,
    0.710, -0.004, 0.569, 0.049, 0.406, 0.047, -0.407, 1.082, -0.249, 0.990,
    -0.124, 0.965, 0.000, 0.982, 0.124, 0.965, 0.249, 0.990, 0.407, 1.082,
    0.225, 1.227, 0.119, 1.265, 0.000, 1.275, -0.119, 1.265, -0.225, 1.227,
    -0.350, 1.075, -0.094, 1.070, 0.000, 1.074, 0.094, 1.070, 0.350, 1.075,
    0.098, 1.125, 0.000, 1.129, -0.098, 1.125,
]).reshape(68, 2)
# fmt: on
# The square that the 2.9-fold box of JAA-Net cuts out of the mean face.
_FRAME_CENTRE = 0.541j
_FRAME_SIDE = 3.138
# The mean face's box as detectors draw it: jaw to jaw, chin to hairline, the hairline
# as far above the brows as the chin is below the nose.
_BOX_CENTRE = 0.195j
_BOX_WIDTH = 2.222
_BOX_HEIGHT = 3.243
# Least width of an aligned image in pixels of the source. Landmarks given as fractions
# of the image's width would all lie within one pixel.
_SMALLEST = 4
# No warnings where complex NaN is divided: here NaN means "no face".
_quiet_nan = partial(np.errstate, invalid="ignore", divide="ignore")


def fit_similarity(source, target):
    """Find the least-squares similarity from points to points, for many faces at once.

    Parameters
    ----------
    source : ndarray of shape (n_samples, n_points, 2)
        Points x, y; a point with NaN is left out of its face's fit.
    target : ndarray of shape (n_points, 2) or (n_samples, n_points, 2)
        Target positions of the points.

    Returns
    -------
    matrices : ndarray of shape (n_samples, 2, 3), dtype float64
        From source to target; NaN where the known points coincide.
    """
    with _quiet_nan():
        return _as_matrices(*_fit(_as_complex(source), _as_complex(target)))


def apply_similarity(matrices, points):
    """Move points by their face's matrix.

    Parameters
    ----------
    matrices : ndarray of shape (n_samples, 2, 3), dtype float64
        Similarities.
    points : ndarray of shape (n_samples, n_points, 2)
        Points x, y.

    Returns
    -------
    moved : ndarray of shape (n_samples, n_points, 2), dtype float32
        Moved points.
    """
    moved = np.asarray(points, np.float64) @ matrices[:, :, :2].transpose(0, 2, 1)
    return (moved + matrices[:, None, :, 2]).astype(np.float32)


def invert_similarity(matrices):
    """Invert similarities, (n_samples, 2, 3) float64; NaN stays NaN."""
    a = matrices[:, 0, 0] + 1j * matrices[:, 1, 0]
    b = matrices[:, 0, 2] + 1j * matrices[:, 1, 2]
    with _quiet_nan():
        return _as_matrices(1 / a, -b / a)


def align_landmarks(landmarks, template, output_size):
    """Find each face's similarity into the aligned image.

    Parameters
    ----------
    landmarks : ndarray of shape (n_samples, 68, 2) or (n_samples, 5, 2)
        Points in source pixels, x then y; NaN where unknown. Five are the centres of
        the eyes, the tip of the nose and the corners of the mouth, and stand for all
        points of any template.
    template : str
        A key of `TEMPLATES`.
    output_size : int
        Height and width of the aligned image, in pixels.

    Returns
    -------
    matrices : ndarray of shape (n_samples, 2, 3), dtype float64
        From source to output pixels; NaN where there is none.
    problems : ndarray of shape (n_samples,), dtype object
        The reason why there is no matrix; "" where there is one.
    """
    points_of, frame, share = TEMPLATES[template]
    needs, z = _NEEDS[points_of], _as_complex(landmarks)
    if z.shape[1] == 5:
        points_of, share, needs = _five_points, 1.0, "all five_points"
    points = z if z.shape[1] == 5 else points_of(z)
    with _quiet_nan():
        matrices = _as_matrices(*frame(points, points_of(_MEAN), output_size))
    missing = np.isfinite(points).mean(axis=1) < share
    tiny = np.hypot(*matrices[:, :, 0].T) * _SMALLEST > output_size
    failed = missing | tiny | ~np.isfinite(matrices).all(axis=(1, 2))
    matrices[failed] = np.nan
    problems = np.full(len(z), "", dtype=object)
    problems[failed] = "degenerate landmarks: the points to align by coincide"
    problems[tiny] = (
        f"degenerate landmarks: the whole face is less than {_SMALLEST} pixels wide; "
        "landmarks must be in pixels"
    )
    for row in np.flatnonzero(missing):
        problems[row] = (
            f"incomplete landmarks: template {template!r} needs {needs}; known are "
            f"{_in_words(np.flatnonzero(np.isfinite(z[row])))}"
        )
    problems[np.isnan(z).all(axis=1)] = "no landmarks"
    return matrices, problems


def _in_words(numbers):
    """Return ascending numbers as text, "17 to 35, 40"."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run))
        for run in runs
        if len(run)
    )


def find_outside(landmarks, sizes):
    """Tell which faces lie outside of their images.

    Parameters
    ----------
    landmarks : ndarray of shape (n_samples, n_points, 2)
        Points in source pixels, x then y; NaN where unknown.
    sizes : ndarray of shape (n_samples, 2)
        Width and height of each image in pixels; NaN where unknown.

    Returns
    -------
    problems : ndarray of shape (n_samples,), dtype object
        The reason, where less than half of the known points lie in the image; else "".
    """
    points = np.asarray(landmarks, dtype=np.float64)
    known = np.isfinite(points).all(axis=2)
    # What lies left of the image, or above, is outside of an image of any size.
    edge = np.where(np.isnan(sizes), np.inf, sizes)[:, None] - 0.5
    inside = ((points >= -0.5) & (points <= edge)).all(axis=2).sum(axis=1)
    count = known.sum(axis=1)
    problems = np.full(len(points), "", dtype=object)
    for row in np.flatnonzero(2 * inside < count):
        width, height = sizes[row]
        size = "" if np.isnan(width) else f"{width:.0f} x {height:.0f} pixels of the "
        problems[row] = (
            f"outside: {inside[row]} of {count[row]} landmarks lie in the {size}image; "
            "they must be of this very image"
        )
    return problems


def _as_complex(points):
    points = np.asarray(points, dtype=np.float64)
    return points[..., 0] + 1j * points[..., 1]


def _as_matrices(a, b):
    rows = [[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]]
    return np.ascontiguousarray(np.moveaxis(np.array(rows), 2, 0))


def _fit(z, w):
    """Return a, b (n_samples,) that bring the points z closest to w."""
    present = np.isfinite(z)
    count = np.maximum(present.sum(axis=1), 1)
    z_mean = np.where(present, z, 0).sum(axis=1) / count
    w_mean = np.where(present, w, 0).sum(axis=1) / count
    z = np.where(present, z - z_mean[:, None], 0)
    w = np.where(present, w - w_mean[:, None], 0)
    spread = (z.real**2 + z.imag**2).sum(axis=1)
    # Points that coincide still have a spread: a float32 coordinate near c has a
    # rounding error of about c * 1e-7.
    flat = spread <= count * (1e-6 * (1 + np.abs(z_mean))) ** 2
    a = (z.conj() * w).sum(axis=1) / np.where(flat, np.nan, spread)
    return a, w_mean - a * z_mean


def _five_points(z):
    """Eye centres, nose tip and mouth corners."""
    eyes = z[:, 36:48].reshape(-1, 2, 6).mean(axis=2)
    return np.concatenate([eyes, z[:, [30, 48, 54]]], axis=1)


def _inner_points(z):
    return z[:, 17:]


def _mean_face(z, mean, output_size):
    """Bring the points as close as possible to those of the mean face."""
    middle = (output_size - 1) / 2 * (1 + 1j)
    return _fit(z, (mean - _FRAME_CENTRE) * (output_size / _FRAME_SIDE) + middle)


def _eyes_level(z, mean, output_size, *, enlarge):
    """Turn the eyes level and cut a square, `enlarge` times the points' longer side."""
    eye_line = z[:, 1] - z[:, 0]
    length = np.abs(eye_line)
    turn = eye_line.conj() / np.where(length > 0, length, np.nan)
    level = z * turn[:, None]
    low = level.real.min(axis=1) + 1j * level.imag.min(axis=1)
    high = level.real.max(axis=1) + 1j * level.imag.max(axis=1)
    side = enlarge * np.maximum((high - low).real, (high - low).imag)
    # Both papers map the square's ends to the centres of the outermost pixels.
    scale = (output_size - 1) / side
    return scale * turn, (output_size - 1) / 2 * (1 + 1j) - scale * (low + high) / 2


def _upright(z, mean, output_size, *, side):
    """Cut a square of the mean face's place and size without turning the image."""
    a, b = _fit(z, mean)
    scale = np.abs(a) * output_size / side
    centre = (_BOX_CENTRE - b) / a
    return scale + 0j, (output_size - 1) / 2 * (1 + 1j) - scale * centre


# What a template needs, in words.
_NEEDS = {
    _five_points: "30, 36 to 48 and 54, or the column 'five_points'",
    _inner_points: "half of the points from 17 on",
}
_MEAN = _as_complex(MEAN_FACE)[None]
# Name -> (points used, transform from them, share of them that must be known).
TEMPLATES = {
    "eyes-nose-mouth": (_five_points, _mean_face, 1.0),
    "inner": (_inner_points, _mean_face, 0.5),
    "jaa": (_five_points, partial(_eyes_level, enlarge=2.9), 1.0),
    "arl": (_five_points, partial(_eyes_level, enlarge=2.8), 1.0),
    "aunet": (
        _inner_points,
        partial(_upright, side=200 * (_BOX_WIDTH + _BOX_HEIGHT) / 260),
        0.5,
    ),
    "box": (_inner_points, partial(_upright, side=_BOX_HEIGHT), 0.5),
}
