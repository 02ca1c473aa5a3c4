"""What region layers, attention and the CRF of Shao et al. add, on BP4D's layout.

    python benchmarks/bench_wsarl.py --data PATH [--seeds 0 1 2] [--small]

PATH holds ``2D+3D``, ``AUCoding`` and landmarks (``landmarks68`` or ``2DFeatures``).
Trains the rows B-Net, SC-Net, SCM-Net and WSARL of the paper's Table 3 on the published
three folds by subject, all with the same frames, epochs and rates, and prints the mean
F1 and AUC over AUs, then over folds, of every seed. Narrower, smaller and shorter than
published, to fit a CPU: ``--channels 2 --image-size 64 --epochs 8 --step 2`` (every
second frame) are the defaults, the CRF works at the size of the attention maps, and the
learning rate falls by a third in the last third of the epochs. No epoch or threshold
is chosen on test subjects.
"""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np

from skfau import FaceAligner, WSARLClassifier
from skfau.datasets import load_bp4d
from skfau.estimators import FaceAugmentation
from skfau.metrics import au_roc_auc_score, fold_mean_f1
from skfau.model_selection import PublishedKFold

SETTINGS = {
    "B-Net": {
        "region_layer": None,
        "channel_attention": False,
        "spatial_attention": False,
        "crf": False,
    },
    "SC-Net": {"region_layer": None, "crf": False},
    "SCM-Net": {"crf": False},
    "WSARL": {},
}


def network(options, setting, seed):
    """Return one row of Table 3, narrow."""
    return WSARLClassifier(
        channels=options.channels,
        image_size=options.image_size,
        crf_scale=1,
        **SETTINGS[setting],
        augmentation=FaceAugmentation(flip=0.5, crop=0.12),
        lr=options.lr,
        lr_decay_epochs=max(1, 2 * options.epochs // 3),
        batch_size=16,
        max_epochs=options.epochs,
        random_state=seed,
    )


def aligned(options):
    """Return faces whose pixels are in memory, and their labels."""
    bunch = load_bp4d(options.data)
    side = round(options.image_size / 0.88)
    rows = slice(None, None, options.step)
    faces = FaceAligner(output_size=side, landmarks="given").fit_transform(
        bunch.data[rows]
    )
    faces = faces.with_images(faces.images[...])
    found = np.isfinite(faces.landmarks).any(axis=(1, 2))
    return faces[found], bunch.target[rows][found]


def out_of_fold(faces, target, options, setting, seed):
    """Return probabilities of all rows from folds that did not see them, and folds."""
    proba = np.full_like(target, np.nan)
    fold = np.full(len(faces), -1)
    for number, (train, test) in enumerate(PublishedKFold("bp4d").split(faces)):
        fold[test] = number
        model = network(options, setting, seed).fit(faces[train], target[train])
        proba[test] = model.predict_proba(faces[test])
    return proba, fold


def main():
    """Train every setting with every seed and print one row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=[*SETTINGS])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--step", type=int, default=2, help="take every n-th frame")
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--small", action="store_true", help="one epoch, to try it")
    options = parser.parse_args()
    if options.small:
        options.epochs, options.seeds, options.image_size = 1, [0], 32
    faces, target = aligned(options)
    print(f"{len(faces)} faces, {len(np.unique(faces.subject))} subjects")
    print(f"{'setting':8s} {'seed':>4s} {'F1':>6s} {'AUC':>6s} {'seconds':>8s}")
    for seed in options.seeds:
        for setting in options.settings:
            start = perf_counter()
            proba, fold = out_of_fold(faces, target, options, setting, seed)
            f1 = fold_mean_f1(target, (proba >= 0.5).astype(float), fold)
            folds = [fold == number for number in np.unique(fold)]
            auc = np.mean([au_roc_auc_score(target[f], proba[f]) for f in folds])
            seconds = perf_counter() - start
            row = f"{setting:8s} {seed:4d} {100 * f1:6.1f} {auc:6.3f} {seconds:8.0f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
