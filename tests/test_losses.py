"""Every loss against its formula in float64, and what unknown labels may not do."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau import losses
from skfau.exceptions import LabelError

NAN = float("nan")
N, A, D, S = 6, 3, 5, 4


def random_case(seed, unknown=0.3, dtype=torch.float64):
    """Return outputs that need a gradient, and targets with unknown labels."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        values = torch.rand(*shape, generator=rng, dtype=torch.float64)
        return values.to(dtype)

    labels = (draw(N, A) < 0.5).to(dtype)
    labels[draw(N, A) < unknown] = NAN
    leaves = {
        "logits": 4 * draw(N, A) - 2,
        "attention_logits": 4 * draw(N, A) - 2,
        "attention_maps": draw(N, A, S, S),
        "embeddings": draw(N, A, D),
        "edge_logits": 4 * draw(N, A, A, 4) - 2,
    }
    for leaf in leaves.values():
        leaf.requires_grad_()
    outputs = leaves["logits"], {k: v for k, v in leaves.items() if k != "logits"}
    return outputs, {"labels": labels, "maps": draw(N, A, S, S)}, leaves


def every_loss():
    weight = [0.5, 1.0, 1.5]
    return {
        "wce": losses.WeightedBCE(weight),
        "wce_sum": losses.WeightedBCE(weight, "sum"),
        "tversky": losses.WeightedTversky(weight),
        "huber": losses.MapLoss("huber", delta=0.3),
        "l1": losses.MapLoss("l1"),
        "l2": losses.MapLoss("l2"),
        "contrastive": losses.CenterContrastive(A, D),
        "center": losses.CenterLoss(A, D),
        "contrastive sums": losses.CenterContrastive(A, D, reduction="sum"),
        "center sums": losses.CenterLoss(A, D, reduction="sum"),
        "composite": losses.FAUTransformerLoss(A, D, class_weight=weight),
        "dice": losses.WeightedDice(weight),
        "asymmetric": losses.WeightedAsymmetric(weight),
        "edges": losses.MEGraphLoss(weight, edge_weight=0.5),
    }


def value_and_gradients(loss, outputs, targets, leaves):
    value = loss(outputs, targets)
    used = torch.autograd.grad(
        value, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return [value.detach(), *used]


def arrays(*tensors):
    return [np.asarray(t.detach(), dtype=np.float64) for t in tensors]


def test_weighted_bce_is_the_mean_over_known_labels():
    (logits, _), targets, _ = random_case(0)
    x, y = arrays(logits, targets["labels"])
    weight = np.array([0.5, 2.0, 3.0])
    p = 1 / (1 + np.exp(-x))
    each = -weight * (y * np.log(p) + (1 - y) * np.log(1 - p))
    ours = losses.WeightedBCE(weight)(logits, targets)
    assert ours.item() == pytest.approx(np.nanmean(each), rel=1e-10)


def test_weighted_bce_sums_over_the_known_labels_of_every_face():
    (logits, _), targets, _ = random_case(0)
    targets["labels"][2] = NAN
    x, y = arrays(logits, targets["labels"])
    weight, expected = [0.5, 2.0, 3.0], 0.0
    for n, a in np.argwhere(~np.isnan(y)):
        p = 1 / (1 + np.exp(-x[n, a]))
        expected -= weight[a] * np.log(p if y[n, a] else 1 - p)
    loss = losses.WeightedBCE(weight, "sum")
    ours = loss(logits, targets)
    assert ours.item() == pytest.approx(expected / N, rel=1e-12)
    # A label that is known elsewhere changes no step for this one.
    (before,) = torch.autograd.grad(ours, logits)
    targets["labels"][2, 0] = 1.0
    (after,) = torch.autograd.grad(loss(logits, targets), logits)
    torch.testing.assert_close(before[:2], after[:2])


@pytest.mark.parametrize(("alpha", "beta", "eps"), [(0.25, 0.75, 1), (0.5, 0.5, 0.1)])
def test_weighted_tversky_sums_over_the_batch_per_au(alpha, beta, eps):
    (logits, _), targets, _ = random_case(1)
    targets["labels"][:, 2] = NAN
    x, y = arrays(logits, targets["labels"])
    weight, p, expected = [0.5, 2.0, 3.0], 1 / (1 + np.exp(-x)), []
    for au in range(2):
        known = ~np.isnan(y[:, au])
        truth, score = y[known, au], p[known, au]
        tp = np.sum(score * truth)
        fp, fn = np.sum(score * (1 - truth)), np.sum((1 - score) * truth)
        below = alpha * fp + beta * fn + eps
        expected.append(weight[au] * below / (tp + below))
    ours = losses.WeightedTversky(weight, alpha, beta, eps)(logits, targets)
    assert ours.item() == pytest.approx(np.mean(expected), rel=1e-10)


@pytest.mark.parametrize("target", ["active", "all"])
@pytest.mark.parametrize("distance", ["huber", "l1", "l2"])
def test_map_loss_is_the_mean_over_maps_that_count(distance, target):
    outputs, targets, _ = random_case(2)
    targets["maps"][0] = NAN
    targets["maps"][1, 2, 0, 0] = NAN
    maps, heatmaps, y = arrays(
        outputs[1]["attention_maps"], targets["maps"], targets["labels"]
    )
    if target == "active":
        heatmaps = heatmaps * y[..., None, None]
    counts = ~np.isnan(heatmaps).any(axis=(2, 3))
    d = np.abs(maps - heatmaps)[counts]
    delta = 0.3
    huber = np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))
    expected = {"huber": huber, "l1": d, "l2": d**2}[distance].mean()
    ours = losses.MapLoss(distance, delta, target)(outputs, targets)
    assert ours.item() == pytest.approx(expected, rel=1e-10)


