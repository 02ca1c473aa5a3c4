"""What kills, full disks and damaged files do: a campaign, counted.

    python benchmarks/bench_reliability.py [--kills 120] [--disks 60]
        [--mutations 5000] [--seed 0] [--small]

A job writes files and gives a result. It is killed at random times, run on a disk that
takes only part of its files, and run over files that were changed at random. Then it
is run again. Counted is whether the result is the one of an undisturbed run, whether
an error is of the library's kinds and names the file, and what stays in the folder.
"Silent" is another result from files that have a digest, "read otherwise" one from
files that have none, as text and most images. Jobs run in forks; Linux only.
"""

import argparse
import contextlib
import hashlib
import os
import resource
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch

import skfau
from skfau import Faces, nn
from skfau.datasets import load_bp4d, load_table, make_faces
from skfau.estimators import AUNetClassifier, ResNetClassifier
from skfau.preprocessing import FaceAligner, _prepare, prepare

SECONDS = 20
_prepare._BLOCK_ROWS = 4
made = make_faces(n_subjects=2, n_frames=6, image_size=48, random_state=0)


class Stopped(BaseException):
    """A job has taken too long, or enough."""


def digest(*arrays):
    """Return one digest of arrays."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


class Aligner(FaceAligner):
    """An aligner that stops before the third block if it is told so."""

    left = None

    def transform(self, X):
        """Align some faces."""
        if Aligner.left == 0:
            raise Stopped
        Aligner.left = None if Aligner.left is None else Aligner.left - 1
        return super().transform(X)


def small(**parameters):
    """Return a classifier that trains in a moment."""
    return ResNetClassifier(
        backbone="tiny",
        image_size=32,
        batch_size=8,
        n_threads=1,
        random_state=0,
        **parameters,
    )


class Jobs:
    """What is run: functions of a folder that return a digest of the result."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.clf = small(max_epochs=1).fit(made.data, made.target)
        self.chain = skfau.model_selection.AUVotingClassifier(
            [("a", self.clf), ("b", self.clf)]
        )
        self.aunet = AUNetClassifier(
            backbone="fan",
            fan_width=16,
            fan_stacks=1,
            fan_epochs=1,
            interval=1,
            image_size=32,
            max_epochs=1,
            augmentation=None,
            n_threads=1,
            random_state=0,
        ).fit(made.data, made.target)
        self._write_sources()

    def _write_sources(self):
        """Write a data set, a table and a video, dated back so that indexes hold."""
        self.bp4d = self.scratch / "bp4d"
        images, labels = self.bp4d / "2D+3D/F001/T1", self.bp4d / "AUCoding/AU_OCC"
        points = self.bp4d / "landmarks68"
        for folder in (images, labels, points):
            folder.mkdir(parents=True)
        for k in range(1, 5):
            cv2.imwrite(str(images / f"{k}.jpg"), np.full((8, 8, 3), 9 * k, np.uint8))
        rows = [[k, *(k % 2 for _ in range(24))] for k in range(1, 5)]
        lines = [",".join(map(str, row)) for row in [range(25), *rows]]
        (labels / "F001_T1.csv").write_text("\n".join(lines) + "\n")
        rows = [[k, *(k + np.arange(136))] for k in range(1, 5)]
        np.savetxt(points / "F001_T1.csv", rows, delimiter=",", fmt="%.2f")
        self.video = self.scratch / "video.avi"
        code = cv2.VideoWriter_fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(self.video), code, 20, (64, 64))
        for k in range(5):
            writer.write(np.full((64, 64, 3), 40 * k, np.uint8))
        writer.release()
        for path in self.scratch.rglob("*"):
            os.utime(path, (time.time() - 100,) * 2)

    # Files that are written.

    def save(self, folder):
        """Save a classifier."""
        self.clf.save(folder / "model")
        return self.load(folder)

    def save_chain(self, folder):
        """Save a chain."""
        skfau.save(self.aligned(), folder / "chain")
        return self.load_chain(folder)

    def aligned(self):
        """Return a pipeline of a fitted classifier."""
        from sklearn.pipeline import Pipeline

        return Pipeline([("align", FaceAligner(output_size=32)), ("clf", self.clf)])

    def memmap(self, folder):
        """Decode images into an array."""
        return digest(made.data.to_memmap(folder / "x.npy").images[...])

    def prepare(self, folder, *, verify=False):
        """Align faces into files."""
        faces = prepare(
            made.data, Aligner(output_size=32), folder, batch_size=4, verify=verify
        )
        return digest(faces.images[...], faces.landmarks, faces.column("matrix"))

    def prepare_verified(self, folder):
        """Align faces into files, and compare what is there."""
        return self.prepare(folder, verify=True)

    def fit(self, folder):
        """Fit with checkpoints."""
        clf = small(max_epochs=3, checkpoint_dir=folder).fit(made.data, made.target)
        return digest(*clf.network_state().values())

    def cache(self, folder):
        """Predict with features that are kept."""
        self.aunet.set_params(feature_cache=folder)
        return self.aunet.predict_proba(made.data)

    def index(self, folder):
        """Load a data set by its index."""
        bunch = load_bp4d(self.bp4d, aus=(1, 2), index=folder / "index.npz")
        return digest(bunch.target, bunch.data.landmarks)

    def video_index(self, folder):
        """Index a video."""
        os.environ["XDG_CACHE_HOME"] = str(folder)
        return digest(Faces.from_videos([self.video]).images[...])

    # Files that are read.

    def load(self, folder):
        """Load a classifier."""
        clf = ResNetClassifier.load(folder / "model")
        return digest(np.array(clf.aus_), clf.predict_proba(made.data[:2]))

    def load_chain(self, folder):
        """Load a chain."""
        chain = skfau.load(folder / "chain")
        return digest(chain.predict_proba(made.data[:2]))

    def start_from(self, folder):
        """Start a fit from a saved classifier."""
        clf = small(max_epochs=1, init_from=folder / "model")
        clf.fit(made.data[:8], made.target[:8])
        return digest(*clf.network_state().values())

    def weights(self, folder):
        """Read weights of a backbone."""
        backbone = nn.make_backbone("tiny", weights=folder / "weights.pth")
        return digest(*(v.numpy() for v in backbone.state_dict().values()))

    def labels(self, folder):
        """Load a data set's text files."""
        bunch = load_bp4d(folder, aus=(1, 2), index=None)
        return digest(bunch.target, bunch.data.landmarks)

    def table(self, folder):
        """Load a table with a tool's landmarks."""
        bunch = load_table(folder / "table.csv", landmarks="landmarks")
        return digest(bunch.target, bunch.data.landmarks)

    def matlab(self, folder):
        """Load points in MATLAB's files."""
        bunch = load_bp4d(
            folder, aus=(1, 2), index=None, landmarks="2DFeatures", first_frame=1
        )
        return digest(bunch.data.landmarks)

    def image(self, folder):
        """Decode an image."""
        faces = Faces([next(folder.iterdir())])
        return digest(faces.images[0])

    def film(self, folder):
        """Decode a video."""
        os.environ["XDG_CACHE_HOME"] = str(self.scratch / "cache")
        faces = Faces.from_videos([folder / "video.avi"])
        return digest(*(faces.images[k] for k in range(len(faces))))


