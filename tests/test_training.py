"""How every classifier trains: seeds, subjects held out, going on, starting over."""

import re
import signal

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback

from skfau.estimators import FaceAugmentation
from skfau.exceptions import LabelError, MissingColumnError
from skfau.metrics import f1_scorer
from skfau.model_selection import SubjectKFold
from tests.small import CLASSIFIERS, OVERFITS, make_small

pytestmark = pytest.mark.parametrize("cls", CLASSIFIERS)
AUGMENTED = FaceAugmentation(rotation=10, shift=0.05, contrast=0.2, cutmix=0.5)


def fit_proba(cls, made, **parameters):
    clf = make_small(cls, **parameters).fit(made.data[::2], made.target[::2])
    return clf.predict_proba(made.data)


def test_a_seed_fixes_everything_and_touches_nothing_global(cls, made):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = fit_proba(cls, made, augmentation=AUGMENTED)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.manual_seed(12)
    np.testing.assert_array_equal(first, fit_proba(cls, made, augmentation=AUGMENTED))


def test_another_seed_gives_another_network(cls, made):
    assert not np.array_equal(
        fit_proba(cls, made, max_epochs=1),
        fit_proba(cls, made, max_epochs=1, random_state=1),
    )


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_n_jobs_does_not_change_scores(cls, made, backend):
    from joblib import parallel_config

    clf = make_small(cls, max_epochs=1)

    def scores(n_jobs):
        with parallel_config(backend=backend):
            return cross_val_score(
                clf,
                made.data,
                made.target,
                cv=SubjectKFold(2),
                scoring=f1_scorer,
                n_jobs=n_jobs,
                error_score="raise",
            )

    np.testing.assert_array_equal(scores(1), scores(2))


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
def test_it_overfits_64_frames(cls, made):
    usual = {"max_epochs": 45, "lr": 3e-3, "batch_size": 24, "augmentation": None}
    clf = make_small(cls, **usual | OVERFITS.get(cls.__name__, {}))
    faces, target = made.data[:64], made.target[:64]
    clf.fit(faces, target)
    assert clf.score(faces, target) > 0.95


def test_partial_fit_goes_on_epoch_by_epoch(cls, made):
    whole = make_small(cls, max_epochs=3).fit(made.data, made.target)
    steps = make_small(cls)
    for _ in range(3):
        steps.partial_fit(made.data, made.target)
    assert len(steps.history_) == 3
    np.testing.assert_array_equal(
        steps.predict_proba(made.data), whole.predict_proba(made.data)
    )
    with pytest.raises(LabelError, match="Training goes on with the AUs"):
        steps.set_params(aus=made.aus[:2]).partial_fit(made.data, made.target[:, :2])


def test_warm_start_begins_at_the_last_weights(cls, made):
    cold = make_small(cls, max_epochs=4).fit(made.data, made.target)
    warm = make_small(cls, max_epochs=4).fit(made.data, made.target)
    warm.set_params(warm_start=True, max_epochs=1).fit(made.data, made.target)
    assert warm.history_[0]["train_loss"] < cold.history_[0]["train_loss"]


def test_early_stopping_scores_held_out_subjects_and_keeps_the_best(cls, made):
    clf = make_small(cls, early_stopping=True, patience=2, max_epochs=6)
    history = clf.fit(made.data, made.target).history_
    best = max(row["valid_f1"] for row in history)
    assert all(0 <= row["valid_f1"] <= 1 for row in history)
    after_best = [row["valid_f1"] for row in history].index(best)
    shorter = make_small(cls, early_stopping=True, max_epochs=after_best + 1)
    np.testing.assert_array_equal(
        clf.predict_proba(made.data),
        shorter.fit(made.data, made.target).predict_proba(made.data),
    )


def test_early_stopping_without_subjects_is_an_error(cls, made):
    faces = made.data.with_columns(subject=None)
    with pytest.raises(MissingColumnError, match="subject"):
        make_small(cls, early_stopping=True).fit(faces, made.target)


def test_early_stopping_with_one_subject_is_an_error(cls, made):
    rows = made.data.subject == made.data.subject[0]
    with pytest.raises(ValueError, match="subject"):
        make_small(cls, early_stopping=True).fit(made.data[rows], made.target[rows])


