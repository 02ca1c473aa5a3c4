"""Any table of faces: what it says is what is loaded, or an error with the line."""

import numpy as np
import pandas as pd
import pytest

from skfau.datasets import load_table
from skfau.exceptions import DatasetError, LabelError
from tests.trees import write_image, write_points, write_tool_points

CSV = """\
path,subject,video,frame,AU1,AU12,age
a/1.png,anna,v,1,0,1,31
a/2.png,anna,v,2,1,,32
gone.png,anna,v,3,1,1,33
b/1.png,007,w,1,nan,,34
"""


@pytest.fixture
def root(tmp_path):
    for k, name in enumerate(["a/1.png", "a/2.png", "b/1.png"]):
        write_image(tmp_path / name, 10 * k + 10)
    (tmp_path / "mine.csv").write_text(CSV)
    return tmp_path


def test_rows_columns_and_report(root):
    bunch = load_table(root / "mine.csv")
    nan = np.nan
    expected = np.float32([[0, 1], [1, nan], [nan, nan]])
    np.testing.assert_array_equal(bunch.target, expected)
    assert bunch.aus == (1, 12) and bunch.intensity is None
    assert [image.mean() for image in bunch.data] == [10, 20, 30]
    assert bunch.data.subject.tolist() == ["anna", "anna", "007"]
    assert bunch.data.column("age").tolist() == [31, 32, 34]
    assert bunch.report.without_image.tolist() == [4]
    assert bunch.report.without_label.tolist() == [5]
    assert [f.tolist() for f in bunch.report.videos["v"]] == [[], [3], []]


def test_a_dataframe_is_the_same(root):
    frame = pd.read_csv(root / "mine.csv", dtype={"subject": str})
    theirs = load_table(frame, root=root, aus=(12, 1))
    ours = load_table(root / "mine.csv", aus=(12, 1))
    np.testing.assert_array_equal(theirs.target, ours.target)
    assert theirs.data.columns == ours.data.columns
    assert theirs.data.subject.tolist() == ours.data.subject.tolist()
    with pytest.raises(LabelError, match="the table, row 0: AU1 is '7'"):
        load_table(frame.assign(AU1=7), root=root)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators(root, separator):
    (root / "mine.csv").write_text(CSV.replace(",", separator))
    assert load_table(root / "mine.csv").target.shape == (3, 2)


def test_intensities_and_codes_of_unknown_labels(root):
    (root / "mine.csv").write_text("path,AU06\na/1.png,2.5\na/2.png,9\nb/1.png,0\n")
    bunch = load_table(root / "mine.csv", threshold=2, unknown=9)
    np.testing.assert_array_equal(bunch.intensity[:, 0], np.float32([2.5, np.nan, 0]))
    np.testing.assert_array_equal(bunch.target[:, 0], np.float32([1, np.nan, 0]))
    with pytest.raises(LabelError, match=r"line 2: AU6 is '2.5', expected 0 or 1.*thr"):
        load_table(root / "mine.csv", unknown=(9,))
    with pytest.raises(LabelError, match=r"line 3: AU6 is '9', expected an intensity"):
        load_table(root / "mine.csv", threshold=2)
    with pytest.raises(ValueError, match=r"above 0 \(all would be\).*got 0"):
        load_table(root / "mine.csv", threshold=0)


def test_damaged_tables_are_named_with_file_and_line(root):
    path = root / "mine.csv"
    for text, error, message in (
        (CSV.replace("v,2,1", "v,2,7"), LabelError, r"mine.csv, line 3: AU1 is '7'"),
        (CSV[:-7], LabelError, r"line 5: expected 7 cells as in the header, got 5"),
        (CSV.replace("v,2,", "v,1,"), DatasetError, r"line 3: frame 1 of video v .* 2"),
        (CSV.replace("v,2,", "v,x,"), DatasetError, r"line 3: 'frame' must be a whole"),
        (CSV.replace("v,2,", f"v,{2**70},"), DatasetError, r"line 3: 'frame' must be"),
        (CSV.replace("anna,v,2", " ,v,2"), DatasetError, r"line 3: 'subject' is empty"),
        (CSV.replace("007,w", "007,"), DatasetError, r"line 5: 'video' is empty"),
        (CSV.replace("path", "file"), DatasetError, r"must have a column 'path'"),
        (CSV.replace("AU12", "AU1"), DatasetError, r"line 1: a column is there twice"),
        (CSV.replace("AU12", "AU01"), LabelError, r"line 1: AU1 has two columns"),
        (CSV.replace("age", "images"), DatasetError, r"has a column 'images'; give it"),
        (CSV.replace("a/2", '"a/2'), LabelError, r"line 3: expected 7 cells"),
        (CSV.replace("v,2", "v,\0"), LabelError, r"line 3: holds the control"),
        ("", DatasetError, r"must have a column 'path'"),
    ):
        path.write_text(text)
        with pytest.raises(error, match=message):
            load_table(path)
    path.write_text(CSV)
    with pytest.raises(LabelError, match=r"no column for AU \{5\}"):
        load_table(path, aus=(1, 5))
    with pytest.raises(DatasetError, match="pass root="):
        load_table(path, root=root / "a")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_table(root / "yours.csv")