def write_weights(jobs, folder):
    """Write the weights of a backbone."""
    backbone = nn.make_backbone("tiny")
    torch.save(backbone.state_dict(), folder / "weights.pth")


def write_table(jobs, folder):
    """Write a table, its image and landmarks as OpenFace writes them."""
    cv2.imwrite(str(folder / "a.png"), np.zeros((9, 9, 3), np.uint8))
    rows = ["path,subject,video,frame,AU1,AU12"]
    rows += [f"a.png,s,v,{k},{k % 2},1" for k in range(1, 5)]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    (folder / "landmarks").mkdir()
    names = [f"{axis}_{k}" for axis in "xy" for k in range(68)]
    rows = [["frame", "confidence", "success", *names]]
    rows += [[k, 0.9, 1, *(np.arange(136) + k)] for k in range(1, 5)]
    lines = [", ".join(map(str, row)) for row in rows]
    (folder / "landmarks" / "v.csv").write_text("\n".join(lines) + "\n")


def write_matlab(jobs, folder):
    """Write BP4D's tracked points."""
    shutil.copytree(jobs.bp4d, folder, dirs_exist_ok=True)
    (folder / "2DFeatures").mkdir()
    with h5py.File(folder / "2DFeatures" / "F001_T1.mat", "w") as file:
        names = []
        for k in range(4):
            file[f"#refs#/{k}"] = np.arange(98.0).reshape(2, 49) + k
            names.append(file[f"#refs#/{k}"].ref)
        entries = file.create_dataset("fit/pred", (1, 4), dtype=h5py.ref_dtype)
        entries[0] = names


