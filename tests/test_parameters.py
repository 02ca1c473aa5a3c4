"""Every parameter arrives: a value that is not the default changes what is built."""

import contextlib
import inspect

import numpy as np
import pytest

from skfau.datasets import make_faces
from skfau.estimators import FaceAugmentation
from skfau.facs import ACTION_UNITS
from tests.networks import small_backbone
from tests.observing import Recorder, Watch, another_value, groups_of, observe, same
from tests.small import CLASSIFIERS, make_small

pytestmark = pytest.mark.filterwarnings("ignore")

BY_NAME = {cls.__name__: cls for cls in CLASSIFIERS}
REVERSED = tuple(reversed(inspect.signature(CLASSIFIERS[0]).parameters["aus"].default))
BASE = {
    "batch_size": 12,
    "max_epochs": 1,
    "callbacks": [Watch()],
    "device": "cpu",
    # Auto-encoders take as long as all the rest.
    "label_vae": False,
}
OWN_BASE = {
    "AUNetClassifier": {"image_size": 32},
    "WSARLClassifier": {"image_size": 32},
}
# Values that no constraint tells; by class where classes differ.
VALUES = {
    "backbone": small_backbone(8),
    "aus": REVERSED,
    "augmentation": FaceAugmentation(flip=0.0, contrast=0.5),
    "validation_fraction": 0.5,
    "callbacks": [Watch(), Watch()],
    "device": "cpu:0",
    "verbose": 1,
    "random_state": 1,
    "patience": 3,
    "descriptions": {1: ACTION_UNITS[5].description},
    "text_level": None,
    "negative_threshold": -0.5,
    "text_encoder": np.float32(np.random.default_rng(0).normal(size=(12, 20))),
    "attention_losses": ("wce",),
    "classifier_losses": ("tversky",),
    "loss_weights": (0.4, 0.3, 0.2, 0.1),
    "branch_channels": (6, 5),
    "crf_widths": (9.0, 0.3, 2.0),
    "crf_weights": (1.5, 0.5),
    "described_aus": (1, 5, 9),
    "label_vae": True,
    ("AUNetClassifier", "backbone"): "tiny",
    ("AUNetClassifier", "image_size"): 48,
    ("DRMLClassifier", "image_size"): 82,
    ("EACNetClassifier", "image_size"): 48,
    ("JAANetClassifier", "image_size"): 48,
    ("WSARLClassifier", "image_size"): 48,
    # One step an epoch, as before: the schedule must see the faces, not the steps.
    ("MultiLabelTransformerClassifier", "batch_size"): 24,
}
WAITING = {"early_stopping": True, "max_epochs": 6, "patience": 1, "lr": 0.01}
WITH_VAE = {"label_vae": True}
# What else must be set for a parameter to have a say.
NEEDS = {
    "lr_decay": {"lr_decay_epochs": 1, "max_epochs": 2},
    "lr_decay_epochs": {"lr_decay": 0.5, "lr_decay_epochs": 2, "max_epochs": 2},
    "multi_task": {"attention": False, "encoder_layers": 0, "center_loss": None},
    "latent_dim": WITH_VAE,
    "kl_weight": WITH_VAE,
    "consistency_weight": WITH_VAE,
    ("MEGraphClassifier", "schedule"): {"schedule": "cosine", "max_epochs": 2},
    ("MultiLabelTransformerClassifier", "schedule"): {"schedule": "released"},
    "validation_fraction": {"early_stopping": True},
    "patience": WAITING,
    "conditional_threshold": {"graph": "conditional"},
    "warmup_epochs": {"schedule": "released"},
    "feature_cache": {"augmentation": None},
    "spatial_attention": {"crf": False},
    ("AUNetClassifier", "weights"): {"backbone": "tiny"},
    ("JAANetClassifier", "roi_convention"): {"n_landmarks": 68},
    # Parts with a share of the rate have another one.
    ("MLGCNClassifier", "lr"): {"text_lr_factor": 1.0},
    ("MSCAMClassifier", "lr"): {"text_lr_factor": 1.0},
    ("MultiLabelTransformerClassifier", "batch_size"): {"schedule": "released"},
    ("MultiLabelTransformerClassifier", "embedding_dim"): {"schedule": "released"},
    ("SEVNetClassifier", "lr"): {"text_lr_factor": 1.0},
}
# Parameters that arrive as something else, and why.
TRANSLATED = {
    "class_weight": "a loss takes numbers, not the name of a rule",
    "graph": "a network takes the matrix, not the name of its kind",
}

