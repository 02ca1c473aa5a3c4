"""Speed of FaceAligner with landmarks given, against bare cv2.warpAffine.

Run: python benchmarks/bench_align.py [--small]

Measured: from source frames (480 x 640 RGB in memory) and landmarks to aligned
200 x 200 crops: `transform` and decoding of the result, with one and two threads. The
physical limit is the warp itself, so the other side is a loop of cv2.warpAffine over
the same matrices into the same array, in as many plain threads. OpenCV's own threads
are off in this process, so that both sides use as many cores as they have threads.
Both sides run in turn; times are minima over the repeats.
Also printed: a scale below one half (the anti-aliased path), where the other side
skips pixels, and the closed-form fit alone.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from _timing import best_of
from skfau import Faces
from skfau.preprocessing import FaceAligner
from skfau.preprocessing._similarity import MEAN_FACE, align_landmarks


def make_faces(n_faces, eye_distance, rng):
    images = rng.integers(0, 256, (n_faces, 480, 640, 3), dtype=np.uint8)
    roll = np.exp(1j * rng.uniform(-0.3, 0.3, (n_faces, 1)))
    points = roll * (MEAN_FACE @ [1, 1j])[None] * eye_distance
    points = points + rng.uniform(-20, 20, (n_faces, 1)) + 320 + 200j
    landmarks = np.stack([points.real, points.imag], axis=2).astype(np.float32)
    return Faces(images, landmarks=landmarks), images, landmarks


def bare(images, matrices, n_threads):
    out = np.empty((len(images), 200, 200, 3), dtype=np.uint8)

    def warp(rows):
        for row in rows:
            cv2.warpAffine(images[row], matrices[row], (200, 200), dst=out[row])

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(warp, np.array_split(np.arange(len(images)), n_threads)))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="finish in seconds")
    small = parser.parse_args().small
    n_faces, repeats = (64, 5) if small else (256, 15)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    print(
        f"OpenCV {cv2.__version__}, {n_faces} frames of 480 x 640, crops of 200 x 200"
    )
    for label, eye_distance in (("scale 1.0", 64), ("scale 0.4", 160)):
        faces, images, landmarks = make_faces(n_faces, eye_distance, rng)
        matrices, _ = align_landmarks(landmarks, "eyes-nose-mouth", 200)
        for n_threads in (1, 2):
            aligner = FaceAligner(n_jobs=n_threads)
            ours, theirs = best_of(
                [
                    lambda a=aligner, f=faces: a.transform(f).images[...],
                    lambda i=images, m=matrices, n=n_threads: bare(i, m, n),
                ],
                repeats,
            )
            print(
                f"{label}, {n_threads} thread(s): aligner {n_faces / ours:6.0f}/s, "
                f"warpAffine {n_faces / theirs:6.0f}/s, ratio {theirs / ours:.2f}"
            )
    many = np.repeat(landmarks, 20, axis=0)
    fit = best_of([lambda: align_landmarks(many, "eyes-nose-mouth", 200)], repeats)[0]
    print(f"closed-form fit alone: {fit / len(many) * 1e6:.2f} us per face")


if __name__ == "__main__":
    main()
