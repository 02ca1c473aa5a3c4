"""One way to turn `random_state` into numbers, never NumPy's global generator."""

from numbers import Integral

import numpy as np


def as_generator(random_state):
    """Turn None, an int, a RandomState or a Generator into a Generator.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        A Generator comes back as it is; from a RandomState one number is drawn.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    TypeError
        If it is something else.
    """
    if random_state is None or isinstance(random_state, Integral | np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    raise TypeError(
        "random_state must be None, an int, a numpy RandomState or a numpy Generator, "
        f"got {type(random_state).__name__}"
    )
