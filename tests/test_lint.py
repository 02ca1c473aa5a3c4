"""The linter's and formatter's word, with the settings of pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_no_complaint(command):
    root = Path(__file__).parents[1]
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
    done = subprocess.run(ruff, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
