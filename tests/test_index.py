"""The index of a data set: it saves reading, and is never out of date."""

import itertools
import os
import pickle
import time

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joblib.parallel import ThreadingBackend

from skfau.datasets import load_bp4d
from skfau.exceptions import LabelError
from tests.trees import write_bp4d, write_image, write_labels, write_points

pytestmark = pytest.mark.filterwarnings("ignore::skfau.exceptions.DatasetWarning")


def settle(root):
    """Date everything back, so that the index trusts it."""
    then = time.time() - 100
    for path in [root, *root.rglob("*")]:
        os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "bp4d"
    for name in ("F001_T1", "F002_T1", "M001_T2"):
        write_bp4d(root, name, ["1", "2"], {1: {1: 1}, 2: {1: int("M" in name)}})
        write_points(root / "landmarks68", name, [1])
    settle(root)
    return root


def forge(root):
    """Swap 0 and 1 of AU1 in all label files; neither size nor date tells."""
    for path in (root / "AUCoding" / "AU_OCC").iterdir():
        stat = path.stat()
        header, *rows = path.read_text().splitlines()
        swapped = {"0": "1", "1": "0"}
        cells = [row.split(",", 2) for row in rows]
        lines = [f"{frame},{swapped[code]},{rest}" for frame, code, rest in cells]
        path.write_text("\n".join([header, *lines]) + "\n")
        assert path.stat().st_size == stat.st_size
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def load(root, **options):
    return load_bp4d(root, aus=(1,), index=root.parent / "index.npz", **options)


def assert_same(one, other):
    np.testing.assert_array_equal(one.target, other.target)
    np.testing.assert_array_equal(one.data.landmarks, other.data.landmarks)
    assert one.data.frame.tolist() == other.data.frame.tolist()
    assert one.data.fingerprint() == other.data.fingerprint()
    for video, report in one.report.videos.items():
        for ours, theirs in zip(report, other.report.videos[video], strict=True):
            assert ours.tolist() == theirs.tolist()


def assert_only_f002_is_read_again(root):
    """Load before and after a forgery: it shows in the recordings that are read."""
    honest = load_bp4d(root, aus=(1,), index=None)
    forge(root)
    loaded = load(root)
    swapped = loaded.target != honest.target
    assert swapped[:, 0].tolist() == (loaded.data.video == "F002_T1").tolist()
    loaded.target = np.where(swapped, 1 - loaded.target, loaded.target)
    assert_same(loaded, honest)


def test_a_second_load_reads_nothing_and_says_the_same(root):
    first = load(root)
    assert_same(first, load_bp4d(root, aus=(1,), index=None))
    forge(root)
    assert_same(load(root), first)
    assert (load_bp4d(root, aus=(1,), index=None).target != first.target).all()


def test_a_second_load_starts_no_workers(root, monkeypatch):
    first = load(root)

    def fail(*args, **kwargs):
        raise AssertionError("workers are started")

    monkeypatch.setattr(joblib.Parallel, "__init__", fail)
    assert_same(load(root), first)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write_image(root / "2D+3D" / "F002" / "T1" / "3.jpg"),
        lambda root: (root / "2D+3D" / "F002" / "T1" / "2.jpg").unlink(),
        lambda root: write_labels(
            root / "AUCoding" / "AU_OCC" / "F002_T1.csv", {1: {1: 0}, 2: {1: 0}}
        ),
        lambda root: write_points(root / "landmarks68", "F002_T1", [1, 2]),
        lambda root: (root / "landmarks68" / "F002_T1.csv").unlink(),
    ],
)
def test_only_what_changed_is_read_again(root, change):
    load(root)
    change(root)
    assert_only_f002_is_read_again(root)


def test_recordings_come_and_go(root):
    load(root)
    write_bp4d(root, "F003_T1", ["1"], {1: {1: 1}})
    (root / "AUCoding" / "AU_OCC" / "F001_T1.csv").unlink()
    assert_same(load(root), load_bp4d(root, aus=(1,), index=None))


def test_files_written_just_now_are_not_trusted(root):
    write_labels(root / "AUCoding" / "AU_OCC" / "F002_T1.csv", {1: {1: 0}})
    load(root)
    assert_only_f002_is_read_again(root)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-40], lambda b: b"", lambda b: b"x" * 9]
)
def test_a_damaged_index_is_built_again(root, damage):
    first = load(root)
    path = root.parent / "index.npz"
    path.write_bytes(damage(path.read_bytes()))
    assert_same(load(root), first)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    assert_same(load(root), first)


