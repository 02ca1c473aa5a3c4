"""The main job on the embedded default: faces in, per-AU F1 by subject out."""

from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline

from skfau.datasets import make_faces
from skfau.estimators import FaceAugmentation, FAUTransformerClassifier
from skfau.inspection import AttentionMapDisplay, AUScoreDisplay
from skfau.metrics import score_table
from skfau.model_selection import oof_predict_proba
from skfau.preprocessing import FaceAligner


def make_pipeline(max_epochs, verbose=0):
    """Return the pipeline of the demo: align, then the paper's system, small."""
    classifier = FAUTransformerClassifier(
        backbone="tiny",
        image_size=96,
        embedding_dim=64,
        augmentation=FaceAugmentation(flip=0.5, shift=0.03, scale=0.05, contrast=0.2),
        lr=1e-3,
        max_epochs=max_epochs,
        verbose=verbose,
        random_state=0,
    )
    return Pipeline([("align", FaceAligner(output_size=96)), ("clf", classifier)])


def run_demo(output="skfau_demo", n_subjects=18, n_frames=50, max_epochs=12):
    """Make faces, align, train by subject-exclusive 3-fold CV, print, draw.

    Parameters
    ----------
    output : str or Path, default="skfau_demo"
        Folder of the figure; made if it is not there.
    n_subjects, n_frames : int, default=18, 50
        Size of the made data set.
    max_epochs : int, default=12
        Epochs per fold.

    Returns
    -------
    table : ScoreTable
        Per-AU F1 of the out-of-fold predictions.
    """
    start = perf_counter()
    made = make_faces(n_subjects=n_subjects, n_frames=n_frames, random_state=0)
    print(f"made {made.data!r} in {perf_counter() - start:.1f} s")
    pipeline = make_pipeline(max_epochs, verbose=1)
    probabilities = oof_predict_proba(
        pipeline,
        made.data,
        made.target,
        groups=made.data.subject,
        cv=GroupKFold(3),
    )
    table = score_table(
        made.target,
        np.float32(probabilities >= 0.5),
        made.aus,
        y_proba=probabilities,
        subjects=made.data.subject,
        random_state=0,
    )
    print("\nF1 of frames of subjects that the network has never seen, beside the F1")
    print("of calling every AU present (f1_chance); intervals resample subjects.\n")
    print(table)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    _draw(pipeline, made, probabilities, folder)
    print(f"\n{perf_counter() - start:.0f} s in all")
    return table


def _draw(pipeline, made, probabilities, folder):
    """Write the score figure, and what the network looks at in one fold."""
    try:
        import matplotlib
    except ImportError:
        print("no figure: pip install matplotlib, the extra skfau[plot]")
        return
    matplotlib.use("Agg")
    train, test = next(GroupKFold(3).split(made.data, groups=made.data.subject))
    display = AUScoreDisplay.from_predictions(
        made.target,
        np.float32(probabilities >= 0.5),
        made.aus,
        subjects=made.data.subject,
    )
    display.plot().figure_.savefig(folder / "f1_by_au.png", bbox_inches="tight")
    print(f"\nfigure: {folder / 'f1_by_au.png'}")
