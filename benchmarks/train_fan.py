"""Train the shipped face alignment network on rendered faces: one command, seeded.

    python benchmarks/train_fan.py --data RENDERED --output FOLDER [--small]

RENDERED holds what ``benchmarks/rendering/render_faces.py`` writes, in two folders:
``train`` and ``test`` (one or more ``.npz`` each), of other people. FOLDER gets the
state after each epoch, from which an interrupted run goes on bit-equal, and at the end
``fan-rendered-1.safetensors`` and ``fan-figures.csv``.

The network learns the 68 exact points of each face as heatmaps, as Bulat and
Tzimiropoulos (2017) train theirs: the squared error to Gaussians of one cell, after
random turns, sizes, places, mirrors, colours, light and squares that hide a part.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from skfau._progress import Progress, shown, tell
from skfau.datasets import load_rendered
from skfau.estimators import FaceAugmentation
from skfau.estimators._batches import FaceBatches, PreparedNetwork
from skfau.losses import LandmarkMapLoss
from skfau.nn import FAN
from skfau.preprocessing import FaceAligner
from skfau.preprocessing._similarity import apply_similarity

SIZE, WIDTH, STACKS = 128, 64, 1
BATCH, EPOCHS, LR = 16, 3, 2e-3
# Faces of the renderer fill .55 of the image; those of `FaceAligner` .5 to .7.
AUGMENTATION = FaceAugmentation(
    rotation=25, scale=0.35, shift=0.08, brightness=0.15, contrast=0.3
)
LEFT_EYE, RIGHT_EYE = 36, 45
REGIONS = {
    "all": slice(None),
    "inner": slice(17, None),
    "jaw": slice(17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, None),
}


def main(argv=None):
    """Train as far as it is not done, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--small", action="store_true", help="one epoch, for a trial")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "fan-rendered-1.safetensors"
    if not path.exists():
        faces = load_rendered(options.data / "train").data
        fan = train(faces, options.output, 1 if options.small else options.epochs)
        state = fan.state_dict().items()
        state = {k: v.half().contiguous() for k, v in state if v.is_floating_point()}
        save_file(state, path)
    write_figures(path, load_rendered(options.data / "test").data, options.output)


def train(faces, folder, n_epochs):
    """Return the trained network; its state is kept after each epoch."""
    torch.manual_seed(0)
    own = PreparedNetwork(
        FAN(width=WIDTH, n_stacks=STACKS), image_size=SIZE, grayscale=False
    ).to(memory_format=torch.channels_last)
    own.autocast = torch.bfloat16
    optimizer = torch.optim.AdamW(own.parameters(), lr=LR, weight_decay=1e-4)
    n_steps = -(-len(faces) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LR, n_epochs * n_steps, pct_start=0.25
    )
    parts = {"network": own, "optimizer": optimizer, "rate": rate}
    path, first = folder / "fan-last.pt", 0
    if path.exists():
        kept = torch.load(path, weights_only=True)
        first = kept.pop("epoch")
        for name, state in kept.items():
            parts[name].load_state_dict(state)
    how = "Training the network", n_epochs * n_steps, "batches", __name__
    with Progress(*how, done=first * n_steps) as progress:
        for epoch in range(first, n_epochs):
            loss = one_epoch(own, optimizer, rate, faces, epoch, progress)
            tell(f"epoch {epoch + 1} of {n_epochs}: loss {loss:.5f}", __name__)
            states = {name: part.state_dict() for name, part in parts.items()}
            torch.save(states | {"epoch": epoch + 1}, path.with_suffix(".partial"))
            path.with_suffix(".partial").replace(path)
    return own.network.eval()


