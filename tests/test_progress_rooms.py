"""Every public function that takes long tells how far it is, and where to hear it."""

import contextlib
import inspect

import numpy as np
import pytest
from sklearn.utils import Bunch

from skfau import Faces
from skfau.datasets import (
    load_affwild2,
    load_bp4d,
    load_bp4d_plus,
    load_disfa,
    load_emotionet,
    load_table,
    make_faces,
)
from skfau.estimators import DRMLClassifier
from skfau.metrics import bootstrap_ci, compare_predictions, paired_bootstrap_test
from skfau.model_selection import (
    AUThresholdClassifier,
    compare,
    cross_dataset_scores,
    oof_predict_proba,
)
from skfau.preprocessing import (
    FaceAligner,
    HOGFeatures,
    LBPFeatures,
    find_faces,
    prepare,
)
from tests._midpoint import MidpointClassifier, draw_faces
from tests.small import BaseAUClassifier, make_small
from tests.test_docs import CALLABLE
from tests.trees import write_bp4d, write_disfa, write_image, write_video


class Detector:
    """Finds one face in each image, always in the same place."""

    def __call__(self, images):
        return np.stack([points for _, points in self.faces(images)])[:, 0]

    def faces(self, images):
        box = np.array([[24.0, 24, 40, 40, 0, 1]])
        points = np.random.default_rng(0).uniform(8, 40, (1, 68, 2))
        return [(box, points)] * len(images)


def bp4d(folder, **how):
    write_bp4d(folder, "F001_T1", ["1", "2"], {1: {1: 1}, 2: {1: 0}})
    return load_bp4d(folder, aus=(1,), index=None, **how)


def bp4d_plus(folder, **how):
    write_bp4d(folder, "F001_T1", ["1", "2"], {1: {1: 1}, 2: {1: 0}})
    return load_bp4d_plus(folder, aus=(1,), index=None, **how)


def disfa(folder, **how):
    write_disfa(folder, "SN001", {12: [0, 5]})
    write_video(folder / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", [0, 9])
    return load_disfa(folder, aus=(12,), index=None, **how)


def affwild2(folder, **how):
    labels = folder / "annotations" / "AU_Detection_Challenge" / "Train_Set"
    labels.mkdir(parents=True)
    (labels / "1.txt").write_text("AU1,AU12\n1,0\n0,1\n")
    for k in (1, 2):
        write_image(folder / "cropped_aligned" / "1" / f"{k:05d}.jpg")
    return load_affwild2(folder, aus=(1,), index=None, **how)


def emotionet(folder, **how):
    for k in (1, 2):
        write_image(folder / "images" / f"N_{k}.jpg")
    text = "URL,AU 1,AU 12\nhttp://host/N_1.jpg,1,0\nhttp://host/N_2.jpg,0,1\n"
    (folder / "EmotioNet_FACS_aws_2020_24600.csv").write_text(text)
    return load_emotionet(folder, aus=(1,), index=None, **how)


def table(folder, **how):
    write_video(folder / "a.avi", [0, 9, 99])
    path = [str(folder / "a.avi")] * 2
    return load_table({"path": path, "frame": [0, 1], "AU1": [0, 1]}, **how)


def frames(n=4):
    return Faces(np.zeros((n, 48, 48, 3), np.uint8))


def copy(folder, **how):
    return frames().to_memmap(folder / "x.npy", **how)


def check(folder, **how):
    return frames().check_images(**how)


def film(folder, **how):
    write_video(folder / "a.avi", [0, 9, 99])
    return Faces.from_videos([folder / "a.avi"], **how)


def align(folder, **how):
    return FaceAligner(16, detector=Detector(), **how).fit_transform(frames())


def find(folder, **how):
    return find_faces(frames(), Detector(), **how)


def prepared(folder, **how):
    faces = frames().with_columns(landmarks=np.zeros((4, 68, 2), np.float32))
    return prepare(faces, _Crop(), folder / "out", **how)


class _Crop:
    """Leaves faces as they are."""

    def transform(self, faces):
        return faces


def scored():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (24, 2)).astype(float)
    return y, rng.random((24, 2)), np.repeat(np.arange(6), 4)


def bootstrap(folder, **how):
    y, p, people = scored()
    return bootstrap_ci("average_precision", y, p, people, n_resamples=3, **how)


def paired(folder, **how):
    y, p, people = scored()
    return paired_bootstrap_test("roc_auc", y, p, 1 - p, people, n_resamples=3, **how)


def tabulate(folder, **how):
    y, p, people = scored()
    shown = {"metric": "roc_auc", "n_resamples": 3, **how}
    return compare_predictions(y, {"a": p}, people, **shown)


def fit_folds(folder, **how):
    X, y = draw_faces()
    a = {"a": MidpointClassifier()}
    return compare(a, X, y, cv=2, n_resamples=9, **how)


def fit_once(folder, **how):
    X, y = draw_faces()
    bunch = Bunch(data=X, target=y, aus=(1, 2, 4))
    a = {"a": MidpointClassifier(aus=(1, 2, 4))}
    return cross_dataset_scores(a, bunch, {"b": bunch}, n_resamples=9, **how)


def out_of_fold(folder, **how):
    X, y = draw_faces()
    return oof_predict_proba(MidpointClassifier(), X, y, cv=3, **how)


