"""Where and in which precision a network runs."""

import threading
import warnings
from contextlib import contextmanager

import torch

_LOCK = threading.Lock()
# How many fits and predictions want a thread count now, and what it was before.
_users, _before = 0, None


def resolve_device(device, *, or_cpu=False):
    """Return the torch.device for a name; "auto" is the GPU where there is one.

    Where a GPU is named and there is none, `or_cpu` warns and takes the CPU.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if device == "auto":
        device = next((name for name in there if there[name]), "cpu")
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda' (or 'cuda:1', ...), 'mps' or a "
            f"torch.device, got {device!r}."
        ) from error
    missing = not there.get(device.type, True)
    kind = "Apple GPU (MPS)" if device.type == "mps" else "CUDA device"
    if missing and or_cpu:
        warnings.warn(
            f"This classifier was fitted with device={str(device)!r}; torch sees no "
            f"{kind} here, so it is loaded onto the CPU.",
            UserWarning,
            stacklevel=2,
        )
        return torch.device("cpu")
    if missing:
        raise ValueError(
            f"device={str(device)!r} was asked for, but torch sees no {kind}. "
            "Use device='auto' or device='cpu'."
        )
    return device


def autocast_dtype(precision, device):
    """Return the type of matrix products, None for float32 throughout."""
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" else "float32"
    return torch.bfloat16 if precision == "bfloat16" else None


@contextmanager
def threads(n_threads):
    """Run the body with this many torch threads; None leaves them as they are."""
    global _users, _before
    if n_threads is None:
        yield
        return
    with _LOCK:
        if not _users:
            _before = torch.get_num_threads()
        _users += 1
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        # Fits may overlap in threads: only the last to leave knows what was before.
        with _LOCK:
            _users -= 1
            if not _users:
                torch.set_num_threads(_before)
