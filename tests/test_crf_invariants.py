"""What holds for the dense CRF whatever the maps, and what it does with bad input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.nn import DenseCRF, _crf_kernels
from tests.maps import blobs, draw

BACKENDS = ("exact", "attention", "approximate")

every_backend = pytest.mark.parametrize("backend", BACKENDS)
few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**16)
sides = st.integers(1, 12)


def noise(side):
    return 255 * torch.rand(
        1, 3, side, side, generator=torch.Generator().manual_seed(0)
    )


def make(n_maps=2, alpha=5.0, beta=8.0, **parameters):
    return DenseCRF(n_maps, alpha=alpha, beta=beta, **parameters).double()


@every_backend
@few
@given(seed=seeds, h=sides, w=sides)
def test_without_weights_or_iterations_logits_stay(backend, seed, h, w):
    logits, features = draw(2, 2, h, w, seed=seed)
    for idle in (
        {"appearance_weight": 0.0, "smoothness_weight": 0.0},
        {"n_iter": 0},
    ):
        refined = make(backend=backend, **idle)(logits, features)
        torch.testing.assert_close(refined, logits)


@every_backend
@few
@given(seed=seeds, h=sides, w=sides, include_self=st.booleans())
def test_exchanged_labels_exchange_the_maps(backend, seed, h, w, include_self):
    logits, features = draw(2, 2, h, w, seed=seed)
    crf = make(backend=backend, include_self=include_self, n_iter=3)
    torch.testing.assert_close(crf(-logits, features), -crf(logits, features))


@every_backend
@few
@given(seed=seeds, order=st.permutations(range(3)))
def test_the_order_of_maps_does_not_matter(backend, seed, order):
    logits, features = draw(1, 3, 8, 6, seed=seed)
    crf = make(3, backend=backend, n_iter=3)
    one, other = crf(logits, features)[:, order], crf(logits[:, order], features)
    torch.testing.assert_close(one, other)


@every_backend
@few
@given(seed=seeds, axis=st.sampled_from([-1, -2]))
def test_a_mirrored_image_gives_mirrored_maps(backend, seed, axis):
    logits, features = draw(1, 2, 8, 6, seed=seed)
    crf = make(backend=backend, n_iter=3)
    mirrored = crf(logits.flip(axis), features.flip(axis))
    torch.testing.assert_close(mirrored.flip(axis), crf(logits, features))


@every_backend
@few
@given(level=st.floats(-1e3, 1e3), width=st.floats(0.5, 20), include_self=st.booleans())
def test_in_a_plain_image_appearance_is_smoothness(backend, level, width, include_self):
    if backend == "approximate":
        width = 1.0  # Cells of half a pixel: every pixel is a cell of its own.
    logits, features = draw(1, 2, 9, 8)
    plain = torch.full_like(features, level)
    settings = {"include_self": include_self, "backend": backend, "n_iter": 2}
    appearance = make(alpha=width, smoothness_weight=0.0, **settings)
    smoothness = make(
        gamma=width, appearance_weight=0.0, smoothness_weight=5.0, **settings
    )
    one, other = appearance(logits, plain), smoothness(logits, plain)
    # The cells leave out what lies over 3.1 widths away, 0.8 % of a plane.
    tolerance = 0.3 if backend == "approximate" else 1e-7
    torch.testing.assert_close(one, other, atol=tolerance, rtol=1e-7)


@every_backend
@pytest.mark.parametrize("per_map", [True, False])
def test_images_do_not_see_each_other_and_maps_share_only_kernels(backend, per_map):
    logits, features = draw(3, 2, 8, 8, per_map=per_map)
    crf = make(backend=backend, n_iter=3)
    whole = crf(logits, features)
    for i in range(3):
        alone = crf(logits[i : i + 1], features[i : i + 1])
        torch.testing.assert_close(alone[0], whole[i])
    changed = logits.clone()
    changed[:, 0] += 1
    torch.testing.assert_close(crf(changed, features)[:, 1], whole[:, 1])


@every_backend
def test_equal_features_per_map_are_shared_features(backend):
    logits, features = draw(2, 2, 8, 8)
    crf = make(backend=backend, n_iter=3)
    copies = features.unsqueeze(1).repeat(1, 2, 1, 1, 1)
    torch.testing.assert_close(crf(logits, copies), crf(logits, features))


@every_backend
@pytest.mark.parametrize("include_self", [True, False])
def test_a_nan_stays_in_its_map(backend, include_self):
    logits, features = draw(2, 3, 8, 8)
    crf = make(3, backend=backend, include_self=include_self, n_iter=3)
    whole = crf(logits, features)
    logits[1, 2, 4, 4] = torch.nan
    refined = crf(logits, features)
    assert refined[1, 2].isnan().all()
    refined[1, 2] = whole[1, 2]
    torch.testing.assert_close(refined, whole)


@every_backend
def test_bad_features_cost_their_image_and_no_other(backend):
    logits, features = draw(2, 3, 8, 8)
    crf = make(3, backend=backend, n_iter=3)
    whole = crf(logits, features)
    for value in (torch.nan, torch.inf):
        features[1, 0, 2, 2] = value
        refined = crf(logits, features)
        assert refined[1].isnan().all()
        torch.testing.assert_close(refined[0], whole[0])


@every_backend
def test_a_certain_pixel_stays_certain(backend):
    logits, features = draw(1, 2, 8, 8)
    logits[0, 0, 3, 3], logits[0, 1, 5, 5] = torch.inf, -torch.inf
    logits.requires_grad_()
    refined = make(backend=backend, n_iter=3)(logits, features)
    assert refined[0, 0, 3, 3] == torch.inf and refined[0, 1, 5, 5] == -torch.inf
    assert refined.isfinite().sum() == refined.numel() - 2
    finite = refined[refined.isfinite()]
    assert torch.autograd.grad(finite.sum(), logits)[0].isfinite().all()


def test_crowded_grids_get_wider_cells(monkeypatch):
    monkeypatch.setattr(_crf_kernels, "_MAX_CELLS", 10)
    labels = _crf_kernels._grid_cells(torch.rand(500, 20) * 1e4)
    assert labels.unique().tolist() == list(range(labels.max() + 1))
    assert len(labels.unique()) <= 10


@every_backend
def test_half_precision_is_computed_in_float32(backend):
    logits, image = blobs(2, 12), noise(12)
    crf = DenseCRF(2, alpha=5.0, backend=backend, n_iter=3)
    plain = crf(logits, image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = crf(logits, image)
    assert torch.equal(plain, cast) and cast.dtype == torch.float32
    assert crf(logits.bfloat16(), image).dtype == torch.float32


def test_per_map_parameters_lead_with_the_maps_axis():
    crf = DenseCRF(3, appearance_weight=[1, 2, 3])
    shapes = {name: tuple(value.shape) for name, value in crf.state_dict().items()}
    assert shapes == dict.fromkeys(
        ("appearance_weight", "smoothness_weight", "bias"), (3,)
    )
    assert crf.appearance_weight.tolist() == [1, 2, 3]
    assert "beta=(3.0,)" in repr(crf)


def test_exported_graph_takes_any_batch():
    crf = DenseCRF(2, n_iter=2, alpha=5.0).eval()
    logits, images = blobs(6, 12).view(3, 2, 12, 12), noise(12).repeat(3, 1, 1, 1)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        crf, (logits[:2], images[:2]), dynamic_shapes=({0: batch}, {0: batch})
    )
    torch.testing.assert_close(
        program.module()(logits, images), crf(logits, images), atol=1e-3, rtol=1e-3
    )


def test_what_does_not_fit_is_named():
    crf = DenseCRF(2)
    logits, image = blobs(2, 12), noise(12)
    with pytest.raises(ValueError, match=r"\(n, 2, h, w\), one map .* got \(1, 3,"):
        crf(blobs(3, 12), image)
    with pytest.raises(ValueError, match=r"features .* \(1, c, 12, 12\).*Resize"):
        crf(logits, noise(16))
    with pytest.raises(ValueError, match=r"\(1, 2, c, 12, 12\)"):
        crf(logits, image.expand(1, 3, 3, 12, 12))
    with pytest.raises(TypeError, match=r"floating point type, got torch\.uint8"):
        crf(logits.byte(), image)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"n_maps": 0}, "n_maps must be an int of at least 1, got 0"),
        ({"n_iter": -1}, "n_iter must be an int of at least 0, got -1"),
        ({"n_iter": 2.0}, "n_iter must be an int"),
        ({"alpha": 0.0}, "alpha is a width and must be above 0"),
        ({"beta": [3.0, -3.0]}, "beta is a width and must be above 0"),
        ({"gamma": float("nan")}, "gamma must be finite"),
        ({"alpha": [1.0, 2.0, 3.0]}, "alpha must be one number, or one for each of 2"),
        ({"smoothness_weight": float("inf")}, "smoothness_weight must be finite"),
        ({"backend": "fast"}, "backend must be one of .* got 'fast'"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        DenseCRF(**{"n_maps": 2} | parameters)
