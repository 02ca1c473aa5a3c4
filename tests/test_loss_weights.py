"""A face's weight in every loss: k is as good as k such faces, 0 as good as none."""

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skfau import losses
from skfau.nn import LabelVAE

NAN = float("nan")
N, A, D, S = 5, 3, 4, 6
AU_WEIGHT = [0.5, 1.0, 1.5]


def aunet_loss():
    loss = losses.AUNetLoss(AU_WEIGHT)
    torch.manual_seed(0)
    loss.set_encoders([LabelVAE([0.5] * A, 2).eval() for _ in range(2)])
    return loss


MAKERS = {
    "AUNetLoss": aunet_loss,
    "CenterContrastive": lambda: losses.CenterContrastive(A, D),
    "CenterLoss": lambda: losses.CenterLoss(A, D),
    "EACNetLoss": losses.EACNetLoss,
    "FAUTransformerLoss": lambda: losses.FAUTransformerLoss(
        A, D, class_weight=AU_WEIGHT
    ),
    "JAANetLoss": lambda: losses.JAANetLoss(AU_WEIGHT, refinement_weight=0.1),
    "LandmarkLoss": losses.LandmarkLoss,
    "MEGraphLoss": lambda: losses.MEGraphLoss(AU_WEIGHT, edge_weight=0.3),
    "MapLoss": lambda: losses.MapLoss(target="all"),
    "MultiLabelTransformerLoss": lambda: losses.MultiLabelTransformerLoss(
        AU_WEIGHT, dice_weight=0.5
    ),
    "WSARLLoss": lambda: losses.WSARLLoss(AU_WEIGHT, energy_weight=0.1),
    "WSARLLoss, sums": lambda: losses.WSARLLoss(AU_WEIGHT, 0.1, "sum"),
    "WeightedAsymmetric": lambda: losses.WeightedAsymmetric(AU_WEIGHT),
    "WeightedBCE": lambda: losses.WeightedBCE(AU_WEIGHT),
    "WeightedBCE, sums": lambda: losses.WeightedBCE(AU_WEIGHT, "sum"),
    "WeightedDice": lambda: losses.WeightedDice(AU_WEIGHT),
    "WeightedTversky": lambda: losses.WeightedTversky(AU_WEIGHT),
}
# It trains a network of landmarks, before that of the AUs and without their weights.
UNWEIGHTED = {"LandmarkMapLoss"}
WEIGHTS = st.lists(st.integers(0, 3), min_size=N, max_size=N)


def test_every_loss_is_tried():
    public = {
        name
        for name in losses.__all__
        if inspect.isclass(cls := getattr(losses, name)) and issubclass(cls, nn.Module)
    }
    assert public == {*(name.split(",")[0] for name in MAKERS), *UNWEIGHTED}


def draw_batch(seed):
    """Return float64 outputs by name, with gradients, and targets."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    labels = (draw(N, A) < 0.5).double()
    labels[draw(N, A) < 0.3] = NAN
    maps, landmarks = draw(N, A, S, S), 48 * draw(N, 68, 2)
    maps[draw(N, A) < 0.2] = NAN
    landmarks[draw(N, 68) < 0.01] = NAN
    outputs = {
        "logits": 4 * draw(N, A) - 2,
        "attention_logits": 4 * draw(N, A) - 2,
        "local_logits": 4 * draw(N, A) - 2,
        "enhancing_logits": 4 * draw(N, A) - 2,
        "attention_maps": draw(N, A, S, S),
        "refined_maps": draw(N, A, S, S),
        "embeddings": draw(N, A, D),
        "landmarks": 48 * draw(N, 68, 2),
        "crf_energy": draw(N, A),
        "edge_logits": 4 * draw(N, A, A, 4) - 2,
    }
    for value in outputs.values():
        value.requires_grad_()
    dataset = (3 * draw(N)).long() - 1
    targets = {"labels": labels, "maps": maps, "landmarks": landmarks}
    return outputs, targets | {"dataset": dataset}


def make(name):
    loss = MAKERS[name]().double()
    for key, centers in loss.named_buffers():
        if key.endswith("centers"):
            centers += 0.3
    return loss


def measured(name, outputs, targets, rows=slice(None)):
    """Return a loss's value, its gradients, its parts and where centres go."""
    loss = make(name)
    taken = {key: value[rows] for key, value in outputs.items()}
    value = loss((taken.pop("logits"), taken), targets)
    leaves = list(outputs.values())
    gradients = torch.autograd.grad(
        value, leaves, allow_unused=True, materialize_grads=True
    )
    if hasattr(loss, "after_step"):
        loss.after_step()
    parts = getattr(loss, "parts", {}).values()
    return [value.detach(), *gradients, *parts, *loss.buffers()]


def close(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), weights=WEIGHTS)
def test_a_weight_counts_faces_and_0_leaves_one_out(name, seed, weights):
    outputs, targets = draw_batch(seed)
    weight = torch.tensor(weights)
    weighted = measured(name, outputs, targets | {"weight": weight})
    rows = torch.arange(N).repeat_interleave(weight)
    repeated = {key: value[rows] for key, value in targets.items()}
    if len(rows):
        close(weighted, measured(name, outputs, repeated, rows))
    else:
        assert not any(value.any() for value in weighted[: 1 + len(outputs)])


@pytest.mark.parametrize("name", MAKERS)
def test_weights_of_1_are_no_weights_to_the_bit(name):
    outputs, targets = draw_batch(1)
    plain = measured(name, outputs, targets)
    ones = measured(name, outputs, targets | {"weight": torch.ones(N)})
    for mine, other in zip(ones, plain, strict=True):
        assert torch.equal(mine, other)


# The eps of the Tversky loss is added to sums of weights.
@pytest.mark.parametrize(
    "name", sorted({*MAKERS} - {"WeightedTversky", "FAUTransformerLoss"})
)
def test_only_the_ratios_of_weights_count(name):
    outputs, targets = draw_batch(2)
    weight, loss = torch.linspace(0.1, 2, N, dtype=torch.float64), make(name)
    outputs = outputs["logits"], outputs
    values = [loss(outputs, targets | {"weight": c * weight}) for c in (1, 1e-3, 7)]
    assert values[1].item() == pytest.approx(values[0].item(), rel=1e-9)
    assert values[2].item() == pytest.approx(values[0].item(), rel=1e-9)


def test_a_weight_per_label_is_refused():
    outputs, targets = draw_batch(3)
    targets["weight"] = torch.ones(N, A)
    with pytest.raises(ValueError, match=r"one weight per image, \(5,\).*\(5, 3\)"):
        losses.WeightedBCE()(outputs["logits"], targets)
