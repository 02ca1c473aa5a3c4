"""Which device a name stands for, on machines with and without a GPU."""

import pytest
import torch

from skfau.estimators._torch_state import resolve_device


@pytest.fixture
def gpus(monkeypatch):
    def have(*, cuda=False, mps=False):
        monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)

    return have


@pytest.mark.parametrize(
    ("there", "expected"),
    [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": True}, "cuda")],
)
def test_auto_is_the_gpu_that_is_there(gpus, there, expected):
    gpus(**there)
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize(
    ("device", "kind"), [("cuda:1", "CUDA device"), ("mps", r"Apple GPU \(MPS\)")]
)
def test_a_gpu_that_is_not_there_is_an_error_or_the_cpu(gpus, device, kind):
    gpus()
    with pytest.raises(ValueError, match=rf"device='{device}' .* torch sees no {kind}"):
        resolve_device(device)
    with pytest.warns(
        UserWarning, match=rf"torch sees no {kind} here, so it is loaded"
    ):
        assert resolve_device(device, or_cpu=True) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "GPU:0", None, 1.5])
def test_what_is_no_device_names_the_parameter(device):
    with pytest.raises(ValueError, match=r"device must be 'auto', 'cpu', 'cuda'"):
        resolve_device(device)
