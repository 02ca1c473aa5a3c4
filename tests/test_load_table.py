"""Any table of faces: what it says is what is loaded, or an error with the line."""

import unicodedata

import numpy as np
import pandas as pd
import pytest

from skfau.datasets import load_table
from skfau.exceptions import DatasetError, DatasetWarning, LabelError
from tests.trees import write_image, write_points, write_tool_points

# The tables name images that are gone.
pytestmark = pytest.mark.filterwarnings("ignore:[12] of 4 rows are left out")

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
    assert [f.tolist() for f in bunch.report.videos["v"]] == [[], [3], [], []]


def test_rows_that_are_left_out_are_counted(root):
    with pytest.warns(DatasetWarning, match=r"1 of 4 rows .* line 4, .*gone.png$") as w:
        load_table(root / "mine.csv")
    assert w[0].filename == __file__


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
    with pytest.raises(LabelError, match=r"no column for AU 5; it has those of \d"):
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
    with pytest.raises(
        DatasetError,
        match=r"need the columns 'video' and 'frame', or .* 1.pts; .*v.csv",
    ):
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
        "path,video,frame,AU1\na/1.png,v,{},0\na/2.png,v,{},0\nb/1.png,v,{},0\n".format(
            *frames
        )
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
        "path,subject,video,frame,AU1\na/1.png,anna,T1,1,0\na/2.png,bob,T1,2,0\n"
    )
    write_points(root / "points", "T1", [1, 2])
    with pytest.raises(DatasetError, match=r"have a video T1, .*; give each"):
        load_table(root / "mine.csv", landmarks="points")


def test_landmarks_find_their_frame_in_any_order(root):
    (root / "mine.csv").write_text(
        "path,video,frame,AU1\na/1.png,v,3,0\na/2.png,v,1,0\nb/1.png,v,2,0\n"
    )
    write_points(root / "points", "v", [2, 9, 3, 1])
    points = load_table(root / "mine.csv", landmarks="points").data.landmarks
    assert points[:, 0, 0].tolist() == [3, 1, 2]


OPENFACE = """\
path, AU01_r, AU12_r, AU01_c, AU12_c, AU28_c
a/1.png, 2.50, 0.30, 1.00, 0.00, 1.00
a/2.png, 0.00, 4.10, 0.00, 1.00, 0.00
"""


def test_openface_has_occurrence_and_intensity(root):
    """Occurrence is read without a threshold, intensity with one."""
    (root / "mine.csv").write_text(OPENFACE)
    bunch = load_table(root / "mine.csv")
    assert bunch.aus == (1, 12, 28) and bunch.intensity is None
    assert bunch.target.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert bunch.data.column("AU12_r").tolist() == [0.3, 4.1]
    with pytest.warns(DatasetWarning, match=r"occurrence only \(1: AU28_c\)"):
        bunch = load_table(root / "mine.csv", threshold=2)
    assert bunch.aus == (1, 12)
    np.testing.assert_array_equal(bunch.intensity, np.float32([[2.5, 0.3], [0, 4.1]]))
    assert bunch.target.tolist() == [[1, 0], [0, 1]]
    assert load_table(root / "mine.csv", threshold=2, aus=(12,)).aus == (12,)
    with pytest.raises(LabelError, match="AU 28; AU28_c is of the other kind"):
        load_table(root / "mine.csv", threshold=2, aus=(12, 28))


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("AU12", None),
        ("au_12", None),
        ("AU 12", 3),
        ("AU-012", None),
        ("AU12_intensity", 3),
        ("au_12_intensity", 3),
        ("AU12_occurrence", None),
        ("AU12_c", None),
        ("AU12_r", 3),
    ],
)
def test_names_of_aus(root, name, threshold):
    table = {"path": ["a/1.png", "a/2.png"], name: [0, 1 if threshold is None else 4.0]}
    bunch = load_table(table, root=root, threshold=threshold)
    assert bunch.aus == (12,) and bunch.target.tolist() == [[0], [1]]


def test_a_table_without_an_au_is_an_error(root):
    paths = {"path": ["a/1.png"]}
    for table, message in (
        ({"AU12L": [1], "AU02R_x": [1]}, r"near it come AU12L, AU02R_x\. Pass aus"),
        ({"12": [1], "FAU12": [0], "age": [3]}, r"near it come 12, FAU12\."),
        ({"smile": [1]}, r"no column of an AU; .* it has path, smile\. Pass aus=\(\)"),
        ({"AU01_r": [1]}, r"AUs by intensity only \(AU01_r\); pass threshold="),
    ):
        with pytest.raises(DatasetError, match=message):
            load_table(paths | table, root=root)
    with pytest.raises(
        DatasetError, match=r"by occurrence only .* leave out threshold"
    ):
        load_table(paths | {"AU01_c": [1]}, root=root, threshold=1)
    bunch = load_table(paths | {"smile": [1]}, root=root, aus=())
    assert bunch.target.shape == (1, 0) and bunch.data.column("smile").tolist() == [1]


