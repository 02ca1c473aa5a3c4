"""The lines of docs/guide/inputs.rst, run on what each tool is documented to return."""

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from torch import nn

from skfau import Faces, FAUTransformerClassifier
from skfau._facs_table import MESH_TO_68, WFLW_TO_68
from skfau.estimators import FaceAugmentation
from skfau.facs import to_68
from tests.mean_face import MEAN_FACE

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "inputs.rst"
IMAGES = [np.full((120, 160, 3), grey, np.uint8) for grey in (99, 0)]
# The first image shows this face, the second none.
POINTS = 20 * MEAN_FACE + (80, 50)
FIVE = np.array([*POINTS[36:48].reshape(2, 6, 2).mean(axis=1), *POINTS[[30, 48, 54]]])
# Places that mean the same in all layouts.
SHARED = [30, 36, 39, 42, 45, 48, 54]
MESH = np.array(MESH_TO_68)


def chunks():
    """Return the pieces of code on the page, parted by blank lines."""
    blocks = re.findall(
        r"^[^.\n][^\n]*::\n\n((?:    [^\n]*\n|\n)+)", PAGE.read_text("utf-8"), re.M
    )
    return [part for block in blocks for part in re.split(r"\n\n(?=    \S)", block)]


def dedent(text):
    return re.sub("^    ", "", text, flags=re.MULTILINE)


def is_face(image):
    return bool(image.any())


def mesh(n_points):
    """Landmarks of MediaPipe: shares of the image, depth in those of its width."""
    points = np.full((n_points, 3), 0.1)
    points[MESH, :2] = (POINTS + 0.5) / (160, 120)
    return [SimpleNamespace(x=x, y=y, z=z) for x, y, z in points]


def by_names(*names):
    return dict(zip(names, FIVE, strict=True))


def dlib_shape(image, box):
    parts = [SimpleNamespace(x=x, y=y) for x, y in POINTS]
    return SimpleNamespace(parts=lambda: parts)


def insight_faces(image):
    deep = np.column_stack([POINTS, np.ones(68)])
    return [SimpleNamespace(landmark_3d_68=deep, kps=FIVE)] * is_face(image)


def yunet_faces(image):
    row = np.hstack([np.zeros(4), FIVE.ravel(), 0.9])
    return 1, row[None] if is_face(image) else None


def tools():
    """Return stand-ins of the tools, by the names that the page gives to them."""
    fex = np.array([POINTS.T.ravel(), np.full(136, np.nan)])
    sides = "right_eye", "left_eye", "nose", "mouth_right", "mouth_left"
    others = "left_eye", "right_eye", "nose", "mouth_left", "mouth_right"
    named = SimpleNamespace
    return {
        "mp": named(Image=lambda kind, data: data, ImageFormat=named(SRGB=1)),
        "landmarker": named(
            detect=lambda image: named(face_landmarks=[mesh(478)] * is_face(image))
        ),
        "face_mesh": named(
            process=lambda image: named(
                multi_face_landmarks=[named(landmark=mesh(468))]
                if is_face(image)
                else None
            )
        ),
        "detector": lambda image, upsampled: ["a box"] * is_face(image),
        "predictor": dlib_shape,
        "aligner": named(
            get_landmarks=lambda image: [POINTS] if is_face(image) else None
        ),
        "app": named(get=insight_faces),
        "fex": named(landmarks=named(to_numpy=lambda: fex)),
        "mtcnn": named(
            detect=lambda image, landmarks: (
                (0, 1, FIVE[None]) if is_face(image) else (None, [None], None)
            )
        ),
        "yunet": named(setInputSize=lambda size: None, detect=yunet_faces),
        "RetinaFace": named(
            detect_faces=lambda image: {"face_1": {"landmarks": by_names(*sides)}}
        ),
        "mtcnn_detector": named(
            detect_faces=lambda image: [{"keypoints": by_names(*others)}]
        ),
        "folder": named(samples=[("a.png", 0)]),
        "dataset": [(image, 0) for image in IMAGES],
    }


class Change(nn.Module):
    def __init__(self, *arguments):
        super().__init__()


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """Names that the page uses, and the files and modules."""
    wflw = np.zeros((98, 2))
    wflw[list(WFLW_TO_68)] = POINTS
    rows = [" ".join(map(str, points.ravel())) for points in (wflw, wflw * np.nan)]
    text = "".join(f"{row} 0 0 9 9 0 0 0 0 0 0 a/b.jpg\n" for row in rows)
    (tmp_path / "list_98pt_rect_attr_test.txt").write_text(text)
    monkeypatch.chdir(tmp_path)
    transforms = ModuleType("torchvision.transforms")
    names = ("Compose", "ColorJitter", "RandomErasing")
    transforms.v2 = SimpleNamespace(**dict.fromkeys(names, Change))
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.transforms", transforms)
    ours = {"np": np, "to_68": to_68, "Faces": Faces, "images": IMAGES}
    ours |= {
        "FaceAugmentation": FaceAugmentation,
        "FAUTransformerClassifier": FAUTransformerClassifier,
    }
    return ours | tools()


def check_rows(points, expected):
    np.testing.assert_allclose(points[0], expected, atol=1e-3)
    assert np.isnan(points[1:]).all()


def test_every_line_brings_the_face_to_where_it_is(surroundings):
    checked = 0
    for chunk in chunks():
        names = surroundings | dict.fromkeys(("faces", "landmarks", "five"))
        exec(dedent(chunk), names)
        surroundings = names
        if names["landmarks"] is not None:
            check_rows(names["landmarks"][:, SHARED], POINTS[SHARED])
            checked += 1
        if names["five"] is not None:
            np.testing.assert_array_equal(names["five"], FIVE)
            checked += 1
        columns = names["faces"].columns if names["faces"] is not None else ()
        for name in columns:
            points = names["faces"].column(name)
            if name == "five_points":
                check_rows(points, FIVE)
            else:
                places = SHARED if name == "landmarks" else MESH[SHARED]
                check_rows(points[:, places, :2], POINTS[SHARED])
            checked += 1
    assert checked == 15