def train(folder, verbose=0):
    X, y = draw_faces(n_subjects=2)
    large = Faces(np.zeros((len(X), 48, 48, 3), np.uint8))
    clf = make_small(DRMLClassifier, aus=None, max_epochs=1, verbose=verbose)
    return clf.fit(large, y).predict(large)


def describe(cls):
    return lambda folder, **how: cls(**how).fit_transform(frames())


# What takes long, the room that tells of it, and what it says at the end.
LONG = {
    "datasets.load_affwild2": (affwild2, "datasets", "Reading affwild2: 1 of 1 files"),
    "datasets.load_bp4d": (bp4d, "datasets", "Reading bp4d: 1 of 1 files"),
    "datasets.load_bp4d_plus": (
        *(bp4d_plus, "datasets", "Reading bp4d_plus: 1 of 1 files"),
    ),
    "datasets.load_disfa": (disfa, "datasets", "Reading disfa: 1 of 1 files"),
    "datasets.load_emotionet": (emotionet, "datasets", "Reading emotionet: 1 of 1"),
    "datasets.load_table": (table, "faces", "Indexing videos: 1 of 1 videos"),
    "faces.Faces.check_images": (check, "faces", "Checking images: 4 of 4 images"),
    "faces.Faces.from_videos": (film, "faces", "Indexing videos: 1 of 1 videos"),
    "faces.Faces.to_memmap": (copy, "faces", "Writing images: 4 of 4 images"),
    "preprocessing.FaceAligner": (align, "preprocessing", "Detecting faces: 4 of 4"),
    "preprocessing.HOGFeatures": (
        *(describe(HOGFeatures), "preprocessing", "Describing faces: 4 of 4 faces"),
    ),
    "preprocessing.LBPFeatures": (
        *(describe(LBPFeatures), "preprocessing", "Describing faces: 4 of 4 faces"),
    ),
    "preprocessing.find_faces": (find, "preprocessing", "Detecting faces: 4 of 4"),
    "preprocessing.prepare": (prepared, "preprocessing", "Preparing faces: 4 of 4"),
    "metrics.bootstrap_ci": (bootstrap, "metrics", "Resampling subjects: 3 of 3"),
    "metrics.compare_predictions": (tabulate, "metrics", "Resampling subjects: 2 of 2"),
    "metrics.paired_bootstrap_test": (paired, "metrics", "Resampling subjects: 2 of 2"),
    "model_selection.compare": (fit_folds, "model_selection", "[2/2] 'a', fit 2 of 2"),
    "model_selection.cross_dataset_scores": (fit_once, "model_selection", "[1/1] 'a'"),
    "model_selection.oof_predict_proba": (
        *(out_of_fold, "model_selection", "Predicting out of fold: 3 of 3 folds"),
    ),
    "estimators.DRMLClassifier": (train, "estimators", "Applying DRMLClassifier: "),
}
# Where others are heard.
ELSEWHERE = {"protocols.run": "tests/test_protocols.py"}


def speakers():
    """Yield the name of whatever has a parameter `verbose`."""
    for name, obj in CALLABLE.items():
        if inspect.isclass(obj) and issubclass(obj, BaseAUClassifier):
            # tests/test_training.py hears all of them.
            continue
        name = name.removeprefix("skfau.")
        methods = vars(obj) if inspect.isclass(obj) else {}
        places = {name: obj} | {f"{name}.{m}": getattr(obj, m) for m in methods}
        for place, function in places.items():
            if callable(function) and not place.rpartition(".")[2].startswith("_"):
                with contextlib.suppress(ValueError):
                    if "verbose" in inspect.signature(function).parameters:
                        yield place


def test_all_that_has_verbose_is_heard():
    assert {*speakers(), "estimators.DRMLClassifier"} == LONG.keys() | ELSEWHERE.keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LONG)
def test_long_work_is_told_to_the_log_of_its_room(
    name, tmp_path, slowly, caplog, capsys
):
    run, room, text = LONG[name]
    caplog.set_level("INFO", logger=f"skfau.{room}")
    run(tmp_path)
    assert {record.name for record in caplog.records} == {f"skfau.{room}"}
    assert caplog.messages[-1].startswith(text)
    assert capsys.readouterr() == ("", "")


def test_what_has_no_verbose_is_told_to_the_log(slowly, caplog, capsys):
    caplog.set_level("INFO", logger="skfau")
    make_faces(2, 3, image_size=32)
    X, y = draw_faces()
    AUThresholdClassifier(MidpointClassifier()).fit(X, y)
    assert [message.split(" in ")[0] for message in caplog.messages] == [
        "Drawing faces: 6 of 6 faces",
        "Predicting out of fold: 3 of 3 folds",
    ]
    assert capsys.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LONG)
def test_long_work_is_silent_unless_it_is_asked(name, tmp_path, slowly, capsys):
    run, _, text = LONG[name]
    (tmp_path / "silent").mkdir()
    run(tmp_path / "silent")
    assert capsys.readouterr() == ("", "")
    (tmp_path / "verbose").mkdir()
    run(tmp_path / "verbose", verbose=True)
    out, err = capsys.readouterr()
    assert text in err
    assert not out
