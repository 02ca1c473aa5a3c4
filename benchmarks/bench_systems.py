"""Every system of the library in one table: BP4D's layout, published folds, equal work.

    python benchmarks/bench_systems.py --data PATH [--systems NAME ...] [--csv FILE]
        [--seeds 0 1 2] [--small]

PATH holds ``2D+3D``, ``AUCoding`` and landmarks (``landmarks68`` or ``2DFeatures``).
Each system and ablation gets the same aligned faces, starts from weights learned on the
same made faces (which need no licence), is tuned for as many epochs on the training
subjects with lower faces mixed among people (``FaceAugmentation(cutmix=0.8)``).
Narrower, smaller and shorter than published, to fit a CPU: every second frame, the
``tiny`` backbone, 64 to 128 px. AUNet's frozen network is the shipped one, which
learned the points of rendered faces and no AU. The classical chain has no start and
trains on the rendered faces alone. F1 per AU is at a cut of 0.5; the mean F1 and AUC
are over AUs, then over folds. "cut" is the mean F1 where each fold's cuts are those
that were best for the test subjects of the other folds: no epoch and no threshold is
chosen on the subjects it is used on (but the systems whose probabilities give a fold's
cuts had trained on it). "made" is the mean F1 on made faces of other people before
tuning, "all positive" the F1 of calling every AU present. Rows are appended to
``--csv`` as they come: an interrupted run keeps what it printed.
"""

import argparse
import csv
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from skfau import (
    AUNetClassifier,
    DRMLClassifier,
    EACNetClassifier,
    FaceAligner,
    FAUTransformerClassifier,
    JAANetClassifier,
    MEGraphClassifier,
    MLGCNClassifier,
    MSCAMClassifier,
    MultiLabelTransformerClassifier,
    ResNetClassifier,
    SEVNetClassifier,
    WSARLClassifier,
)
from skfau.datasets import load_bp4d, make_faces
from skfau.estimators import FaceAugmentation, hog_baseline
from skfau.metrics import au_f1_score, au_roc_auc_score
from skfau.model_selection import PublishedKFold, best_f1_thresholds

WSARL = {
    "channels": 2,
    "image_size": 64,
    "crf_scale": 1,
    "lr": 0.02,
    "lr_decay_epochs": 3,
    "batch_size": 8,
}
PLAIN = {"region_layer": None, "crf": False}
ADAM = {"backbone": "tiny", "image_size": 96, "lr": 1e-3, "batch_size": 16}
FAU = ADAM | {"embedding_dim": 64, "weight_decay": 0.0}
TOKENS = ADAM | {"schedule": None, "lr": 5e-4, "weight_decay": 0.01}
FAN = {"fan_weights": "rendered", "interval": 4}
AUNET = ADAM | FAN | {"backbone": "fan", "image_size": 128}
REGIONS = {"channels": 4, "lr": 0.02, "batch_size": 8}
DRML = {"channels": 8, "image_size": 82, "lr": 2e-3, "batch_size": 16, "dropout": 0.0}
GRAPH = ADAM | {"embedding_dim": 64, "node_epochs": 2}
TEXT = ADAM | {"hidden_dim": 384, "feed_forward_dim": 512}
SYSTEMS = {
    "FAU-Transformer": (FAUTransformerClassifier, FAU),
    "FAU w/o encoder": (FAUTransformerClassifier, FAU | {"encoder_layers": 0}),
    "FAU w/o attention": (
        FAUTransformerClassifier,
        FAU | {"encoder_layers": 0, "attention": False},
    ),
    "B-Net": (
        WSARLClassifier,
        WSARL | PLAIN | {"channel_attention": False, "spatial_attention": False},
    ),
    "SC-Net": (WSARLClassifier, WSARL | PLAIN),
    "SCM-Net": (WSARLClassifier, WSARL | {"crf": False}),
    "WSARL": (WSARLClassifier, WSARL),
    "ResNet": (ResNetClassifier, ADAM),
    "ML-GCN": (MLGCNClassifier, ADAM),
    "MS-CAM": (MSCAMClassifier, ADAM),
    "SEV-Net w/o text": (SEVNetClassifier, TEXT | {"text_level": None}),
    "SEV-Net": (SEVNetClassifier, TEXT),
    "AU-FAN": (AUNetClassifier, AUNET | {"label_vae": False, "temporal": False}),
    "AU-VAE": (AUNetClassifier, AUNET | {"temporal": False}),
    "AU-TDN": (AUNetClassifier, AUNET | {"label_vae": False}),
    "AUNet": (AUNetClassifier, AUNET),
    "ResNet-A": (AUNetClassifier, ADAM | {"interval": 4}),
    "MEGraph w/o edges": (MEGraphClassifier, GRAPH | {"edge_features": False}),
    "MEGraph": (MEGraphClassifier, GRAPH),
    "MLT": (MultiLabelTransformerClassifier, TOKENS),
    "DRML": (DRMLClassifier, DRML),
    "EAC-Net": (EACNetClassifier, REGIONS | {"image_size": 64}),
    "JAA-Net": (JAANetClassifier, REGIONS | {"image_size": 64}),
}
NAMES = ["HOG", *SYSTEMS]
MADE = FaceAugmentation(flip=0.5, crop=0.12)
TUNED = FaceAugmentation(
    flip=0.5, rotation=8, scale=0.08, shift=0.03, crop=0.12, contrast=0.2, cutmix=0.8
)


