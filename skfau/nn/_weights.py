"""Initial weights of image backbones: random ones and checkpoint files."""

import hashlib
import math
import pickle
import zipfile
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

#: Mean of each channel (RGB in [0, 1]) by which every backbone's input is normalised.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
#: Standard deviation of each channel, likewise.
IMAGENET_STD = (0.229, 0.224, 0.225)

# The suffix is the start of the file's SHA-256; torch.hub checks it on download.
_IMAGENET_FILES = {
    "efficientnet_b0": "efficientnet_b0_rwightman-7f5810bc.pth",
    "inception_v3": "inception_v3_google-0cc3c7bd.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
}
# In the folder ``_trained``, each with the start of its SHA-256.
_RENDERED_FILES = {
    "fan": ("fan-rendered-1.safetensors", "5947ab5562355d18"),
    "tiny": ("tiny-rendered-1.safetensors", "3827addaa3b0ab54"),
}
_IMAGENET_SITE = "https://download.pytorch.org/models/"


def init_kaiming_(module):
    """Draw convolution weights from Kaiming's normal distribution (fan out), in place.

    The fan counts the channels that one input channel reaches, so depthwise filters
    start at the scale of all others; torchvision counts all channels there and starts
    them far smaller, and gives Inception-v3 a standard deviation of 0.1. In training
    this hardly matters, because batch normalisation removes the scale. In evaluation
    the scales of all layers multiply until the running statistics have settled.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.weight[:, 0].numel() / layer.groups
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def load_weights(backbone, name, weights):
    """Fill a named backbone from a published or shipped file, or from one on disk.

    Parameters
    ----------
    backbone : nn.Module
        The backbone as built by its family, with the attribute `unused_entries`:
        prefixes of checkpoint entries that belong to layers it does not have
        (those after the cut and the classifier), which are ignored. If its entries are
        not named as torchvision's, its attribute `entry_names` says how.
    name : str
        The backbone's name; picks the published file and appears in messages.
    weights : {"imagenet", "rendered"} or path-like
        What to load.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        See `make_backbone`.
    """
    if weights == "imagenet":
        state = _fetch_imagenet(name)
        source = f"The ImageNet file {_IMAGENET_FILES[name]!r}"
    elif weights == "rendered":
        state = _read_rendered(name)
        source = f"The shipped file {_RENDERED_FILES[name][0]!r}"
    else:
        state = read_checkpoint(weights)
        source = f"The checkpoint {str(weights)!r}"
    entries = _check_entries(backbone, name, state, source)
    # Not strict, because old checkpoints lack the batch counters of batch norm.
    backbone.load_state_dict(entries, strict=False)


def _fetch_imagenet(name):
    """Return the published state dict of a backbone, downloaded once per machine."""
    if name not in _IMAGENET_FILES:
        raise ValueError(
            f"No ImageNet weights are published for backbone {name!r}; they exist "
            f"for {', '.join(map(repr, sorted(_IMAGENET_FILES)))}. Pass weights=None "
            "or the path of a checkpoint."
        )
    file_name = _IMAGENET_FILES[name]
    url = _IMAGENET_SITE + file_name
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise OSError(
            f"The ImageNet weights of {name!r} could not be fetched: "
            f"{_first_line(error)}. Without a network, download {url} on another "
            f"machine and pass its path, weights='.../{file_name}'. If the fault is "
            f"in the copy kept under {torch.hub.get_dir()!r}, delete that copy."
        ) from error


def _read_rendered(name):
    """Return the shipped state dict of a backbone."""
    if name not in _RENDERED_FILES:
        raise ValueError(
            f"No weights of rendered faces are shipped for backbone {name!r}; they "
            f"exist for {', '.join(map(repr, sorted(_RENDERED_FILES)))}. Pass "
            "weights=None or the path of a checkpoint."
        )
    file_name, digest = _RENDERED_FILES[name]
    with as_file(files("skfau.nn") / "_trained" / file_name) as path:
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest):
            raise ValueError(
                f"The shipped file {str(path)!r} is damaged; install skfau again."
            )
        return read_checkpoint(path)


def read_checkpoint(path):
    """Read a state dict of plain tensors; a file that needs code to run is refused.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file, or a file written by ``torch.save``.

    Returns
    -------
    state : dict of str to tensor
        On the CPU. The caller checks that it is such a dict: `check_state_dict`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds pickled Python code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            "Weights must be None, 'imagenet', 'rendered' or the path of a checkpoint "
            "file (of a face alignment network 'rendered' or a path). Got "
            f"{str(path)!r}, where there is no file."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_parts(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:
        # Damage leads unpicklers to errors of any type.
        raise ValueError(
            f"The checkpoint {str(path)!r} is damaged or holds pickled Python code, "
            "and was refused; none of its code was run. A state dict of plain tensors "
            "is expected: write one with torch.save(model.state_dict(), path) or "
            f"safetensors. The reader said: {_first_line(error)}"
        ) from error


def _check_parts(path):
    """Raise ValueError if a part of a file by ``torch.save`` has another checksum.

    torch itself does not compare them. Files of its oldest format have none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged} is another")


def check_state_dict(state, source):
    """Raise ValueError if what a file, named `source`, held is not names to tensors."""
    plain = isinstance(state, dict) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in state.items()
    )
    if not plain:
        content = f" with {_first_names(state)}" if isinstance(state, dict) else ""
        raise ValueError(
            f"{source} must be a dict of entry names to tensors. Got a "
            f"{type(state).__name__}{content}; save the network's state dict itself "
            "in a file of its own."
        )


def _check_entries(backbone, name, state, source):
    """Return the entries of `state` that belong to `backbone`, all of them checked."""
    check_state_dict(state, source)
    own = backbone.state_dict()
    given = {
        k: v for k, v in state.items() if not k.startswith(backbone.unused_entries)
    }
    missing = [
        key for key in own.keys() - given.keys() if "num_batches_tracked" not in key
    ]
    reshaped = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own.keys() & given.keys()
        if own[key].shape != given[key].shape
    ]
    faults = {
        "missing": missing,
        "of another shape": reshaped,
        "unknown": list(given.keys() - own.keys()),
    }
    if any(faults.values()):
        found = "; ".join(
            f"{len(keys)} {fault}: {_first_names(keys)}"
            for fault, keys in faults.items()
            if keys
        )
        names = getattr(backbone, "entry_names", "torchvision's entry names")
        raise ValueError(
            f"{source} does not fit backbone {name!r}. Entries {found}. Pass a "
            f"checkpoint of {name!r} with {names}."
        )
    return given


def _first_names(keys, n_shown=3):
    """Name the first few keys in sorted order."""
    shown = ", ".join(sorted(map(str, keys))[:n_shown])
    return shown + ", ..." if len(keys) > n_shown else shown


def _first_line(error):
    return (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")
