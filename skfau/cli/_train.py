"""``python -m skfau train`` and ``score``: a table of labels, scored by subject."""

import contextlib
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

import skfau
from skfau._progress import tell
from skfau._single_au import au_probabilities
from skfau._subjects import train_subjects
from skfau._unwrap import find_aus, find_thresholds
from skfau.cli._chain import load_model
from skfau.datasets import load_table
from skfau.estimators import pretrained_classifier
from skfau.exceptions import DatasetError, MissingFaceWarning
from skfau.metrics import au_f1_score, au_roc_auc_score, score_table
from skfau.model_selection import SubjectKFold


def train(table, root, output, aus, threshold, unknown, epochs, folds, seed):
    """Fine-tune on labelled images, print scores by subject, and save the chain.

    Parameters
    ----------
    table : str
        See `load_table`; it needs a column ``subject``.
    root : str or None
        What its paths start from.
    output : str
        The file to write.
    aus : sequence of int or None
        AUs to learn; None means those of the table.
    threshold, unknown : float or None, sequence of float
        See `load_table`.
    epochs : int or None
        Of each fit; None means those of `pretrained_classifier`.
    folds : int
        Parts of the subjects, each of which is scored by a fit on the others.
    seed : int
        Seeds fits and intervals.

    Returns
    -------
    code : int
        0.

    Raises
    ------
    OSError, ValueError
        If that cannot be done; the message says why.
    """
    output = Path(output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ValueError(f"{output} is a folder, or its folder does not exist.")
    bunch = _read(table, root, aus, threshold, unknown)
    if bunch.data.subject is None:
        raise DatasetError(
            f"{table} has no column 'subject': without it the scores would be of "
            "people that the training saw. Add who is in each row."
        )
    settings = {} if epochs is None else {"max_epochs": epochs}
    chain = pretrained_classifier(bunch.aus, random_state=seed, **settings)
    # Found and cut out once, not once per fold and epoch.
    with tempfile.TemporaryDirectory(dir=output.absolute().parent) as folder:
        with _without_missing():
            faces = chain[0].fit_transform(bunch.data)
        faces, y = _with_face(faces, bunch)
        faces = faces.to_memmap(Path(folder) / "faces.npy")
        probabilities = _out_of_fold(chain[1:], faces, y, folds)
        print("\nScores of people whom the fit did not see:")
        print(_scores(y, probabilities, 0.5, bunch.aus, faces.subject, seed))
        print(_beside_start(chain[-1].estimator, faces, y, probabilities, bunch.aus))
        tell(f"learning from all {len(faces)} rows", __name__)
        rest = clone(chain[1:]).fit(faces, y)
    skfau.save(Pipeline([chain.steps[0], *rest.steps]), output)
    print(f"wrote {output}; python -m skfau predict PATH --model {output}")
    return 0


def _read(table, root, aus, threshold, unknown):
    if not table:
        # Else it would be this folder.
        raise ValueError("the path of the table is empty; check the command.")
    codes = {"threshold": threshold, "unknown": tuple(unknown)}
    return load_table(table, root=root, aus=aus, **codes)


@contextlib.contextmanager
def _without_missing():
    """Leave out the warning of faces that are counted in what is printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingFaceWarning)
        yield


def _with_face(faces, bunch):
    """Return the rows that can be learned from, and their labels; tell the others."""
    seen = faces.status == ""
    known = ~np.isnan(bunch.target).all(axis=1)
    print(
        f"{len(faces)} rows of {len(np.unique(bunch.data.subject))} subjects; left "
        f"out: {(~seen).sum()} without a face, {(seen & ~known).sum()} without a "
        f"label, {len(bunch.report.without_image)} without an image"
    )
    kept = seen & known
    if not kept.any():
        raise DatasetError("no row of the table has a face and a label.")
    return faces[kept], bunch.target[kept]


def _out_of_fold(classifier, faces, y, folds):
    """Return the probabilities of each row by a fit that did not see its subject."""
    probabilities = np.full(y.shape, np.nan, np.float32)
    splits = SubjectKFold(folds).split(faces, y)
    for number, (learned, scored) in enumerate(splits, 1):
        began = perf_counter()
        fitted = clone(classifier).fit(faces[learned], y[learned])
        probabilities[scored] = fitted.predict_proba(faces[scored])
        seconds = perf_counter() - began
        tell(f"fold {number} of {folds}: {seconds:.0f} s", __name__)
    return probabilities


def _beside_start(start, faces, y, probabilities, aus):
    """Tell what the shipped model is worth on the same rows, without their labels."""
    shared, columns, told_cuts = _shared_with(start, aus)
    if not shared:
        return "The shipped model knows none of these AUs.\n"
    y, learned = y[:, shared], probabilities[:, shared]
    told = np.asarray(start.predict_proba(faces))[:, columns]
    means = []
    for y_proba, cuts in ((learned, 0.5), (told, told_cuts)):
        f1, auc = au_f1_score(y, y_proba >= cuts), au_roc_auc_score(y, y_proba)
        means.append(f"mean F1 {f1:.3f}, ROC AUC {auc:.3f}")
    # Few labels can teach less than the shipped model knows without them.
    return (
        f"Over {len(shared)} AUs that the shipped model knows: {means[0]}; the shipped "
        f"model without your labels: {means[1]}. Keep what is better.\n"
    )


def _shared_with(model, aus):
    """Return columns of the AUs that the model knows, here and there, and its cuts."""
    known = list(find_aus(model))
    here = [column for column, au in enumerate(aus) if au in known]
    there = [known.index(aus[column]) for column in here]
    return here, there, np.broadcast_to(find_thresholds(model), len(known))[there]


def score(table, root, model, aus, threshold, unknown, seed):
    """Print the scores of a model on labelled images; return the exit code.

    Parameters
    ----------
    table, root, threshold, unknown
        As for `train`; without subjects there are no intervals.
    model : str or None
        File of a chain; None means the shipped model.
    aus : sequence of int or None
        AUs to score; None means those that the table and the model know.
    seed : int
        Seeds the intervals.

    Returns
    -------
    code : int
        0.

    Raises
    ------
    OSError, ValueError
        If that cannot be done; the message says why.
    """
    chain = load_model(model)
    bunch = _read(table, root, aus, threshold, unknown)
    known = list(find_aus(chain))
    mine, columns, cuts = _shared_with(chain, bunch.aus)
    if not mine:
        raise DatasetError(
            f"the model knows none of the AUs of {table}, {bunch.aus}; it knows "
            f"{tuple(known)}."
        )
    shared, y = [bunch.aus[column] for column in mine], bunch.target[:, mine]
    with _without_missing():
        p = au_probabilities(chain, bunch.data, len(known))
        p = np.asarray(p)[:, columns]
    subjects, learned = bunch.data.subject, sorted(train_subjects(chain))
    print(_scores(y, p, cuts, shared, subjects, seed, learned))
    print(_left_out(bunch, y, shared, known))
    return 0


def _scores(y, p, cuts, aus, subjects, seed, learned=()):
    y_pred = np.where(np.isnan(p), np.nan, p >= cuts)
    if subjects is not None and len(np.unique(subjects)) < 2:
        print("one subject: no intervals, which would resample subjects")
        subjects = None
    options = {"subjects": subjects, "train_subjects": learned}
    table = score_table(y, y_pred, aus, y_proba=p, random_state=seed, **options)
    return (
        f"\n{table}\n\nf1_chance calls every AU present; f1_low to f1_high is a 95 % "
        "interval over subjects.\n"
    )


def _left_out(bunch, y, shared, known):
    without = [au for au in known if au not in shared]
    others = [au for au in bunch.aus if au not in shared]
    n_subjects = 0 if bunch.data.subject is None else len(np.unique(bunch.data.subject))
    lines = [
        f"{len(y)} rows of {n_subjects or 'unknown'} subjects; "
        f"{int(np.isnan(y).all(axis=1).sum())} have no label, "
        f"{len(bunch.report.without_image)} more no image"
    ]
    if without:
        lines.append(f"AUs of the model without labels here: {_listed(without)}")
    if others:
        lines.append(
            f"AUs of the table that the model does not know: {_listed(others)}"
        )
    return "\n".join(lines)


def _listed(aus):
    return ", ".join(f"AU{au}" for au in aus)
