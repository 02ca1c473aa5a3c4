"""Checkpoints: one file a fit, written atomically, found by what was fitted on what."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from skfau._arrays import stamp

FORMAT = 1
# What changes how a fit is run or shown, but not what it computes.
NEUTRAL_PARAMETERS = {"checkpoint_dir", "verbose", "callbacks", "n_threads"}


def fit_fingerprint(cls, parameters, faces, labels, weights=None):
    """Return a hex digest of the class, the parameters and the data of one fit.

    A checkpoint directory is cloned into every fold and candidate of a search.
    Without the data in the name, a fold would go on from a network that has seen
    its test subjects.
    """
    digest = hashlib.sha256(f"{FORMAT}:{cls.__qualname__}".encode())
    for name in sorted(parameters.keys() - NEUTRAL_PARAMETERS):
        digest.update(f"|{name}=".encode())
        _update(digest, parameters[name])
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
    elif isinstance(value, np.ndarray):
        digest.update(str(value.dtype).encode() + value.tobytes())
    elif hasattr(value, "network_state"):
        for name, array in value.network_state().items():
            digest.update(name.encode() + array.tobytes())
    elif hasattr(value, "get_params"):
        digest.update(repr(sorted(value.get_params().items())).encode())
    elif isinstance(value, (str, Path)) and Path(value).is_file():
        # The content counts, not how the path was written.
        digest.update(repr(stamp(str(Path(value).resolve()))).encode())
    else:
        digest.update(repr(value).encode())


class Checkpoint:
    """One fit's file in a checkpoint directory.

    Parameters
    ----------
    directory : str or Path
        Shared by any number of fits; made if it is not there.
    fingerprint : str
        Names the file, see `fit_fingerprint`.
    """

    def __init__(self, directory, fingerprint):
        self.path = Path(directory) / f"{fingerprint}.pt"
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def save(self, state):
        """Write `state` so that a reader sees the old file or the new one, whole.

        Parameters
        ----------
        state : dict
            Tensors, numbers, strings and containers of them; ``history`` is
            stored as JSON because a weights-only load refuses its types.
        """
        state = dict(state, history=json.dumps(state["history"]))
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        if os.name == "posix":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def load(self):
        """Return the saved state, or None where this fit has none yet."""
        if not self.path.exists():
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        return dict(state, history=json.loads(state["history"]))
