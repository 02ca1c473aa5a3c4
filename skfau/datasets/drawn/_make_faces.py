"""Drawn people whose action units are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral

import joblib
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skfau._progress import Progress
from skfau._random import as_generator
from skfau._validation import Interval, validate_params
from skfau.datasets.drawn._drawing import draw_frames
from skfau.datasets.drawn._dynamics import OCCURRENCE_INTENSITY, simulate_intensities
from skfau.datasets.drawn._geometry import AU_COLUMN, SUPPORTED_AUS
from skfau.datasets.drawn._identity import (
    Light,
    Person,
    draw_light,
    draw_person,
    frontal_pose,
    moving_pose,
)
from skfau.faces import Faces
from skfau.facs import DATASET_AUS

_DESCR = """Made faces
==========

{0} drawn frames, {1} x {1} pixels, of {2} people who
do not exist.

data        Faces with the columns landmarks (iBUG-68, pixels), subject, video, frame
target      1 where an AU's intensity is at least 2 (FACS level B), else 0
intensity   0 to 5 for each AU; 1 to 5 are FACS levels A to E
aus         {3}

AUs occur together as skfau.facs.RELATED_AUS says, about as often as in BP4D, and rise
and fall over several frames. People differ in build, colours, lines at rest, in the
AUs they tend to show and in how far an intensity moves their face, so scores on people
seen in training flatter a classifier: split by subject. AUs other than those asked
for move too, as they do in real recordings.
"""
_FRAMES_PER_TASK = 32
_SEEDS = 2**63 - 1


@validate_params(
    {
        "n_subjects": [Interval(Integral, 1, None, closed="left")],
        "n_frames": [Interval(Integral, 1, None, closed="left")],
        "aus": ["array-like"],
        "image_size": [Interval(Integral, 32, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def make_faces(
    n_subjects: int = 12,
    n_frames: int = 60,
    aus: Sequence[int] = DATASET_AUS["bp4d"],
    image_size: int = 112,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
) -> Bunch:
    """Draw people who act out AUs, with exact labels and landmarks.

    A substitute for a licensed data set: each subject has two videos with random light
    and head movement, in which AUs set in, hold and fade. A Gaussian copula decides
    which AUs occur together, as in `skfau.facs.RELATED_AUS`.

    Parameters
    ----------
    n_subjects : int, default=12
        Number of people.
    n_frames : int, default=60
        Frames of each subject, over both videos.
    aus : sequence of int, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AUs to label, in this order, out of 1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17,
        20, 23, 24, 25, 26 and 43. All of these move, whichever are labelled.
    image_size : int, default=112
        Height and width of the images in pixels, at least 32.
    random_state : int, RandomState instance, Generator or None, default=None
        Pass an int for the same faces in every call, on any number of threads.

    Returns
    -------
    made : :class:`~sklearn.utils.Bunch`
        ``data``: `Faces` of n = n_subjects * n_frames rows in memory with the columns
        ``landmarks``, float32 of shape (n, 68, 2), pixels, x then y, pixel centres at
        whole numbers; ``subject`` ("S01"); ``video`` ("S01_T1"); ``frame`` (from 1).
        ``intensity``: float32 of shape (n, n_aus), 0 to 5. ``target``: occurrence,
        float32 of shape (n, n_aus), 1 from intensity 2 (FACS level B) on, else 0.
        ``aus``: tuple of int. ``DESCR``: str.

    Raises
    ------
    ValueError
        If an AU cannot be drawn or occurs twice, or a number is out of range.

    Notes
    -----
    The rate of each AU over all frames is near BP4D's, 0.15 to 0.55, or a bit higher.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> made = make_faces(n_subjects=2, n_frames=10, aus=(4, 12), random_state=0)
    >>> made.target.shape, made.data.video[[0, 9, 19]].tolist()
    ((20, 2), ['S01_T1', 'S01_T2', 'S02_T2'])
    """
    aus, columns = _check_aus(aus)
    rng = as_generator(random_state)
    faces, acted = _draw_subjects(n_subjects, n_frames, image_size, rng)
    intensity = acted[:, columns].astype(np.float32)
    target = (intensity >= OCCURRENCE_INTENSITY).astype(np.float32)
    descr = _DESCR.format(len(faces), image_size, n_subjects, aus)
    return Bunch(data=faces, target=target, intensity=intensity, aus=aus, DESCR=descr)


@validate_params(
    {
        "intensity": ["array-like"],
        "aus": ["array-like"],
        "image_size": [Interval(Integral, 32, None, closed="left")],
        "person": [None, Interval(Integral, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def draw_faces(
    intensity: ArrayLike,
    aus: Sequence[int],
    *,
    image_size: int = 112,
    person: int | None = None,
) -> Faces:
    """Draw one frontal face for each row of AU intensities.

    Parameters
    ----------
    intensity : array-like of shape (n, n_aus)
        0 to 5 for each AU.
    aus : sequence of int of length n_aus
        AUs of the columns; see `make_faces` for those that can be drawn.
    image_size : int, default=112
        Height and width of the images in pixels, at least 32.
    person : int, default=None
        Person to draw: None is an average face, each int another random person.

    Returns
    -------
    faces : Faces of n rows
        With the column ``landmarks``, (n, 68, 2), float32, pixels, x then y.

    Raises
    ------
    ValueError
        If an AU cannot be drawn or occurs twice, an intensity is not within 0 to 5,
        or the number of columns is not that of the AUs.

    Examples
    --------
    >>> from skfau.datasets import draw_faces
    >>> neutral, smile = draw_faces([[0], [5]], aus=[12]).landmarks
    >>> bool(smile[48, 1] < neutral[48, 1])  # the lip corner went up
    True
    """
    aus, columns = _check_aus(aus)
    intensity = np.asarray(intensity, dtype=float)
    if intensity.ndim != 2 or not len(intensity) or intensity.shape[1] != len(aus):
        raise ValueError(
            f"intensity must have shape (n, {len(aus)}), at least one row and one "
            f"column for each of aus, got {intensity.shape}."
        )
    if not ((intensity >= 0) & (intensity <= 5)).all():
        raise ValueError(
            "intensity must lie within 0 to 5, got values from "
            f"{intensity.min():g} to {intensity.max():g}."
        )
    strength = np.zeros((len(intensity), len(SUPPORTED_AUS)))
    strength[:, columns] = intensity / 5
    who = Person() if person is None else draw_person(np.random.default_rng(person))
    images = np.empty((len(intensity), image_size, image_size, 3), dtype=np.uint8)
    pose = frontal_pose(len(intensity), image_size)
    landmarks = draw_frames(images, who, strength, pose, Light(), [0] * len(images))
    return Faces(images, landmarks=landmarks)


def _check_aus(aus):
    aus = tuple(aus)
    unknown = [au for au in aus if au not in AU_COLUMN]
    if unknown:
        raise ValueError(
            f"cannot draw AU {', '.join(map(str, unknown))}; choose from "
            f"{', '.join(map(str, SUPPORTED_AUS))}."
        )
    if not aus or len(set(aus)) < len(aus):
        raise ValueError(f"aus must name at least one AU and none twice, got {aus}.")
    return tuple(map(int, aus)), [AU_COLUMN[au] for au in aus]


def _draw_subjects(n_subjects, n_frames, image_size, rng):
    """Draw each subject in two videos.

    Parameters
    ----------
    n_subjects, n_frames, image_size : int
        As in `make_faces`.
    rng : numpy.random.Generator

    Returns
    -------
    faces : Faces of n rows, n = n_subjects * n_frames
    intensity : ndarray of shape (n, len(SUPPORTED_AUS)), float64
    """
    # Three generators, so that longer videos do not change who is in them.
    for_people, for_intensity, for_videos = map(
        np.random.default_rng, rng.integers(_SEEDS, size=3)
    )
    people = [draw_person(for_people) for _ in range(n_subjects)]
    videos = [
        (who, task, length)
        for who in range(n_subjects)
        for task, length in ((1, n_frames - n_frames // 2), (2, n_frames // 2))
        if length
    ]
    subject, _, length = np.array(videos).T
    intensity = simulate_intensities(for_intensity, subject, length)
    images, landmarks = _draw_videos(people, intensity, videos, image_size, for_videos)
    names = np.array([f"S{who + 1:02d}" for who in range(n_subjects)])
    video = np.array([f"{names[who]}_T{task}" for who, task, _ in videos])
    faces = Faces(
        images,
        landmarks=landmarks,
        subject=names[np.repeat(subject, length)],
        video=np.repeat(video, length),
        frame=np.concatenate([np.arange(1, n + 1) for n in length]),
    )
    return faces, intensity


def _draw_videos(people, intensity, videos, image_size, rng):
    """Draw all videos in threads, whose number does not change the result."""
    images = np.empty((len(intensity), image_size, image_size, 3), dtype=np.uint8)
    landmarks = np.empty((len(intensity), 68, 2), dtype=np.float32)
    seeds = rng.integers(_SEEDS, size=len(intensity))
    tasks, first = [], 0
    for who, _, n_frames in videos:
        light = draw_light(rng)
        pose = moving_pose(rng, n_frames, image_size)
        for start in range(0, n_frames, _FRAMES_PER_TASK):
            part = slice(start, min(start + _FRAMES_PER_TASK, n_frames))
            rows = slice(first + part.start, first + part.stop)
            tasks.append((people[who], light, pose[part], rows))
        first += n_frames

    def draw(task):
        person, light, pose, rows = task
        strength = intensity[rows] / 5 * person.expressiveness * person.habits
        landmarks[rows] = draw_frames(
            images[rows], person, strength, pose, light, seeds[rows]
        )

    shown = "Drawing faces", len(intensity), "faces", __name__
    with (
        ThreadPoolExecutor(joblib.cpu_count()) as threads,
        Progress(*shown) as progress,
    ):
        # Every result is taken, so that an error in a thread is raised here.
        for (*_, rows), _ in zip(tasks, threads.map(draw, tasks), strict=True):
            progress.update(rows.stop - rows.start)
    return images, landmarks