def test_one_person_is_one_subject_however_the_cells_are_typed(root):
    """A blank behind a name would put one person into training and test."""
    (root / "mine.csv").write_text(CSV.replace("a/2.png,anna,", "a/2.png, anna\t,"))
    assert load_table(root / "mine.csv").data.subject.tolist() == ["anna"] * 2 + ["007"]
    frame = pd.DataFrame({"path": ["a/1.png", "a/2.png"], "subject": ["anna", None]})
    with pytest.raises(DatasetError, match="the table, row 1: 'subject' is empty"):
        load_table(frame, root=root)


def test_letters_that_cannot_be_read_are_no_names(root):
    """Latin-1 would make one person of J\u00fcrg and J\u00f6rg."""
    text = CSV.replace("anna", "J\u00fcrg").replace("007", "J\u00f6rg")
    (root / "mine.csv").write_text(text, "utf-8")
    assert load_table(root / "mine.csv").data.subject[2] == "J\u00f6rg"
    (root / "mine.csv").write_text(text, "latin-1")
    with pytest.raises(
        DatasetError, match=r"line 2: is not in UTF-8.*save it as UTF-8"
    ):
        load_table(root / "mine.csv")


def test_landmarks_by_video(root):
    write_points(root / "points", "v", [2])
    bunch = load_table(root / "mine.csv", landmarks="points")
    assert bunch.data.landmarks[1, 0, 0] == 2
    assert bunch.report.without_landmarks.tolist() == [2, 5]
    # Here the table and the file both count from 1, or neither does.
    write_points(root / "points", "v", [0, 1])
    with pytest.raises(DatasetError, match=r"line 1: frame 0, expected 1 to"):
        load_table(root / "mine.csv", landmarks="points")
    with pytest.raises(DatasetError, match="need the columns 'video' and 'frame'"):
        load_table({"path": [root / "a/1.png"], "AU1": [1]}, landmarks=root / "points")


@pytest.mark.parametrize("first", [0, 1])
def test_landmarks_of_tools_follow_the_frames_of_the_table(root, first):
    text = CSV.replace("v,1,", f"v,{first},").replace("v,2,", f"v,{first + 1},")
    (root / "mine.csv").write_text(text.replace("v,3,", "v,9,"))
    write_tool_points(root / "v.csv", [(1, 10, 1), (2, 20, 1)], ["success"])
    points = load_table(root / "mine.csv", landmarks=root).data.landmarks
    assert points[:2, 0, 0].tolist() == [10, 20]


@pytest.mark.parametrize("frames", [(5, 6, 7), (1, 2, 4)])
def test_tools_that_were_given_the_images_of_the_table_do_not_know_its_frames(
    root, frames
):
    """What OpenFace calls 3 is the third image of the folder, not frame 3."""
    (root / "mine.csv").write_text(
        "path,video,frame\na/1.png,v,{}\na/2.png,v,{}\nb/1.png,v,{}\n".format(*frames)
    )
    rows = [(k, 10 * k, 1) for k in (1, 2, 3)]
    write_tool_points(root / "v.csv", rows, ["success"])
    span = rf"\({frames[0]} to {frames[-1]}\)"
    with pytest.raises(DatasetError, match=rf"counts its 3 frames from 1.*{span}"):
        load_table(root / "mine.csv", landmarks=root)
    # With all frames of the video they are told apart.
    rows += [(k, 10 * k, 1) for k in range(4, 9)]
    write_tool_points(root / "v.csv", rows, ["success"])
    points = load_table(root / "mine.csv", landmarks=root).data.landmarks
    assert points[:, 0, 0].tolist() == [10 * k for k in frames]


def test_a_lost_image_does_not_move_the_landmarks_of_the_others(root):
    """The table counts from 0 also where the image of frame 0 is gone."""
    text = CSV.replace("v,2,", "v,0,").replace("a/2", "a/none").replace("b/1", "a/2")
    (root / "mine.csv").write_text(text.replace("007,w,1", "anna,v,2"))
    write_tool_points(root / "v.csv", [(1, 10, 1), (2, 20, 1), (3, 30, 1)], ["success"])
    bunch = load_table(root / "mine.csv", landmarks=root)
    assert bunch.data.frame.tolist() == [1, 2]
    assert bunch.data.landmarks[:, 0, 0].tolist() == [20, 30]


def test_landmarks_of_a_video_are_of_one_person(root):
    (root / "mine.csv").write_text(
        "path,subject,video,frame\na/1.png,anna,T1,1\na/2.png,bob,T1,2\n"
    )
    write_points(root / "points", "T1", [1, 2])
    with pytest.raises(DatasetError, match="several subjects have a video T1; give"):
        load_table(root / "mine.csv", landmarks="points")


def test_landmarks_find_their_frame_in_any_order(root):
    (root / "mine.csv").write_text(
        "path,video,frame\na/1.png,v,3\na/2.png,v,1\nb/1.png,v,2\n"
    )
    write_points(root / "points", "v", [2, 9, 3, 1])
    points = load_table(root / "mine.csv", landmarks="points").data.landmarks
    assert points[:, 0, 0].tolist() == [3, 1, 2]
