"""skorch's callbacks keep their word, or are refused before anything is trained."""

import signal

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    TrainEndCheckpoint,
)
from torch.optim import lr_scheduler

from skfau import (
    MultiLabelTransformerClassifier,
    ResNetClassifier,
    SEVNetClassifier,
)
from skfau.exceptions import SubjectOverlapWarning
from skfau.metrics import au_f1_score, f1_scorer
from skfau.model_selection import SubjectKFold
from tests.small import CLASSIFIERS, make_small

N_STEPS = 2


def fit(made, *callbacks, cls=ResNetClassifier, **parameters):
    """Fit on 24 faces, two steps an epoch."""
    own = {"max_epochs": 5, "batch_size": 12, "callbacks": list(callbacks)}
    clf = make_small(cls, **own | parameters)
    return clf.fit(made.data[::4], made.target[::4])


class Rates(Callback):
    """Note the learning rates of every step, of all copies."""

    seen = []

    def on_grad_computed(self, net, *args, **kwargs):
        Rates.seen.append([group["lr"] for group in net.optimizer_.param_groups])


POLICIES = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 4]},
    "ExponentialLR": {"gamma": 0.9},
    "LambdaLR": {"lr_lambda": lambda step: 1 / (1 + step)},
    "MultiplicativeLR": {"lr_lambda": lambda step: 0.8},
    "ConstantLR": {"total_iters": 3},
    "LinearLR": {"total_iters": 4},
    "PolynomialLR": {"total_iters": 7},
    "CosineAnnealingLR": {"T_max": 4},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 1e-4, "max_lr": 1e-2, "step_size_up": 2},
    "OneCycleLR": {"max_lr": 1e-2, "total_steps": 11},
}


