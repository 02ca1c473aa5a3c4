"""Tables whose paths are videos: each row is the frame that its number or time says."""

import numpy as np
import pytest

from skfau import Faces
from skfau.datasets import load_table
from skfau.exceptions import DatasetError, DatasetWarning
from tests.trees import write_image, write_tool_points
from tests.video_files import numbers, vary_rate, write_video


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, 30, "mp4v")
    return tmp_path


def load(root, path, **columns):
    options = {k: columns.pop(k) for k in ("landmarks", "first_frame") if k in columns}
    labels = np.arange(len(path)) % 2
    return load_table({"path": path, "AU1": labels} | columns, root=root, **options)


@pytest.mark.parametrize(
    ("frame", "options", "expected"),
    [
        ([1, 5, 30], {}, [0, 4, 29]),
        ([0, 5, 29], {}, [0, 5, 29]),
        ([1, 5, 29], {"first_frame": 0}, [1, 5, 29]),
        ([30, 2, 9], {"first_frame": 1}, [29, 1, 8]),
    ],
)
def test_rows_are_the_frames_of_their_numbers(root, frame, options, expected):
    bunch = load(root, ["a.mp4"] * 3, frame=frame, **options)
    assert numbers(bunch.data.read()) == expected
    assert bunch.data.frame.tolist() == frame
    assert bunch.data.video.tolist() == ["a"] * 3
    np.testing.assert_allclose(bunch.data.time, np.array(expected) / 25, atol=1e-6)
    assert bunch.target[:, 0].tolist() == [0, 1, 0]


def test_a_table_that_does_not_show_where_it_counts_from_is_told(root):
    with pytest.warns(
        DatasetWarning, match="neither a frame 0 nor a frame 1.*is image 8"
    ):
        bunch = load(root, ["a.mp4"] * 2, frame=[9, 20])
    assert numbers(bunch.data.read()) == [8, 19]


def test_several_videos_and_their_subjects(root):
    paths = ["b.mp4", "a.mp4", "b.mp4", "a.mp4"]
    columns = {"frame": [3, 1, 1, 9], "subject": list("qpqp"), "age": [4, 3, 4, 3]}
    bunch = load(root, paths, video=list("vwvw"), **columns)
    assert numbers(bunch.data.read()) == [2, 0, 0, 8]
    assert bunch.data.subject.tolist() == list("qpqp")
    assert bunch.data.video.tolist() == list("vwvw")
    assert bunch.data.column("age").tolist() == [4, 3, 4, 3]
    # Frames without a label are still the neighbours of those with one.
    assert numbers(bunch.data.neighbors(1).read()) == [3, 1, 1, 9]
    assert [f.tolist() for f in bunch.report.videos["v"]] == [[], [], [], []]


def test_times_find_the_nearest_frame(root):
    bunch = load(root, ["a.mp4"] * 4, time=np.array([0, 0.05, 0.079, 1.19]))
    assert numbers(bunch.data.read()) == [0, 1, 2, 29]
    np.testing.assert_allclose(bunch.data.time, [0, 0.04, 0.08, 1.16], atol=1e-6)


def test_two_rows_are_not_one_frame(root):
    with pytest.raises(DatasetError, match=r"row 1 and the table, row 0 are both fra"):
        load(root, ["a.mp4"] * 2, time=[0.4, 0.41])
    with pytest.raises(DatasetError, match=r"both frame 7 of .*a.mp4; keep one row"):
        load(root, ["a.mp4"] * 2, frame=[7, 7])


def test_times_of_a_variable_rate_are_those_of_the_file(root):
    """Twenty frames at 25 a second, then each takes three times as long."""
    vary_rate(root / "a.mp4")
    bunch = load(root, ["a.mp4"] * 4, time=["0.40", "0.80", "0.92", "1.29"])
    assert numbers(bunch.data.read()) == [10, 20, 21, 24]
    np.testing.assert_allclose(bunch.data.time, [0.4, 0.8, 0.92, 1.28], atol=1e-3)


