import pickle

import cv2
import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skfau import Faces
from skfau.exceptions import MissingColumnError
from skfau.facs import DATASET_AUS, FLIP_68, ROI_RULES, roi_rule, to_68
from skfau.preprocessing import ROIHeatmaps, roi_heatmaps
from tests.mean_face import MEAN_FACE

BP4D = DATASET_AUS["bp4d"]
SIDE = (224, 224)


def faces_like(seed, n=3, scale=1.0, noise=1.5):
    """Landmarks of deformed faces in 224 x 224 pixels, on a grid of 1/8 pixel."""
    rng = np.random.default_rng(seed)
    faces = MEAN_FACE * 80 * scale + np.array([111.5, 60])
    faces = faces + rng.normal(0, 8, (n, 1, 2)) + rng.normal(0, noise, (n, 68, 2))
    return np.round(faces * 8) / 8


def drawn(landmarks, au, size, convention="jaa", detail=4):
    """Draw filled ellipses ``detail`` times finer than pixels, blur, average."""
    unit = abs(landmarks[39, 0] - landmarks[42, 0])
    y, x = (np.mgrid[: 224 * detail, : 224 * detail] + 0.5) / detail - 0.5
    canvas = np.zeros(x.shape, np.float32)
    for points, dy in roi_rule(au, convention):
        cx, cy = landmarks[list(points)].mean(axis=0) + np.array([0, dy * unit])
        inside = ((x - cx) / (0.5 * unit)) ** 2 + ((y - cy) / (0.35 * unit)) ** 2 <= 1
        canvas[inside] = 1
    canvas = cv2.GaussianBlur(
        canvas, (0, 0), 3 * detail, borderType=cv2.BORDER_CONSTANT
    )
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("size", [7, 14, 28])
@pytest.mark.parametrize("au", [1, 4, 10, 12, 17, 23])
def test_ellipses_are_those_that_drawing_gives(au, size):
    landmarks = faces_like(au, n=1)
    expected = drawn(landmarks[0], au, size)
    error = np.abs(roi_heatmaps(landmarks, [au], SIDE, size=size)[0, 0] - expected)
    assert error.mean() < 1e-3
    assert error.max() < 0.01
    assert expected.max() > 0.5


def test_a_lone_centre_is_one_ellipse():
    landmarks = faces_like(0, n=1)
    expected = drawn(landmarks[0], 4, 14, convention="aunet")
    maps = roi_heatmaps(landmarks, [4], SIDE, size=14, convention="aunet")
    np.testing.assert_allclose(maps[0, 0], expected, atol=0.01)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.2, 2.5),
    size=st.sampled_from([1, 7, 12, 44]),
    shape=st.sampled_from(["ellipse", "diamond"]),
    convention=st.sampled_from(sorted(ROI_RULES)),
    width=st.sampled_from([176, 224, 301]),
)
def test_maps_are_in_range_and_mirror_with_the_face(
    seed, scale, size, shape, convention, width
):
    # Noise of a small face is small: eyes on one another have no width to measure by.
    landmarks = faces_like(seed, scale=scale, noise=4.0 * scale)
    mirrored = landmarks[:, FLIP_68]
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    aus = list(ROI_RULES[convention])
    parameters = {"size": size, "shape": shape, "convention": convention}
    maps = roi_heatmaps(landmarks, aus, (224, width), **parameters)
    assert maps.dtype == np.float32
    assert maps.shape == (3, len(aus), size, size)
    assert maps.min() >= 0
    assert maps.max() <= 1
    flipped = roi_heatmaps(mirrored, aus, (224, width), **parameters)
    np.testing.assert_allclose(flipped, maps[..., ::-1], atol=2e-6)


@pytest.mark.parametrize("shape", ["ellipse", "diamond"])
def test_maps_do_not_depend_on_the_resolution_of_the_image(shape):
    landmarks = faces_like(1)
    maps = roi_heatmaps(landmarks, BP4D, SIDE, shape=shape)
    finer = roi_heatmaps((landmarks + 0.5) * 3 - 0.5, BP4D, (672, 672), shape=shape)
    np.testing.assert_allclose(finer, maps, atol=5e-3)


@pytest.mark.parametrize("shape", ["ellipse", "diamond"])
def test_moving_the_face_by_a_cell_moves_the_map_by_a_cell(shape):
    landmarks = faces_like(2, scale=0.5)
    maps = roi_heatmaps(landmarks, BP4D, (224, 448), size=14, shape=shape)
    landmarks += np.array([32, 16])
    moved = roi_heatmaps(landmarks, BP4D, (224, 448), size=14, shape=shape)
    np.testing.assert_allclose(moved[..., 1:, 1:], maps[..., :-1, :-1], atol=1e-6)


