"""Intensity of each AU in each frame: which AUs occur together, and for how long.

A Gaussian copula decides which AUs occur together. Episodes of 5 to 11 frames give each
AU a target level. A limit on the speed of muscles turns the steps between levels into
onset, apex and offset.
"""

from types import MappingProxyType

import numpy as np

from skfau.datasets.drawn._geometry import AU_COLUMN, SUPPORTED_AUS
from skfau.facs import RELATED_AUS

#: Intensity from which an AU counts as present, FACS level B.
OCCURRENCE_INTENSITY = 2.0

#: Share of frames in which each AU is present: near BP4D's for its 12 AUs, whose
#: published class weights give the relative rates; moderate for the others.
BASE_RATES = MappingProxyType(
    {1: 0.21, 2: 0.17, 4: 0.20, 5: 0.08, 6: 0.46, 7: 0.52, 9: 0.08, 10: 0.55, 12: 0.54,
     14: 0.45, 15: 0.17, 17: 0.34, 20: 0.08, 23: 0.17, 24: 0.15, 25: 0.28, 26: 0.10,
     43: 0.08}
)  # fmt: skip

# Speeds in intensity levels per frame; muscles relax more slowly than they contract.
ONSET_SPEED = 1.5
OFFSET_SPEED = 1.0

_EPISODE_FRAMES = (5, 11)
_PERSONAL_SHARE = 0.15
_EXPRESSIVE_SPREAD = 0.2


def copula_correlation():
    """Correlation of the AUs' latent levels.

    Returns
    -------
    correlation : ndarray of shape (len(SUPPORTED_AUS), len(SUPPORTED_AUS))
        `skfau.facs.RELATED_AUS`, moved to the nearest matrix that is a correlation
        by raising its negative eigenvalues.
    """
    matrix = np.eye(len(SUPPORTED_AUS))
    for (first, second), strength in RELATED_AUS.items():
        if first in AU_COLUMN and second in AU_COLUMN:
            matrix[AU_COLUMN[first], AU_COLUMN[second]] = strength
            matrix[AU_COLUMN[second], AU_COLUMN[first]] = strength
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 0.02)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    return matrix / np.outer(scale, scale)


def simulate_intensities(rng, subject, length):
    """Draw intensities for some videos.

    Parameters
    ----------
    rng : numpy.random.Generator
    subject : ndarray of shape (n_videos,), int
        Number of the person in each video, from 0.
    length : ndarray of shape (n_videos,), int
        Frames of each video.

    Returns
    -------
    intensity : ndarray of shape (sum of length, len(SUPPORTED_AUS)), float64
        0 to 5, video after video. Over all frames each AU reaches
        `OCCURRENCE_INTENSITY` in at least its share in `BASE_RATES`; in clearly more
        only if there are few frames.
    """
    latent = _latent_levels(rng, subject, length.max())
    filmed = np.arange(length.max()) < length[:, None]
    wanted = np.array([BASE_RATES[au] for au in SUPPORTED_AUS])
    low = np.full(len(wanted), latent.min() - 3.0)
    high = np.full(len(wanted), latent.max() + 3.0)
    for _ in range(24):
        middle = (low + high) / 2
        present = _follow(_levels(latent - middle)) >= OCCURRENCE_INTENSITY
        enough = present[filmed].mean(axis=0) >= wanted
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return _follow(_levels(latent - low))[filmed]


def _latent_levels(rng, subject, n_frames):
    """Draw latent levels (n_videos, n_frames, n_aus), constant within episodes."""
    n_videos, n_aus = len(subject), len(SUPPORTED_AUS)
    shortest, longest = _EPISODE_FRAMES
    n_episodes = n_frames // shortest + 3
    root = np.linalg.cholesky(copula_correlation()).T
    people = subject.max() + 1
    habit = rng.standard_normal((people, n_aus)) @ root * np.sqrt(_PERSONAL_SHARE)
    habit += _EXPRESSIVE_SPREAD * rng.standard_normal((people, 1))
    mood = rng.standard_normal((n_videos, n_episodes, n_aus)) @ root
    mood = mood * np.sqrt(1 - _PERSONAL_SHARE) + habit[subject][:, None]
    ends = rng.integers(shortest, longest + 1, size=(n_videos, n_episodes))
    # Videos start in the middle of an episode.
    ends = np.cumsum(ends, axis=1) - rng.integers(shortest, size=(n_videos, 1))
    # AUs do not start in the same frame.
    ends = np.maximum(ends[..., None] + rng.integers(-2, 3, size=mood.shape), 0)
    video, _, au = np.indices(mood.shape)
    changes = np.zeros((n_videos, n_frames, n_aus), dtype=np.intp)
    within = ends < n_frames
    np.add.at(changes, (video[within], ends[within], au[within]), 1)
    return np.take_along_axis(mood, np.cumsum(changes, axis=1), axis=1)


def _levels(excess):
    """Intensity of an AU from how far its latent level is above its threshold."""
    return np.interp(excess, [-0.3, 0.0, 0.8], [0.0, 2.6, 5.0])


def _follow(target):
    """Follow the target levels no faster than muscles move."""
    reached = np.empty_like(target)
    reached[:, 0] = target[:, 0]
    for frame in range(1, target.shape[1]):
        before = reached[:, frame - 1]
        step = np.clip(target[:, frame] - before, -OFFSET_SPEED, ONSET_SPEED)
        reached[:, frame] = before + step
    return reached
