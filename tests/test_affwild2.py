"""Aff-Wild2: the j-th label line is frame j; one -1 makes a frame invalid."""

import numpy as np
import pytest

from skfau.datasets import load_affwild2
from skfau.exceptions import DatasetError, LabelError
from tests.trees import write_image, write_video


def write_annotations(folder, name, rows, aus=(1, 12, 26)):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(f"AU{au}" for au in aus), *(",".join(map(str, r)) for r in rows)]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path):
    labels = tmp_path / "annotations" / "AU_Detection_Challenge"
    rows = [[1, 0, 0], [0, -1, 0], [0, 1, 1], [1, 1, 1]]
    write_annotations(labels / "Train_Set", "video5_left", rows)
    write_annotations(labels / "Validation_Set", "10-60-1280x720", [[0, 1, 0]])
    for k in (1, 2, 3, 5):
        path = tmp_path / "cropped_aligned" / "video5_left" / f"{k:05d}.jpg"
        write_image(path, 40 * k)
    write_image(tmp_path / "cropped_aligned" / "10-60-1280x720" / "00001.jpg")
    return tmp_path


def test_rows_are_valid_frames_with_an_image(root):
    bunch = load_affwild2(root, aus=(12, 1))
    assert bunch.data.frame.tolist() == [1, 3]
    assert bunch.target.tolist() == [[0, 1], [1, 0]]
    assert [round(image.mean()) for image in bunch.data] == [40, 120]
    assert bunch.data.subject.tolist() == ["video5_left"] * 2
    report = bunch.report.videos["video5_left"]
    assert report.without_label.tolist() == [2, 5]
    assert report.without_image.tolist() == [4]


def test_subsets(root):
    assert len(load_affwild2(root, aus=(1,), subset="validation").data) == 1
    assert len(load_affwild2(root, aus=(1,), subset="all").data) == 3
    with pytest.raises(ValueError, match="subset must be one of"):
        load_affwild2(root, subset="test")


def test_what_is_ambiguous_or_missing_is_an_error(root):
    with pytest.raises(LabelError, match=r"no column for AU 2.*affwild2_2020"):
        load_affwild2(root)
    (root / "old" / "AU_Set" / "Train_Set").mkdir(parents=True)
    with pytest.raises(DatasetError, match="say which with annotations=FOLDER"):
        load_affwild2(root, aus=(1,))
    chosen = "annotations/AU_Detection_Challenge"
    assert len(load_affwild2(root, aus=(1,), annotations=chosen).data) == 2
    with pytest.raises(FileNotFoundError, match="pass images=FOLDER"):
        load_affwild2(root, aus=(1,), annotations=chosen, images="cropped")
    labels = root / chosen
    write_annotations(labels / "Validation_Set", "video5_left", [[0, 1, 0]])
    with pytest.raises(LabelError, match="annotate the same video"):
        load_affwild2(root, aus=(1,), annotations=chosen, subset="all")


def test_damaged_annotations_are_named_with_file_and_line(root):
    path = root / "annotations/AU_Detection_Challenge/Train_Set/video5_left.txt"
    for text, message in {
        "AU1,AU12\n0,1\n\n1,1\n": r"video5_left.txt, line 3: is blank",
        "AU1,AU12\n0,1\n0,7\n": r"line 3: AU12 is 7, expected 0, 1 or -1",
        "AU1,AU12\n0,1\n0\n": r"line 3: expected 2 whole numbers",
        "0,1\n0,1\n": r"line 1: expected the names of the AUs .*, got '0,1'",
        "": r"line 1: .* got 'nothing'",
        "AU1,AU01\n0,1\n": r"line 1: AU1 has two columns; keep one",
        "AU1,AU101\n0,1\n": r"line 1: there is no AU101",
    }.items():
        path.write_text(text)
        with pytest.raises(LabelError, match=message):
            load_affwild2(root, aus=(1,))


def test_videos_in_place_of_folders(root):
    write_video(root / "batch1" / "video5_left.avi", [40, 80, 120, 160])
    bunch = load_affwild2(root, aus=(1,), images="batch1")
    assert bunch.data.frame.tolist() == [1, 3, 4]
    greys = [float(np.mean(image)) for image in bunch.data]
    np.testing.assert_allclose(greys, [40, 120, 160], atol=6)


def test_two_copies_of_one_video_are_an_error(root):
    """Crops of faces and whole frames would be mixed without a word."""
    write_video(root / "cropped_aligned" / "video5_left.avi", [40, 80, 120, 160])
    with pytest.raises(DatasetError, match=r"both hold frames of video5_left; keep"):
        load_affwild2(root, aus=(1,))


def test_images_that_count_from_0_are_an_error(root):
    write_image(root / "cropped_aligned" / "video5_left" / "00000.jpg")
    with pytest.raises(DatasetError, match=r"holds an image 0, .* count from 1"):
        load_affwild2(root, aus=(1,))


def test_hidden_files_are_nothing(root):
    labels = root / "annotations/AU_Detection_Challenge/Train_Set"
    (labels / "._video5_left.txt").write_bytes(b"\0")
    (root / "cropped_aligned" / "video5_left" / "._00001.jpg").write_bytes(b"")
    assert len(load_affwild2(root, aus=(1,)).data) == 2
