"""What SEV-Net's text costs, and what it finds of AUs that it never saw labelled.

    python benchmarks/bench_sevnet.py [--data PATH] [--small]

1. ``predict_proba`` of `SEVNetClassifier` against `ResNetClassifier` on the same
   ResNet-18, 224 px: CPU time, one thread, minimum of interleaved repeats. The text is
   computed once after training, so the limit is the attention over 7x7 positions: 0.6
   million operations per face where the backbone does 1.8 billion, a ratio of 1.00.
2. Leave one AU out: train on the other AUs of made faces, look for the one left out by
   its description on faces of other people; F1 and AUC beside the all-positive F1, the
   output for the known AU whose description is most similar ("related"), and the same
   network that saw its labels. With ``--data`` (BP4D's layout) the networks
   are tuned on the first published fold and judged on its test subjects as well. The
   cut of zero-shot F1 is 0.5, which nothing calibrates: AUC is the fairer figure.
"""

import argparse
from pathlib import Path
from time import process_time

import numpy as np
import torch

from _timing import best_of
from bench_systems import SYSTEMS, in_memory, made_people, make_system
from skfau import ResNetClassifier, SEVNetClassifier
from skfau.datasets import load_bp4d, make_faces
from skfau.estimators._descriptions import describe_as_vectors
from skfau.metrics import au_f1_score, au_roc_auc_score
from skfau.model_selection import PublishedKFold


def compare_prediction(small):
    """Print the time of both classifiers on the same faces."""
    size, n_frames, repeats = (64, 4, 2) if small else (224, 4, 5)
    made = make_faces(n_subjects=8, n_frames=n_frames, image_size=size, random_state=0)
    classifiers = [
        cls(image_size=size, max_epochs=1, batch_size=16, random_state=0).fit(
            made.data, made.target
        )
        for cls in (ResNetClassifier, SEVNetClassifier)
    ]
    runs = [lambda clf=clf: clf.predict_proba(made.data) for clf in classifiers]
    plain, text = best_of(runs, repeats, process_time)
    rate = len(made.data) / plain
    print(f"prediction at {size} px: ResNet-18 {rate:.1f} faces/s")
    print(f"  SEV-Net / ResNet-18 {text / plain:.3f} of its time")


def scores(y_true, proba):
    """Return F1 at 0.5 and AUC of one AU, in percent, as text."""
    f1 = au_f1_score(y_true[:, None], (proba >= 0.5).astype(float)[:, None])
    auc = au_roc_auc_score(y_true[:, None], proba[:, None])
    return f"{100 * f1:7.1f}{100 * auc:7.1f}"


def leave_one_out(au, aus, train, test, epochs, start=None):
    """Return a network that never saw labels of one AU, and print what it finds."""
    others = [column for column, number in enumerate(aus) if number != au]
    names = tuple(aus[column] for column in others)
    name = "SEV-Net"
    model = make_system(name, 0, aus=names, max_epochs=epochs, init_from=start)
    model.fit(train[0], train[1][:, others])
    found = model.zero_shot_proba(test[0], (au,))[:, 0]
    near = most_similar(au, names)
    borrowed = model.predict_proba(test[0])[:, names.index(near)]
    truth = test[1][:, aus.index(au)]
    level = 100 * au_f1_score(truth[:, None], np.ones((len(truth), 1)))
    told = f"{scores(truth, found)} | AU{near:<4d}{scores(truth, borrowed)}"
    print(f"AU{au:<4d}{level:9.1f}{told}", end="", flush=True)
    return model


def most_similar(au, names):
    """Return which AU's description is most like that of another AU."""
    vectors = describe_as_vectors((*names, au), None, None)
    vectors = vectors - vectors[:-1].mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return names[(vectors[:-1] @ vectors[-1]).argmax()]


def fold_of(path):
    """Return training and test faces, with labels, of the first published fold."""
    bunch = load_bp4d(path)
    faces, target = in_memory(bunch.data, bunch.target, 2)
    rows = next(PublishedKFold("bp4d").split(faces))
    return [(faces[part], target[part]) for part in rows]


def main():
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--aus", type=int, nargs="+", default=[2, 6, 10, 15, 17])
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare_prediction(options.small)
    people, epochs = (20, 1) if options.small else (1000, 5)
    train, test = made_people(people, 0), made_people(max(20, people // 5), 1)
    aus = SYSTEMS["SEV-Net"][0]().aus
    tuned = fold_of(options.data) if options.data else None
    known = make_system("SEV-Net", 0, max_epochs=epochs).fit(*train)
    columns = "  all pos.     F1    AUC | related, F1, AUC | F1, AUC with its labels"
    print("zero-shot on made faces" + (", then on --data" if tuned else ""))
    print(f"{'':6s}{columns}")
    for au in options.aus[:1] if options.small else options.aus:
        start = leave_one_out(au, aus, train, test, epochs)
        column = aus.index(au)
        labelled = known.predict_proba(test[0])[:, column]
        print(f" |{scores(test[1][:, column], labelled)}")
        if tuned:
            leave_one_out(au, aus, *tuned, 3, start)
            print(" | on --data")


if __name__ == "__main__":
    main()
