"""Copies go on exactly where the original would, and so does a longer fit."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_validate
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from skfau.estimators import (
    AUNetClassifier,
    EACNetClassifier,
    FAUTransformerClassifier,
    SEVNetClassifier,
)
from skfau.model_selection import SubjectKFold
from tests.small import CLASSIFIERS, make_small


def assert_same_weights(first, second):
    was, now = first.network_state(), second.network_state()
    for name, array in was.items():
        np.testing.assert_array_equal(now[name], array, name)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_copies_go_on_bit_equal(cls, made):
    faces, labels = made.data[::4], made.target[::4]
    clf = make_small(cls).fit(faces, labels)
    copies = copy.deepcopy(clf), pickle.loads(pickle.dumps(clf))
    again = copy.deepcopy(copies[1])
    clf.partial_fit(faces, labels)
    for each in (*copies, again):
        each.partial_fit(faces, labels)
        assert each.history_ == clf.history_
        assert_same_weights(each, clf)


def test_an_estimator_of_another_process_goes_on_bit_equal(made):
    clf = make_small(FAUTransformerClassifier, max_epochs=1)
    how = {"cv": SubjectKFold(2), "return_estimator": True}
    here, there = (
        cross_validate(clf, made.data, made.target, n_jobs=n_jobs, **how)["estimator"]
        for n_jobs in (1, 2)
    )
    for first, second in zip(here, there, strict=True):
        first.partial_fit(made.data, made.target)
        second.partial_fit(made.data, made.target)
        assert_same_weights(first, second)


def test_a_copy_has_the_rate_and_the_batches_of_the_original(made):
    clf = make_small(SEVNetClassifier, lr_decay=0.5).fit(made.data, made.target)
    clf.set_params(lr=1e-9, batch_size=8)
    twin = copy.deepcopy(clf).partial_fit(made.data, made.target)
    assert_same_weights(clf.partial_fit(made.data, made.target), twin)


def test_a_scheduler_goes_on_in_a_copy(made):
    policy = {"policy": "StepLR", "step_size": 2, "gamma": 0.1}
    clf = make_small(FAUTransformerClassifier, callbacks=[LRScheduler(**policy)])
    twin = copy.deepcopy(clf.fit(made.data, made.target))
    for _ in range(3):
        clf.partial_fit(made.data, made.target)
    for _ in range(3):
        twin = pickle.loads(pickle.dumps(twin.partial_fit(made.data, made.target)))
    rates = [row["event_lr"] for row in twin.history_]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4, 1e-5], rtol=1e-12)
    assert_same_weights(clf, twin)


def test_a_loaded_classifier_warns_that_its_optimiser_is_new(made, tmp_path):
    clf = make_small(FAUTransformerClassifier).fit(made.data, made.target)
    clf.save(tmp_path / "clf")
    loaded = copy.deepcopy(FAUTransformerClassifier.load(tmp_path / "clf"))
    with pytest.warns(UserWarning, match="clf holds no optimiser.*Keep a pickle"):
        loaded.partial_fit(made.data, made.target)
    # Once: now it has one.
    loaded.partial_fit(made.data, made.target)


def centers(clf):
    return clf.net_.criterion_.center_loss.centers.numpy()


@pytest.mark.filterwarnings("ignore:.*never occurs")
def test_centres_go_along_wherever_a_fit_goes_on(made, tmp_path):
    clf = make_small(FAUTransformerClassifier).fit(made.data, made.target)
    clf.save(tmp_path / "clf")
    was = centers(clf).copy()
    assert (was != 0).any(axis=1).all()
    np.testing.assert_array_equal(centers(clf.load(tmp_path / "clf")), was)
    fewer = tuple(reversed(made.aus[3:8]))
    columns = [made.aus.index(au) for au in fewer]
    labels = np.full((len(made.data), len(fewer) + 1), np.nan, np.float32)
    labels[:, :-1] = made.target[:, columns]
    # Without a face that shows an AU its centre stays.
    labels[labels == 1] = 0
    labels[:, -1] = 0
    for source in (clf, tmp_path / "clf"):
        start = make_small(
            FAUTransformerClassifier, aus=(*fewer, 43), init_from=source, max_epochs=1
        ).fit(made.data, labels)
        np.testing.assert_array_equal(centers(start)[:-1], was[columns])
        assert (centers(start)[-1] == 0).all()
    clf.set_params(warm_start=True).fit(made.data, made.target * 0)
    np.testing.assert_array_equal(centers(clf), was)


def test_a_file_without_centres_loads(made, tmp_path):
    from skfau.estimators import _persistence

    clf = make_small(FAUTransformerClassifier).fit(made.data, made.target)
    clf.save(tmp_path / "new")
    header, state = _persistence.read_file(tmp_path / "new")
    # As files were before losses had a state in them.
    del header["loss"]
    _persistence.write_file(tmp_path / "old", header, state)
    loaded = FAUTransformerClassifier.load(tmp_path / "old")
    np.testing.assert_array_equal(
        loaded.predict_proba(made.data), clf.predict_proba(made.data)
    )
    assert (centers(loaded) == 0).all()


def test_a_pickle_without_an_optimiser_opens(made):
    clf = make_small(FAUTransformerClassifier).fit(made.data, made.target)
    state, net = clf.__getstate__(), clf.net_
    # As pickles were before they held one.
    state["_network"] = {
        "state": clf.network_state(),
        "history": clf.history_,
        "seed": net.seed,
        "loss": net.criterion_.state_dict(),
        "buffers": net.system.buffers,
    }
    old = FAUTransformerClassifier.__new__(FAUTransformerClassifier)
    old.__setstate__(state)
    assert_same_weights(old, clf)
    assert old.history_ == clf.history_
    with pytest.warns(UserWarning, match="older version holds no optimiser"):
        old.partial_fit(made.data, made.target)


class Count(Callback):
    """Count epochs over all copies of this callback."""

    epochs = 0

    def on_epoch_begin(self, net, **kwargs):
        Count.epochs += 1


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_more_epochs_go_on_from_the_checkpoint_of_fewer(cls, made, tmp_path):
    faces, labels = made.data[::4], made.target[::4]

    def fit(n, **parameters):
        Count.epochs = 0
        clf = make_small(cls, max_epochs=n, callbacks=[Count()], **parameters)
        return clf.fit(faces, labels), Count.epochs

    straight, _ = fit(3)
    fit(2, checkpoint_dir=tmp_path)
    longer, trained = fit(3, checkpoint_dir=tmp_path)
    assert trained == 1
    assert longer.history_ == straight.history_
    assert_same_weights(longer, straight)
    # Fewer epochs end with fewer, though a longer fit is there.
    shorter, trained = fit(1, checkpoint_dir=tmp_path)
    assert trained == 1 and len(shorter.history_) == 1


def test_a_fit_that_had_stopped_early_stays_as_it_is(made, tmp_path):
    how = {"early_stopping": True, "patience": 1, "checkpoint_dir": tmp_path}
    first = make_small(FAUTransformerClassifier, max_epochs=9, **how)
    first.fit(made.data, made.target)
    n_epochs = len(first.history_)
    assert n_epochs < 9
    more = make_small(FAUTransformerClassifier, max_epochs=12, **how)
    more.fit(made.data, made.target)
    assert more.history_ == first.history_
    assert_same_weights(more, first)


def test_early_stopping_goes_on_with_more_epochs(made, tmp_path):
    how = {"early_stopping": True, "patience": 9}
    straight = make_small(FAUTransformerClassifier, max_epochs=4, **how)
    straight.fit(made.data, made.target)
    for n_epochs in (2, 4):
        clf = make_small(
            FAUTransformerClassifier,
            max_epochs=n_epochs,
            checkpoint_dir=tmp_path,
            **how,
        ).fit(made.data, made.target)
    assert clf.history_ == straight.history_
    assert_same_weights(clf, straight)
    np.testing.assert_array_equal(centers(clf), centers(straight))


class FallsToTheEnd(FAUTransformerClassifier):
    """A schedule that depends on the number of epochs."""

    def _system(self, task):
        n_epochs = self.max_epochs

        def fall(step, n_steps):
            return 1 - (step - 1) / (n_steps * n_epochs)

        return super()._system(task)._replace(lr_factors={"backbone": fall})


def test_more_epochs_start_anew_where_the_schedule_depends_on_them(made, tmp_path):
    faces, labels = made.data[::4], made.target[::4]
    for where in ({}, {"checkpoint_dir": tmp_path}):
        make_small(FallsToTheEnd, max_epochs=2, **where).fit(faces, labels)
        Count.epochs = 0
        clf = make_small(FallsToTheEnd, max_epochs=3, callbacks=[Count()], **where)
        clf.fit(faces, labels)
        assert Count.epochs == 3


POLICIES = [
    LRScheduler(policy="StepLR", step_size=1, gamma=0.1),
    LRScheduler(
        policy=torch.optim.lr_scheduler.CosineAnnealingLR, T_max=9, step_every="batch"
    ),
    LRScheduler(policy="ReduceLROnPlateau", patience=0, threshold=0.9),
    EarlyStopping(monitor="train_loss", patience=2, threshold=0.9, load_best=True),
]


@pytest.mark.parametrize("callback", POLICIES)
def test_callbacks_go_on_in_a_resumed_fit(callback, made, tmp_path):
    def fit(n_epochs, *more, **parameters):
        clf = make_small(FAUTransformerClassifier, max_epochs=n_epochs, **parameters)
        return clf.set_params(callbacks=[callback, *more]).fit(made.data, made.target)

    straight = fit(4, Count())
    fit(2, Count(), checkpoint_dir=tmp_path)
    Count.epochs = 0
    resumed = fit(4, Count(), checkpoint_dir=tmp_path)
    assert Count.epochs == len(straight.history_) - 2
    assert resumed.history_ == straight.history_
    assert_same_weights(resumed, straight)
    again = fit(4, Count(), checkpoint_dir=tmp_path)
    assert_same_weights(again, straight)


def test_callbacks_that_train_otherwise_have_a_checkpoint_of_their_own(made, tmp_path):
    for gamma in (0.5, 0.1):
        scheduler = LRScheduler(policy="LambdaLR", lr_lambda=lambda e, g=gamma: g**e)
        make_small(
            FAUTransformerClassifier,
            max_epochs=1,
            callbacks=[scheduler],
            checkpoint_dir=tmp_path,
        ).fit(made.data[::4], made.target[::4])
    assert len(list(tmp_path.iterdir())) == 2


READ = [
    (FAUTransformerClassifier, "weights"),
    (EACNetClassifier, "weights"),
    (AUNetClassifier, "fan_weights"),
]


@pytest.mark.filterwarnings("ignore:no video")
@pytest.mark.parametrize(("cls", "parameter"), READ)
def test_weights_that_others_replace_are_not_read(cls, parameter, made):
    faces, labels = made.data[::4], made.target[::4]
    source = make_small(cls, max_epochs=1).fit(faces, labels)
    nowhere = {parameter: "nowhere.pth", "max_epochs": 1}
    on = make_small(cls, init_from=source, **nowhere).fit(faces, labels)
    on.set_params(warm_start=True, init_from=None).fit(faces, labels)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        make_small(cls, **nowhere).fit(faces, labels)


def test_weights_are_read_where_the_start_has_another_backbone(made):
    faces, labels = made.data[::4], made.target[::4]
    source = make_small(FAUTransformerClassifier, max_epochs=1).fit(faces, labels)
    other = {"backbone": "resnet18", "weights": "nowhere.pth"}
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        make_small(FAUTransformerClassifier, init_from=source, **other).fit(
            faces, labels
        )
