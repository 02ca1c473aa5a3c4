"""What every test and doctest runs under: no network, one thread, small faces."""

import itertools
import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import tests.offline.sitecustomize  # noqa: F401  (closes this process's sockets)

# How long an example takes says more about the machine than about the code.
_slow = [HealthCheck.too_slow]
settings.register_profile("untimed", deadline=None, suppress_health_check=_slow)
settings.load_profile("untimed")
ROOT = Path(__file__).parent
# What builds the site, and what the build writes beside its pages.
collect_ignore = [
    "docs/conf.py",
    "docs/_ext",
    "docs/_build",
    "docs/gallery",
    "docs/reference/generated",
]
# A shell starts what runs in its background deaf to Ctrl-C; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Workers and subprocesses inherit the closed sockets and find the tests' helpers.
_paths = [ROOT / "tests" / "offline", ROOT, os.environ.get("PYTHONPATH")]
os.environ["PYTHONPATH"] = os.pathsep.join(str(path) for path in _paths if path)
# Loaders keep their indexes there.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="skfau-tests-")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Bitwise comparisons hold at equal thread counts."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def made():
    """Eight subjects of twelve small frames: faces, labels, landmarks."""
    from skfau.datasets import make_faces

    return make_faces(n_subjects=8, n_frames=12, image_size=48, random_state=0)


@pytest.fixture(autouse=True, scope="session")
def no_time_passes():
    """However slow the machine is, progress shows nothing; see `slowly`."""
    from skfau import _progress

    _progress.clock = lambda: 0.0


@pytest.fixture
def slowly(monkeypatch):
    """Every step of work takes ten seconds, by the clock of its progress."""
    from skfau import _progress

    hours = itertools.count(step=10)
    monkeypatch.setattr(_progress, "_told", {})
    monkeypatch.setattr(_progress, "clock", lambda: next(hours))
