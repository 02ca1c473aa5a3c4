"""BP4D's folders: frames matched by number, nothing lost without a word."""

import sys
from pathlib import Path

import numpy as np
import pytest

from skfau.datasets import load_bp4d, load_bp4d_plus
from skfau.exceptions import DatasetError, DatasetWarning, FaceImageError, LabelError
from skfau.facs import DATASET_AUS
from tests.trees import write_bp4d, write_points

# Trees of a test are never the whole data set.
pytestmark = pytest.mark.filterwarnings("ignore::skfau.exceptions.DatasetWarning")


@pytest.fixture
def root(tmp_path):
    """Two videos: F001_T10 is whole; M002_T2 lacks an image, a label and points."""
    write_bp4d(tmp_path, "F001_T10", ["0007", "0008"], {7: {1: 1}, 8: {1: 0, 12: 1}})
    rows = {99: {12: 1}, 100: {12: 0}, 101: {}}
    write_bp4d(tmp_path, "M002_T2", ["98", "99", "0100"], rows)
    write_points(tmp_path / "landmarks68", "F001_T10", [7, 8])
    write_points(tmp_path / "landmarks68", "M002_T2", [99])
    return tmp_path


def test_rows_are_the_frames_with_image_and_label(root):
    bunch = load_bp4d(root, aus=(12, 1))
    faces = bunch.data
    assert faces.video.tolist() == ["F001_T10"] * 2 + ["M002_T2"] * 2
    assert faces.subject.tolist() == ["F001"] * 2 + ["M002"] * 2
    assert faces.frame.tolist() == [7, 8, 99, 100]
    expected = [[np.nan, 1], [1, 0], [1, np.nan], [0, np.nan]]
    np.testing.assert_array_equal(bunch.target, np.float32(expected))
    assert bunch.target.dtype == np.float32
    assert bunch.aus == (12, 1)
    assert [image.mean().round() for image in faces] == [10, 20, 20, 30]


def test_report_names_every_frame_that_lacks_something(root):
    (root / "2D+3D" / "M002" / "T2" / "cover.jpg").write_bytes(b"")
    (root / "AUCoding" / "AU_OCC" / "notes.txt").write_text("")
    bunch = load_bp4d(root)
    whole, partial = bunch.report.videos["F001_T10"], bunch.report.videos["M002_T2"]
    assert [len(frames) for frames in whole] == [0, 0, 0, 0]
    assert [frames.tolist() for frames in partial] == [[98], [101], [100], []]
    assert [path.name for path in bunch.report.unread_files] == [
        "notes.txt",
        "cover.jpg",
    ]
    assert "4 frames of 2 videos with an image and a label; 1 of them" in bunch.DESCR
    assert bunch.target.shape == (4, len(DATASET_AUS["bp4d"]))


def test_landmarks_of_csv_files(root):
    points = load_bp4d(root).data.landmarks
    expected = 99 + np.arange(136).reshape(68, 2)
    np.testing.assert_array_equal(points[2], expected.astype(np.float32))
    assert np.isnan(points[3]).all()
    assert load_bp4d(root, landmarks=None).data.landmarks is None


def test_videos_without_labels_or_images_are_reported(root):
    (root / "AUCoding" / "AU_OCC" / "M002_T2.csv").rename(
        root / "AUCoding" / "AU_OCC" / "M003_T2.csv"
    )
    bunch = load_bp4d(root)
    assert len(bunch.data) == 2
    assert bunch.report.videos["M002_T2"].without_label.tolist() == [98, 99, 100]
    assert bunch.report.videos["M003_T2"].without_image.tolist() == [99, 100, 101]


@pytest.mark.parametrize("folder", ["BP4D-training", "."])
def test_other_places_of_the_images(tmp_path, folder):
    write_bp4d(tmp_path, "F001_T1", ["1"], {1: {1: 1}}, folder=folder)
    assert len(load_bp4d(tmp_path).data) == 1


