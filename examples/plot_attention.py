"""What has a network learned: where it looks, and how it relates and follows AUs?
===============================================================================

Trains the paper's system on a small backbone with made faces and writes five figures
about faces of people it has never seen (Figures 1, 5 and 6 of Jacob and Stenger,
CVPR 2021, and what one needs besides). Needs matplotlib. ::

    python examples/plot_attention.py [--output FOLDER] [--small]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skfau import FaceAligner, FAUTransformerClassifier
from skfau.datasets import make_faces
from skfau.estimators import FaceAugmentation
from skfau.inspection import (
    AttentionMapDisplay,
    AURelationsDisplay,
    AUScoreDisplay,
    AUTimelineDisplay,
)
from skfau.preprocessing import roi_heatmaps

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", type=Path, default=Path("figures"))
parser.add_argument("--small", action="store_true", help="seconds instead of a minute")
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)


def save(display, name):
    path = options.output / f"{name}.png"
    display.figure_.savefig(path, dpi=110)
    plt.close(display.figure_)
    print(f"wrote {path}")


# %%
# Train on many people with few frames each: frames of one person teach little anew.
# Then look at ten strangers.
known = make_faces(
    n_subjects=20 if options.small else 400, n_frames=4, image_size=80, random_state=0
)
strangers = make_faces(
    n_subjects=4 if options.small else 10,
    n_frames=10 if options.small else 60,
    image_size=80,
    random_state=1,
)
# Names of two data sets may be the same where the people are not.
X, y = strangers.data, strangers.target
X = X.with_columns(subject=np.char.add("stranger ", X.subject))
pipeline = make_pipeline(
    FaceAligner(output_size=64),
    FAUTransformerClassifier(
        backbone="tiny",
        image_size=64,
        embedding_dim=32,
        augmentation=FaceAugmentation(flip=0.5),
        lr=1e-3,
        batch_size=16,
        # The published weight of the maps is 0.15; a minute of training needs more.
        loss_weights=(0.33, 0.33, 10, 0.15),
        max_epochs=1 if options.small else 5,
        random_state=0,
    ),
)
print(f"training on {known.data!r}")
pipeline.fit(known.data, known.target)

# %%
# Where does it look? For each of four people the frame with the most AUs; a frame
# marks the AUs that the network finds there.
people = np.unique(X.subject)[:4]
rows = [np.argmax(np.where(X.subject == p, y.sum(1), -1)) for p in people]
few = X[rows]
attention = AttentionMapDisplay.from_estimator(pipeline, few)
save(attention, "attention")

# %%
# The maps of the active AUs together, below what landmarks and labels say.
aligned = pipeline[:-1].transform(few)
regions = roi_heatmaps(aligned.landmarks, known.aus, aligned.image_shape)
figure, (above, below) = plt.subplots(2, figsize=(7, 8), layout="constrained")
AttentionMapDisplay.from_predictions(
    aligned.images[...], regions, known.aus, y=y[rows], combined=True, ax=above
)
above.set_xlabel("regions of the AUs that are labelled")
attention.plot(combined=True, ax=below)
below.set_xlabel("attention to the AUs that are found")
save(attention, "attention_of_active_aus")

# %%
# From which AUs does it take evidence, and which go together in the labels?
figure, (left, right) = plt.subplots(1, 2, figsize=(15, 6.5), layout="constrained")
AURelationsDisplay.from_labels(known.target, known.aus, ax=right)
relations = AURelationsDisplay.from_estimator(pipeline, X, ax=left)
save(relations, "relations")

# %%
# How does it follow one video?
video = X.video[rows[0]]
timeline = AUTimelineDisplay.from_estimator(pipeline, X, y, video=video)
save(timeline, "timeline")

# %%
# And how well, on people it does not know?
scores = AUScoreDisplay.from_estimator(
    pipeline, X, y, subjects=X.subject, random_state=0
)
save(scores, "f1_by_au")
print(scores.table)
