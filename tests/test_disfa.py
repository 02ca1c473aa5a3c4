"""DISFA's folders: image i belongs to label line i + 1."""

import os
import warnings

import numpy as np
import pytest
from scipy.io import savemat

from skfau.datasets import load_disfa
from skfau.exceptions import (
    DatasetError,
    DatasetWarning,
    FaceImageError,
    LabelError,
)
from tests.trees import write_disfa, write_image, write_tool_points, write_video

pytestmark = pytest.mark.filterwarnings("ignore::skfau.exceptions.DatasetWarning")

LEVELS = [0, 5, 1, 4, 2, 3]  # moves at every frame
GREYS = [40 * level for level in LEVELS]


@pytest.fixture
def root(tmp_path):
    """Labels of one subject whose intensity is also in the images."""
    write_disfa(tmp_path, "SN001", {12: LEVELS, 4: [0] * 6})
    return tmp_path


def shown(faces):
    """Read the intensity off the pixels."""
    return [round(float(image.mean()) / 40) for image in faces]


def test_frame_i_of_a_video_belongs_to_label_line_i_plus_1(root):
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", GREYS)
    bunch = load_disfa(root, aus=(12, 4))
    assert shown(bunch.data) == LEVELS == bunch.intensity[:, 0].tolist()
    assert bunch.target[:, 0].tolist() == [0, 1, 0, 1, 1, 1]
    assert bunch.data.frame.tolist() == [1, 2, 3, 4, 5, 6]
    assert shown(bunch.data[[0, 1, 5]].neighbors(1)) == [5, 1, 3]
    assert load_disfa(root, aus=(12,), threshold=5).target.sum() == 1
    with pytest.raises(ValueError, match="at most 5; got 6"):
        load_disfa(root, threshold=6)


@pytest.mark.parametrize(
    "name",
    ["SN001/{}.png", "Images/SN001/frame_{:05d}.png", "LeftVideoSN001_comp/{:03d}.png"],
)
@pytest.mark.parametrize("first", [0, 1])
def test_images_from_0_or_from_1(root, name, first):
    for k, grey in enumerate(GREYS):
        write_image(root / name.format(k + first), grey)
    bunch = load_disfa(root, aus=(12,))
    assert shown(bunch.data) == LEVELS == bunch.intensity[:, 0].tolist()


def test_images_that_do_not_tell_are_an_error(root):
    for k, grey in list(enumerate(GREYS))[1:]:
        write_image(root / f"SN001/{k}.png", grey)
    with pytest.raises(DatasetError, match="Pass first_frame=0 if image i shows"):
        load_disfa(root, aus=(12,))
    bunch = load_disfa(root, aus=(12,), first_frame=0)
    assert shown(bunch.data) == LEVELS[1:] == bunch.intensity[:, 0].tolist()
    assert bunch.report.videos["SN001"].without_image.tolist() == [1]


@pytest.mark.parametrize("n_spare", [1, 6])
def test_a_video_of_another_frame_rate_is_told(root, n_spare):
    """Twice the frames: each label but the first would belong to another one."""
    greys = sorted(GREYS + GREYS[:n_spare])
    write_video(root / "LeftVideoSN001_comp.avi", greys)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bunch = load_disfa(root, aus=(12,))
    told = "SN001 have more images than labels" in str(caught[0].message)
    assert told == (n_spare > 1)
    assert bunch.report.deviating[0] == "SN001" or n_spare == 1


def test_the_camera_and_the_copy_can_be_chosen(root):
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", GREYS)
    write_video(root / "Videos_RightCamera" / "RightVideoSN001_comp.avi", GREYS[::-1])
    assert shown(load_disfa(root, aus=(12,)).data) == LEVELS
    assert shown(load_disfa(root, aus=(12,), camera="right").data) == LEVELS[::-1]
    for k in range(6):
        write_image(root / "faces" / "SN001" / f"{k}.png", 80)
    with pytest.raises(DatasetError, match="say which with images=FOLDER"):
        load_disfa(root, aus=(12,))
    assert shown(load_disfa(root, aus=(12,), images="faces").data) == [2] * 6
    with pytest.raises(ValueError, match="camera must be 'left' or 'right'"):
        load_disfa(root, camera="top")
    with pytest.raises(FileNotFoundError, match="pass images=FOLDER"):
        load_disfa(root, images="nowhere")


def test_damaged_labels_are_named_with_file_and_line(root):
    write_video(root / "v" / "LeftVideoSN001_comp.avi", GREYS)
    path = root / "ActionUnit_Labels" / "SN001" / "SN001_au12.txt"
    whole = path.read_text()
    for text, message in {
        whole.replace("4,4", "4,7"): r"au12.txt, line 4: AU12 is 7, expected 0 to 5",
        whole[:-3]: r"line 6: .* got 1 cells in '6'; the file may be truncated",
        whole[:-4]: r"SN001_au12.txt and SN001_au4.txt must code the same.* 1 frames",
        whole.replace(",", ";"): r"line 1: .* Is it separated by semicolons\?",
        whole.replace("3,1", "2,1"): r"line 3: frame 2 is in line 2 already",
        whole.replace("3,1", "3,\0"): r"line 3: holds the control character",
        whole.replace("3,1", "3,1.5"): r"line 3: .* the cell '1.5'",
    }.items():
        path.write_text(text)
        with pytest.raises(LabelError, match=message):
            load_disfa(root, aus=(12,))
    path.write_text(whole)
    with pytest.raises(LabelError, match="has no file for AU 25, 26; pass aus="):
        load_disfa(root, aus=(12, 25, 26))
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(LabelError, match="cannot be read: Too many levels"):
        load_disfa(root, aus=(12,))


