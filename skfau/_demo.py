"""The demo: train and score on made faces, with F1 per AU by subject."""

from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.pipeline import Pipeline

from skfau.datasets import make_faces
from skfau.estimators import FaceAugmentation, FAUTransformerClassifier
from skfau.inspection import AttentionMapDisplay, AUScoreDisplay
from skfau.metrics import score_table
from skfau.model_selection import SubjectKFold
from skfau.preprocessing import FaceAligner


def make_pipeline(max_epochs, verbose=0):
    """Return the pipeline of the demo: align, then the paper's system, small."""
    classifier = FAUTransformerClassifier(
        backbone="tiny",
        image_size=96,
        embedding_dim=64,
        encoder_layers=1,
        augmentation=FaceAugmentation(flip=0.5, shift=0.03, scale=0.05, contrast=0.2),
        lr=1e-3,
        batch_size=16,
        max_epochs=max_epochs,
        verbose=verbose,
        random_state=0,
    )
    return Pipeline([("align", FaceAligner(output_size=96)), ("clf", classifier)])


def run_demo(output="skfau_demo", n_subjects=90, n_frames=8, max_epochs=12):
    """Make faces, align, train by subject-exclusive 3-fold CV, print, draw.

    Parameters
    ----------
    output : str or Path, default="skfau_demo"
        Folder of the figures; made if it is not there.
    n_subjects, n_frames : int
        Size of the made data set. More subjects help more than more frames of each.
    max_epochs : int
        Epochs per fold.

    Returns
    -------
    table : ScoreTable
        Per-AU F1 of the out-of-fold predictions.
    """
    start = perf_counter()
    made = make_faces(n_subjects=n_subjects, n_frames=n_frames, random_state=0)
    print(f"made {made.data!r} in {perf_counter() - start:.1f} s")
    faces, probabilities = made.data, np.full_like(made.target, np.nan)
    for train, test in SubjectKFold(3).split(faces, made.target):
        pipeline = make_pipeline(max_epochs, verbose=1)
        pipeline.fit(faces[train], made.target[train])
        probabilities[test] = pipeline.predict_proba(faces[test])
    table = score_table(
        made.target,
        aus=made.aus,
        y_proba=probabilities,
        subjects=made.data.subject,
        random_state=0,
    )
    print("\nF1 on frames of people that the network has never seen, beside the F1 of")
    print("calling every AU present (f1_chance); intervals resample people.\n")
    print(table)
    draw(table, pipeline, made, test, Path(output))
    print(f"\n{perf_counter() - start:.0f} s in all")
    return table


def draw(table, pipeline, made, test, folder):
    """Write figures of the scores and of the last network's attention."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import matplotlib
    except ImportError:
        print("\nno figures: pip install matplotlib, or the extra skfau[plot]")
        return
    matplotlib.use("Agg")
    scores = AUScoreDisplay(table).plot()
    # The frame with the most AUs of each of four people.
    people = np.unique(made.data.subject[test])[:4]
    n_present = made.target.sum(axis=1)
    busiest = [
        max(np.flatnonzero(made.data.subject == person), key=n_present.__getitem__)
        for person in people
    ]
    attention = AttentionMapDisplay.from_estimator(pipeline, made.data[busiest])
    for name, display in {"f1_by_au": scores, "attention": attention}.items():
        path = folder / f"{name}.png"
        display.figure_.savefig(path, dpi=110)
        print(f"wrote {path}")
    print("(After so short a training attention is faint and not yet on the muscles.)")
