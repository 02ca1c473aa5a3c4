"""Landmarks as data sets and tools write them, brought to frame numbers."""

import numpy as np
import pytest
from scipy.io import savemat

from skfau.datasets._frames import read_images
from skfau.datasets._landmark_files import (
    landmark_files,
    landmark_folders,
    read_points,
)
from skfau.exceptions import DatasetError
from tests.trees import write_image, write_points

FRAMES = np.arange(1, 5)
NOTHING = read_images(None)


def tool_csv(path, rows, extra):
    """Write rows of (frame, x of all points, extras) under a tool's header."""
    names = ["frame", *extra, *(f"x_{k}" for k in range(68))]
    names += [f"y_{k}" for k in range(68)]
    lines = [", ".join(names)]
    for frame, x, *values in rows:
        cells = [frame, *values, *([x] * 68), *([x] * 68)]
        lines.append(", ".join("" if c is None else str(c) for c in cells))
    path.write_text("\n".join(lines) + "\n")


def test_openface_counts_from_1_and_says_where_it_failed(tmp_path):
    path = tmp_path / "v.csv"
    rows = [(1, 10, 0.9, 1), (2, 20, 0.1, 0), (3, 31, 0.5, 1), (3, 30, 0.8, 1)]
    tool_csv(path, rows, ["confidence", "success"])
    found = read_points(path, FRAMES, NOTHING)
    assert found["seen"].tolist() == [1, 3]
    assert found["points"][:, 5, 0].tolist() == [10, 30]


def test_py_feat_counts_from_0_and_leaves_cells_empty(tmp_path):
    path = tmp_path / "v.csv"
    tool_csv(path, [(0, 10, 0.9), (1, None, None), (2, 30, 0.8)], ["FaceScore"])
    found = read_points(path, FRAMES, NOTHING)
    assert found["seen"].tolist() == [1, 3]
    assert found["points"][:, 0, 0].tolist() == [10, 30]


def test_tools_take_images_by_name(tmp_path):
    for number in (9, 10, 11):
        write_image(tmp_path / "v" / f"{number}.png")
    path = tmp_path / "v.csv"
    tool_csv(path, [(k, 10 * k, 0.9, 1) for k in (1, 2, 3)], ["confidence", "success"])
    record = read_images(tmp_path / "v")
    found = read_points(path, np.array([9, 10, 11]), record)
    by_frame = dict(zip(found["seen"].tolist(), found["points"][:, 0, 0], strict=True))
    assert by_frame == {10: 10, 11: 20, 9: 30}
    tool_csv(path, [(k, 10 * k, 0.9, 1) for k in (1, 2)], ["confidence", "success"])
    with pytest.raises(DatasetError, match=r"holds 2 frames, the folder 3 images"):
        read_points(path, FRAMES, record)


def test_tool_files_that_do_not_tell_are_an_error(tmp_path):
    path = tmp_path / "v.csv"
    tool_csv(path, [(5, 10, 0.9, 1)], ["confidence", "success"])
    with pytest.raises(DatasetError, match="begins with frame 5; expected 1"):
        read_points(path, FRAMES, NOTHING)
    tool_csv(path, [(1, 10, 0.9)], ["FaceScore"])
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
    whole = path.read_text()
    for text, message in {
        whole[
            :-60
        ]: r"v.csv, line 2: expected 137 numbers .*, got 12\d cells; the file may",
        whole.replace("\n3.00,", "\nx,"): r"v.csv, line 2: .* got the cell 'x'",
        whole + whole: r"v.csv, line 3: frame 2 is in line 1 already",
        "1,2,3\n": r"must have 137 columns .* got 3 columns: '1,2,3'",
        whole[:9] + "\0": r"line 1: holds a NUL byte",
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
    assert landmark_folders(tmp_path, tmp_path / "first", ()) == (tmp_path / "first",)
