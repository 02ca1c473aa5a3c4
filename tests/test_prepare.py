"""Crops that are kept: the same bytes however often the work was interrupted."""

import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from skfau.exceptions import DatasetError, MissingFaceWarning, SeveralFacesWarning
from skfau.faces import Faces
from skfau.preprocessing import FaceAligner, _prepare, prepare
from tests.squares import SquareDetector, film

ALIGNER = FaceAligner(output_size=32, landmarks="given", n_jobs=1)
FILES = ("images.npy", "landmarks.npy", "matrix.npy", "prepared.json")
# Runs that are slow enough to be killed at any step, forked off one that has imported
# everything; prints how many were killed before their end.
SCRIPT = """
import os, signal, sys, time
import cv2, numpy as np
from skfau.datasets import make_faces
from skfau.preprocessing import FaceAligner, _prepare, prepare
cv2.setNumThreads(1)
_prepare._BLOCK_ROWS = 4
put = _prepare.PreparedFolder._put
def slow_put(*arguments):
    time.sleep(0.005)
    return put(*arguments)
_prepare.PreparedFolder._put = slow_put
faces = make_faces(n_subjects=6, n_frames=4, image_size=48, random_state=0).data
def run(folder):
    pid = os.fork()
    if not pid:
        aligner = FaceAligner(output_size=32, landmarks="given", n_jobs=1)
        prepare(faces, aligner, folder, batch_size=2)
        os._exit(0)
    return pid
assert os.waitpid(run(sys.argv[1] + "/whole"), 0)[1] == 0
rng, killed, status = np.random.default_rng(0), 0, 1
while status:
    pid = run(sys.argv[1] + "/out")
    time.sleep(rng.uniform(0, 0.1) * (1 + killed / 10))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    killed += status != 0
print(killed)
"""


@pytest.fixture
def blocks(monkeypatch):
    monkeypatch.setattr(_prepare, "_BLOCK_ROWS", 5)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_crops_and_columns_are_those_of_the_aligner(made, blocks, tmp_path):
    rows = np.r_[3:40, 60:90]
    direct = ALIGNER.transform(made.data[rows])
    kept = prepare(made.data[rows], ALIGNER, tmp_path / "out", batch_size=3)
    np.testing.assert_array_equal(kept.images[...], direct.images[...])
    for name in direct.columns:
        np.testing.assert_array_equal(kept.column(name), direct.column(name), name)
    assert sorted(contents(tmp_path / "out")) == sorted(FILES)


def test_a_second_call_reads_nothing(made, tmp_path):
    prepare(made.data, ALIGNER, tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}

    class Never(FaceAligner):
        def transform(self, X):
            raise AssertionError

    Never.__qualname__, Never.__module__ = "FaceAligner", FaceAligner.__module__
    again = prepare(made.data, Never(output_size=32, landmarks="given"), tmp_path)
    assert again.image_shape == (32, 32)
    assert before == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}


def test_other_faces_or_parameters_are_refused(made, tmp_path):
    prepare(made.data[:8], ALIGNER, tmp_path)
    with pytest.raises(DatasetError, match="holds other faces, or these aligned with"):
        prepare(made.data[:9], ALIGNER, tmp_path)
    with pytest.raises(DatasetError, match="choose another folder"):
        prepare(made.data[:8], FaceAligner(output_size=33), tmp_path)


@pytest.mark.parametrize(
    ("lengths", "ends"),
    [
        ([600, 1500, 100, 900], [2100, 3100]),
        ([1024, 1000, 24, 1], [1024, 2048, 2049]),
        ([300, 200], [500]),
        ([3000], [3000]),
    ],
)
@pytest.mark.filterwarnings("ignore::skfau.exceptions.MissingFaceWarning")
def test_blocks_of_1024_rows_or_more_do_not_divide_videos(tmp_path, lengths, ends):
    video = np.repeat(list("abcd"[: len(lengths)]), lengths)
    faces = Faces(np.zeros((len(video), 4, 4, 3), np.uint8), video=video)
    faces = faces.with_columns(landmarks=np.full((len(video), 68, 2), np.nan))
    prepare(faces, FaceAligner(output_size=8), tmp_path)
    rows = json.loads((tmp_path / "prepared.json").read_text())["rows"]
    assert rows == [list(pair) for pair in pairwise([0, *ends])]


def test_missing_faces_keep_their_rows_and_reasons(made, blocks, tmp_path):
    landmarks = made.data.landmarks.copy()
    landmarks[[2, 17]] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    with pytest.warns(MissingFaceWarning, match=r"2 of 96 faces .* \(row 2: "):
        kept = prepare(faces, ALIGNER, tmp_path)
    assert np.flatnonzero(kept.column("status") != "").tolist() == [2, 17]
    assert not kept.images[17].any() and np.isnan(kept.landmarks[17]).all()


def test_images_of_several_faces_are_counted_once(blocks, tmp_path):
    faces = film([lambda f: (20, 5, 20), lambda f: (110, 5, 20) if f > 4 else None], 8)
    aligner = FaceAligner(output_size=16, detector=SquareDetector(), n_jobs=1)
    with pytest.warns(SeveralFacesWarning, match="3 images show several") as caught:
        prepare(faces, aligner, tmp_path)
    assert len(caught) == 1


def test_bad_arguments(made, tmp_path):
    with pytest.raises(ValueError, match="minimum of 1"):
        prepare(made.data[:0], ALIGNER, tmp_path)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        prepare(made.data, ALIGNER, tmp_path, batch_size=0)


