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
_MOST_HIDDEN = 0.02  # of a face's box, by the bars of one face
_NARROW = 640  # no names of AUs in narrower images
_NAMES = {unit.number: unit.name.lower() for unit in ACTION_UNITS.values()}


def mark_faces(image, rows, values, highest, present, aus, strip=False):
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
    strip : bool, default=False
        Whether bars are on a strip to the right of the image, not beside the faces.

    Returns
    -------
    image : ndarray, dtype uint8
        A copy.
    """
    zoom, unit = _sizes(image.shape)
    image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    # From pixel centres to pixel centres of the larger image.
    points = zoom * (rows["landmarks"] + 0.5) - 0.5
    boxes = _boxes(rows, zoom)
    panels = _panels(image.shape, boxes, rows["person"], values, unit, aus, strip)
    for face in np.flatnonzero(rows["person"] >= 0):
        colour = _colour(rows["person"][face])
        _draw_face(image, boxes[face], points[face], colour, unit)
        _label(image, boxes[face], f"person {rows['person'][face]}", colour, unit)
    if strip:
        image = _widened(image, _strip_width(image.shape, unit, aus))
    for face, panel, place in panels:
        bars = values[face], highest, present[face]
        panel.draw(image, place, bars, _colour(rows["person"][face]))
    return image


def hides_faces(image_shape, rows, values, aus):
    """Return whether bars beside the faces would hide one; see `mark_faces`."""
    zoom, unit = _sizes(image_shape)
    shape = tuple(zoom * side for side in image_shape[:2])
    boxes, person = _boxes(rows, zoom), rows["person"]
    panels = _panels(shape, boxes, person, values, unit, aus, False)
    faces = boxes[person >= 0]
    area = (faces[:, 2:] - faces[:, :2]).prod(axis=1)
    return any(
        _overlap(place, box) > _MOST_HIDDEN * size
        for _, _, place in panels
        for box, size in zip(faces, area, strict=True)
    )


def _sizes(image_shape):
    """Return how much an image is enlarged, and the unit of what is drawn, pixels."""
    shorter = min(image_shape[:2])
    zoom = max(1, -(-_SMALLEST // shorter))
    return zoom, min(max(zoom * shorter / 720, 0.66), 4.0)


def _boxes(rows, zoom):
    return zoom * (rows["box"] + 0.5) - 0.5


def _colour(person):
    return _COLOURS[person % len(_COLOURS)]


def _panels(shape, boxes, person, values, unit, aus, strip):
    """Return face, panel and place of each list of bars."""
    seen = np.flatnonzero(person >= 0)
    known = seen[~np.isnan(values[seen]).all(axis=1)]
    taken, panels = [boxes[face] for face in seen], []
    for number, face in enumerate(known):
        room = 0.95 * shape[0]
        crowded = len(seen) > _MANY and not strip
        if strip:
            room = shape[0] / len(known) - _line(unit)
        elif crowded:
            # Of many people the strongest AUs are shown, beside the face.
            room = boxes[face][3] - boxes[face][1]
        names = strip or (not crowded and shape[1] >= _NARROW * min(unit, 1))
        panel = _Panel(unit, aus, values[face], room, names)
        if strip:
            title = f"person {person[face]}" if len(seen) > 1 else ""
            panel.title = title
            place = panel.place_in_strip(shape, number * shape[0] // len(known))
        else:
            place = panel.place(shape, boxes[face], taken)
        taken.append(place)
        panels.append((face, panel, place))
    return panels


def _widened(image, width):
    strip = np.zeros((image.shape[0], width, 3), np.uint8)
    return np.hstack([image, strip])


def _strip_width(shape, unit, aus):
    """Return the width of a strip that holds any AU; the whole is of even width."""
    width = _Panel(unit, aus, np.zeros(len(aus)), np.inf, True).size[0]
    return width + (shape[1] + width) % 2


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


def _line(unit):
    return round(_LINE * unit)


class _Panel:
    """A list of AUs with a bar each: those with the highest values for which is room.

    Names of AUs are left out where `names` is false.
    """

    title = ""

    def __init__(self, unit, aus, values, room, names):
        self._unit, self._line = unit, _line(unit)
        n_shown = int(min(len(aus), max(room // self._line, _FEWEST)))
        known = np.nan_to_num(values, nan=-1)
        self._shown = np.sort(np.argsort(-known, kind="stable")[:n_shown])
        self._texts = [_name(aus[k], names) for k in self._shown]
        sizes = [
            cv2.getTextSize(text, _FONT, 0.42 * unit, 1)[0] for text in self._texts
        ]
        self._text = max(width for width, _ in sizes) + round(8 * unit)
        self._bar, self._number = round(60 * unit), round(34 * unit)

    @property
    def size(self):
        """Width and height, pixels."""
        width = self._text + self._bar + self._number + round(4 * self._unit)
        lines = len(self._shown) + bool(self.title)
        return width, self._line * lines + round(6 * self._unit)

    def place(self, shape, box, taken):
        """Return left, top, right and bottom: at the side where least is hidden."""
        width, height = self.size
        gap = 4 * self._unit
        middle = (box[1] + box[3] - height) / 2
        corners = [(box[2] + gap, middle), (box[0] - gap - width, middle)]
        corners += [(box[0], box[3] + gap), (box[0], box[1] - gap - height)]
        limits = np.array(shape[1::-1]) - (width, height)
        corners = np.rint(np.clip(corners, 0, np.maximum(limits, 0))).astype(int)
        places = np.hstack([corners, corners + np.array([width, height])])
        hidden = [sum(_overlap(place, other) for other in taken) for place in places]
        return places[int(np.argmin(hidden))]

    def place_in_strip(self, shape, top):
        """Return left, top, right and bottom in the strip, from a height on."""
        width, height = self.size
        return np.array([shape[1], top, shape[1] + width, top + height])

    def draw(self, image, place, bars, colour):
        """Draw the panel; `bars` are values, the highest possible, who is present."""
        left, top, right, bottom = place.tolist()
        values, highest, present = bars
        under = image[top:bottom, left:right]
        under[...] = (under * _SHADE).astype(np.uint8)
        base = top + round(3 * self._unit)
        if self.title:
            base += self._line
            self._write(image, (left + round(4 * self._unit), base), self.title, colour)
        for k, text in zip(self._shown, self._texts, strict=True):
            base += self._line
            filled = colour if present[k] else _DIM
            self._draw_line(image, (left, base), text, values[k] / highest, filled)
            # Intensities have a digit behind the point, probabilities two.
            number = f"{values[k]:.1f}" if highest > 1 else f"{values[k]:.2f}"
            at = left + self._text + self._bar + round(4 * self._unit)
            self._write(image, (at, base), number, _shade(filled))

    def _draw_line(self, image, place, text, share, filled):
        (left, base), unit = place, self._unit
        start = left + self._text
        low, high = base - round(3 * unit), base - self._line + round(4 * unit)
        end = start + self._bar
        cv2.rectangle(image, (start, high), (end, low), _TRACK, -1)
        if not np.isnan(share):
            reached = start + round(self._bar * float(share))
            cv2.rectangle(image, (start, high), (reached, low), filled, -1)
        self._write(image, (left + round(4 * unit), base), text, _shade(filled))

    def _write(self, image, place, word, colour):
        x, base = place
        place = x, base - round(4 * self._unit)
        cv2.putText(
            image, word, place, _FONT, 0.42 * self._unit, colour, 1, cv2.LINE_AA
        )


def _shade(filled):
    return _DIM if filled == _DIM else _WHITE


def _name(au, names):
    return f"AU{au} {_NAMES.get(au, '')}".rstrip() if names else f"AU{au}"


def _overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return np.maximum(sides, 0).prod()
