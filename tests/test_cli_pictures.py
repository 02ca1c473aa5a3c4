"""What ``predict`` draws, from files and from a camera."""

import gc
import sys
import weakref
from itertools import count

import cv2
import numpy as np
import pytest

from skfau import Faces
from skfau.cli import _frames, _overlay, _search
from skfau.cli._marks import hides_faces, mark_faces
from skfau.inspection import AUTimelineDisplay
from tests.cli_folder import AUS, make_folder, numbers, runner, write_film


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    return runner("predict", tmp_path / "aus.csv")


@pytest.fixture
def camera(folder, monkeypatch):
    """Put a video in the place of the first camera."""
    real = _frames.open_video

    def opened(number):
        assert number == 0
        return real(str(folder / "film.avi"))

    for module in ("_frames", "_camera"):
        monkeypatch.setattr(f"skfau.cli.{module}.open_camera", opened)
    clock = count()
    monkeypatch.setattr(_frames, "perf_counter", lambda: next(clock) / 25)


def read(path):
    return Faces.from_videos([path])


def test_the_overlay_of_a_video_has_its_frames_and_differs_at_the_faces(run, tmp_path):
    code, rows = run("film.avi", "--overlay", str(tmp_path / "marked.mp4"))
    marked, film = read(tmp_path / "marked.mp4"), read("film.avi")
    assert code == 0
    assert len(marked) == len(film)
    np.testing.assert_allclose(marked.column("time"), film.column("time"), atol=1e-3)
    # Small images are enlarged.
    assert marked.image_shape == (520, 1040)
    changed = np.abs(marked.images[9][::2, ::2].astype(int) - film.images[9]).mean(
        axis=2
    )
    left, top, right, bottom = numbers(
        rows[-1:], [f"box_{side}" for side in ("left", "top", "right", "bottom")]
    )[0].astype(int)
    face = changed[top : bottom + 1, left : right + 1]
    assert face.mean() > 3 * changed[:, 400:].mean()


def test_a_thinned_overlay_takes_as_long_as_the_video(run, tmp_path):
    run("film.avi", "--every", "0.1", "--overlay", str(tmp_path / "marked.avi"))
    times = read(tmp_path / "marked.avi").column("time")
    np.testing.assert_allclose(times, [0.0, 0.1, 0.2, 0.3], atol=1e-3)


def test_overlays_of_a_folder_are_a_folder(run, tmp_path):
    code, _ = run("media", "film.avi", "--overlay", str(tmp_path / "marked"))
    names = sorted(path.name for path in (tmp_path / "marked").iterdir())
    assert code == 0
    assert names == ["face.png", "film-2.mp4", "film.mp4", "none.png"]
    # Nothing is drawn where there is no face.
    nothing = cv2.imread(str(tmp_path / "marked/none.png"))
    assert nothing.shape == (512, 512, 3) and not nothing.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["media", "--overlay", "all.mp4"], "is one file, for one video; for others"),
        (["film.avi", "--overlay", "film.png"], "is one file, for one image"),
        (["film.avi", "--overlay", "film.avi"], "--overlay would replace film.avi"),
        (["film.avi", "--overlay", "no/such/folder"], "No such file or directory"),
        (["film.avi", "--camera", "0"], "needs either paths or --camera"),
        ([], "needs either paths or --camera"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is_searched(
    run, capsys, arguments, message
):
    assert run(*arguments) == (1, [])
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_an_overlay_that_is_not_whole_is_an_error_and_the_table_is_kept(
    run, tmp_path, monkeypatch, capsys
):
    class FullDisk:
        """OpenCV's writer says nothing of a disk that takes no more."""

        def isOpened(self):
            return True

        def write(self, image):
            pass

        def release(self):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(_overlay.cv2, "VideoWriter", lambda *arguments: FullDisk())
        code, rows = run("film.avi", "--overlay", str(tmp_path / "marked.mp4"))
    assert code == 1
    assert "of 10 frames); is the disk full?" in capsys.readouterr().err
    assert len(rows) == 17
    # The same command needs no search to draw what is missing.
    assert run("film.avi", "--overlay", str(tmp_path / "marked.mp4"))[0] == 0
    assert "(searched 0.0 a second)" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"aus.csv", "marked.mp4"}


