"""DRML: its region layer patch by patch, sizes, loss and schedule."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skfau import DRMLClassifier
from skfau.nn import DRML
from tests.networks import draw_images, stirred
from tests.small import make_small


def make_network(**parameters):
    torch.manual_seed(0)
    return DRML(3, **{"channels": 2, "image_size": 66} | parameters)


def test_numbers_of_parameters_are_those_of_the_released_network():
    sizes = {
        "first": 11 * 11 * 3 * 32 + 32,
        "region": 64 * (9 * 32 * 32 + 32),
        "features": (64 * 32 + 1) * 16 + (64 + 36 + 25) * 256 + 48,
        "classifier": (16 * 27 * 27 + 1) * 4096 + 4097 * 2048 + 2049 * 12,
    }
    network = DRML(12)
    for name, expected in sizes.items():
        part = getattr(network, name)
        assert sum(p.numel() for p in part.parameters()) == expected, name


@pytest.mark.parametrize("training", [False, True])
def test_region_layer_equals_a_loop_over_patches(training):
    network = stirred(make_network()).double().train(training)
    region = network.region
    maps = torch.randn(2, 4, 56, 56, dtype=torch.float64)
    mean, var = region.norm.running_mean.clone(), region.norm.running_var.clone()
    with torch.no_grad():
        got = region(maps)
        expected = torch.empty_like(maps)
        for row in range(8):
            for column in range(8):
                place = 8 * row + column
                own = slice(4 * place, 4 * place + 4)
                rows = slice(7 * row, 7 * row + 7)
                at = (..., rows, slice(7 * column, 7 * column + 7))
                patch = maps[at]
                statistics = mean[own].clone(), var[own].clone()
                patch = F.batch_norm(patch, *statistics, training=training).relu()
                filters = region.conv.weight[own], region.conv.bias[own]
                expected[at] = F.conv2d(patch, *filters, padding=1)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)


def test_the_network_is_what_the_released_one_says():
    network = stirred(make_network()).double().eval()
    images = draw_images(2, 66).double()
    with torch.no_grad():
        maps = F.conv2d(images, network.first.weight, network.first.bias)
        maps = (maps + network.region(maps)).relu()
        maps = F.local_response_norm(F.max_pool2d(maps, 2), 5, 1e-4, 0.75, 1.0)
        for place, stride in ((3, 1), (5, 1), (7, 2), (9, 1)):
            layer = network.features[place]
            maps = F.conv2d(maps, layer.weight, layer.bias, stride).relu()
        assert maps.shape == (2, 2, 1, 1)
        values = maps.flatten(1)
        for place in (1, 4):
            layer = network.classifier[place]
            values = F.linear(values, layer.weight, layer.bias).relu()
        expected = F.linear(
            values, network.classifier[7].weight, network.classifier[7].bias
        )
        torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize(("size", "side"), [(66, 1), (74, 3), (170, 27)])
def test_sizes(size, side):
    network = make_network(image_size=size, channels=1)
    assert network.classifier[1].in_features == side**2
    assert network(torch.zeros(1, 3, size, size)).shape == (1, 3)


@pytest.mark.parametrize("size", [58, 65, 72, 171, 10])
def test_images_that_cannot_be_cut_are_refused(size):
    with pytest.raises(ValueError, match=rf"must be 66, 74, 82 .* Got {size}"):
        make_network(image_size=size)


def test_other_images_are_refused():
    with pytest.raises(ValueError, match=r"66x66 px. Got 74x66; resize"):
        make_network()(torch.zeros(1, 3, 74, 66))


def test_without_region_layer_nothing_of_it_is_left():
    names = make_network(region_layer=False).state_dict()
    assert not any("region" in name for name in names)
    assert make_network(region_layer=False)(draw_images(1, 66)).shape == (1, 3)


def test_it_steps_as_released_and_sums_the_loss_over_aus(made):
    clf = make_small(
        DRMLClassifier, lr=0.002, lr_decay=0.1, lr_decay_epochs=1, max_epochs=2
    )
    clf.fit(made.data[::8], made.target[::8])
    (group,) = clf.net_.optimizer_.param_groups
    assert group["lr"] == pytest.approx(0.0002)
    assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)
    logits = torch.zeros(4, 12)
    labels = torch.tensor(made.target[:4])
    loss = clf.net_.criterion_(logits, {"labels": labels})
    assert loss.item() == pytest.approx(12 * np.log(2), rel=1e-5)
    labels[:, 1:] = torch.nan
    loss = clf.net_.criterion_(logits, {"labels": labels})
    assert loss.item() == pytest.approx(np.log(2), rel=1e-5)
