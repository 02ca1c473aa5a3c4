"""Memory of fit and predict_proba on a memory map, as the number of frames grows.

    python benchmarks/bench_memory.py [--frames 100000] [--small]

Each size runs in a fresh process; printed is the peak of its private memory above
what the process held once the classifier's class was imported. The faces are a
sparse file, so the disk holds little. The limit is the model, one batch and the
result (48 bytes a frame for 12 AUs).
"""

import argparse
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

JOB = textwrap.dedent(
    """
    import sys, threading, time
    from pathlib import Path
    import numpy as np, torch
    from skfau import Faces, FAUTransformerClassifier
    from skfau.datasets import make_faces

    def private():
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        # Not the file's own pages, which the system takes back as it likes.
        kb = [int(x.split()[1]) for x in lines if x.startswith("Anonymous")]
        return sum(kb) / 1024

    path, n = sys.argv[1], int(sys.argv[2])
    made = make_faces(n_subjects=2, n_frames=4, random_state=0)
    clf = FAUTransformerClassifier(backbone="tiny", image_size=48, batch_size=64,
                                   embedding_dim=16, max_epochs=1, random_state=0)
    clf.fit(made.data, np.indices(made.target.shape).sum(0) % 2)
    images = np.lib.format.open_memmap(path, "r")[:n]
    landmarks = np.broadcast_to(made.data.landmarks[:1], (n, 68, 2))
    base, peak, running = private(), [0.0], [True]

    def watch():
        while running[0]:
            peak[0] = max(peak[0], private())
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    faces = Faces(images, landmarks=landmarks, subject=np.arange(n) % 40)
    labels = np.zeros((n, 12), np.float32)
    labels[::2] = 1
    clf.fit(faces, labels)
    after_fit = peak[0] - base
    clf.predict_proba(faces)
    running[0] = False
    thread.join()
    print(f"{n:8d} frames  fit {after_fit:6.0f} MiB  both {peak[0] - base:6.0f} MiB")
    """
)


def main():
    """Run the sizes one after another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    frames = 1_000 if options.small else options.frames
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faces.npy"
        shape = (frames, 112, 112, 3)
        np.lib.format.open_memmap(path, "w+", np.uint8, shape).flush()
        for n in (frames // 10, frames):
            subprocess.run([sys.executable, "-c", JOB, str(path), str(n)], check=True)


if __name__ == "__main__":
    main()
