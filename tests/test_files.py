"""Files are written whole or not at all, known to be whole, and named in errors."""

import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from skfau._cache_files import read_arrays, write_arrays
from skfau._files import check_seal, reading, write_atomically
from skfau.datasets import make_faces
from skfau.estimators import ResNetClassifier
from skfau.estimators._checkpoint import Checkpoint
from skfau.exceptions import DatasetError
from tests.small import make_small

CONTENT = b"0123456789" * 20_000


def write(path, content=CONTENT, **options):
    with write_atomically(path, **options) as file:
        file.write(content)


@pytest.fixture(scope="module")
def fitted():
    made = make_faces(n_subjects=2, n_frames=4, image_size=48, random_state=0)
    clf = make_small(ResNetClassifier, max_epochs=1).fit(made.data, made.target)
    return made, clf


def writers(fitted):
    """Return every writer of whole files, as functions of a path."""
    made, clf = fitted
    state = {"history": [], "weights": torch.zeros(50_000)}
    return {
        "bytes": write,
        "model": clf.save,
        "memmap": made.data.to_memmap,
        "checkpoint": lambda path: Checkpoint(path.parent, "file", 1).save(state),
        "cache": lambda path: write_arrays(path, {"a": np.zeros(50_000)}),
    }


WRITERS = ["bytes", "model", "memmap", "checkpoint", "cache"]


@pytest.fixture
def small_disk():
    """Let no file be longer than 30,000 bytes, as on a disk that is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_an_error_that_names_the_file(
    kind, fitted, tmp_path, small_disk
):
    path = tmp_path / "file-1.pt"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match=r"file-1\.pt") as caught:
        writers(fitted)[kind](path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file-1.pt"]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_missing_folder_is_an_error_that_names_the_file(kind, fitted, tmp_path):
    path = tmp_path / "folder" / "file-1.pt"
    if kind in ("checkpoint", "cache"):
        (tmp_path / "folder").write_text("no folder")
    with pytest.raises(OSError, match="folder"):
        writers(fitted)[kind](path)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_file_of_before_stays_until_the_new_one_is_whole(kind, fitted, tmp_path):
    path = tmp_path / "file-1.pt"
    for _ in range(2):
        writers(fitted)[kind](path)
    assert [p.name for p in tmp_path.iterdir()] == ["file-1.pt"]


def test_an_error_of_the_writer_is_its_own_and_leaves_nothing(tmp_path):
    with pytest.raises(KeyError, match="mine"), write_atomically(tmp_path / "x") as f:
        f.write(b"half")
        raise KeyError("mine")
    assert not list(tmp_path.iterdir())


def test_threads_that_write_one_file_leave_one_of_theirs(tmp_path):
    path = tmp_path / "x"
    contents = [bytes([k]) * 300_000 for k in range(6)]
    threads = [threading.Thread(target=write, args=(path, c)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path):
    script = (
        "import os, sys; from skfau._files import write_atomically\n"
        "with write_atomically(sys.argv[1]) as file:\n"
        "    file.write(bytes(9)); os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "x"
    run = subprocess.run([sys.executable, "-c", script, str(path)])
    assert run.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_earlier_versions_left_goes_after_a_day(tmp_path):
    names = ["x.npy.123.partial", "x.npy.12-34.partial", "x.123.tmp"]
    others = ["y.npy.123.partial", "x.npy", "x.npy.old", "xx.npy.1.partial"]
    for name in names + others:
        (tmp_path / name).write_bytes(b"")
    write(tmp_path / "x.npy")
    assert {p.name for p in tmp_path.iterdir()} == {*names, *others}
    for name in names + others:
        os.utime(tmp_path / name, (time.time() - 90_000,) * 2)
    write(tmp_path / "x.npy")
    assert {p.name for p in tmp_path.iterdir()} == set(others)


def test_a_writer_that_lives_keeps_its_file(tmp_path):
    path = tmp_path / "x"
    with write_atomically(path) as file:
        file.write(b"slow")
        write(path, b"fast")
        assert path.read_bytes() == b"fast"
    assert path.read_bytes() == b"slow"


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_any_change_breaks_a_seal(size, tmp_path):
    path = tmp_path / "x"
    content = np.random.default_rng(0).bytes(size)
    write(path, content, sealed=True)
    sealed = path.read_bytes()
    with path.open("rb") as file:
        assert check_seal(file)
        assert file.read(size) == content
    for at in {0, size // 2, len(sealed) - 1}:
        damaged = bytearray(sealed)
        damaged[at] ^= 1
        # Where the seal itself is damaged it is none, and the content is whole.
        if at or size:
            with pytest.raises(ValueError, match="is not what was written"):
                check_seal(io.BytesIO(damaged))


def test_a_file_of_before_has_no_seal(tmp_path):
    assert not check_seal(io.BytesIO(b"content of an earlier version"))
    assert not check_seal(io.BytesIO(b""))


def test_arrays_come_back_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, {"a": np.arange(9)})
    with read_arrays(path) as arrays:
        assert arrays["a"].tolist() == list(range(9))
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"", whole[:50] + b"?" + whole[51:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^it is "), read_arrays(path):
            pass


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a"),
        MemoryError(),
        RecursionError("deep"),
        OSError("no errno"),
        ValueError("b"),
    ],
)
def test_whatever_a_parser_raises_names_the_file(error, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("")
    with (
        pytest.raises(
            DatasetError,
            match=r"x\.csv is no table \(.*\). Leave it out",
        ),
        reading(path, "is no table", "Leave it out."),
    ):
        raise error


def test_errors_that_name_the_file_stay_as_they_are(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("")
    mine = ValueError(f"{path}, line 3: odd")
    with (
        pytest.raises(ValueError) as caught,
        reading(path, "is no table", "Leave it out."),
    ):
        raise mine
    assert caught.value is mine
    with pytest.raises(ImportError), reading(path, "is no table", "Leave it out."):
        raise ImportError("h5py")


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, expected in [
        (tmp_path / "pipe", "device or a pipe"),
        ("/dev/zero", "device or a pipe"),
        (tmp_path, "folder"),
        (tmp_path / "absent", "No such file"),
    ]:
        with pytest.raises(OSError, match=expected), reading(path, "a", "b"):
            raise AssertionError("it is opened")
