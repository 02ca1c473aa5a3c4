"""``python -m skfau predict``: the rows of the Python calls, whatever happens."""

import errno
import re

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import skfau
from skfau import FaceAligner, Faces, _cache_files, _files
from skfau.cli import _frames, _result_table, _search, _work_folder, main
from skfau.datasets import load_table
from skfau.exceptions import DatasetWarning
from skfau.preprocessing import find_faces
from skfau.preprocessing._find_faces import FaceFollower
from tests import video_files
from tests.cli_folder import AUS, make_folder, numbers, read_rows, runner


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("predict"))


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """Run the command in a folder of its own; return exit code and rows."""
    monkeypatch.chdir(folder)
    return runner("predict", tmp_path / "aus.csv")


@pytest.mark.parametrize("model", ["landmarks", "network", "smoothed"])
@pytest.mark.parametrize("people", ["all", "largest"])
def test_rows_are_those_of_the_python_calls(run, folder, model, people, monkeypatch):
    monkeypatch.setattr(_search, "_BLOCK", 4)
    monkeypatch.setattr(_frames, "_BATCH", 3)
    code, rows = run("film.avi", "--people", people, model=model)
    found = find_faces(Faces.from_videos([folder / "film.avi"]), people=people)
    clf = skfau.load(folder / model)
    assert code == 0
    assert {row["path"] for row in rows} == {"film.avi"}
    assert np.unique(found.n_faces).tolist() == [1, 2]
    for name in ("frame", "time", "person", "n_faces", "score"):
        np.testing.assert_array_equal(
            numbers(rows, [name])[:, 0].astype(np.float32),
            found.column(name).astype(np.float32),
        )
    box = [f"box_{side}" for side in ("left", "top", "right", "bottom")]
    np.testing.assert_array_equal(numbers(rows, box).astype(np.float32), found.box)
    p = numbers(rows, [f"AU{au:02d}_p" for au in AUS])
    np.testing.assert_allclose(p, clf.predict_proba(found), atol=1e-6)
    present = numbers(rows, [f"AU{au:02d}_c" for au in AUS])
    np.testing.assert_array_equal(present, clf.predict(found))


def test_an_image_is_a_row_without_time_whatever_it_is_called(run, folder, tmp_path):
    named = tmp_path / "film.mp4"
    named.write_bytes((folder / "media/face.png").read_bytes())
    marked = str(tmp_path / "marked")
    code, rows = run("media/face.png", str(named), "--overlay", marked)
    assert code == 0
    assert [row.pop("path") for row in rows] == ["media/face.png", str(named)]
    assert rows[0] == rows[1]
    assert (rows[1]["frame"], rows[1]["time"], rows[1]["status"]) == ("0", "", "")
    drawn = sorted(path.name for path in (tmp_path / "marked").iterdir())
    assert drawn == ["face.png", "film.jpg"]


def test_every_thins_videos(run, folder):
    _, rows = run("film.avi", "--every", "0.2")
    faces = Faces.from_videos([folder / "film.avi"], every=0.2)
    assert sorted({int(row["frame"]) for row in rows}) == faces.frame.tolist()


def test_a_folder_is_images_and_videos_and_the_rest_is_counted(run, capsys):
    code, rows = run("media")
    assert code == 0
    paths = ["media/face.png", "media/film.avi", "media/none.png"]
    assert list(dict.fromkeys(row["path"] for row in rows)) == paths
    assert rows[0]["status"] == "" and rows[0]["AU12_p"]
    assert rows[-1]["status"] == "no face found" and not rows[-1]["AU12_p"]
    assert rows[-1]["person"] == "-1" and not rows[-1]["AU12_c"]
    said = capsys.readouterr().out
    assert "12 frames (" in said and "18 faces, 1 frame without a face" in said
    assert "7 frames with several people, 0 not read, 1 other files left out" in said


def test_openface_columns_count_frames_from_1(run):
    _, rows = run("media/film.avi", "media/none.png", "--format", "openface")
    about = ["path", "frame", "face_id", "timestamp", "confidence", "success"]
    assert list(rows[0]) == [*about, *(f"AU{au:02d}_c" for au in AUS)]
    assert (rows[0]["frame"], rows[0]["success"]) == ("1", "1")
    assert (rows[-1]["confidence"], rows[-1]["success"]) == ("0.0", "0")
    assert {row["AU12_c"] for row in rows[:-1]} <= {"0", "1"}


