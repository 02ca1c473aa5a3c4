import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut, coffee
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import InvalidParameterError

from skfau import Faces
from skfau.exceptions import (
    FaceImageError,
    MissingColumnError,
    MissingFaceError,
    MissingFaceWarning,
    SeveralFacesWarning,
)
from skfau.preprocessing import FaceAligner, MeshDetector, find_faces
from skfau.preprocessing._similarity import TEMPLATES
from tests.squares import SquareDetector, film

PHOTO = astronaut()
POINTS = MeshDetector(n_jobs=1)([PHOTO])[0]
SMOOTH = cv2.GaussianBlur(PHOTO, (0, 0), 3)


def no_detector(images):
    raise AssertionError("landmarks were given: nothing is to be detected")


def known(images):
    """Detect the photograph, and nothing else."""
    found = [image.shape == PHOTO.shape and (image == PHOTO).all() for image in images]
    return np.where(np.array(found)[:, None, None], POINTS, np.nan)


class CountingStore:
    """Images of which every read is written down."""

    image_shape = None

    def __init__(self, images):
        self.images = images
        self.blocks = []

    def __len__(self):
        return len(self.images)

    def gather(self, rows):
        self.blocks.append(list(rows))
        return [self.images[row] for row in rows]

    def fingerprint(self):
        return "counting"

    @property
    def reads(self):
        return sorted(row for block in self.blocks for row in block)


@pytest.fixture
def given_faces():
    images = np.stack([PHOTO, PHOTO[:, ::-1], PHOTO])
    landmarks = np.stack([POINTS, POINTS, np.full_like(POINTS, np.nan)])
    return Faces(images, landmarks=landmarks, subject=["a", "b", "c"])


@pytest.mark.parametrize("template", TEMPLATES)
def test_aligned_points_lie_on_the_same_pixels(template):
    aligned = FaceAligner(template=template).transform(
        Faces(SMOOTH[None], landmarks=POINTS[None])
    )
    assert aligned.column("status").tolist() == [""]
    for (x, y), (u, v) in zip(POINTS, aligned.landmarks[0], strict=True):
        if np.all((np.array([u, v]) >= 1) & (np.array([u, v]) <= 198)):
            source = cv2.getRectSubPix(SMOOTH, (1, 1), (float(x), float(y)))
            crop = cv2.getRectSubPix(aligned.images[0], (1, 1), (float(u), float(v)))
            np.testing.assert_allclose(crop, source, atol=6)


@given(st.floats(-3.1, 3.1), st.floats(0.7, 2), st.floats(-60, 60), st.floats(-60, 60))
@settings(max_examples=20)
def test_pose_does_not_change_the_crop(angle, scale, right, down):
    turn = scale * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    shift = np.array([500 + right, 500 + down]) - turn @ POINTS[30]
    matrix = np.column_stack([turn, shift])
    posed = cv2.warpAffine(SMOOTH, matrix, (1000, 1000), flags=cv2.INTER_CUBIC)
    points = (POINTS @ turn.T + shift).astype(np.float32)
    faces = Faces([SMOOTH, posed], landmarks=[POINTS, points])
    aligned = FaceAligner(n_jobs=1).transform(faces)
    np.testing.assert_allclose(*aligned.landmarks, atol=0.01)
    crops = aligned.images[...].astype(int)
    assert abs(crops[0] - crops[1])[20:180, 20:180].mean() < 1.5


@given(st.sampled_from(sorted(TEMPLATES)), st.integers(20, 400), st.integers(0, 99))
def test_inverse_transform_brings_landmarks_back(template, size, seed):
    points = POINTS + np.random.default_rng(seed).normal(0, 3, POINTS.shape)
    faces = Faces(PHOTO[None], landmarks=points[None])
    aligner = FaceAligner(size, template)
    back = aligner.inverse_transform(aligner.transform(faces))
    np.testing.assert_allclose(back[0], points, atol=1e-2)


def test_inverse_transform_of_other_points(given_faces):
    aligner = FaceAligner()
    with pytest.warns(MissingFaceWarning):
        aligned = aligner.transform(given_faces)[:2]
    corner = aligner.inverse_transform(aligned, np.zeros((2, 1, 2)))
    matrices = aligned.column("matrix")
    expected = [np.linalg.solve(m[:, :2], -m[:, 2])[None] for m in matrices]
    np.testing.assert_allclose(corner, expected, atol=1e-3)
    with pytest.raises(ValueError, match=r"must have shape \(2, n_points, 2\)"):
        aligner.inverse_transform(aligned, np.zeros((2, 2)))
    with pytest.raises(MissingColumnError, match="matrix"):
        aligner.inverse_transform(given_faces)


