"""The dense CRF against its definition, summed over all pairs in float64."""

import pytest
import torch

from skfau.nn import DenseCRF, _crf_kernels
from tests.maps import blobs, draw, face

EXACT = ("exact", "attention")


def pick(values, i):
    return values[i % len(values)]


def brute_force(crf, logits, features):
    """Two labels, a softmax over them, Potts costs, all pairs of pixels."""
    n, m, h, w = logits.shape
    place = torch.cartesian_prod(torch.arange(h), torch.arange(w)).double()
    far = (place.unsqueeze(1) - place).square().sum(2)
    out = torch.empty(n, m, h, w, dtype=torch.double)
    for i in range(n):
        for k in range(m):
            colour = features[i] if features.ndim == 4 else features[i, k]
            colour = colour.double().flatten(1).t()
            unlike = (colour.unsqueeze(1) - colour).square().sum(2)
            kernels = [
                far / pick(crf.alpha, k) ** 2 + unlike / pick(crf.beta, k) ** 2,
                far / pick(crf.gamma, k) ** 2,
            ]
            kernels = [(-kernel / 2).exp() for kernel in kernels]
            if not crf.include_self:
                kernels = [kernel.fill_diagonal_(0) for kernel in kernels]
            weights = crf.appearance_weight[k], crf.smoothness_weight[k]
            pairs = sum(
                weight.item() * kernel / kernel.sum(1, keepdim=True).clamp(min=1e-3)
                for weight, kernel in zip(weights, kernels, strict=True)
            )
            unary = logits[i, k].double().flatten() / 2
            unary = torch.stack([unary, -unary])
            tilt = torch.tensor([[1.0], [-1.0]]).double() * crf.bias[k].item() / 2
            q = unary.softmax(0)
            for _ in range(crf.n_iter):
                # A label costs what its neighbours of the other label weigh.
                q = (unary + tilt - q.flip(0) @ pairs.t()).softmax(0)
            out[i, k] = q[0].view(h, w)
    return out


# Points are sorted into blocks of about 100.
one_block_or_several = pytest.mark.parametrize(
    "size", [(7, 9), (20, 21)], ids=["one block", "blocks"]
)


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("per_map", [True, False])
@one_block_or_several
def test_exact_backends_are_the_definition(backend, include_self, per_map, size):
    widths = {"alpha": 4.0, "beta": 5.0, "gamma": 2.0}
    if not per_map:
        widths = {
            "alpha": [3.0, 4.0, 9.0],
            "beta": [4.0, 5.0, 9.0],
            "gamma": [1.0, 2.0, 3.0],
        }
    crf = DenseCRF(3, backend=backend, include_self=include_self, n_iter=4, **widths)
    with torch.no_grad():
        crf.bias.copy_(torch.tensor([0.0, 0.5, -0.5]))
        crf.appearance_weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
    logits, features = draw(2, 3, *size, per_map=per_map)
    refined = crf.double()(logits, features).sigmoid()
    torch.testing.assert_close(
        refined, brute_force(crf, logits, features), atol=1e-9, rtol=0
    )


def test_a_face_at_44_pixels_is_exact_in_float32():
    crf, logits, image = DenseCRF(4, alpha=40.0), blobs(4, 44), face(44)
    with torch.no_grad():
        refined = crf(logits, image).sigmoid()
    truth = brute_force(crf, logits, image)
    assert (refined - truth).abs().max() < 1e-5
    assert ((truth > 0.5) != (logits > 0)).any()