def test_area_of_an_ellipse_inside_the_image():
    landmarks = faces_like(3, n=1, noise=0)
    unit = landmarks[0, 42, 0] - landmarks[0, 39, 0]
    share = roi_heatmaps(landmarks, [12], SIDE).mean()
    expected = 2 * np.pi * 0.5 * 0.35 * unit**2 / 224**2
    assert share == pytest.approx(expected, rel=1e-3)


def test_axes_and_sigma_widen_the_map():
    landmarks = faces_like(4)
    narrow = roi_heatmaps(landmarks, BP4D, SIDE, axes=(0.3, 0.2))
    wide = roi_heatmaps(landmarks, BP4D, SIDE)
    soft = roi_heatmaps(landmarks, BP4D, SIDE, sigma=9.0)
    assert (narrow <= wide + 1e-3).all()
    assert soft.max() < wide.max()
    assert ((soft > 0.01).sum((2, 3)) > (wide > 0.01).sum((2, 3))).all()


def test_diamonds_are_jaanets_maps_where_centres_are_whole_cells():
    size, half = 44, 3  # half side: round((44 - 1) / 2 * 0.14)
    landmarks = np.zeros((1, 68, 2))
    landmarks[0, [39, 42]] = (60, 60), (116, 60)
    cells = np.array([(12, 30), (15, 31)])
    landmarks[0, [48, 54]] = (cells + 0.5) * 4 - 0.5
    expected = np.zeros((size, size))
    for column, row in cells:
        for i in range(row - half, row + half + 1):
            for j in range(column - half, column + half + 1):
                away = abs(i - row) + abs(j - column)
                value = 1 - away * 0.56 / (0.14 * size)
                expected[i, j] = max(expected[i, j], value)
    maps = roi_heatmaps(landmarks, [12], (176, 176), size=size, shape="diamond")
    np.testing.assert_allclose(maps[0, 0], expected, atol=1e-6)


def test_unknown_landmarks_blank_only_the_maps_that_need_them():
    landmarks = faces_like(5)
    landmarks[0, 48] = np.nan
    landmarks[1, 39] = np.nan
    landmarks[2, 57, 1] = np.nan
    unknown = np.isnan(roi_heatmaps(landmarks, BP4D, SIDE))
    maps = unknown.all(axis=(2, 3))
    assert (maps == unknown.any(axis=(2, 3))).all()
    assert [au for au, blank in zip(BP4D, maps[0], strict=True) if blank] == [
        12,
        14,
        15,
    ]
    assert maps[1].all()
    assert [au for au, blank in zip(BP4D, maps[2], strict=True) if blank] == [23, 24]


def test_eyes_on_top_of_each_other_give_no_scale():
    landmarks = faces_like(6)
    landmarks[1, 39, 0] = landmarks[1, 42, 0]
    maps = roi_heatmaps(landmarks, BP4D, SIDE, shape="diamond")
    assert np.isnan(maps[1]).all()
    assert np.isfinite(maps[[0, 2]]).all()


def test_centres_outside_of_the_image():
    away = faces_like(7) + np.array([1000, 0])
    assert (roi_heatmaps(away, BP4D, SIDE) == 0).all()
    assert np.isfinite(roi_heatmaps(away * 1e30, BP4D, SIDE)).all()


def test_half_of_a_face_outside_of_the_image_leaves_half_of_the_map():
    face = np.zeros((1, 68, 2))
    face[0, [19, 24, 39, 42]] = (70, 60), (153, 60), (90, 80), (133, 80)
    whole = roi_heatmaps(face, [4], SIDE).sum()
    half = roi_heatmaps(face - np.array([112, 0]), [4], SIDE).sum()
    assert half == pytest.approx(whole / 2, rel=0.01)


@pytest.mark.parametrize("shape", ["ellipse", "diamond"])
def test_a_batch_is_its_rows(shape):
    landmarks = faces_like(8, n=50)
    maps = roi_heatmaps(landmarks, BP4D, SIDE, shape=shape)
    single = [roi_heatmaps(row[None], BP4D, SIDE, shape=shape)[0] for row in landmarks]
    np.testing.assert_allclose(maps, single, atol=1e-6)
    assert roi_heatmaps(landmarks[:0], BP4D, SIDE).shape == (0, 12, 12, 12)


