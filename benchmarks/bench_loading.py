"""Loading and preparing a data set, against a plain pandas and cv2 loop.

Run: python benchmarks/bench_loading.py [--frames 100000] [--crops 4000]
         [--video VIDEO] [--small]

Measured, on made files in BP4D's layout (500 frames a video, 12 AUs, 68 landmarks):

load     `load_bp4d`, the first time (no index) and again, against a loop that reads
         the same CSV files with pandas, lists the images and merges by frame, as it
         must every time. The limits are reading the text once (first), and asking
         for the dates of some thousand files and reading 0.6 kB a frame (again).
prepare  `prepare` of 256 x 256 JPEG to 200 x 200 crops, against a loop of
         `cv2.imread`, `cv2.warpAffine` and writing into a `np.memmap`, with the
         matrices for free. The limit is decoding JPEG.
video    `Faces.from_videos`, which checks every frame that comes after a seek, against
         `cv2.VideoCapture`, which does not: frames in order against a loop of `read`,
         and shuffled ones, in batches, against `set(CAP_PROP_POS_FRAMES)` (or `grab`
         where a frame is near) and `read`; and the pass that counts frames. The limit
         is decoding. --video is a file to measure instead of one that is made.

All sides run in turn; times are minima over the repeats, memory is what the process
grew by. OpenCV's own threads are off, so each side has the threads it says.
"""

import argparse
import pickle
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from time import perf_counter, sleep

import cv2
import numpy as np
import pandas as pd

from _timing import best_of
from skfau import FaceAligner, Faces
from skfau.datasets import load_bp4d, make_faces
from skfau.exceptions import DatasetWarning
from skfau.facs import DATASET_AUS
from skfau.preprocessing import prepare

AUS = DATASET_AUS["bp4d"]
PER_VIDEO = 500


