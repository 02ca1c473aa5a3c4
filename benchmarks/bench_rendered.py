"""Every system and ablation on a thousand rendered people, afresh and from one start.

    python benchmarks/bench_rendered.py --data RENDERED --output FOLDER
        [--systems NAME ...] [--starts random rendered] [--seeds 0 1 2] [--epochs 6]
        [--people 1000] [--small] [--csv FILE]

RENDERED holds the folders ``train`` and ``test`` of ``train_pretrained.py``, each of
other people. All systems get the same aligned faces of `--people` people, the same
number of epochs under a rate of their own that rises and falls once (MEGraph's falls
once in each of its two stages, which share the epochs), and no augmentation but flips
and shifts. "rendered" starts the backbone from ``weights="rendered"``, which
knows other faces of these people; systems that cannot start afresh only. AUNet's frozen
alignment network is always ``fan_weights="rendered"``. All is narrower and smaller than
published, to fit a CPU (`SYSTEMS` of ``bench_systems.py``).

FOLDER keeps the probabilities of every run: the same command goes on after an
interruption, and with other options adds rows. Several processes may share it, each
with its own systems. The table is of all that lie there: F1 at 0.5 and area under the
ROC curve, means over AUs and then seeds, each seed's area, the difference of the area
from the plain ResNet of the same start, both with the probabilities of their seeds
averaged, with a 95 % interval over test people, what the paper of the system prints on
BP4D, and seconds of a fit. ``--csv`` also writes it as a
file; ``docs/figures/rendered.csv`` is one. ``--systems`` without a name fits nothing.
"""

import argparse
import csv
from pathlib import Path
from time import perf_counter

import numpy as np

from bench_systems import SYSTEMS, make_system
from skfau.datasets import published_results
from skfau.estimators import FaceAugmentation, hog_baseline, landmark_baseline
from skfau.facs import DATASET_AUS
from skfau.metrics import au_f1_score, au_roc_auc_score, paired_bootstrap_test
from train_pretrained import AUS as ALIGNED_AUS
from train_pretrained import align, occurrence, one_cycle

AUS = DATASET_AUS["bp4d"]
AUGMENTATION = FaceAugmentation(flip=0.5, crop=0.1)
CLASSICAL = {"landmarks": landmark_baseline, "HOG": hog_baseline}
PLAIN = "ResNet"
STARTS = ("random", "rendered")
# Names of the ablations in the papers.
PRINTED_AS = {
    "FAU w/o encoder": "PT-MT-ATsup-CC",
    "FAU w/o attention": "PT-MT-CC",
    "ResNet": "ResNet18",
    "ResNet-A": "ResNet18-A",
    "JAA-Net": "JÂA-Net",
}
OF_ONE_SET = ("comparison", "ablation")


def main(argv=None):
    """Fit what is not there yet, then print the table of all that is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    names = [*CLASSICAL, *SYSTEMS]
    parser.add_argument("--systems", nargs="*", choices=names, default=names)
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=STARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--csv", type=Path, help="file for the table")
    parser.add_argument("--small", action="store_true", help="one epoch, to try it")
    options = parser.parse_args(argv)
    if options.small:
        options.epochs, options.people, options.seeds = 1, 20, [0]
    options.output.mkdir(parents=True, exist_ok=True)
    learned = aligned(options.data / "train", options.output / "aligned-train")
    tested = aligned(options.data / "test", options.output / "aligned-test")
    learned = some_people(*learned, options.people)
    for seed in options.seeds:
        for start in options.starts:
            for name in options.systems:
                run(name, start, seed, options, learned, tested[0])
    faces, target = tested
    print(f"\n{len(learned[0])} faces, {options.epochs} epochs; tested on ", end="")
    print(f"{len(faces)} faces of {len(np.unique(faces.subject))} people")
    rows = table_of(options.output, faces, target)
    print_table(rows)
    if options.csv:
        write_csv(rows, options.csv)


def aligned(source, folder):
    """Return the aligned faces of a set, and labels of BP4D's AUs."""
    faces, intensities = align(source, folder)
    return faces, occurrence(intensities[:, [ALIGNED_AUS.index(au) for au in AUS]])


def some_people(faces, target, n_people):
    """Return the faces of the first people whose AUs come nearly independently."""
    wild = np.char.startswith(faces.video.astype(str), "wild")
    people = np.unique(faces.subject[wild] if wild.any() else faces.subject)[:n_people]
    rows = np.isin(faces.subject, people)
    faces = faces[rows]
    return faces.with_images(np.asarray(faces.images[...])), target[rows]


