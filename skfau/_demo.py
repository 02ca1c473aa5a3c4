"""The demo: the shipped model on rendered people, and what a few labels add."""

from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold

import skfau
from skfau._unwrap import apply_steps, find_having, find_thresholds
from skfau.cli import main
from skfau.datasets import load_rendered, load_table, sample_files
from skfau.estimators import (
    hog_baseline,
    landmark_baseline,
    pretrained_classifier,
)
from skfau.facs import action_unit
from skfau.inspection import AttentionMapDisplay, AUTimelineDisplay
from skfau.metrics import score_table
from skfau.model_selection import best_f1_thresholds, oof_predict_proba

_SHOWN = 8  # AUs of a figure
_FOLDS = 3
_TITLE = "\n{:42} {:>7}  {:15} {:>8}  {:>7}"
_ROW = "{:42} {:7.3f}  [{:.3f}, {:.3f}]  {:8.3f}  {:7.1f}"


def run_demo(output="skfau_demo", n_people=72, max_epochs=4):
    """Show what the shipped model says, where it looks, and how it learns.

    Parameters
    ----------
    output : str or Path, default="skfau_demo"
        Folder of the figures; made if it is not there.
    n_people : int, default=72
        How many of the package's rendered people to learn from. Fewer than 18 may not
        show every AU.
    max_epochs : int, default=4
        Epochs of each fit of the network.

    Returns
    -------
    scores : dict of str to ScoreTable
        Of every system, by its name.
    """
    began, folder = perf_counter(), Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    model = skfau.load_pretrained()
    aus = find_having(model, "aus_")[0].aus_
    say(f"The shipped model knows {len(aus)} AUs; it took {since(began)} to load.")
    tell_pictures(model)
    predict_film(folder)
    if has_matplotlib():
        draw_timeline(model, folder)
        draw_attention(model, folder)
    made = load_rendered(aus=aus)
    chosen = np.isin(made.data.subject, np.unique(made.data.subject)[:n_people])
    scores = compare(model, made.data[chosen], made.target[chosen], max_epochs)
    say(f"\n{since(began)} in all. Your own video: python -m skfau predict FILE")
    return scores


def say(text):
    """Print at once, so that the demo can be followed in a log, too."""
    print(text, flush=True)


def since(began):
    return f"{perf_counter() - began:.1f} s"


def has_matplotlib():
    try:
        import matplotlib
    except ImportError:
        say("\nno figures: pip install matplotlib, or the extra skfau[plot]")
        return False
    matplotlib.use("Agg")
    return True


def load_pictures(aus):
    """Return the pictures of the package, with intensities of these AUs."""
    return load_table(sample_files().picture_table, aus=aus, threshold=2)


def tell_pictures(model):
    """Print which AUs the model finds in a few faces, and what was rendered."""
    clf, steps = find_having(model, "predict_intensity")
    pictures = load_pictures(clf.aus_)
    faces = apply_steps(steps, pictures.data)
    y_proba = clf.predict_proba(faces)
    present, strong = y_proba >= find_thresholds(model), clf.to_intensity(y_proba)
    say("\nFour people that it has never seen, with intensities from 0 to 5:")
    for row, path in enumerate(sample_files().pictures):
        names = [f"AU{au} {action_unit(au).name.lower()}" for au in clf.aus_]
        say(f"  {Path(path).name}: {tell(names, present[row], strong[row])}")
        names = [f"AU{au}" for au in clf.aus_]
        true = pictures.intensity[row]
        say(f"    rendered: {tell(names, pictures.target[row], true)}")


def tell(names, present, strong):
    """Return the AUs that are there, the strongest first."""
    shown = [k for k in np.argsort(-strong) if present[k] == 1]
    return ", ".join(f"{names[k]} {strong[k]:.1f}" for k in shown) or "no AU"


def predict_film(folder):
    """Run the command that a user runs on her own film."""
    film, table, copy = sample_files().film, folder / "film.csv", folder / "film.mp4"
    say(f"\n$ python -m skfau predict film.mp4 -o {table} --overlay {copy}")
    main(["predict", film, "-o", str(table), "--overlay", str(copy)])
    say("The film shows a box, points and a bar per AU.")


