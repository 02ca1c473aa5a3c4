"""Save fitted classifiers in one file each, and copy weights from one to another."""

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from skfau import __version__
from skfau._files import reading, write_atomically
from skfau._subjects import train_subjects
from skfau._unwrap import find_having
from skfau._warn import warn
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._bounds import check_shapes, read_labels
from skfau.estimators._callbacks import load_history
from skfau.exceptions import LabelError
from skfau.nn import transfer_state

FORMAT = 1
# What `reading` says of a file that is something else.
KIND = (
    "cannot be read as a classifier saved by skfau",
    "Expected a file written by the save method or by skfau.save; copy it again.",
    ValueError,
)


def write_file(path, header, state):
    """Write a header and arrays by name, so that a reader sees a whole file or none."""
    header = {"skfau_format": FORMAT, "skfau_version": __version__, **header}
    header = json.loads(json.dumps(header, default=_plain))
    # One entry, as safetensors writes several in any order.
    text = json.dumps({**header, "sha256": _digest(header, state)})
    with write_atomically(path) as file:
        file.write(save(state, {"skfau": text}))


def _digest(header, state):
    digest = hashlib.sha256(json.dumps(header).encode())
    for name in sorted(state):
        array = state[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def to_json(parameters):
    """Return parameters by name as the header of a file holds them."""
    return {name: _to_json(name, value) for name, value in parameters.items()}


@contextlib.contextmanager
def opened(path, class_name):
    """Yield parameters, header and arrays of a class's file; see `reading`."""
    header, state = read_file(path)
    with reading(path, *KIND):
        check_class(path, header["class"], class_name)
        yield from_json(header["parameters"]), header | {"file": str(path)}, state


def fill(net, header, state):
    """Put what a file holds into a net that was made for it."""
    check_shapes(net.module_.network, state)
    load_state(net.module_.network, state)
    load_loss(net, from_lists(header))
    load_history(net.history, header["history"])
    net.loaded_from = header.get("file", "the file of this classifier")


def load_state(network, state):
    """Load arrays into a network by their names.

    Raises
    ------
    ValueError
        If the network has other entries, or of other shapes.
    """
    own = {name: tuple(entry.shape) for name, entry in network.state_dict().items()}
    given = {name: tuple(array.shape) for name, array in state.items()}
    differ = sorted(name for name, _ in own.items() ^ given.items())
    if differ:
        raise ValueError(
            f"The weights of the fit before do not fit the network: {differ[0]} was "
            f"{given.get(differ[0], 'absent')} and is {own.get(differ[0], 'absent')}. "
            "Set the parameters back, or fit afresh, without warm_start."
        )
    network.load_state_dict({k: torch.as_tensor(array) for k, array in state.items()})


def loss_state(net):
    """Return what a net's loss knows of each AU (centres), as arrays by name."""
    axes = getattr(net.criterion_, "au_axes", dict)()
    state = net.criterion_.state_dict()
    return {name: state[name].cpu().numpy() for name in axes}


def load_loss(net, state):
    """Put arrays of `loss_state` into a loss, as far as it has them in that shape."""
    own = net.criterion_.state_dict()
    given = {
        name: torch.as_tensor(array).to(own[name])
        for name, array in state.items()
        if name in own
    }
    given = {k: v for k, v in given.items() if v.shape == own[k].shape}
    net.criterion_.load_state_dict(own | given)


def to_arrays(state):
    """Return a state with an array in the place of each tensor."""
    return _map(state, torch.Tensor, lambda tensor: tensor.detach().cpu().numpy())


def to_tensors(state):
    """Return a state of `to_arrays` with its tensors."""
    return _map(state, np.ndarray, torch.tensor)


def _map(state, kind, function):
    if isinstance(state, dict):
        return {key: _map(value, kind, function) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_map(value, kind, function) for value in state)
    return function(state) if isinstance(state, kind) else state


def read_kept(kept):
    """Return the net of a pickle in today's form; older ones held no optimiser."""
    if kept is None or "training" in kept:
        return kept
    training = {
        "module": {f"network.{name}": each for name, each in kept["state"].items()},
        "criterion": kept["loss"],
        "optimizer": None,
        "history": kept["history"],
        "callbacks": {},
    }
    return {
        "remade": (kept["buffers"], kept["seed"]),
        "training": training,
        "loaded_from": "a pickle of an older version",
    }


def warn_without_optimizer(net):
    """Warn, once, that training goes on from a file that holds no optimiser."""
    if net.loaded_from is not None:
        warn(
            f"{net.loaded_from} holds no optimiser, so that partial_fit begins with a "
            "new one and its first steps are others than those of the classifier that "
            "was saved. Keep a pickle of a classifier that is to go on as if it had "
            "never stopped."
        )
        net.loaded_from = None


def check_same_shapes(fitted, described, changed):
    """Raise if the parameters describe a network of other shapes than the fitted one.

    `changed` holds the parameters that were set since, with their values in the fit.
    """
    fitted, described = (
        {k: v.shape for k, v in network.state_dict().items()}
        for network in (fitted, described)
    )
    if fitted != described:
        raise ValueError(
            "the parameters are of another network than the fitted one, which they "
            "could neither read from a file nor train on. Set back which of them "
            f"shapes it (in the fit: {changed}), or fit afresh, without warm_start."
        )


def _to_json(name, value):
    if isinstance(value, FaceAugmentation):
        parts = value.get_params()
        if parts["colour_transform"] is not None:
            raise TypeError(
                "save writes no functions and objects, as the augmentation's "
                "colour_transform is, which is for training only. Use pickle, or set "
                "it to None: "
                "set_params(augmentation__colour_transform=None)."
            )
        value = {"FaceAugmentation": parts}
    try:
        return json.loads(json.dumps(value, default=_plain))
    except TypeError:
        raise TypeError(
            f"save writes numbers, strings and lists; parameter {name!r} is a "
            f"{type(value).__name__}. Use pickle, or name the part instead of "
            "passing the object."
        ) from None


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError


def check_class(path, found, expected):
    """Raise if a file holds a classifier of another class."""
    if found != expected:
        raise ValueError(
            f"{path} holds a {found}, not a {expected}; call skfau.load, which reads "
            "either."
        )


def from_json(parameters):
    """Return the parameters of a file's header as a constructor takes them."""
    return {name: _from_json(value) for name, value in parameters.items()}


def _from_json(value):
    if isinstance(value, dict) and value.keys() == {"FaceAugmentation"}:
        return FaceAugmentation(**value["FaceAugmentation"])
    return tuple(value) if isinstance(value, list) else value


def read_file(path):
    """Return the header and the arrays of a file by `write_file`."""
    with reading(path, *KIND):
        # Opened first for the errors of a file that is not there or another user's.
        with Path(path).open("rb"), safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(metadata["skfau"])
        if not isinstance(header, dict):
            raise TypeError("its header is no JSON object")
        if header.get("skfau_format") != FORMAT:
            raise ValueError(
                f"{path} has format {header.get('skfau_format')}, written by skfau "
                f"{header.get('skfau_version')}; this version reads format {FORMAT}."
            )
        # Files of earlier versions have no digest.
        digest = header.pop("sha256", None)
        if digest is not None and digest != _digest(header, state):
            raise ValueError(f"{path} is damaged: it is not what was written.")
        if not isinstance(header["class"], str):
            raise ValueError(f"its class is {header['class']!r}")
    return header, state


def transfer(net, task, source, cls):
    """Copy what two classifiers share into a fresh net; return a report.

    Parameters
    ----------
    net : TrainingNet
        Fresh; its network and its loss take what they share with the source's.
    task : Task
        That it was made for.
    source : BaseAUClassifier, or str or Path
        A fitted classifier of the same class, anything fitted around one, or the path
        of a saved one.
    cls : type
        Class that the net belongs to.
    """
    aus = task.aus
    name, source_aus, arrays, loss = _source(source)
    network = net.module_.network
    if name != cls.__name__:
        raise ValueError(
            f"init_from holds a {name}; a {cls.__name__} can only start "
            "from its own kind."
        )
    if not hasattr(network, "au_axes") and tuple(source_aus) != aus:
        raise ValueError(
            f"init_from knows the AUs {tuple(source_aus)}, this classifier {aus}, and "
            f"{type(network).__name__} does not say which of its weights belong to "
            "single AUs. Give it a method au_axes(), as the networks of skfau.nn have."
        )
    taught = {k: array for k, array in arrays.items() if k not in net.system.given}
    report = _transfer(network, taught, source_aus, aus)
    _check_carried(network, task, set(report["fresh"]) - set(net.system.given))
    _transfer(net.criterion_, loss, source_aus, aus)
    return report


def needs_weights(network, report):
    """Return whether a source left a backbone as it was, or none is known by name."""
    own = {"backbone", "trunk"} & dict(network.named_children()).keys()
    begins = tuple(f"{name}." for name in own)
    return not own or any(name.startswith(begins) for name in report["fresh"])


def aus_of(source):
    """Return the AUs of a classifier to start from, or of its file; () of None."""
    if source is None:
        return ()
    return _source(source)[1]


def _check_carried(network, task, fresh):
    """Raise if AUs that no label teaches begin with entries that are `fresh`."""
    own = network.au_axes() if hasattr(network, "au_axes") else network.state_dict()
    new = [name for name in own if name in fresh]
    untaught = np.array(task.aus)[task.label_counts[1] == 0]
    if new and len(untaught):
        raise LabelError(
            f"Every training label of {', '.join(f'AU{au}' for au in untaught)} is "
            f"NaN, and init_from is of another shape: {new[0]} would begin at random "
            "and stay so. Take the parameters that shape the network from the "
            "classifier in init_from, or leave the AU out of y and aus."
        )


def _source(source):
    """Return class name, AUs, network state and loss state of a source."""
    if isinstance(source, (str, Path)):
        header, arrays = read_file(source)
        with reading(source, *KIND):
            aus, _ = read_labels(header)
            return header["class"], aus, arrays, from_lists(header)
    try:
        classifier, _ = find_having(source, "net_")
    except TypeError as error:
        raise ValueError(
            "init_from must be a fitted classifier or the path of a saved one; "
            f"got {source!r}, which is not fitted or holds several networks."
        ) from error
    arrays = classifier.network_state()
    loss = loss_state(classifier.net_)
    return type(classifier).__name__, classifier.aus_, arrays, loss


def subjects_of(source):
    """Return digests of the subjects that something fitted, or its file, was taught."""
    if isinstance(source, (str, Path)):
        return subjects_in(read_file(source)[0])
    return tuple(sorted(train_subjects(source)))


def subjects_in(header):
    """Return digests of the training subjects; older files have none."""
    return tuple(map(str, header.get("train_subjects", ())))


def from_lists(header):
    """Return the loss state of a file's header; older files have none."""
    loss = header.get("loss", {})
    return {name: np.array(rows, np.float32) for name, rows in loss.items()}


def _transfer(module, arrays, source_aus, aus):
    state, report = transfer_state(
        {name: torch.as_tensor(array) for name, array in arrays.items()},
        tuple(source_aus),
        module.state_dict(),
        aus,
        module.au_axes() if hasattr(module, "au_axes") else {},
    )
    module.load_state_dict(state)
    return report
