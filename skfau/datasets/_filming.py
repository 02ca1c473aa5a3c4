"""Films drawn people: who, how long, in which light, and on how many threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import joblib
import numpy as np

from skfau.datasets._face_drawing import draw_frames
from skfau.datasets._face_dynamics import simulate_intensities
from skfau.datasets._face_identity import Pose, draw_light, draw_person, moving_pose
from skfau.faces import Faces

_FRAMES_PER_TASK = 32
_SEEDS = 2**63 - 1


def film_subjects(n_subjects, n_frames, image_size, rng):
    """Film each subject in two videos.

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
    # Streams of their own, so that longer videos do not change who is in them.
    casting, acting, filming = map(np.random.default_rng, rng.integers(_SEEDS, size=3))
    people = [draw_person(casting) for _ in range(n_subjects)]
    videos = [
        (who, task, length)
        for who in range(n_subjects)
        for task, length in ((1, n_frames - n_frames // 2), (2, n_frames // 2))
        if length
    ]
    subject, _, length = np.array(videos).T
    intensity = simulate_intensities(acting, subject, length)
    images, landmarks = _film(people, intensity, videos, image_size, filming)
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


def _film(people, intensity, videos, image_size, rng):
    """Draw all videos; threads share the work and do not change the outcome."""
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
            tasks.append((people[who], light, _cut(pose, part), rows))
        first += n_frames

    def draw(task):
        person, light, pose, rows = task
        strength = intensity[rows] / 5 * person.expressiveness * person.habits
        landmarks[rows] = draw_frames(
            images[rows], person, strength, pose, light, seeds[rows]
        )

    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        # The list asks for every result, so that what a thread raises is raised.
        list(threads.map(draw, tasks))
    return images, landmarks


def _cut(pose, rows):
    return Pose(**{f.name: getattr(pose, f.name)[rows] for f in fields(pose)})
