"""Templates of the aligner: which similarity they choose, whatever the pose."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skfau import FaceAligner, Faces
from skfau.exceptions import MissingFaceWarning
from skfau.facs import FLIP_68, to_68
from tests.mean_face import MEAN_FACE

TEMPLATES = ("eyes-nose-mouth", "inner", "jaa", "arl", "aunet", "box")
FIVE_POINT = ("eyes-nose-mouth", "jaa", "arl")
LEVELLING = ("eyes-nose-mouth", "inner", "jaa", "arl")


def align(landmarks, template, output_size=200):
    """Return aligned landmarks, matrices and what is wrong, of large empty images."""
    images = np.broadcast_to(np.uint8(0), (len(landmarks), 10**4, 10**4, 3))
    aligner = FaceAligner(output_size, template, landmarks="given")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingFaceWarning)
        aligned = aligner.transform(Faces(images, landmarks=landmarks))
    return aligned.landmarks, aligned.column("matrix"), aligned.column("status")


def some_faces(n_faces=3, seed=0):
    """Landmarks (n, 68, 2) in pixels: the mean face, individually deformed."""
    rng = np.random.default_rng(seed)
    points = MEAN_FACE + rng.normal(0, 0.03, (n_faces, 68, 2))
    return moved(points, rng.uniform(40, 90), rng.uniform(-0.4, 0.4), (300, 200))


def moved(points, scale, angle, shift):
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return scale * points @ turn + shift


def umeyama(source, target):
    """Similarity by singular values, Umeyama (1991), eq. 40 to 42."""
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    sign = np.array([1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / (x**2).sum(axis=1).mean()
    shift = target.mean(axis=0) - scale * rotation @ source.mean(axis=0)
    return np.column_stack([scale * rotation, shift])


def five_points(landmarks):
    eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
    return np.array([*eyes, *landmarks[[30, 48, 54]]])


def mean_face(scale=60, shift=(200, 200)):
    return moved(MEAN_FACE[None], scale, 0, shift)


@given(arrays(bool, (3, 68)))
def test_inner_points_are_fitted_by_least_squares(missing):
    """The closed form equals the singular values; missing points are left out."""
    faces = some_faces()
    # The mean face itself fits exactly: its points are where all others should lie.
    target = align(mean_face(), "inner")[0][0]
    matrices, problems = align(np.where(missing[..., None], np.nan, faces), "inner")[1:]
    for face, matrix, hole, problem in zip(
        faces, matrices, missing, problems, strict=True
    ):
        known = ~hole[17:]
        assert (problem == "") == (known.mean() >= 0.5)
        if not problem:
            expected = umeyama(face[17:][known], target[17:][known])
            np.testing.assert_allclose(matrix[:, :2], expected[:, :2], atol=1e-6)
            np.testing.assert_allclose(matrix[:, 2], expected[:, 2], atol=1e-3)


def test_five_points_are_fitted_by_least_squares():
    faces = some_faces()
    target = five_points(align(mean_face(), "eyes-nose-mouth")[0][0])
    matrices = align(faces, "eyes-nose-mouth")[1]
    expected = [umeyama(five_points(face), target) for face in faces]
    np.testing.assert_allclose(matrices, expected, atol=1e-3)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_mirrored_face_is_aligned_to_its_mirror_image(template):
    faces = some_faces()
    mirrored = faces[:, FLIP_68] * [-1, 1] + [600, 0]
    expected = align(faces, template)[0][:, FLIP_68] * [-1, 1] + [199, 0]
    np.testing.assert_allclose(align(mirrored, template)[0], expected, atol=2e-2)


@pytest.mark.parametrize("template", LEVELLING)
@given(st.floats(0.3, 3), st.floats(-3.1, 3.1), st.floats(-200, 200))
def test_aligned_landmarks_do_not_depend_on_the_pose(template, scale, angle, shift):
    faces = some_faces()
    posed = moved(faces, scale, angle, (2000 + shift, 2000 - shift))
    aligned = [align(points, template)[0] for points in (faces, posed)]
    np.testing.assert_allclose(*aligned, atol=5e-3)


@pytest.mark.parametrize("template", ["aunet", "box"])
@given(st.floats(-3.1, 3.1))
def test_upright_templates_never_rotate_and_keep_the_size(template, angle):
    faces = some_faces()
    matrices = align(moved(faces, 1, angle, (1000, 1000)), template)[1]
    reference = align(faces, template)[1]
    np.testing.assert_array_equal(matrices[:, [0, 1], [1, 0]], 0)
    np.testing.assert_allclose(matrices[:, 0, 0], reference[:, 0, 0], rtol=1e-5)


@pytest.mark.parametrize(("template", "enlarge"), [("jaa", 2.9), ("arl", 2.8)])
def test_eyes_level_box(template, enlarge):
    for points in align(some_faces(), template)[0]:
        five = five_points(points)
        assert five[0, 1] == pytest.approx(five[1, 1], abs=1e-3)
        middle = (five.min(axis=0) + five.max(axis=0)) / 2
        np.testing.assert_allclose(middle, 99.5, atol=1e-3)
        assert np.ptp(five, axis=0).max() * enlarge == pytest.approx(199, abs=1e-2)


def test_mean_face_templates_show_the_square_of_jaa():
    jaa = align(mean_face(), "jaa")[0]
    for template in ("eyes-nose-mouth", "inner"):
        np.testing.assert_allclose(align(mean_face(), template)[0], jaa, atol=1)


def test_box_holds_jaw_and_chin():
    aligned = align(mean_face(), "box", 224)[0]
    assert aligned.min() > 0
    assert aligned[0, 8, 1] == pytest.approx(223.5, abs=0.5)


@pytest.mark.parametrize("template", TEMPLATES)
def test_landmarks_scale_with_the_output_size(template):
    faces = some_faces()
    small, large = (align(faces, template, size)[0] for size in (100, 200))
    np.testing.assert_allclose(2 * small + 0.5, large, atol=1)


@pytest.mark.parametrize("template", TEMPLATES)
def test_49_points_suffice(template):
    faces = some_faces()
    inner = np.delete(faces[:, 17:], [43, 47], axis=1)
    points, _, problems = align(to_68(inner), template)
    expected = align(faces, template)[0]
    assert not problems.any()
    known = np.isfinite(points)
    atol = 1e-3 if template in FIVE_POINT else 2
    np.testing.assert_allclose(points[known], expected[known], atol=atol)


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_landmarks(template):
    _, matrices, problems = align(np.full((1, 68, 2), np.nan), template)
    assert np.isnan(matrices).all()
    assert problems.tolist() == ["no landmarks"]


@pytest.mark.parametrize("template", TEMPLATES)
@given(st.floats(-2000, 2000, width=32))
def test_coinciding_landmarks_are_an_error_text_not_a_matrix(template, value):
    points = np.full((1, 68, 2), value, dtype=np.float32)
    _, matrices, problems = align(points, template)
    assert np.isnan(matrices).all()
    assert "degenerate landmarks" in problems[0]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_landmarks_in_shares_of_the_image_are_named(template, share):
    """They would cut out one enlarged pixel of the corner."""
    points = (some_faces(1) - some_faces(1).min()) / np.ptp(some_faces(1)) * share
    _, matrices, problems = align(points, template)
    assert np.isnan(matrices).all()
    assert problems[0].endswith("landmarks must be in pixels")
    assert align(points * 100, template, 8)[2][0] == ""


@pytest.mark.parametrize("template", TEMPLATES)
def test_points_that_a_template_lacks_are_named(template):
    faces = some_faces(1)
    faces[:, 36:] = np.nan
    _, matrices, problems = align(faces, template)
    assert np.isnan(matrices).all()
    few = template in FIVE_POINT
    needs = "30, 36 to 48 and 54, or the column 'five_points'"
    needs = needs if few else "half of the points from 17 on"
    start = f"incomplete landmarks: template {template!r} needs {needs}; known are "
    assert problems[0] == start + "0 to 35"


@pytest.mark.parametrize("template", TEMPLATES)
def test_five_points_serve_every_template(template):
    """On the mean face they lie as all its points; on others almost."""
    faces = np.concatenate([mean_face(), some_faces()])
    five = np.array([five_points(face) for face in faces])
    images = np.broadcast_to(np.uint8(0), (len(faces), 999, 999, 3))
    aligned = FaceAligner(template=template).transform(Faces(images, five_points=five))
    by_five = aligned.column("matrix") @ [150, 150, 1]
    by_all = align(faces, template)[1] @ [150, 150, 1]
    few = template in FIVE_POINT
    np.testing.assert_allclose(by_five[0], by_all[0], atol=1e-3)
    np.testing.assert_allclose(by_five, by_all, atol=1e-3 if few else 15)


def test_a_lost_point_of_five_is_named():
    five = np.array([five_points(face) for face in some_faces(2)])
    five[0, 2] = np.nan
    faces = Faces(np.zeros((2, 500, 500, 3), np.uint8), five_points=five)
    needs = "template 'box' needs all five_points; known are 0, 1, 3, 4"
    with pytest.warns(MissingFaceWarning, match=needs):
        status = FaceAligner(template="box").transform(faces).column("status")
    assert status[1] == ""


def test_one_bad_row_does_not_touch_the_others():
    faces = some_faces()
    expected = align(faces, "inner")[1]
    faces[1] = 7
    _, matrices, problems = align(faces, "inner")
    np.testing.assert_array_equal(matrices[[0, 2]], expected[[0, 2]])
    assert (problems != "").tolist() == [False, True, False]
