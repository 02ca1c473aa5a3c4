"""What do a few labelled frames of my own add to the shipped model?
=================================================================

TABLE.csv has the columns ``path, subject, AU1, AU2, ...`` (see `load_table`), with at
least six people. Without it rendered people stand in. Three systems are compared on
people whose labels none of them has seen: the shipped model as it is; the shipped
model, which learns on with the labels of the other people; the same network, which
begins afresh with these labels. Intervals and tests are by subject. ::

    python examples/fine_tune.py [TABLE.csv] [--intensities] [--small]
"""

import argparse

from sklearn.base import clone
from sklearn.model_selection import GroupKFold

import skfau
from skfau.datasets import load_rendered, load_table
from skfau.estimators import pretrained_classifier
from skfau.metrics import compare_predictions
from skfau.model_selection import oof_predict_proba

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("table", nargs="?", help="CSV file of your frames and labels")
parser.add_argument(
    "--intensities", action="store_true", help="labels are 0 to 5; from 2 on present"
)
parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()

# %%
# Your frames and labels, or a few of 24 rendered people.
if options.table:
    mine = load_table(options.table, threshold=2 if options.intensities else None)
    rows = slice(None)
else:
    mine = load_rendered(aus=(4, 6, 12, 25) if options.small else None)
    rows = slice(0, 108, 2) if options.small else slice(0, 144)

# %%
# The shipped model tells only of AUs that it knows.
model = skfau.load_pretrained()
known = list(model[-1].aus_)
aus = tuple(au for au in mine.aus if au in known)
target = mine.target[rows][:, [mine.aus.index(au) for au in aus]]

# %%
# Faces are found and aligned once, as in a photograph: by the pipeline's first step.
faces = model[0].transform(mine.data[rows].with_columns(landmarks=None))
faces = faces.with_images(faces.images[...])

# %%
# What learns on from the shipped model, and its network without that start, in larger
# steps and more epochs.
epochs = 1 if options.small else 4
learning = pretrained_classifier(aus, max_epochs=epochs, random_state=0)[-1]
afresh = clone(learning.network).set_params(
    aus=aus, init_from=None, lr=1e-3, max_epochs=6 * epochs
)
cv = GroupKFold(3)
y_proba = {
    "learning on": oof_predict_proba(learning, faces, target, cv=cv),
    "as it is": model[-1].predict_proba(faces)[:, [known.index(au) for au in aus]],
    "afresh": oof_predict_proba(afresh, faces, target, cv=cv),
}
print(
    f"{len(faces)} frames of {len(set(faces.subject))} people, area under the curve:\n"
)
print(
    compare_predictions(
        target, y_proba, faces.subject, aus=aus, metric="roc_auc", random_state=0
    )
)

# %%
# The classifier for your videos learns from all your frames. `skfau.save` it, and
# ``python -m skfau predict VIDEO --model FILE`` takes it:
# ``pretrained_classifier(aus).fit(mine.data, mine.target)``.
