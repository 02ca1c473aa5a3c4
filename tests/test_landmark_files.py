"""Landmarks as data sets and tools write them, brought to the rows of their frames."""

import numpy as np
import pytest
from scipy.io import savemat

from skfau.datasets import load_bp4d, load_table
from skfau.exceptions import DatasetError, SeveralFacesWarning
from skfau.facs import to_68
from skfau.preprocessing import FaceAligner
from tests.trees import (
    write_bp4d,
    write_image,
    write_points,
    write_pts,
    write_tool_faces,
    write_tool_points,
)

FRAMES = (1, 2, 3, 4)
several_are_known = pytest.mark.filterwarnings(
    "ignore::skfau.exceptions.SeveralFacesWarning"
)


def load(root, frames=FRAMES, **options):
    """Load a video ``v`` of these frames with its landmarks in ``root``."""
    image = root / "images" / "a.png"
    write_image(image)
    n = len(frames)
    table = {"path": [image] * n, "video": ["v"] * n, "frame": frames, "AU1": [0] * n}
    return load_table(table, landmarks=root, **options)


def first_x(root, *args, **options):
    """Return the first x of each row, None where it has no landmarks."""
    points = load(root, *args, **options).data.landmarks
    return [None if np.isnan(p).all() else float(p[np.isfinite(p)][0]) for p in points]


def test_openface_counts_from_1_and_says_where_it_failed(tmp_path):
    rows = [(1, 10, 0.9, 1), (2, 20, 0.1, 0), (3, 30, 0.5, 1)]
    write_tool_points(tmp_path / "v.csv", rows, ["confidence", "success"])
    assert first_x(tmp_path) == [10, None, 30, None]


def test_py_feat_counts_from_0_and_leaves_cells_empty(tmp_path):
    rows = [(0, 10, 0.9), (1, None, None), (2, 30, 0.8)]
    write_tool_points(tmp_path / "v.csv", rows, ["FaceScore"])
    assert first_x(tmp_path) == [10, None, 30, None]


@pytest.mark.parametrize("first", [0, 1])
def test_the_first_frame_may_be_said(tmp_path, first):
    """Frame 0 of a table from 0 need not be labelled."""
    rows = [(k, 10 * k, 1) for k in range(1, 8)]
    write_tool_points(tmp_path / "v.csv", rows, ["success"])
    expected = [10 * (k + 1 - first) for k in (2, 3)]
    assert first_x(tmp_path, (2, 3), first_frame=first) == expected


def test_frames_before_the_first_are_an_error(tmp_path):
    write_points(tmp_path, "v", [0, 1])
    with pytest.raises(DatasetError, match="has a frame 0, but first_frame=1"):
        load(tmp_path, (0, 1), first_frame=1)
    with pytest.raises(ValueError, match="first_frame must be 'auto', 0 or 1, got 2"):
        load(tmp_path, (0, 1), first_frame=2)


@pytest.mark.filterwarnings("ignore:BP4D has")
def test_tools_take_images_by_name(tmp_path):
    write_bp4d(tmp_path, "F001_T1", (9, 10, 11), {k: {1: 0} for k in (9, 10, 11)})
    path = tmp_path / "points" / "F001_T1.csv"
    path.parent.mkdir()
    options = {"aus": (1,), "landmarks": "points", "index": None, "first_frame": 1}
    rows = [(k, 10 * k, 0.9, 1) for k in (1, 2, 3)]
    write_tool_points(path, rows, ["confidence", "success"])
    faces = load_bp4d(tmp_path, **options).data
    # 10.jpg, 11.jpg, 9.jpg.
    assert faces.landmarks[:, 0, 0].tolist() == [30, 10, 20]
    write_tool_points(path, rows[:2], ["confidence", "success"])
    with pytest.raises(DatasetError, match=r"holds 2 frames, the folder 3 images"):
        load_bp4d(tmp_path, **options)


def test_tool_files_that_do_not_tell_are_an_error(tmp_path):
    path = tmp_path / "v.csv"
    write_tool_points(path, [(5, 10, 0.9, 1)], ["confidence", "success"])
    with pytest.raises(DatasetError, match="begins with frame 5; expected 1"):
        load(tmp_path)
    write_tool_points(path, [(1, 10, 0.9)], ["FaceScore"])
    with pytest.raises(DatasetError, match="does not tell whether frames count from"):
        load(tmp_path)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(DatasetError, match=r"v.csv, line 2: expected a frame and 68"):
        load(tmp_path)
    path.write_text("face, x_0, y_0\n0, 1, 2\n")
    with pytest.raises(DatasetError, match=r"v.csv has 1 points a face"):
        load(tmp_path)
    write_tool_faces(path, [(1, 10, 1)])
    path.write_text(path.read_text().replace("frame", "face"))
    with pytest.raises(DatasetError, match=r"there is no column 'frame', so it is of"):
        load(tmp_path)