def test_load_table_reads_the_table(run, folder):
    _, rows = run("film.avi")
    with pytest.warns(DatasetWarning, match="12: AU01_p.*go along as columns"):
        bunch = load_table(run.output, root=folder)
    assert bunch.aus == AUS
    np.testing.assert_array_equal(
        bunch.target, numbers(rows, [f"AU{au:02d}_c" for au in AUS])
    )


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: .*No space left"),
    ],
)
def test_an_interrupted_table_is_the_same_at_last(
    run, monkeypatch, capsys, error, code, message
):
    """Every run gets one file farther than the one before."""
    monkeypatch.setattr(_search, "_BLOCK", 4)
    monkeypatch.setattr(_frames, "_BATCH", 2)
    run("film.avi", "media")
    whole = run.output.read_bytes()
    run.output.write_text("an older table")
    write, left = _files.write_atomically, [0]

    def write_once(path, **options):
        if not left[0]:
            raise error
        left[0] -= 1
        return write(path, **options)

    for module in (_cache_files, _result_table, _work_folder):
        monkeypatch.setattr(module, "write_atomically", write_once)
    for _ in range(40):
        left[0] = 1
        ended, _ = run("film.avi", "media")
        if ended == 0:
            break
        assert ended == code
        assert re.search(message, capsys.readouterr().err)
        assert run.output.read_text() == "an older table"
    assert ended == 0
    assert run.output.read_bytes() == whole
    assert [path.name for path in run.output.parent.iterdir()] == ["aus.csv"]


@pytest.fixture
def interrupt(monkeypatch):
    """Let Ctrl-C come after so many parts are written."""

    def after(n_parts):
        write = _work_folder.WorkFolder.write

        def stop(self, source, part, arrays):
            if part == n_parts:
                raise KeyboardInterrupt
            write(self, source, part, arrays)

        monkeypatch.setattr(_work_folder.WorkFolder, "write", stop)
        return lambda: monkeypatch.setattr(_work_folder.WorkFolder, "write", write)

    return after


def test_what_was_found_is_not_searched_again(run, monkeypatch, interrupt):
    monkeypatch.setattr(_search, "_BLOCK", 4)
    monkeypatch.setattr(_frames, "_BATCH", 2)
    searched, find = [], FaceFollower.find

    def search(self, faces):
        searched.append(len(faces))
        return find(self, faces)

    monkeypatch.setattr(FaceFollower, "find", search)
    go_on = interrupt(2)
    assert run("film.avi")[0] == 130
    assert sum(searched) == 10
    go_on()
    assert run("film.avi")[0] == 0
    # The last two frames were found, not written.
    assert sum(searched) == 12


def test_the_beginning_of_another_table_is_an_error(run, interrupt, capsys):
    go_on = interrupt(0)
    run("film.avi")
    go_on()
    assert run("film.avi", "--every", "0.1", model="network")[0] == 1
    said = capsys.readouterr().err
    assert "beginning of another table (not the same: model, every)" in said
    assert run("film.avi")[0] == 0


def test_what_cannot_be_read_keeps_a_row_and_the_rest_goes_on(run, tmp_path, capsys):
    video, image = tmp_path / "bad.mp4", tmp_path / "bad.png"
    video.write_bytes(b"no video")
    image.write_bytes(b"no image")
    code, rows = run(str(video), "media/face.png", str(image))
    assert code == 1
    assert "cannot open the video" in rows[0]["status"]
    assert rows[1]["status"] == "" and rows[1]["AU12_p"]
    assert "is not an image" in rows[2]["status"]
    printed = capsys.readouterr()
    assert printed.err.count("not read: ") == 2
    assert "0 frames without a face" in printed.out and "2 not read" in printed.out


