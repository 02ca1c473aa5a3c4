"""Training on several devices is training on one: two CPU processes stand for GPUs."""

from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skfau.datasets import make_faces
from skfau.estimators import (
    AUNetClassifier,
    DRMLClassifier,
    FaceAugmentation,
    ResNetClassifier,
)
from skfau.estimators._shares import Share
from tests.small import CLASSIFIERS, make_small

TWO = ["cpu", "cpu"]
# Batches of 9 and 5 faces are not shared evenly.
SHAPE = {"batch_size": 9, "max_epochs": 1}
# What is trained before has an Adam of its own, which no callback sees.
OWN = {
    "AUNetClassifier": {"backbone": "tiny"},
    "MEGraphClassifier": {"node_epochs": 0},
}


class LinearSteps(Callback):
    """Make Adam's steps follow the gradients, which they otherwise only sign."""

    def on_train_begin(self, net, **kwargs):
        for group in net.optimizer_.param_groups:
            if "eps" in group:
                group["eps"] = 1.0


class FailInSecond(Callback):
    """Fail in one process while the other waits for it."""

    def on_grad_computed(self, net, **kwargs):
        if net.team is not None and net.team.rank:
            raise OSError("the second device is gone")


@pytest.fixture(scope="module")
def faces():
    made = make_faces(n_subjects=4, n_frames=4, image_size=48, random_state=0)
    made.target[3, 2] = made.target[7] = np.nan
    return made


def fit_on(device, cls, faces, n_faces=14, **parameters):
    parameters = SHAPE | OWN.get(cls.__name__, {}) | parameters
    parameters.setdefault("callbacks", [LinearSteps()])
    weights = np.linspace(0.5, 1.5, n_faces)
    clf = make_small(cls, device=device, **parameters)
    return clf.fit(faces.data[:n_faces], faces.target[:n_faces], weights)


def check_same(one, two, faces, tolerance=1e-4):
    assert [set(epoch) for epoch in one.history_] == [set(e) for e in two.history_]
    for mine, other in zip(one.history_, two.history_, strict=True):
        for name in mine:
            np.testing.assert_allclose(other[name], mine[name], rtol=tolerance)
    found, expected = (clf.predict_proba(faces.data) for clf in (two, one))
    np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize("cls", CLASSIFIERS, ids=lambda cls: cls.__name__)
@pytest.mark.filterwarnings("ignore")
def test_two_devices_learn_what_one_does(cls, faces):
    one, two = (fit_on(device, cls, faces) for device in ("cpu", TWO))
    check_same(one, two, faces)
    assert two.device is TWO


@pytest.mark.filterwarnings("ignore:no video in X")
def test_what_is_trained_before_is_shared_too(faces):
    whole = {"backbone": "fan", "batch_size": 14}
    one, two = (
        fit_on(device, AUNetClassifier, faces, **whole) for device in ("cpu", TWO)
    )
    losses = [clf.fan_history_[0]["train_loss"] for clf in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_mixed_faces_may_be_of_another_device(faces, changes):
    augmentation = FaceAugmentation(crop=0.1, **changes)
    how = {"cls": ResNetClassifier, "faces": faces, "augmentation": augmentation}
    check_same(fit_on("cpu", **how), fit_on(TWO, **how), faces)


def test_a_last_batch_of_one_face_is_learned_once_and_warnings_arrive(faces):
    fits = []
    for device in ("cpu", TWO):
        with pytest.warns(UserWarning, match="AU2 never occurs in the 10 training"):
            fits.append(fit_on(device, DRMLClassifier, faces, n_faces=10))
    check_same(*fits, faces)


def test_early_stopping_and_checkpoints_are_of_all_processes(faces, tmp_path):
    how = {
        "cls": ResNetClassifier,
        "faces": faces,
        "early_stopping": True,
        "max_epochs": 2,
        "n_faces": 16,
    }
    one, two = fit_on("cpu", **how), fit_on(TWO, **how, checkpoint_dir=tmp_path)
    check_same(one, two, faces)
    assert len(list(tmp_path.glob("*.pt"))) == 1
    more = how | {"max_epochs": 3, "checkpoint_dir": tmp_path}
    gone_on = fit_on(TWO, **more)
    assert gone_on.history_[:2] == two.history_
    check_same(fit_on("cpu", **how | {"max_epochs": 3}), gone_on, faces)


def test_training_goes_on_with_the_same_random_state(faces):
    fits, states = [], []
    for device in ("cpu", TWO):
        state = np.random.RandomState(0)
        clf = make_small(
            ResNetClassifier,
            device=device,
            random_state=state,
            batch_size=9,
            callbacks=[LinearSteps()],
        )
        for _ in range(2):
            clf.partial_fit(faces.data, faces.target)
        fits.append(clf)
        states.append(state.randint(1000))
    check_same(*fits, faces)
    assert states[0] == states[1]
    assert fits[1].random_state is state


def test_an_error_in_one_process_ends_all(faces):
    with pytest.raises(OSError, match="the second device is gone"):
        fit_on(TWO, ResNetClassifier, faces, callbacks=[FailInSecond()])
    # The next fit starts new processes.
    fit_on(TWO, ResNetClassifier, faces)


@pytest.mark.parametrize(
    ("device", "match"),
    [
        (["cpu", "cuda:0"], r"must name GPUs, .* Got \['cpu', 'cuda:0'\]"),
        (["cuda:0", "cuda:0"], "must give each GPU once and by number"),
        (["cuda", "cuda:1"], "must give each GPU once and by number"),
        (["cpu", "gpu"], "device must be 'auto', 'cpu', 'cuda'"),
    ],
)
def test_devices_that_cannot_train_together(faces, monkeypatch, device, match):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(ValueError, match=match):
        fit_on(device, ResNetClassifier, faces)


@pytest.mark.filterwarnings("ignore:Loky-backed")
def test_a_thread_of_joblib_cannot_start_processes(faces):
    work = [joblib.delayed(fit_on)(TWO, ResNetClassifier, faces)] * 2
    with pytest.raises(RuntimeError, match="none can be started from a thread of jo"):
        joblib.Parallel(2, backend="threading")(work)


def test_outputs_without_a_row_per_face_are_refused():
    team = SimpleNamespace(size=2, slice_of=lambda n: slice(0, n // 2))
    with pytest.raises(ValueError, match=r"one row per face\. Got shape \(3,\) for 4"):
        Share(team, 8).gather((torch.zeros(3), {}))