@pytest.mark.parametrize("name", ["AU12L", "AU12_R", "AU 12 left", "au12.5"])
def test_columns_that_begin_like_an_au_are_told(root, name):
    """AU12R is the right side of a face, which is not OpenFace's AU12_r."""
    table = {"path": ["a/1.png"], "AU1": [1], name: [0]}
    with pytest.warns(
        DatasetWarning, match=rf"columns .* \(1: {name}\); they go along"
    ):
        bunch = load_table(table, root=root)
    assert bunch.aus == (1,) and name in bunch.data.columns


@pytest.mark.parametrize(
    "labels",
    [
        np.array([True, False]),
        pd.array([True, False], "boolean"),
        np.array(["True", "False"]),
        np.array(["true", " FALSE "]),
        np.array([np.True_, 0], object),
    ],
)
def test_truth_is_a_label(root, labels):
    table = {"path": ["a/1.png", "a/2.png"], "AU1": labels}
    assert load_table(table, root=root).target.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    "cell", ["-nan(ind)", "1.#QNAN", "-1.#IND", "NaN", "", " ", "NA", "None"]
)
def test_spellings_of_no_label(root, cell):
    (root / "mine.csv").write_text(f"path,AU1\na/1.png,{cell}\na/2.png,1\n")
    target = load_table(root / "mine.csv").target
    assert np.isnan(target[0, 0]) and target[1, 0] == 1


def test_infinity_is_no_intensity(root):
    (root / "mine.csv").write_text("path,AU1\na/1.png,1.#INF\n")
    with pytest.raises(LabelError, match=r"line 2: AU1 is '1.#INF', expected an int"):
        load_table(root / "mine.csv", threshold=1)


def test_frames_that_pandas_made_floats(root):
    text = CSV.replace("v,1,", "v,1.0,").replace("v,2,", "v, 2.0,")
    (root / "mine.csv").write_text(text)
    assert load_table(root / "mine.csv").data.frame.tolist() == [1, 2, 1]
    frame = pd.DataFrame(
        {"path": ["a/1.png", "a/2.png"], "frame": [3.0, 2.0**53], "AU1": [0, 1]}
    )
    assert load_table(frame, root=root).data.frame.tolist() == [3, 2**53]


@pytest.mark.parametrize(
    "path", [" a/1.png ", "a\\1.png", "A/1.PNG", ".\\a\\1.png", "a//1.png"]
)
def test_paths_of_other_systems(root, path):
    table = {"path": [path, "a/2.png"], "AU1": [0, 1]}
    assert [image.mean() for image in load_table(table, root=root).data] == [10, 20]


@pytest.mark.parametrize(("disk", "table"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_of_other_systems(root, disk, table):
    """macOS writes an accent behind its letter, also in names of folders."""
    name = "J\u00fcrg/\u00e9t\u00e9.png"
    write_image(root / unicodedata.normalize(disk, name), 77)
    (root / "mine.csv").write_text(
        f"path,AU1\n{unicodedata.normalize(table, name)},1\n", "utf-8"
    )
    assert load_table(root / "mine.csv").data.images[0].mean() == 77


def test_the_exact_name_of_a_file_comes_first(root):
    write_image(root / "a" / "F.png", 70)
    write_image(root / "a" / "f.png", 80)
    if len({p.name for p in (root / "a").glob("[fF].png")}) == 1:
        pytest.skip("names of files have no case here")
    table = {"path": ["a/f.png", "a/F.png"], "AU1": [0, 1]}
    assert [im.mean() for im in load_table(table, root=root).data] == [80, 70]
    table = {"path": ["a/1.png", "a/f.PNG"], "AU1": [0, 1]}
    with pytest.raises(DatasetError, match=r"row 1: .* may be 'F.png' or 'f.png' in"):
        load_table(table, root=root)


@pytest.mark.parametrize("second", ["A/1.png", "a/1.PNG"])
def test_two_names_are_not_one_file(root, second):
    """Where only one of them was copied the other's label would go to its image."""
    table = {"path": ["a/1.png", second], "AU1": [0, 1]}
    with pytest.raises(
        DatasetError, match=r"table, row 1: .* 'a/1.png' \(the .* row 0"
    ):
        load_table(table, root=root)


def test_decimals_are_numbers_unless_two_texts_become_one(root):
    (root / "mine.csv").write_text(
        "path,AU1,sure,version,subject\n"
        "a/1.png,0,0.50,1.1,1.10\na/2.png,1,1.00,1.10,1.20\n"
    )
    faces = load_table(root / "mine.csv").data
    assert faces.column("sure").tolist() == [0.5, 1.0]
    assert faces.column("version").tolist() == ["1.1", "1.10"]
    assert faces.subject.tolist() == ["1.10", "1.20"]


class OtherFrame(dict):
    """A frame that iterates over its columns' values, as those of polars do."""

    columns = property(lambda self: [*self.keys()])

    def __iter__(self):
        return iter(self.values())


def test_frames_that_iterate_over_values(root):
    frame = OtherFrame(path=np.array(["a/1.png"]), AU1=np.array([1]))
    assert load_table(frame, root=root).target.tolist() == [[1]]