def test_bp4d_points_suffice_for_bp4d_aus():
    points = np.delete(faces_like(9)[:, 17:], [43, 47], axis=1)
    assert points.shape[1] == 49
    assert np.isfinite(roi_heatmaps(to_68(points), BP4D, SIDE)).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"landmarks": np.zeros((2, 49, 2))}, r"\(2, 49, 2\); skfau.facs.to_68"),
        ({"aus": [1, 51]}, "no region of interest for AU51"),
        ({"aus": []}, "at least one action unit"),
        ({"convention": "eac", "aus": [9]}, "'eac' has no .* AU9;"),
        ({"convention": "dlib"}, "'convention' parameter"),
        ({"shape": "box"}, "'shape' parameter"),
        ({"size": 0}, "'size' parameter"),
        ({"sigma": 0.0}, "'sigma' parameter"),
        ({"axes": (0.5, -1)}, "axes must be two positive numbers"),
        ({"image_shape": (224, 224, 3)}, "image_shape must be two positive numbers"),
    ],
)
def test_what_is_wrong_is_said(changed, message):
    given = {"landmarks": faces_like(0), "aus": BP4D, "image_shape": SIDE, **changed}
    with pytest.raises(ValueError, match=message):
        roi_heatmaps(**given)


@pytest.fixture
def faces():
    return Faces(np.zeros((6, 224, 224, 3), np.uint8), landmarks=faces_like(10, n=6))


def test_transformer_needs_no_fit_and_attaches_the_maps(faces):
    maps = ROIHeatmaps(size=9, shape="diamond").transform(faces).column("heatmaps")
    expected = roi_heatmaps(faces.landmarks, BP4D, SIDE, size=9, shape="diamond")
    np.testing.assert_array_equal(maps, expected)


def test_rows_of_views_are_found(faces):
    attached = ROIHeatmaps().transform(faces[[5, 3, 1]])
    expected = roi_heatmaps(faces.landmarks[[1, 5]], BP4D, SIDE)
    np.testing.assert_array_equal(attached[[2, 0]].column("heatmaps"), expected)


class Watched:
    """Landmarks that count the rows which are read."""

    def __init__(self, values):
        self.values = values
        self.counts = []

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        self.counts.append(len(self.values[rows]))
        return self.values[rows]

    def fingerprint(self):
        return "watched"


def test_only_the_rows_that_are_read_are_computed(faces):
    landmarks = Watched(faces.landmarks)
    attached = ROIHeatmaps().transform(faces.with_columns(landmarks=landmarks))
    landmarks.counts.clear()
    attached[::2].column("heatmaps", [0, 1])
    assert landmarks.counts == [2]


def test_faces_with_maps_pickle_without_the_maps(faces):
    attached = ROIHeatmaps().transform(faces)
    data = pickle.dumps(attached)
    assert len(data) < len(pickle.dumps(faces)) + 2000
    again = pickle.loads(data).column("heatmaps")
    np.testing.assert_array_equal(again, attached.column("heatmaps"))


def test_fingerprint_follows_landmarks_and_parameters(faces):
    prints = {
        ROIHeatmaps(**parameters).transform(x).fingerprint()
        for x in (faces, faces.with_columns(landmarks=faces.landmarks + 1))
        for parameters in ({}, {"sigma": 4.0}, {"aus": (1, 2)})
    }
    assert len(prints) == 6
    same = ROIHeatmaps().transform(faces).fingerprint()
    assert same in prints


def test_works_in_pipelines_and_whatever_output_is_set(faces):
    pipeline = make_pipeline(clone(ROIHeatmaps(aus=DATASET_AUS["emotionet"])))
    with sklearn.config_context(transform_output="pandas"):
        attached = pipeline.fit_transform(faces)
    assert attached.column("heatmaps", [0]).shape == (1, 12, 12, 12)


def test_faces_without_landmarks_are_refused_with_a_remedy():
    with pytest.raises(MissingColumnError, match=r"landmarks.*FaceAligner"):
        ROIHeatmaps().fit(np.zeros((2, 8, 8, 3), np.uint8))


def test_bad_parameters_show_at_transform_not_when_maps_are_read(faces):
    with pytest.raises(ValueError, match="no region of interest for AU51"):
        ROIHeatmaps(aus=(51,)).transform(faces)
    with pytest.raises(ValueError, match="'size' parameter"):
        ROIHeatmaps(size=0).transform(faces)
