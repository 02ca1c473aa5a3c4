"""ROI shapes summed into maps: smoothed ellipses and JAA-Net's diamonds.

Positions are in cells of the map, measured from its middle, so that a mirrored face
gives exactly the mirrored map.
"""

from functools import lru_cache

import numpy as np
from scipy.special import ndtr

# Slope and support of JAA-Net's maps, as fractions of the map's side.
_FILL, _RATIO = 0.56, 0.14
# Rows integrated per ellipse: enough for ellipses up to a third of the image.
_N_ROWS = 16
# Steps of the tables over the map's side: one is 0.03 pixels of a 224-pixel image.
_N_STEPS = 8192
# Positions are clipped at this many cells from the middle; no map is as large.
_FAR = 1e6


@lru_cache(maxsize=4)
def _profiles(size, sigma):
    """Tabulate a smoothed half-line and a smoothed point against the cells.

    Entry k belongs to the position ``(k - middle) / steps`` cells from the middle.
    Row k of ``cumulative`` is the share of each cell before this position, row k of
    ``density`` the amount that each cell gets of a point there, both smoothed by the
    Gaussian.
    """
    steps = max(32, _N_STEPS // size)
    middle = (size * steps + 1) // 2 + steps * int(np.ceil(5 * sigma))
    position = np.arange(-middle, middle + 1) / steps
    z = (position[:, None] - (np.arange(size + 1) - size / 2)) / sigma
    below = ndtr(z)
    ramp = sigma * (z * below + np.exp(-z * z / 2) / np.sqrt(2 * np.pi))
    cumulative = (ramp[:, :-1] - ramp[:, 1:]).astype(np.float32)
    density = (below[:, :-1] - below[:, 1:]).astype(np.float32)
    return steps, middle, cumulative, density


def fill_ellipses(maps, centres, reach, sigma):
    """Write smoothed unions of two equal ellipses into ``maps`` (n, n_aus, s, s).

    ``centres`` (n, n_aus, 2, 2), from the middle of the map, and semi-axes ``reach``
    (n, 2) are in cells, x then y. Both ellipses, less the lens that they share, are
    integrated over y by Gauss-Chebyshev quadrature of the second kind, whose weight
    is the chord of an ellipse.
    """
    size = maps.shape[-1]
    steps, middle, cumulative, density = _profiles(size, float(sigma))

    def take(table, position):
        at = np.clip(np.rint(position * steps), -middle, middle).astype(np.intp)
        return table.take(at + middle, axis=0)

    centres = np.clip(centres, -_FAR, _FAR).reshape(-1, 2, 2, 1)
    reach = np.repeat(np.clip(reach, 1e-6, _FAR), maps.shape[1], axis=0)
    a, b = reach.T[..., None, None]
    x, y = centres[:, :, 0], centres[:, :, 1]
    angle = np.pi * np.arange(1, _N_ROWS + 1) / (_N_ROWS + 1)
    chord = a * np.sin(angle)
    lens = y.mean(axis=1, keepdims=True), b * _lens_height(x / a, y / b)
    inner = lens[0] + lens[1] * np.cos(angle)
    shared = a * np.sqrt(np.maximum(1 - ((inner - y) / b) ** 2, 0))
    low = (x - shared).max(axis=1, keepdims=True)
    high = np.maximum((x + shared).min(axis=1, keepdims=True), low)
    right = np.concatenate([x + chord, high], axis=1)
    left = np.concatenate([x - chord, low], axis=1)
    row = np.concatenate([y + b * np.cos(angle), inner], axis=1)
    weight = np.concatenate([b, b, -lens[1]], axis=1) * np.sin(angle)
    weight = (weight * (np.pi / (_N_ROWS + 1))).astype(np.float32)
    cover = take(cumulative, right) - take(cumulative, left)
    height = take(density, row) * weight[..., None]
    cover, height = (part.reshape(len(x), -1, size) for part in (cover, height))
    union = height.transpose(0, 2, 1) @ cover
    np.clip(union.reshape(maps.shape), 0, 1, out=maps)


def _lens_height(x, y):
    """Return half the height of what unit circles around two points share.

    ``x`` and ``y`` (m, 2, 1) are the points. The lens ends where the circles cross
    or, if that lies beyond it, at the top of the lower circle.
    """
    dx, dy = (np.abs(part[:, :1] - part[:, 1:]) / 2 for part in (x, y))
    squared = dx * dx + dy * dy
    crossing = dx * np.sqrt(np.maximum(1 - squared, 0) / np.maximum(squared, 1e-12))
    return np.where(squared <= dy, np.maximum(1 - dy, 0), crossing)


def fill_diamonds(maps, centres):
    """Write JAA-Net's maps for ``centres`` in cells from the middle of the map."""
    size = maps.shape[-1]
    cells = np.arange(size) - (size - 1) / 2
    distance = np.abs(cells - centres[..., None])
    support = round((size - 1) / 2 * _RATIO) + 0.5
    loss = np.where(distance <= support, distance * (_FILL / (_RATIO * size)), 1.0)
    loss = loss.astype(np.float32)
    x, y = loss[:, :, :, 0, None, :], loss[:, :, :, 1, :, None]
    np.add(x[:, :, 0], y[:, :, 0], out=maps)
    np.minimum(maps, x[:, :, 1] + y[:, :, 1], out=maps)
    np.subtract(1, maps, out=maps)
    np.maximum(maps, 0, out=maps)
