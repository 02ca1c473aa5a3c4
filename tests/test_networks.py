"""What every network of `skfau.nn` promises; a new one is found by its export."""

import inspect

import pytest
import torch

from tests.networks import NETWORKS, draw_inputs, make_small, split

every_network = pytest.mark.parametrize("cls", NETWORKS, ids=lambda c: c.__name__)


@every_network
def test_number_of_aus_comes_first_and_the_rest_has_defaults(cls):
    first, *others = inspect.signature(cls).parameters.values()
    assert first.name == "n_aus"
    assert all(p.default is not inspect.Parameter.empty for p in others)


@every_network
@pytest.mark.parametrize("n_aus", [1, 3])
def test_logits_have_a_column_per_au_and_are_finite(cls, n_aus):
    network = make_small(cls, n_aus)
    for training in (True, False):
        network.train(training)
        logits, aux = split(network(**draw_inputs(network, 2)))
        assert logits.shape == (2, n_aus)
        for value in (logits, *aux.values()):
            assert value.isfinite().all()
            assert len(value) == 2


@every_network
def test_a_blank_image_gives_finite_logits(cls):
    network = make_small(cls).eval()
    inputs = {k: torch.zeros_like(v) for k, v in draw_inputs(network, 1).items()}
    assert split(network(**inputs))[0].isfinite().all()


@every_network
def test_gradient_reaches_every_parameter(cls):
    network = make_small(cls)
    logits, aux = split(network(**draw_inputs(network, 4)))
    floats = [v for v in (logits, *aux.values()) if v.requires_grad]
    rng = torch.Generator().manual_seed(0)
    sum((v * torch.randn(v.shape, generator=rng)).sum() for v in floats).backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@every_network
def test_evaluation_is_repeatable_and_changes_nothing(cls):
    network = make_small(cls).eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    inputs = draw_inputs(network, 3)
    first, second = (split(network(**inputs))[0] for _ in range(2))
    assert torch.equal(first, second)
    for name, entry in network.state_dict().items():
        assert torch.equal(entry, before[name]), name


@every_network
def test_an_image_does_not_see_the_rest_of_its_batch(cls):
    network = make_small(cls).eval()
    inputs = draw_inputs(network, 3)
    together = split(network(**inputs))[0]
    for row in range(3):
        alone = network(**{k: v[row : row + 1] for k, v in inputs.items()})
        torch.testing.assert_close(
            split(alone)[0][0], together[row], atol=1e-4, rtol=1e-4
        )


@every_network
def test_the_same_seed_gives_the_same_weights(cls):
    states = [make_small(cls, seed=seed).state_dict() for seed in (0, 0, 1)]
    for name, entry in states[0].items():
        assert torch.equal(entry, states[1][name]), name
    assert any(not torch.equal(e, states[2][name]) for name, e in states[0].items())


@every_network
def test_au_axes_name_every_axis_that_grows_with_the_number_of_aus(cls):
    two, four = (make_small(cls, n_aus) for n_aus in (2, 4))
    axes, bigger = two.au_axes(), four.state_dict()
    assert axes == four.au_axes()
    for name, entry in two.state_dict().items():
        sizes = enumerate(zip(entry.shape, bigger[name].shape, strict=True))
        doubled = tuple(axis for axis, (size, grown) in sizes if grown == 2 * size)
        assert axes.get(name, ()) == doubled, name


@every_network
def test_exported_graph_takes_any_batch(cls):
    network = make_small(cls).eval()
    inputs = draw_inputs(network, 2)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        network, (), inputs, dynamic_shapes={name: {0: batch} for name in inputs}
    )
    for n in (1, 5):
        new = draw_inputs(network, n, seed=9)
        ours, theirs = (split(f(**new))[0] for f in (program.module(), network))
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
