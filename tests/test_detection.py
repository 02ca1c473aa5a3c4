import hashlib
import pickle
import re
import sys
import types
from importlib.resources import files

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut, chelsea, coffee

from skfau import Faces
from skfau.datasets import make_faces
from skfau.facs import FLIP_68
from skfau.preprocessing import DlibDetector, MeshDetector
from skfau.preprocessing._mesh import MESH_TO_68, _merge_boxes, prefer_large, tiles
from skfau.preprocessing._people import detect_landmarks
from tests.squares import SquareDetector, film

# Read off the photograph by eye: eye corners, nose tip, mouth corners.
BY_EYE = {36: (194, 100), 39: (213, 103), 42: (236, 105), 45: (256, 104)}
BY_EYE |= {30: (222, 126), 48: (200, 139), 54: (246, 142)}
INNER = slice(17, 68)
detector = MeshDetector(n_jobs=1)


@pytest.fixture(scope="module")
def photo():
    return astronaut()


@pytest.fixture(scope="module")
def landmarks(photo):
    return detector([photo])[0]


def off_by(found, expected):
    """Mean distance of the inner 51 points, as a share of the eye distance."""
    away = np.linalg.norm(found - expected, axis=1)[INNER].mean()
    return away / np.linalg.norm(expected[36] - expected[45])


