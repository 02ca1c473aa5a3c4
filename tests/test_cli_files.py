"""Commands name what is wrong of files and numbers, and what they expected."""

import os

import cv2
import numpy as np
import pytest

import skfau
from skfau.cli import main

TABLE = "path,subject,AU1\nface.png,a,1\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a file of each wrong kind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("empty.csv", "empty.mp4", "empty.skfau", "empty.png"):
        (tmp_path / name).touch()
    cv2.imwrite("face.png", np.zeros((8, 8, 3), np.uint8))
    texts = {
        "notes.txt": "a note\n",
        "table.csv": TABLE,
        "header.csv": "path,AU1\n",
        "no_au.csv": "path,subject\nface.png,a\n",
        "lost.csv": "path,AU1\nlost.png,1\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize("command", ["score", "train"])
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("no.csv", "there is no file no.csv; check the path. Expected a CSV file with"),
        ("", "the path of the table is empty; check the command"),
        ("folder", "folder is a folder; check the path. Expected a CSV file with"),
        ("empty.csv", "empty.csv must have a column 'path'; it is empty. Name the"),
        ("notes.txt", "notes.txt must have a column 'path'; it has ['a note']. Name"),
        ("face.png", "face.png, line 2: holds the control character"),
        ("header.csv", "header.csv has no rows below its header"),
        ("no_au.csv", "no_au.csv has no column of an AU; name them AU1"),
        ("lost.csv", "no image of lost.csv is there, the first would be "),
    ],
)
def test_a_table_that_is_none(here, command, table, message, capsys):
    assert said_of([command, table], capsys).startswith(message)


@pytest.mark.parametrize("command", [["score", "table.csv"], ["predict", "face.png"]])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "no.skfau",
            "--model 'no.skfau' is not there; check the path. Expected a",
        ),
        ("", "--model '' is not there; check the path. Expected a file written by"),
        ("folder", "--model 'folder' is a folder; check the path. Expected a file"),
        ("empty.skfau", "empty.skfau cannot be read as a classifier saved by skfau"),
        ("face.png", "face.png cannot be read as a classifier saved by skfau"),
    ],
)
def test_a_model_that_is_none(here, command, model, message, capsys):
    assert said_of([*command, "--model", model], capsys).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "no.mp4"], "there is no file or folder no.mp4; check the path"),
        (["predict", "folder"], "there is no image or video in the folder folder"),
        (["predict", "notes.txt"], "notes.txt is neither an image (.bmp,"),
        (["predict", "face.png", "-o", "folder"], "the table is a CSV or Parquet"),
        (["predict", "face.png", "-o", "no/a.csv"], "no/a.csv is a folder, or its"),
        (["train", "table.csv", "-o", "folder"], "folder is a folder, or its folder"),
        (["train", "table.csv", "-o", "no/a"], "no/a is a folder, or its folder does"),
        (["demo", "--output", "notes.txt"], "--output notes.txt is a file; give a"),
        (["demo", "--output", "notes.txt/a"], "notes.txt/a: Not a directory"),
    ],
)
def test_a_place_that_is_none(here, arguments, message, capsys):
    assert said_of(arguments, capsys).startswith(message)


def test_a_root_that_is_none(here, capsys):
    said = said_of(["score", "table.csv", "--root", "no"], capsys)
    assert "no/face.png (there is no folder " in said
    assert "pass root= (--root), the folder that paths start from" in said


@pytest.mark.parametrize("name", ["empty.mp4", "empty.png"])
def test_an_empty_file_keeps_a_row_that_names_it(here, name, capsys):
    assert main(["predict", name]) == 1
    said = capsys.readouterr().err
    assert said.startswith("not read: ") and name in said and said.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_not_waited_for(here, capsys):
    os.mkfifo("pipe.mp4")
    said = said_of(["predict", "pipe.mp4"], capsys)
    assert said == "pipe.mp4: Is a device or a pipe, not a file\n"


@pytest.mark.parametrize(
    ("arguments", "least"),
    [
        (["train", "table.csv", "--epochs", "0"], 1),
        (["train", "table.csv", "--folds", "1"], 2),
        (["train", "table.csv", "--seed", "-1"], 0),
        (["score", "table.csv", "--seed", "1.5"], 0),
        (["demo", "--epochs", "none"], 1),
        (["demo", "--people", "2"], 3),
    ],
)
def test_a_number_that_cannot_be_is_told_before_all_work(arguments, least, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    option, number = arguments[-2:]
    told = f"argument {option}: must be a whole number from {least} on, got {number!r}"
    assert told in capsys.readouterr().err


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"skfau {skfau.__version__}\n"


def said_of(arguments, capsys):
    """Return the one line that a command says, without its beginning."""
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said.removeprefix("error: ")
