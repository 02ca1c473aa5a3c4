import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skfau.facs import FLIP_68, to_68
from skfau.preprocessing._similarity import (
    MEAN_FACE,
    TEMPLATES,
    align_landmarks,
    apply_similarity,
    fit_similarity,
    invert_similarity,
)

FIVE_POINT = ("eyes-nose-mouth", "jaa", "arl")
LEVELLING = ("eyes-nose-mouth", "inner", "jaa", "arl")


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


@given(st.integers(0, 2**32 - 1), st.integers(3, 68))
def test_closed_form_equals_singular_values(seed, n_points):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 4, n_points, 2))
    fitted = fit_similarity(source, target)
    expected = [umeyama(*pair) for pair in zip(source, target, strict=True)]
    np.testing.assert_allclose(fitted, expected, atol=1e-9)


@given(
    st.floats(0.05, 20),
    st.floats(-3.1, 3.1),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_exact_similarity_is_recovered(scale, angle, shift):
    points = some_faces(1)
    target = moved(points, scale, angle, shift)
    fitted = fit_similarity(points, target)
    np.testing.assert_allclose(apply_similarity(fitted, points), target, atol=1e-2)
    back = apply_similarity(invert_similarity(fitted), target)
    np.testing.assert_allclose(back, points, atol=1e-2)


@given(arrays(bool, (2, 68)))
def test_missing_points_are_left_out(missing):
    source, target = some_faces(2), some_faces(2, seed=1)
    holes = np.where(missing[:, :, None], np.nan, source)
    fitted = fit_similarity(holes, target)
    for face in range(2):
        if (~missing[face]).sum() >= 2:
            known = ~missing[face]
            expected = umeyama(source[face][known], target[face][known])
            np.testing.assert_allclose(fitted[face], expected, atol=1e-9)


def test_mean_face_is_symmetric():
    np.testing.assert_allclose(
        MEAN_FACE[list(FLIP_68)] * [-1, 1], MEAN_FACE, atol=1e-12
    )


def test_mean_face_unit_is_the_distance_of_the_eyes():
    left, right = five_points(MEAN_FACE)[:2]
    np.testing.assert_allclose([left, right], [[-0.5, 0], [0.5, 0]], atol=2e-3)


@pytest.mark.parametrize("template", LEVELLING)
@given(st.floats(0.3, 3), st.floats(-3.1, 3.1), st.floats(-200, 200))
def test_aligned_landmarks_do_not_depend_on_the_pose(template, scale, angle, shift):
    faces = some_faces()
    posed = moved(faces, scale, angle, (shift, -shift))
    aligned = [
        apply_similarity(align_landmarks(points, template, 200)[0], points)
        for points in (faces, posed)
    ]
    np.testing.assert_allclose(*aligned, atol=2e-3)


@pytest.mark.parametrize("template", ["aunet", "box"])
@given(st.floats(-3.1, 3.1))
def test_upright_templates_never_rotate_and_keep_the_size(template, angle):
    faces = some_faces()
    matrices, _ = align_landmarks(moved(faces, 1, angle, (0, 0)), template, 200)
    reference, _ = align_landmarks(faces, template, 200)
    np.testing.assert_array_equal(matrices[:, [0, 1], [1, 0]], 0)
    np.testing.assert_allclose(matrices[:, 0, 0], reference[:, 0, 0], rtol=1e-9)


@pytest.mark.parametrize(("template", "enlarge"), [("jaa", 2.9), ("arl", 2.8)])
def test_eyes_level_box(template, enlarge):
    faces = some_faces()
    matrices, _ = align_landmarks(faces, template, 200)
    for points in apply_similarity(matrices, faces):
        five = five_points(points)
        assert five[0, 1] == pytest.approx(five[1, 1], abs=1e-3)
        middle = (five.min(axis=0) + five.max(axis=0)) / 2
        np.testing.assert_allclose(middle, 99.5, atol=1e-3)
        assert np.ptp(five, axis=0).max() * enlarge == pytest.approx(199, abs=1e-2)


def test_mean_face_templates_show_the_square_of_jaa():
    points = moved(MEAN_FACE[None], 60, 0, (200, 200))
    jaa = apply_similarity(align_landmarks(points, "jaa", 200)[0], points)
    for template in ("eyes-nose-mouth", "inner"):
        matrices, _ = align_landmarks(points, template, 200)
        np.testing.assert_allclose(apply_similarity(matrices, points), jaa, atol=1)


def test_box_holds_jaw_and_chin():
    points = moved(MEAN_FACE[None], 60, 0, (200, 200))
    aligned = apply_similarity(align_landmarks(points, "box", 224)[0], points)
    assert aligned.min() > 0
    assert aligned[0, 8, 1] == pytest.approx(223.5, abs=0.5)


@pytest.mark.parametrize("template", TEMPLATES)
def test_landmarks_scale_with_the_output_size(template):
    faces = some_faces()
    small, large = (
        apply_similarity(align_landmarks(faces, template, size)[0], faces)
        for size in (100, 200)
    )
    np.testing.assert_allclose(2 * small + 0.5, large, atol=1)


@pytest.mark.parametrize("template", TEMPLATES)
def test_49_points_suffice(template):
    faces = some_faces()
    inner = np.delete(faces[:, 17:], [43, 47], axis=1)
    matrices, problems = align_landmarks(to_68(inner), template, 200)
    expected, _ = align_landmarks(faces, template, 200)
    assert not problems.any()
    atol = 1e-3 if template in FIVE_POINT else 2
    np.testing.assert_allclose(
        apply_similarity(matrices, faces), apply_similarity(expected, faces), atol=atol
    )


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_landmarks(template):
    matrices, problems = align_landmarks(np.full((1, 68, 2), np.nan), template, 200)
    assert np.isnan(matrices).all()
    assert problems.tolist() == ["no landmarks"]


@pytest.mark.parametrize("template", TEMPLATES)
@given(st.floats(-2000, 2000, width=32))
def test_coinciding_landmarks_are_an_error_text_not_a_matrix(template, value):
    points = np.full((1, 68, 2), value, dtype=np.float32)
    matrices, problems = align_landmarks(points, template, 200)
    assert np.isnan(matrices).all()
    assert "degenerate landmarks" in problems[0]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_landmarks_in_shares_of_the_image_are_named(template, share):
    """They would cut out one enlarged pixel of the corner."""
    points = (some_faces(1) - some_faces(1).min()) / np.ptp(some_faces(1)) * share
    matrices, problems = align_landmarks(points, template, 200)
    assert np.isnan(matrices).all()
    assert problems[0].endswith("landmarks must be in pixels")
    _, problems = align_landmarks(points * 100, template, 8)
    assert problems[0] == ""


@pytest.mark.parametrize("template", TEMPLATES)
def test_points_that_a_template_lacks_are_named(template):
    faces = some_faces(1)
    faces[:, 36:] = np.nan
    matrices, problems = align_landmarks(faces, template, 200)
    assert np.isnan(matrices).all()
    few = template in ("eyes-nose-mouth", "jaa", "arl")
    needs = "30, 36 to 48 and 54, or the column 'five_points'"
    needs = needs if few else "half of the points from 17 on"
    assert problems[0] == f"incomplete landmarks: template {template!r} needs {needs}"


@pytest.mark.parametrize("template", ["inner", "aunet", "box"])
def test_five_points_are_too_few_for_the_inner_ones(template):
    matrices, problems = align_landmarks(some_faces(2)[:, :5], template, 200)
    assert np.isnan(matrices).all()
    assert problems[0].startswith(f"incomplete landmarks: template {template!r} needs")


def test_one_bad_row_does_not_touch_the_others():
    faces = some_faces()
    expected, _ = align_landmarks(faces, "inner", 200)
    faces[1] = 7
    matrices, problems = align_landmarks(faces, "inner", 200)
    np.testing.assert_array_equal(matrices[[0, 2]], expected[[0, 2]])
    assert (problems != "").tolist() == [False, True, False]
