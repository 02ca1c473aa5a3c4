"""Which faces of a video belong to one person, by position and size."""

import numpy as np
from scipy.optimize import linear_sum_assignment

# Lengths are shares of the face's size, times seconds.
_REACH = 1.0  # how far a face may be from where it is expected
_SPEED = 2.5  # how much farther for each second since it was seen
_MAX_REACH = 2.0  # people who sit side by side are farther apart
_MAX_RATIO = np.log(2.0)  # of two sizes of one face
_FARTHER = 2.0  # so many times as fast, where nobody else explains a face
_HORIZON = 0.8  # so long a movement is taken to go on
_MIN_ROWS = 3  # nobody is forgotten before, however far apart in time rows are


def places_of(landmarks):
    """Return centre x, y and size of faces, (n, 3), from landmarks (n, n_points, 2)."""
    low, high = np.nanmin(landmarks, axis=1), np.nanmax(landmarks, axis=1)
    size = np.sqrt(np.maximum(high - low, 1e-3).prod(axis=1))
    return np.column_stack([(low + high) / 2, size]).astype(np.float64)


def track_people(row, places, recording, time, max_gap):
    """Give the faces of one person in a recording one number.

    The faces of each frame are matched to the people seen before by the assignment
    that lies nearest to where these are expected from their last movement. A face is
    nobody's of before if it is farther away than one size of the face (two sizes from
    0.4 seconds on; twice as much if nobody else explains it and the person was in the
    frame before), or twice or half as large.

    Parameters
    ----------
    row : ndarray of shape (n_faces,), dtype intp
        Frame of each face, ascending; the preferred face of a frame first.
    places : ndarray of shape (n_faces, 3), dtype float64
        See `places_of`.
    recording : ndarray of shape (n_rows,), dtype int64
        Recording of each frame.
    time : ndarray of shape (n_rows,), dtype float64
        Seconds of each frame in its recording.
    max_gap : float
        Seconds after which somebody who is not seen is forgotten.

    Returns
    -------
    person : ndarray of shape (n_faces,), dtype int64
        From 0 in each recording, in the order of appearance.
    """
    person = np.empty(len(row), dtype=np.int64)
    first = np.searchsorted(row, np.arange(len(time)))
    last = np.searchsorted(row, np.arange(len(time)), side="right")
    people, current = None, None
    for frame in np.lexsort((time, recording)):
        if recording[frame] != current:
            people, current = People(max_gap), recording[frame]
        faces = slice(first[frame], last[frame])
        person[faces] = people.match(places[faces], time[frame])
    return person


class People:
    """The people of one recording: where each was last, and how they moved."""

    def __init__(self, max_gap):
        self.max_gap = max_gap
        self.place = np.empty((0, 3))
        self.velocity = np.empty((0, 2))  # pixels per second
        self.seen = np.empty(0)
        self.pace = np.empty(0)  # seconds between the last two times
        self.n_missed = np.empty(0, dtype=int)
        self.forgotten = np.empty(0, dtype=bool)

    def match(self, places, now):
        """Return the person of each place, and remember them."""
        self.forgotten |= (now - self.seen > self.max_gap) & (
            self.n_missed >= _MIN_ROWS
        )
        person = np.full(len(places), -1, dtype=np.int64)
        near = np.flatnonzero(~self.forgotten)
        self._assign(near, person, places, now)
        # Only whom nobody else explains may have come from farther away.
        recent = near[(self.n_missed[near] == 0) & ~np.isin(near, person)]
        self._assign(recent, person, places, now, farther=_FARTHER)
        self.n_missed += 1
        for face, place in enumerate(places):
            if person[face] < 0:
                person[face] = self._add(place, now)
            else:
                self._move(person[face], place, now)
        return person

    def _assign(self, known, person, places, now, farther=1.0):
        """Fill in the person of places that have none yet, out of those known."""
        free = np.flatnonzero(person < 0)
        if not (len(free) and len(known)):
            return
        cost, gone = self._cost(known, places[free], now)
        reach = np.minimum(_REACH + farther * _SPEED * gone, farther * _MAX_REACH)
        one, other = linear_sum_assignment(np.minimum(cost, reach[:, None]))
        near = cost[one, other] < reach[one]
        person[free[other[near]]] = known[one[near]]

    def _cost(self, known, places, now):
        """Return how far places are from people (k, n), and seconds since seen (k,)."""
        gone = (now - self.seen[known])[:, None]
        horizon = np.maximum(_HORIZON, 2 * self.pace[known])[:, None]
        step = self.velocity[known] * np.minimum(gone, horizon)
        away = places[:, None, :2] - self.place[known, :2]
        # Who has been away for longer may have stopped anywhere on the way.
        square = np.maximum((step**2).sum(axis=1), 1e-9)
        part = np.where(gone[:, 0] > horizon[:, 0], (away * step).sum(axis=2), square)
        part = np.clip(part / square, 0, 1)
        away = np.linalg.norm(away - part[..., None] * step, axis=2).T
        was, new = self.place[known, 2][:, None], places[:, 2]
        ratio = np.abs(np.log(new / was))
        cost = away / np.sqrt(was * new) + ratio
        return np.where(ratio > _MAX_RATIO, np.inf, cost), gone[:, 0]

    def _add(self, place, now):
        self.place = np.vstack([self.place, place])
        self.velocity = np.vstack([self.velocity, [0.0, 0.0]])
        self.seen = np.append(self.seen, now)
        self.pace = np.append(self.pace, 0.0)
        self.n_missed = np.append(self.n_missed, 0)
        self.forgotten = np.append(self.forgotten, False)
        return len(self.place) - 1

    def _move(self, person, place, now):
        gone = now - self.seen[person]
        if gone > 0:
            moved = (place[:2] - self.place[person, :2]) / gone
            still = self.pace[person] == 0
            before = moved if still else self.velocity[person]
            self.velocity[person] = (before + moved) / 2
            self.pace[person] = gone
        self.place[person], self.seen[person] = place, now
        self.n_missed[person] = 0


def lead_faces(row, person, size, n_rows):
    """Choose one face per row, of the same person wherever there is one.

    That is the person whose faces are largest in total. Rows without them show people
    who are never in one row with them (as after a cut).

    Parameters
    ----------
    row, person : ndarray of shape (n_faces,), dtype int64
        Row of each face, and a number that is each person's in all rows.
    size : ndarray of shape (n_faces,), dtype float64
        Size of each face.
    n_rows : int
        Number of rows.

    Returns
    -------
    lead : ndarray of shape (n_rows,), dtype intp
        Number of the face of each row, -1 where there is none.
    """
    lead = np.full(n_rows, -1, dtype=np.intp)
    if not len(row):
        return lead
    total = np.bincount(person, size)
    order = np.argsort(person, kind="stable")
    faces_of = np.split(order, np.cumsum(np.bincount(person))[:-1])
    for number in np.argsort(-total, kind="stable"):
        faces = faces_of[number]
        if (lead[row[faces]] < 0).all():
            lead[row[faces]] = faces
    return lead
