"""Made faces: drawn people whose action units are known exactly."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from numbers import Integral

import joblib
import numpy as np
from sklearn.utils import Bunch

from skfau._random import as_generator
from skfau._validation import Interval, validate_params
from skfau.faces import Faces
from skfau.facs import DATASET_AUS

from ._face_drawing import draw_frames
from ._face_dynamics import OCCURRENCE_INTENSITY, simulate_intensities
from ._face_geometry import AU_COLUMN, SUPPORTED_AUS
from ._face_identity import (
    Light,
    Person,
    Pose,
    draw_light,
    draw_person,
    frontal_pose,
    moving_pose,
)

_FRAMES_PER_TASK = 32
_SEEDS = 2**63 - 1

_DESCR = """Made faces
==========

{n_frames} drawn frames, {image_size} x {image_size} pixels, of {n_subjects} people
that do not exist.

data        Faces with the columns landmarks (iBUG-68, pixels), subject, video, frame
target      1 where an AU's intensity is at least {occurrence:g} (FACS level B), else 0
intensity   0 to 5 for each AU; 1 to 5 are FACS levels A to E
aus         {aus}

AUs occur together as skfau.facs.RELATED_AUS says, about as often as in BP4D, and rise
and fall over several frames.  People differ in build, colours, lines at rest, in the
AUs they tend to show and in how far an intensity moves their face, so scores on people
seen in training flatter a classifier: split by subject.  AUs other than those asked
for move too, as they do in real recordings.
"""


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
    n_subjects=12,
    n_frames=60,
    aus=DATASET_AUS["bp4d"],
    image_size=112,
    random_state=None,
):
    """Draw people who act out AUs, with exact labels and landmarks.

    A stand-in for a licensed data set such as BP4D: each subject is filmed in two
    videos, with their own light and head movement, while AUs set in, hold and fade.
    AU intensities follow a Gaussian copula whose correlations are
    `skfau.facs.RELATED_AUS`.

    Parameters
    ----------
    n_subjects : int, default=12
        Number of people.
    n_frames : int, default=60
        Frames of each subject, over both videos.
    aus : sequence of int, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AUs to label, in the order of the label columns.  The pixels do not depend on
        it.  Known are 1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26
        and 43.
    image_size : int, default=112
        Height and width of the images in pixels, at least 32.
    random_state : int, RandomState instance, Generator or None, default=None
        Pass an int for the same faces across calls and machines' thread counts.

    Returns
    -------
    faces : :class:`~sklearn.utils.Bunch`
        data : Faces of ``n_subjects * n_frames`` rows
            RGB images in memory with the columns ``landmarks`` ((n, 68, 2), float32,
            pixels, x then y, pixel centres at whole numbers), ``subject``
            (``"S01"``), ``video`` (``"S01_T1"``) and ``frame`` (from 1).
        target : ndarray of shape (n, n_aus), dtype float32
            Occurrence: 1 where the intensity is at least 2 (FACS level B), else 0.
        intensity : ndarray of shape (n, n_aus), dtype float32
            0 to 5.
        aus : tuple of int
        DESCR : str

    Raises
    ------
    ValueError
        If an AU cannot be drawn or occurs twice, or a number is out of range.

    See Also
    --------
    draw_faces : One face for each row of intensities that you choose.

    Notes
    -----
    Each AU reaches its rate over all frames together (0.15 to 0.55 for BP4D's AUs), not
    for each subject; with few frames it can only be approached from above.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=2, n_frames=10, aus=(4, 12), random_state=0)
    >>> faces.data.shape, faces.target.shape
    ((20,), (20, 2))
    >>> faces.data.landmarks.shape
    (20, 68, 2)
    >>> faces.data.video[[0, 9, 19]].tolist()
    ['S01_T1', 'S01_T2', 'S02_T2']
    """
    aus, columns = _check_aus(aus)
    rng = as_generator(random_state)
    casting, acting, filming = map(np.random.default_rng, rng.integers(_SEEDS, size=3))
    people = [draw_person(casting) for _ in range(n_subjects)]
    subject = np.repeat(np.arange(n_subjects), 2)
    length = np.tile([n_frames - n_frames // 2, n_frames // 2], n_subjects)
    subject, length = subject[length > 0], length[length > 0]
    task = np.concatenate([np.arange(n) for n in np.bincount(subject)]) + 1
    intensity = simulate_intensities(acting, subject, length)
    images, landmarks = _film(people, intensity, subject, length, image_size, filming)
    names = np.array([f"S{k + 1:02d}" for k in range(n_subjects)])
    videos = np.array([f"{names[s]}_T{t}" for s, t in zip(subject, task, strict=True)])
    labelled = intensity[:, columns].astype(np.float32)
    return Bunch(
        data=Faces(
            images,
            landmarks=landmarks,
            subject=names[np.repeat(subject, length)],
            video=np.repeat(videos, length),
            frame=np.concatenate([np.arange(1, n + 1) for n in length]),
        ),
        target=(labelled >= OCCURRENCE_INTENSITY).astype(np.float32),
        intensity=labelled,
        aus=aus,
        DESCR=_DESCR.format(
            n_frames=len(images),
            image_size=image_size,
            n_subjects=n_subjects,
            occurrence=OCCURRENCE_INTENSITY,
            aus=", ".join(map(str, aus)),
        ),
    )


@validate_params(
    {
        "intensity": ["array-like"],
        "aus": ["array-like"],
        "image_size": [Interval(Integral, 32, None, closed="left")],
        "person": [None, Interval(Integral, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def draw_faces(intensity, aus, *, image_size=112, person=None):
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
        Who to draw: None is an average face, each int a person of their own.

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
    if intensity.ndim != 2 or intensity.shape[1] != len(aus):
        raise ValueError(
            f"intensity must have shape (n, {len(aus)}), one column for each of aus, "
            f"got {intensity.shape}."
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
    aus = tuple(int(au) if au == int(au) else au for au in aus)
    unknown = [au for au in aus if au not in AU_COLUMN]
    if unknown:
        raise ValueError(
            f"cannot draw AU {', '.join(map(str, unknown))}; choose from "
            f"{', '.join(map(str, SUPPORTED_AUS))}."
        )
    if not aus or len(set(aus)) < len(aus):
        raise ValueError(f"aus must name at least one AU and none twice, got {aus}.")
    return aus, [AU_COLUMN[au] for au in aus]


def _film(people, intensity, subject, length, image_size, rng):
    """Draw all videos; threads share the work and do not change the outcome."""
    images = np.empty((len(intensity), image_size, image_size, 3), dtype=np.uint8)
    landmarks = np.empty((len(intensity), 68, 2), dtype=np.float32)
    seeds = rng.integers(_SEEDS, size=len(intensity))
    tasks, first = [], 0
    for who, n_frames in zip(subject, length, strict=True):
        light = draw_light(rng)
        pose = moving_pose(rng, n_frames, image_size)
        for start in range(0, n_frames, _FRAMES_PER_TASK):
            part = slice(start, min(start + _FRAMES_PER_TASK, n_frames))
            rows = slice(first + part.start, first + part.stop)
            tasks.append((people[who], light, _cut(pose, part), rows))
        first += n_frames

    def draw(task):
        person, light, pose, rows = task
        strength = intensity[rows] / 5 * person.expressiveness * person.habits
        landmarks[rows] = draw_frames(
            images[rows], person, strength, pose, light, seeds[rows]
        )

    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        for _ in threads.map(draw, tasks):
            pass
    return images, landmarks


def _cut(pose, rows):
    return Pose(**{f.name: getattr(pose, f.name)[rows] for f in fields(pose)})
