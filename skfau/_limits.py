"""How much memory a file may claim, and what is no file at all."""

import os
import stat

_VARIABLE = "SKFAU_MAX_PIXELS"
# Three quarters of a gigabyte of pixels; the largest telephone takes 2e8.
_DEFAULT = 2**28


def max_pixels():
    """Return how many pixels, or numbers, a file may claim.

    Raises
    ------
    ValueError
        If the environment variable ``SKFAU_MAX_PIXELS`` is no positive whole number.
    """
    text = os.environ.get(_VARIABLE, str(_DEFAULT))
    if not text.isdecimal() or not int(text):
        raise ValueError(
            f"the environment variable {_VARIABLE} must be a positive whole number, "
            f"got {text!r}."
        )
    return int(text)


def refuse_large(what, shape, error_type):
    """Raise before memory is asked for what a header claims.

    Parameters
    ----------
    what : str
        What claims it, with the file's name, for the message.
    shape : tuple of int
        Sizes, whose product is counted.
    error_type : type
        Of the error.
    """
    claimed, allowed = 1, max_pixels()
    for size in shape:
        claimed *= int(size)
    if claimed > allowed:
        sides = " x ".join(str(int(size)) for size in shape)
        raise error_type(
            f"{what} claims {sides} values, more than {allowed}; it is damaged, or "
            "made to fill the memory. If it is whole, set the environment variable "
            f"{_VARIABLE}={claimed}."
        )


def refuse_special(path, error_type):
    """Raise if a path is a pipe, a device or a socket, which may never end.

    Folders and what is not there pass: opening them tells.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise error_type(
            f"{str(path)!r} is a pipe or device, not a file; check the path"
        )