def made(name, start, seed):
    """Return a system before its fit, or None if it has no such start."""
    if name in CLASSICAL:
        alone = start == "random" and seed == 0
        return CLASSICAL[name](aus=AUS) if alone else None
    model = make_system(name, seed, aus=AUS, augmentation=AUGMENTATION)
    if hasattr(model, "interval"):
        model.set_params(interval=1)
    backbone = model.get_params().get("backbone")
    if backbone == "fan":
        return model if start == "rendered" else None
    if start == "random":
        return model
    return model.set_params(weights="rendered") if backbone == "tiny" else None


def run(name, start, seed, options, learned, tested):
    """Fit a system and keep what it says of the test people, if that is not there."""
    path = options.output / f"{name.replace('/', '')}-{start}-{seed}.npz"
    model = None if path.exists() else made(name, start, seed)
    if model is None:
        return
    faces, target = learned
    if name not in CLASSICAL:
        model.set_params(max_epochs=options.epochs, precision="bfloat16")
        rate_rises_and_falls(model, len(faces))
    began = perf_counter()
    model.fit(faces, target)
    seconds = perf_counter() - began
    y_proba = np.asarray(model.predict_proba(tested), np.float32)
    np.savez(path, y_proba=y_proba, seconds=seconds, name=name, start=start, seed=seed)
    print(f"{name}, {start} start, seed {seed}: {seconds:.0f} s", flush=True)


def rate_rises_and_falls(model, n_faces):
    """Give every system the same course of its own rate, batch by batch."""
    if hasattr(model, "node_epochs"):
        # MEGraph's rate falls in each of its two stages, which share the epochs.
        first = model.max_epochs // 2
        model.set_params(node_epochs=first, max_epochs=model.max_epochs - first)
        return
    settings = model.get_params()
    for steady in {"lr_decay", "schedule"} & settings.keys():
        model.set_params(**{steady: None if steady == "schedule" else 1.0})
    course = one_cycle(n_faces, model.max_epochs, model.batch_size)
    model.set_params(callbacks=course)


def table_of(folder, faces, target):
    """Return a row, text by heading, per system and start of all in the folder."""
    found = {}
    for path in sorted(folder.glob("*-*-*.npz")):
        with np.load(path) as kept:
            key = str(kept["name"]), str(kept["start"])
            found.setdefault(key, []).append((kept["y_proba"], float(kept["seconds"])))
    keys = [(name, start) for name in (*CLASSICAL, *SYSTEMS) for start in STARTS]
    return [row_of(key, found, faces, target) for key in keys if key in found]


def row_of(key, found, faces, target):
    """Return a system's scores, and how far its area is from the plain backbone's."""
    runs = [y_proba for y_proba, _ in found[key]]
    f1 = np.mean([au_f1_score(target, one >= 0.5) for one in runs])
    areas = [au_roc_auc_score(target, one) for one in runs]
    name, start = key
    difference = beside_plain(runs, found.get((PLAIN, start)), faces, target)
    return {
        "System": name,
        "Start": start,
        "F1": f"{100 * f1:.1f}",
        "AUC": f"{np.mean(areas):.3f}",
        "AUC of seeds": " ".join(f"{area:.3f}" for area in areas),
        f"AUC less {PLAIN}": "" if name == PLAIN else difference,
        "Paper": published(name),
        "Seconds": f"{np.mean([seconds for _, seconds in found[key]]):.0f}",
    }


def print_table(rows):
    """Print the rows in columns as wide as their longest text."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def write_csv(rows, path):
    """Write the rows as the table of the documentation."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def beside_plain(runs, plain, faces, target):
    """Return the difference of the area under the curve, as text with its interval."""
    if plain is None:
        return ""
    ours, theirs = (np.mean(each, axis=0) for each in (runs, [p for p, _ in plain]))
    test = paired_bootstrap_test(
        "roc_auc", target, ours, theirs, faces.subject, n_resamples=300, random_state=0
    )
    return f"{test.difference:+.3f} [{test.low:+.3f}, {test.high:+.3f}]"


def published(name):
    """Return the mean F1 that a paper prints on BP4D, its own before a quoted one."""
    rows = published_results("bp4d").data
    named = rows["method"] == PRINTED_AS.get(name, name)
    rows = rows[named & np.isin(rows["kind"], OF_ONE_SET)]
    rows = rows[np.argsort(rows["quoted"], kind="stable")]
    return f"{rows['mean'][0]:.1f}" if len(rows) else ""


if __name__ == "__main__":
    main()