@pytest.mark.parametrize("step_every", ["epoch", "batch"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_scheduler_sets_the_rates_that_torch_says(policy, step_every, made):
    policy_class, how = getattr(lr_scheduler, policy), POLICIES[policy]
    Rates.seen = []
    clf = fit(
        made,
        Rates(),
        LRScheduler(policy=policy_class, step_every=step_every, **how),
    )
    optimizer = torch.optim.Adam([torch.ones(1)], lr=1e-3)
    scheduler, expected = policy_class(optimizer, **how), []
    for step in range(1, 5 * N_STEPS + 1):
        optimizer.step()
        expected.append(optimizer.param_groups[0]["lr"])
        if step_every == "batch" or step % N_STEPS == 0:
            scheduler.step()
    np.testing.assert_allclose(np.ravel(Rates.seen), expected, rtol=1e-12)
    by_epoch = np.reshape(expected, (5, N_STEPS)).mean(axis=1)
    recorded = [row["event_lr"] for row in clf.history_]
    np.testing.assert_allclose(recorded, by_epoch, rtol=1e-12)


@pytest.mark.parametrize("step_every", ["epoch", "batch"])
def test_reduce_on_plateau_follows_the_recorded_loss(step_every, made):
    Rates.seen = []
    policy = LRScheduler(
        policy="ReduceLROnPlateau",
        monitor=lambda net: 1.0,
        patience=1,
        step_every=step_every,
    )
    fit(made, Rates(), policy)
    # The first value is the best, the second one is waited for.
    steps = np.arange(5 * N_STEPS) // (1 if step_every == "batch" else N_STEPS)
    expected = 1e-3 * 0.1 ** np.maximum(0, (steps - 1) // 2)
    np.testing.assert_allclose(np.ravel(Rates.seen), expected, rtol=1e-12)


def test_reduce_on_plateau_reads_valid_f1(made):
    policy = LRScheduler(policy="ReduceLROnPlateau", monitor="valid_f1", mode="max")
    clf = fit(made, policy, early_stopping=True, validation_fraction=0.4)
    assert {"valid_f1", "event_lr"} <= clf.history_[0].keys()


def test_epoch_by_epoch_a_scheduler_goes_on(made):
    how = {"policy": lr_scheduler.OneCycleLR, "max_lr": 1e-2, "total_steps": 6}
    whole = fit(made, LRScheduler(**how), max_epochs=4)
    steps = make_small(ResNetClassifier, batch_size=12, callbacks=[LRScheduler(**how)])
    for _ in range(4):
        steps.partial_fit(made.data[::4], made.target[::4])
    assert steps.history_ == whole.history_


@pytest.mark.parametrize(
    ("cls", "parameters", "owner"),
    [
        (SEVNetClassifier, {"lr_decay": 0.5}, "of lr_decay"),
        (MultiLabelTransformerClassifier, {"schedule": "released"}, "encoder, decoder"),
    ],
)
def test_the_learning_rate_has_one_owner(cls, parameters, owner, made):
    with pytest.raises(ValueError, match=f"LRScheduler: the learning.*{owner}.*lr_dec"):
        fit(made, LRScheduler(policy="StepLR", step_size=1), cls=cls, **parameters)


class Halve(Callback):
    def on_epoch_end(self, net, **kwargs):
        for group in net.optimizer_.param_groups:
            group["lr"] /= 2


def test_a_callback_of_the_users_may_set_the_rate_that_nothing_else_sets(made):
    Rates.seen = []
    fit(made, Halve(), Rates())
    expected = 1e-3 * 0.5 ** (np.arange(5 * N_STEPS) // N_STEPS)
    np.testing.assert_allclose(np.ravel(Rates.seen), expected)
    with pytest.raises(ValueError, match="callback set the learning rate"):
        fit(made, Halve(), lr_decay=0.9)


def test_a_scheduler_cannot_join_in_the_middle(made):
    clf = fit(made).set_params(callbacks=[LRScheduler(policy="StepLR", step_size=1)])
    with pytest.raises(ValueError, match="not there in the first 5 epochs"):
        clf.partial_fit(made.data, made.target)


def test_callbacks_set_after_the_fit_count_in_partial_fit(made):
    clf = fit(made, max_epochs=1).set_params(callbacks=[EpochTimer()])
    clf.partial_fit(made.data, made.target)
    assert [("dur" in row) for row in clf.history_] == [False, True]
    before = clf.callbacks
    clf.set_params(callbacks=[EarlyStopping("valid_f1")])
    for _ in range(2):
        with pytest.raises(ValueError, match="monitors 'valid_f1'"):
            clf.partial_fit(made.data, made.target)
    clf.set_params(callbacks=before).partial_fit(made.data, made.target)
    assert "dur" in clf.history_[-1]


def test_early_stopping_of_skorch_ends_the_fit(made):
    stop = EarlyStopping("train_loss", patience=2, threshold=0.99)
    clf = fit(made, stop, EpochTimer())
    assert len(clf.history_) == 3
    # Callbacks after it hear of the last epoch, too.
    assert all("dur" in row for row in clf.history_)
    np.testing.assert_array_equal(
        clf.predict_proba(made.data), fit(made, max_epochs=3).predict_proba(made.data)
    )


def test_load_best_takes_the_weights_of_the_best_epoch(made):
    stop = EarlyStopping("train_loss", patience=2, threshold=0.99, load_best=True)
    clf, first = fit(made, stop), fit(made, max_epochs=1)
    np.testing.assert_array_equal(
        clf.predict_proba(made.data), first.predict_proba(made.data)
    )


class Raise(Callback):
    """End the training, or press Ctrl-C, at some event of the second epoch."""

    def __init__(self, event, press):
        self.event = event
        self.press = press

    def notify(self, net):
        if len(net.history) == 2 and self.press:
            signal.raise_signal(signal.SIGINT)
        elif len(net.history) == 2:
            raise KeyboardInterrupt

    def __getattribute__(self, name):
        if name == super().__getattribute__("__dict__").get("event"):
            return lambda net, **kwargs: self.notify(net)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    "event", ["on_epoch_begin", "on_batch_begin", "on_batch_end", "on_epoch_end"]
)
def test_a_callback_ends_a_fit_and_ctrl_c_passes(event, made):
    clf = fit(made, Raise(event, press=False))
    assert len(clf.history_) == 2
    two = fit(made, max_epochs=2)
    np.testing.assert_array_equal(
        clf.predict_proba(made.data), two.predict_proba(made.data)
    )
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(made, Raise(event, press=True))
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_search_goes_on_after_a_callback_has_ended_a_fit(made):
    stop = EarlyStopping("train_loss", patience=1, threshold=0.99)
    clf = make_small(SEVNetClassifier, max_epochs=5, callbacks=[stop])
    search = GridSearchCV(
        clf, {"lr": [1e-3, 1e-4]}, cv=SubjectKFold(2), scoring=f1_scorer
    ).fit(made.data, made.target)
    assert len(search.best_estimator_.history_) == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_epoch_scoring_scores_held_out_and_training_faces(made):
    scores = [
        EpochScoring(f1_scorer, name="f1", lower_is_better=False),
        EpochScoring(None, name="train", on_train=True, lower_is_better=False),
        EpochScoring("f1_macro", lower_is_better=False),
        EpochScoring(
            lambda net, X, y: au_f1_score(y, net.predict_proba(X) >= 0.5), name="own"
        ),
    ]
    clf = fit(made, *scores, early_stopping=True, validation_fraction=0.4)
    for row in clf.history_:
        assert row["f1"] == row["own"] == row["valid_f1"]
        assert 0 <= row["f1_macro"] <= 1
    alone = fit(made, scores[1], max_epochs=1)
    with pytest.warns(SubjectOverlapWarning, match="were in training"):
        score = alone.score(made.data[::4], made.target[::4])
    assert alone.history_[0]["train"] == score


def test_a_checkpoint_of_the_best_epoch_is_loaded(made, tmp_path):
    files = tmp_path / "files"
    keep = [
        PassthroughScoring("train_loss", on_train=True),
        Checkpoint("train_loss_best", dirname=str(files), load_best=True),
    ]

    class Spoil(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                with torch.no_grad():
                    list(net.module_.parameters())[-1].add_(50.0)

    clf, three = fit(made, Spoil(), *keep), fit(made, max_epochs=3)
    assert (files / "params.pt").exists()
    np.testing.assert_array_equal(
        clf.predict_proba(made.data), three.predict_proba(made.data)
    )


def test_the_checkpoint_at_the_end_holds_the_weights_of_the_fit(made, tmp_path):
    how = {"early_stopping": True, "validation_fraction": 0.4}
    clf = fit(made, TrainEndCheckpoint(dirname=str(tmp_path)), **how)
    state = torch.load(tmp_path / "train_end_params.pt", weights_only=True)
    for name, array in clf.network_state().items():
        np.testing.assert_array_equal(state[f"network.{name}"].numpy(), array)


def test_frozen_weights_stay(made):
    frozen = fit(made, Freezer("network.backbone.*"), max_epochs=3).network_state()
    start = fit(made, max_epochs=1, lr=1e-12).network_state()
    free = fit(made, max_epochs=3).network_state()
    name = "backbone.conv1.weight"
    np.testing.assert_allclose(frozen[name], start[name], atol=1e-9)
    assert not np.allclose(free[name], start[name], atol=1e-4)


def test_an_initializer_draws_from_the_private_stream(made):
    before = torch.get_rng_state()
    draw = Initializer("*conv1.weight", fn=torch.nn.init.normal_)
    first = fit(made, draw, max_epochs=1).network_state()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    second = fit(made, draw, max_epochs=1).network_state()
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)


class Norms(Callback):
    seen = []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        squares = [p.grad.square().sum() for _, p in named_parameters]
        Norms.seen.append(float(sum(squares).sqrt()))


def test_gradients_are_clipped(made):
    Norms.seen = []
    fit(made, GradientNormClipping(1e-3), Norms(), max_epochs=1)
    np.testing.assert_allclose(Norms.seen, 1e-3, rtol=1e-3)


def test_what_only_watches_changes_nothing(made, capfd):
    watching = EpochTimer(), PrintLog(sink=print), ProgressBar()
    watched, alone = fit(made, *watching, verbose=1), fit(made)
    assert all(row["dur"] > 0 for row in watched.history_)
    assert capfd.readouterr().out.count("\n") == 2 + 5
    np.testing.assert_array_equal(
        watched.predict_proba(made.data), alone.predict_proba(made.data)
    )


REFUSED = [
    (EarlyStopping(), "EarlyStopping monitors 'valid_loss'.*train_loss.*records valid"),
    (EarlyStopping("valid_acc"), "monitors 'valid_acc'"),
    (EarlyStopping("valid_f1"), "monitors 'valid_f1'.*early_stopping=True"),
    (Checkpoint(), "Checkpoint monitors 'valid_loss_best'.*PassthroughScoring"),
    (
        LRScheduler(policy="ReduceLROnPlateau", monitor="valid_loss"),
        "LRScheduler monitors 'valid_loss'",
    ),
    (
        PassthroughScoring("train_f1", on_train=True),
        "PassthroughScoring monitors 'train_f1'",
    ),
    (EpochScoring("f1_macro"), "EpochScoring: it scores held-out faces, and none"),
    (PassthroughScoring("train_loss"), "held-out faces have no batches"),
    (BatchScoring("f1_macro", on_train=True), "BatchScoring.*Pass EpochScoring"),
    (Checkpoint(None, f_pickle="x.pkl"), "f_pickle cannot hold.*Pickle the classifier"),
    (TrainEndCheckpoint(f_pickle="x.pkl"), "f_pickle cannot hold"),
    (Freezer("trunk*"), "no weight of this network has a name like.*'network.backbone"),
    (LoadInitState(Checkpoint()), "LoadInitState: it would go on from.*init_from"),
    (InputShapeSetter(), "InputShapeSetter: a network has its sizes from image_size"),
]


@pytest.mark.parametrize(("callback", "reason"), REFUSED)
def test_what_cannot_work_is_refused_before_anything_is_trained(callback, reason, made):
    clf = make_small(SEVNetClassifier, callbacks=[callback])
    with pytest.raises(ValueError, match=reason):
        clf.fit(made.data[::4], made.target[::4])
    assert not hasattr(clf, "net_")


def test_two_that_load_the_best_weights_are_refused(made):
    stop = EarlyStopping("valid_f1", lower_is_better=False, load_best=True)
    with pytest.raises(ValueError, match="load_best would keep others"):
        fit(made, stop, early_stopping=True, validation_fraction=0.4)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_what_no_batch_records_is_named_in_the_error(cls, made):
    stop = EarlyStopping("train_accuracy")
    with pytest.raises(ValueError, match=r"monitors 'train_accuracy'.*train_loss"):
        fit(made, stop, cls=cls, max_epochs=1)


def test_a_callback_of_the_users_may_record_what_another_one_monitors(made):
    class Record(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("mine", np.float32(1.0))

    clf = fit(made, Record(), EarlyStopping("mine", patience=1))
    assert [row["mine"] for row in clf.history_] == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"monitors 'mine'.*placed before it"):
        fit(made, EarlyStopping("mine", patience=1), Record())
