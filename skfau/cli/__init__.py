"""The command line, ``python -m skfau``: what it does can be done in Python, too."""

from skfau.cli._main import main

__all__ = ["main"]
