"""Learning rates of the parts that see the AUs' vectors and no image."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler

from skfau import MLGCNClassifier, MSCAMClassifier, SEVNetClassifier
from skfau.metrics import au_f1_score
from tests.networks import draw_images
from tests.small import make_small

CLASSES = (SEVNetClassifier, MSCAMClassifier, MLGCNClassifier)


class Rates(Callback):
    """Note the learning rates of every epoch."""

    seen = []

    def on_epoch_end(self, net, **kwargs):
        Rates.seen.append([group["lr"] for group in net.optimizer_.param_groups])


def fit(cls, made, **parameters):
    Rates.seen = []
    clf = make_small(cls, lr=1e-3, lr_decay=0.5, callbacks=[Rates()], **parameters)
    return clf.fit(made.data[::8], made.target[::8])


@pytest.mark.parametrize("cls", CLASSES)
def test_text_parts_have_their_share_of_every_epochs_rate(cls, made):
    clf = fit(cls, made)
    network, groups = clf.net_.module_.network, clf.net_.optimizer_.param_groups
    parts = [network.get_submodule(name) for name in network.text_parts()]
    for part, group in zip(parts, groups[:-1], strict=True):
        assert {*map(id, part.parameters())} == {*map(id, group["params"])}
    share = clf.text_lr_factor
    expected = [[lr * share] * len(parts) + [lr] for lr in (1e-3, 5e-4)]
    np.testing.assert_allclose(Rates.seen, expected, rtol=1e-9)


def test_a_scheduler_that_scales_the_rates_keeps_the_share(made):
    Rates.seen = []
    halve = LRScheduler(policy="StepLR", step_size=1, gamma=0.5)
    clf = make_small(SEVNetClassifier, max_epochs=2, callbacks=[Rates(), halve])
    clf.fit(made.data[::8], made.target[::8])
    np.testing.assert_allclose(
        Rates.seen, [[lr / 10] * 3 + [lr] for lr in (1e-3, 5e-4)]
    )


def test_the_rates_of_the_benchmarks_keep_the_share(made, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    one_cycle = importlib.import_module("train_pretrained").one_cycle
    rows = made.data[::8]
    course = one_cycle(len(rows), 4, len(rows))
    Rates.seen = []
    clf = make_small(SEVNetClassifier, max_epochs=4, batch_size=len(rows), lr_decay=1)
    clf.set_params(callbacks=[Rates(), *course]).fit(rows, made.target[::8])
    seen = np.array(Rates.seen)
    assert np.ptp(seen[:, -1]) > 1e-4
    np.testing.assert_allclose(seen[:, :-1], 0.1 * seen[:, [-1] * 3])


@pytest.mark.parametrize("cls", CLASSES)
def test_a_factor_of_one_is_the_printed_rate_everywhere(cls, made):
    fit(cls, made, text_lr_factor=1.0)
    rates = np.array(Rates.seen)
    np.testing.assert_allclose(rates, [[1e-3], [5e-4]] * np.ones_like(rates))


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [*((cls, {}) for cls in CLASSES), (SEVNetClassifier, {"encoder_layers": 0})],
)
def test_text_parts_are_those_whose_input_no_image_changes(cls, parameters, made):
    network = fit(cls, made, max_epochs=1, **parameters).net_.module_.network.train()
    leaves = {n: m for n, m in network.named_modules() if [*m.parameters(False)]}
    inputs = {name: [] for name in leaves}
    for name, module in leaves.items():
        module.register_forward_pre_hook(
            lambda _, args, name=name: inputs[name].append(args[0].detach())
        )
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for seed in (0, 1):
        network(draw_images(4, 48, seed))
    constant = {name for name, (a, b) in inputs.items() if torch.equal(a, b)}
    parts = tuple(f"{name}." for name in network.text_parts())
    assert constant == {name for name in leaves if f"{name}.".startswith(parts)}


def spots(n_faces, seed):
    """Return images with a bright spot for each AU that is present, and labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n_faces, 12)) < 0.3).astype(np.float32)
    images = rng.integers(90, 140, (n_faces, 48, 48, 3)).astype(np.uint8)
    for au in range(12):
        top, left = 4 + 16 * (au // 4), 2 + 12 * (au % 4)
        images[labels[:, au] == 1, top : top + 8, left : left + 8] = 230
    return images, labels


def test_sevnet_learns_where_to_look():
    clf = SEVNetClassifier(
        backbone="tiny",
        image_size=48,
        augmentation=None,
        batch_size=16,
        max_epochs=2,
        n_threads=1,
        random_state=0,
    )
    images, labels = spots(200, seed=1)
    predicted = clf.fit(*spots(320, seed=0)).predict(images)
    # With text_lr_factor=1 it is 0.3: all AUs look at the same places.
    assert au_f1_score(labels, predicted) > 0.9