def draw_timeline(model, folder):
    """Write the timeline of the film's AUs, beside those that were rendered."""
    film = load_table(sample_files().film_table, threshold=2)
    clf, steps = find_having(model, "aus_")
    y_proba = clf.predict_proba(apply_steps(steps, film.data))
    moving = np.sort(np.argsort(-np.ptp(y_proba, axis=0))[:_SHOWN])
    order = [film.aus.index(au) for au in clf.aus_]
    timeline = AUTimelineDisplay.from_predictions(
        y_proba,
        clf.aus_,
        frames=film.data.frame,
        y=film.target[:, order],
        thresholds=find_thresholds(model),
        title="film.mp4",
        shown=[clf.aus_[k] for k in moving],
    )
    write(timeline, folder / "timeline.png", "probability of each AU, frame by frame")


def draw_attention(model, folder):
    """Write where the network looks for the AUs that the pictures show most."""
    network, steps = find_having(model, "attention_maps")
    aus = network.aus_
    pictures = load_pictures(aus)
    faces = apply_steps(steps, pictures.data)
    maps = network.attention_maps(faces)
    # Attention is nowhere 0: what tells is where there is more than elsewhere.
    usual = np.median(maps, axis=(2, 3), keepdims=True)
    strength = np.sort(np.argsort(-pictures.intensity.sum(axis=0))[:_SHOWN])
    display = AttentionMapDisplay.from_predictions(
        faces.images[...],
        np.maximum(maps - usual, 0),
        aus,
        y=pictures.target,
        window=network.input_window(faces.image_shape),
        shown=[aus[k] for k in strength],
    )
    about = (
        "where the network looks more than elsewhere; in blue frames the AU is there"
    )
    write(display, folder / "attention.png", about)


def write(display, path, about):
    import matplotlib.pyplot as plt

    display.figure_.savefig(path, dpi=110)
    plt.close(display.figure_)
    say(f"wrote {path}: {about}")


def compare(model, faces, target, max_epochs):
    """Score systems on the same folds of people, and print a row for each."""
    aligned, found, target, aus = align(model, faces, target)
    subject = aligned.subject
    folds = list(GroupKFold(_FOLDS).split(found, target, subject))
    n_people = len(np.unique(subject))
    say(
        f"\nWhat {len(found)} labelled faces teach: trained on {_FOLDS - 1} of "
        f"{_FOLDS} parts of {n_people} people, scored on the others, {_FOLDS} times."
    )
    say(_TITLE.format("", "mean F1", "95 % interval", "mean AUC", "seconds"))

    settings = {"max_epochs": max_epochs, "random_state": 0}
    learning = pretrained_classifier(aus, **settings)[-1]
    systems = {
        "landmark_baseline()": (landmark_baseline(aus=aus), found),
        "hog_baseline()": (hog_baseline(aus=aus), found),
        "load_pretrained(), with no label": (FrozenEstimator(model[-1]), aligned),
        "pretrained_classifier(), learning on": (learning, aligned),
    }
    y_proba, seconds = {"everything present": np.ones_like(target)}, {}
    scores = {}

    def tell_score(name):
        scores[name] = table = score(target, y_proba[name], folds, subject, aus)
        means = [table.columns[c][-1] for c in ("f1", "f1_low", "f1_high", "roc_auc")]
        say(_ROW.format(name, *means, seconds.get(name, 0.0)))

    tell_score("everything present")
    for name, (system, X) in systems.items():
        began = perf_counter()
        y_proba[name] = oof_predict_proba(system, X, target, cv=folds)
        seconds[name] = perf_counter() - began
        tell_score(name)
    say("These people come from the renderer that the shipped model learned from:")
    say("there is little that they could add. Your people, camera and coders differ:")
    say("see examples/fine_tune.py. The model card says how well it does on others.")
    return scores


def align(model, faces, target):
    """Return faces aligned, faces with found landmarks, their labels, and the AUs."""
    began = perf_counter()
    clf, steps = find_having(model, "aus_")
    # Found as in a photograph, not where the renderer knows them to be.
    aligned = apply_steps(steps, faces.with_columns(landmarks=None))
    found = faces.with_columns(landmarks=model[0].inverse_transform(aligned))
    seen = np.isfinite(aligned.landmarks).all(axis=(1, 2))
    aligned = aligned.with_images(aligned.images[...])
    say(f"\n{seen.sum()} of {len(faces)} faces found and aligned in {since(began)}.")
    return aligned[seen], found[seen], target[seen], clf.aus_


def score(target, y_proba, folds, subject, aus):
    """Return scores, each fold cut at the best thresholds of the other folds."""
    predicted = np.empty_like(target)
    for train, test in folds:
        cuts = best_f1_thresholds(target[train], y_proba[train])
        predicted[test] = y_proba[test] >= cuts
    return score_table(
        target,
        predicted,
        aus,
        y_proba=y_proba,
        subjects=subject,
        n_resamples=200,
        random_state=0,
    )
