"""Landmarks as data sets and tools write them, brought to frame numbers."""

import numpy as np
import pytest
from scipy.io import savemat

from skfau.datasets._image_files import read_images
from skfau.datasets._landmark_files import (
    landmark_files,
    landmark_folders,
    read_points,
)
from skfau.exceptions import DatasetError
from tests.trees import write_image, write_points, write_tool_points

FRAMES = np.arange(1, 5)
NOTHING = read_images(None)


def test_openface_counts_from_1_and_says_where_it_failed(tmp_path):
    path = tmp_path / "v.csv"
    rows = [(1, 10, 0.9, 1), (2, 20, 0.1, 0), (3, 31, 0.5, 1), (3, 30, 0.8, 1)]
    write_tool_points(path, rows, ["confidence", "success"])
    found = read_points(path, FRAMES, NOTHING)
    assert found["seen"].tolist() == [1, 3]
    assert found["points"][:, 5, 0].tolist() == [10, 30]


def test_py_feat_counts_from_0_and_leaves_cells_empty(tmp_path):
    path = tmp_path / "v.csv"
    write_tool_points(
        path, [(0, 10, 0.9), (1, None, None), (2, 30, 0.8)], ["FaceScore"]
    )
    found = read_points(path, FRAMES, NOTHING)
    assert found["seen"].tolist() == [1, 3]
    assert found["points"][:, 0, 0].tolist() == [10, 30]


def test_tools_take_images_by_name(tmp_path):
    for number in (9, 10, 11):
        write_image(tmp_path / "v" / f"{number}.png")
    path = tmp_path / "v.csv"
    write_tool_points(
        path, [(k, 10 * k, 0.9, 1) for k in (1, 2, 3)], ["confidence", "success"]
    )
    record = read_images(tmp_path / "v")
    found = read_points(path, np.array([9, 10, 11]), record)
    assert found["by_image"].tolist() == [1]
    by_frame = dict(zip(found["seen"].tolist(), found["points"][:, 0, 0], strict=True))
    assert by_frame == {10: 10, 11: 20, 9: 30}
    write_tool_points(
        path, [(k, 10 * k, 0.9, 1) for k in (1, 2)], ["confidence", "success"]
    )
    with pytest.raises(DatasetError, match=r"holds 2 frames, the folder 3 images"):
        read_points(path, FRAMES, record)


def test_tool_files_that_do_not_tell_are_an_error(tmp_path):
    path = tmp_path / "v.csv"
    write_tool_points(path, [(5, 10, 0.9, 1)], ["confidence", "success"])
    with pytest.raises(DatasetError, match="begins with frame 5; expected 1"):
        read_points(path, FRAMES, NOTHING)
    write_tool_points(path, [(1, 10, 0.9)], ["FaceScore"])
    with pytest.raises(DatasetError, match="does not tell whether frames count from"):
        read_points(path, FRAMES, NOTHING)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(DatasetError, match=r"v.csv, line 2: expected a frame and 68"):
        read_points(path, FRAMES, NOTHING)


@pytest.mark.parametrize("n_points", [49, 51, 66, 68])
def test_plain_tables_of_any_layout(tmp_path, n_points):
    write_points(tmp_path, "v", [2, 4, 9], n_points)
    found = read_points(tmp_path / "v.csv", FRAMES, NOTHING)
    assert found["seen"].tolist() == [2, 4]
    known = np.isfinite(found["points"][0]).all(axis=1)
    assert known.sum() == n_points and found["points"][1][known][0, 0] == 4