@pytest.mark.parametrize("frame", ["1.5", "-1", "nan"])
def test_tools_number_frames_by_whole_numbers(tmp_path, frame):
    write_tool_points(tmp_path / "v.csv", [(frame, 10, 1)], ["success"])
    with pytest.raises(DatasetError, match=r"v.csv, line 2: expected a frame and 68"):
        load(tmp_path)


@pytest.mark.parametrize(
    "cell", ["nan", "-nan(ind)", "1.#QNAN", "-1.#IND00", "1.#INF", "-inf", ""]
)
def test_numbers_that_are_none_leave_a_point_unknown(tmp_path, cell):
    path = tmp_path / "v.csv"
    write_tool_faces(path, [(1, 10, 1)])
    path.write_text(path.read_text().replace(", 12,", f", {cell},", 1))
    points = load(tmp_path).data.landmarks[0]
    assert np.flatnonzero(np.isnan(points).all(axis=1)).tolist() == [2]
    assert points[3, 0] == 13


def test_plain_tables_know_the_nan_of_windows(tmp_path):
    write_points(tmp_path, "v", [2, 3])
    path = tmp_path / "v.csv"
    path.write_text(path.read_text().replace(",7.00", ",-nan(ind)"))
    points = load(tmp_path).data.landmarks
    assert np.isnan(points).any(axis=(1, 2)).tolist() == [True] * 4
    assert np.isnan(points).sum(axis=(1, 2)).tolist() == [136, 2, 2, 136]


def of_68(n_points):
    """Return what the 68 points are of points (k, k)."""
    return to_68(np.arange(n_points)[:, None] * np.ones(2))


@pytest.mark.parametrize("n_points", [49, 51, 66, 68, 98, 468, 478])
def test_layouts_are_told_by_their_number_of_points(tmp_path, n_points):
    names = ",".join(f"x_{k},y_{k},z_{k}" for k in range(n_points))
    cells = ",".join(f"{k},{k},9" for k in range(n_points))
    (tmp_path / "v.csv").write_text(f"frame,{names}\n0,{cells}\n")
    points = load(tmp_path, (1, 2)).data.landmarks[0]
    np.testing.assert_array_equal(points, of_68(n_points))
    if n_points > 98:
        # Outer corners of the eyes, tip of the nose and corners of the mouth.
        assert points[[36, 45, 30, 48, 54], 0].tolist() == [33, 263, 4, 61, 291]


def test_points_in_shares_of_the_image_are_an_error(tmp_path):
    points = np.random.default_rng(0).random(2 * 478).round(4)
    (tmp_path / "v.csv").write_text(f"1,{','.join(map(str, points))}\n")
    with pytest.raises(DatasetError, match=r"v.csv has points in shares .* by its wid"):
        load(tmp_path)


@pytest.mark.parametrize("n_points", [21, 67, 97, 106])
def test_other_numbers_of_points_are_an_error(tmp_path, n_points):
    write_tool_faces(tmp_path / "v.csv", [(1, 10, 1)], n_points=n_points)
    with pytest.raises(DatasetError, match=rf"v.csv has {n_points} points a face"):
        load(tmp_path)
    write_points(tmp_path, "v", [1], n_points)
    with pytest.raises(DatasetError, match=rf"got {2 * n_points + 1} columns"):
        load(tmp_path)
    (tmp_path / "v.csv").unlink()
    write_pts(tmp_path / "v" / "1.pts", np.ones((n_points, 2)))
    with pytest.raises(DatasetError, match=rf"1.pts has {n_points} points, expected"):
        load(tmp_path)


def test_a_point_without_a_coordinate_is_named(tmp_path):
    path = tmp_path / "v.csv"
    write_tool_faces(path, [(1, 10, 1)])
    path.write_text(path.read_text().replace("y_7,", "y7,"))
    with pytest.raises(DatasetError, match=r"line 1: .* of point 7 a column lacks"):
        load(tmp_path)


