"""Command line: ``python -m skfau demo`` and ``python -m skfau predict``."""

from skfau.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