def make_system(name, seed, **parameters):
    """Return one row of the table, untrained."""
    cls, setting = SYSTEMS[name]
    return cls(**setting, **parameters, random_state=seed, n_threads=1)


def frames_ten_apart(model):
    """Return a system that, if it compares frames, takes those 10 apart, as published.

    AUs of made faces, whose videos are shorter, change about twice as fast.
    """
    return model.set_params(interval=10) if hasattr(model, "interval") else model


def in_memory(data, target, step=1, size=96, landmarks="given"):
    """Return aligned faces whose pixels are in memory, and their labels."""
    rows = slice(None, None, step)
    aligner = FaceAligner(output_size=size, landmarks=landmarks)
    faces = aligner.fit_transform(data[rows])
    faces = faces.with_images(faces.images[...])
    found = np.isfinite(faces.landmarks).any(axis=(1, 2))
    return faces[found], target[rows][found]


def start_on_made(name, seed, epochs, made):
    """Return a system that knows made faces."""
    start = make_system(name, seed, max_epochs=epochs, augmentation=MADE)
    return start.fit(*made)


def to_tune(name, seed, epochs, start):
    """Return a system that will begin from a start, a system or its file."""
    model = make_system(name, seed, max_epochs=epochs, augmentation=TUNED)
    return frames_ten_apart(model).set_params(init_from=start)