def one_epoch(own, optimizer, rate, faces, epoch, progress):
    """Train one epoch, whose random draws depend on its number alone; mean loss."""
    rng = np.random.default_rng([0, epoch])
    batches = batches_of(faces, AUGMENTATION)
    batches.rng, losses = rng, []
    loss_of = LandmarkMapLoss(SIZE)
    own.train()
    order = rng.permutation(len(faces))
    for start in range(0, len(order), BATCH):
        inputs, targets = batches.__getitems__(order[start : start + BATCH])
        inputs = {name: torch.as_tensor(value) for name, value in inputs.items()}
        targets = {name: torch.as_tensor(value) for name, value in targets.items()}
        pixels = hidden(recoloured(own.pixels(**inputs), rng), rng)
        loss = loss_of(own.computed(own.network, pixels), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        losses.append(loss.item())
        progress.note = f"loss {np.mean(losses[-100:]):.5f}"
        progress.update()
    return np.mean(losses)


def batches_of(faces, augmentation=None):
    """Return batches of faces and of their points."""
    return FaceBatches(
        faces,
        np.zeros((len(faces), 0), np.float32),
        image_size=SIZE,
        augmentation=augmentation,
        make_targets=lambda labels, landmarks: {"landmarks": landmarks},
        columns=("landmarks",),
        aus=(),
    )


def recoloured(pixels, rng):
    """Return images whose colours are stronger or weaker, and tinted."""
    grey = pixels.mean(dim=1, keepdim=True)
    strength, tint = (
        torch.as_tensor(np.float32(rng.uniform(low, high, (len(pixels), n, 1, 1))))
        for low, high, n in ((0, 1.4, 1), (-0.3, 0.3, 3))
    )
    return grey + strength * (pixels - grey) + tint


def hidden(pixels, rng):
    """Return images of which every second has a square of one colour."""
    pixels = pixels.clone()
    for row in np.flatnonzero(rng.uniform(size=len(pixels)) < 0.5):
        side = rng.integers(SIZE // 12, SIZE // 3)
        top, left = rng.integers(SIZE - side, size=2)
        colour = torch.as_tensor(np.float32(rng.normal(size=(3, 1, 1))))
        pixels[row, :, top : top + side, left : left + side] = colour
    return pixels


def write_figures(path, faces, folder):
    """Write and print how far the points of unseen people are from the exact ones.

    Distances are means over the faces that are found, in parts of the distance of the
    outer corners of the eyes, and of the root of the area of the box of all points (as
    Bulat and Tzimiropoulos print them).
    """
    aligner = FaceAligner(template="aunet", output_size=SIZE, landmarks="detected")
    aligned = aligner.fit_transform(faces)
    found = np.flatnonzero(np.isfinite(aligned.landmarks[:, 0, 0]))
    aligned, exact = aligned[found], faces.landmarks[found]
    print(f"{len(found)} of {len(faces)} faces found")
    # The mean of the very faces that it is measured on: no other can be better.
    mean = apply_similarity(aligned.matrix, exact).mean(axis=0)
    rows = {
        "network": points_of(FAN(path, width=WIDTH, n_stacks=STACKS), aligned),
        "Face Mesh": aligned.landmarks,
        "mean shape": np.broadcast_to(mean, exact.shape),
    }
    with (folder / "fan-figures.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("points", *REGIONS, "box"))
        for name, points in rows.items():
            figures = errors(aligner.inverse_transform(aligned, points), exact)
            writer.writerow((name, *figures))
            print(f"{name:12s}", *(f"{100 * value:6.2f}" for value in figures))


def points_of(fan, faces):
    """Return the points that a network finds in aligned faces, their pixels."""
    own = PreparedNetwork(fan.eval(), image_size=SIZE, grayscale=False)
    parts = []
    for start in range(0, len(faces), BATCH):
        images = torch.as_tensor(faces.images[start : start + BATCH])
        with torch.inference_mode():
            parts.append(own(images, method="landmarks").numpy())
    return np.concatenate(parts)


def errors(points, exact):
    """Return the mean distance of each region, and of all by the box."""
    distance = np.linalg.norm(points - exact, axis=2)
    eyes = np.linalg.norm(exact[:, RIGHT_EYE] - exact[:, LEFT_EYE], axis=1)
    box = np.sqrt(np.ptp(exact, axis=1).prod(axis=1))
    by_eyes = distance / eyes[:, None]
    regions = [float(by_eyes[:, part].mean()) for part in REGIONS.values()]
    return *regions, float((distance / box[:, None]).mean())


if __name__ == "__main__":
    with shown():
        main()
