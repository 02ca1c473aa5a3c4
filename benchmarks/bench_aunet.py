"""What AUNet saves by seeing each frame once: the feature cache, and three frames.

    python benchmarks/bench_aunet.py [--frames 16] [--threads 1] [--repeats 3] [--small]

Two ratios, each of both sides in turns in one run, with random weights (and norms made
for these faces: features would be beyond float16 otherwise), on a CPU unless there is
a GPU:

- an epoch of AUNet (batches of 8) from the feature cache, and the same epoch with the
  frozen network run on each face and its two neighbours. The limit is the head's
  training: forward and backward it takes about 10.3 of the 52.2 billion products of
  the epoch without, so about 5 times, if all products cost the same.
- predicting a video with three frames (``temporal=True``) and with one. Each frame
  passes the frozen network (14.0 billion products) once either way; the heads take 3.8
  and 3.0 billion, so the limit is 1.05.
"""

import argparse
import tempfile
import warnings

import torch

from _timing import best_of
from skfau import AUNetClassifier
from skfau.datasets import make_faces
from skfau.nn import FAN, IMAGENET_MEAN, IMAGENET_STD


def make_classifier(options, weights, **parameters):
    """Return an untrained AUNet at the size that is measured."""
    return AUNetClassifier(
        fan_weights=weights,
        fan_width=options.width,
        interval=1,
        label_vae=False,
        augmentation=None,
        image_size=options.image_size,
        batch_size=8,
        max_epochs=1,
        precision="float32",
        n_threads=options.threads,
        random_state=0,
        **parameters,
    )


def save_fan(path, images, width):
    """Write a face alignment network of random weights, its norms made for images."""
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    torch.manual_seed(0)
    fan = FAN(width=width).train()
    for layer in fan.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        fan(((torch.as_tensor(images) / 255 - mean) / std).permute(0, 3, 1, 2))
    torch.save(fan.state_dict(), path)


def epoch(clf, made):
    """Return a function that trains one epoch more."""
    clf.partial_fit(made.data, made.target)
    return lambda: clf.partial_fit(made.data, made.target)


def main():
    """Measure both ratios and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    options.width, options.image_size = (16, 48) if options.small else (256, 256)
    # In two videos; that an AU may be absent from so few frames does not matter here.
    warnings.filterwarnings("ignore", message=".*never occurs")
    made = make_faces(
        n_subjects=1,
        n_frames=options.frames,
        image_size=options.image_size,
        random_state=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = f"{folder}/fan.pth"
        save_fan(weights, made.data.images[:], options.width)
        plain = make_classifier(options, weights)
        cached = make_classifier(options, weights, feature_cache=folder)
        single = make_classifier(options, weights, temporal=False)
        single.partial_fit(made.data, made.target)
        sides = [
            epoch(plain, made),
            epoch(cached, made),
            lambda: plain.predict_proba(made.data),
            lambda: single.predict_proba(made.data),
        ]
        without, kept, three, one = best_of(sides, options.repeats)
    per_face = 1000 / options.frames
    print(f"epoch, ms a face: {per_face * without:.0f}; cached {per_face * kept:.0f}")
    print(f"  without / from the cache: {without / kept:.2f}")
    print(
        f"video, ms a face: {per_face * one:.0f}; three frames {per_face * three:.0f}"
    )
    print(f"  three frames / one: {three / one:.2f}")


if __name__ == "__main__":
    main()
