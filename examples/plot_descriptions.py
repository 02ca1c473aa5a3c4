"""What do sentences about AUs add to pictures of them?
====================================================

Trains SEV-Net (Yang et al., 2021) on made faces without labels of AU2, writes where
each description makes it look (the paper's Figure 4) and how the AUs relate, then looks
for AU2 by its description alone. Needs matplotlib. ::

    python examples/plot_descriptions.py [--output FOLDER] [--small]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from skfau import SEVNetClassifier
from skfau.datasets import make_faces
from skfau.facs import action_unit
from skfau.inspection import AttentionMapDisplay, AURelationsDisplay
from skfau.metrics import au_roc_auc_score

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", type=Path, default=Path("figures"))
parser.add_argument("--small", action="store_true", help="seconds instead of a minute")
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)


def save(figure, name):
    path = options.output / f"{name}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"wrote {path}")


# %%
# Leave the column of AU2 out. Its sentence says much the same as that of AU1.
HIDDEN = 2
for au in (1, HIDDEN):
    print(f"AU{au}: {action_unit(au).description}")
n_people = 30 if options.small else 250
known = make_faces(n_subjects=n_people, n_frames=3, image_size=96, random_state=0)
strangers = make_faces(n_subjects=60, n_frames=3, image_size=96, random_state=1)
column = known.aus.index(HIDDEN)
aus = tuple(au for au in known.aus if au != HIDDEN)
shown = [known.aus.index(au) for au in aus]
clf = SEVNetClassifier(
    backbone="tiny",
    aus=aus,
    image_size=96,
    batch_size=16,
    max_epochs=1 if options.small else 6,
    random_state=0,
)
clf.fit(known.data, known.target[:, shown])

# %%
# With labels, and from the sentence alone. An AUC of one half is chance. Compare with
# the network's output for AU1, which says something near it: a sentence alone has not
# been seen to find more.
X, y = strangers.data, strangers.target
labelled = au_roc_auc_score(y[:, shown], clf.predict_proba(X))
found = clf.zero_shot_proba(X, (HIDDEN,))
unlabelled = au_roc_auc_score(y[:, [column]], found)
borrowed = clf.predict_proba(X)[:, [aus.index(1)]]
print(f"AUC of AUs with labels, mean: {labelled:.2f}")
print(f"AUC of AU{HIDDEN}, never labelled: {unlabelled:.2f}")
print(f"AUC of AU1's output for it: {au_roc_auc_score(y[:, [column]], borrowed):.2f}")

# %%
# Where the network looks, and which AUs the sentences relate.
display = AttentionMapDisplay.from_estimator(clf, X[[0, 70, 140]])
save(display.figure_, "descriptions_attention")
display = AURelationsDisplay.from_estimator(clf, X[:1])
save(display.figure_, "descriptions_relations")