def test_border_value():
    near_edge = Faces(PHOTO[None], landmarks=POINTS[None] - [150, 90])
    crop = FaceAligner(border_value=128).transform(near_edge).images[0]
    assert (crop[0, 0] == 128).all()


def test_given_landmarks_are_used_and_other_columns_kept(given_faces):
    with pytest.warns(MissingFaceWarning):
        aligned = FaceAligner(detector=no_detector).transform(given_faces)
    assert aligned.subject.tolist() == ["a", "b", "c"]
    assert aligned.image_shape == (200, 200)
    matrix = aligned.column("matrix")
    expected = POINTS @ matrix[0, :, :2].T + matrix[0, :, 2]
    np.testing.assert_allclose(aligned.landmarks[0], expected, atol=1e-3)


def test_faces_without_landmarks_stay_as_black_rows(given_faces):
    with pytest.warns(MissingFaceWarning, match=r"1 of 3 .*row 2: no landmarks"):
        aligned = FaceAligner(border_value=99).transform(given_faces)
    assert aligned.column("status").tolist() == ["", "", "no landmarks"]
    assert not aligned.images[2].any()
    assert np.isnan(aligned.landmarks[2]).all()
    assert np.isnan(aligned.column("matrix")[2]).all()


def test_degenerate_landmarks_are_named():
    faces = Faces(PHOTO[None], landmarks=np.full((1, 68, 2), 50))
    with pytest.warns(MissingFaceWarning, match="degenerate"):
        aligned = FaceAligner().transform(faces)
    assert "degenerate landmarks" in aligned.column("status")[0]


def test_on_missing_raise(given_faces):
    with pytest.raises(MissingFaceError, match="row 2: no landmarks"):
        FaceAligner(on_missing="raise").transform(given_faces)


def test_detected_landmarks_replace_given_ones():
    faces = Faces(PHOTO[None], landmarks=np.zeros((1, 68, 2)))
    aligner = FaceAligner(landmarks="detected", detector=known)
    aligned = aligner.transform(faces)
    np.testing.assert_allclose(aligner.inverse_transform(aligned)[0], POINTS, atol=1e-2)


def test_given_only_asks_for_the_column():
    with pytest.raises(MissingColumnError, match="landmarks"):
        FaceAligner(landmarks="given").fit(Faces(PHOTO[None]))


def test_embedded_detector_is_the_default():
    with pytest.warns(MissingFaceWarning, match="row 1: no face found"):
        aligned = FaceAligner().fit_transform(Faces([PHOTO, coffee()]))
    np.testing.assert_allclose(
        FaceAligner().inverse_transform(aligned)[0], POINTS, atol=1e-2
    )


def test_an_unreadable_image_is_told_with_one_row_that_of_the_view(tmp_path):
    absent = [tmp_path / f"{k}.png" for k in range(3)]
    with pytest.warns(MissingFaceWarning, match=r"\(row 0: cannot read .*2\.png"):
        aligned = FaceAligner(detector=known).transform(Faces(absent)[2:])
    assert aligned.status[0].startswith("cannot read the image")


def test_unreadable_images_keep_their_own_error(tmp_path):
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    cv2.imwrite(str(good), PHOTO[..., ::-1])
    broken.write_bytes(b"no picture")
    faces = Faces([good, broken, tmp_path / "absent.png", good])
    with pytest.warns(MissingFaceWarning) as caught:
        aligned = FaceAligner(detector=known).transform(faces)
    assert len(caught) == 1
    status = aligned.column("status")
    assert "broken.png" in status[1]
    assert "absent.png" in status[2]
    assert (status[[0, 3]] == "").all()
    # Rows without a face are never read again, so that nothing raises here.
    images = aligned.images[...]
    assert not images[[1, 2]].any()
    assert images[[0, 3]].any()


def test_unreadable_image_with_given_landmarks_raises_on_access(tmp_path):
    faces = Faces([tmp_path / "absent.png"], landmarks=POINTS[None])
    aligned = FaceAligner().transform(faces)
    with pytest.raises(FaceImageError, match=r"absent\.png"):
        _ = aligned.images[0]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda n: np.zeros((n, 5, 2)), r"shape \(1, 68, 2\).*got \(1, 5, 2\)"),
        (lambda n: np.full((n, 68, 2), np.inf), "infinite"),
        (lambda n: np.full((n, 68, 2), "x"), "numbers"),
    ],
)
def test_detectors_that_break_the_contract(result, message):
    aligner = FaceAligner(detector=lambda images: result(len(images)))
    with pytest.raises((TypeError, ValueError), match=message):
        aligner.transform(Faces(PHOTO[None]))


