"""Fitted classifiers as one safetensors file, and weights from one to another."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from skfau import __version__
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._fitting import start_net
from skfau.estimators._labels import set_aus
from skfau.estimators._parameters import kept_parameters
from skfau.estimators._training import load_history
from skfau.nn import transfer_state

FORMAT = 1


def save_classifier(estimator, path):
    """Write a fitted classifier; see `BaseAUClassifier.save`."""
    check_described(estimator)
    header = {
        "skfau_format": FORMAT,
        "skfau_version": __version__,
        "class": type(estimator).__name__,
        "parameters": {
            name: _to_json(name, value)
            for name, value in kept_parameters(estimator).items()
        },
        "aus": estimator.aus_,
        "label_counts": estimator.label_counts_.tolist(),
        "constants": _constants(estimator),
        "history": estimator.history_,
    }
    metadata = {"skfau": json.dumps(header)}
    save_file(estimator.network_state(), Path(path), metadata=metadata)


def _constants(estimator):
    """Name the entries of the state that the network was given."""
    entries = estimator._constants.items()
    return [name for name, kept in entries if getattr(estimator, kept) is not None]


def picklable(estimator, state):
    """Return a classifier's attributes with arrays in place of its `net_`."""
    net = state.pop("net_", None)
    if net is not None:
        check_described(estimator)
        loss_state = {k: v.cpu() for k, v in net.criterion_.state_dict().items()}
        kept = estimator.network_state(), estimator.history_, net.seed, loss_state
        state["_network"] = kept
    return state


def check_described(estimator):
    """Raise if parameters set after the fit are of another network than the fitted."""
    made_with = estimator.net_.made_with
    now = kept_parameters(estimator)
    changed = {n: made_with[n] for n, value in now.items() if value is not made_with[n]}
    if not changed:
        return
    fitted, described = (
        {k: v.shape for k, v in net.module_.network.state_dict().items()}
        for net in (estimator.net_, start_net(estimator, 0, pretrained=False))
    )
    if fitted != described:
        raise ValueError(
            "the parameters are of another network than the fitted one, which they "
            "could neither read from a file nor train on. Set back which of them "
            f"shapes it (in the fit: {changed}), or fit afresh, without warm_start."
        )


def _to_json(name, value):
    if isinstance(value, FaceAugmentation):
        value = {"FaceAugmentation": value.get_params()}
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


def load_classifier(cls, path):
    """Read a classifier that `save_classifier` wrote; runs no code from the file."""
    header, state = read_file(path)
    if header["class"] != cls.__name__:
        raise ValueError(
            f"{path} holds a {header['class']}, not a {cls.__name__}; call "
            f"{header['class']}.load."
        )
    estimator = cls(**{k: _from_json(v) for k, v in header["parameters"].items()})
    set_aus(estimator, header["aus"])
    estimator.label_counts_ = np.array(header["label_counts"], dtype=np.int64)
    for name, kept in cls._constants.items():
        given = name in header["constants"]
        setattr(estimator, kept, state[name] if given else None)
    restore(estimator, state, header["history"])
    return estimator


def restore(estimator, state, history, seed=0, loss_state=None):
    """Make `net_` for weights from outside; the optimiser starts afresh."""
    estimator.net_ = start_net(estimator, seed, pretrained=False)
    estimator._load_network_state(state)
    load_history(estimator.net_.history, history)
    if loss_state is not None:
        estimator.net_.criterion_.load_state_dict(loss_state)


def _from_json(value):
    if isinstance(value, dict) and value.keys() == {"FaceAugmentation"}:
        return FaceAugmentation(**value["FaceAugmentation"])
    return tuple(value) if isinstance(value, list) else value


def read_file(path):
    """Return the header and the arrays of a saved classifier."""
    try:
        with safe_open(Path(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(metadata["skfau"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a classifier saved by skfau ({error}). Expected a file "
            "written by the save method."
        ) from error
    if header.get("skfau_format") != FORMAT:
        raise ValueError(
            f"{path} has format {header.get('skfau_format')}, written by skfau "
            f"{header.get('skfau_version')}; this version reads format {FORMAT}."
        )
    return header, state


def transfer(estimator, source):
    """Copy what two classifiers share into `estimator.net_`; return a report.

    Parameters
    ----------
    estimator : BaseAUClassifier
        Its `net_` is fresh.
    source : BaseAUClassifier, str or Path
        A fitted classifier of the same class, or the path of a saved one.
    """
    source = getattr(source, "estimator", source)  # FrozenEstimator
    if isinstance(source, (str, Path)):
        header, arrays = read_file(source)
        name, aus = header["class"], header["aus"]
    else:
        name, aus = type(source).__name__, getattr(source, "aus_", None)
        if aus is None:
            raise ValueError(
                "init_from must be a fitted classifier or the path of a saved one; "
                f"got {source!r}, which is not fitted."
            )
        arrays = source.network_state()
    if name != type(estimator).__name__:
        raise ValueError(
            f"init_from holds a {name}; a {type(estimator).__name__} can only start "
            "from its own kind."
        )
    network = estimator.net_.module_.network
    own = _constants(estimator)
    state, report = transfer_state(
        {k: torch.as_tensor(array) for k, array in arrays.items() if k not in own},
        tuple(aus),
        network.state_dict(),
        estimator.aus_,
        network.au_axes(),
    )
    network.load_state_dict(state)
    return report
