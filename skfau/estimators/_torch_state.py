"""torch's process-wide state: device, precision, threads, private random streams."""

import threading
from collections import Counter
from contextlib import contextmanager

import numpy as np
import torch

from skfau._forks import free_in_children
from skfau._warn import warn

# Lock for torch's default generators: they are process-wide, so fits in two threads
# must take turns in putting their own state into them.
_SWAP_LOCK = threading.RLock()
# Lock for the thread count, users that have set it, by the thread that they run in, and
# count before.
_LOCK = threading.Lock()
_users, _before = Counter(), None


def _forget_other_threads():
    """Count none of the threads that a forked child does not have."""
    here = threading.get_ident()
    for thread in [thread for thread in _users if thread != here]:
        del _users[thread]


free_in_children(_SWAP_LOCK)
free_in_children(_LOCK, _forget_other_threads)


def device_names(device):
    """Return the devices that a parameter `device` names, one or several."""
    return tuple(device) if isinstance(device, (list, tuple)) else (device,)


def resolve_device(device, *, or_cpu=False):
    """Return the torch.device for a name; "auto" is the GPU where there is one.

    Of several names it is the first one's.
    If a GPU is named but missing, `or_cpu` warns and takes the CPU.
    """
    device, *_ = device_names(device)
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
        warn(
            f"This classifier was fitted with device={str(device)!r}; torch sees no "
            f"{kind} here, so it is loaded onto the CPU.",
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
    global _before
    if n_threads is None:
        yield
        return
    with _LOCK:
        if not _users:
            _before = torch.get_num_threads()
        _users[threading.get_ident()] += 1
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        # Restore the count after the last user: fits may overlap in threads.
        with _LOCK:
            here = threading.get_ident()
            _users[here] -= 1
            if not _users[here]:
                del _users[here]
            if not _users:
                torch.set_num_threads(_before)


def at_most_threads(n_threads):
    """Run the body of a ``with`` with so many torch threads, or fewer."""
    return threads(min(n_threads, torch.get_num_threads()))


def derive_seed(*words):
    """Mix non-negative integers into one 63-bit seed (NumPy's `SeedSequence`)."""
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


class PrivateStream:
    """A state of torch's default generators that is swapped in only while in use.

    Dropout and initialisation draw from the default generators and take no
    ``generator=``. Swapping states keeps them reproducible without touching what
    the caller seeded, also when fits run in threads (about 6 microseconds a swap).

    Parameters
    ----------
    device : torch.device
        Device whose default generator is swapped as well when it is a GPU.
    """

    def __init__(self, device):
        self.device = torch.device(device)
        self._states = None

    def seed(self, *words):
        """Start the stream anew from a seed derived from `words`."""
        seed = derive_seed(*words)
        self._states = [
            torch.Generator(device).manual_seed(seed).get_state()
            for device in self._devices()
        ]

    @contextmanager
    def __call__(self):
        """Run the body on this stream, then put the caller's state back."""
        with _SWAP_LOCK:
            outside = self._exchange(self._states)
            try:
                yield
            finally:
                self._states = self._exchange(outside)

    def _devices(self):
        gpu = self.device.type in ("cuda", "mps")
        return [torch.device("cpu"), self.device][: 1 + gpu]

    def _exchange(self, new):
        old = [torch.get_rng_state()]
        torch.set_rng_state(new[0])
        if self.device.type == "cuda":
            old.append(torch.cuda.get_rng_state(self.device))
            torch.cuda.set_rng_state(new[1], self.device)
        elif self.device.type == "mps":
            old.append(torch.mps.get_rng_state())
            torch.mps.set_rng_state(new[1])
        return old
