"""Parts of a drawn face: filled outlines, tapered strokes, soft shades."""

from functools import lru_cache

import numpy as np

from skfau.datasets.drawn._geometry import AU_COLUMN, MIRROR

_INVISIBLE = 0.04


@lru_cache(maxsize=64)
def _spline(n_points, per_segment, closed):
    """Weights (samples, n_points) of a Catmull-Rom spline through its points."""
    segments = n_points if closed else n_points - 1
    t = np.arange(per_segment) / per_segment
    basis = 0.5 * np.stack(
        [
            -t + 2 * t**2 - t**3,
            2 - 5 * t**2 + 3 * t**3,
            t + 4 * t**2 - 3 * t**3,
            -(t**2) + t**3,
        ],
        axis=1,
    )
    weights = np.zeros((segments * per_segment + (not closed), n_points))
    for segment in range(segments):
        rows = slice(segment * per_segment, (segment + 1) * per_segment)
        for k in range(4):
            at = segment + k - 1
            at = at % n_points if closed else min(max(at, 0), n_points - 1)
            weights[rows, at] += basis[:, k]
    if not closed:
        weights[-1, -1] = 1.0
    weights.flags.writeable = False
    return weights


def smooth(points, per_segment=5, closed=False):
    """Smooth curve through points of shape (n, k, 2)."""
    return _spline(points.shape[1], per_segment, closed) @ points


def beside(dx, dy):
    """Step (2,) or steps (n, 2) to add to points."""
    return np.stack(np.broadcast_arrays(dx, dy), axis=-1)


def ellipse(centre, half_width, half_height, n_points=18):
    """Outline of shape (n, n_points, 2) around centres of shape (n, 2)."""
    angle = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
    ring = np.stack([half_width * np.cos(angle), half_height * np.sin(angle)], axis=1)
    return centre[:, None, :] + ring


def mix(colour, other, share):
    """`colour` moved towards `other`; share of shape (n,) gives colours (n, 3)."""
    colour, other = np.asarray(colour, float), np.asarray(other, float)
    return colour + (other - colour) * np.asarray(share, float)[..., None]


class Sketch:
    """Shapes of n frames of one person, in face space, back to front.

    Parameters
    ----------
    landmarks : ndarray of shape (n, 68, 2), face space
    strength : ndarray of shape (n, len(SUPPORTED_AUS))
        Strength of each AU: 0 is rest, 1 is intensity 5.
    person : Person
    gaze : ndarray of shape (n, 2)

    Attributes
    ----------
    polygons : list of (outline (n, m, 2), colour (n, 3), visible (n,) bool)
    shades : list of (centre (n, 2), size (n, 2), amount (n, 3))
    """

    def __init__(self, landmarks, strength, person, gaze):
        self.landmarks = landmarks
        self.strength = strength
        self.person = person
        self.gaze = gaze
        self.skin = np.asarray(person.skin)
        # Ink is darker than the skin, and more so on dark skin, to keep lines visible.
        self.ink = self.skin * (0.56, 0.44, 0.41) * (0.7 + 0.0015 * self.skin.mean())
        self.polygons = []
        self.shades = []
        self._sign = np.ones(2)

    def __len__(self):
        return len(self.landmarks)

    def halves(self):
        """Return two views of the sketch, one for each half of the face.

        Features are written once, for the image's left half. The second view has
        mirrored landmarks, and mirrors what is drawn into the same lists.
        """
        other = object.__new__(Sketch)
        other.__dict__.update(self.__dict__)
        other.landmarks = self.landmarks[:, MIRROR] * (-1.0, 1.0)
        other.gaze = self.gaze * (-1.0, 1.0)
        other._sign = np.array([-1.0, 1.0])
        return self, other

    def act(self, *aus):
        """Sum of the strengths of some AUs, shape (n,)."""
        return self.strength[:, [AU_COLUMN[au] for au in aus]].sum(axis=1)

    def spot(self, index, dx, dy):
        """Point (n, 2) beside a landmark; the steps are numbers or of shape (n,)."""
        return self.path((index, dx, dy))[:, 0]

    def path(self, *spots):
        """Points (n, k, 2) from the (landmark, dx, dy) of k `spot`s."""
        points = self.landmarks[:, [index for index, _, _ in spots]]
        for k, (_, dx, dy) in enumerate(spots):
            points[:, k, 0] += dx
            points[:, k, 1] += dy
        return points

    def fill(self, outline, colour, strength=1.0):
        """Add a filled outline; below strength 1 its colour is nearer to the skin."""
        strength = np.broadcast_to(np.minimum(strength, 1.0), len(self))
        visible = strength > _INVISIBLE
        if not visible.any():
            return
        colour = mix(self.skin, colour, strength)
        outline = np.broadcast_to(outline, (len(self), *outline.shape[1:]))
        self.polygons.append((outline * self._sign, colour, visible))

    def stroke(self, curve, width, colour=None, strength=1.0):
        """Add a line that is `width` thick in its middle and thin at both ends."""
        along = np.linspace(0, np.pi, curve.shape[1])
        self.ribbon(curve, width * np.sin(along) ** 0.7, colour, strength)

    def ribbon(self, curve, width, colour=None, strength=1.0):
        """Add a band around a curve; `width` has one value per point of it."""
        if np.max(strength) <= _INVISIBLE:
            return
        ahead = np.concatenate([curve[:, 1:], curve[:, -1:]], axis=1)
        behind = np.concatenate([curve[:, :1], curve[:, :-1]], axis=1)
        x, y = np.moveaxis(ahead - behind, 2, 0)
        half = 0.5 * np.asarray(width) / (np.hypot(x, y) + 1e-6)
        normal = np.stack([-y * half, x * half], axis=2)
        outline = np.concatenate([curve + normal, (curve - normal)[:, ::-1]], axis=1)
        self.fill(outline, self.ink if colour is None else colour, strength)

    def shade(self, centre, size, amount, tone=(1.0, 1.0, 1.0)):
        """Brighten (amount > 0) or darken a soft spot of the given half widths."""
        n = len(self)
        size = np.broadcast_to(np.asarray(size, float), (n, 2))
        amount = np.broadcast_to(np.asarray(amount, float), (n,))
        self.shades.append((centre * self._sign, size, np.outer(amount, tone)))
