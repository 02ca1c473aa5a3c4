"""The face alignment network: sizes and names as published, layers against loops."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skfau.losses import LandmarkMapLoss
from skfau.nn import FAN, IMAGENET_MEAN, IMAGENET_STD
from tests.networks import draw_images, stirred

NAN = float("nan")


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return stirred(FAN(width=16)).eval()


@pytest.fixture(scope="module")
def published():
    return FAN().eval()


def test_it_has_the_published_number_of_parameters(published):
    assert n_parameters(published) == 12_106_504
    blocks = list(published.m0.children())
    assert [n_parameters(block) for block in blocks] == 13 * [406_400]


def test_entries_are_named_as_published(published):
    shapes = {k: tuple(v.shape) for k, v in published.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7) and shapes["conv1.bias"] == (64,)
    assert shapes["conv2.downsample.2.weight"] == (128, 64, 1, 1)
    assert "conv3.downsample.2.weight" not in shapes
    assert shapes["m1.b2_plus_1.conv3.weight"] == (64, 64, 3, 3)
    assert shapes["l1.weight"] == (68, 256, 1, 1)
    assert shapes["al0.weight"] == (256, 68, 1, 1)
    tops = {name.split(".")[0] for name in shapes}
    stacks = {
        f"{n}{k}" for n in ("m", "top_m_", "conv_last", "bn_end", "l") for k in (0, 1)
    }
    assert tops == {"conv1", "bn1", "conv2", "conv3", "conv4", "bl0", "al0"} | stacks


def test_maps_are_a_quarter_of_the_image(published):
    with torch.inference_mode():
        images = torch.zeros(1, 3, 256, 256)
        assert published.features(images).shape == (1, 768, 64, 64)
    assert published.out_channels == 768


def conv(maps, weight):
    """Correlate (c, h, w) with (o, c, k, k) by loops over the filter's cells."""
    k = weight.shape[-1]
    padded = np.pad(maps, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    out = np.zeros((len(weight), *maps.shape[1:]))
    for i in range(k):
        for j in range(k):
            window = padded[:, i : i + maps.shape[1], j : j + maps.shape[2]]
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j], window)
    return out


@pytest.mark.parametrize(("name", "channels"), [("conv3", 8), ("conv2", 4)])
def test_block_is_what_loops_make_of_it(small, name, channels):
    block = copy.deepcopy(getattr(small, name)).double()
    maps = torch.randn(1, channels, 5, 4, dtype=torch.float64)
    state = {k: v.numpy() for k, v in block.state_dict().items()}

    def norm_relu(x, name):
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scale = state[f"{name}.weight"] / np.sqrt(var + 1e-5)
        x = (x - mean[:, None, None]) * scale[:, None, None]
        return np.maximum(x + state[f"{name}.bias"][:, None, None], 0)

    x = maps[0].numpy()
    half = conv(norm_relu(x, "bn1"), state["conv1.weight"])
    quarter = conv(norm_relu(half, "bn2"), state["conv2.weight"])
    last = conv(norm_relu(quarter, "bn3"), state["conv3.weight"])
    if block.downsample is not None:
        x = conv(norm_relu(x, "downsample.0"), state["downsample.2.weight"])
    expected = np.concatenate([half, quarter, last]) + x
    np.testing.assert_allclose(block(maps)[0].detach(), expected, atol=1e-12)


def test_hourglass_is_four_levels_written_out(small):
    glass = copy.deepcopy(small.m0).double()
    maps = torch.randn(2, 16, 16, 16, dtype=torch.float64)
    beside, x = {}, maps
    for level in (4, 3, 2, 1):
        beside[level] = getattr(glass, f"b1_{level}")(x)
        x = getattr(glass, f"b2_{level}")(F.max_pool2d(x, 2, 2))
    x = glass.b2_plus_1(x)
    for level in (1, 2, 3, 4):
        x = getattr(glass, f"b3_{level}")(x).repeat_interleave(2, 2)
        x = beside[level] + x.repeat_interleave(2, 3)
    torch.testing.assert_close(glass(maps), x)


