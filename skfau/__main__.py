"""Command line: ``python -m skfau`` with demo, predict, train or score."""

import sys
import warnings

from skfau.cli import main


def _show_warning(message, *where):
    # The line of code that warned says nothing to who typed a command.
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


if __name__ == "__main__":
    warnings.showwarning = _show_warning
    raise SystemExit(main())
