"""Speed of face detection with 68 landmarks on one photograph.

Run: python benchmarks/bench_detection.py [--small]   (needs scikit-image)

Measured: `MeshDetector` on skimage's astronaut (512 x 512), where the short-range
network suffices (1 box + 2 mesh passes), and on a picture without a face, which also
asks the full-range network. The physical limit is the networks' own arithmetic, so the
other side is the same forward passes on ready input arrays, in turn with ours; the
ratio says what resizing, warping and decoding of boxes cost on top. With two threads
the images are shared out. OpenCV's own threads are off in this process.
"""

import argparse
import time

import cv2
import numpy as np
from skimage.data import astronaut, coffee

from _timing import best_of
from skfau.preprocessing import MeshDetector
from skfau.preprocessing._mesh import with_nets

_MESH_OUTPUTS = ("conv2d_31", "conv2d_21")


def forward_passes(n_box_nets):
    """Return a function that only runs the networks."""
    inputs = {size: np.zeros((1, 3, size, size), np.float32) for size in (128, 192)}

    def run(nets):
        for net in (nets.short, nets.full)[:n_box_nets]:
            net.net.setInput(inputs[net.size])
            net.net.forward(net.outputs)
        for _ in range(2 if n_box_nets == 1 else 0):
            nets.mesh.setInput(inputs[192])
            nets.mesh.forward(_MESH_OUTPUTS)

    return lambda: with_nets(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="finish in seconds")
    repeats = 20 if parser.parse_args().small else 200
    cv2.setNumThreads(1)
    start = time.perf_counter()
    MeshDetector(n_jobs=1)([astronaut()])
    print(
        f"OpenCV {cv2.__version__}; first call, loading the networks: "
        f"{(time.perf_counter() - start) * 1e3:.0f} ms"
    )
    for label, image, n_box_nets in (
        ("face", astronaut(), 1),
        ("no face", coffee(), 2),
    ):
        detector = MeshDetector(n_jobs=1)
        ours, theirs = 1e3 * best_of(
            [lambda d=detector, i=image: d([i]), forward_passes(n_box_nets)], repeats
        )
        print(
            f"{label}: {ours:.1f} ms per image, networks alone {theirs:.1f} ms, "
            f"ratio {ours / theirs:.2f}"
        )
    images = [astronaut()] * 16
    one, two = 1e3 * best_of(
        [lambda n=n: MeshDetector(n_jobs=n)(images) for n in (1, 2)], repeats // 10
    )
    print(f"16 faces: {16e3 / one:.0f} images/s with 1 thread, {16e3 / two:.0f} with 2")


if __name__ == "__main__":
    main()
