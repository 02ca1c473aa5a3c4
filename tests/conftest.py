import socket

import pytest
import torch

from skfau.datasets import make_faces


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing in the library may open a connection unasked."""

    def refuse(self, address, *args):
        if self.family != getattr(socket, "AF_UNIX", None):
            raise AssertionError(f"a test tried to connect to {address}")
        return connect(self, address, *args)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(scope="session")
def made():
    """Eight subjects of twelve small frames: faces, labels, landmarks."""
    return make_faces(n_subjects=8, n_frames=12, image_size=48, random_state=0)