def turn(image, degrees, scale=1.0):
    """Rotate about the middle; return the image and its 2 x 3 matrix."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    return cv2.warpAffine(image, matrix, (width, height)), matrix


def test_points_lie_where_a_human_sees_them(landmarks):
    for point, place in BY_EYE.items():
        assert np.linalg.norm(landmarks[point] - place) < 0.06 * 62


def test_landmarks_are_float32_pixels(landmarks):
    assert landmarks.shape == (68, 2)
    assert landmarks.dtype == np.float32
    assert np.isfinite(landmarks).all()


def test_inner_points_are_in_the_usual_order(landmarks):
    # Subject's right is at the image's left; y grows downward.
    brows, eyes, nose, mouth = (
        landmarks[i:j, 1].mean() for i, j in ((17, 27), (36, 48), (27, 36), (48, 68))
    )
    assert brows < eyes < nose < mouth < landmarks[8, 1]
    assert (np.diff(landmarks[17:27, 0]) > 0).all()


def test_each_mesh_vertex_is_used_once():
    assert len(MESH_TO_68) == len(set(MESH_TO_68.tolist())) == 68


def test_mirrored_photo_gives_mirrored_landmarks(photo, landmarks):
    mirrored = detector([np.ascontiguousarray(photo[:, ::-1])])[0][list(FLIP_68)]
    mirrored[:, 0] = photo.shape[1] - 1 - mirrored[:, 0]
    assert off_by(mirrored, landmarks) < 0.03


@pytest.mark.parametrize("degrees", [-120, -90, -45, -30, 30, 45, 60, 90])
def test_rolled_faces_are_found(photo, landmarks, degrees):
    rolled, matrix = turn(photo, degrees)
    expected = landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert off_by(detector([rolled])[0], expected) < 0.05


def test_upside_down_faces_are_found(photo, landmarks):
    found = detector([np.ascontiguousarray(photo[::-1, ::-1])])[0]
    assert off_by(found, 511 - landmarks) < 0.05


@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 3])
def test_rescaled_faces_are_found(photo, landmarks, scale):
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=method)
    expected = (landmarks + 0.5) * scale - 0.5
    assert off_by(detector([image])[0], expected) < 0.04


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=8)
def test_shifted_faces_shift_their_landmarks(right, down):
    image = astronaut()
    padded = np.pad(image, ((down, 0), (right, 0), (0, 0)))
    expected = detector([image])[0] + [right, down]
    assert off_by(detector([padded])[0], expected) < 0.03


def test_gray_faces_are_found(photo, landmarks):
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    assert (
        off_by(detector([np.repeat(gray[..., None], 3, axis=2)])[0], landmarks) < 0.04
    )


def test_tight_crops_are_found(photo, landmarks):
    crop = np.ascontiguousarray(photo[40:215, 145:305])
    assert off_by(detector([crop])[0], landmarks - [145, 40]) < 0.05


def test_far_faces_are_found_by_the_full_range_network(photo, landmarks):
    matrix = np.array([[0.35, 0, 200], [0, 0.35, 200]])
    scene = cv2.warpAffine(
        cv2.GaussianBlur(photo, (0, 0), 1),
        matrix,
        (512, 512),
        borderMode=cv2.BORDER_REPLICATE,
    )
    expected = landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert off_by(detector([scene])[0], expected) < 0.06


@pytest.mark.parametrize(
    "image",
    [coffee(), chelsea(), np.zeros((300, 200, 3), np.uint8), np.zeros((1, 7, 3), "u1")],
    ids=["coffee", "cat", "black", "tiny"],
)
def test_no_face_is_a_nan_row(image):
    assert np.isnan(detector([image])).all()


def test_largest_of_several_faces(photo, landmarks):
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    scene = np.zeros((512, 768, 3), dtype=np.uint8)
    scene[100:356, :256] = small
    scene[:, 256:] = photo
    assert len(detector.boxes([scene])[0]) == 2
    assert off_by(detector([scene])[0], landmarks + np.array([256, 0])) < 0.04


def test_all_faces_of_an_image_the_largest_first(photo, landmarks):
    [(boxes, points)] = detector.faces([scene_of(photo, big=True)])
    assert (np.diff(boxes[:, 2]) < 0).all()
    assert off_by(points[0], landmarks + np.array([256, 0])) < 0.04
    assert off_by(points[1], (landmarks + 0.5) / 2 - 0.5 + [0, 100]) < 0.04
    [(boxes, points)] = detector.faces([np.zeros((50, 60, 3), np.uint8)])
    assert boxes.shape == (0, 6)
    assert points.shape == (0, 68, 2)


def wide_shot(sizes):
    """Paste a drawn face, with places and sizes of its own, into a frame of 1080p."""
    drawn = make_faces(n_subjects=1, n_frames=2, image_size=112, random_state=0).data
    frame = np.random.default_rng(0).normal(110, 6, (1080, 1920, 3))
    frame = frame.clip(0, 255).astype(np.uint8)
    truth = []
    for k, eyes in enumerate(sizes):
        points = drawn.landmarks[0]
        side = round(112 * eyes / np.linalg.norm(points[36] - points[45]))
        x, y = 150 + 600 * k, 900 - 350 * k
        frame[y : y + side, x : x + side] = cv2.resize(
            drawn.images[0], (side, side), interpolation=cv2.INTER_AREA
        )
        truth.append((points + 0.5) * side / 112 - 0.5 + [x, y])
    return frame, truth


def test_small_faces_in_wide_shots_are_found_where_asked_for():
    frame, truth = wide_shot([25, 40, 120])
    assert len(MeshDetector(n_jobs=1).faces([frame])[0][0]) <= 1
    wide = MeshDetector(n_jobs=1, min_face=40)
    [(_, points)] = wide.faces([frame])
    assert len(points) == 3
    for found, expected in zip(points, truth[::-1], strict=True):
        assert off_by(found, expected) < 0.1
    assert off_by(wide([frame])[0], truth[2]) < 0.1


@pytest.mark.parametrize("image", [coffee(), chelsea()], ids=["coffee", "cat"])
def test_nothing_is_found_in_tiles_without_a_face(image):
    assert len(MeshDetector(n_jobs=1, min_face=16).faces([image])[0][0]) == 0


@given(st.data())
def test_each_face_is_large_in_a_tile(data):
    width, height = (data.draw(st.integers(40, 4000)) for _ in range(2))
    smallest = data.draw(st.integers(8, 400))
    side = data.draw(st.floats(smallest, max(smallest, min(width, height))))
    x, y = (data.draw(st.floats(0, max(n - side, 0))) for n in (width, height))
    assert any(
        left <= x + 1
        and top <= y + 1
        and x + side <= left + tile + 1
        and y + side <= top + tile + 1
        and tile <= 10 * side + 1
        for left, top, tile in [
            (0, 0, max(width, height)),
            *tiles(width, height, smallest),
        ]
    ) or side > min(width, height)


@pytest.mark.parametrize("size", [0, 7, 1.0, -0.1, "small", True])
def test_smallest_faces_that_cannot_be_are_refused(size):
    with pytest.raises(ValueError, match="min_face must be"):
        MeshDetector(min_face=size)


def test_shares_and_pixels_are_one_size(photo):
    by_share = MeshDetector(n_jobs=1, min_face=1 / 16).boxes([photo])[0]
    by_pixels = MeshDetector(n_jobs=1, min_face=32).boxes([photo])[0]
    np.testing.assert_array_equal(by_share, by_pixels)
    assert repr(MeshDetector(min_face=32)) == "MeshDetector(n_jobs=-1, min_face=32)"


def test_unlikely_boxes_are_not_preferred_for_their_size():
    boxes = np.array(
        [[0, 0, 5, 5, 0, 0.9], [0, 0, 99, 99, 0, 0.4], [0, 0, 7, 7, 0, 0.6]]
    )
    np.testing.assert_array_equal(prefer_large(boxes), boxes[[2, 0]])


def test_overlapping_boxes_are_averaged_by_score():
    points = np.zeros((3, 8, 2))
    points[:, 0] = [[50, 50], [54, 50], [200, 200]]
    points[:, 1] = 40
    points[:, 3] = points[:, 2] + [10, 10]
    merged = _merge_boxes(points, np.array([0.9, 0.6, 0.7]))
    expected = [[51.6, 50, 40, 40, np.pi / 4, 0.9], [200, 200, 40, 40, np.pi / 4, 0.7]]
    np.testing.assert_allclose(merged, expected)


def test_threads_do_not_change_the_result(photo):
    images = [np.roll(photo, shift, axis=1) for shift in range(0, 60, 10)]
    alone, together = detector(images), MeshDetector(n_jobs=3)(images)
    np.testing.assert_array_equal(alone, together)


def test_pickle_holds_no_networks():
    data = pickle.dumps(detector)
    assert len(data) < 200
    assert repr(pickle.loads(data)) == "MeshDetector(n_jobs=1)"


def test_shipped_networks_are_those_of_the_notice():
    folder = files("skfau.preprocessing") / "_models"
    notice = (folder / "NOTICE").read_text()
    stated = dict(
        re.findall(r"^(\w+\.tflite)$.*?sha256 (\w{64})$", notice, re.M | re.S)
    )
    assert len(stated) == 3
    for name, digest in stated.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def scene_of(photo, big, small=True):
    """Draw the photo large at the right and, halved, at the left."""
    scene = np.zeros((512, 768, 3), dtype=np.uint8)
    if small:
        scene[100:356, :256] = cv2.resize(
            photo, (256, 256), interpolation=cv2.INTER_AREA
        )
    if big:
        scene[:, 256:] = photo
    return scene


def sides(landmarks):
    return ["small" if x < 256 else "big" for x in landmarks[:, 30, 0]]


@pytest.mark.parametrize("step", [1, 5, 250])
@pytest.mark.parametrize("missing", [None, 2])
def test_videos_follow_one_person_however_thinned(photo, step, missing):
    # The person at the left is there all the time, the other one comes for two rows.
    scenes = [scene_of(photo, big=row in (2, 3)) for row in range(6)]
    order = [row for row in (5, 0, 2, 1, 3, 4) if row != missing]
    faces = Faces(
        [scenes[i] for i in order],
        video=["v"] * len(order),
        frame=np.array(order) * step,
    )
    landmarks, _, n_faces, _ = detect_landmarks(faces, detector)
    assert sides(landmarks) == ["small"] * len(order)
    assert n_faces.tolist() == [1 + (row in (2, 3)) for row in order]


def test_each_recording_has_a_person_of_its_own(photo):
    scenes = [scene_of(photo, big=False)] * 3 + [scene_of(photo, big=True)]
    faces = Faces(
        scenes, subject=["a", "a", "a", "b"], video=["T1"] * 4, frame=[1, 2, 9, 2]
    )
    landmarks, *_ = detect_landmarks(faces, detector)
    assert sides(landmarks) == ["small", "small", "small", "big"]


@pytest.mark.parametrize("step", [1, 5])
def test_sizes_that_alternate_do_not_change_the_person(step):
    # Two people, of whom now the one, now the other is larger by a tenth.
    two = [lambda f: (20, 5, 20 + 2 * (f % 2)), lambda f: (110, 5, 22 - 2 * (f % 2))]
    landmarks, *_ = detect_landmarks(film(two, 40)[::step], SquareDetector())
    assert len(np.unique(landmarks[:, :, 0].mean(axis=1) < 65)) == 1


def fake_dlib(score_sizes):
    """Build a stand-in module: boxes at (10, 20) of given scores and sizes."""

    class Rectangle:
        def __init__(self, *edges):
            self.edges = edges

        left = lambda self: self.edges[0]  # noqa: E731
        top = lambda self: self.edges[1]  # noqa: E731
        right = lambda self: self.edges[2]  # noqa: E731
        bottom = lambda self: self.edges[3]  # noqa: E731

    def frontal_face_detector():
        boxes = [Rectangle(10, 20, 10 + size, 20 + size) for _, size in score_sizes]
        run = lambda image, upsample, threshold: (  # noqa: E731
            boxes,
            [score for score, _ in score_sizes],
            None,
        )
        return types.SimpleNamespace(run=run)

    def shape_predictor(path):
        def predict(image, box):
            point = types.SimpleNamespace(x=box.left(), y=box.bottom())
            return types.SimpleNamespace(parts=lambda: [point] * 68)

        return predict

    module = types.ModuleType("dlib")
    module.get_frontal_face_detector = frontal_face_detector
    module.shape_predictor = shape_predictor
    module.rectangle = Rectangle
    return module


def test_dlib_takes_the_largest_likely_face(photo, monkeypatch, tmp_path):
    file = tmp_path / "shape.dat"
    file.touch()
    monkeypatch.setitem(
        sys.modules, "dlib", fake_dlib([(2.0, 30), (1.5, 40), (0.1, 99)])
    )
    dlib = DlibDetector(file)
    landmarks = dlib([photo])
    np.testing.assert_array_equal(landmarks, np.tile([10.0, 60.0], (1, 68, 1)))
    assert pickle.loads(pickle.dumps(dlib))._models is None


def test_dlib_finds_each_likely_face(photo, monkeypatch, tmp_path):
    file = tmp_path / "shape.dat"
    file.touch()
    monkeypatch.setitem(
        sys.modules, "dlib", fake_dlib([(2.0, 30), (1.5, 40), (0.1, 99)])
    )
    [(boxes, landmarks)] = DlibDetector(file).faces([photo])
    assert boxes[:, 2].tolist() == [40, 30]
    np.testing.assert_array_equal(landmarks[:, 0], [[10, 60], [10, 50]])


def test_dlib_without_a_face_is_a_nan_row(photo, monkeypatch, tmp_path):
    file = tmp_path / "shape.dat"
    file.touch()
    monkeypatch.setitem(sys.modules, "dlib", fake_dlib([]))
    assert np.isnan(DlibDetector(file)([photo])).all()


def test_dlib_asks_for_the_package(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ImportError, match="needs the package dlib"):
        DlibDetector("shape.dat")([photo])


def test_dlib_asks_for_the_predictor_file(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", fake_dlib([]))
    with pytest.raises(FileNotFoundError, match="68-point shape predictor"):
        DlibDetector("no_such_file.dat")([photo])
