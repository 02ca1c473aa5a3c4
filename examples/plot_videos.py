"""From frames to videos: what do smoothing and thresholds per AU add?
===================================================================

Trains the system of Tallec et al. (2022) on a small backbone with made faces, then does
what they did after the network: average each AU's probability over neighbouring frames
of a video, and decide by a threshold per AU, learned on held-out training subjects.
Prints F1 on strangers for each step, and draws where the AUs' tokens look and one video
before and after. Needs matplotlib. ::

    python examples/plot_videos.py [--output FOLDER] [--small]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skfau import FaceAligner, MultiLabelTransformerClassifier
from skfau.datasets import make_faces
from skfau.estimators import FaceAugmentation
from skfau.inspection import (
    AttentionMapDisplay,
    AURelationsDisplay,
    AUTimelineDisplay,
)
from skfau.metrics import au_f1_score
from skfau.model_selection import AUThresholdClassifier, SmoothedClassifier

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", type=Path, default=Path("figures"))
parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)


def save(display, name):
    path = options.output / f"{name}.png"
    display.figure_.savefig(path, dpi=110)
    plt.close(display.figure_)
    print(f"wrote {path}")


# %%
# Many people for the network, whole videos of strangers to judge it.
known = make_faces(
    n_subjects=12 if options.small else 200, n_frames=4, image_size=96, random_state=0
)
strangers = make_faces(
    n_subjects=4 if options.small else 10,
    n_frames=12 if options.small else 60,
    image_size=96,
    random_state=1,
)
X, y = strangers.data, strangers.target

# %%
# The released schedule is made for a million faces; here all weights have one rate.
network = MultiLabelTransformerClassifier(
    backbone="tiny",
    image_size=80,
    embedding_dim=64,
    schedule=None,
    lr=1e-3,
    weight_decay=0.05,
    batch_size=16,
    augmentation=FaceAugmentation(flip=0.5, label_smoothing=0.1),
    max_epochs=1 if options.small else 6,
    random_state=0,
)
pipeline = make_pipeline(FaceAligner(output_size=80), network)
smooth = SmoothedClassifier(pipeline, width=7)
clf = AUThresholdClassifier(smooth).fit(known.data, known.target)
pipeline = clf.estimator_.estimator_

# %%
# Each step on the same fitted network.
averaged = clf.predict_proba(X)
for name, predicted in {
    "frame by frame, threshold 0.5": pipeline.predict(X),
    "moving average within each video": averaged >= 0.5,
    "and a threshold per AU": averaged >= clf.thresholds_,
    "every AU always present": np.ones_like(y),
}.items():
    print(f"F1 {100 * au_f1_score(y, predicted.astype(np.float32)):5.1f}  {name}")

# %%
# One video before and after, with the thresholds.
video = X.video[0]
rows = X.video == video
figure, axes = plt.subplots(2, figsize=(10, 13), layout="constrained")
for ax, proba, cuts, title in (
    (axes[0], pipeline.predict_proba(X[rows]), 0.5, "frame by frame"),
    (axes[1], averaged[rows], clf.thresholds_, "smoothed, a threshold per AU"),
):
    timeline = AUTimelineDisplay.from_predictions(
        proba,
        known.aus,
        frames=X.frame[rows],
        y=y[rows],
        thresholds=cuts,
        title=f"{video}, {title}",
        ax=ax,
    )
save(timeline, "video_before_and_after")

# %%
# Where do the AUs' tokens look, and at each other? Every map has sum 1.
people = np.unique(X.subject)[:4]
few = X[[np.argmax(np.where(X.subject == p, y.sum(1), -1)) for p in people]]
save(AttentionMapDisplay.from_estimator(pipeline, few), "tokens_on_patches")
save(AURelationsDisplay.from_estimator(pipeline, X), "tokens_on_tokens")
