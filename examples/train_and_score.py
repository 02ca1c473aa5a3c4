"""How well are AUs detected in people the network has never seen?
===============================================================

Subject-exclusive cross-validation from images on disk to F1 per AU, in a dozen
lines. Without ``--data`` the faces are made; with it they are read from a folder in
BP4D's layout and the published three folds are used. ::

    python examples/train_and_score.py [--data PATH] [--small]
"""

import argparse

from sklearn.pipeline import make_pipeline

from skfau import FaceAligner, FAUTransformerClassifier
from skfau.datasets import load_bp4d, make_faces
from skfau.metrics import score_table
from skfau.model_selection import PublishedKFold, SubjectKFold, oof_predict_proba

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", help="folder in BP4D's layout")
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()

# %%
# Faces, labels and subjects. Unknown labels are NaN in `target`.
if options.data:
    bunch, cv = load_bp4d(options.data), PublishedKFold("bp4d")
else:
    frames = 6 if options.small else 40
    bunch = make_faces(n_subjects=9, n_frames=frames, random_state=0)
    cv = SubjectKFold(3)

# %%
# The paper's system on a backbone that trains on a CPU. FAUTransformerClassifier()
# alone is the published size.
classifier = FAUTransformerClassifier(
    backbone="tiny",
    image_size=112,
    lr=1e-3,
    max_epochs=1 if options.small else options.epochs,
    random_state=0,
    verbose=1,
)
pipeline = make_pipeline(FaceAligner(output_size=112), classifier)
proba = oof_predict_proba(pipeline, bunch.data, bunch.target, cv=cv)
print(
    score_table(
        bunch.target,
        aus=bunch.aus,
        y_proba=proba,
        subjects=bunch.data.subject,
        random_state=0,
    )
)