def distances_to(centers, embeddings):
    return ((embeddings - centers) ** 2).sum(axis=-1)


def test_center_losses_are_means_over_pairs():
    outputs, targets, _ = random_case(3)
    f, y = arrays(outputs[1]["embeddings"], targets["labels"])
    centers = np.linspace(-1, 1, A * D).reshape(A, D)
    pulled, pushed = distances_to(centers, f)[y == 1], distances_to(centers, f)[y == 0]
    expected = {
        losses.CenterContrastive: pulled.mean() / (pushed.mean() + 1e-6),
        losses.CenterLoss: pulled.mean() / 2,
    }
    for cls, value in expected.items():
        loss = cls(A, D).double()
        loss.centers.copy_(torch.from_numpy(centers))
        assert loss(outputs, targets).item() == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_center_losses_have_the_sums_that_are_printed(weighted):
    """Per face over the AUs, as equation 5 has it, and then the mean over the faces."""
    outputs, targets, _ = random_case(3)
    f, y = arrays(outputs[1]["embeddings"], targets["labels"])
    counts = np.array([2.0, 0, 1, 3, 1, 1]) if weighted else np.ones(N)
    if weighted:
        targets["weight"] = torch.from_numpy(counts)
    centers = np.linspace(-1, 1, A * D).reshape(A, D)
    pulled = pushed = 0.0
    for face in range(N):
        for au in range(A):
            distance = counts[face] * ((f[face, au] - centers[au]) ** 2).sum()
            pulled += distance if y[face, au] == 1 else 0
            pushed += distance if y[face, au] == 0 else 0
    n = counts.sum()
    expected = {
        losses.CenterContrastive: pulled / n / (pushed / n + 1e-6),
        losses.CenterLoss: pulled / n / 2,
    }
    for cls, value in expected.items():
        loss = cls(A, D, reduction="sum").double()
        loss.centers.copy_(torch.from_numpy(centers))
        assert loss(outputs, targets).item() == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("name", every_loss())
