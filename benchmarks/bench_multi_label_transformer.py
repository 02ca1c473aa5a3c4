"""What the tokens of the multi-label transformer cost over its backbone alone.

    python benchmarks/bench_multi_label_transformer.py [--small]

`predict_proba` of `MultiLabelTransformerClassifier` from uint8 faces to probabilities,
for Inception-v3 at 299 pixels and 12 AUs (random weights: they cost the same), against
the bare backbone's forward on ready float tensors. 64 patches and 12 tokens need about
0.05 of the backbone's 5.7 billion multiplications, which makes 1.01 the limit; the
target is 1.10. Both forms of the decoder.

CPU time of the process, one torch thread, minimum of interleaved repeats.
"""

import argparse
from time import process_time

import torch

from _timing import best_of
from skfau import MultiLabelTransformerClassifier
from skfau.datasets import make_faces


def main():
    """Measure and print a ratio for each form of the decoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--small", action="store_true", help="a small backbone, to try it"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone, size = ("tiny", 64) if options.small else ("inception_v3", 299)
    repeats = 2 if options.small else options.repeats
    n_faces = 2 * options.batch_size
    made = make_faces(
        n_subjects=2, n_frames=options.batch_size, image_size=size, random_state=0
    )
    print(f"{backbone} at {size} px, {n_faces} faces in batches of {n_faces // 2}")
    for decoder in ("paper", "released"):
        clf = MultiLabelTransformerClassifier(
            backbone=backbone,
            image_size=size,
            decoder=decoder,
            batch_size=options.batch_size,
            max_epochs=1,
            random_state=0,
            aus=None,
        )
        # One step on two faces, of which one shows each AU, makes it fitted.
        two = made.target[:2] * 0
        two[1] = 1
        clf.fit(made.data[:2], two)
        module = clf.net_.module_.eval()
        backbone = module.network.backbone
        with torch.inference_mode():
            pixels = module.pixels(torch.from_numpy(made.data.images[...]))

        def forward(pixels=pixels, backbone=backbone):
            with torch.inference_mode():
                for batch in pixels.split(options.batch_size):
                    backbone(batch)

        def predict(clf=clf):
            clf.predict_proba(made.data)

        bare, whole = best_of([forward, predict], repeats, process_time)
        print(
            f"  {decoder:8s} backbone {bare:7.3f} s   predict_proba {whole:7.3f} s   "
            f"ratio {whole / bare:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
