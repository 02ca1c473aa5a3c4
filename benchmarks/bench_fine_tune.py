"""What the shipped model is worth to your own data set, on BP4D's published folds.

    python benchmarks/bench_fine_tune.py --data PATH [--epochs 4] [--lr 5e-5]
        [--threads 1] [--rows NAME ...]

PATH holds BP4D's layout, as for ``bench_bp4d.py``. In one run, on the same aligned
faces: calling every AU present, `landmark_baseline`, `hog_baseline`, the network of the
shipped model trained afresh, the shipped model as it is (no label of these people), and
`pretrained_classifier`, which learns on. Means over AUs of F1 at a cut of 0.5 and of
the area under the ROC curve, both over the frames of all three test folds, and the
seconds that fits and predictions took.
"""

import argparse
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import skfau
from skfau.datasets import load_bp4d
from skfau.estimators import hog_baseline, landmark_baseline, pretrained_classifier
from skfau.metrics import au_f1_score, au_roc_auc_score
from skfau.model_selection import PublishedKFold


def main():
    """Print a row per classifier."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--rows", nargs="+")
    arguments = parser.parse_args()
    bunch = load_bp4d(arguments.data)
    folds = list(PublishedKFold("bp4d").split(bunch.data, groups=bunch.data.subject))
    settings = {
        "max_epochs": arguments.epochs,
        "lr": arguments.lr,
        "n_threads": arguments.threads,
        "random_state": 0,
    }
    rows = {
        "everything present": everything,
        "landmark_baseline()": fitted(landmark_baseline),
        "hog_baseline()": fitted(hog_baseline),
        "the network afresh": fitted(lambda: afresh(settings)),
        "load_pretrained()": shipped,
        "pretrained_classifier()": fitted(lambda: pretrained_classifier(**settings)),
    }
    print(f"{len(bunch.data)} frames of {len(set(bunch.data.subject))} people")
    print(f"{'':24} {'F1':>6} {'AUC':>6} {'seconds':>8}")
    for name in arguments.rows or rows:
        began = perf_counter()
        y_proba = np.full(bunch.target.shape, np.nan)
        for train, test in folds:
            y_proba[test] = rows[name](bunch, train, test)
        seen = np.isfinite(y_proba).all(axis=1)
        y, y_proba = np.asarray(bunch.target)[seen], y_proba[seen]
        f1 = 100 * au_f1_score(y, (y_proba >= 0.5).astype(np.float32))
        auc, seconds = au_roc_auc_score(y, y_proba), perf_counter() - began
        print(f"{name:24} {f1:6.1f} {auc:6.3f} {seconds:8.1f}", flush=True)


def everything(bunch, train, test):
    """Return ones."""
    return np.ones((len(test), len(bunch.aus)))


def fitted(make):
    """Return a function that fits what `make` returns and predicts the test fold."""

    def predict(bunch, train, test):
        chain = make().fit(bunch.data[train], bunch.target[train])
        return chain.predict_proba(bunch.data[test])

    return predict


def afresh(settings):
    """Return the chain of the shipped network without its weights."""
    align, learning = (step for _, step in pretrained_classifier(**settings).steps)
    network = clone(learning.network).set_params(
        init_from=None, aus=learning.aus, lr=2e-3, max_epochs=8
    )
    return make_pipeline(align, network)


def shipped(bunch, train, test):
    """Return what the shipped model says; cuts lie at one half here."""
    model = skfau.load_pretrained()
    columns = [model[-1].aus_.index(au) for au in bunch.aus]
    return model.predict_proba(bunch.data[test])[:, columns]


if __name__ == "__main__":
    main()