def test_marks_leave_the_image_as_it_is_and_need_no_values():
    image = np.zeros((500, 700, 3), np.uint8)
    rows = {
        "person": np.array([0, 1]),
        "box": np.array([[-20, 30, 90, 140], [400, 300, 690, 499.0]]),
        "landmarks": np.full((2, 68, 2), np.nan),
    }
    values = np.array([[np.nan] * 2, [5.0, np.nan]])
    marked = mark_faces(image, rows, values, 5.0, values > 2, (1, 12))
    assert not image.any() and marked.shape == image.shape
    assert (marked == (86, 180, 233)).all(axis=2).sum() > 60 * 8


def one_face(box):
    landmarks = np.full((1, 68, 2), np.nan)
    return {"person": np.zeros(1, int), "box": np.array([box]), "landmarks": landmarks}


@pytest.mark.parametrize(
    ("size", "box", "hides"),
    [
        ((720, 1280), [200.0, 100, 800, 700], False),
        ((720, 720), [60.0, 60, 660, 660], True),
        ((1280, 720), [20.0, 20, 700, 700], False),
        ((900, 720), [20.0, 100, 700, 780], True),
    ],
)
def test_bars_go_beside_the_picture_where_a_face_leaves_no_room(size, box, hides):
    aus, values = tuple(range(1, 19)), np.full((1, 18), 0.5)
    image = np.full((*size, 3), 50, np.uint8)
    assert hides_faces(image.shape, one_face(box), values, aus) == hides
    marks = one_face(box), values, 1.0, values > 0, aus
    assert mark_faces(image, *marks).shape == image.shape
    wide = mark_faces(image, *marks, strip=True)
    assert wide.shape[0] == size[0] and wide.shape[1] > size[1]
    # Inside the box nothing is drawn: there are no points.
    left, top, right, bottom = (round(side) for side in box)
    inside = wide[top + 3 : bottom - 3, left + 3 : right - 3]
    assert (inside == 50).all() and wide[:, size[1] :].any()


def test_a_strip_is_as_wide_for_any_number_of_faces():
    aus = tuple(range(1, 19))
    image = np.zeros((481, 481, 3), np.uint8)
    widths = set()
    for n in range(4):
        rows = {
            "person": np.arange(n),
            "box": np.full((n, 4), [10.0, 10, 300, 300]).reshape(n, 4),
            "landmarks": np.full((n, 68, 2), np.nan),
        }
        values = np.full((n, 18), 0.5)
        widths.add(mark_faces(image, rows, values, 1.0, values > 1, aus, True).shape)
    assert len(widths) == 1 and widths.pop()[1] % 2 == 0


def test_a_timeline_is_in_seconds_where_they_are_known(run, tmp_path, monkeypatch):
    seen, draw = [], AUTimelineDisplay.from_predictions

    def drawn(*arguments, **options):
        seen.append((options["frames"], draw(*arguments, **options)))
        return seen[-1][1]

    monkeypatch.setattr(AUTimelineDisplay, "from_predictions", drawn)
    code, _ = run("film.avi", "--plot", "-o", str(tmp_path / "film.csv"))
    assert code == 0
    # The name of the video is there once.
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "film-person0.png",
        "film-person1.png",
    }
    times, display = max(seen, key=lambda each: len(each[0]))
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-3)
    assert display.ax_.get_xlabel() == "seconds"


def test_a_timeline_per_video_and_person(run, tmp_path, capsys):
    code, _ = run("film.avi", "media", "--plot")
    names = {path.name for path in tmp_path.glob("*.png")}
    assert code == 0
    assert names == {
        f"aus-{film}-person{person}.png"
        for film in ("film", "film-2")
        for person in (0, 1)
    }
    said = capsys.readouterr().out
    assert all(f"wrote {tmp_path / name}" in said for name in names)


