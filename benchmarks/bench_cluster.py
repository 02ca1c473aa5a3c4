"""What a cluster would do with a million frames: measured here, then arithmetic.

    python benchmarks/bench_cluster.py [--small]

Two Dask workers of one thread on this machine, and a hundred that only sleep, give what
a large run is made of: bytes, seconds of a video, the scheduler's time for a task, what
a worker writes, and what is done at the end in one process. Seconds are of CPU time,
which others on the machine do not lengthen, where nothing else is said; the scheduler's
are those of the process that is client and scheduler. The films are copies of the one
in the package. Needs ``pip install 'skfau[dask]'``.
"""

import argparse
import contextlib
import pickle
import shutil
import tempfile
import time
import warnings
import zlib
from pathlib import Path

import dask
import numpy as np
from distributed import Client, LocalCluster
from distributed.comm.tcp import TCP
from distributed.protocol.pickle import dumps
from joblib import Parallel, delayed, parallel_config

from skfau import Faces
from skfau.cli import _predict, main
from skfau.cli._chain import Chain
from skfau.cli._search import search_elsewhere
from skfau.cli._sources import Source
from skfau.cli._work_folder import WorkFolder
from skfau.datasets import sample_files

# A busy machine is no fault.
warnings.filterwarnings("ignore", ".* taking a surprisingly long time", UserWarning)
WORKERS, VIDEOS, FRAMES = 100, 10_000, 1_000_000  # of the large run
FILM_FRAMES = 60  # of the film of the package
sent = []


def count_bytes():
    """Note what this process, client and scheduler in one, sends to others."""
    write = TCP.write

    async def count(self, *arguments, **options):
        sent.append(await write(self, *arguments, **options))
        return sent[-1]

    TCP.write = count


def nothing(_):
    """Do the work of a task that has none."""


def predict(folder, output):
    """Run the command over a folder of films; return CPU and wall seconds."""
    began = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(None):
        assert main(["predict", str(folder), "-o", str(output)]) == 0
    return time.process_time() - began[0], time.perf_counter() - began[1]


def per_task(work, n_tasks):
    """Return CPU seconds and bytes a task of many tasks of some work."""
    sent.clear()
    began = time.process_time()
    Parallel(batch_size=1)(delayed(work)(task) for task in range(n_tasks))
    return (time.process_time() - began) / n_tasks, sum(sent) / n_tasks


def warm_up():
    """Search a film, so that all is loaded that is loaded once."""
    with tempfile.TemporaryDirectory() as name:
        film = Source("video", (sample_files().film,))
        work = WorkFolder(Path(name) / "warm.csv", {})
        search_elsewhere(work, 0, film, None, "shipped", None)


def films(folder, n):
    """Write copies of the film."""
    folder.mkdir()
    for number in range(n):
        shutil.copy(sample_files().film, folder / f"{number:03}.mp4")
    return folder