def write_image(suffix):
    """Return a function that writes an image of a format."""

    def write(jobs, folder):
        image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
        cv2.imwrite(str(folder / f"a{suffix}"), cv2.GaussianBlur(image, (5, 5), 2))

    return write


def interrupt(jobs, folder):
    """Leave a journal of two blocks."""
    Aligner.left = 2
    with contextlib.suppress(Stopped):
        jobs.prepare(folder)
    Aligner.left = None


def first_epoch(jobs, folder):
    """Leave a checkpoint of a fit of two epochs, of three."""
    small(max_epochs=2, checkpoint_dir=folder).fit(made.data, made.target)


def run(name):
    """Return a function that lets a job write its files."""
    return lambda jobs, folder: getattr(jobs, name)(folder)


WRITERS = [
    "save",
    "save_chain",
    "memmap",
    "prepare",
    "fit",
    "cache",
    "index",
    "video_index",
]
# Files, what writes them, what reads them, whether a change can be known, and a share.
DAMAGED = {
    "saved model": ("model", run("save"), "load", True, 9),
    "saved chain": ("chain", run("save_chain"), "load_chain", True, 6),
    "init_from": ("model", run("save"), "start_from", True, 2),
    "checkpoint": ("*.pt", first_epoch, "fit", True, 4),
    "prepared.json": ("prepared.json", run("prepare"), "prepare", True, 5),
    "prepared header": ("*.npy", run("prepare"), "prepare", True, 4),
    "prepared arrays": ("*.npy", run("prepare"), "prepare_verified", True, 4),
    "journal": ("journal.jsonl", interrupt, "prepare", True, 4),
    "index": ("index.npz", run("index"), "index", True, 5),
    "video index": ("skfau/videos/*", run("video_index"), "video_index", True, 3),
    "feature cache": ("*.npy", run("cache"), "cache", True, 4),
    "weights": ("weights.pth", write_weights, "weights", False, 4),
    "labels": ("AUCoding/*/*", None, "labels", False, 6),
    "landmarks": ("landmarks68/*", None, "labels", False, 6),
    "MATLAB file": ("2DFeatures/*", write_matlab, "matlab", False, 4),
    "table": ("table.csv", write_table, "table", False, 6),
    "OpenFace": ("landmarks/*", write_table, "table", False, 6),
    "PNG": ("a.png", write_image(".png"), "image", False, 5),
    "JPEG": ("a.jpg", write_image(".jpg"), "image", False, 5),
    "BMP": ("a.bmp", write_image(".bmp"), "image", False, 3),
    "AVI": ("video.avi", None, "film", False, 5),
}
HEADER_ONLY = {"prepared header"}


def names(folder):
    """Return the names of a folder's files."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def in_fork(function):
    """Return the process id of a fork that runs a function and exits with its code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 9
    try:
        code = function()
    finally:
        os._exit(code)


def is_fault(outcome):
    """Say whether a job ended without a result."""
    return str(outcome) in ("bare", "unnamed", "refused", "hang")


