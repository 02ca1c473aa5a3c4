"""Train the shipped model on rendered faces: one command, seeded, in steps that resume.

    python benchmarks/train_pretrained.py --data RENDERED --output FOLDER [--small]

RENDERED holds what ``benchmarks/rendering/render_faces.py`` writes, in three folders:
``train`` (one or more ``.npz``), ``calibrate`` and ``test``, each of other people. The
model card lists the commands that rendered them. FOLDER gets the aligned faces, the
model of each step, and at the end ``rendered-1.safetensors``,
``tiny-rendered-1.safetensors`` and ``figures.csv``. A step whose file is there is not
run again; networks go on at the last epoch.

1. align: faces are found and aligned as in prediction; 468 points of each.
2. trunk: `ResNetClassifier` with ``backbone="tiny"`` learns the AUs; its backbone is
   what ``weights="rendered"`` starts from.
3. network: `FAUTransformerClassifier` from that trunk, in three cycles, of which the
   last teaches it where to look.
4. shape: a logistic regression per AU on the points.
5. calibrate: both vote; probabilities, thresholds and intensities of people whom
   neither has seen (`CalibratedAUClassifier`).
6. test: figures per AU, and by group, on a third set of people.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import LRScheduler

import skfau
from skfau import FAUTransformerClassifier, ResNetClassifier
from skfau.datasets import load_rendered
from skfau.estimators import FaceAugmentation, _persistence
from skfau.metrics import au_f1_score, au_roc_auc_score
from skfau.model_selection import AUVotingClassifier, CalibratedAUClassifier
from skfau.preprocessing import FaceAligner, prepare
from train_shape import fit_shape

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 45)
SIZE = 112
BATCH = 64
AUGMENTATION = FaceAugmentation(
    rotation=6, scale=0.08, shift=0.04, brightness=0.15, contrast=0.3
)
SHARED = {
    "backbone": "tiny",
    "aus": AUS,
    "image_size": SIZE,
    "grayscale": True,
    "augmentation": AUGMENTATION,
    "weight_decay": 1e-4,
    "batch_size": BATCH,
    "precision": "bfloat16",
    "random_state": 0,
    "verbose": 1,
}
# What made the shipped network learn: on the scale below, the loss of centres and the
# encoder start slower.
NETWORK = {
    "embedding_dim": 32,
    "encoder_layers": 0,
    "attention_losses": ("wce",),
    "classifier_losses": ("wce",),
    "center_loss": None,
    # The weights of CYCLES were chosen on this scale.
    "balance": "scaled",
}
EPOCHS = {"trunk": 8, "network": 8}
# Share of the epochs, learning rate, and weights of the losses of attention,
# classifier, maps and centres. With the paper's weight of maps, .15, they stay flat:
# most of a map is empty, and its mean difference is small. The last cycle draws them.
CYCLES = (
    (1, 2e-3, (0.33, 0.33, 0.15, 0.15)),
    (1, 1e-3, (0.33, 0.33, 0.15, 0.15)),
    (0.5, 6e-4, (0.33, 0.33, 20.0, 0.15)),
)
# On rendered people the network alone would do; on photographs the points hold better.
VOTES = (1, 1)
# Groups by what the renderer says of people and pictures: above this number or not.
# "turned" is the yaw in degrees to either side, "pixels" the side of the picture before
# it was enlarged again; 80 of 160 are about 20 from eye to eye.
GROUPS = {
    "dark": 0.5,
    "glasses": 0.5,
    "beard": 0.3,
    "age": 0.5,
    "turned": 15,
    "pixels": 80,
}


def main(argv=None):
    """Run all steps that are not done."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--small", action="store_true", help="one epoch, for a trial")
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args(argv)
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    epochs = dict.fromkeys(EPOCHS, 1) if arguments.small else EPOCHS
    sets = {
        name: align(arguments.data / name, folder / f"aligned-{name}")
        for name in ("train", "calibrate", "test")
    }
    trunk = train_trunk(*sets["train"], folder, epochs["trunk"], arguments.threads)
    network = train_network(
        *sets["train"], trunk, folder, epochs["network"], arguments.threads
    )
    shape = train_shape(*sets["train"], folder)
    model = calibrate(network, shape, *sets["calibrate"], folder)
    write_figures(model, *sets["test"], folder)


def align(source, folder):
    """Return the aligned faces of a set and their intensities, NaN where unknown."""
    rendered = load_rendered(source, aus=AUS)
    # Found as in prediction, not where the renderer knows them to be.
    aligner = FaceAligner(output_size=SIZE, landmarks="detected", mesh=True)
    faces = prepare(rendered.data, aligner, folder, verbose=True)
    intensities = rendered.intensity
    seen = np.isfinite(faces.landmarks[:, 0, 0])
    print(f"{source}: {len(faces)} faces, {(~seen).sum()} not found and left out")
    return faces[seen], intensities[seen]


def occurrence(intensities):
    """Return labels: 1 from intensity 2, NaN where unknown."""
    return np.where(np.isnan(intensities), np.nan, intensities >= 2)


class OneCycle(torch.optim.lr_scheduler.OneCycleLR):
    """A rate that rises to each parameter group's own and falls.

    With one ``max_lr`` for all, layers that a system slows would learn at full rate.
    """

    def __init__(self, optimizer, **how):
        rates = [group["lr"] for group in optimizer.param_groups]
        super().__init__(optimizer, max_lr=rates, **how)