# What a parameter decides beside what bears its name: an argument of a network or
# loss, or an entry of the optimiser's groups.
ALSO = {
    ("EACNetClassifier", "weights"): "freeze",
    ("FAUTransformerClassifier", "attention"): "attention_losses",
    ("FAUTransformerClassifier", "balance"): "center_reduction",
    ("FAUTransformerClassifier", "attention_supervision"): "map_loss",
    ("JAANetClassifier", "variant"): "refinement_weight",
    ("MLGCNClassifier", "text_lr_factor"): "lr",
    ("MSCAMClassifier", "text_lr_factor"): "lr",
    ("MultiLabelTransformerClassifier", "batch_size"): "lr",
    ("MultiLabelTransformerClassifier", "embedding_dim"): "lr",
    ("SEVNetClassifier", "text_lr_factor"): "lr",
    ("WSARLClassifier", "variant"): "nesterov",
}


def parameters_of(cls):
    return inspect.signature(cls).parameters


ALL = [(cls.__name__, name) for cls in CLASSIFIERS for name in parameters_of(cls)]


def of(table, cls, name, default=None):
    """Look a parameter up, first as that of the class."""
    return table.get((cls.__name__, name), table.get(name, default))


def make(cls, settings):
    """Return a small classifier with those settings that it has."""
    given = BASE | OWN_BASE.get(cls.__name__, {}) | settings
    known = parameters_of(cls)
    return make_small(cls, **{k: v for k, v in given.items() if k in known})


@pytest.fixture(scope="module")
def few():
    """Three frames each of four subjects: faces and labels."""
    made = make_faces(n_subjects=4, n_frames=3, image_size=48, random_state=0)
    return made.data, made.target


@pytest.fixture(scope="module")
def recorder():
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Recorder(monkeypatch)


@pytest.fixture(scope="module")
def seen_before(few, tmp_path_factory):
    """Return what a class shows before a parameter is changed, once per setting."""
    cache = {}

    def get(cls, settings, n_fits):
        key = cls, str(settings), n_fits
        if key not in cache:
            folder = tmp_path_factory.mktemp("empty")
            cache[key] = observe(make(cls, settings), *few, folder, n_fits=n_fits)
        return cache[key]

    return get


def changed(cls, name, few, folder):
    """Return a parameter's new value."""
    if name in {"checkpoint_dir", "feature_cache"}:
        return folder
    if name == "init_from":
        return make_small(cls, random_state=1, max_epochs=1).fit(*few)
    if name in {"weights", "fan_weights"}:
        return folder / "no_such_file.pth"
    given = of(VALUES, cls, name, "derived")
    if not isinstance(given, str) or given != "derived":
        return given
    before = getattr(make(cls, of(NEEDS, cls, name, {})), name)
    constraints = cls._parameter_constraints[name]
    return another_value(constraints, before, parameters_of(cls)[name].default)


@pytest.mark.parametrize(("cls", "name"), ALL)
def test_a_parameter_arrives(cls, name, few, recorder, seen_before, tmp_path, slowly):
    cls = BY_NAME[cls]
    settings, n_fits = of(NEEDS, cls, name, {}), 1 + (name == "warm_start")
    before = seen_before(cls, settings, n_fits)
    value = changed(cls, name, few, tmp_path)
    clf = make(cls, settings | {name: value})
    recorder.calls.clear()
    if name in {"weights", "fan_weights"}:
        # Real files of weights are for tests/test_weights.py.
        with pytest.raises(FileNotFoundError, match="no_such_file"):
            clf.fit(*few)
    else:
        after = observe(clf, *few, tmp_path, n_fits)
        assert after != before, f"{name}={value!r} changes nothing"
        recorder.calls += [("optimizer", group) for group in groups_of(clf)]
    assert recorder.calls, "no public network or loss was made"
    arrived = [given[name] for _, given in recorder.calls if name in given]
    exact = all(same(one, value) for one in arrived)
    if name in TRANSLATED:
        assert not exact, f"{name} arrives as it is: take it out of TRANSLATED"
    else:
        assert exact, f"{name}={value!r} arrives as {arrived}"


def arrivals(clf, few, recorder):
    """Return all that networks, losses and the optimiser of a fit are given."""
    recorder.calls.clear()
    with contextlib.suppress(FileNotFoundError):
        clf.fit(*few)
        recorder.calls += [("optimizer", group) for group in groups_of(clf)]
    return [given for _, given in recorder.calls]


@pytest.mark.parametrize(("cls", "name"), ALSO)
def test_a_parameter_also_decides(cls, name, few, recorder, tmp_path):
    also, cls = ALSO[cls, name], BY_NAME[cls]
    settings = of(NEEDS, cls, name, {})
    value = changed(cls, name, few, tmp_path)
    before, after = (
        [given[also] for given in arrivals(clf, few, recorder) if also in given]
        for clf in (make(cls, settings), make(cls, settings | {name: value}))
    )
    assert before and after and before != after, before


def test_the_tables_name_parameters_that_there_are():
    keys = {*ALL, *(name for _, name in ALL)}
    assert {*VALUES, *NEEDS, *TRANSLATED, *ALSO} <= keys