def same(outcome, result):
    """Say whether a job gave the result of an undisturbed run.

    Features that are computed again in a smaller batch differ in the last bit.
    """
    if is_fault(outcome) or isinstance(result, str):
        return str(outcome) == str(result)
    return np.allclose(outcome, result, rtol=0, atol=1e-5)


def kinds_of(error, folder):
    """Say whether an error is of the library's kinds and names a file."""
    if not isinstance(error, OSError | ValueError | FloatingPointError):
        return "bare"
    return "refused" if str(folder) in str(error) else "unnamed"


def kill(jobs, name, expected, rng, folder):
    """Kill a job at a random time, run it again; return what came of it."""
    seconds, result, files = expected[name]
    child = in_fork(lambda: getattr(jobs, name)(folder) is None)
    time.sleep(rng.uniform(0, seconds))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    outcome = attempt(jobs, name, folder)
    return {
        "killed": os.WIFSIGNALED(status),
        "same": same(outcome, result),
        "left over": names(folder) != files,
        "error": is_fault(outcome),
    }


def fill(jobs, name, expected, rng, folder):
    """Run a job where files cannot grow beyond a random size, then where they can."""
    _, result, files = expected[name]

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        outcome = attempt(jobs, name, folder, OSError)
        return 3 if str(outcome) == "refused" else 0 if same(outcome, result) else 5

    # Of the longest file some part.
    whole = folder.with_name(f"{folder.name}-whole")
    whole.mkdir()
    getattr(jobs, name)(whole)
    size = int(rng.uniform(0, max(p.stat().st_size for p in whole.rglob("*"))))
    child = in_fork(limited)
    _, status = os.waitpid(child, 0)
    partial = [name for name in names(folder) if "partial" in name.split(".")[-1]]
    code = os.waitstatus_to_exitcode(status)
    again = attempt(jobs, name, folder)
    return {
        "named OSError": code == 3,
        "went on": code == 0,
        "crash": code < 0,
        "other error": code > 3,
        "left over": name != "prepare" and bool(partial),
        "same again": same(again, result) and names(folder) == files,
    }


def attempt(jobs, name, folder, kind=Exception):
    """Return a job's digest, or what became of it."""

    def late(*_):
        raise Stopped

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return getattr(jobs, name)(folder)
    except Stopped:
        return "hang"
    except Exception as error:
        found = kinds_of(error, folder) if isinstance(error, kind) else "bare"
        if found != "refused" and os.environ.get("SHOW"):
            print(f"    {name}: {type(error).__name__}: {str(error)[:150]}")
        return found
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def mutate(data, rng, end=None):
    """Change, cut, insert, double or leave out bytes at random places."""
    data = bytearray(data)
    end = len(data) if end is None else min(end, len(data))
    at, length = int(rng.integers(end)), int(rng.integers(1, 40))
    how = rng.integers(7)
    if how == 0:
        data[at] ^= 1 << rng.integers(8)
    elif how == 1:
        data[at] = rng.integers(256)
    elif how == 2:
        data[at : at + length] = rng.bytes(len(data[at : at + length]))
    elif how == 3 and end == len(data):
        del data[at:]
    elif how == 4 and end == len(data):
        data[at:at] = data[at : at + length]
    elif how == 5 and end == len(data):
        del data[at : at + length]
    else:
        for _ in range(5):
            data[int(rng.integers(end))] = rng.integers(256)
    return bytes(data)


def damage(jobs, kind, whole, rng, folder):
    """Change a file, use it; return what came of it."""
    pattern, _, reader, known, _ = DAMAGED[kind]
    shutil.copytree(whole.path, folder)
    files = sorted(folder.glob(pattern))
    path = files[rng.integers(len(files))]
    data = path.read_bytes()
    path.write_bytes(mutate(data, rng, 110 if kind in HEADER_ONLY else None))
    if path.read_bytes() == data:
        return {"same": True}
    os.utime(path, (time.time() - 100,) * 2)
    outcome = attempt(jobs, reader, folder)
    if same(outcome, whole.result):
        return {"same": True}
    if is_fault(outcome):
        return {outcome: True}
    return {"silent" if known else "read otherwise": True}


