"""Checkpoints: one file per fit, written atomically, named by parameters and data."""

import hashlib
import json
from pathlib import Path
from types import FunctionType

import numpy as np
import torch
from torch import nn

from skfau._arrays import stamp
from skfau._files import check_seal, reading, write_atomically
from skfau.estimators._callbacks import describe_callbacks

FORMAT = 2
# What `reading` says of a file that is something else.
KIND = (
    "cannot be read as a checkpoint",
    "Delete it, and its fit begins again.",
    ValueError,
)
# Parameters that change how a fit runs or is shown, not what it computes. `max_epochs`
# is in the name of the file; `callbacks` count if they may change the training.
NEUTRAL_PARAMETERS = {
    *("checkpoint_dir", "verbose", "callbacks", "n_threads", "max_epochs"),
    "device",
}


def fit_fingerprint(cls, parameters, faces, labels, weights=None):
    """Return a hex digest of the class, the parameters and the data of one fit.

    All folds and candidates of a search share one checkpoint directory. The digest
    depends on the data, because otherwise a fold would continue from a network that has
    seen its test subjects.
    """
    digest = hashlib.sha256(f"{FORMAT}:{cls.__qualname__}".encode())
    for name in sorted(parameters.keys() - NEUTRAL_PARAMETERS):
        digest.update(f"|{name}=".encode())
        _update(digest, parameters[name])
    digest.update(describe_callbacks(parameters.get("callbacks")).encode())
    digest.update(faces.fingerprint().encode())
    digest.update(repr(labels.shape).encode())
    digest.update(np.ascontiguousarray(labels).tobytes())
    if weights is not None:
        digest.update(b"|weights=" + np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()[:32]


def _update(digest, value):
    if isinstance(value, nn.Module):
        digest.update(repr(value).encode())
        for name, tensor in value.state_dict().items():
            digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    elif isinstance(value, (dict, list, tuple)):
        # Part by part: what an array prints leaves most of its numbers out.
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        digest.update(f"{type(value).__name__} of {len(value)}".encode())
        for key, part in pairs:
            digest.update(f"|{key!r}:".encode())
            _update(digest, part)
    elif isinstance(value, torch.Tensor):
        _update(digest, value.detach().cpu().numpy())
    elif isinstance(value, np.ndarray):
        digest.update(str(value.dtype).encode() + value.tobytes())
    elif hasattr(value, "network_state"):
        for name, array in value.network_state().items():
            digest.update(name.encode() + array.tobytes())
    elif hasattr(value, "get_params"):
        _update(digest, dict(sorted(value.get_params(deep=False).items())))
    elif isinstance(value, FunctionType) and "<" not in value.__qualname__:
        # A name lasts, unlike an address; <lambda> is the name of many.
        digest.update(f"{value.__module__}.{value.__qualname__}".encode())
    elif isinstance(value, (str, Path)) and Path(value).is_file():
        # Stamp the file, not its path: one file may be given as several paths.
        digest.update(repr(stamp(str(Path(value).resolve()))).encode())
    else:
        digest.update(repr(value).encode())


class Checkpoint:
    """One fit's file in a checkpoint directory.

    Parameters
    ----------
    directory : str or Path
        Shared by any number of fits; created if it does not exist.
    fingerprint : str
        Names the file, see `fit_fingerprint`.
    n_epochs : int
        Of the whole fit. Each number has a file of its own: fits of a search run at the
        same time, and one with fewer epochs must not end with more.
    """

    def __init__(self, directory, fingerprint, n_epochs):
        self.fingerprint, self.n_epochs = fingerprint, n_epochs
        self.path = Path(directory) / f"{fingerprint}-{n_epochs}.pt"
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def save(self, state):
        """Write `state` atomically: readers see the whole old or the whole new file.

        Parameters
        ----------
        state : dict
            Tensors, numbers, strings and containers of them; ``history`` is
            stored as JSON because a weights-only load refuses its types.
        """
        state = dict(state, history=json.dumps(state["history"]))
        with write_atomically(self.path, sealed=True) as file:
            torch.save(state, file)

    def paths(self):
        """Return the files that this fit may go on from, the longest fit first."""
        found = {
            int(path.stem.rpartition("-")[2]): path
            for path in self.path.parent.glob(f"{self.fingerprint}-*.pt")
        }
        return [found[n] for n in sorted(found, reverse=True) if n <= self.n_epochs]

    def load(self, path=None):
        """Return the saved state of a file, by default of this fit's own."""
        path = path or self.path
        with reading(path, *KIND), path.open("rb") as file:
            if not check_seal(file):
                raise ValueError("it is cut off")
            state = torch.load(file, map_location="cpu", weights_only=True)
            return dict(state, history=json.loads(state["history"]))
