"""Every public network, found by itself, small; images and other helpers."""

import inspect

import torch
from torch import nn

import skfau.nn

SMALL = {
    "backbone": "tiny",
    "embedding_dim": 16,
    "channels": 1,
    "crf_iterations": 2,
    "crf_scale": 1,
    "hidden_dim": 48,
    "feed_forward_dim": 64,
    "n_heads": 4,
    "encoder_layers": 2,
    "image_size": 48,
}
SIZE = 48
# What a network is small with in place of, or beside, `SMALL`.
OWN = {
    "AUNet": {"backbone": "fan", "fan_width": 16, "fan_stacks": 1},
    "DRML": {"image_size": 66, "channels": 2},
    "EACNet": {"channels": 2, "embedding_dim": 8},
}
# Public layers, which are no networks of their own.
LAYERS = {skfau.nn.DenseCRF, skfau.nn.FAN, skfau.nn.LabelVAE}
NETWORKS = [
    cls
    for name in skfau.nn.__all__
    if inspect.isclass(cls := getattr(skfau.nn, name))
    and issubclass(cls, nn.Module)
    and cls not in LAYERS
]


def make_small(cls, n_aus=3, seed=0, **parameters):
    """Return a network with `SMALL` and `parameters`, as far as it has them."""
    known = inspect.signature(cls).parameters
    small = {name: value for name, value in SMALL.items() if name in known}
    torch.manual_seed(seed)
    return cls(n_aus, **small | OWN.get(cls.__name__, {}) | parameters)


def small_backbone(channels=16):
    """Return a backbone of one layer."""
    backbone = nn.Sequential(
        nn.Conv2d(3, channels, 3, 4, 1), nn.BatchNorm2d(channels), nn.ReLU()
    )
    backbone.out_channels = channels
    return backbone


def draw_images(n=3, size=24, seed=0):
    """Return noise of shape (n, 3, size, size)."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, size, size, generator=rng)


def draw_landmarks(n, size, seed=0):
    """Return points of shape (n, 68, 2) anywhere in images of this side."""
    rng = torch.Generator().manual_seed(seed)
    return size * torch.rand(n, 68, 2, generator=rng)


def draw_inputs(network, n, seed=0):
    """Return images, and landmarks, for the inputs of the network's forward."""
    size = OWN.get(type(network).__name__, {}).get("image_size", SIZE)
    return {
        name: draw_landmarks(n, size, seed)
        if name == "landmarks"
        else draw_images(n, size, seed + place)
        for place, (name, parameter) in enumerate(
            inspect.signature(network.forward).parameters.items()
        )
        if parameter.default is inspect.Parameter.empty
        or name in {"previous", "following"}
    }


def split(outputs):
    """Return logits and aux of either kind of output."""
    return (outputs, {}) if isinstance(outputs, torch.Tensor) else outputs


def stirred(module, seed=0):
    """Give a module parameters and statistics that are nowhere 0 or 1."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for entry in module.state_dict().values():
            if entry.is_floating_point():
                entry += 0.1 * torch.rand(entry.shape, generator=rng)
    return module