def write_mat(path, points):
    """Write points per frame as MATLAB v7.3 does; None where tracking failed."""
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        references = file.create_dataset("fit/pred", (len(points), 1), h5py.ref_dtype)
        for k, frame in enumerate(points):
            value = np.zeros(2, np.uint64) if frame is None else frame.T
            references[k, 0] = file.create_dataset(f"#refs#/{k}", data=value).ref


def test_landmarks_of_mat_files(root):
    points = np.random.default_rng(0).uniform(0, 200, (99, 49, 2)).astype(np.float32)
    write_mat(root / "2DFeatures" / "F001_T10.mat", [*points[:7], None])
    write_mat(root / "2DFeatures" / "M002_T2.mat", list(points))
    bunch = load_bp4d(root, landmarks="2DFeatures")
    landmarks = bunch.data.landmarks
    np.testing.assert_array_equal(landmarks[0, 17:60], points[6, :43])
    np.testing.assert_array_equal(landmarks[2, 65:], points[98, 46:])
    assert np.isnan(landmarks[0, [*range(17), 60, 64]]).all()
    assert np.isnan(landmarks[[1, 3]]).all()
    assert bunch.report.videos["F001_T10"].without_landmarks.tolist() == [8]
    (root / "landmarks68" / "M002_T2.csv").unlink()
    mixed = load_bp4d(root).data.landmarks
    assert not np.isnan(mixed[0]).any()
    np.testing.assert_array_equal(mixed[2], landmarks[2])


def test_mat_files_without_h5py_say_what_to_install(root, monkeypatch):
    (root / "2DFeatures").mkdir()
    (root / "2DFeatures" / "F001_T10.mat").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"skfau\[bp4d\]"):
        load_bp4d(root, landmarks="2DFeatures")


def test_wrong_labels_are_named_with_file_and_line(root):
    write_bp4d(root, "F009_T1", ["1", "2"], {1: {12: 1}, 2: {12: 3}})
    with pytest.raises(LabelError, match=r"F009_T1.csv, line 3: AU12 is 3"):
        load_bp4d(root)
    path = root / "AUCoding" / "AU_OCC" / "F009_T1.csv"
    path.write_text("0,1\n1,0\n")
    with pytest.raises(LabelError, match=r"F009_T1.csv has no column for AU 12"):
        load_bp4d(root, aus=(1, 12))
    path.write_text("0,1\n1,yes\n")
    with pytest.raises(LabelError, match=r"F009_T1.csv, line 2: .* the cell 'yes'"):
        load_bp4d(root, aus=(1,))
    path.write_text("0,1\n1,0\n\n1,1\n")
    with pytest.raises(LabelError, match=r"line 4: frame 1 is in line 2 already"):
        load_bp4d(root, aus=(1,))
    path.write_text("0,1\n")
    assert len(load_bp4d(root, aus=(1,)).data) == 4


def test_two_files_of_one_frame_are_refused(root):
    folder = root / "2D+3D" / "F001" / "T10"
    (folder / "7.jpg").write_bytes((folder / "0007.jpg").read_bytes())
    with pytest.raises(FaceImageError, match=r"0007.jpg and 7.jpg are the same frame"):
        load_bp4d(root)


