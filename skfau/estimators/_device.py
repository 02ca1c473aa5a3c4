"""Where and in which precision a network runs."""

from contextlib import contextmanager

import torch


def resolve_device(device):
    """Return the torch.device for a name; "auto" is the GPU where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was asked for, but torch sees no CUDA device. "
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
    before = torch.get_num_threads()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        if n_threads is not None:
            torch.set_num_threads(before)