@pytest.mark.parametrize("n_points", [49, 51, 66, 68, 478])
def test_plain_tables_of_any_layout(tmp_path, n_points):
    write_points(tmp_path, "v", [2, 4, 9], n_points)
    assert first_x(tmp_path)[0] is None and first_x(tmp_path)[2] is None
    values = 4 + np.arange(2 * n_points).reshape(-1, 2)
    points = load(tmp_path).data.landmarks
    np.testing.assert_array_equal(points[3], to_68(values))


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
            load(tmp_path)


def test_plain_tables_may_name_their_columns(tmp_path):
    write_points(tmp_path, "v", [2, 3])
    path = tmp_path / "v.csv"
    bare = load(tmp_path).data.landmarks
    names = ",".join(f"x{k},y{k}" for k in range(1, 69))
    path.write_text(f"frame,{names}\n{path.read_text()}")
    np.testing.assert_array_equal(load(tmp_path).data.landmarks, bare)


def test_tracked_points_in_either_matlab_format(tmp_path):
    pred = np.empty((1, 4), object)
    pred[:] = [[np.full((2, 49), 1.0), np.empty((0, 0)), np.full((2, 49), 3.0), 0]]
    savemat(tmp_path / "v.mat", {"fit": {"pred": pred}})
    assert first_x(tmp_path) == [1, None, 3, None]
    assert load(tmp_path).data.landmarks[2, 17, 0] == 3
    (tmp_path / "v.mat").write_bytes(b"MATLAB 5.0 and nothing else")
    with pytest.raises(DatasetError, match=r"v.mat is not a MATLAB file with the var"):
        load(tmp_path)
    (tmp_path / "v.mat").write_bytes(b"nothing")
    pytest.importorskip("h5py")
    with pytest.raises(DatasetError, match=r"v.mat does not hold tracked points"):
        load(tmp_path)


def test_a_folder_of_a_recording_may_hold_one_more(tmp_path):
    points = np.arange(136.0).reshape(68, 2)
    write_pts(tmp_path / "v" / "annot" / "000003.pts", points)
    (tmp_path / "v" / ".cache").mkdir()
    np.testing.assert_array_equal(load(tmp_path).data.landmarks[2], points)
    (tmp_path / "v" / "two").mkdir()
    with pytest.raises(DatasetError, match=r"several folders \(annot, two, \.\.\.\)"):
        load(tmp_path)


def test_ibug_counts_pixels_from_1(tmp_path):
    """(1, 1) is the top-left pixel of MATLAB, and (0, 0) here."""
    path = tmp_path / "v" / "frame_2.pts"
    path.parent.mkdir()
    rows = "".join(f"{k + 1}.0 1.5\n" for k in range(68))
    path.write_text(f"version: 1\nn_points:  68\n{{\n{rows}}}\n")
    points = load(tmp_path).data.landmarks[1]
    np.testing.assert_array_equal(points[:, 0], np.arange(68))
    assert (points[:, 1] == 0.5).all()


def test_points_of_single_images_need_no_video(tmp_path):
    for folder in ("a", "b"):
        write_image(tmp_path / folder / "face.one.jpg")
        write_pts(tmp_path / folder / "face.one.pts", np.full((68, 2), ord(folder)))
    write_image(tmp_path / "bare.png")
    paths = ["a/face.one.jpg", "b/face.one.jpg", "bare.png"]
    table = {"path": paths, "AU1": [0, 1, 0]}
    bunch = load_table(table, root=tmp_path, landmarks=tmp_path)
    assert bunch.data.landmarks[:2, 0, 0].tolist() == [97, 98]
    assert bunch.report.without_landmarks.tolist() == [2]
    (tmp_path / "points").mkdir()
    (tmp_path / "a" / "face.one.pts").rename(tmp_path / "points" / "face.one.pts")
    with pytest.raises(DatasetError, match=r"would be the points of .*a.face.* and of"):
        load_table(table, root=tmp_path, landmarks="points")