def fit_fold(name, seed, epochs, start, faces, target):
    """Tune a system at its rate, then for a quarter of the epochs at a fifth."""
    model = to_tune(name, seed, epochs, start).fit(faces, target)
    rest = {"lr": model.lr / 5, "max_epochs": max(1, epochs // 4)}
    return model.set_params(warm_start=True, **rest).fit(faces, target)


def tuned_system(name, seed, options, made):
    """Return a system that knows made faces, and how to tune it to a fold."""
    start = start_on_made(name, seed, options.made_epochs, made)
    return start, partial(fit_fold, name, seed, options.epochs, start)


def classical(made):
    """Return the classical chain as fitted to made faces, and how to fit it to a fold.

    Its parameters leave no room for a start: a fold's chain is fitted afresh.
    """
    return hog_baseline(output_size=96).fit(*made), hog_baseline(output_size=96).fit


def evaluate(start, fit, others, faces, target):
    """Return per-AU F1 and AUC, means over folds, F1 at learned cuts and on others."""
    made_f1 = au_f1_score(others[1], start.predict(others[0]))
    folds = list(PublishedKFold("bp4d").split(faces))
    proba = np.full_like(target, np.nan)
    for train, test in folds:
        proba[test] = fit(faces[train], target[train]).predict_proba(faces[test])
    called = cut_apart(target, proba, folds)
    f1, auc, tuned = [], [], []
    for _, test in folds:
        f1.append(f1_per_au(target[test], proba[test] >= 0.5))
        tuned.append(f1_per_au(target[test], called[test]))
        auc.append(au_roc_auc_score(target[test], proba[test], average=None))
    return *(np.nanmean(scores, axis=0) for scores in (f1, auc, tuned)), made_f1


def cut_apart(target, proba, folds):
    """Return labels, each fold cut where the F1 of the other folds is best."""
    labels = np.empty_like(proba)
    for train, test in folds:
        cuts = best_f1_thresholds(target[train], proba[train])
        labels[test] = proba[test] >= cuts
    return labels


def f1_per_au(target, predicted):
    """Return the F1 of every AU."""
    return au_f1_score(target, predicted.astype(float), average=None)


def all_positive(faces, target):
    """Return per-AU F1 of calling every AU present, the mean over the test folds."""
    folds = [test for _, test in PublishedKFold("bp4d").split(faces)]
    scores = [f1_per_au(target[test], target[test] >= -1) for test in folds]
    return np.nanmean(scores, axis=0)


def print_head(aus, path):
    """Print the names of the columns, and write them into a new file."""
    names, ends = [f"AU{au}" for au in aus], ("mean", "AUC", "cut", "made")
    cells = "".join(f"{name:>6s}" for name in names)
    cells += "".join(f"{name:>7s}" for name in ends)
    print(f"{'system':18s}{'seed':>5s}{cells}{'seconds':>8s}")
    if path and not path.exists():
        append(path, ["system", "seed", *names, *ends, "seconds"])


def print_row(name, seed, f1, auc, tuned, made, seconds, path=None):
    """Print one row of the table and append it to the file."""
    means = [100 * np.mean(f1), np.mean(auc), 100 * np.mean(tuned), 100 * made]
    cells = "".join(f"{100 * value:6.1f}" for value in f1)
    ends = "{:7.1f}{:7.3f}{:7.1f}{:7.1f}".format(*means)
    print(f"{name:18s}{seed:>5}{cells}{ends}{seconds:8.0f}", flush=True)
    append(path, [name, seed, *np.round([*100 * f1, *means, seconds], 3)])


def append(path, cells):
    """Append a row to the file, if there is one."""
    if path:
        with path.open("a", newline="") as file:
            csv.writer(file).writerow(cells)


def made_people(n_people, seed):
    """Return two aligned faces of each made person, and their labels.

    Each is the middle of a video, whose other frames are there for systems that compare
    them: these would learn nothing of motion from single faces.
    """
    made = make_faces(n_subjects=n_people, n_frames=18, random_state=seed)
    faces, target = in_memory(made.data, made.target)
    middle = faces.frame == 5
    return faces[middle], target[middle]


def main():
    """Train every system with every seed and print one row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--systems", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--people", type=int, default=1500, help="of made faces")
    parser.add_argument("--made-epochs", type=int, default=4)
    parser.add_argument("--step", type=int, default=2, help="take every n-th frame")
    parser.add_argument("--csv", type=Path, help="append the rows to this file")
    parser.add_argument("--small", action="store_true", help="one epoch, to try it")
    options = parser.parse_args()
    if options.small:
        options.epochs = options.made_epochs = 1
        options.seeds, options.people, options.step = [0], 20, 10
    bunch = load_bp4d(options.data)
    faces, target = in_memory(bunch.data, bunch.target, options.step)
    made, others = made_people(options.people, 0), made_people(150, 1)
    print(f"{len(faces)} faces, {len(np.unique(faces.subject))} subjects")
    print_head(bunch.aus, options.csv)
    chance = au_f1_score(others[1], np.ones_like(others[1]))
    chances = all_positive(faces, target)
    print_row("all positive", "", chances, 0.5, chances, chance, 0, options.csv)
    for seed in options.seeds:
        for name in options.systems:
            began = perf_counter()
            if name == "HOG":
                start, fit = classical(made)
            else:
                start, fit = tuned_system(name, seed, options, made)
            scores = evaluate(start, fit, others, faces, target)
            print_row(name, seed, *scores, perf_counter() - began, options.csv)


if __name__ == "__main__":
    main()