def size_of_faces(n, n_videos, folder):
    """Return bytes of pickled faces whose pixels and landmarks are in mapped files."""
    for name, shape in (("x", (n, 2, 2, 3)), ("landmarks", (n, 68, 2))):
        dtype = np.uint8 if name == "x" else np.float32
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
    video, frame = np.divmod(np.arange(n), n // n_videos)
    faces = Faces(
        np.load(folder / "x.npy", mmap_mode="r"),
        landmarks=np.load(folder / "landmarks.npy", mmap_mode="r"),
        subject=[f"subject_{v // 10:04}" for v in video],
        video=[f"subject_{v // 10:04}_video_{v % 10:02}" for v in video],
        frame=frame,
    )
    data = pickle.dumps(faces)
    return len(data), len(zlib.compress(data, 1))


def write_and_join(n_videos, folder):
    """Return bytes and seconds of a video's parts, and seconds of joining them."""
    chain, film = Chain(None), Source("video", (sample_files().film,))
    work = WorkFolder(folder / "one.csv", {"videos": 1})
    search_elsewhere(work, 0, film, None, chain.digest, None)
    part = work.read(0, 0)
    # A video of the large run has so many frames.
    rows = np.arange(FRAMES // VIDEOS) % len(part["row"])
    part = {name: values[rows] for name, values in part.items()}
    part["row"] = part["frame"] = np.arange(len(rows))
    work = WorkFolder(folder / "many.csv", {"videos": n_videos})
    began = time.process_time()
    for number in range(n_videos):
        work.write(number, 0, part)
        work.close(number)
    wrote = time.process_time() - began
    sources, output = [film] * n_videos, folder / "many.csv"
    began = time.process_time()
    _predict._write_all(work, sources, chain, output, "all", "skfau", False)
    joined = time.process_time() - began
    on_disk = sum(path.stat().st_size for path in folder.rglob("*.npz")) / n_videos
    table = output.stat().st_size / n_videos
    return on_disk, wrote / n_videos, table, joined / n_videos


def on_two_workers(small, folder):
    """Return the figures of two real workers."""
    n_films = 2 if small else 12
    some = films(folder / "films", n_films)
    warm_up()
    alone, alone_wall = predict(some, folder / "alone.csv")
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as two,
        Client(two) as client,
        parallel_config("dask"),
    ):
        client.run(warm_up)
        started = sum(client.run(time.process_time).values())
        sent.clear()
        _, two_wall = predict(some, folder / "two.csv")
        n_bytes = sum(sent) / n_films
        worked = sum(client.run(time.process_time).values()) - started
        n_tasks = 200 if small else 10_000
        overhead, empty_bytes = per_task(nothing, n_tasks)
    same = (folder / "alone.csv").read_bytes() == (folder / "two.csv").read_bytes()
    print(f"{n_films} films of {FILM_FRAMES} frames, the same table: {same}")
    print(
        f"one process: {alone / n_films:.2f} s a film ({alone_wall:.1f} s wall in all)"
    )
    print(
        f"two workers: {worked / n_films:.2f} s a film ({two_wall:.1f} s wall in all)"
    )
    print(f"start of a worker: {started / 2:.1f} s, with a film")
    print(f"sent: {n_bytes:.0f} bytes a film, from the client and from the scheduler")
    print(
        f"{n_tasks} empty tasks: {1000 * overhead:.2f} ms, {empty_bytes:.0f} bytes each"
    )
    video = worked / n_films * FRAMES / VIDEOS / FILM_FRAMES
    return video, overhead, n_bytes, started / 2


def on_sleepers(small):
    """Run tasks that sleep, on workers that are threads here."""
    n_workers, n_tasks, seconds = (10, 40, 0.1) if small else (WORKERS, 1_000, 1.0)
    with (
        # A hundred workers in one process would be busy with looking at each other.
        dask.config.set({"distributed.worker.profile.enabled": False}),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=False,
            memory_limit=None,
            dashboard_address="127.0.0.1:0",
        ) as many,
        Client(many),
        parallel_config("dask"),
    ):
        began = time.process_time(), time.perf_counter()
        Parallel(batch_size=1)(delayed(time.sleep)(seconds) for _ in range(n_tasks))
        cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    ideal = n_tasks * seconds / n_workers
    print(
        f"{n_tasks} tasks that sleep {seconds} s, on {n_workers} workers: {cpu:.1f} s, "
        f"{wall:.1f} s wall, without any overhead {ideal:.1f} s wall"
    )


def task_size(folder):
    """Return the bytes of one pickled task."""
    work = WorkFolder(folder / "sized.csv", {})
    film = Source("video", (str(folder / "films" / "000.mp4"),))
    task = delayed(search_elsewhere)(work, 0, film, None, "shipped", None)
    return len(dumps(task))


def extrapolate(measured, size, parts, n_faces):
    """Print the large run, term by term."""
    video, overhead, n_bytes, start = measured
    on_disk, wrote, table, joined = parts
    print(f"\n{FRAMES:,} frames of {VIDEOS:,} videos on {WORKERS} workers\n")
    each = f"{VIDEOS:,} x {video:.2f} s / {WORKERS}"
    enough = f"{video / overhead:.0f} workers would wait for it"
    for name, seconds, how in (
        ("start of workers", start, "once, imports from the shared disk"),
        ("search", VIDEOS * video / WORKERS, each),
        ("writing parts", VIDEOS * wrote / WORKERS, "in the workers"),
        ("scheduler", VIDEOS * overhead, f"meanwhile; {enough}"),
        ("joining", VIDEOS * joined, "afterwards, in one process"),
    ):
        print(f"{name:18}{seconds:9.0f} s   {how}")
    for name, n, how in (
        ("tasks", VIDEOS * size, f"{size} bytes each; 2 a worker are on their way"),
        ("sent", VIDEOS * n_bytes, f"{n_bytes:.0f} bytes a video, two hops"),
        ("parts", VIDEOS * on_disk, "on the shared disk"),
        ("table", VIDEOS * table, ""),
        ("faces", n_faces[0], "of cross_val_score, in mapped files: once"),
        ("faces, zlib", n_faces[1], "the same, compressed"),
    ):
        print(f"{name:18}{n / 1e6:9.1f} MB  {how}".rstrip())


def run(small):
    """Measure and print."""
    count_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = on_two_workers(small, folder)
        size = task_size(folder)
        parts = write_and_join(5 if small else 1_000, folder)
        scale = 100 if small else 1
        faces = size_of_faces(FRAMES // scale, VIDEOS // scale, folder)
    on_sleepers(small)
    extrapolate(measured, size, parts, [scale * n for n in faces])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="seconds, not minutes")
    run(parser.parse_args().small)
