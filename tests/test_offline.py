"""The guard that all other tests rely on."""

import socket
import subprocess
import sys

import pytest


def test_no_connection_to_another_machine_is_possible_here():
    with (
        socket.socket() as opened,
        pytest.raises(AssertionError, match="tried to connect"),
    ):
        opened.connect(("example.invalid", 9))


def test_no_connection_to_another_machine_is_possible_in_a_subprocess():
    code = "import socket; socket.socket().connect(('example.invalid', 9))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "tried to connect" in done.stderr