class Whole:
    """The files of a kind before they are damaged, and the result they give."""

    def __init__(self, jobs, kind, folder):
        _, write, reader, _, _ = DAMAGED[kind]
        self.path = folder / kind.replace(" ", "-")
        self.path.mkdir()
        if write is not None:
            write(jobs, self.path)
        elif kind == "AVI":
            shutil.copy(jobs.video, self.path)
        else:
            shutil.copytree(jobs.bp4d, self.path, dirs_exist_ok=True)
        copy = folder / "copy"
        shutil.copytree(self.path, copy)
        self.result = getattr(jobs, reader)(copy)
        shutil.rmtree(copy)


def tabulate(title, columns, rows):
    """Print counts by job; return those of all."""
    print(f"\n{title}")
    print(f"{'':16}" + "".join(f"{c:>15}" for c in ["trials", *columns]))
    for name, trials in rows.items():
        counts = [sum(bool(t.get(c)) for t in trials) for c in columns]
        print(f"{name:16}" + "".join(f"{c:15d}" for c in [len(trials), *counts]))
    trials = [t for some in rows.values() for t in some]
    counts = [sum(bool(t.get(c)) for t in trials) for c in columns]
    print(f"{'all':16}" + "".join(f"{c:15d}" for c in [len(trials), *counts]))
    return dict(zip(columns, counts, strict=True))


def disturb(jobs, how, n, rng, scratch):
    """Disturb each writer `n` times in all; return the trials by writer."""
    expected = {}
    for name in WRITERS[:n]:
        folder = scratch / f"{how.__name__}-{name}"
        folder.mkdir()
        start = time.perf_counter()
        result = getattr(jobs, name)(folder)
        expected[name] = time.perf_counter() - start, result, names(folder)
    trials = {name: [] for name in expected}
    for k in range(n):
        name = list(expected)[k % len(expected)]
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            folder = Path(folder) / "x"
            folder.mkdir()
            trials[name].append(how(jobs, name, expected, rng, folder))
    return trials


def damage_all(jobs, n, rng, scratch):
    """Damage files of all kinds `n` times in all; return the trials by kind."""
    total = sum(share for *_, share in DAMAGED.values())
    trials = {}
    for kind, (*_, share) in DAMAGED.items():
        whole = Whole(jobs, kind, scratch)
        trials[kind] = []
        for _ in range(max(1, round(n * share / total))):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                found = damage(jobs, kind, whole, rng, Path(folder) / "x")
                trials[kind].append(found)
    return trials


def main():
    """Run the campaign and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--disks", type=int, default=60)
    parser.add_argument("--mutations", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a few of each")
    options = parser.parse_args()
    if options.small:
        options.kills, options.disks, options.mutations = 3, 3, 21
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    # OpenCV's threads do not live on in a fork.
    cv2.setNumThreads(0)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        jobs = Jobs(Path(scratch))
        columns = ["killed", "same", "error", "left over"]
        trials = disturb(jobs, kill, options.kills, rng, Path(scratch))
        faults = tabulate("kill -9, then the same call", columns, trials)
        columns = ["named OSError", "went on", "crash", "other error"]
        trials = disturb(jobs, fill, options.disks, rng, Path(scratch))
        columns += ["left over", "same again"]
        faults |= tabulate("a full disk, then room", columns, trials)
        columns = ["same", "refused", "unnamed", "bare", "hang", "silent"]
        trials = damage_all(jobs, options.mutations, rng, Path(scratch))
        columns += ["read otherwise"]
        faults |= tabulate("changed files", columns, trials)
    bad = ("error", "crash", "other error", "unnamed", "bare", "hang", "silent")
    if sum(faults[name] for name in bad):
        raise SystemExit("some of these are faults")


if __name__ == "__main__":
    main()
