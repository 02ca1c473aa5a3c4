"""Refuse every connection, also in the processes that tests start.

Python imports a module of this name at start-up where it finds one on its path.
"""

import socket

_connect = socket.socket.connect


def _refuse(self, address, *arguments):
    if self.family != getattr(socket, "AF_UNIX", None):
        raise AssertionError(f"something tried to connect to {address}")
    return _connect(self, address, *arguments)


socket.socket.connect = socket.socket.connect_ex = _refuse