def interrupted(made, folder, after):
    """Prepare until `after` blocks are in, then fail."""

    class Failing(FaceAligner):
        def transform(self, X):
            nonlocal after
            after -= 1
            if after < 0:
                raise KeyboardInterrupt
            return super().transform(X)

    Failing.__qualname__, Failing.__module__ = "FaceAligner", FaceAligner.__module__
    with pytest.raises(KeyboardInterrupt):
        prepare(made.data, Failing(output_size=32, landmarks="given"), folder)


@pytest.mark.parametrize("torn", [b"", b'{"block": 2, "crc'])
def test_an_interrupted_run_goes_on_and_ends_equal(made, blocks, tmp_path, torn):
    prepare(made.data, ALIGNER, tmp_path / "whole")
    interrupted(made, tmp_path / "out", after=2)
    with (tmp_path / "out" / "journal.jsonl").open("ab") as file:
        file.write(torn)
    prepare(made.data, ALIGNER, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_interruption_between_the_last_renames(made, blocks, tmp_path):
    prepare(made.data, ALIGNER, tmp_path / "whole")
    interrupted(made, tmp_path / "out", after=3)
    partial = tmp_path / "out" / "images.npy.partial"
    partial.rename(partial.with_suffix(""))
    prepare(made.data, ALIGNER, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def flip_byte(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 255
    path.write_bytes(data)


def test_verify_redoes_or_refuses_damaged_blocks(made, blocks, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    prepare(made.data, ALIGNER, whole, verify=True)
    interrupted(made, out, after=4)
    flip_byte(out / "images.npy.partial", 5000)
    prepare(made.data, ALIGNER, out, verify=True)
    assert contents(out) == contents(whole)
    flip_byte(out / "landmarks.npy", -1)
    last = len(json.loads((out / "prepared.json").read_text())["blocks"]) - 1
    with pytest.raises(DatasetError, match=rf"blocks \[{last}\] .* are not what was"):
        prepare(made.data, ALIGNER, out, verify=True)


def test_killed_at_any_time_the_files_end_equal(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("name", ["images.npy", "landmarks.npy", "matrix.npy"])
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_files_that_are_gone_or_cut_are_told_or_made_again(
    made, blocks, tmp_path, name, harm
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    prepare(made.data, ALIGNER, whole)
    expected = contents(whole)
    interrupted(made, out, after=4)
    for path in (whole / name, out / f"{name}.partial"):
        path.unlink() if harm == "gone" else os.truncate(path, 200)
    prepare(made.data, ALIGNER, out)
    assert contents(out) == expected
    for verify in (False, True):
        with pytest.raises(DatasetError, match=rf"{name} is damaged .* delete "):
            prepare(made.data, ALIGNER, whole, verify=verify)


def test_a_damaged_manifest_is_told(made, tmp_path):
    prepare(made.data[:8], ALIGNER, tmp_path)
    path = tmp_path / "prepared.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(DatasetError, match=r"prepared.json is damaged"):
        prepare(made.data[:8], ALIGNER, tmp_path)


def test_who_comes_second_waits(made, blocks, tmp_path):
    pytest.importorskip("fcntl")
    prepare(made.data, ALIGNER, tmp_path / "whole")
    out, began, second = tmp_path / "out", threading.Event(), []

    class Slow(FaceAligner):
        def transform(self, X):
            if not began.is_set():
                began.set()
                time.sleep(0.2)
            return super().transform(X)

    Slow.__qualname__, Slow.__module__ = "FaceAligner", FaceAligner.__module__
    slow = Slow(output_size=32, landmarks="given", n_jobs=1)
    first = threading.Thread(target=prepare, args=(made.data, slow, out))
    first.start()
    began.wait()
    second.append(prepare(made.data, ALIGNER, out))
    first.join()
    assert contents(out) == contents(tmp_path / "whole")
    assert second[0].image_shape == (32, 32)


def detect(images, threshold):
    return np.full((len(images), 68, 2), threshold)


class Detector:
    def __init__(self, threshold):
        self.threshold = threshold

    def detect(self, images):
        return detect(images, self.threshold)


@pytest.mark.parametrize(
    "make", [lambda t: partial(detect, threshold=t), lambda t: Detector(t).detect]
)
@pytest.mark.filterwarnings("ignore::skfau.exceptions.MissingFaceWarning")
def test_what_a_detector_is_bound_to_counts(made, tmp_path, make):
    faces = made.data[:2]

    def prepare_with(threshold):
        aligner = FaceAligner(landmarks="detected", detector=make(threshold))
        return prepare(faces, aligner, tmp_path)

    assert len(prepare_with(1)) == len(prepare_with(1)) == 2
    with pytest.raises(DatasetError, match="aligned with other"):
        prepare_with(2)


def test_five_points_are_kept_in_pixels_of_the_crop(tmp_path):
    points = np.float32([(10, 15), (20, 15), (15, 20), (11, 25), (19, 25)])
    images = np.zeros((2, 32, 32, 3), np.uint8)
    faces = Faces(images, five_points=np.stack([points, points + 1]))
    prepared = prepare(faces, ALIGNER, tmp_path / "out")
    expected = ALIGNER.fit_transform(faces).column("five_points")
    np.testing.assert_array_equal(prepared.column("five_points"), expected)
    assert np.ptp(expected[0, :2, 0]) > 10