def write_tree(root, n_frames, rng):
    """Write small images, labels and landmarks of n_frames frames."""
    made = make_faces(n_subjects=2, n_frames=4, image_size=256, random_state=0)
    pictures = [cv2.imencode(".jpg", im[..., ::-1])[1].tobytes() for im in made.data]
    labels, points = root / "AUCoding" / "AU_OCC", root / "landmarks68"
    labels.mkdir(parents=True)
    points.mkdir()
    for k in range(-(-n_frames // PER_VIDEO)):
        name = f"F{k // 8 + 1:03d}_T{k % 8 + 1}"
        folder = root.joinpath("2D+3D", *name.split("_"))
        folder.mkdir(parents=True)
        frames = np.arange(1, PER_VIDEO + 1)
        for frame in frames:
            (folder / f"{frame:04d}.jpg").write_bytes(pictures[frame % len(pictures)])
        codes = rng.choice([0, 1, 9], (PER_VIDEO, 99))
        table = pd.DataFrame(codes, columns=range(1, 100))
        table.insert(0, "0", frames)
        table.to_csv(labels / f"{name}.csv", index=False)
        landmarks = made.data.landmarks[frames % len(pictures)].reshape(-1, 136)
        noise = landmarks + rng.normal(0, 0.5, landmarks.shape)
        np.savetxt(
            points / f"{name}.csv", np.c_[frames, noise], fmt="%.2f", delimiter=","
        )


def plain_load(root):
    """Read everything with pandas, as data set classes of the field do."""
    tables = []
    for path in sorted((root / "AUCoding" / "AU_OCC").glob("*.csv")):
        table = pd.read_csv(path)[["0", *map(str, AUS)]].rename(columns={"0": "frame"})
        points = pd.read_csv(root / "landmarks68" / path.name, header=None)
        table = table.merge(points, left_on="frame", right_on=0, how="left")
        folder = root.joinpath("2D+3D", *path.stem.split("_"))
        images = pd.DataFrame({"path": [str(p) for p in folder.glob("*.jpg")]})
        images["frame"] = images["path"].map(lambda p: int(Path(p).stem))
        tables.append(table.merge(images, on="frame"))
    table = pd.concat(tables, ignore_index=True)
    labels = table[list(map(str, AUS))].replace(9, np.nan).to_numpy(np.float32)
    points = table[list(range(1, 137))].to_numpy(np.float32).reshape(-1, 68, 2)
    return table["path"].tolist(), labels, points


def plain_prepare(paths, matrices, out):
    crops = np.lib.format.open_memmap(out, "w+", np.uint8, (len(paths), 200, 200, 3))
    for k, path in enumerate(paths):
        crops[k] = cv2.warpAffine(cv2.imread(path), matrices[k], (200, 200))
    crops.flush()


class Memory:
    """Peak growth of the process while the block runs, in MB (Linux)."""

    def __enter__(self):
        self._start = self.peak = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._done.set()
        self._thread.join()
        self.grown = self.peak - self._start

    def _watch(self):
        while not self._done.is_set():
            self.peak = max(self.peak, self._now())
            sleep(0.005)

    @staticmethod
    def _now():
        text = Path("/proc/self/status").read_text()
        # Without pages of mapped files, which the system can drop at any time.
        return int(text.split("RssAnon:")[1].split()[0]) / 1024


def measure(function):
    """Return seconds and MB of one call."""
    with Memory() as memory:
        start = perf_counter()
        function()
        seconds = perf_counter() - start
    return seconds, memory.grown


def bench_load(root, repeats):
    index = root / "index.npz"
    first = measure(lambda: load_bp4d(root, index=index))
    theirs = measure(lambda: plain_load(root))
    again = measure(lambda: load_bp4d(root, index=index))
    ours, loop = best_of(
        [lambda: load_bp4d(root, index=index), lambda: plain_load(root)], repeats
    )
    bunch = load_bp4d(root, index=index)
    paths, labels, points = plain_load(root)
    np.testing.assert_array_equal(bunch.target, labels)
    np.testing.assert_array_equal(bunch.data.landmarks, points)
    print(
        f"load {len(paths)} frames: pandas {loop:.2f} s ({theirs[1]:.0f} MB), first "
        f"{first[0]:.2f} s ({first[1]:.0f} MB), again {ours:.2f} s ({again[1]:.0f} MB)"
    )
    print(
        f"  ratio pandas / first {theirs[0] / first[0]:.2f}, pandas / again "
        f"{loop / ours:.2f}"
    )
    return bunch, paths


def bench_prepare(bunch, paths, n_crops, folder, repeats):
    faces, paths = bunch.data[:n_crops], paths[:n_crops]
    aligner = FaceAligner(landmarks="given", n_jobs=2)
    matrices = aligner.transform(faces).column("matrix")
    ours, theirs = folder / "ours", folder / "theirs.npy"

    def library():
        # Files of earlier runs, still on their way to the disk, would slow this one.
        shutil.rmtree(ours, ignore_errors=True)
        prepare(faces, aligner, ours)

    def loop():
        theirs.unlink(missing_ok=True)
        plain_prepare(paths, matrices, theirs)

    sides = [loop, library]
    memory = [measure(side)[1] for side in sides]
    slow, fast = best_of(sides, repeats)
    again = best_of([lambda: prepare(faces, aligner, ours)], 2)[0]
    print(
        f"prepare {n_crops} crops: cv2 {n_crops / slow:.0f}/s ({memory[0]:.0f} MB), "
        f"2 threads {n_crops / fast:.0f}/s ({memory[1]:.0f} MB), called again "
        f"{again:.2f} s"
    )
    print(f"  ratio cv2 / prepare {slow / fast:.2f}")


def write_video(path, n_frames):
    """Write an MP4 of moving noise, which costs about as much as a film."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    noise = cv2.resize(noise, (1280, 720), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (640, 360))
    for frame in range(n_frames):
        x, y = 2 * frame % 640, frame % 360
        writer.write(noise[y : y + 360, x : x + 640])
    writer.release()


def plain_video(path, batches):
    """Read frames without a look at what comes."""
    capture, at = cv2.VideoCapture(str(path)), 0
    for batch in batches:
        for frame in np.sort(batch):
            if not at <= frame <= at + 32:
                capture.set(cv2.CAP_PROP_POS_FRAMES, int(frame))
                at = frame
            for _ in range(frame - at):
                capture.grab()
            cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
            at = frame + 1


def read_all(path, blocks):
    """Read frames in order, and hold as many at a time."""
    capture = cv2.VideoCapture(str(path))
    for block in blocks:
        [capture.read()[1] for _ in block]


def bench_video(path, batch_size, repeats):
    started = perf_counter()
    faces = Faces.from_videos([path])
    first = perf_counter() - started
    order = np.arange(len(faces))
    shuffled = np.random.default_rng(0).permutation(order)[:128]
    blocks, batches = (
        np.split(rows, range(batch_size, len(rows), batch_size))
        for rows in (order, shuffled)
    )

    def ours(batches):
        fresh = pickle.loads(pickle.dumps(faces))
        for batch in batches:
            fresh.read(batch)

    loop, in_order, theirs, random = best_of(
        [
            lambda: read_all(path, blocks),
            lambda: ours(blocks),
            lambda: plain_video(path, batches),
            lambda: ours(batches),
        ],
        repeats,
    )
    height, width = faces.image_shape
    print(
        f"video {len(faces)} frames of {width} x {height}: read {len(faces) / loop:.0f}"
        f"/s, in order {len(faces) / in_order:.0f}/s, shuffled "
        f"{len(shuffled) / random:.0f}/s (unchecked {len(shuffled) / theirs:.0f}/s), "
        f"counted in {first:.2f} s"
    )
    print(
        f"  ratio read / in order {loop / in_order:.2f}, unchecked / shuffled "
        f"{theirs / random:.2f}, read / counted {loop / first:.2f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--crops", type=int, default=4000)
    parser.add_argument("--video", type=Path, help="measure this file alone")
    parser.add_argument("--small", action="store_true", help="finish in seconds")
    options = parser.parse_args()
    n_frames, n_crops = (1000, 64) if options.small else (options.frames, options.crops)
    warnings.simplefilter("ignore", DatasetWarning)
    cv2.setNumThreads(1)
    if options.video:
        bench_video(options.video, batch_size=32, repeats=5)
        return
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        write_video(film, 200 if options.small else 1000)
        bench_video(film, batch_size=32, repeats=2 if options.small else 5)
        root = Path(folder, "bp4d")
        write_tree(root, n_frames, np.random.default_rng(0))
        # The index does not trust what was written within the last two seconds.
        sleep(2.1)
        bunch, paths = bench_load(root, repeats=2)
        bench_prepare(bunch, paths, n_crops, Path(folder), repeats=3)


if __name__ == "__main__":
    main()
