"""Train AUNet on two data sets that code different AUs; what do its parts add?
============================================================================

The rows are those of Table VI of Yang et al.: landmark features alone (AU-FAN), with
the auto-encoders of labels (AU-VAE), with motion between frames (AU-TDN), with both
(AUNet). One made data set codes the AUs of BP4D, the other those of DISFA; what one of
them does not code is unknown (NaN) there. The first row trains the face alignment
network on the faces' landmarks, the others take it from a file, as they would take
the published one. The figures are not those of the paper: what carries over is how. ::

    python examples/several_data_sets.py [--epochs 12] [--small]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from skfau import AUNetClassifier, Faces
from skfau.datasets import make_faces
from skfau.facs import DATASET_AUS
from skfau.metrics import au_f1_score
from skfau.model_selection import subject_train_test_split

ROWS = {
    "AU-FAN": {"label_vae": False, "temporal": False},
    "AU-VAE": {"temporal": False},
    "AU-TDN": {"label_vae": False},
    "AUNet": {},
}
AUS = tuple(sorted({*DATASET_AUS["bp4d"], *DATASET_AUS["disfa"]}))


def two_data_sets(n_subjects, image_size):
    """Return faces with the column ``dataset``, and labels of all 15 AUs."""
    parts, targets = [], []
    for seed, name in enumerate(("bp4d", "disfa")):
        aus = DATASET_AUS[name]
        made = make_faces(n_subjects, 12, aus, image_size, random_state=seed)
        target = np.full((len(made.data), len(AUS)), np.nan, np.float32)
        target[:, [AUS.index(au) for au in aus]] = made.target
        # Both count their subjects from S01.
        own = {
            n: [f"{name}_{x}" for x in made.data.column(n)]
            for n in ("subject", "video")
        }
        parts.append(made.data.with_columns(dataset=[name] * len(target), **own))
        targets.append(target)
    return Faces.concat(parts), np.concatenate(targets)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--small", action="store_true")
options = parser.parse_args()
size = 48 if options.small else 64
faces, target = two_data_sets(8 if options.small else 24, size)
train, test = subject_train_test_split(faces, target, random_state=0)
clf = AUNetClassifier(
    fan_width=32,
    fan_epochs=1 if options.small else 10,
    interval=1,
    aus=AUS,
    image_size=size,
    lr=1e-3,
    batch_size=32,
    max_epochs=1 if options.small else options.epochs,
    random_state=0,
)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "fan.pth"
    for name, setting in ROWS.items():
        clf.set_params(**{"label_vae": True, "temporal": True} | setting)
        clf.fit(faces[train], target[train])
        if clf.fan_weights is None:
            torch.save(clf.net_.module_.network.trunk.state_dict(), path)
            clf.set_params(fan_weights=path)
        predicted = clf.predict(faces[test])
        print(f"{name:8s}", end="")
        for dataset in ("bp4d", "disfa"):
            rows = faces[test].column("dataset") == dataset
            coded = [AUS.index(au) for au in DATASET_AUS[dataset]]
            scored = target[test][rows][:, coded], predicted[rows][:, coded]
            f1 = au_f1_score(*scored, absent="zero")
            print(f"  {dataset} {100 * f1:5.1f}", end="")
        print(flush=True)