def test_gradients_agree_with_differences(name):
    _, targets, leaves = random_case(4)
    loss = every_loss()[name].double().eval()

    def of(*values):
        new = dict(zip(leaves, values, strict=True))
        return loss((new.pop("logits"), new), targets)

    assert torch.autograd.gradcheck(of, tuple(leaves.values()))


@pytest.mark.parametrize("name", every_loss())
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_unknown_changes_neither_value_nor_gradient(name, seed):
    outputs, targets, leaves = random_case(seed)
    loss = every_loss()[name].double().eval()
    before = value_and_gradients(loss, outputs, targets, leaves)
    unknown = targets["labels"].isnan()
    for leaf in ("logits", "attention_logits"):
        leaves[leaf].data[unknown] = 3.0
    leaves["embeddings"].data[unknown] += 7.0
    leaves["edge_logits"].data[unknown] += 5.0
    leaves["edge_logits"].data.transpose(1, 2)[unknown] *= 2.0
    leaves["attention_maps"].data[unknown] = 0.5
    targets["maps"][unknown] = 0.9
    after = value_and_gradients(loss, outputs, targets, leaves)
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)


@pytest.mark.parametrize("name", every_loss())
def test_a_batch_without_a_known_label_gives_exactly_zero(name):
    outputs, targets, leaves = random_case(5, unknown=2.0)
    for value in value_and_gradients(every_loss()[name], outputs, targets, leaves):
        assert not value.any()


@pytest.mark.parametrize("name", every_loss())
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_batch_with_one_kind_of_label_stays_finite(name, label):
    outputs, targets, leaves = random_case(6)
    targets["labels"][:] = label
    for value in value_and_gradients(every_loss()[name], outputs, targets, leaves):
        assert value.isfinite().all()


def test_maps_of_faces_without_landmarks_have_no_gradient():
    outputs, targets, leaves = random_case(7, unknown=0)
    targets["maps"][2] = NAN
    value = losses.MapLoss(target="all")(outputs, targets)
    value.backward()
    gradient = leaves["attention_maps"].grad
    assert value.isfinite()
    assert not gradient[2].any()
    assert gradient[3].any()


@pytest.mark.parametrize("name", every_loss())
def test_half_precision_outputs_are_computed_in_float32(name):
    outputs, targets, _ = random_case(8, dtype=torch.float32)
    half = outputs[0].bfloat16(), {k: v.bfloat16() for k, v in outputs[1].items()}
    same = half[0].float(), {k: v.float() for k, v in half[1].items()}
    with torch.autocast("cpu", torch.bfloat16):
        value = every_loss()[name](half, targets)
    assert value.dtype == torch.float32
    assert value == every_loss()[name](same, targets)


def test_centers_move_after_the_step_by_the_rule_of_wen():
    outputs, targets, _ = random_case(9)
    loss = losses.CenterContrastive(A, D, rate=0.5)
    start = torch.linspace(-1, 1, A * D).reshape(A, D)
    loss.centers.copy_(start)
    loss(outputs, targets)
    torch.testing.assert_close(loss.centers, start)
    loss.after_step()
    f, y = arrays(outputs[1]["embeddings"], targets["labels"])
    expected = np.empty((A, D))
    for au in range(A):
        active = f[y[:, au] == 1, au]
        pull = (start[au].numpy() - active).sum(axis=0) / (1 + len(active))
        expected[au] = start[au].numpy() - 0.5 * pull
    np.testing.assert_allclose(loss.centers, expected, rtol=1e-5)
    moved = loss.centers.clone()
    loss.eval()(outputs, targets)
    loss.after_step()
    assert torch.equal(loss.centers, moved)


def test_centers_are_state_without_a_gradient():
    loss = losses.CenterLoss(A, D)
    assert list(loss.state_dict()) == ["centers"]
    assert not list(loss.parameters())


