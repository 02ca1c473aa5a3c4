"""Trained on one data set, tested on another: BP4D's and DISFA's layouts, both ways.

    python benchmarks/bench_cross_datasets.py --data PATH [--systems NAME ...]
        [--epochs 3] [--people 1500] [--metric f1] [--csv FOLDER] [--small]

PATH holds the folders ``bp4d`` and ``disfa``. Systems, starts and training are those
of ``bench_systems.py``, without its second, slower stage; every system sees all
subjects of one data set and is tested on all of the other, on the AUs they share
(Tables III to V of Yang et al., 2023). Prints F1 per AU at a cut of 0.5, or with
``--metric roc_auc`` the area under the ROC curve, which asks for no cut where AUs are
rarer or more frequent than in training, with intervals that resample subjects, and
paired tests against the first system.
"""

import argparse
import tempfile
from pathlib import Path

from sklearn.utils import Bunch

from bench_systems import (
    SYSTEMS,
    in_memory,
    made_people,
    start_on_made,
    to_tune,
)
from skfau.datasets import load_bp4d, load_disfa
from skfau.model_selection import cross_dataset_scores


def load(loader, path, step):
    """Return every n-th face of a data set, aligned and in memory, as a bunch."""
    bunch = loader(path)
    faces, target = in_memory(bunch.data, bunch.target, step, landmarks="auto")
    return Bunch(data=faces, target=target, aus=bunch.aus)


def started(name, options, made, folder):
    """Return a system that will start from what it learned of made faces."""
    path = Path(folder) / f"{name.replace(' ', '_').replace('/', '')}.safetensors"
    start_on_made(name, 0, options.made_epochs, made).save(path)
    return to_tune(name, 0, options.epochs, path)


def main():
    """Train on each data set in turn and print what the other says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    default = ["ResNet", "ResNet-A", "AU-FAN", "AU-VAE", "AU-TDN", "AUNet"]
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=default)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--people", type=int, default=1500, help="of made faces")
    parser.add_argument("--made-epochs", type=int, default=4)
    parser.add_argument("--step", type=int, default=2, help="take every n-th frame")
    parser.add_argument("--metric", choices=["f1", "roc_auc"], default="f1")
    parser.add_argument("--csv", type=Path, help="folder for a table each way")
    parser.add_argument("--small", action="store_true", help="one epoch, to try it")
    options = parser.parse_args()
    if options.small:
        options.epochs = options.made_epochs = 1
        options.people, options.step = 20, 20
    sets = {
        "bp4d": load(load_bp4d, options.data / "bp4d", options.step),
        "disfa": load(load_disfa, options.data / "disfa", options.step),
    }
    made = made_people(options.people, 0)
    with tempfile.TemporaryDirectory() as folder:
        systems = {n: started(n, options, made, folder) for n in options.systems}
        for train, test in (("bp4d", "disfa"), ("disfa", "bp4d")):
            own = {
                name: system.set_params(aus=tuple(sets[train].aus))
                for name, system in systems.items()
            }
            tests, metric = {test: sets[test]}, options.metric
            scores = cross_dataset_scores(own, sets[train], tests, metric=metric)[test]
            print(f"\ntrained on {train}, tested on {test}\n{scores}", flush=True)
            if options.csv:
                scores.to_csv(options.csv / f"{train}_{test}.csv")


if __name__ == "__main__":
    main()
