"""Faces marked in an image: box, points, number of the person, a bar per AU."""

import cv2
import numpy as np

from skfau.facs import ACTION_UNITS

# Okabe and Ito's colours differ under the common forms of colour blindness; RGB.
_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66))
_COLOURS += ((204, 121, 167), (213, 94, 0))
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_DIM, _TRACK = (195, 195, 195), (90, 90, 90)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHADE = 0.3  # of the pixels under a panel
_LINE = 17  # pixels of a line of text where the image is 720 pixels high
_SMALLEST = 480  # smaller images are enlarged, so that text can be read
_MANY = 2  # people, above whom there is no room for all AUs of each
_FEWEST = 3  # AUs of each
_NARROW = 640  # no names of AUs in narrower images
_NAMES = {unit.number: unit.name.lower() for unit in ACTION_UNITS.values()}


def mark_faces(image, rows, values, highest, present, aus):
    """Return an image with marks of its faces.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), dtype uint8
        RGB; images with a side below 480 pixels are enlarged.
    rows : dict of ndarray
        ``person``, ``box`` and ``landmarks`` of its n faces; -1 where there is none.
    values : ndarray of shape (n, n_aus)
        Of each bar: intensities or probabilities; NaN where unknown.
    highest : float
        The value of a full bar.
    present : ndarray of shape (n, n_aus), dtype bool
        Which bars are in colour.
    aus : sequence of int
        Their AUs.

    Returns
    -------
    image : ndarray, dtype uint8
        A copy.
    """
    zoom = max(1, -(-_SMALLEST // min(image.shape[:2])))
    image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    faces = np.flatnonzero(rows["person"] >= 0)
    # From pixel centres to pixel centres of the larger image.
    boxes = zoom * (rows["box"] + 0.5) - 0.5
    points = zoom * (rows["landmarks"] + 0.5) - 0.5
    taken = [boxes[face] for face in faces]
    unit = min(max(min(image.shape[:2]) / 720, 0.66), 4.0)
    for face in faces:
        colour = _COLOURS[rows["person"][face] % len(_COLOURS)]
        _draw_face(image, boxes[face], points[face], colour, unit)
        _label(image, boxes[face], f"person {rows['person'][face]}", colour, unit)
    for face in faces[~np.isnan(values[faces]).all(axis=1)]:
        colour = _COLOURS[rows["person"][face] % len(_COLOURS)]
        bars = values[face], highest, present[face]
        crowded = len(faces) > _MANY
        panel = _Panel(image, unit, aus, bars, boxes[face] if crowded else None)
        place = panel.place(boxes[face], taken)
        taken.append(place)
        panel.draw(place, colour)
    return image


def _draw_face(image, box, points, colour, unit):
    thick = max(1, round(1.5 * unit))
    left, top, right, bottom = np.rint(box).astype(int).tolist()
    cv2.rectangle(image, (left, top), (right, bottom), colour, thick, cv2.LINE_AA)
    # A fraction of the face, so that small faces stay visible.
    dot = min(max((box[2] - box[0]) / 250, 0.5 * unit), 1.5 * unit)
    for x, y in points[~np.isnan(points).any(axis=1)]:
        # Whole pixels would let the points jump; the last four bits are a fraction.
        centre = round(16 * float(x)), round(16 * float(y))
        for radius, shade in ((2.4, _BLACK), (1.5, colour)):
            size = round(16 * radius * dot)
            cv2.circle(image, centre, size, shade, -1, cv2.LINE_AA, 4)


def _label(image, box, text, colour, unit):
    scale = 0.5 * unit
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    left = max(round(float(box[0])), 0)
    bottom = max(round(float(box[1])), height + 2 * below)
    corner = left + width + below, bottom - height - 2 * below
    cv2.rectangle(image, (left, bottom), corner, colour, -1)
    place = left + below // 2, bottom - below
    cv2.putText(image, text, place, _FONT, scale, _BLACK, 1, cv2.LINE_AA)


class _Panel:
    """A list of AUs with a bar each, at the side of a face.

    `bars` are values, the highest possible, and which are present; `limits` is the box
    that the list must not be much higher than, or None.
    """

    def __init__(self, image, unit, aus, bars, limits):
        self._image, self._unit = image, unit
        self._values, self._highest, self._present = bars
        self._line = round(_LINE * unit)
        # One or two people have room for all AUs; of more the strongest are shown,
        # beside the face, without names.
        room = 0.95 * image.shape[0] if limits is None else limits[3] - limits[1]
        n_shown = int(min(len(aus), max(room // self._line, _FEWEST)))
        known = np.nan_to_num(self._values, nan=-1)
        self._shown = np.sort(np.argsort(-known, kind="stable")[:n_shown])
        names = limits is None and image.shape[1] >= _NARROW * min(unit, 1)
        self._texts = [_name(aus[k], names) for k in self._shown]
        sizes = [
            cv2.getTextSize(text, _FONT, 0.42 * unit, 1)[0] for text in self._texts
        ]
        self._text = max(width for width, _ in sizes) + round(8 * unit)
        self._bar, self._number = round(60 * unit), round(34 * unit)

    @property
    def _size(self):
        width = self._text + self._bar + self._number + round(4 * self._unit)
        return width, self._line * len(self._shown) + round(6 * self._unit)

    def place(self, box, taken):
        """Return left, top, right and bottom: at the side where least is hidden."""
        width, height = self._size
        gap = 4 * self._unit
        middle = (box[1] + box[3] - height) / 2
        corners = [(box[2] + gap, middle), (box[0] - gap - width, middle)]
        corners += [(box[0], box[3] + gap), (box[0], box[1] - gap - height)]
        limits = np.array(self._image.shape[1::-1]) - (width, height)
        corners = np.rint(np.clip(corners, 0, np.maximum(limits, 0))).astype(int)
        places = np.hstack([corners, corners + np.array([width, height])])
        hidden = [sum(_overlap(place, other) for other in taken) for place in places]
        return places[int(np.argmin(hidden))]

    def draw(self, place, colour):
        """Draw the panel."""
        left, top, right, bottom = place.tolist()
        under = self._image[top:bottom, left:right]
        under[...] = (under * _SHADE).astype(np.uint8)
        for line, (k, text) in enumerate(zip(self._shown, self._texts, strict=True)):
            base = top + round(3 * self._unit) + self._line * (line + 1)
            filled = colour if self._present[k] else _DIM
            self._draw_line(left, base, text, self._values[k], filled)

    def _draw_line(self, left, base, text, value, filled):
        unit, start = self._unit, left + self._text
        shade = _DIM if filled == _DIM else _WHITE
        low, high = base - round(3 * unit), base - self._line + round(4 * unit)
        end = start + self._bar
        cv2.rectangle(self._image, (start, high), (end, low), _TRACK, -1)
        if not np.isnan(value):
            reached = start + round(self._bar * float(value / self._highest))
            cv2.rectangle(self._image, (start, high), (reached, low), filled, -1)
        # Intensities have a digit behind the point, probabilities two.
        number = f"{value:.1f}" if self._highest > 1 else f"{value:.2f}"
        words = (left + round(4 * unit), text), (end + round(4 * unit), number)
        for x, word in words:
            place = x, base - round(4 * unit)
            cv2.putText(
                self._image, word, place, _FONT, 0.42 * unit, shade, 1, cv2.LINE_AA
            )


def _name(au, names):
    return f"AU{au} {_NAMES.get(au, '')}".rstrip() if names else f"AU{au}"


def _overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return np.maximum(sides, 0).prod()