def test_composite_is_the_weighted_sum_of_its_parts():
    outputs, targets, _ = random_case(10)
    weights = (0.1, 0.2, 0.3, 0.4)
    loss = losses.FAUTransformerLoss(A, D, loss_weights=weights)
    total = loss(outputs, targets)
    attention = outputs[1]["attention_logits"]
    expected = {
        "attention_wce": 0.1 * losses.WeightedBCE()(attention, targets),
        "attention_tversky": 0.1 * losses.WeightedTversky()(attention, targets),
        "classifier_wce": 0.2 * losses.WeightedBCE()(outputs, targets),
        "classifier_tversky": 0.2 * losses.WeightedTversky()(outputs, targets),
        "map": 0.3 * losses.MapLoss()(outputs, targets),
        "center": 0.4 * losses.CenterContrastive(A, D)(outputs, targets),
    }
    assert list(loss.parts) == list(expected)
    for name, value in expected.items():
        assert loss.parts[name] == pytest.approx(value.item()), name
        assert not loss.parts[name].requires_grad
    assert total.item() == pytest.approx(sum(expected.values()).item())


def test_dice_of_the_composite_is_that_of_jaa_net():
    """Per label 1 - (2 y p + 1) / (y² + p² + 1), times the weight of its AU."""
    (logits, _), targets, _ = random_case(13)
    x, y = arrays(logits, targets["labels"])
    p, weight = 1 / (1 + np.exp(-x)), np.array([0.5, 2.0, 3.0])
    dice = np.nanmean(weight * (1 - (2 * y * p + 1) / (y**2 + p**2 + 1)))
    loss = losses.FAUTransformerLoss(
        A,
        D,
        class_weight=weight,
        attention_losses=(),
        classifier_losses=("wce", "dice"),
        map_loss=None,
        center_loss=None,
    )
    loss(logits, targets)
    assert list(loss.parts) == ["classifier_wce", "classifier_dice"]
    assert loss.parts["classifier_dice"].item() == pytest.approx(0.33 * dice, rel=1e-7)


def test_composite_runs_on_plain_logits_when_all_else_is_off():
    (logits, _), targets, _ = random_case(11)
    loss = losses.FAUTransformerLoss(
        A, D, attention_losses=(), map_loss=None, center_loss=None
    )
    loss((logits, {}), targets)
    assert list(loss.parts) == ["classifier_wce", "classifier_tversky"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.WeightedBCE([1, NAN]), "one finite weight"),
        (lambda: losses.WeightedBCE(reduction="none"), "'mean' or 'sum'"),
        (lambda: losses.MapLoss("l3"), "distance must be one of"),
        (lambda: losses.MapLoss(target="some"), "target must be one of"),
        (
            lambda: losses.FAUTransformerLoss(A, D, attention_losses=("bce",)),
            "attention_losses may hold 'wce', 'tversky'",
        ),
        (
            lambda: losses.FAUTransformerLoss(A, D, classifier_losses=()),
            "leave the network's own predictions untrained",
        ),
        (lambda: losses.FAUTransformerLoss(A, D, center_loss="x"), "center_loss may"),
        (lambda: losses.CenterLoss(A, D, reduction="none"), "reduction must be one of"),
        (lambda: losses.FAUTransformerLoss(A, D, loss_weights=(1,)), "four numbers"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_inputs_are_refused():
    (logits, aux), targets, _ = random_case(12)
    loss = losses.FAUTransformerLoss(A, D)
    with pytest.raises(ValueError, match=r"needs 'attention_logits'.*logits only"):
        loss(logits, targets)
    with pytest.raises(LabelError, match=r"\(6, 3\).*Got \(6, 2\)"):
        losses.WeightedBCE()(logits, {"labels": targets["labels"][:, :2]})
    with pytest.raises(ValueError, match=r"Got targets with \['labels'\]"):
        losses.MapLoss()((logits, aux), {"labels": targets["labels"]})
    targets["maps"] = targets["maps"][..., :2]
    with pytest.raises(ValueError, match=r"\(6, 3, 4, 4\). Got \(6, 3, 4, 2\)"):
        losses.MapLoss()((logits, aux), targets)
