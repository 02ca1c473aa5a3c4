"""What is finished opens where nothing can be written."""

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import skfau
from skfau import Faces
from skfau.datasets import load_bp4d
from skfau.estimators import landmark_baseline
from skfau.preprocessing import FaceAligner, prepare
from tests.test_aunet_classifier import small
from tests.test_index import root, settle  # noqa: F401
from tests.video_files import write_video

LOCKED = []
WRITES = {"os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate"}


def refuse(event, arguments):
    """Raise, as the system does on a read-only disk, at what would write in LOCKED."""
    if not LOCKED or event not in {"open", "os.mkdir", *WRITES}:
        return
    path = arguments[0]
    if not isinstance(path, str | os.PathLike) or LOCKED[0] not in os.fspath(path):
        return
    if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    # That a folder exists already is told before the disk is asked.
    if event != "os.mkdir" or not Path(path).is_dir():
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


@pytest.fixture(scope="module")
def hooked():
    # A hook is for the life of the process: it does nothing while LOCKED is empty.
    sys.addaudithook(refuse)


@pytest.fixture
def lock(hooked, tmp_path):
    yield lambda: LOCKED.append(str(tmp_path))
    LOCKED.clear()


def test_the_lock_holds(lock, tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    lock()
    for write in (
        (tmp_path / "a.npy").unlink,
        (tmp_path / "b").touch,
        (tmp_path / "c").mkdir,
        lambda: np.load(tmp_path / "a.npy", mmap_mode="r+"),
    ):
        with pytest.raises(OSError, match="Read-only"):
            write()
    assert np.load(tmp_path / "a.npy", mmap_mode="r").tolist() == [0, 1, 2]


def prepared(made, folder):
    aligner = FaceAligner(output_size=32, landmarks="given", n_jobs=1)
    return np.asarray(prepare(made.data[:12], aligner, folder / "out", verify=True))


def with_a_feature_cache(made, folder):
    clf = small(feature_cache=folder, augmentation=None, max_epochs=1)
    return clf.fit(made.data[::2], made.target[::2]).predict_proba(made.data[::2])


def from_a_checkpoint(made, folder):
    clf = small(checkpoint_dir=folder, max_epochs=1)
    return clf.fit(made.data[::2], made.target[::2]).predict_proba(made.data[::2])


def from_a_memory_map(made, folder):
    if not (folder / "x.npy").exists():
        made.data[:12].to_memmap(folder / "x.npy")
    return np.asarray(Faces(np.load(folder / "x.npy", mmap_mode="r")))


def from_a_saved_model(made, folder):
    if not (folder / "clf").exists():
        skfau.save(landmark_baseline().fit(made.data, made.target), folder / "clf")
    return skfau.load(folder / "clf").predict_proba(made.data)


@pytest.mark.parametrize(
    "use",
    [
        prepared,
        with_a_feature_cache,
        from_a_checkpoint,
        from_a_memory_map,
        from_a_saved_model,
    ],
)
def test_what_is_finished_opens_on_a_read_only_disk(made, tmp_path, lock, use):
    first = use(made, tmp_path)
    lock()
    np.testing.assert_array_equal(use(made, tmp_path), first)


def test_what_is_missing_says_that_the_disk_is_read_only(made, tmp_path, lock):
    lock()
    with pytest.raises(OSError, match="Read-only"):
        prepared(made, tmp_path)
    with pytest.raises(OSError, match="Read-only"):
        with_a_feature_cache(made, tmp_path)


def test_indexes_are_read_on_a_read_only_disk(
    root,  # noqa: F811
    tmp_path,
    lock,
    monkeypatch,
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    film = write_video(tmp_path / "v.avi", 7, "MJPG")
    settle(tmp_path)

    def load():
        bunch = load_bp4d(root, aus=(1,))
        return bunch.target, len(Faces.from_videos([film]))

    with pytest.warns(Warning, match="F001"):
        labels, n_frames = load()
    lock()
    with pytest.warns(Warning, match="F001") as told:
        again, n_again = load()
    assert not [w for w in told if "cannot be" in str(w.message)]
    np.testing.assert_array_equal(again, labels)
    assert n_again == n_frames == 7
