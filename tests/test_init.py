"""The top level: light to import, complete to reach."""

import importlib
import subprocess
import sys

import pytest

import skfau


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, skfau; skfau.__version__; dir(skfau);"
        "print([m for m in ('numpy', 'cv2', 'sklearn', 'torch') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize("name", skfau.__all__)
def test_every_public_name_can_be_reached(name):
    assert name in dir(skfau)
    value = getattr(skfau, name)
    if getattr(value, "__module__", "").startswith("skfau."):
        room = importlib.import_module(value.__module__.partition("._")[0])
        assert name in room.__all__
        assert value is getattr(room, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'facez'"):
        skfau.facez  # noqa: B018