def test_missing_folders_say_what_was_looked_for(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found no subject folders.*2D\+3D"):
        load_bp4d(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="2DFeatures"):
        load_bp4d(root, landmarks="2DFeatures")
    with pytest.raises(FileNotFoundError, match="landmarks must be 'auto', None"):
        load_bp4d(root, landmarks="dlib")
    for path in (root / "2D+3D").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(LabelError, match="has both an image and a label"):
        load_bp4d(root)


def test_images_from_zero_need_no_help_when_they_tell(tmp_path):
    write_bp4d(tmp_path, "F001_T1", [0, 1], {1: {1: 1}, 2: {1: 0}})
    bunch = load_bp4d(tmp_path, aus=(1,))
    assert [image.mean() for image in bunch.data] == [10, 20]
    assert bunch.data.frame.tolist() == [1, 2]


def test_ambiguous_numbers_name_the_parameter(tmp_path):
    write_bp4d(tmp_path, "F001_T1", [0, 1, 2, 3], {1: {1: 1}, 2: {1: 0}})
    with pytest.raises(DatasetError, match=r"1 recordings .* \(F001_T1\).*first_frame"):
        load_bp4d(tmp_path, aus=(1,))
    for first, shown in ((0, [10, 20]), (1, [20, 30])):
        faces = load_bp4d(tmp_path, aus=(1,), first_frame=first).data
        assert [image.mean() for image in faces] == shown
    with pytest.raises(ValueError, match="first_frame must be 'auto', 0 or 1, got 2"):
        load_bp4d(tmp_path, aus=(1,), first_frame=2)


def test_fera_2015_has_other_folders(tmp_path):
    write_bp4d(tmp_path, "F001_T1", ["1"], {1: {1: 1}}, folder="BP4D-training")
    fera = tmp_path / "BP4D-AUCoding"
    (tmp_path / "AUCoding" / "AU_OCC").rename(tmp_path / "labels")
    (tmp_path / "AUCoding").rmdir()
    fera.mkdir()
    (tmp_path / "labels").rename(fera / "AUCoding")
    write_points(tmp_path / "BP4D-fpoints", "F001_T1", [1], n_points=49)
    bunch = load_bp4d(tmp_path, aus=(1,))
    assert bunch.target.tolist() == [[1]]
    assert np.isnan(bunch.data.landmarks[0, :, 0]).sum() == 19
    assert bunch.data.landmarks[0, 17, 0] == 1


def test_intensities_of_bp4d_plus_whose_columns_are_not_in_place(tmp_path):
    header = "0,1,2,4,5,6,7,9,10,11,12"
    rows = {frame: {6: 1, 12: 0} for frame in (1, 2, 3)}
    write_bp4d(tmp_path, "F082_T6", ["001", "002", "003"], rows, header=header)
    folder = tmp_path / "AUCoding" / "AU_INT" / "AU06"
    folder.mkdir(parents=True)
    (folder / "F082_T6_AU06.csv").write_text("1,5\n3,9\n")
    bunch = load_bp4d_plus(tmp_path, aus=(12, 6))
    np.testing.assert_array_equal(bunch.target, np.float32([[0, 1]] * 3))
    nan = np.nan
    np.testing.assert_array_equal(bunch.intensity, [[nan, 5], [nan, nan], [nan, nan]])
    (folder / "F082_T6_AU06.csv").write_text("1,5\n3,7\n")
    with pytest.raises(
        LabelError, match=r"AU06.csv, line 2: AU6 is 7, expected 0 to 5"
    ):
        load_bp4d_plus(tmp_path, aus=(12, 6))


@pytest.mark.filterwarnings("error::skfau.exceptions.DatasetWarning")
def test_an_incomplete_copy_is_told_with_the_names_of_its_videos(root):
    wanted = r"BP4D has 146,847 labelled frames, this copy 4: F001_T1, F001_T2.*"
    with pytest.warns(DatasetWarning, match=wanted + r"M002_T2 have labels") as caught:
        bunch = load_bp4d(root)
    assert {"F001_T1", "M002_T2"} <= set(bunch.report.deviating)
    assert [Path(w.filename).name for w in caught] == ["test_bp4d.py"]


@pytest.mark.parametrize("frame", [-1, 2**32 + 2, 2**70])
def test_frames_that_cannot_be_are_an_error(root, frame):
    """2**32 + 2 is 2 in 32 bits."""
    write_bp4d(root, "F009_T1", ["1", "2"], {1: {12: 1}, frame: {12: 1}})
    with pytest.raises(LabelError, match=rf"F009_T1.csv, line 3: .*{frame}"):
        load_bp4d(root)


@pytest.mark.parametrize("aus", [(), (12, 12), (1, 200), (0,), (-1,)])
def test_aus_that_cannot_be_are_an_error(root, aus):
    with pytest.raises(ValueError, match="aus must name at least one AU, none twice"):
        load_bp4d(root, aus=aus)


@pytest.mark.parametrize("aus", [12, "12", (1.0,)])
def test_aus_are_whole_numbers(root, aus):
    with pytest.raises(TypeError, match=r"aus must be a sequence of whole numbers"):
        load_bp4d(root, aus=aus)