def test_a_face_at_176_pixels_is_exact_without_a_stored_kernel():
    """One iteration, checked at a few pixels against sums over all others."""
    crf, logits, image = (
        DenseCRF(2, n_iter=1, backend="exact"),
        blobs(2, 176),
        face(176),
    )
    with torch.no_grad():
        refined = crf(logits, image).sigmoid().flatten(2)
    place = torch.cartesian_prod(torch.arange(176), torch.arange(176)).double()
    colour, signs = image[0].double().flatten(1).t(), (logits[0].double() / 2).tanh()
    for pixel in range(0, 176**2, 1999):
        far = (place - place[pixel]).square().sum(1)
        unlike = (colour - colour[pixel]).square().sum(1)
        expected = logits[0, :, pixel // 176, pixel % 176].double()
        for weight, exponent in (
            (5, far / 160**2 + unlike / 3**2),
            (3, far / 3**2),
        ):
            kernel = (-exponent / 2).exp()
            expected = expected + weight * signs.flatten(1) @ kernel / kernel.sum()
        assert (refined[0, :, pixel] - expected.sigmoid()).abs().max() < 1e-5


def test_approximation_stays_close_on_a_face():
    """Looser than the docstring's figures, which are means over many faces."""
    logits, image = blobs(4, 88), face(88)
    with torch.no_grad():
        exact, approximate = (
            DenseCRF(4, alpha=80.0, backend=backend)(logits, image).sigmoid()
            for backend in ("exact", "approximate")
        )
    gap = (exact - approximate).abs()
    assert 0 < gap.mean() < 0.005
    assert ((exact > 0.5) != (approximate > 0.5)).float().mean() < 0.005


def test_auto_is_exact_for_small_maps_and_approximate_for_large_ones():
    for side, backend in ((44, "exact"), (88, "approximate")):
        logits, image = blobs(1, side), face(side)
        with torch.no_grad():
            auto, named = (
                DenseCRF(1, n_iter=1, backend=b)(logits, image)
                for b in ("auto", backend)
            )
        assert torch.equal(auto, named)


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("per_map", [True, False])
def test_gradients_of_exact_backends(backend, include_self, per_map):
    logits, features = draw(1, 2, 4, 4, 2, per_map=per_map)
    crf = DenseCRF(
        2,
        n_iter=2,
        alpha=3.0,
        beta=9.0,
        gamma=[1.0, 2.0],
        appearance_weight=0.7,
        smoothness_weight=0.4,
        include_self=include_self,
        backend=backend,
    ).double()
    weights = dict(crf.named_parameters())

    def refine(logits, features, *values):
        given = dict(zip(weights, values, strict=True))
        return torch.func.functional_call(crf, given, (logits, features))

    inputs = (logits.requires_grad_(), features.requires_grad_(), *weights.values())
    assert torch.autograd.gradcheck(refine, inputs)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("per_map", [True, False])
def test_gradients_over_several_blocks_are_those_of_automatic_differentiation(
    include_self, per_map
):
    inputs = [x.requires_grad_() for x in draw(2, 2, 20, 21, per_map=per_map)]
    results = []
    for backend in EXACT:
        crf = DenseCRF(
            2, n_iter=3, alpha=4.0, beta=5.0, include_self=include_self, backend=backend
        ).double()
        out = crf(*inputs)
        parts = [*inputs, *crf.parameters()]
        results.append([out, *torch.autograd.grad(out.square().sum(), parts)])
    for ours, automatic in zip(*results, strict=True):
        torch.testing.assert_close(ours, automatic, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("size", [(4, 5), (18, 17)], ids=["one block", "blocks"])
def test_approximation_has_its_own_gradient_at_fixed_cells(include_self, size):
    # A small step changes neither the cells nor the pairs of cells that are kept.
    logits, features = draw(1, 2, *size, 2)
    crf = DenseCRF(
        2,
        n_iter=2,
        alpha=3.0,
        beta=9.0,
        appearance_weight=0.7,
        include_self=include_self,
        backend="approximate",
    ).double()
    inputs = logits.requires_grad_(), features.requires_grad_()
    assert torch.autograd.gradcheck(crf, inputs, fast_mode=size != (4, 5))


def test_one_pass_over_recomputed_blocks_gives_the_same_gradient(monkeypatch):
    logits, features = draw(1, 2, 12, 12)
    crf = DenseCRF(2, backend="exact", alpha=5.0, beta=8.0).double()
    results = []
    for stored in (2**25, 0):
        monkeypatch.setattr(_crf_kernels, "_MAX_STORED", stored)
        inputs = logits.clone().requires_grad_(), features.clone().requires_grad_()
        out = crf(*inputs)
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    for kept, computed in zip(*results, strict=True):
        torch.testing.assert_close(kept, computed)