def test_no_timeline_is_drawn_of_images_and_that_is_said(run, tmp_path, capsys):
    code, _ = run("media/face.png", "--plot")
    assert code == 0
    assert not list(tmp_path.glob("*.png"))
    assert "--plot drew nothing" in capsys.readouterr().out


def test_a_camera_is_watched_until_it_ends(run, camera, tmp_path):
    code, rows = run("--camera", "0", "--overlay", str(tmp_path / "live.mp4"))
    assert code == 0
    assert len({row["path"] for row in rows}) == 1
    assert rows[0]["path"].startswith("camera 0 2")
    assert sorted({int(row["frame"]) for row in rows}) == list(range(10))
    times = numbers(rows, ["time"])[:, 0]
    assert (np.diff(times) >= 0).all() and times[0] >= 0
    p = numbers(rows, [f"AU{au:02d}_p" for au in AUS])
    assert not np.isnan(p).any()
    assert len(read(tmp_path / "live.mp4")) >= 1
    film = runner("predict", tmp_path / "film.csv")
    _, others = film("film.avi")
    np.testing.assert_allclose(p, numbers(others, [f"AU{au:02d}_p" for au in AUS]))


def test_ctrl_c_ends_a_camera_with_its_table(run, camera, monkeypatch, capsys):
    monkeypatch.setattr(_search, "_BLOCK", 4)
    monkeypatch.setattr(_frames, "_CAMERA_BATCH", 2)
    respond, left = _search._respond, [3]

    def stop(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return respond(*arguments)

    monkeypatch.setattr(_search, "_respond", stop)
    code, rows = run("--camera", "0")
    assert code == 0
    assert {int(row["frame"]) for row in rows} == set(range(6))
    printed = capsys.readouterr()
    assert "the camera is stopped" in printed.err
    assert "6 frames" in printed.out


def test_what_a_killed_process_saw_is_in_the_next_table(run, camera, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("skfau.cli._predict._write_all", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("--camera", "0", "--people", "largest")
    _, rows = run("--camera", "0", "--people", "largest")
    assert len(rows) == 20


def test_a_camera_that_is_not_there_is_one_line(run, capfd):
    assert run("--camera", "7") == (1, [])
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "there is no camera 7, or another program has it" in said


def test_a_model_that_looks_at_neighbours_has_no_camera(run, camera, capsys):
    assert run("--camera", "0", model="smoothed")[0] == 1
    assert "which a camera does not have yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "arguments", "extra"),
    [
        ("matplotlib", ["--plot"], r"skfau\[plot\]"),
        ("pyarrow", ["-o", "aus.parquet"], r"skfau\[parquet\]"),
    ],
)
def test_what_an_extra_draws_or_writes_names_it(
    run, monkeypatch, capsys, name, arguments, extra
):
    for module in (name, f"{name}.figure", f"{name}.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    assert run("film.avi", *arguments) == (1, [])
    assert extra.replace("\\", "") in capsys.readouterr().err


def test_memory_holds_a_few_batches_however_long_a_video(run, tmp_path, monkeypatch):
    write_film(tmp_path / "long.avi", 60, leaves=60)
    monkeypatch.setattr(_search, "_BLOCK", 8)
    monkeypatch.setattr(_frames, "_BATCH", 4)
    seen, most, make = [], [0], _frames._as_faces

    def as_faces(numbers, times, images):
        seen.append(weakref.ref(images[0]))
        most[0] = max(most[0], sum(image() is not None for image in seen))
        return make(numbers, times, images)

    monkeypatch.setattr(_frames, "_as_faces", as_faces)
    gc.disable()
    try:
        code, rows = run(str(tmp_path / "long.avi"))
    finally:
        gc.enable()
    assert (code, len(rows), len(seen)) == (0, 120, 15)
    # One is decoded, another searched, and a third judged.
    assert most[0] <= 4
