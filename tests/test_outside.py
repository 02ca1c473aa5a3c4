"""Landmarks that are not of their image: a status and NaN, never a black face."""

import cv2
import numpy as np
import pytest

from skfau import FaceAligner, Faces
from skfau.exceptions import FaceImageError, MissingFaceError, MissingFaceWarning
from skfau.preprocessing import prepare
from tests.video_files import write_video


@pytest.fixture(scope="module")
def photos(made):
    """Three images of faces, 48 x 40 pixels, and their landmarks."""
    return made.data.images[:3][:, :40], made.data.landmarks[:3]


def as_array(images, folder):
    return Faces(images)


def as_list(images, folder):
    return Faces(list(images))


def as_files(suffix):
    def write(images, folder):
        paths = [folder / f"{k}{suffix}" for k in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            cv2.imwrite(str(path), image[..., ::-1])
        return Faces(paths)

    return write


def as_joined(images, folder):
    files = as_files(".png")(images[1:], folder)
    return Faces.concat([Faces([np.zeros((9, 9, 3), np.uint8)]), files])


def as_video(images, folder):
    return Faces.from_videos([write_video(folder / "motion_jpeg.avi", 3)])


STORES = [as_array, as_list, as_files(".png"), as_files(".jpg"), as_joined, as_video]


@pytest.mark.parametrize("make", STORES)
@pytest.mark.parametrize("move", [(100, 0), (0, 1000), (-500, 0), (0, -60), 1e20])
def test_a_face_outside_of_its_image_is_no_face(make, move, photos, tmp_path):
    images, landmarks = photos
    moved = landmarks.copy()
    moved[2] = landmarks[2] * move if move == 1e20 else landmarks[2] + np.float32(move)
    faces = make(images, tmp_path).with_columns(landmarks=moved)
    with pytest.warns(MissingFaceWarning, match=r"row 2: outside: \d+ of 68 landmarks"):
        aligned = FaceAligner(output_size=32).transform(faces)
    assert aligned.column("status")[2].startswith("outside: ")
    assert np.isnan(aligned.landmarks[2]).all()
    assert np.isnan(aligned.column("matrix")[2]).all()
    # Nobody takes the black image for a face.
    assert not aligned.images[2].any()
    assert aligned.column("status")[1] == ""
    assert np.isfinite(aligned.landmarks[1]).all()


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_half_of_a_face_suffices(share, made):
    faces = made.data[[0]]
    left = np.quantile(faces.landmarks[0, :, 0], share)
    cut = Faces(
        np.ascontiguousarray(faces.images[...][:, :, : int(left) + 1]),
        landmarks=faces.landmarks,
    )
    inside = (cut.landmarks[0, :, 0] <= int(left) + 0.5).mean()
    aligner = FaceAligner(output_size=32, on_missing="raise")
    if inside >= 0.5:
        assert aligner.transform(cut).column("status")[0] == ""
    else:
        with pytest.raises(MissingFaceError, match="outside: "):
            aligner.transform(cut)


@pytest.mark.parametrize("tag", range(1, 9))
def test_photographs_that_are_turned_have_the_size_that_is_shown(tag, tmp_path):
    """The tag lays 40 x 20 pixels on their side; points far right are then outside."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([tag])
    exif += b"\0\0\0\0\0\0"
    image = np.zeros((20, 40, 3), np.uint8)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[:2] + segment + data[2:])
    height, width = Faces([path]).images[0].shape[:2]
    points = np.random.default_rng(0).uniform([30, 2], [39, 18], (1, 68, 2))
    faces = Faces([path], landmarks=points)
    aligner = FaceAligner(output_size=32, on_missing="raise")
    if width == 40:
        assert aligner.transform(faces).column("status")[0] == ""
    else:
        with pytest.raises(MissingFaceError, match=f"{width} x {height} pixels"):
            aligner.transform(faces)


def test_prepared_faces_tell_of_landmarks_outside(photos, tmp_path):
    images, landmarks = photos
    faces = Faces(images, landmarks=landmarks + np.float32([0, 1000]))
    with pytest.warns(MissingFaceWarning, match="3 of 3 faces.*outside"):
        prepared = prepare(faces, FaceAligner(output_size=32), tmp_path / "out")
    assert all(why.startswith("outside") for why in prepared.column("status"))
    assert np.isnan(prepared.landmarks).all()


def test_images_that_are_not_there_are_an_error_when_they_are_read(photos):
    faces = Faces(["no_such_file.png"] * 3, landmarks=photos[1])
    aligned = FaceAligner(output_size=32).transform(faces)
    with pytest.raises(FaceImageError, match=r"no_such_file\.png"):
        aligned.images[0]