def test_errors_of_a_detector_are_not_taken_for_no_face():
    with pytest.raises(AssertionError, match="nothing is to be detected"):
        FaceAligner(detector=no_detector).transform(Faces(PHOTO[None]))


def test_detectors_see_rgb_images_once_and_few_at_a_time():
    store = CountingStore([np.roll(PHOTO[::4, ::4], i, axis=1) for i in range(70)])
    sizes, seen = [], []

    def detector(images):
        sizes.append(len(images))
        seen.extend(images)
        return np.full((len(images), 68, 2), np.nan)

    with pytest.warns(
        MissingFaceWarning, match=r"70 of 70 .*row 4: no face found; \.\.\."
    ):
        FaceAligner(detector=detector).transform(Faces(store))
    assert store.reads == list(range(70))
    assert max(sizes) <= 32
    np.testing.assert_array_equal(seen, store.images)


def test_stateless_transformer_in_a_pipeline():
    aligner = FaceAligner(64, "jaa", detector=known, border_value=128)
    copy = clone(aligner)
    assert copy.get_params() == aligner.get_params()
    aligned = make_pipeline(copy).fit(PHOTO[None]).transform(PHOTO[None])
    np.testing.assert_array_equal(
        aligned.images[...], aligner.transform(PHOTO[None]).images[...]
    )
    assert aligner.get_feature_names_out().tolist() == []


@pytest.mark.parametrize(
    "params",
    [
        {"output_size": 0},
        {"template": "ears"},
        {"landmarks": "guess"},
        {"detector": "dlib"},
        {"border_value": 256},
        {"on_missing": "drop"},
        {"n_jobs": 1.5},
    ],
)
def test_parameters_are_checked(params):
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        FaceAligner(**params).fit(PHOTO[None])
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        FaceAligner(**params).transform(PHOTO[None])


def test_images_of_several_faces_are_counted():
    faces = film([lambda f: (20, 5, 20), lambda f: (110, 5, 40) if f else None], 3)
    aligner = FaceAligner(output_size=16, detector=SquareDetector(), n_jobs=1)
    with (
        pytest.warns(SeveralFacesWarning, match="2 of 3 images show several faces"),
        pytest.warns(MissingFaceWarning, match="row 0: no face but of other people"),
    ):
        aligned = aligner.fit_transform(faces)
    assert aligned.column("n_faces").tolist() == [1, 2, 2]


def test_rows_of_people_are_not_searched_again():
    faces = film([lambda f: (20, 5, 20), lambda f: (110, 5, 40)], 2)
    found = find_faces(faces, SquareDetector())
    aligner = FaceAligner(
        output_size=16, landmarks="detected", detector=SquareDetector(), n_jobs=1
    )
    # Also a few of them, and copies of the images.
    for rows in (found, found[found.person == 1], Faces.concat([found])):
        with pytest.raises(ValueError, match="these faces are people of one image"):
            aligner.fit_transform(rows)


def test_people_are_searched_again_in_crops_of_their_own():
    faces = film([lambda f: (20, 5, 20), lambda f: (110, 5, 40)], 2)
    detector = SquareDetector()
    aligned = FaceAligner(output_size=16).fit_transform(find_faces(faces, detector))
    inside = POINTS * 16 / len(PHOTO)
    again = FaceAligner(
        landmarks="detected", detector=lambda x: np.stack([inside] * len(x))
    )
    assert again.fit_transform(aligned).status.tolist() == [""] * 4


def test_given_landmarks_keep_the_reason_why_there_are_none():
    status = ["no face found", "", "stale"]
    points = np.stack([np.full((68, 2), np.nan), *[POINTS] * 2])
    faces = Faces(np.stack([PHOTO] * 3), landmarks=points, status=status)
    with pytest.warns(MissingFaceWarning, match="row 0: no face found"):
        aligned = FaceAligner(output_size=16).fit_transform(faces)
    assert aligned.column("status").tolist() == ["no face found", "", ""]


def test_no_warning_when_every_face_is_aligned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aligned = FaceAligner(detector=known).transform(PHOTO[None])
    assert aligned.column("status").tolist() == [""]


def test_progress_is_shown_on_request(capsys, slowly):
    FaceAligner(detector=known, verbose=True).transform(PHOTO[None])
    assert "Detecting faces: 1 of 1 images in" in capsys.readouterr().err
    FaceAligner(detector=known).transform(PHOTO[None])
    assert not capsys.readouterr().err
