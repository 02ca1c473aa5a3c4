"""Faces of several stores joined, against rows taken one by one."""

import pickle

import cv2
import joblib
import numpy as np
import pytest

from skfau import Faces
from skfau.preprocessing import ROIHeatmaps
from tests.video_files import numbers, write_video

RNG = np.random.default_rng(0)


def pixels(n, height=6, width=5):
    return RNG.integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.fixture
def parts(tmp_path):
    """An array, image files of another size, a memory map: of all, some rows."""
    names = [tmp_path / f"{k}.png" for k in range(4)]
    for name, image in zip(names, pixels(4, 9, 7), strict=True):
        cv2.imwrite(str(name), image)
    np.save(tmp_path / "x.npy", pixels(5))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    landmarks = np.arange(3 * 136, dtype=np.float32).reshape(3, 68, 2)
    return [
        Faces(pixels(3), subject=["a", "b", "b"], landmarks=landmarks)[::-1],
        Faces(names, subject=["c", "d", "e", "f"], age=[1, 2, 3, 4])[[3, 0, 0]],
        Faces(mapped, subject=["long name"] * 5, site=["x"] * 5)[1:],
    ]


def test_rows_are_those_of_the_parts_in_any_order(parts):
    faces = Faces.concat(parts)
    images = [image for part in parts for image in part]
    assert faces.shape == (len(images),) == (10,)
    for rows in (range(10), RNG.permutation(10), [9, 9, 0], [4]):
        for row, image in zip(rows, faces[list(rows)].read(), strict=True):
            np.testing.assert_array_equal(image, images[row])
    assert faces.store.image_shape is None
    assert Faces.concat(parts[::2]).images[[0, 6]].shape == (2, 6, 5, 3)


def test_what_a_part_does_not_know_is_unknown(parts):
    faces = Faces.concat(parts)
    assert faces.subject.tolist() == [*"bba", *"fcc", *["long name"] * 4]
    np.testing.assert_array_equal(faces.age, [np.nan] * 3 + [4, 1, 1] + [np.nan] * 4)
    assert faces.site.tolist() == [""] * 6 + ["x"] * 4
    np.testing.assert_array_equal(faces.landmarks[:3], parts[0].landmarks)
    assert faces.landmarks.dtype == np.float32
    assert np.isnan(faces.landmarks[3:]).all()


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ([1, 2], np.nan),
        ([True, False], np.nan),
        (np.float32([1, 2]), np.nan),
        (["a", "bc"], ""),
        (np.array(["a", "b"], object), ""),
        (np.array([[1], "b"], object), None),
        (np.array(["2024-02-29"] * 2, "M8[D]"), np.datetime64("NaT", "D")),
    ],
)
def test_values_that_say_nothing_fit_their_kind(values, unknown):
    faces = Faces.concat([Faces(pixels(1)), Faces(pixels(2), x=values)])
    assert repr(faces.x[0]) == repr(np.array([unknown], faces.x.dtype)[0])
    assert faces.x[1:].tolist() == np.asarray(values, faces.x.dtype).tolist()


def test_who_is_unknown_is_nobody():
    people = Faces(
        pixels(2), subject=[7, 7], person=[0, 1], video=["v"] * 2, frame=[0, 0]
    )
    faces = Faces.concat([people, Faces(pixels(2))])
    assert faces.person.tolist() == [0, 1, -1, -1]
    assert faces.subject.tolist() == ["7", "7", "", ""]
    assert faces.neighbors(1).rows.tolist() == [0, 1, 2, 3]


def test_recordings_that_were_named_earlier_keep_their_names():
    film = Faces(pixels(1), video=["v"], frame=[0])
    faces = film
    for _ in range(3):
        faces = Faces.concat([faces, Faces(pixels(2))])
    assert len(set(faces.video)) == len(faces) == 7
    assert faces.video[1:3].tolist() == ["part 1 row 0", "part 1 row 1"]
    assert faces.neighbors(1).rows.tolist() == list(range(7))


def test_neighbors_stay_in_their_part(parts):
    film = Faces(pixels(4), subject=["a"] * 4, video=["v"] * 4, frame=[2, 0, 1, 3])
    again = film.with_columns(subject=["b"] * 4)
    faces = Faces.concat([film, parts[1], again[[0, 2]], film[[1, 1]]])
    assert faces.neighbors(1).rows.tolist() == [3, 2, 0, 3, 4, 5, 6, 7, 7, 2, 2]
    assert len(set(faces.video[4:7])) == 3
    assert faces.frame[4:7].tolist() == [0, 0, 0]