def test_frames_that_a_video_has_not_are_left_out_with_a_count(root):
    with pytest.warns(DatasetWarning, match=r"1 of 3 rows .* no such frame: .* row 1,"):
        bunch = load(root, ["a.mp4"] * 3, frame=[1, 31, 30], video=["v"] * 3)
    assert numbers(bunch.data.read()) == [0, 29]
    assert bunch.report.without_image.tolist() == [1]
    assert bunch.report.videos["v"].without_image.tolist() == [31]
    assert bunch.target[:, 0].tolist() == [0, 0]
    with pytest.warns(DatasetWarning, match=r"2 of 3 rows"):
        bunch = load(root, ["a.mp4"] * 3, time=[-0.1, 0.2, 1.3])
    assert numbers(bunch.data.read()) == [5]


def test_what_does_not_tell_the_frame_is_an_error(root):
    write_image(root / "a.png")
    for paths, columns, message in (
        (["a.mp4"], {}, r"row 0: .*a.mp4 is a video; add a column 'frame' .* 'time'"),
        (["a.mp4"], {"time": ["soon"]}, r"row 0: 'time' must be seconds, got .*soon"),
        (["a.mp4"], {"time": [np.nan]}, r"row 0: 'time' must be seconds, got .*nan"),
        (
            ["a.mp4", "a.png"],
            {"frame": [1, 2]},
            r"videos .* images .* Faces.concat",
        ),
        (["a.mp4"], {"frame": [99]}, r"a.mp4 has 30 frames, of which no row .* is 1"),
        (
            ["a.mp4"] * 2,
            {"frame": [1, 2], "subject": ["p", "q"]},
            r"row 1: subject q is in a video of subject p; give a video one subject",
        ),
    ):
        with pytest.raises(DatasetError, match=message):
            load(root, paths, **columns)


def test_landmarks_of_tools_are_those_of_the_frame(root):
    rows = [(k, 10 * k, 1) for k in range(1, 31)]
    write_tool_points(root / "a.csv", rows, ["success"])
    faces = load(root, ["a.mp4"] * 2, frame=[1, 4], landmarks=root).data
    assert faces.landmarks[:, 0, 0].tolist() == [10, 40]
    faces = load(root, ["a.mp4"] * 2, frame=[0, 4], landmarks=root).data
    assert faces.landmarks[:, 0, 0].tolist() == [10, 50]
    faces = load(root, ["a.mp4"] * 2, time=[0.04, 0.2], landmarks=root).data
    assert faces.landmarks[:, 0, 0].tolist() == [20, 60]


def test_tables_of_videos_and_of_images_are_joined(root):
    write_image(root / "c.png", 77)
    one = load(root, ["a.mp4"] * 2, frame=[1, 2], subject=["p"] * 2)
    other = load(root, ["c.png"], subject=["q"])
    faces = Faces.concat([one.data, other.data])
    assert faces.subject.tolist() == ["p", "p", "q"]
    assert faces.images[2].mean() == 77


def test_a_frame_has_a_row_for_each_of_its_people(root):
    bunch = load(root, ["a.mp4"] * 4, frame=[1, 1, 2, 2], person=[0, 1, 0, 1])
    assert numbers(bunch.data.read()) == [0, 0, 1, 1]
    assert bunch.data.neighbors(1).frame.tolist() == [2, 2, 2, 2]
    with pytest.raises(DatasetError, match=r"both frame 1 .*column 'person'"):
        load(root, ["a.mp4"] * 2, frame=[1, 1], person=[1, 1])


def test_numbers_and_times_that_tell_of_other_frames_are_an_error(root):
    seconds = Faces.from_videos([root / "a.mp4"]).time
    columns = {"frame": [1, 5, 9], "time": seconds[[1, 5, 9]]}
    with pytest.raises(DatasetError, match="frame 1, counted from 1, is not at this"):
        load(root, ["a.mp4"] * 3, **columns)
    bunch = load(root, ["a.mp4"] * 3, first_frame=0, **columns)
    assert numbers(bunch.data.read()) == [1, 5, 9]