def write_frame_points(folder, names):
    folder.mkdir(parents=True)
    for k, name in enumerate(names):
        savemat(folder / name, {"pts": np.full((66, 2), float(k))})


@pytest.mark.parametrize(
    "names",
    [
        [f"SN001_{k:04d}_lm.mat" for k in range(6)],
        [f"l{k:05d}_lm.mat" for k in range(1, 7)],
        [f"l{k:05d}_lm.mat" for k in range(6)],
    ],
)
def test_landmarks_of_a_file_per_frame(root, names):
    write_video(root / "v" / "LeftVideoSN001_comp.avi", GREYS)
    write_frame_points(root / "Landmark_Points" / "SN001" / "tmp_frame_lm", names)
    (root / "Landmark_Points" / "SN001" / "tmp_frame_lm" / names[3]).unlink()
    bunch = load_disfa(root, aus=(12,))
    assert bunch.data.landmarks[:, 0, 0].tolist()[4:] == [4, 5]
    assert np.isnan(bunch.data.landmarks[3]).all()
    assert np.isnan(bunch.data.landmarks[:, [60, 64]]).all()
    assert bunch.report.videos["SN001"].without_landmarks.tolist() == [4]


def test_landmark_files_that_do_not_tell_are_an_error(root):
    write_video(root / "v" / "LeftVideoSN001_comp.avi", GREYS)
    names = [f"l{k:05d}_lm.mat" for k in range(2, 5)]
    write_frame_points(root / "Landmark_Points" / "SN001", names)
    with pytest.raises(DatasetError, match=r"numbered 2 to 4.*Pass landmarks=None"):
        load_disfa(root, aus=(12,))
    assert load_disfa(root, aus=(12,), landmarks=None).data.landmarks is None


@pytest.mark.filterwarnings("error::skfau.exceptions.DatasetWarning")
def test_a_deviating_copy_names_its_subjects(root):
    write_video(root / "v" / "LeftVideoSN001_comp.avi", GREYS[:5])
    with pytest.warns(DatasetWarning, match=r"130,814 .* this copy 5: SN002, .*SN001"):
        bunch = load_disfa(root, aus=(12,))
    assert len(bunch.report.deviating) == 27


def test_label_files_in_a_wrong_folder_or_twice_are_an_error(root):
    write_video(root / "v" / "LeftVideoSN001_comp.avi", GREYS)
    folder = root / "ActionUnit_Labels" / "SN001"
    (folder / "SN001_AU012.txt").write_text("1,0\n")
    with pytest.raises(DatasetError, match=r"and SN001_au12.txt both code AU12"):
        load_disfa(root, aus=(12,))
    (folder / "SN001_AU012.txt").rename(folder / "SN002_au12.txt")
    with pytest.raises(DatasetError, match=r"SN002_au12.txt is of another subject"):
        load_disfa(root, aus=(12,))


def test_labels_that_count_from_0_are_an_error(root):
    write_video(root / "v" / "LeftVideoSN001_comp.avi", GREYS)
    write_disfa(root, "SN001", {12: LEVELS, 4: [0] * 6}, first=0)
    with pytest.raises(LabelError, match=r"au4.txt, line 1: frame 0, expected 1 to"):
        load_disfa(root, aus=(12,))


def test_two_cameras_in_a_folder_are_an_error_and_hidden_files_nothing(root):
    for k, grey in enumerate(GREYS):
        write_image(root / "SN001" / f"left_{k}.png", grey)
        (root / "SN001" / f"._left_{k}.png").write_bytes(b"")
    (root / "SN001" / "cover1.png").write_bytes(b"")
    bunch = load_disfa(root, aus=(12,))
    assert shown(bunch.data) == LEVELS
    assert [path.name for path in bunch.report.unread_files] == ["cover1.png"]
    for k in range(4):
        write_image(root / "SN001" / f"right_{k}.png")
    with pytest.raises(FaceImageError, match=r"6 images left_... and 4 images right_"):
        load_disfa(root, aus=(12,))


def test_names_without_a_frame_number_are_told(root):
    write_image(root / "SN001" / "20160101123456.png")
    with pytest.raises(LabelError, match=r"No frame number is in 20160101123456.png"):
        load_disfa(root, aus=(12,), first_frame=1)


def test_points_of_tools_follow_the_images_even_if_the_first_is_missing(root):
    write_disfa(root, "SN002", {12: LEVELS, 4: [0] * 6})
    for name, numbers in {"SN001": range(6), "SN002": range(1, 6)}.items():
        for k in numbers:
            write_image(root / "img" / name / f"{k}.png", GREYS[k])
        (root / "landmarks68").mkdir(exist_ok=True)
        rows = [(k, 100 + number, 1) for k, number in enumerate(numbers, 1)]
        write_tool_points(root / "landmarks68" / f"{name}.csv", rows, ["success"])
    faces = load_disfa(root, aus=(12,)).data
    assert faces.frame.tolist() == [1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6]
    assert (faces.landmarks[:, 0, 0] == 99 + faces.frame).all()


def test_a_video_that_was_replaced_in_its_folder_is_noticed(root, tmp_path):
    path = root / "v" / "SN001" / "a.avi"
    write_video(path, GREYS)
    for place in (root, *root.rglob("*")):
        os.utime(place, (1e9, 1e9))
    index = tmp_path / "index.npz"
    assert shown(load_disfa(root, aus=(12,), index=index).data) == LEVELS
    write_video(tmp_path / "b.avi", GREYS[:4])
    path.write_bytes((tmp_path / "b.avi").read_bytes())
    with pytest.raises(DatasetError, match=r"a.avi has 4 frames and had 6 when its"):
        load_disfa(root, aus=(12,), index=index)
    assert shown(load_disfa(root, aus=(12,), index=None).data) == LEVELS[:4]