def test_damaged_pts_are_named(tmp_path):
    path = tmp_path / "v" / "1.pts"
    write_pts(path, np.ones((68, 2)))
    whole = path.read_text()
    for text, message in {
        whole[:-2]: r"1.pts must hold lines 'x y' between '\{' and '\}'",
        whole.replace("{\n2.0 2.0\n", "{\n"): r"must hold 68 points, .* got 67",
        whole.replace("{\n2.0 2.0", "{\n2.0 2.0 2.0"): r"inhomogeneous",
        whole.replace("2.0 2.0", "2.0 x", 1): r"could not convert .* 'x'",
    }.items():
        path.write_text(text)
        with pytest.raises(DatasetError, match=message):
            load(tmp_path)
    path.write_text(whole)
    write_pts(path.with_name("a1.pts"), np.ones((68, 2)))
    with pytest.raises(DatasetError, match=r"the points of frame 1 twice: "):
        load(tmp_path)
    path.with_name("a1.pts").unlink()
    write_pts(path.with_name("2.pts"), np.ones((49, 2)))
    with pytest.raises(DatasetError, match=r"differ in their number of points: \[49"):
        load(tmp_path)


def test_landmarks_that_are_nowhere_are_an_error(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((4, 68, 2)))
    with pytest.raises(
        DatasetError, match=r"no row .* looked for a file v.csv .* holds images, v.npy"
    ):
        load(tmp_path)
    write_points(tmp_path, "v", [8, 9])
    with pytest.raises(DatasetError, match="no row of the table has landmarks"):
        load(tmp_path)


def test_a_named_folder_without_a_recording_is_an_error_for_data_sets(tmp_path):
    write_bp4d(tmp_path, "F001_T1", (1, 2), {k: {1: 0} for k in (1, 2)})
    write_points(tmp_path / "points", "F001T1", [1, 2])
    with pytest.raises(DatasetError, match=r"named as F001_T1.csv, or pass landmarks"):
        load_bp4d(tmp_path, aus=(1,), landmarks="points", index=None)


FIVE = np.float32([(20, 30), (40, 30), (30, 41), (22, 50), (38, 50)])


def write_five(root, faces):
    rows = [[k, *np.ravel(points)] for k, points in enumerate(faces, 1)]
    np.savetxt(root / "v.csv", rows, delimiter=",")


def test_five_points_align(tmp_path):
    """Eyes, nose and mouth of a face twice as large come to the same place."""
    write_five(tmp_path, [FIVE, 2 * FIVE + 3, np.full((5, 2), np.nan)])
    faces = load(tmp_path, (1, 2, 3)).data
    faces = faces.with_images(np.zeros((3, 120, 120, 3), np.uint8))
    np.testing.assert_array_equal(faces.column("five_points")[0], FIVE)
    aligner = FaceAligner(output_size=100, on_missing="warn")
    with pytest.warns(UserWarning, match="1 of 3 faces were not aligned .*row 2: no"):
        aligned = aligner.fit_transform(faces)
    moved = aligned.column("five_points")
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-3)
    np.testing.assert_allclose(aligned.landmarks[:2, [30, 48, 54]], moved[:2, 2:])
    known = np.isfinite(aligned.landmarks).all(axis=2).sum(axis=1)
    assert known.tolist() == [3, 3, 0]
    # Where FaceAligner brings the same five of 68 points.
    full = np.full((68, 2), np.nan, np.float32)
    full[36:42], full[42:48] = FIVE[0], FIVE[1]
    full[[30, 48, 54]] = FIVE[2:]
    whole = faces[:1].with_columns(landmarks=full[None], five_points=None)
    np.testing.assert_allclose(
        aligner.fit_transform(whole).column("matrix")[0], aligned.column("matrix")[0]
    )


def test_five_points_in_another_order_are_an_error(tmp_path):
    write_five(tmp_path, [FIVE[[1, 0, 2, 4, 3]]] * 3)
    with pytest.raises(DatasetError, match="5 points a face in another order than"):
        load(tmp_path)


def test_five_points_are_too_few_for_data_sets(tmp_path):
    write_bp4d(tmp_path, "F001_T1", (1, 2), {k: {1: 0} for k in (1, 2)})
    write_points(tmp_path / "points", "F001_T1", [1, 2], 5)
    with pytest.raises(DatasetError, match=r"F001_T1.csv has 5 points a face, too few"):
        load_bp4d(tmp_path, aus=(1,), landmarks="points", index=None)


