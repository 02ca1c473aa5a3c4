"""Speed of ROI heatmaps, against drawing them with OpenCV.

Run: python benchmarks/bench_heatmaps.py [--small]

Measured: maps of BP4D's twelve AUs for 256 faces, on one thread. The other side is
what one writes by hand: per face and AU, two cv2.ellipse on a 224 x 224 canvas,
cv2.GaussianBlur (sigma 3), cv2.resize to the map by area. Both sides run in turn;
times are minima over the repeats. Also printed: the mean difference between both, and
JAA-Net's diamonds, whose other side is its double loop over the cells around a centre.
The physical limit is memory traffic: per AU, 48 rows of three tables are read from the
second-level cache, 83 kB per image for maps of 12 x 12 and 0.3 MB for 44 x 44, which
takes some 5 and 20 microseconds at 15 GB/s.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")


import cv2
import numpy as np

from _timing import best_of
from skfau.facs import DATASET_AUS, roi_rule
from skfau.preprocessing import roi_heatmaps
from skfau.preprocessing._similarity import MEAN_FACE

AUS = DATASET_AUS["bp4d"]


def centres_of(landmarks, au):
    unit = abs(landmarks[39, 0] - landmarks[42, 0])
    for points, dy in roi_rule(au):
        yield landmarks[list(points)].mean(axis=0) + np.array([0, dy * unit]), unit


def draw_ellipses(faces, size):
    maps = np.empty((len(faces), len(AUS), size, size), np.float32)
    for landmarks, row in zip(faces, maps, strict=True):
        for au, out in zip(AUS, row, strict=True):
            canvas = np.zeros((224, 224), np.float32)
            for (x, y), unit in centres_of(landmarks, au):
                axes = round(0.5 * unit), round(0.35 * unit)
                cv2.ellipse(canvas, (round(x), round(y)), axes, 0, 0, 360, 1, -1)
            canvas = cv2.GaussianBlur(canvas, (0, 0), 3)
            cv2.resize(canvas, (size, size), out, interpolation=cv2.INTER_AREA)
    return maps


def loop_diamonds(faces, size):
    maps = np.zeros((len(faces), len(AUS), size, size), np.float32)
    half = round((size - 1) / 2 * 0.14)
    for landmarks, row in zip(faces, maps, strict=True):
        for au, out in zip(AUS, row, strict=True):
            for centre, _ in centres_of(landmarks, au):
                x, y = np.rint((centre + 0.5) * size / 224 - 0.5).astype(int)
                for i in range(max(y - half, 0), min(y + half + 1, size)):
                    for j in range(max(x - half, 0), min(x + half + 1, size)):
                        value = 1 - (abs(i - y) + abs(j - x)) * 0.56 / (0.14 * size)
                        out[i, j] = max(out[i, j], value)
    return maps


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="finish in seconds")
    small = parser.parse_args().small
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    faces = MEAN_FACE * 80 + np.array([111.5, 80]) + rng.normal(0, 8, (256, 1, 2))
    faces = (faces + rng.normal(0, 1.5, (256, 68, 2))).astype(np.float32)
    drawn = faces[: 32 if small else 256]
    for shape, other, size in [
        ("ellipse", draw_ellipses, 12),
        ("ellipse", draw_ellipses, 44),
        ("diamond", loop_diamonds, 44),
    ]:

        def ours(shape=shape, size=size):
            return roi_heatmaps(faces, AUS, (224, 224), size=size, shape=shape)

        def theirs(other=other, size=size):
            return other(drawn, size)

        difference = np.abs(ours()[: len(drawn)] - theirs()).mean()
        seconds = best_of([ours, theirs], 3 if small else 10)
        closed, loop = seconds * 1e6 / (len(faces), len(drawn))
        print(
            f"{shape} {size:2d} x {size}: {closed:6.1f} us/image, loop {loop:7.0f} "
            f"us/image, {loop / closed:5.0f} times faster; mean difference "
            f"{difference:.4f}"
        )


if __name__ == "__main__":
    main()