def test_damaged_plain_tables_are_named_with_file_and_line(tmp_path):
    write_points(tmp_path, "v", [2, 3])
    path = tmp_path / "v.csv"
    names = ",".join(f"x{k},y{k}" for k in range(1, 69))
    turned = ",".join(f"x{k},y{k}" for k in range(68, 0, -1))
    whole = path.read_text()
    for text, message in {
        whole[
            :-60
        ]: r"v.csv, line 2: expected 137 numbers .*, got 12\d cells; the file may",
        whole.replace("\n3.00,", "\nx,"): r"v.csv, line 2: .* got the cell 'x'",
        whole + whole: r"v.csv, line 3: frame 2 is in line 1 already",
        "1,2,3\n": r"must have 137 columns .* got 3 columns: '1,2,3'",
        whole[:9] + "\0": r"line 1: holds the control character",
        whole.replace("\n3.00,", "\n2.50,"): r"v.csv, line 2: .* got the cell '2.50'",
        whole.replace("\n3.00,", "\nnan,"): r"v.csv, line 2: .* got the cell 'nan'",
        whole.replace("\n3.00,", "\n0,"): r"v.csv, line 2: frame 0, expected 1 to",
        whole.replace("\n3.00,", "\n-1,"): r"v.csv, line 2: frame -1, expected 1 to",
        whole.replace("\n3.00,", "\n1e300,"): r"v.csv, line 2: frame 1\d+, expected",
        whole.replace(",7.00", ",inf"): r"v.csv, line 1: .* got the cell 'inf'",
        whole.replace(",7.00", ",1e999"): r"v.csv, line 1: .* got the cell '1e999'",
        whole.replace(",7.00", ",1_0"): r"v.csv, line 1: .* got the cell '1_0'",
        f"frame,{names[:-1]}7\n{whole}": r"line 1: expected the columns frame, x1, y1",
        whole.replace("2.00,2.00", "frame,x"): r"line 1: expected the columns frame",
        f"frame,{turned}\n{whole}": r"1: .* in this order, got 'frame,x68,y68,x67",
    }.items():
        path.write_text(text)
        with pytest.raises(DatasetError, match=message):
            read_points(path, FRAMES, NOTHING)


def test_tracked_points_in_either_matlab_format(tmp_path):
    pred = np.empty((1, 4), object)
    pred[:] = [[np.full((2, 49), 1.0), np.empty((0, 0)), np.full((2, 49), 3.0), 0]]
    savemat(tmp_path / "v.mat", {"fit": {"pred": pred}})
    found = read_points(tmp_path / "v.mat", FRAMES, NOTHING)
    assert found["seen"].tolist() == [1, 3]
    assert found["points"][1, 17, 0] == 3
    (tmp_path / "v.mat").write_bytes(b"MATLAB 5.0 and nothing else")
    with pytest.raises(DatasetError, match=r"v.mat is not a MATLAB file with the var"):
        read_points(tmp_path / "v.mat", FRAMES, NOTHING)
    (tmp_path / "v.mat").write_bytes(b"nothing")
    pytest.importorskip("h5py")
    with pytest.raises(DatasetError, match=r"v.mat does not hold tracked points"):
        read_points(tmp_path / "v.mat", FRAMES, NOTHING)


def test_where_files_are_looked_for(tmp_path):
    (tmp_path / "first").mkdir()
    write_points(tmp_path / "second", "v", [1])
    folders = landmark_folders(tmp_path, "auto", ("first", "second", "third"))
    assert [folder.name for folder in folders] == ["first", "second"]
    found, looked = landmark_files(folders, "v")
    assert found == tmp_path / "second" / "v.csv"
    assert tmp_path / "first" / "v.csv" in looked
    assert landmark_folders(tmp_path, None, ("first",)) == ()
    for name in (".cache", "one", "two"):
        (tmp_path / "first" / "v" / name).mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"several folders \(one, two, \.\.\.\)"):
        landmark_files(folders, "v")
    (tmp_path / "first" / "v" / "two").rmdir()
    assert landmark_files(folders, "v")[0].name == "one"
    assert landmark_folders(tmp_path, tmp_path / "first", ()) == (tmp_path / "first",)


def test_plain_tables_may_name_their_columns(tmp_path):
    write_points(tmp_path, "v", [2, 3])
    path = tmp_path / "v.csv"
    bare = read_points(path, FRAMES, NOTHING)
    names = ",".join(f"x{k},y{k}" for k in range(1, 69))
    path.write_text(f"frame,{names}\n{path.read_text()}")
    np.testing.assert_array_equal(
        read_points(path, FRAMES, NOTHING)["points"], bare["points"]
    )


@pytest.mark.parametrize("frame", ["1.5", "-1", "nan"])
def test_tools_number_frames_by_whole_numbers(tmp_path, frame):
    path = tmp_path / "v.csv"
    write_tool_points(path, [(frame, 10, 1)], ["success"])
    with pytest.raises(DatasetError, match=r"v.csv, line 2: expected a frame and 68"):
        read_points(path, FRAMES, NOTHING)