def test_rows_follow_one_person(tmp_path):
    """Tools are as sure of the one as of the other, and write them in any order."""
    rows = [(1, 50, 0.98, 1), (1, 150, 0.93, 1)]
    rows += [(2, 152, 0.98, 1), (2, 54, 0.93, 1)]
    rows += [(3, 58, 0.93, 1), (3, 148, 0.98, 1), (3, 300, 0.99, 1)]
    # Only the other is seen, then only this one.
    rows += [(4, 150, 0.98, 1), (5, 66, 0.98, 1), (6, 70, 0.98, 1)]
    write_tool_faces(tmp_path / "v.csv", rows, ("confidence", "success"))
    with pytest.warns(SeveralFacesWarning, match="in 3 of 7 rows .* one person") as w:
        bunch = load(tmp_path, (1, 2, 3, 4, 5, 6, 7))
    assert w[0].filename == __file__
    assert bunch.data.landmarks[:3, 0, 0].tolist() == [50, 54, 58]
    assert np.isnan(bunch.data.landmarks[3]).all()
    assert bunch.data.landmarks[4:6, 0, 0].tolist() == [66, 70]
    assert bunch.report.several_faces.tolist() == [0, 1, 2]
    assert bunch.report.videos["v"].several_faces.tolist() == [1, 2, 3]


@several_are_known
@pytest.mark.parametrize("seed", range(5))
def test_who_is_followed_does_not_depend_on_the_order_of_lines(tmp_path, seed):
    """Three people walk; one is seen in all frames but for a few."""
    rng = np.random.default_rng(seed)
    frames = range(1, 21)
    steps = np.array([100, 500, 900]) + rng.uniform(-12, 12, (20, 3)).cumsum(axis=0)
    seen = rng.random((20, 3)) < (0.95, 0.6, 0.6)
    seen[0] = True
    rows = [
        (k, round(x, 3), 1)
        for k, places, there in zip(frames, steps, seen, strict=True)
        for x in rng.permutation(places[there])
    ]
    rows += [(k, 0, 0) for k in frames if not seen[k - 1].any()]
    write_tool_faces(tmp_path / "v.csv", rows)
    bunch = load(tmp_path, frames)
    expected = np.where(seen[:, 0], steps[:, 0], np.nan)
    np.testing.assert_allclose(bunch.data.landmarks[:, 0, 0], expected, atol=1e-3)
    crowded = np.flatnonzero(seen.sum(axis=1) > 1)
    assert bunch.report.several_faces.tolist() == crowded.tolist()


@several_are_known
def test_the_person_is_the_one_with_most_of_the_pixels(tmp_path):
    """A false face in the background is seen in most frames, too."""
    path = tmp_path / "v.csv"
    write_tool_faces(path, [(k, 50, 1) for k in (1, 2, 3)])
    near = path.read_text()
    write_tool_faces(path, [(k, 200, 1) for k in (1, 2, 3)], n_points=68)
    lines = path.read_text().splitlines()[1:]
    small = [
        ", ".join(
            [*line.split(", ")[:2], *(str(float(c) / 9) for c in line.split(", ")[2:])]
        )
        for line in lines
    ]
    path.write_text(near.splitlines()[0] + "\n" + "\n".join(small) + "\n")
    path.write_text(path.read_text() + "\n".join(near.splitlines()[1:]) + "\n")
    assert load(tmp_path).data.landmarks[:3, 0, 0].tolist() == [50, 50, 50]


def test_a_lone_face_may_be_anywhere(tmp_path):
    """Where no frame has two faces a jump is a cut or a fast head, not another."""
    rows = [(1, 10, 1), (2, 200, 1), (3, 400, 1)]
    write_tool_faces(tmp_path / "v.csv", rows)
    bunch = load(tmp_path)
    assert bunch.data.landmarks[:3, 0, 0].tolist() == [10, 200, 400]
    assert bunch.report.several_faces.tolist() == []


def test_lost_faces_are_not_counted(tmp_path):
    write_tool_faces(tmp_path / "v.csv", [(1, 50, 1), (1, 150, 0), (2, 150, 0)])
    bunch = load(tmp_path)
    assert bunch.data.landmarks[0, 0, 0] == 50
    assert bunch.report.several_faces.tolist() == []


@pytest.mark.filterwarnings("ignore:BP4D has")
def test_data_sets_report_frames_with_several_faces(tmp_path):
    write_bp4d(tmp_path, "F001_T1", (1, 2, 3), {k: {1: 0} for k in (1, 2, 3)})
    (tmp_path / "points").mkdir()
    rows = [(1, 50, 1), (2, 150, 1), (2, 52, 1), (3, 54, 1)]
    write_tool_faces(tmp_path / "points" / "F001_T1.csv", rows)
    bunch = load_bp4d(tmp_path, aus=(1,), landmarks="points", index=None)
    assert bunch.report.videos["F001_T1"].several_faces.tolist() == [2]
    assert bunch.data.landmarks[:, 0, 0].tolist() == [50, 52, 54]
