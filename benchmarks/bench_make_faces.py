"""Speed of make_faces, against the pixel work that no drawing can avoid.

Run: python benchmarks/bench_make_faces.py [--small]

Measured: `make_faces` at 112 pixels on all cores, in frames per second. The physical
limit is set by what happens to every pixel of every frame whatever is drawn, on as many
threads: fill a canvas of twice the size with the wall and once more with a face,
average it down, multiply it by the light, blur it, add noise, round it. Both sides run
in turn; times are minima over the repeats. OpenCV's own threads are off.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import joblib
import numpy as np

from skfau.datasets import make_faces

SIZE = 112


def pixel_work(n_frames, n_threads):
    """Do to every frame what has to be done to its pixels."""
    out = np.empty((n_frames, SIZE, SIZE, 3), dtype=np.uint8)
    wall = np.full((2 * SIZE, 2 * SIZE, 3), 150, dtype=np.uint8)
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outline = np.rint(SIZE + 0.8 * SIZE * ring).astype(np.int32)

    def work(rows):
        canvas = np.empty_like(wall)
        light = np.ones((SIZE, SIZE, 3), dtype=np.float32)
        for row in rows:
            np.copyto(canvas, wall)
            cv2.fillPoly(canvas, [outline], (200, 170, 150), cv2.LINE_AA)
            small = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            image = cv2.GaussianBlur(small * light, (0, 0), 0.4)
            rng = np.random.default_rng(row)
            image += rng.standard_normal((SIZE, SIZE, 1), dtype=np.float32)
            out[row] = np.clip(image, 0, 255, out=image)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, np.array_split(np.arange(n_frames), n_threads)))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few seconds")
    options = parser.parse_args()
    n_subjects, repeats = (4, 3) if options.small else (24, 7)
    n_frames, n_threads = 60 * n_subjects, joblib.cpu_count()
    cv2.setNumThreads(1)
    sides = (
        lambda: make_faces(n_subjects, image_size=SIZE, random_state=0),
        lambda: pixel_work(n_frames, n_threads),
    )
    times, busy = np.empty((2, repeats, len(sides)))
    for repeat in range(repeats):
        for i, side in enumerate(sides):
            start, start_busy = time.perf_counter(), time.process_time()
            side()
            times[repeat, i] = time.perf_counter() - start
            busy[repeat, i] = time.process_time() - start_busy
    made, limit = n_frames / times.min(axis=0)
    print(f"{n_frames} frames of {SIZE} x {SIZE}, {n_threads} threads")
    print(
        f"make_faces {made:8.0f} frames/s, {n_frames / busy[:, 0].min():.0f} per core"
    )
    print(f"pixel work {limit:8.0f} frames/s")
    print(f"ratio      {limit / made:8.2f}  (1 would be the physical limit)")


if __name__ == "__main__":
    main()
