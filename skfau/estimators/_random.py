"""Randomness private to one fit: torch's global generators stay as they were."""

import threading
from contextlib import contextmanager

import numpy as np
import torch

# torch's default generators are process-wide, so two fits in two threads must
# take turns while one of them has put its own state in their place.
_SWAP_LOCK = threading.RLock()


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
