"""An epoch on two devices beside one: two processes of one thread, on two cores.

    python benchmarks/bench_devices.py [--small] [--repeats 3] [--backbone resnet18]

Three sides in turns, wall time of an epoch, the shortest counts:

1. one process with one thread;
2. two processes, which share every batch (``device=["cpu", "cpu"]``);
3. two processes that know nothing of each other and train on half the faces each, in
   batches of half the size: what two cores of this machine give at this moment, and so
   the limit for 2. Of two idle cores it would be 2.00.
"""

import argparse

from joblib import Parallel, delayed
from skorch.callbacks import EpochTimer

from skfau import ResNetClassifier
from skfau.datasets import make_faces


def seconds_of(faces, labels, batch_size, backbone, device="cpu"):
    """Return the seconds of the faster of two epochs."""
    clf = ResNetClassifier(
        backbone=backbone,
        weights=None,
        image_size=112,
        batch_size=batch_size,
        max_epochs=2,
        device=device,
        n_threads=1,
        callbacks=[EpochTimer()],
        random_state=0,
    ).fit(faces, labels)
    return min(epoch["dur"] for epoch in clf.history_)


def main():
    """Measure and print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few faces, for a trial")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backbone", default="resnet18")
    options = parser.parse_args()
    n_frames, repeats = (4, 1) if options.small else (32, options.repeats)
    backbone = "tiny" if options.small else options.backbone
    made = make_faces(n_subjects=8, n_frames=n_frames, image_size=112, random_state=0)
    faces, labels, half = made.data, made.target, len(made.target) // 2
    one, two, apart = [], [], []
    for _ in range(repeats):
        one.append(seconds_of(faces, labels, 32, backbone))
        two.append(seconds_of(faces, labels, 32, backbone, ["cpu", "cpu"]))
        fits = Parallel(2, pre_dispatch="all", batch_size=1)(
            delayed(seconds_of)(faces[rows], labels[rows], 16, backbone)
            for rows in (slice(half), slice(half, None))
        )
        apart.append(max(fits))
    sides = {"one process": one, "two that share": two, "two apart (limit)": apart}
    for name, seconds in sides.items():
        best, gain = min(seconds), min(one) / min(seconds)
        print(f"{backbone}, {name:18} {best:7.2f} s an epoch, {gain:.2f} times")


if __name__ == "__main__":
    main()
