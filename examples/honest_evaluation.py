"""What would shortcuts in the protocol have "gained"?
===================================================

Four ways to report F1 for the same network on the same made faces. Only the first
two say how it does on new people: thresholds fixed, or learned on held-out training
subjects. Tuning thresholds on the test fold, and letting frames of one person fall
on both sides, both look better and are worth nothing. ::

    python examples/honest_evaluation.py [--small]
"""

import argparse

import numpy as np
from sklearn.model_selection import KFold

from skfau import FAUTransformerClassifier
from skfau.datasets import make_faces
from skfau.metrics import au_f1_score, fold_mean_f1
from skfau.model_selection import (
    AUThresholdClassifier,
    SubjectKFold,
    best_f1_thresholds,
)

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--small", action="store_true")
options = parser.parse_args()
made = make_faces(
    n_subjects=40, n_frames=8 if options.small else 12, image_size=64, random_state=3
)
X, y = made.data, made.target
clf = FAUTransformerClassifier(
    backbone="tiny",
    image_size=64,
    embedding_dim=32,
    lr=1e-3,
    max_epochs=1 if options.small else 10,
    random_state=0,
)


def run(cv, *, learn_thresholds=False):
    """Return out-of-fold probabilities, decisions and fold numbers."""
    proba, predicted = np.full_like(y, np.nan), np.full_like(y, np.nan)
    fold = np.empty(len(y), int)
    for number, (train, test) in enumerate(cv.split(X)):
        model = AUThresholdClassifier(clf) if learn_thresholds else clf
        model.fit(X[train], y[train])
        proba[test], fold[test] = model.predict_proba(X[test]), number
        predicted[test] = model.predict(X[test])
    return proba, predicted, fold


# %%
# By subject. The third line peeks at the test fold's labels.
subjects = SubjectKFold(3)
proba, fixed, fold = run(subjects)
_, learned, _ = run(subjects, learn_thresholds=True)
peeking = np.full_like(y, np.nan)
for number in range(3):
    rows = fold == number
    peeking[rows] = proba[rows] >= best_f1_thresholds(y[rows], proba[rows])

# %%
# By frame: neighbours of a training frame are in the test fold.
_, leaking, frame_fold = run(KFold(3, shuffle=True, random_state=0))

honest = fold_mean_f1(y, fixed, fold)
for name, f1 in {
    "subjects apart, threshold 0.5": honest,
    "subjects apart, thresholds from held-out training subjects": fold_mean_f1(
        y, learned, fold
    ),
    "subjects apart, thresholds from the test fold": fold_mean_f1(y, peeking, fold),
    "frames of a subject on both sides, threshold 0.5": fold_mean_f1(
        y, leaking, frame_fold
    ),
    "every AU always present": au_f1_score(y, np.ones_like(y)),
}.items():
    print(f"F1 {100 * f1:5.1f} ({100 * (f1 - honest):+5.1f})  {name}")