def one_cycle(n_rows, epochs, batch_size=BATCH):
    """Return the callback of rates that rise and fall once, batch by batch."""
    steps = epochs * -(-n_rows // batch_size)
    return [("rate", LRScheduler(OneCycle, total_steps=steps, step_every="batch"))]


def train_trunk(faces, intensities, folder, epochs, n_threads):
    """Return the file of the backbone's weights."""
    path = folder / "tiny-rendered-1.safetensors"
    if not path.exists():
        clf = ResNetClassifier(
            **SHARED,
            lr=3e-3,
            lr_decay=1.0,
            max_epochs=epochs,
            n_threads=n_threads,
            checkpoint_dir=folder / "checkpoints",
            callbacks=one_cycle(len(faces), epochs),
        )
        clf.fit(faces, occurrence(intensities))
        clf.save(folder / "trunk.safetensors")
        prefix = "backbone."
        state = {
            name.removeprefix(prefix): torch.from_numpy(array).half().contiguous()
            for name, array in clf.network_state().items()
            if name.startswith(prefix) and array.dtype.kind == "f"
        }
        save_file(state, path)
    return path


def train_network(faces, intensities, trunk, folder, epochs, n_threads):
    """Return the fitted network, each of whose cycles starts from the one before."""
    path, labels = folder / "network.safetensors", occurrence(intensities)
    if not path.exists():
        start = {"weights": trunk}
        for number, (share, lr, loss_weights) in enumerate(CYCLES):
            n_epochs = max(1, round(share * epochs))
            cycle = {
                "checkpoint_dir": folder / "checkpoints",
                "n_threads": n_threads,
                "max_epochs": n_epochs,
                "random_state": number,
                "loss_weights": loss_weights,
                "lr": lr,
                "callbacks": one_cycle(len(faces), n_epochs),
            }
            clf = FAUTransformerClassifier(**(SHARED | NETWORK | cycle), **start)
            start = {"init_from": clf.fit(faces, labels)}
        clf.save(path)
    return skfau.load(path)


def train_shape(faces, intensities, folder):
    """Return the fitted chain of points and a line per AU."""
    path = folder / "shape.safetensors"
    if not path.exists():
        # Where AUs come as in life, it is not seen which of them moves what.
        rows = np.char.startswith(faces.video.astype(str), "wild")
        skfau.save(fit_shape(faces[rows], intensities[rows], AUS), path)
    return skfau.load(path)


def calibrate(network, shape, faces, intensities, folder):
    """Return the shipped chain, written with numbers of 16 bits."""
    network.set_params(verbose=0)
    members = [
        ("network", FrozenEstimator(network)),
        ("shape", FrozenEstimator(shape)),
    ]
    vote = AUVotingClassifier(members, weights=VOTES)
    vote.fit(faces, occurrence(intensities))
    clf = CalibratedAUClassifier(FrozenEstimator(vote)).fit(faces, intensities)
    path = folder / "rendered-1.safetensors"
    skfau.save(make_pipeline(FaceAligner(output_size=SIZE, mesh=True), clf), path)
    header, arrays = _persistence.read_file(path)
    halves = {
        name: array.astype(np.float16) if array.dtype == np.float32 else array
        for name, array in arrays.items()
    }
    _persistence.write_file(path, header, halves)
    return skfau.load(path)


def write_figures(model, faces, intensities, folder):
    """Write and print area under the curve, F1 and correlation per AU and group."""
    clf, labels = model[-1], occurrence(intensities)
    y_proba = clf.predict_proba(faces)
    predicted = clf.to_intensity(y_proba)
    cuts, rows = clf.thresholds_, []
    for name, side, chosen in groups(faces):
        means = scores(labels[chosen], y_proba[chosen], cuts)
        rows.append((name, side, int(chosen.sum()), *means))
    columns = y_proba.T, labels.T, predicted.T, intensities.T, cuts
    for au, proba, label, guess, true, cut in zip(AUS, *columns, strict=True):
        known = np.isfinite(true)
        auc = roc_auc_score(label[known], proba[known])
        f1 = f1_score(label[known], proba[known] >= cut)
        r = np.corrcoef(guess[known], true[known])[0, 1]
        rows.append((f"AU{au}", "", int(known.sum()), auc, f1, r))
    with (folder / "figures.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("group", "side", "faces", "AUC", "F1", "correlation"))
        writer.writerows(rows)
    for row in rows:
        print(*(f"{x:.3f}" if isinstance(x, float) else x for x in row))


def scores(labels, y_proba, thresholds):
    """Return mean area under the curve and mean F1 over AUs."""
    auc = au_roc_auc_score(labels, y_proba)
    return float(auc), float(au_f1_score(labels, y_proba >= thresholds))


def groups(faces):
    """Yield name, side and rows of everybody, and of each group and the others."""
    yield "all", "all", np.ones(len(faces), bool)
    faces = faces.with_columns(turned=np.abs(faces.column("pose")[:, 0]))
    for name, cut in GROUPS.items():
        values = faces.column(name)
        yield name, "high", values > cut
        yield name, "low", values <= cut


if __name__ == "__main__":
    main()