def test_recordings_of_one_name_are_told(parts):
    film, other = (Faces(pixels(2), video=["v"] * 2, frame=[0, 1]) for _ in range(2))
    with pytest.raises(ValueError, match="give each recording its own name"):
        Faces.concat([film, other]).neighbors(1)


def test_an_image_that_is_not_there_is_named_with_its_part(parts):
    faces = Faces.concat([*parts, Faces(["here.png", "gone.png"])])
    report = faces[[0, -1]].check_images("skip")
    assert report.ok.tolist() == [True, False]
    assert report.errors[1].startswith("part 3 of joined faces, row 1: cannot read")


def test_videos_and_images_together(tmp_path, parts):
    film = Faces.from_videos([write_video(tmp_path / "v.avi", 9, "MJPG")])
    faces = Faces.concat([parts[0], film[3:], film[:2]])
    assert numbers(faces[[4, 9, 3, 8]].read()) == [4, 0, 3, 8]
    assert np.isnan(faces.time[:3]).all()
    assert faces.neighbors(1).rows.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 8, 10, 10]
    again = pickle.loads(pickle.dumps(faces))
    assert numbers(again[8:].read()) == [8, 0, 1]
    assert again.fingerprint() == faces.fingerprint()
    assert joblib.hash(again) == joblib.hash(faces)


def test_a_fingerprint_follows_rows_and_columns(parts):
    joined = [
        Faces.concat(parts),
        Faces.concat(parts[::-1]),
        Faces.concat(parts[:2]),
        Faces.concat([parts[0][1:], *parts[1:]]),
        Faces.concat([parts[0].with_columns(subject=list("bbb")), *parts[1:]]),
    ]
    assert len({faces.fingerprint() for faces in joined}) == len(joined)
    assert Faces.concat(parts).fingerprint() == joined[0].fingerprint()


def test_lazy_columns_stay_lazy(made):
    maps = ROIHeatmaps(aus=(6, 12)).fit_transform(made.data)
    bare = Faces(pixels(2, 48, 48), subject=["x", "y"])
    faces = Faces.concat([maps[5:9], bare, maps[::-1]])
    assert faces.column_source("heatmaps").aus == (6, 12)
    np.testing.assert_array_equal(faces[2:4].heatmaps, maps[7:9].heatmaps)
    assert np.isnan(faces[[4, 5]].heatmaps).all()
    np.testing.assert_array_equal(
        faces.column("heatmaps", [7, 4, 0])[[0, 2]], maps.column("heatmaps", [-2, 5])
    )
    assert Faces.concat([faces, bare]).fingerprint() != faces.fingerprint()
    assert pickle.loads(pickle.dumps(faces)).fingerprint() == faces.fingerprint()
    other = ROIHeatmaps(aus=(1, 2)).fit_transform(made.data)
    with pytest.raises(ValueError, match=r"AUs .*after the faces are joined"):
        Faces.concat([maps, other])


@pytest.mark.parametrize(
    ("parts", "error", "match"),
    [
        ([], ValueError, "no Faces to join"),
        ([np.zeros((1, 8, 8, 3), np.uint8)], TypeError, "entry 0 is"),
        (
            [Faces(pixels(1), box=[[1, 2]]), Faces(pixels(1), box=[3])],
            ValueError,
            r"'box' has values of several shapes.*with_columns\(box=None\)",
        ),
        (
            [
                Faces(pixels(1), day=np.array(["2024"], "M8[D]")),
                Faces(pixels(1), day=[1]),
            ],
            TypeError,
            "'day' has values of several kinds, datetime64",
        ),
        (
            [Faces(pixels(1), video=["v"], frame=[1]), Faces(pixels(1), video=["v"])],
            ValueError,
            "part 1 has no column 'frame'",
        ),
        (
            [Faces(pixels(1), frame=[1]), Faces(pixels(1), video=["v"], frame=[1])],
            ValueError,
            "part 0 has no column 'video'",
        ),
        (
            [Faces(pixels(1), frame=[1]), Faces(pixels(1))],
            ValueError,
            "part 1 has no column 'frame'",
        ),
    ],
)
def test_faces_that_cannot_be_joined(parts, error, match):
    with pytest.raises(error, match=match):
        Faces.concat(parts)
