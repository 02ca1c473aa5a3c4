"""Who is who in files of landmarks that show several people."""

import math

import numpy as np


def follow_one(frames, points, scores):
    """Choose the face of one person in every frame.

    Faces of one person lie, from one frame of theirs to the next, less than a face's
    size apart. The person with the largest sum of face sizes is the one: whoever is
    near the camera, and for long. Where no frame has two faces all are of one person.

    Parameters
    ----------
    frames : ndarray of shape (n,), dtype int64
        Frame of each face, in any order.
    points : ndarray of shape (n, n_points, 2)
        Pixels, x then y; a face whose points are all NaN is none.
    scores : ndarray of shape (n,)
        How sure the tool was of each face; decides between people of one size.

    Returns
    -------
    chosen : ndarray of int
        Rows of that person, at most one a frame, by frame.
    several : ndarray of int64
        Frames with more than one face, ascending.
    """
    seen = np.flatnonzero(~np.isnan(points).all(axis=(1, 2)))
    seen = seen[np.argsort(frames[seen], kind="stable")]
    numbers, counts = np.unique(frames[seen], return_counts=True)
    several = numbers[counts > 1]
    if not len(several):
        return seen, several
    centres = np.nanmean(points[seen], axis=1)
    low, high = np.nanmin(points[seen], axis=1), np.nanmax(points[seen], axis=1)
    sizes = np.maximum((high - low).max(axis=1), 1e-6)
    ends = np.cumsum(counts)
    spans = zip((ends - counts).tolist(), ends.tolist(), strict=True)
    people = _people(centres.tolist(), sizes.tolist(), spans)
    biggest = np.bincount(people, sizes)
    surest = np.bincount(people, np.nan_to_num(scores[seen]))
    # Of equal sums the person comes first who was seen first.
    one = np.lexsort((-surest, -biggest))[0]
    return seen[people == one], several


def _people(centres, sizes, spans):
    """Give each face the number of its person; ``spans`` are the faces by frame."""
    people = np.empty(len(centres), np.intp)
    last = []
    for start, end in spans:
        faces, free = list(range(start, end)), set(range(len(last)))
        pairs = sorted(
            (cost, person, face)
            for person, before in enumerate(last)
            for face in faces
            if (cost := _change(centres, sizes, before, face)) is not None
        )
        for _, person, face in pairs:
            if person in free and face in faces:
                free.remove(person)
                faces.remove(face)
                people[face] = person
                last[person] = face
        for face in faces:
            people[face] = len(last)
            last.append(face)
    return people


def _change(centres, sizes, one, other):
    """Return how much two faces differ in place and size; None if too far apart."""
    mean = (sizes[one] + sizes[other]) / 2
    apart = math.dist(centres[one], centres[other]) / mean
    return apart + abs(math.log(sizes[one] / sizes[other])) if apart < 1 else None
