"""Which of several systems is better, and would it be so on other people?
=======================================================================

Compares small networks on the same folds of made subjects: a table with intervals and
paired tests over subjects, what papers print beside it, a CSV file and a figure. Then
the tests that papers report, what thresholds and dependencies of AUs add, and the same
systems on a data set that they were not trained on. Needs matplotlib. ::

    python examples/plot_compare.py [--output FOLDER] [--small]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from skfau.datasets import make_faces, published_results
from skfau.estimators import ResNetClassifier, SEVNetClassifier
from skfau.inspection import AUTimelineDisplay, ComparisonDisplay
from skfau.metrics import (
    au_adjacency_distance,
    au_dependency_f1_score,
    compare_predictions,
    mcnemar_test,
    paired_t_test,
)
from skfau.model_selection import (
    SubjectKFold,
    best_f1_thresholds,
    compare,
    cross_dataset_scores,
)

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", type=Path, default=Path("figures"))
parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)

# %%
# Equal folds, equal work. The first system is the one that others are marked against.
made = make_faces(
    n_subjects=9 if options.small else 90, n_frames=8, image_size=64, random_state=0
)
X, y, subjects = made.data, made.target, made.data.subject
small = {"backbone": "tiny", "image_size": 64, "lr": 1e-3, "random_state": 0}
epochs = 1 if options.small else 12
systems = {
    "backbone": ResNetClassifier(**small, max_epochs=epochs),
    "backbone, twice the work": ResNetClassifier(**small, max_epochs=2 * epochs),
    "with descriptions": SEVNetClassifier(**small, max_epochs=epochs),
}
cv = SubjectKFold(3)
table = compare(
    systems,
    X,
    y,
    cv=cv,
    aus=made.aus,
    published="bp4d",
    verbose=1,
    random_state=0,
)
print(table)
table.to_csv(options.output / "comparison.csv")
display = ComparisonDisplay.from_comparison(table, published=False)
display.figure_.savefig(options.output / "comparison.png", dpi=110)

# %%
# Two systems on one video, and what there was to see (Figure 10 of Yang et al., 2023).
rows = np.flatnonzero(X.video == X.video[0])
figure, axes = plt.subplots(2, figsize=(9, 7), layout="constrained")
for ax, name in zip(axes, ("backbone", "with descriptions"), strict=True):
    AUTimelineDisplay.from_predictions(
        table.probabilities[name][rows],
        made.aus,
        frames=X.frame[rows],
        y=y[rows],
        thresholds=0.5,
        title=name,
        shown=(1, 4, 6, 12),
        ax=ax,
    )
figure.savefig(options.output / "comparison_timeline.png", dpi=110)
print(f"wrote {options.output}/comparison.csv, comparison.png, comparison_timeline.png")

# %%
# One pair in the words of the literature. Both tests take frames for independent and
# give p-values that a test over people does not.
first, second = (table.predictions[name] for name in list(systems)[:2])
test = table.differences["backbone, twice the work", "backbone"]
print(f"\nTwice the work: {test.difference[-1]:+.3f} mean F1, over people", end=" ")
print(f"[{test.low[-1]:+.3f}, {test.high[-1]:+.3f}], p = {test.p_value[-1]:.3f}")
print("McNemar over frames:", mcnemar_test(y, second, first))
print("t-test of predictions over frames:", paired_t_test(second, first))
people = paired_t_test(second, first, y_true=y, subjects=subjects)
print("t-test of errors over people:", people)

# %%
# Out-of-fold probabilities are kept, so that other questions need no other fits.
# Thresholds are learned on the folds that are not scored.
proba, tuned = table.probabilities["backbone"], np.full_like(y, np.nan)
for fold in range(cv.n_splits):
    test_rows = table.folds == fold
    cuts = best_f1_thresholds(y[~test_rows], proba[~test_rows])
    tuned[test_rows] = proba[test_rows] >= cuts
named = {"cut at 0.5": table.predictions["backbone"], "learned thresholds": tuned}
print("\n", compare_predictions(y, named, subjects, aus=made.aus, random_state=0))
for name, predicted in table.predictions.items():
    distance = au_adjacency_distance(y, predicted)
    f1 = au_dependency_f1_score(y, predicted)
    print(f"{name}: adjacency distance {distance:.2f}, dependency F1 {f1:.3f}")

# %%
# DISFA's AUs, on people and in frames of another size: the five AUs in common.
others = make_faces(
    n_subjects=4 if options.small else 20,
    n_frames=8,
    aus=(1, 2, 4, 6, 9, 12, 25, 26),
    image_size=96,
    random_state=1,
)
rows = published_results("disfa").data
tables = cross_dataset_scores(
    systems,
    made,
    {"others": others},
    published=rows[rows["kind"] == "cross-data-set"],
    random_state=0,
)
print("\n", tables["others"])
