import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.datasets import draw_faces
from skfau.datasets.drawn._drawing import draw_frames
from skfau.datasets.drawn._geometry import (
    NEUTRAL,
    moved_landmarks,
    resting_landmarks,
)
from skfau.datasets.drawn._identity import Light, Person, draw_person, frontal_pose
from skfau.facs import FLIP_68, ROI_RULES

# All AUs that can be drawn.
ALL = np.array([1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 43])
LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))
LIPS = ((61, 67), (62, 66), (63, 65))


@pytest.fixture(scope="module")
def sheet():
    """Neutral face, then each AU alone at intensity 5: Faces and pixels."""
    faces = draw_faces(np.vstack([0 * ALL, 5 * np.eye(len(ALL))]), ALL)
    return faces.landmarks, faces.images[...].astype(int)


def row(au):
    """Row of an AU in the sheet."""
    return 1 + ALL.tolist().index(au)


def shift(sheet, au):
    """Movement in pixels of all landmarks when an AU acts."""
    return sheet[0][row(au)] - sheet[0][0]


# Landmark, axis (0 right, 1 down) and sign of its movement at intensity 5.
MOVES = [
    (1, 21, 1, -1), (1, 22, 1, -1), (2, 17, 1, -1), (2, 18, 1, -1), (2, 25, 1, -1),
    (4, 21, 1, 1), (4, 19, 1, 1), (4, 21, 0, 1), (4, 22, 0, -1), (5, 37, 1, -1),
    (5, 44, 1, -1), (6, 41, 1, -1), (6, 46, 1, -1), (7, 40, 1, -1), (7, 38, 1, 1),
    (9, 31, 1, -1), (9, 35, 1, -1), (9, 51, 1, -1), (10, 50, 1, -1), (10, 52, 1, -1),
    (12, 48, 1, -1), (12, 54, 1, -1), (12, 48, 0, -1), (12, 54, 0, 1), (14, 48, 0, -1),
    (15, 48, 1, 1), (15, 54, 1, 1), (17, 57, 1, -1), (17, 8, 1, -1), (20, 48, 0, -1),
    (20, 54, 0, 1), (23, 48, 0, 1), (23, 54, 0, -1), (24, 51, 1, 1), (24, 57, 1, -1),
    (25, 66, 1, 1), (25, 57, 1, 1), (26, 8, 1, 1), (26, 66, 1, 1), (43, 37, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize(("au", "landmark", "axis", "sign"), MOVES)
def test_landmark_moves_where_the_muscle_pulls(sheet, au, landmark, axis, sign):
    assert sign * shift(sheet, au)[landmark, axis] > 0.4


def test_every_au_moves_something(sheet):
    for au in ALL.tolist():
        assert np.abs(shift(sheet, au)).max() > 0.9, au


def test_inner_and_outer_brow_act_apart(sheet):
    assert shift(sheet, 1)[21, 1] < 3 * shift(sheet, 1)[17, 1] - 2
    assert shift(sheet, 2)[17, 1] < 3 * shift(sheet, 2)[21, 1] - 2


def test_closed_eyes_and_parted_lips(sheet):
    landmarks = sheet[0]
    opening = landmarks[:, 41, 1] - landmarks[:, 37, 1]
    assert opening[row(43)] < 0.05 * opening[0]
    assert opening[row(7)] < 0.6 * opening[0]
    gap = landmarks[:, 66, 1] - landmarks[:, 62, 1]
    parted = ALL[gap[1:] > gap[0] + 1]
    assert parted.tolist() == [25, 26]


def test_pressed_lips_hold_the_jaw_and_grow_thin(sheet):
    both = draw_faces([[5, 5, 5]], [24, 25, 26]).landmarks[0]
    assert both[66, 1] - both[62, 1] < 2
    red = sheet[0][:, 62, 1] - sheet[0][:, 51, 1]
    assert red[row(24)] < 0.5 * red[0]


def test_faces_are_mirror_images_of_themselves(sheet):
    landmarks, images = sheet
    mirrored = landmarks[:, FLIP_68] * [-1, 1] + [images.shape[2] - 1, 0]
    np.testing.assert_allclose(landmarks, mirrored, atol=1e-3)
    # The glint in both eyes is on the same side, as it is in a photograph.
    differ = np.abs(images - images[:, :, ::-1]).max(axis=3) > 25
    assert differ.mean() < 0.004


def test_landmarks_lie_on_the_drawn_pixels():
    size = 224
    face = draw_faces([[5]], [5], image_size=size)
    white = face.images[0].min(axis=2) > 215
    y, x = np.nonzero(white)
    landmarks = face.landmarks[0]
    assert abs(x.mean() - (size - 1) / 2) < 0.5
    left = x < size / 2
    eye = landmarks[36:42]
    assert abs(x[left].min() - eye[:, 0].min()) < 4
    assert abs(x[left].max() - eye[:, 0].max()) < 4
    assert eye[:, 1].min() - 1 < y.min() < y.max() < eye[:, 1].max() + 1


def test_a_blink_hides_the_iris_where_the_landmarks_say(sheet):
    landmarks, images = sheet
    x, y = landmarks[0][[37, 38, 40, 41]].mean(axis=0).round().astype(int)
    eye = images[[0, row(43)], y - 1 : y + 2, x - 2 : x + 3]
    assert eye[0].mean() + 60 < eye[1].mean()


@pytest.mark.parametrize("au", [au for au in ALL.tolist() if au in ROI_RULES["jaa"]])
def test_pixels_change_near_the_region_of_interest(sheet, au):
    landmarks, images = sheet
    change = np.abs(images[row(au)] - images[0]).sum(axis=2)
    unit = np.linalg.norm(landmarks[0][39] - landmarks[0][42])
    y, x = np.indices(change.shape)
    near = np.zeros(change.shape, bool)
    for roi in ROI_RULES["jaa"][au]:
        right, down = landmarks[0][list(roi.points)].mean(axis=0)
        near |= np.hypot(x - right, y - down - roi.dy * unit) < unit
    assert change[near].mean() > 4 * change[~near].mean()
    assert change[near].max() > 90


def test_more_intensity_more_change():
    faces = draw_faces([[0], [1], [3], [5]], [12])
    change = np.abs(faces.images[...].astype(int) - faces.images[0]).sum(axis=(1, 2, 3))
    assert (np.diff(change) > 0).all()


strengths = st.lists(st.floats(0, 1.5), min_size=len(ALL), max_size=len(ALL))


@given(strengths, st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_lids_and_lips_never_cross(strength, seed):
    rest = resting_landmarks(draw_person(np.random.default_rng(seed)))
    points = moved_landmarks(rest, np.array([strength]))[0]
    for upper, lower in LIDS + LIPS + ((50, 61), (51, 62), (66, 57), (67, 58)):
        assert points[lower, 1] - points[upper, 1] > -1e-9
    assert np.isfinite(points).all()


@given(st.lists(st.floats(0, 5), min_size=len(ALL), max_size=len(ALL)))
@settings(max_examples=30, deadline=None)
def test_symmetric_muscles_keep_a_symmetric_face_symmetric(intensity):
    points = draw_faces([intensity], ALL, image_size=32).landmarks[0]
    mirrored = points[list(FLIP_68)] * [-1, 1] + [31, 0]
    np.testing.assert_allclose(points, mirrored, atol=1e-5)


def test_average_person_rests_as_the_table_says():
    np.testing.assert_allclose(resting_landmarks(Person()), NEUTRAL, atol=1e-12)


def test_noise_alone_tells_frames_of_a_still_face_apart():
    images = np.zeros((3, 40, 40, 3), np.uint8)
    still = np.zeros((3, len(ALL)))
    draw_frames(images, Person(), still, frontal_pose(3, 40), Light(noise=3), [1, 1, 2])
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).mean() > 0.3
