"""EmotioNet: labels find their image by the name at the end of an address."""

import numpy as np
import pytest

from skfau.datasets import load_emotionet
from skfau.exceptions import DatasetError, DatasetWarning, LabelError
from tests.trees import write_image

pytestmark = pytest.mark.filterwarnings("ignore::skfau.exceptions.DatasetWarning")


def write_automatic(root, rows):
    """Write name -> {au: code}; others are 0."""
    lines = [
        "\t".join(
            [
                f"'http://host/set/{name}'",
                f"http://elsewhere/{k}.jpg",
                *(str(coded.get(au, 0)) for au in range(1, 61)),
            ]
        )
        for k, (name, coded) in enumerate(rows.items())
    ]
    (root / "dataFile_0001.txt").write_text("\n".join(lines) + "\n")


def write_manual(root, text):
    (root / "EmotioNet_FACS_aws_2020_24600.csv").write_text(text)


@pytest.fixture
def root(tmp_path):
    write_image(tmp_path / "images" / "a" / "N_1.jpg", 10)
    write_image(tmp_path / "images" / "b" / "N_2.jpg", 20)
    write_image(tmp_path / "images" / "b" / "N_9.jpg", 90)
    return tmp_path


def test_automatic_labels(root):
    write_automatic(root, {"N_2.jpg": {1: 1, 60: 999}, "N_3.jpg": {}, "N_1.jpg": {}})
    bunch = load_emotionet(root, aus=(60, 1))
    np.testing.assert_array_equal(bunch.target, np.float32([[np.nan, 1], [0, 0]]))
    assert [round(image.mean()) for image in bunch.data] == [20, 10]
    assert bunch.data.columns == ()
    assert bunch.report.without_image == ["N_3.jpg"]
    assert bunch.report.without_label == ["N_9.jpg"]
    assert "labelled automatically" in bunch.DESCR


MANUAL = """\
URL,URL orig,'AU 1','AU 12'
'http://h/N_1.jpg',"http://x/1,2.jpg",1,999
http://h/N_2.jpg,,0,1
"""


def test_manual_labels(root):
    write_manual(root, MANUAL)
    bunch = load_emotionet(root, aus=(12, 1))
    np.testing.assert_array_equal(bunch.target, np.float32([[np.nan, 1], [1, 0]]))
    with pytest.raises(LabelError, match="has no column for AU 2; pass aus="):
        load_emotionet(root, aus=(2, 12))


def test_both_kinds_must_be_chosen_from(root):
    write_manual(root, MANUAL)
    write_automatic(root, {"N_1.jpg": {}})
    with pytest.raises(DatasetError, match="pass subset='manual' or subset='auto"):
        load_emotionet(root)
    assert len(load_emotionet(root, aus=(1,), subset="manual").data) == 2
    assert len(load_emotionet(root, subset="automatic").data) == 1
    with pytest.raises(ValueError, match="subset must be"):
        load_emotionet(root, subset="all")


def test_damaged_labels_are_named_with_file_and_line(root):
    for text, message in {
        MANUAL.replace("0,1\n", "0,7\n"): r"24600.csv, line 3: AU12 is '7'",
        MANUAL.replace(",0,1\n", "\n"): r"line 3: expected 4 cells, got 2",
        MANUAL.replace("N_2", "N_1"): r"line 3: N_1.jpg is labelled already .* line 2",
        MANUAL.replace("N_2.jpg", ""): r"line 3: expected the address of an image",
        MANUAL.replace(
            "'AU 1','AU 12'", "x,y"
        ): r"line 1: expected columns URL, 'AU 1'",
        MANUAL.replace("'AU 12'", "'AU 01'"): r"line 1: AU1 has two columns",
        MANUAL.replace("URL,", "URLS,"): r"line 1: expected columns URL, 'AU 1'",
        MANUAL.replace("http://h/N_2", '"http://h/N_2'): r"line 3: expected 4 cells",
        # The comma of an address without quotes moves the codes.
        MANUAL.replace('"', ""): r"line 2: expected 4 cells, got 5",
        MANUAL.replace("1,999", "1,\0"): r"line 2: holds the control character",
    }.items():
        write_manual(root, text)
        with pytest.raises(LabelError, match=message):
            load_emotionet(root, aus=(1,))


def test_two_images_of_one_name_and_none(root):
    write_manual(root, MANUAL)
    write_image(root / "copy" / "N_1.jpg")
    with pytest.raises(DatasetError, match="have one name; pass images="):
        load_emotionet(root, aus=(1,))
    assert len(load_emotionet(root, aus=(1,), images="images").data) == 2
    (root / "empty").mkdir()
    with pytest.raises(LabelError, match=r"no image in .*empty has a label"):
        load_emotionet(root, aus=(1,), images="empty")
    with pytest.raises(FileNotFoundError, match="looked for dataFile_"):
        load_emotionet(root / "images")


def test_links_in_a_circle_end(root):
    write_manual(root, MANUAL)
    (root / "images" / "a" / "up").symlink_to(root / "images")
    assert len(load_emotionet(root, aus=(1,)).data) == 2


@pytest.mark.filterwarnings("error::skfau.exceptions.DatasetWarning")
def test_an_incomplete_copy_is_told(root):
    write_manual(root, MANUAL + "http://h/N_3.jpg,,0,1\n")
    with pytest.warns(DatasetWarning, match=r"24,600 manual.* this copy 3; 1 labels"):
        load_emotionet(root, aus=(1,))