def test_early_stopping_on_subjects_without_any_au_is_an_error(cls, made):
    """F1 would be undefined in every epoch, and the first one would be kept."""
    target = made.target * (made.data.subject == made.data.subject[0])[:, None]
    with pytest.raises(LabelError, match=r"no AU is known to occur.*validation_frac"):
        make_small(cls, early_stopping=True).fit(made.data, target)


class Interrupt(Callback):
    """Press Ctrl-C after an epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 1:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_is_not_swallowed(cls, made):
    with pytest.raises(KeyboardInterrupt):
        make_small(cls, callbacks=[Interrupt()]).fit(made.data, made.target)


def test_init_from_carries_shared_branches_only(cls, made):
    source = make_small(cls).fit(made.data, made.target)
    fewer = tuple(reversed(made.aus[3:8]))
    columns = [made.aus.index(au) for au in fewer]
    target = make_small(cls, aus=fewer, init_from=source, lr=1e-12, max_epochs=1)
    target.fit(made.data, made.target[:, columns])
    fresh = make_small(cls, aus=fewer, lr=1e-12, max_epochs=1)
    fresh.fit(made.data, made.target[:, columns])
    was = source.network_state()
    now, new = target.network_state(), fresh.network_state()
    axes = target.net_.module_.network.au_axes()
    taught = [name for name in now if name not in target.net_.system.given]
    # What belongs to AUs; the rest goes over whole.
    blocks = [n for n in taught if axes.get(n) == (0,) and now[n].size > 20]
    same = [n for n in taught if n not in axes and now[n].shape == was[n].shape]
    whole = [n for n in same if now[n].ndim > 1]
    assert whole
    for name in whole:
        np.testing.assert_allclose(now[name], was[name], atol=1e-6, err_msg=name)
    for name in blocks:
        if not np.issubdtype(now[name].dtype, np.floating) or "running" in name:
            continue
        by_au = was[name].reshape(len(made.aus), -1, *was[name].shape[1:])
        copied = by_au[columns].reshape(now[name].shape)
        np.testing.assert_allclose(now[name], copied, atol=1e-6, err_msg=name)
    moved = blocks or whole
    assert any(not np.allclose(now[n], new[n], atol=1e-6) for n in moved)


def test_init_from_something_unfitted_is_an_error(cls, made):
    with pytest.raises(ValueError, match="init_from must be a fitted classifier"):
        make_small(cls, init_from=make_small(cls)).fit(made.data, made.target)


def test_init_from_survives_cloning_into_folds(cls, made):
    source = make_small(cls).fit(made.data, made.target)
    for start in (source, FrozenEstimator(source)):
        copy = clone(make_small(cls, init_from=start, lr=1e-12, max_epochs=1))
        copy.fit(made.data, made.target)
        was, now = source.network_state(), copy.network_state()
        weights = [n for n in was if n.endswith("weight") and was[n].ndim > 1]
        for name in weights:
            np.testing.assert_allclose(now[name], was[name], atol=1e-6, err_msg=name)


def test_network_state_is_a_copy(cls, made):
    clf = make_small(cls).fit(made.data, made.target)
    state = clf.network_state()
    before = {name: array.copy() for name, array in state.items()}
    clf.partial_fit(made.data, made.target)
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array, name)


def test_a_bad_augmentation_is_refused_at_fit(cls, made):
    clf = make_small(cls, augmentation=FaceAugmentation(flip=7))
    with pytest.raises(ValueError, match=r"'flip' parameter of FaceAugmentation"):
        clf.fit(made.data, made.target)


def test_verbose_shows_fit_and_prediction(cls, made, capfd, slowly):
    clf = make_small(cls, verbose=1).fit(made.data[::2], made.target[::2])
    clf.predict_proba(made.data)
    out, err = capfd.readouterr()
    assert re.search(rf"Fitting {cls.__name__}: (\d+) of \1 batches in", err)
    assert f"Applying {cls.__name__}: 96 of 96 faces in" in err
    assert not out