@pytest.mark.parametrize(
    ("arguments", "model", "message"),
    [
        (["missing.mp4"], "landmarks", "there is no file or folder missing.mp4"),
        ([""], "landmarks", "a path is empty; check the command"),
        (["empty"], "landmarks", "no image or video in the folder empty (0 other"),
        (["media/notes.txt"], "landmarks", "notes.txt is neither an image ("),
        (["film.avi"], "missing", "--model 'missing' is not there; check the path"),
        (["film.avi"], "film.avi", "film.avi"),
        (["film.avi"], "bare", "without a FaceAligner, so that images cannot be"),
        (["film.avi", "--every", "0"], "landmarks", "--every must be seconds, above 0"),
        (
            ["film.avi", "-o", "aus.xlsx"],
            "landmarks",
            "-o must end in .csv or .parquet, got aus",
        ),
        (["film.avi", "-o", "no/aus.csv"], "landmarks", "its folder does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, capsys, arguments, model, message):
    code, rows = run(*arguments, model=model)
    said = capsys.readouterr().err
    assert (code, rows) == (1, [])
    assert said.startswith("error: ") and said.count("\n") == 1
    assert message in said


def test_a_model_without_probabilities_is_an_error(run, tmp_path, capsys):
    path = tmp_path / "aligner"
    skfau.save(make_pipeline(FaceAligner()), path)
    assert run("film.avi", model=str(path))[0] == 1
    assert "gives no probabilities" in capsys.readouterr().err


def test_intensities_are_columns_of_a_model_that_knows_them(run, folder):
    _, rows = run("film.avi", model="intense")
    found = find_faces(Faces.from_videos([folder / "film.avi"]))
    clf = skfau.load(folder / "intense")
    r = clf[-1].to_intensity(clf.predict_proba(found))
    names = [f"AU{au:02d}_r" for au in AUS]
    np.testing.assert_allclose(numbers(rows, names), r, atol=1e-5)
    _, rows = run("film.avi", "--format", "openface", model="intense")
    occurs = [f"AU{au:02d}_c" for au in AUS]
    assert list(rows[0])[6:] == [*names, *occurs]
    np.testing.assert_allclose(numbers(rows, names), r, atol=1e-5)


def test_without_a_model_it_is_the_shipped_one(folder, tmp_path, monkeypatch):
    chain = skfau.load(folder / "intense")
    monkeypatch.setattr(skfau, "load_pretrained", lambda: chain, raising=False)
    face = str(folder / "media/face.png")
    assert main(["predict", face, "-o", str(tmp_path / "aus.csv")]) == 0
    other = runner("predict", tmp_path / "other.csv")
    assert (
        read_rows(tmp_path / "aus.csv") == other(face, model=str(folder / "intense"))[1]
    )


def test_a_parquet_table_is_the_csv_table(run, tmp_path):
    from pyarrow import parquet

    code, rows = run("media", "film.avi", model="intense")
    run("media", "film.avi", "-o", str(tmp_path / "aus.parquet"), model="intense")
    table = parquet.read_table(tmp_path / "aus.parquet")
    assert code == 0
    assert table.column_names == list(rows[0])
    for name in table.column_names:
        cells = ["" if cell is None else cell for cell in table[name].to_pylist()]
        for cell, text in zip(cells, (row[name] for row in rows), strict=True):
            same = cell == text or float(cell) == pytest.approx(float(text), rel=1e-6)
            assert same, name


def test_no_face_at_all_is_one_line_and_a_table(run, capsys):
    code, rows = run("media/none.png")
    assert (code, len(rows)) == (0, 1)
    assert capsys.readouterr().err == (
        "no face was found: one must fill a tenth of the longer side of its image\n"
    )


def test_a_video_that_is_cut_off_is_told_in_one_line(run, tmp_path, capsys):
    path = video_files.write_video(tmp_path / "mpeg4.mp4", n=120)
    video_files.cut_behind_header(path)
    with pytest.warns(UserWarning, match="it may be cut off"):
        code, rows = run(str(path))
    assert code == 0
    assert len(rows) < 120
    assert capsys.readouterr().err.count("\n") == 1


def test_people_and_columns_may_be_chosen_after_an_interruption(run, interrupt):
    go_on = interrupt(0)
    run("film.avi")
    go_on()
    code, rows = run("film.avi", "--people", "largest", "--format", "openface")
    assert (code, len(rows)) == (0, 10)
