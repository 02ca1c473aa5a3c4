"""`MultiLabelTransformerClassifier`: its schedule, what it shows, its defaults."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skfau import MultiLabelTransformerClassifier
from skfau.inspection import AttentionMapDisplay, AURelationsDisplay
from tests.small import make_small


def make_classifier(**parameters):
    return make_small(MultiLabelTransformerClassifier, max_epochs=1, **parameters)


@pytest.fixture(scope="module")
def fitted(made):
    return make_classifier(augmentation=None).fit(made.data[::3], made.target[::3])


class Rates(Callback):
    """Note the learning rates of every step."""

    seen = []

    def on_batch_end(self, net, training=False, **kwargs):
        Rates.seen.append([group["lr"] for group in net.optimizer_.param_groups])


def test_the_schedule_is_the_released_one(made):
    Rates.seen = []
    clf = make_classifier(
        schedule="released", lr=5e-5, lr_decay=0.99, batch_size=32, callbacks=[Rates()]
    )
    clf.set_params(max_epochs=4).fit(made.data, made.target)
    n_steps, dim, patches = 3, 16, 9
    assert clf.patch_grid_ == (3, 3)
    for step, rates in enumerate(Rates.seen, start=1):
        course = min(step**-0.5, step * (2.5 * n_steps) ** -1.5)
        expected = [
            32 * length / 25_000 * dim**-0.5 * course
            for length in (patches, len(made.aus))
        ]
        trunk = 5e-5 * 0.99 ** ((step - 1) // n_steps)
        np.testing.assert_allclose(rates, [*expected, trunk], rtol=1e-9)
    assert len(Rates.seen) == 12


def test_all_rates_scale_with_the_backbones(made):
    Rates.seen = []
    for lr in (5e-5, 5e-6):
        clf = make_classifier(schedule="released", lr=lr, callbacks=[Rates()])
        clf.fit(made.data[::3], made.target[::3])
    first, second = np.array(Rates.seen).reshape(2, -1)
    np.testing.assert_allclose(first, 10 * second)


def test_without_a_schedule_all_weights_have_one_rate(made):
    Rates.seen = []
    clf = make_classifier(lr=1e-3, lr_decay=0.5, callbacks=[Rates()])
    clf.set_params(max_epochs=2).fit(made.data[::3], made.target[::3])
    expected = np.repeat([[1e-3], [5e-4]], len(Rates.seen) // 2, axis=0)
    np.testing.assert_allclose(Rates.seen, expected * np.ones(3))


def test_every_weight_is_in_one_group(fitted):
    groups = fitted.net_.optimizer_.param_groups
    network = fitted.net_.module_.network
    parts = network.encoder, network.decoder, network.backbone
    for group, part in zip(groups, parts, strict=True):
        ours = {id(parameter) for parameter in part.parameters()}
        assert {id(parameter) for parameter in group["params"]} == ours
        assert group["weight_decay"] == 1.0


def test_going_on_by_epochs_keeps_the_schedule(made):
    whole = make_classifier(schedule="released").set_params(max_epochs=3)
    whole.fit(made.data, made.target)
    steps = make_classifier(schedule="released")
    for _ in range(3):
        steps.partial_fit(made.data, made.target)
    np.testing.assert_array_equal(
        steps.predict_proba(made.data), whole.predict_proba(made.data)
    )


def test_maps_and_relations_are_means_of_the_networks(fitted, made):
    landmarks = made.data.landmarks[:3].copy()
    landmarks[1] = np.nan
    faces = made.data[:3].with_columns(landmarks=landmarks)
    maps, relations = fitted.attention_maps(faces), fitted.au_relations(faces)
    assert maps.shape == (3, 12, 3, 3) and relations.shape == (3, 12, 12)
    for values in (maps, relations):
        assert values.dtype == np.float32 and np.isnan(values[1]).all()
    np.testing.assert_allclose(maps[[0, 2]].sum(axis=(2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(relations[[0, 2]].sum(axis=2), 1, rtol=1e-5)
    module = fitted.net_.module_.eval()
    images = torch.as_tensor(made.data.images[[0, 2]])
    with torch.inference_mode():
        for name, values in (("attention_maps", maps), ("relations", relations)):
            layers = module(images, method=name).mean(dim=(1, 2))
            np.testing.assert_allclose(values[[0, 2]], layers, atol=1e-6)


def test_the_displays_take_it(fitted, made):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    few = made.data[:3]
    shown = AttentionMapDisplay.from_estimator(fitted, few, ax=Figure().subplots())
    np.testing.assert_array_equal(shown.maps, fitted.attention_maps(few))
    shown = AURelationsDisplay.from_estimator(fitted, few, ax=Figure().subplots())
    np.testing.assert_allclose(
        shown.matrix, fitted.au_relations(few).mean(axis=0), atol=1e-6
    )


def test_the_submission_trains_with_both_parts_of_the_loss(made):
    clf = make_classifier(
        decoder="released", class_weight="inverse_rate", dice_weight=0.5
    )
    (row,) = clf.fit(made.data[::3], made.target[::3]).history_
    assert row["train_loss"] == pytest.approx(row["wce"] + row["dice"], rel=1e-5)
    weights = clf.net_.criterion_.label_loss.class_weight
    assert weights.std() > 0 and weights.mean() == pytest.approx(1)


def test_tokens_of_shared_aus_are_taken(fitted, made):
    fewer = tuple(reversed(made.aus[3:8]))
    columns = [made.aus.index(au) for au in fewer]
    clf = make_classifier(aus=fewer, init_from=fitted, lr=1e-12)
    clf.fit(made.data[::3], made.target[::3, columns])
    name = "decoder.tokens.weight"
    np.testing.assert_allclose(
        clf.network_state()[name], fitted.network_state()[name][columns], atol=1e-6
    )
