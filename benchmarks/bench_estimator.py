"""What the estimator costs over the bare network, both sides in one run.

    python benchmarks/bench_estimator.py [--small]

1. One epoch of ``fit`` against a hand-written torch loop: same network, loss, Adam,
   batches and row order, augmentation off.
2. ``predict_proba`` against the bare module's forward on ready float tensors.

CPU time of the process, one torch thread, minimum of interleaved repeats. The limit
is 1.00: nothing that the estimator adds would cost anything.
"""

import argparse
from time import process_time

import torch

from _timing import best_of
from skfau import FAUTransformerClassifier
from skfau.datasets import make_faces
from skfau.preprocessing import roi_heatmaps


def hand_written_epoch(clf, images, maps, labels, batch_size):
    """Train one epoch with plain torch on uint8 images and ready maps."""
    module, loss = clf.net_.module_, clf.net_.criterion_
    optimizer = torch.optim.Adam([*module.parameters(), *loss.parameters()], lr=1e-4)
    module.train()
    order = torch.randperm(len(images))
    for rows in order.split(batch_size):
        optimizer.zero_grad()
        outputs = module(images[rows])
        value = loss(outputs, {"labels": labels[rows], "maps": maps[rows]})
        value.backward()
        optimizer.step()
        loss.after_step()


def main():
    """Measure and print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    n_frames, repeats = (8, 2) if options.small else (40, 5)
    made = make_faces(n_subjects=12, n_frames=n_frames, random_state=0)
    clf = FAUTransformerClassifier(
        backbone="tiny", image_size=112, max_epochs=1, batch_size=32, random_state=0
    ).fit(made.data, made.target)
    images = torch.from_numpy(made.data.images[...])
    labels = torch.from_numpy(made.target)
    size = clf.attention_maps(made.data[:1]).shape[-1]
    maps = torch.from_numpy(
        roi_heatmaps(made.data.landmarks, made.aus, (112, 112), size=size)
    )

    loop, fit = best_of(
        [
            lambda: hand_written_epoch(clf, images, maps, labels, 32),
            lambda: clf.partial_fit(made.data, made.target),
        ],
        repeats,
        process_time,
    )
    print(f"epoch of {len(images)} faces, batch 32")
    print(f"  torch loop {loop:6.3f} s   fit {fit:6.3f} s   ratio {fit / loop:.3f}")

    module = clf.net_.module_.eval()
    pixels = module.pixels(images)
    network = module.network

    def forward():
        with torch.inference_mode():
            for batch in pixels.split(32):
                network(batch)

    bare, predict = best_of(
        [forward, lambda: clf.predict_proba(made.data)], repeats, process_time
    )
    print(f"prediction of {len(images)} faces, batch 32")
    print(
        f"  forward    {bare:6.3f} s   predict_proba {predict:6.3f} s   "
        f"ratio {predict / bare:.3f}"
    )


if __name__ == "__main__":
    main()
