"""What does a network add to oriented gradients and linear machines?
==================================================================

Baselines on made faces, scored on people that none has seen: the classical chains, HOG
or landmarks and one linear model per AU, which need no training to speak of, the two of
them averaged, and JAA-Net, which also finds the landmarks. ::

    python examples/compare_baselines.py [--small]
"""

import argparse

import numpy as np
from sklearn.pipeline import make_pipeline

from skfau import FaceAligner, JAANetClassifier
from skfau.datasets import make_faces
from skfau.estimators import hog_baseline, landmark_baseline
from skfau.metrics import score_table
from skfau.model_selection import AUVotingClassifier, subject_train_test_split

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()

made = make_faces(
    n_subjects=12 if options.small else 100, n_frames=4, image_size=80, random_state=0
)
X, y = made.data, made.target
train, test = subject_train_test_split(X, y, test_fraction=0.3, random_state=0)

# %%
# JAANetClassifier() alone is the published size, for 176 px crops of 200 px faces and
# 100,000 of them. This one is narrow, and steps faster through fewer faces.
jaanet = JAANetClassifier(
    channels=2,
    image_size=64,
    lr=0.05,
    lr_decay_epochs=6,
    max_epochs=1 if options.small else 18,
    random_state=0,
    verbose=1,
)
hog, landmarks = hog_baseline(output_size=72), landmark_baseline()
baselines = {
    "HOG + SVM": hog,
    "landmarks": landmarks,
    "HOG and landmarks": AUVotingClassifier([("hog", hog), ("landmarks", landmarks)]),
    "JAA-Net": make_pipeline(FaceAligner(output_size=72), jaanet),
}
for name, baseline in baselines.items():
    called = baseline.fit(X[train], y[train]).predict(X[test])
    table = score_table(y[test], called, made.aus, subjects=X.subject[test])
    print(f"\n{name}\n{table}")

# %%
# How far are the landmarks it found from the true ones, as a share of the distance of
# the eyes?
faces = baselines["JAA-Net"][0].transform(X[test])
error = np.linalg.norm(jaanet.predict_landmarks(faces) - faces.landmarks, axis=2)
eyes = faces.landmarks[:, 36:42].mean(axis=1) - faces.landmarks[:, 42:48].mean(axis=1)
relative = np.nanmean(error, axis=1) / np.linalg.norm(eyes, axis=1)
print(f"\nmean landmark error of JAA-Net: {100 * relative.mean():.1f} % of the eyes")