def test_features_weigh_hourglasses_by_the_last_heatmaps(small):
    taken = {}
    hooks = [
        getattr(small, name).register_forward_hook(
            lambda module, inputs, output, name=name: taken.__setitem__(name, output)
        )
        for name in ("conv4", "bl0", "bn_end1", "l1")
    ]
    with torch.no_grad():
        features = small.features(draw_images(2, 64))
    for hook in hooks:
        hook.remove()
    attention = taken["l1"].sum(dim=1, keepdim=True)
    parts = (
        taken["conv4"],
        attention * taken["bl0"],
        attention * taken["bn_end1"].relu(),
    )
    torch.testing.assert_close(features, torch.cat(parts, dim=1))


def test_it_turns_normalised_images_back_into_plain_ones(small):
    plain = torch.rand(1, 3, 32, 32)
    mean, std = (
        torch.tensor(x).view(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD)
    )
    seen = []
    hook = small.conv1.register_forward_pre_hook(
        lambda m, inputs: seen.append(inputs[0])
    )
    with torch.no_grad():
        small((plain - mean) / std)
    hook.remove()
    torch.testing.assert_close(seen[0], plain)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(17, 50), width=st.integers(17, 50))
def test_images_of_any_size_go_through(small, height, width):
    with torch.inference_mode():
        maps = small(torch.zeros(1, 3, height, width))
    assert maps.shape[:3] == (1, 2, 68) and maps.isfinite().all()


def test_a_file_of_weights_is_read_by_name(small, tmp_path):
    torch.save(small.state_dict(), tmp_path / "2dfan2.pth")
    again = FAN(tmp_path / "2dfan2.pth", width=16).eval()
    images = draw_images(1, 48)
    assert torch.equal(again(images), small(images))


def test_weights_of_another_network_are_refused(small, tmp_path):
    torch.save(small.state_dict(), tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"of another shape.*published '2dfan2'"):
        FAN(tmp_path / "x.pth", width=32)
    with pytest.raises(ValueError, match="unknown: al0"):
        FAN(tmp_path / "x.pth", width=16, n_stacks=1)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        FAN(tmp_path / "nothing.pth")
    with pytest.raises(ValueError, match=r"multiple of 16. Got 24"):
        FAN(width=24)


def test_norm_of_one_value_uses_the_running_statistics(small):
    norm = copy.deepcopy(small.bn1)
    one = torch.randn(1, 4)
    before = norm.running_mean.clone()
    expected = norm.eval()(one)
    torch.testing.assert_close(norm.train()(one), expected)
    assert torch.equal(norm.running_mean, before)
    like = nn.BatchNorm1d(4)
    like.load_state_dict(norm.state_dict())
    two = torch.randn(2, 4)
    torch.testing.assert_close(norm(two), like(two))


def test_landmark_loss_is_the_mean_squared_error_to_gaussians():
    landmarks = torch.tensor([[[8.0, 3.0], [NAN, NAN], [40.0, 3.0], [0.0, 15.0]]])
    outputs = torch.randn(1, 2, 4, 4, 4)
    total = 0
    for point in (0, 3):  # one unknown, one outside of the image
        x, y = ((landmarks[0, point] + 0.5) / 4 - 0.5).tolist()
        for stack in range(2):
            for i in range(4):
                for j in range(4):
                    height = np.exp(-((j - x) ** 2 + (i - y) ** 2) / 2)
                    total += (outputs[0, stack, point, i, j].item() - height) ** 2
    loss = LandmarkMapLoss(image_size=16)
    got = loss(outputs, {"landmarks": landmarks})
    assert got.item() == pytest.approx(total / (2 * 16 * 2), rel=1e-5)


def test_landmark_loss_of_unknown_landmarks_is_nothing():
    outputs = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    landmarks = torch.full((1, 4, 2), NAN)
    loss = LandmarkMapLoss(image_size=16)(outputs, {"landmarks": landmarks})
    loss.backward()
    assert loss == 0 and not outputs.grad.any()
