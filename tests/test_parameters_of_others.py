"""Parameters of transformers, linear classifiers and wrappers change what they do."""

import contextlib
import inspect
import io
from functools import cache

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skfau.datasets import make_faces
from skfau.estimators import ResNetClassifier, hog_baseline, landmark_baseline
from skfau.exceptions import MissingFaceError
from skfau.model_selection import SubjectKFold
from skfau.preprocessing import HOGFeatures, LBPFeatures
from tests._midpoint import MidpointClassifier, draw_faces
from tests.observing import another_value
from tests.small import BaseAUClassifier, make_small
from tests.test_docs import PUBLIC

OTHERS = {
    cls.__name__: cls
    for cls in PUBLIC.values()
    if inspect.isclass(cls)
    and issubclass(cls, BaseEstimator)
    and not issubclass(cls, BaseAUClassifier)
}


def no_face(images):
    return np.full((len(images), 68, 2), np.nan)


def a_face(images):
    return np.repeat(drawn()[0].landmarks[:1], len(images), axis=0)


def fitted(slope, aus=None):
    return MidpointClassifier(slope=slope, aus=aus).fit(*draw_faces())


# What a class cannot be made without, or has too much to do with.
START = {
    "AdaptedAUClassifier": {
        "estimator": FrozenEstimator(fitted(20.0, aus=(1, 2, 4))),
        "network": MidpointClassifier(),
    },
    "AUThresholdClassifier": {"estimator": MidpointClassifier()},
    "AUVotingClassifier": {
        "estimators": [
            ("one", MidpointClassifier()),
            ("two", MidpointClassifier(slope=0.5)),
        ]
    },
    "CalibratedAUClassifier": {"estimator": FrozenEstimator(fitted(20.0))},
    "SmoothedClassifier": {"estimator": MidpointClassifier()},
    "FaceAligner": {"output_size": 48, "n_jobs": 1},
}
# Values that no constraint tells; by class where classes differ.
VALUES = {
    "aus": tuple(range(13, 1, -1)),
    "axes": (0.3, 0.3),
    "estimator": MidpointClassifier(slope=1.0),
    "estimators": [("one", MidpointClassifier(slope=1.0))],
    ("AUVotingClassifier", "weights"): [1, 3],
    ("CalibratedAUClassifier", "estimator"): FrozenEstimator(fitted(1.0)),
    ("CalibratedAUClassifier", "occurrence"): 0.5,
    ("AdaptedAUClassifier", "estimator"): FrozenEstimator(fitted(1.0, aus=(1, 2, 4))),
    ("AdaptedAUClassifier", "aus"): (4, 2, 1),
    "network": MidpointClassifier(slope=1.0),
    "cv": SubjectKFold(2),
    "thresholds": [0.9, 0.9, 0.9],
    "border_value": 200,
    "landmarks": "detected",
    "detector": a_face,
    "n_jobs": 2,
    ("AUThresholdClassifier", "n_jobs"): 1,
    ("ROIHeatmaps", "aus"): (12, 1),
    ("FaceAugmentation", "colour_transform"): torch.bitwise_not,
}
# What else must be set for a parameter to have a say.
NEEDS = {
    "width": {"width": 2},
    "cutmix_overlap": {"cutmix": 1.0},
    "detector": {"landmarks": "detected", "detector": no_face},
    ("FaceAligner", "verbose"): {"landmarks": "detected", "detector": no_face},
}
# Parameters that change nothing that comes out, and why.
SILENT = {
    "batch_size": "how many faces are in memory at once",
    "n_jobs": "how many work at it",
}
# Which features a chain has, and what it hands on to them by name.
CHOICES = {"features", "options"}
ALL = [
    (name, parameter)
    for name, cls in OTHERS.items()
    for parameter in inspect.signature(cls).parameters
]


@cache
def drawn():
    """Return few faces, and labels, of which some AUs are rare."""
    made = make_faces(n_subjects=4, n_frames=3, image_size=48, random_state=0)
    return made.data, made.target


def see_transformer(transformer):
    """Return the columns of all faces, one of which has no landmarks."""
    faces, _ = drawn()
    landmarks = faces.landmarks.copy()
    landmarks[1] = np.nan
    try:
        out = transformer.fit_transform(faces.with_columns(landmarks=landmarks))
    except MissingFaceError as error:
        return str(error)
    if isinstance(out, np.ndarray):
        return out
    return {name: out.column(name) for name in out.columns} | {"x": out.images[...]}


def see_augmentation(augmentation):
    """Return what a network has learned of faces so augmented."""
    clf = make_small(ResNetClassifier, augmentation=augmentation, max_epochs=1)
    return clf.fit(*drawn()).history_


def see_linear(clf):
    faces, y = drawn()
    rows = faces.landmarks.reshape(len(y), -1)
    return clf.fit(rows, y).coef_, clf.aus_


def see_smoother(smoother):
    faces, y = drawn()
    return smoother.fit_transform(y, faces=faces)


def see_wrapper(clf):
    faces, y = draw_faces()
    faces = faces.with_columns(video=faces.subject, frame=np.arange(len(y)))
    clf.fit(faces, y)
    return clf.predict_proba(faces), clf.predict(faces)


SEE = {
    "AdaptedAUClassifier": see_wrapper,
    "AULinearSVC": see_linear,
    "AULogisticRegression": see_linear,
    "AUThresholdClassifier": see_wrapper,
    "AUVotingClassifier": see_wrapper,
    "CalibratedAUClassifier": see_wrapper,
    "FaceAugmentation": see_augmentation,
    "ProbabilitySmoother": see_smoother,
    "SmoothedClassifier": see_wrapper,
}


def of(table, cls, name, default=None):
    """Look a parameter up, first as that of the class."""
    return table.get((cls, name), table.get(name, default))


def shown(cls, settings):
    """Return a digest of what comes out, and whether lines were printed."""
    estimator = OTHERS[cls](**START.get(cls, {}) | settings)
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        seen = SEE.get(cls, see_transformer)(estimator)
        return joblib.hash(seen), bool(printed.getvalue())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cls", "name"), ALL)
def test_a_parameter_changes_what_comes_out(cls, name, slowly):
    settings = of(NEEDS, cls, name, {})
    default = inspect.signature(OTHERS[cls]).parameters[name].default
    value = of(VALUES, cls, name)
    if value is None:
        before = getattr(OTHERS[cls](**START.get(cls, {}) | settings), name)
        constraints = OTHERS[cls]._parameter_constraints[name]
        value = another_value(constraints, before, default)
    silent = shown(cls, settings) == shown(cls, settings | {name: value})
    assert silent == (name in SILENT), f"{name}={value!r}"


@pytest.mark.parametrize(
    ("chain", "given"),
    [
        (hog_baseline, {"output_size": 64, "C": 0.5, "aus": (12, 1), "cell_size": 8}),
        (landmark_baseline, {"C": 0.5, "aus": (12, 1)}),
    ],
)
def test_parameters_of_a_chain_arrive_in_its_steps(chain, given):
    assert given.keys() >= inspect.signature(chain).parameters.keys() - CHOICES
    arrived = chain(**given).get_params()
    for name, value in given.items():
        steps = [v for key, v in arrived.items() if key.endswith(f"__{name}")]
        assert steps == [value], name


def test_a_chain_has_the_features_it_was_asked_for():
    assert isinstance(hog_baseline("hog")["features"], HOGFeatures)
    assert isinstance(hog_baseline("lbp")["features"], LBPFeatures)
