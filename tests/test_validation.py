"""What estimators accept as faces and as labels."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from skfau import Faces
from skfau._validation import check_au_labels, check_faces
from skfau.exceptions import FaceImageError, LabelError, MissingColumnError
from skfau.metrics import au_adjacency, au_f1_score
from skfau.preprocessing import HOGFeatures

IMAGES = np.zeros((3, 8, 8, 3), np.uint8)
NAN = np.nan


def test_arrays_are_faces():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    ours, theirs = (HOGFeatures().fit_transform(X) for X in (Faces(images), images))
    np.testing.assert_array_equal(ours, theirs)


def test_images_of_other_libraries_are_faces():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = HOGFeatures().fit_transform(Faces(images))
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    for X in (tensor, list(tensor), [Image.fromarray(image) for image in images]):
        np.testing.assert_array_equal(HOGFeatures().fit_transform(X), expected)


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (IMAGES / 255, FaceImageError, "float64.*scale floats"),
        (np.zeros((3, 5), np.uint8), FaceImageError, r"\(n, H, W, 3\)"),
        (IMAGES[0], FaceImageError, r"image\[None\]"),
        (IMAGES[:0], FaceImageError, "found 0 samples"),
        (Faces(IMAGES)[:0], FaceImageError, "minimum of 1 is required"),
        (["a.png"], TypeError, r"skfau\.Faces\(paths\)"),
        (np.array(["a.png"]), TypeError, r"skfau\.Faces\(paths\)"),
        (pd.DataFrame({"a": [1]}), TypeError, "DataFrame"),
        (None, TypeError, "NoneType"),
        (Image.new("L", (8, 8)), TypeError, r"pass \[image\]"),
        ([], TypeError, "list"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_what_is_not_faces(X, error, match, method):
    with pytest.raises(error, match=match):
        getattr(HOGFeatures(), method)(X)


@pytest.mark.parametrize(
    ("need", "remedy"),
    [
        ("landmarks", "FaceAligner"),
        ("heatmaps", "ROIHeatmaps"),
        ("video", r"with_columns\(video=\.\.\., frame=\.\.\.\)"),
        ("age", r"with_columns\(age=\.\.\.\)"),
    ],
)
def test_a_missing_column_comes_with_its_remedy(need, remedy):
    faces = Faces(IMAGES, subject=[1, 1, 2])
    with pytest.raises(MissingColumnError, match=f"'{need}'.*subject.*{remedy}"):
        check_faces(faces, need=("subject", need))


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2),
        elements=st.sampled_from([0.0, 1.0, NAN]),
    )
)
def test_labels_come_back_as_they_are(y):
    labels = check_au_labels(y, *y.shape)
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, y)


@pytest.mark.parametrize(
    "y",
    [
        [[0, 1], [1, 1], [0, 1]],
        np.array([[False, True], [True, True], [False, True]]),
        np.array([[0, 1], [1, 1], [0, 1]], np.uint8),
        pd.DataFrame({"AU1": [0, 1, 0], "AU2": [1, 1, 1]}),
    ],
)
def test_labels_of_other_kinds(y):
    floats = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    assert au_f1_score(y, np.ones((3, 2)), average=None).tolist() == [0.5, 1]
    np.testing.assert_array_equal(au_adjacency(y), au_adjacency(floats))


def test_none_and_masked_labels_are_unknown():
    present = np.ones((3, 2))
    masked = np.ma.array([[0, 9], [1, 1], [1, 0]], mask=[[0, 1], [0, 0], [0, 0]])
    for y in ([[0, None], [1, 1], [1, 0]], masked):
        f1 = au_f1_score(y, present, average=None)
        np.testing.assert_allclose(f1, [0.8, 2 / 3])


def test_nullable_columns_of_pandas_are_labels():
    pandas = pytest.importorskip("pandas")
    column = pandas.array([1, None, 0], "Int64")
    frame = pandas.DataFrame({"AU1": column, "AU2": column})
    f1 = au_f1_score(frame, np.ones((3, 2)), average=None)
    np.testing.assert_allclose(f1, [2 / 3, 2 / 3])
    with pytest.raises(LabelError, match="must be a numeric array"):
        au_adjacency([[None, object()]])


@pytest.mark.parametrize("code", [9, 999, -1, 2, 0.5, np.inf, 1 + 1e-12])
def test_any_other_label_is_named_with_its_place(code):
    y = np.zeros((4, 3))
    y[2, 1] = code
    with pytest.raises(LabelError, match=r"row 2, column 1.*oof_predict_proba") as info:
        au_adjacency(y)
    assert f"got {np.float64(code)!s} in" in str(info.value)
    for hint in ("9 in BP4D", "999 in EmotioNet", 'method="predict_proba"'):
        assert hint in str(info.value)


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([0, 1, 1], r"y\.reshape\(-1, 1\)"),
        (np.zeros((3, 2, 2)), r"\(n, n_aus\), got \(3, 2, 2\)"),
        (np.zeros((2, 2)), "X has 3 rows but y has 2"),
        (np.zeros((3, 5)), "with 2 AU columns, got 5"),
        ([["a", "b"]], "numeric"),
        ([[0, 1], [1]], "numeric"),
        (None, "shape"),
        (np.zeros((3, 2), complex), "numeric"),
    ],
)
def test_labels_that_do_not_fit(y, match):
    with pytest.raises(LabelError, match=match):
        check_au_labels(y, n_samples=3, n_aus=2)
