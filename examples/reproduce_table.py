"""A paper's table from a copy of its data set, ours beside the published figures
==============================================================================

``--data`` is a licensed copy of BP4D, BP4D+, DISFA, EmotioNet or Aff-Wild2 as it is
delivered, or anything in the same folders; ``skfau.protocols.PROTOCOLS`` has the pairs
of a system and a data set. Without it, made faces are written in BP4D's layout first:
the way is the same, the figures say nothing about BP4D. With ``--out`` a run that was
killed goes on where it was. ``--small`` takes a network that trains on a CPU; without
it the run is the published one, ImageNet weights included. ::

    python examples/reproduce_table.py [--data PATH] [--system NAME] [--dataset NAME]
                                       [--bp4d PATH] [--out FOLDER] [--small]
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np

from skfau import protocols
from skfau.datasets import make_faces, published_folds
from skfau.exceptions import DatasetWarning, MissingFaceWarning

SMALL = {
    "fau_transformer": {
        "backbone": "tiny",
        "weights": None,
        "embedding_dim": 32,
        "image_size": 64,
        "lr": 1e-3,
        "max_epochs": 3,
    },
    "wsarl": {
        "channels": 2,
        "image_size": 48,
        "max_epochs": 2,
        "crf_scale": 1,
        "crf_iterations": 2,
    },
    "resnet": {"backbone": "tiny", "image_size": 64, "max_epochs": 3},
}


def write_made_faces(root, n_frames=16):
    """Write two made subjects per published fold, images, codes and landmarks."""
    names = [name for part in published_folds("bp4d") for name in part[:2]]
    made = make_faces(len(names), n_frames, image_size=112, random_state=0)
    labels, points = root / "AUCoding" / "AU_OCC", root / "landmarks68"
    for folder in (labels, points):
        folder.mkdir(parents=True)
    for k, name in enumerate(names):
        rows = slice(k * n_frames, (k + 1) * n_frames)
        images = root / "2D+3D" / name / "T1"
        images.mkdir(parents=True)
        for frame, image in enumerate(made.data[rows], 1):
            cv2.imwrite(str(images / f"{frame:04d}.jpg"), image[..., ::-1])
        frames = np.arange(1, n_frames + 1)[:, None]
        header = ",".join(map(str, [0, *made.aus]))
        codes = np.hstack([frames, made.target[rows]]).astype(int)
        np.savetxt(
            *(labels / f"{name}_T1.csv", codes),
            delimiter=",",
            fmt="%d",
            header=header,
            comments="",
        )
        landmarks = made.data[rows].landmarks.reshape(n_frames, -1)
        table = np.hstack([frames, landmarks])
        np.savetxt(points / f"{name}_T1.csv", table, delimiter=",", fmt="%.2f")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path)
parser.add_argument("--system", default="fau_transformer")
parser.add_argument("--dataset", default="bp4d")
parser.add_argument("--bp4d", type=Path, help="where protocols from BP4D begin")
parser.add_argument("--out", type=Path, help="keep aligned faces and checkpoints here")
parser.add_argument("--small", action="store_true", help="a network for a CPU")
options = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    data = options.data
    changes = SMALL.get(options.system, {}) if options.small or data is None else {}
    if data is None:
        data = Path(folder, "bp4d")
        write_made_faces(data)
        # A dozen made faces are not BP4D; of a real copy it is good to know.
        warnings.simplefilter("ignore", DatasetWarning)
    protocol = protocols.PROTOCOLS[options.system, options.dataset]
    if protocol.pretrained_on and options.bp4d is None:
        changes = {**changes, "init_from": None}
    # Frames without landmarks stay black and are not scored.
    warnings.simplefilter("ignore", MissingFaceWarning)
    result = protocols.run(
        *(options.system, options.dataset, data),
        pretrain_root=options.bp4d,
        prepared=options.out or Path(folder, "aligned"),
        loader={"index": Path(folder, "index.npz")} if options.data is None else None,
        aligner={"output_size": 72} if changes else None,
        random_state=0,
        checkpoint_dir=options.out and options.out / "checkpoints",
        verbose=options.data is not None,
        **changes,
    )
print(result)
