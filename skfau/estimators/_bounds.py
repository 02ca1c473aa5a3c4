"""What a file of a stranger may ask for before its classifier is made."""

import math

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._parameters import NOT_SAVED

# A network is made with as many steps, and as many elements, for each entry and each
# element of its state, as ours never take, and with these besides.
_STEPS, _SPARE_STEPS = 20, 5_000
_ELEMENTS, _SPARE_ELEMENTS = 4, 2**25


def check_parameters(cls, parameters):
    """Return parameters; raise ValueError unless a class has them and saves them."""
    unknown = sorted(parameters.keys() - set(cls._get_param_names()))
    if unknown:
        raise ValueError(
            f"a {cls.__name__} has no parameter {unknown[0]!r}; is the file of another "
            "version?"
        )
    if private := sorted(parameters.keys() & NOT_SAVED):
        raise ValueError(
            f"it sets {private[0]!r}, which no file does: where a classifier runs is "
            "for its user to say"
        )
    for value in parameters.values():
        if isinstance(value, FaceAugmentation):
            value._validate_params()
    return parameters


def read_labels(header):
    """Return the AUs and the label counts of a file's header."""
    aus, counts = header["aus"], np.array(header["label_counts"])
    whole = isinstance(aus, list | tuple) and all(type(au) is int for au in aus)
    if not whole or len(set(aus)) < len(aus) or not aus:
        raise ValueError(f"its AUs are {str(aus)[:60]}, expected numbers, each once")
    if counts.shape != (2, len(aus)) or counts.dtype.kind not in "if":
        raise ValueError(
            f"its label counts are of shape {counts.shape} and dtype {counts.dtype}, "
            f"expected (2, {len(aus)}) numbers"
        )
    if not (counts >= 0).all():
        raise ValueError(f"its label counts are {counts.min()} and more, expected 0")
    return tuple(aus), counts


def read_binary(header):
    """Return whether a file's classifier was fitted to labels of shape (n,)."""
    # Older files do not say.
    binary = header.get("binary", False)
    if type(binary) is not bool or (binary and len(header["aus"]) > 1):
        raise ValueError(f"its 'binary' is {str(binary)[:60]}, expected a bool")
    return binary


class Bounded(TorchDispatchMode):
    """Stop the making of a network that is larger than a state that is to fill it.

    Within ``with Bounded(state):`` ValueError is raised before more memory is taken
    than that takes, and after so many steps that it must be another network.

    Parameters
    ----------
    state : dict of str to ndarray
        What the network is to hold.
    """

    def __init__(self, state):
        super().__init__()
        n_elements = sum(array.size for array in state.values())
        self.steps = _STEPS * len(state) + _SPARE_STEPS
        self.elements = _ELEMENTS * n_elements + _SPARE_ELEMENTS

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count what an operation asks for, then do it."""
        self.steps -= 1
        self.elements -= _new_elements(func, args)
        if self.steps < 0 or self.elements < 0:
            raise ValueError(
                "its parameters are of a network larger than the arrays in the file"
            )
        return func(*args, **(kwargs or {}))


def _new_elements(func, args):
    """Return about how many elements an operation makes."""
    given = zip(func._schema.arguments, args, strict=False)
    given = {argument.name: value for argument, value in given}
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    if "size" in given and not func.is_view:
        return math.prod(map(abs, given["size"]))
    if not tensors:
        numbers = [abs(value) for value in args if isinstance(value, int | float)]
        side = int(max(numbers, default=0))
        return side**2 if "eye" in func.name() else side
    if func.is_view or func._schema.is_mutable or len(tensors) < 2:
        return 0
    # Of tensors that are broadcast, each side is the longer one.
    n_axes = max(tensor.ndim for tensor in tensors)
    shapes = [(1,) * (n_axes - tensor.ndim) + tuple(tensor.shape) for tensor in tensors]
    return math.prod(map(max, *shapes)) if n_axes else 1


def check_shapes(network, state):
    """Raise ValueError unless a network has just the entries of a state."""
    own = {name: tuple(entry.shape) for name, entry in network.state_dict().items()}
    given = {name: array.shape for name, array in state.items()}
    others = sorted(own.items() ^ given.items())
    if others:
        name, _ = others[0]
        raise ValueError(
            f"its array {name!r} has shape {given.get(name)}, and in a network of its "
            f"parameters {own.get(name)}"
        )