def test_an_index_damaged_anywhere_is_built_again(root):
    first = load(root)
    path = root.parent / "index.npz"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    # The list of the arrays is at the end; damage there raises errors of zipfile.
    for at in (*rng.integers(len(whole), size=6), *rng.integers(-900, 0, size=10)):
        data = bytearray(whole)
        data[at] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        assert_same(load(root), first)


def test_by_default_it_is_in_the_users_cache(root, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_bp4d(root, aus=(1,))
    load_bp4d(root, aus=(1,), landmarks=None)
    found = sorted((tmp_path / "cache" / "skfau" / "index").iterdir())
    assert len(found) == 2 and all(p.name.startswith("bp4d-") for p in found)


def test_a_place_that_cannot_be_written_is_a_warning(root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be written .* pass index=FILE"):
        bunch = load_bp4d(root, aus=(1,), index=tmp_path / "file" / "index.npz")
    assert len(bunch.data) == 6


class PicklingBackend(ThreadingBackend):
    """Threads that are sent their work as processes are."""

    def submit(self, func, callback=None):
        self.sent.append(pickle.dumps(func.items))
        func.items = pickle.loads(self.sent[-1])
        return super().submit(func, callback)


def test_workers_read_the_same(root, monkeypatch, capsys, slowly):
    expected = load_bp4d(root, aus=(1,), index=None)
    # A clock on which reading any recording takes long.
    clock = itertools.count(step=100)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    backend = PicklingBackend()
    backend.sent = []
    with joblib.parallel_config(backend):
        bunch = load(root, n_jobs=2, verbose=True)
    assert len(backend.sent) == 3
    assert_same(bunch, expected)
    assert "Reading bp4d: 3 of 3 files in" in capsys.readouterr().err


def test_an_error_leaves_no_index(root):
    write_labels(root / "AUCoding" / "AU_OCC" / "M001_T2.csv", {1: {1: 7}})
    with pytest.raises(LabelError, match=r"M001_T2.csv, line 2: AU1 is 7"):
        load(root)
    write_labels(root / "AUCoding" / "AU_OCC" / "M001_T2.csv", {1: {1: 1}})
    assert len(load(root).data) == 5


VIDEO = st.tuples(st.sampled_from(["F001", "F023", "M007"]), st.integers(1, 12)).map(
    lambda v: f"{v[0]}_T{v[1]}"
)
CODE = st.sampled_from([0, 1, 9])
RECORDING = st.fixed_dictionaries(
    {
        "images": st.sets(st.integers(1, 30), max_size=6),
        "labels": st.dictionaries(
            st.integers(1, 30), st.tuples(CODE, CODE), max_size=6
        ),
        "points": st.sets(st.integers(1, 30), max_size=3),
        "width": st.integers(1, 5),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=st.dictionaries(VIDEO, RECORDING, min_size=1, max_size=3))
def test_a_written_tree_loads_back_to_the_same_table(tmp_path_factory, tree):
    root = tmp_path_factory.mktemp("tree")
    # At least one row: a tree without rows is an error.
    tree = {**tree, "M018_T1": {"images": {1}, "labels": {1: (1, 9)}, "points": set()}}
    expected = {}
    for video, part in tree.items():
        stems = [f"{k:0{part.get('width', 1)}d}" for k in sorted(part["images"])]
        rows = {f: {1: a, 12: b} for f, (a, b) in part["labels"].items()}
        write_bp4d(root, video, stems, rows)
        if part["points"]:
            write_points(root / "landmarks68", video, sorted(part["points"]))
        for frame in part["images"] & part["labels"].keys():
            codes = [np.nan if c == 9 else c for c in part["labels"][frame]]
            x = frame if frame in part["points"] else np.nan
            expected[video, frame] = [*codes, x]
    for _ in range(2):
        bunch = load_bp4d(root, aus=(1, 12), first_frame=1, index=root / "index.npz")
        faces = bunch.data
        keys = list(zip(faces.video.tolist(), faces.frame.tolist(), strict=True))
        assert sorted(keys) == sorted(expected)
        x = np.full(len(keys), np.nan)
        if faces.landmarks is not None:
            x = faces.landmarks[:, 0, 0]
        loaded = np.column_stack([bunch.target, x])
        np.testing.assert_array_equal(loaded, [expected[key] for key in keys])
        for video, part in tree.items():
            report = bunch.report.videos[video]
            images, labels = part["images"], part["labels"].keys()
            assert report.without_label.tolist() == sorted(images - labels)
            assert report.without_image.tolist() == sorted(labels - images)
            bare = sorted((images & labels) - part["points"])
            assert report.without_landmarks.tolist() == bare
