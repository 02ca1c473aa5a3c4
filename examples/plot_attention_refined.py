"""What does a CRF do to attention that nobody drew?
=================================================

Trains the system of Shao et al. (2018) in a narrow version on made faces, from AU
labels alone, and writes where it looks before and after its CRF (the paper's Figure
5), the channels that weigh most for an AU (Figure 4), and where it looks for several
people and expressions (Figures 6 and 7). A minute of training is too short for maps
that sit on muscles: they show what the CRF does, not what a network of full size
learns. Needs matplotlib. ::

    python examples/plot_attention_refined.py [--output FOLDER] [--small]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skfau import FaceAligner, WSARLClassifier
from skfau.datasets import make_faces
from skfau.inspection import AttentionMapDisplay

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", type=Path, default=Path("figures"))
parser.add_argument("--small", action="store_true", help="seconds instead of a minute")
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)

SHOWN = (1, 4, 6, 10, 12, 15, 24)


def save(figure, name):
    path = options.output / f"{name}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"wrote {path}")


# %%
# Train on many people, look at others. A quarter of the paper's width, less than half
# of its image side and a CRF over the 20x20 positions of the maps make a minute of it.
known = make_faces(
    n_subjects=20 if options.small else 80, n_frames=4, image_size=96, random_state=0
)
strangers = make_faces(n_subjects=10, n_frames=6, image_size=96, random_state=1)
# Names of two data sets may be the same where the people are not.
X, y = strangers.data, strangers.target
X = X.with_columns(subject=np.char.add("stranger ", X.subject))
pipeline = make_pipeline(
    FaceAligner(output_size=88),
    WSARLClassifier(
        channels=2,
        image_size=80,
        crf_scale=1,
        lr=0.03,
        max_epochs=1 if options.small else 3,
        random_state=0,
    ),
)
print(f"training on {known.data!r}")
pipeline.fit(known.data, known.target)
f1 = pipeline.score(X, y)
print(f"mean F1 on people it has never seen: {f1:.2f}")

# %%
# One face, before (above) and after the CRF: speckles go, regions keep to edges of the
# face.
busiest = X[[np.argmax(y.sum(axis=1))]]
aligner, classifier = pipeline[:-1], pipeline[-1]
face = aligner.transform(busiest)
figure, axes = plt.subplots(2, figsize=(9, 3.6), layout="constrained")
maps = {
    "before the CRF": classifier.attention_maps(face, refined=False),
    "after the CRF": classifier.gating_maps(face),
}
for ax, (label, of_aus) in zip(axes, maps.items(), strict=True):
    AttentionMapDisplay.from_predictions(
        face.images[...],
        of_aus,
        classifier.aus_,
        window=classifier.input_window(face.image_shape),
        shown=SHOWN,
        ax=ax,
    )
    ax.set_xlabel(label)
save(figure, "attention_before_and_after")

# %%
# The five channels of AU24 that its channel attention weighs most.
weights = classifier.channel_weights(face)[0, classifier.aus_.index(24)]
figure, axes = plt.subplots(1, 5, figsize=(9, 2), layout="constrained")
for ax, channel in zip(axes, np.argsort(-weights), strict=False):
    ax.imshow(classifier.channel_maps(face, 24)[0, channel])
    ax.set(title=f"{weights[channel]:.2f}", xticks=[], yticks=[])
save(figure, "attention_of_channels")

# %%
# The refined maps of three people; a frame marks the AUs that the network finds.
people = np.unique(X.subject)[:3]
rows = [np.argmax(np.where(X.subject == p, y.sum(axis=1), -1)) for p in people]
display = AttentionMapDisplay.from_estimator(pipeline, X[rows], shown=SHOWN)
save(display.figure_, "attention_of_three_people")
