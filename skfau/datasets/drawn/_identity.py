"""Random people, head poses and light."""

from dataclasses import dataclass, fields, replace

import numpy as np

from skfau.datasets.drawn._geometry import SUPPORTED_AUS

_SKINS = np.array(
    [
        (243, 212, 190), (236, 198, 170), (222, 178, 146), (202, 155, 120),
        (174, 124, 90), (140, 95, 68), (106, 70, 50),
    ],
    dtype=float,
)  # fmt: skip
_HAIRS = np.array(
    [(38, 30, 28), (64, 44, 32), (104, 70, 44), (176, 132, 76), (140, 70, 40),
     (170, 166, 160)],
    dtype=float,
)  # fmt: skip
_IRISES = np.array(
    [(74, 46, 28), (98, 66, 36), (86, 118, 148), (92, 118, 82)], dtype=float
)
_CLOTHES = np.array(
    [(70, 84, 110), (120, 62, 66), (72, 104, 86), (60, 60, 66), (190, 186, 176)],
    dtype=float,
)


@dataclass(frozen=True)
class Person:
    """Build, colours and expressiveness of a person; by default an average face."""

    face_width: float = 1.0
    face_length: float = 1.0
    jaw_width: float = 1.0
    eye_opening: float = 1.0
    eye_width: float = 1.0
    eye_spacing: float = 1.0
    eye_slant: float = 0.0
    brow_height: float = 0.0
    brow_slant: float = 0.0
    brow_arch: float = 0.0
    brow_thickness: float = 1.0
    nose_width: float = 1.0
    nose_length: float = 1.0
    mouth_width: float = 1.0
    mouth_height: float = 0.0
    upper_lip: float = 1.0
    lower_lip: float = 1.0
    corner_droop: float = 0.0
    asymmetry: float = 0.0
    # Strength of lines at rest; an AU at intensity 5 draws a line of strength 1.
    forehead_lines: float = 0.0
    glabella_lines: float = 0.0
    eye_lines: float = 0.1
    cheek_lines: float = 0.12
    chin_lines: float = 0.05
    skin: tuple = (236.0, 198.0, 170.0)
    hair: tuple = (64.0, 44.0, 32.0)
    iris: tuple = (86.0, 118.0, 148.0)
    clothes: tuple = (70.0, 84.0, 110.0)
    redness: float = 0.5
    hairline: float = 0.0
    parting: float = 0.0
    long_hair: bool = False
    bald: bool = False
    glasses: bool = False
    # Factors on the strength of all AUs, and of each AU.
    expressiveness: float = 1.0
    habits: tuple = (1.0,) * len(SUPPORTED_AUS)


@dataclass(frozen=True)
class Pose:
    """Head pose and gaze per frame; angles in radians, lengths in pixels.

    Positive yaw turns the nose to the image's right, positive pitch turns it up,
    positive roll turns the head clockwise.
    """

    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    scale: np.ndarray
    centre: np.ndarray
    gaze: np.ndarray

    def __getitem__(self, rows):
        """Return the pose of some frames."""
        return Pose(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Light:
    """Light and camera of one video."""

    gain: float = 1.0
    # Change of brightness from the image's centre to its right and lower edge.
    slope: tuple = (0.0, 0.0)
    tint: tuple = (1.0, 1.0, 1.0)
    background: tuple = (150.0, 160.0, 168.0)
    blur: float = 0.0
    noise: float = 0.0


def draw_person(rng):
    """Draw a random `Person` from a `numpy.random.Generator`."""

    def around(mean, spread):
        return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))

    def one_of(colours):
        jitter = (1 + 0.05 * rng.standard_normal()) * (
            1 + 0.012 * rng.standard_normal(3)
        )
        return tuple(np.clip(colours[rng.integers(len(colours))] * jitter, 8, 250))

    lines = np.clip(rng.gamma(1.0, 0.11, size=5), 0, 0.4)
    return Person(
        face_width=around(1.0, 0.045),
        face_length=around(1.0, 0.03),
        jaw_width=around(1.0, 0.06),
        eye_opening=around(1.0, 0.09),
        eye_width=around(1.0, 0.06),
        eye_spacing=around(1.0, 0.035),
        eye_slant=around(0.0, 0.06),
        brow_height=around(0.0, 0.04),
        brow_slant=around(0.0, 0.06),
        brow_arch=around(0.15, 0.25),
        brow_thickness=around(1.0, 0.22),
        nose_width=around(1.0, 0.11),
        nose_length=around(1.0, 0.05),
        mouth_width=around(1.0, 0.08),
        mouth_height=around(0.0, 0.03),
        upper_lip=around(1.0, 0.16),
        lower_lip=around(1.0, 0.16),
        corner_droop=around(0.0, 0.02),
        asymmetry=around(0.0, 0.08),
        forehead_lines=lines[0],
        glabella_lines=lines[1],
        eye_lines=lines[2],
        cheek_lines=lines[3],
        chin_lines=lines[4],
        skin=one_of(_SKINS),
        hair=one_of(_HAIRS),
        iris=one_of(_IRISES),
        clothes=one_of(_CLOTHES),
        redness=float(rng.uniform(0.2, 0.9)),
        hairline=around(0.0, 0.08),
        parting=float(rng.uniform(-0.6, 0.6)),
        long_hair=bool(rng.random() < 0.45),
        bald=bool(rng.random() < 0.12),
        glasses=bool(rng.random() < 0.2),
        expressiveness=float(np.exp(around(0.0, 0.13))),
        habits=tuple(np.exp(0.1 * rng.standard_normal(len(SUPPORTED_AUS)))),
    )


def draw_light(rng):
    """Draw random `Light` from a `numpy.random.Generator`."""
    return Light(
        gain=float(rng.uniform(0.8, 1.12)),
        slope=tuple(rng.uniform(-0.22, 0.22, size=2)),
        tint=tuple(1 + rng.uniform(-0.035, 0.035, size=3)),
        background=tuple(rng.uniform(60, 200) + rng.uniform(-18, 18, size=3)),
        blur=float(rng.uniform(0.25, 0.6)),
        noise=float(rng.uniform(1.0, 3.5)),
    )


def frontal_pose(n_frames, image_size):
    """Return the pose of heads that look straight into the camera."""
    zeros = np.zeros(n_frames)
    middle = (image_size - 1) / 2
    return Pose(
        yaw=zeros,
        pitch=zeros,
        roll=zeros,
        scale=np.full(n_frames, 0.3 * image_size),
        centre=np.full((n_frames, 2), middle),
        gaze=np.zeros((n_frames, 2)),
    )


def moving_pose(rng, n_frames, image_size):
    """Return the pose of moving heads: slow random curves."""

    def curve(spread):
        period = rng.uniform(25, 80, size=3)
        phase = rng.uniform(0, 2 * np.pi, size=3)
        time = np.arange(n_frames)[:, None]
        sway = np.sin(2 * np.pi * time / period + phase).mean(axis=1)
        return spread * (0.8 * rng.standard_normal() + sway)

    still = frontal_pose(n_frames, image_size)
    shift = np.stack([curve(0.012), curve(0.012)], axis=1) * image_size
    return replace(
        still,
        yaw=np.clip(curve(0.13), -0.4, 0.4),
        pitch=np.clip(curve(0.09), -0.25, 0.25),
        roll=np.clip(curve(0.06), -0.25, 0.25),
        scale=still.scale * np.clip(1 + curve(0.035), 0.86, 1.12),
        centre=still.centre + shift,
        gaze=np.stack([curve(0.3), curve(0.2)], axis=1),
    )
