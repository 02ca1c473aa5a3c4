"""What the tests of the command line predict: models, a film, and images."""

import csv

import cv2
import numpy as np
from skimage.data import astronaut
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline

import skfau
from skfau import FaceAligner, ResNetClassifier
from skfau.cli import main
from skfau.datasets import make_faces
from skfau.estimators import landmark_baseline
from skfau.model_selection import CalibratedAUClassifier, SmoothedClassifier
from tests.small import make_small

AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
FACE = astronaut()[:260, 90:350, ::-1]


def make_folder(folder):
    """Write models, a video of two people of whom one leaves, and a few images."""
    made = make_faces(n_subjects=6, n_frames=6, image_size=48, random_state=0)
    network = make_pipeline(FaceAligner(48), make_small(ResNetClassifier, max_epochs=1))
    models = {
        "landmarks": landmark_baseline(),
        "network": network,
        "smoothed": SmoothedClassifier(landmark_baseline(), width=3),
        "bare": make_small(ResNetClassifier, max_epochs=1),
    }
    for model in models.values():
        model.fit(made.data, made.target)
    models["intense"] = _with_intensities(models["landmarks"], made)
    for name, model in models.items():
        skfau.save(model, folder / name)
    for name in ("film.avi", "media/film.avi"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_film(folder / name, 10)
    cv2.imwrite(str(folder / "media/face.png"), FACE)
    cv2.imwrite(str(folder / "media/none.png"), np.zeros((64, 64, 3), np.uint8))
    (folder / "media/notes.txt").write_text("no image")
    (folder / "empty").mkdir()
    return folder


def _with_intensities(chain, made):
    rest = FrozenEstimator(chain[1:])
    known = CalibratedAUClassifier(rest)
    known.fit(chain[0].transform(made.data), 4 * made.target)
    return Pipeline([("align", chain[0]), ("clf", known)])


def write_film(path, n, leaves=7):
    """Write frames of a face that moves, and another that leaves."""
    codec = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), codec, 25, (520, 260))
    for t in range(n):
        other = FACE if t < leaves else np.zeros_like(FACE)
        writer.write(np.hstack([np.roll(FACE, t % 20, axis=1), other]))
    writer.release()


def runner(command, output):
    """Return a function that runs a command, and gives exit code and rows."""

    def run(*arguments, model="landmarks"):
        code = main([command, "--model", model, "-o", str(output), *arguments])
        return code, read_rows(output) if output.exists() else []

    run.output = output
    return run


def read_rows(path):
    """Return the rows of a CSV file as dicts."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows, names):
    """Return cells as numbers, NaN where they are empty."""
    return np.array([[float(row[name] or "nan") for name in names] for row in rows])
