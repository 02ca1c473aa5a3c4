"""Command line, ``python -m skfau`` or ``skfau``: demo, predict, train or score."""

import sys
import warnings

from skfau.cli import main


def run():
    """Run the command that was typed; its warnings are lines without code.

    Returns
    -------
    code : int
        Exit code.
    """
    warnings.showwarning = _show_warning
    return main()


def _show_warning(message, *where):
    # The line of code that warned says nothing to who typed a command.
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(run())
