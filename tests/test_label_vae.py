"""The auto-encoder of labels, its training, and the loss it takes part in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from skfau.estimators._aunet_fitting import fit_label_vaes, latent_dim_of
from skfau.facs import DATASET_AUS
from skfau.losses import AUNetLoss, WeightedBCE
from skfau.nn import LabelVAE
from tests.networks import stirred

NAN = float("nan")
RATES = [0.5, NAN, 0.1, 0.9]


def make_vae(seed=0, rates=RATES, latent_dim=3):
    torch.manual_seed(seed)
    return stirred(LabelVAE(rates, latent_dim), seed)


def draw_labels(n, seed=0, unknown=0.2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (n, 4)).astype(np.float32)
    labels[rng.random(labels.shape) < unknown] = np.nan
    return torch.from_numpy(labels)


def encode(vae, labels):
    """Write the encoder out in float64."""
    state = {k: v.double().numpy() for k, v in vae.state_dict().items()}
    labels = labels.numpy().astype(float)
    labels = np.where(np.isnan(labels), state["rates"], labels)[:, [0, 2, 3]]

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    hidden = np.maximum(linear(labels, "encoder"), 0)
    return linear(hidden, "mean"), linear(hidden, "log_variance")


def test_encoder_is_two_layers_over_the_coded_aus():
    vae, labels = make_vae(), draw_labels(6)
    for got, expected in zip(vae.encode(labels), encode(vae, labels), strict=True):
        np.testing.assert_allclose(got.detach(), expected, rtol=1e-5, atol=1e-6)


def test_an_au_that_is_not_coded_changes_nothing():
    vae, labels = make_vae(), draw_labels(6)
    other = labels.clone()
    other[:, 1] = 1 - other[:, 1].nan_to_num(0)
    assert torch.equal(vae.encode(labels)[0], vae.encode(other)[0])


def test_training_loss_is_equation_2():
    vae, labels = make_vae(), draw_labels(8)
    rng = torch.Generator().manual_seed(3)
    noise = 2 * torch.rand(labels.shape, generator=rng) - 1
    mean, log_variance = vae.encode(labels + 0.2 * noise)
    code = Normal(mean, (log_variance / 2).exp())
    drawn = mean + code.scale * torch.randn(mean.shape, generator=rng)
    p = vae.decoder(drawn).sigmoid()
    y = labels[:, [0, 2, 3]]
    bce = -(y * p.log() + (1 - y) * (1 - p).log()).nansum()
    prior = Normal(torch.zeros(3), torch.ones(3))
    expected = bce + 0.3 * kl_divergence(code, prior).sum()
    got = vae.loss(labels, torch.Generator().manual_seed(3))
    torch.testing.assert_close(got, expected)


def test_a_data_set_without_any_au_is_refused():
    with pytest.raises(ValueError, match="at least one AU"):
        LabelVAE([NAN, NAN], 2)


@pytest.mark.parametrize(
    ("aus", "size"),
    [
        (DATASET_AUS["bp4d"], 8),
        (DATASET_AUS["disfa"], 6),
        (DATASET_AUS["affwild2_2020"], 5),
        ((1, 2, 4, 6, 12, 15, 25), 5),
        ((12,), 1),
    ],
)
def test_length_of_the_code_is_the_published_one(aus, size):
    assert latent_dim_of(np.array(aus)) == size


def fit(labels, dataset, seed=0, **parameters):
    parameters = {"latent_dim": 2, "kl_weight": 0.01} | parameters
    return fit_label_vaes(labels, dataset, (1, 2, 12, 25), seed=seed, **parameters)


def test_it_learns_which_aus_go_together():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, (800, 1))
    labels = np.hstack([first, first, 1 - first, 1 - first]).astype(np.float32)
    (vae,) = fit(labels, np.full(800, "")).values()
    torch_labels = torch.from_numpy(labels)
    together = vae.decoder(vae.encode(torch_labels)[0]).sigmoid() >= 0.5
    assert torch.equal(together.float(), torch_labels)
    # AU1 without AU2 is nothing that it has seen: what comes out goes together again.
    odd = vae.decoder(vae.encode(torch.tensor([[1.0, 0.0, 0.0, 1.0]]))[0]) > 0
    assert odd[0, 0] == odd[0, 1] and odd[0, 2] == odd[0, 3] != odd[0, 0]


def test_every_data_set_has_its_own_over_the_aus_it_codes():
    labels = draw_labels(30, unknown=0).numpy()
    labels[10:20, 1:3] = np.nan
    labels[20:] = np.nan
    vaes = fit(labels, np.repeat(["b", "a", "c"], 10), latent_dim=None)
    assert list(vaes) == ["a", "b"]  # of "c" nothing is known
    assert vaes["a"].coded.tolist() == [0, 3]
    np.testing.assert_allclose(vaes["b"].rates, labels[:10].mean(axis=0))
    assert vaes["b"].mean.out_features == 3
    assert not any(p.requires_grad for vae in vaes.values() for p in vae.parameters())


def test_faces_without_a_known_label_teach_it_nothing():
    labels = draw_labels(20, unknown=0).numpy()
    more = np.vstack([np.full((60, 4), np.nan, np.float32), labels])
    alone, among = (fit(each, np.full(len(each), ""))[""] for each in (labels, more))
    assert torch.equal(alone.mean.weight, among.mean.weight)


def test_a_seed_fixes_it_and_touches_nothing_global():
    labels, dataset = draw_labels(20).numpy(), np.full(20, "")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (fit(labels, dataset, seed)[""] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.mean.weight, again.mean.weight)
    assert not torch.equal(first.mean.weight, other.mean.weight)


def consistency(logits, labels, encoders, dataset=None):
    loss = AUNetLoss()
    loss.set_encoders(encoders)
    targets = {"labels": labels}
    if dataset is not None:
        targets["dataset"] = torch.tensor(dataset)
    value = loss(logits, targets)
    torch.testing.assert_close(value.detach(), sum(loss.parts.values()))
    return loss.parts["consistency"].item()


def test_consistency_is_the_mean_of_equation_3_with_each_data_sets_encoder():
    vaes, labels = [make_vae(0), make_vae(1)], draw_labels(5)
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    dataset, total = [1, 0, -1, 1, 1], 0
    for row, number in enumerate(dataset):
        if number < 0:
            continue
        known = ~labels[row : row + 1].isnan()
        p = torch.where(known, logits[row].sigmoid(), NAN)
        mean_p, log_p = encode(vaes[number], p)
        mean_g, log_g = encode(vaes[number], labels[row : row + 1])
        total += ((mean_p - mean_g) ** 2).mean()
        total += ((np.exp(log_p) - np.exp(log_g)) ** 2).mean()
    got = consistency(logits, labels, vaes, dataset)
    assert got == pytest.approx(total / 4, rel=1e-4)


def test_faces_without_a_known_label_do_not_dilute_consistency():
    labels, logits = draw_labels(5, unknown=0), torch.ones(5, 4)
    more = torch.cat([labels, torch.full((15, 4), NAN)])
    expected = consistency(logits, labels, [make_vae()])
    assert expected > 0
    got = consistency(torch.ones(20, 4), more, [make_vae()])
    assert got == pytest.approx(expected)


def test_right_predictions_are_consistent():
    labels = draw_labels(5)
    assert consistency(200 * (labels.nan_to_num(0) - 0.5), labels, [make_vae()]) < 1e-9


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_unknown_labels_change_neither_value_nor_gradient(seed):
    loss = AUNetLoss([1.0, 2.0, 3.0, 4.0])
    loss.set_encoders([make_vae(seed)])
    labels = draw_labels(4, seed, unknown=0.5)
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed))
    other = torch.where(labels.isnan(), logits + 5, logits).requires_grad_()
    value = loss(other, {"labels": labels})
    value.backward()
    torch.testing.assert_close(loss(logits, {"labels": labels}), value)
    assert not other.grad[labels.isnan()].any()


def test_encoders_are_frozen_and_pass_the_gradient_on():
    loss = AUNetLoss(consistency_weight=2.0)
    vae = make_vae()
    loss.set_encoders([vae])
    logits = torch.zeros(3, 4, requires_grad=True)
    labels = draw_labels(3, unknown=0)
    loss(logits, {"labels": labels}).backward()
    assert all(p.grad is None for p in vae.parameters())
    assert logits.grad[:, [0, 2, 3]].all()
    half = consistency(torch.zeros(3, 4), labels, [vae])
    assert loss.parts["consistency"].item() == pytest.approx(2 * half)


def test_without_encoders_it_is_weighted_cross_entropy():
    labels, logits = draw_labels(5), torch.ones(5, 4)
    loss = AUNetLoss([1.0, 2.0, 3.0, 4.0])
    expected = WeightedBCE([1.0, 2.0, 3.0, 4.0])(logits, {"labels": labels})
    torch.testing.assert_close(loss(logits, {"labels": labels}), expected)
    assert loss.parts.keys() == {"bce"}
