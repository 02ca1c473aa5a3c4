"""load_rendered: files of the renderer as faces, and what is no such file."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from skfau import FaceAligner, Faces
from skfau.datasets import load_rendered, sample_files
from skfau.exceptions import DatasetError, FaceImageError, LabelError
from tests.rendered_files import contents


@pytest.fixture(params=[False, True], ids=["pixels", "jpeg"])
def written(request, tmp_path):
    """Return the path of a file and its arrays, the images among them."""
    pixels = contents()
    arrays = contents(jpeg=request.param)
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz", {**pixels, **arrays}


def test_rows_are_those_of_the_file(written):
    path, arrays = written
    bunch = load_rendered(path)
    levels = arrays["all_intensities"]
    assert bunch.aus == (1, 6, 12)
    np.testing.assert_array_equal(bunch.intensity, levels)
    np.testing.assert_array_equal(bunch.target, levels >= 2)
    assert bunch.target.dtype == np.float32
    np.testing.assert_array_equal(bunch.data.landmarks, arrays["landmarks_clean"])
    np.testing.assert_array_equal(bunch.data.frame, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(bunch.data.glasses, arrays["glasses"])
    assert bunch.data.pose.shape == (6, 3)
    assert bunch.data.subject[[0, 3]].tolist() == ["1-00000", "1-00001"]
    assert bunch.data.video[[0, 3]].tolist() == ["a-00000", "a-00001"]


def test_pixels_come_in_any_order(written):
    path, arrays = written
    images = load_rendered(path).data.images[[4, 0, 4]]
    expected = arrays["images"][[4, 0, 4]].astype(int)
    assert images.dtype == np.uint8
    assert np.abs(images - expected).mean() < 2
    np.testing.assert_array_equal(images[0], images[2])


def test_pickles_name_the_file(written):
    path, _ = written
    data = load_rendered(path).data
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copy.images[...], data.images[...])
    assert copy.fingerprint() == data.fingerprint()
    # What travels does not grow with the images.
    big = contents(size=320)
    np.savez(path.with_name("big.npz"), **big)
    small, large = (
        len(pickle.dumps(load_rendered(p).data))
        for p in (path, path.with_name("big.npz"))
    )
    assert large < small + 1000


def test_threshold_and_aus(written):
    path, arrays = written
    bunch = load_rendered(path, aus=(12, 1), threshold=3.5)
    assert bunch.aus == (12, 1)
    levels = arrays["all_intensities"][:, [2, 0]]
    np.testing.assert_array_equal(bunch.target, levels >= 3.5)


def test_a_folder_joins_its_files_and_aus_that_one_does_not_know_are_nan(tmp_path):
    np.savez(tmp_path / "a.npz", **contents(6, seed=1, aus=(1, 12)))
    np.savez(tmp_path / "b.npz", **contents(3, seed=2, aus=(12, 45), jpeg=True))
    bunch = load_rendered(tmp_path)
    assert bunch.aus == (1, 12, 45)
    np.testing.assert_array_equal(
        np.isnan(bunch.target).any(axis=0), [True, False, True]
    )
    assert bunch.data.images[[0, 8]].shape == (2, 32, 32, 3)
    assert sorted(set(bunch.data.subject)) == ["1-00000", "1-00001", "2-00000"]
    assert np.isnan(bunch.target[:6, 2]).all()
    assert not np.isnan(bunch.target[6:, 1:]).any()


def test_one_person_in_two_files_has_one_name(tmp_path):
    np.savez(tmp_path / "bp4d.npz", **contents(3, seed=7))
    np.savez(tmp_path / "wild.npz", **contents(3, seed=7))
    data = load_rendered(tmp_path).data
    assert set(data.subject) == {"7-00000"}
    assert set(data.video) == {"bp4d-00000", "wild-00000"}


@pytest.mark.parametrize("name", ["meta", "images", "all_intensities", "subject"])
def test_arrays_that_are_missing_are_named(name, tmp_path):
    arrays = contents()
    del arrays[name]
    np.savez(tmp_path / "a.npz", **arrays)
    lacking = "jpeg, jpeg_ends" if name == "images" else name
    with pytest.raises(DatasetError, match=rf"a\.npz is no file .* lacks {lacking}"):
        load_rendered(tmp_path / "a.npz")


def test_compressed_files_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **contents())
    with pytest.raises(DatasetError, match=r"a\.npz is compressed.*numpy\.savez,"):
        load_rendered(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("frame, AU01_r")
    with pytest.raises(DatasetError, match=r"a\.npz cannot be read as rendered faces"):
        load_rendered(path)


def test_a_file_that_ends_early_is_refused(written):
    path, _ = written
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DatasetError, match=r"a\.npz cannot be read as rendered faces"):
        load_rendered(path)


def test_labels_that_changed_on_the_disk_are_refused(written):
    path, arrays = written
    data = bytearray(path.read_bytes())
    data[data.index(arrays["all_intensities"].tobytes()) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"a\.npz cannot be read .*CRC-32"):
        load_rendered(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"subject": np.zeros(5, int)}, r"subject has shape \(5,\), expected \(6,\)"),
        ({"landmarks_clean": np.zeros((6, 49, 2))}, r"expected \(6, 68, 2\)"),
        ({"all_intensities": np.zeros((6, 2))}, r"expected \(6, 3\) for 6 images"),
        ({"all_intensities": np.full((6, 3), 7.0)}, r"from 0 to 5, got 7\.0"),
        ({"all_intensities": np.full((6, 3), np.nan)}, "from 0 to 5, got nan"),
        ({"images": np.zeros((6, 8, 8, 3))}, "images.npy is of float64"),
        ({"meta": "no json"}, r"a\.npz cannot be read as rendered faces"),
        ({"meta": "{}"}, "all_aus"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, said, tmp_path):
    np.savez(tmp_path / "a.npz", **(contents() | change))
    with pytest.raises(DatasetError, match=said):
        load_rendered(tmp_path / "a.npz")


def test_jpeg_that_is_damaged_names_file_and_row(tmp_path):
    arrays = contents(jpeg=True)
    start, end = arrays["jpeg_ends"][1:3]
    arrays["jpeg"][start:end] = 0
    np.savez(tmp_path / "a.npz", **arrays)
    data = load_rendered(tmp_path / "a.npz").data
    assert data.images[[1, 3]].shape == (2, 32, 32, 3)
    with pytest.raises(FaceImageError, match=r"row 2: 2 of '.*a\.npz'"):
        data.images[...]


def test_jpeg_of_another_size_than_the_file_says(tmp_path):
    arrays = contents(jpeg=True, size=32)
    arrays["meta"] = arrays["meta"].replace("32", "48")
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FaceImageError, match=r"size \(32, 32\), the file says \(48, 4"):
        load_rendered(tmp_path / "a.npz").data.images[0]


@pytest.mark.parametrize("ends", [[3, 2, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6], [], [[1]]])
def test_ends_that_do_not_rise_to_the_last_byte(ends, tmp_path):
    arrays = contents(jpeg=True) | {"jpeg_ends": np.array(ends, int)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DatasetError, match=r"a\.npz is damaged: jpeg_ends must rise"):
        load_rendered(tmp_path / "a.npz")


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no_such\.npz"):
        load_rendered(tmp_path / "no_such.npz")
    with pytest.raises(FileNotFoundError, match=r"there is no \.npz file in"):
        load_rendered(tmp_path)


def test_aus_that_no_file_knows(written):
    path, _ = written
    with pytest.raises(LabelError, match="does not know AU 2, 45; it has 1, 6, 12"):
        load_rendered(path, aus=(2, 12, 45))
    with pytest.raises(ValueError, match="threshold must be"):
        load_rendered(path, threshold=0)


def test_whatever_byte_is_damaged_the_file_loads_or_the_error_is_of_a_kind(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **contents(3, size=8, jpeg=True))
    whole = np.fromfile(path, np.uint8)
    rng = np.random.default_rng(0)
    for at in rng.choice(len(whole), 200, replace=False):
        damaged = whole.copy()
        damaged[at] ^= 1 << rng.integers(8)
        damaged.tofile(path)
        try:
            load_rendered(path).data.read()
        except (ValueError, OSError) as error:
            assert "a.npz" in str(error)


def test_the_set_of_the_package_has_people_aus_and_landmarks():
    made = load_rendered()
    n_people = len(np.unique(made.data.subject))
    assert len(made.aus) >= 12 and n_people >= 30
    assert made.target.mean(axis=0).min() > 0.05
    assert not np.isnan(made.data.landmarks).any()
    # Landmarks are where the detector finds them, but for its own errors.
    faces = made.data[:24:6]
    aligner = FaceAligner(landmarks="detected")
    found = aligner.inverse_transform(aligner.fit_transform(faces))
    points = faces.landmarks
    eyes = np.linalg.norm(points[:, 36] - points[:, 45], axis=1)
    away = np.linalg.norm(found - points, axis=2).mean(axis=1)
    assert np.all(away < 0.12 * eyes)


def test_sample_files_show_faces():
    files = sample_files()
    film = Faces.from_videos([files.film])
    assert len(film) == 60
    for faces in (Faces(files.pictures), film[::30]):
        assert not np.isnan(FaceAligner().fit_transform(faces).landmarks).any()


def test_the_package_does_not_grow():
    folder = Path(sample_files().film).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2.6e6
