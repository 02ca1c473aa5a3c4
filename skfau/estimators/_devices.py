"""A fit on several devices: one process for each, all of them the same fit."""

import tempfile
import threading
import warnings
from numbers import Integral
from pathlib import Path

import torch
from joblib import effective_n_jobs, parallel_config
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skfau._forks import free_in_children
from skfau._warn import warn
from skfau.estimators._callbacks import without_reports
from skfau.estimators._parameters import kept_parameters
from skfau.estimators._shares import Team, joined
from skfau.estimators._torch_state import device_names, resolve_device

# Lock for the pool of processes: two fits that have half of it each would wait forever.
_LOCK = threading.Lock()
free_in_children(_LOCK)


def several(device):
    """Return whether a parameter `device` names several devices."""
    return len(device_names(device)) > 1


class FitsTogether:
    """A fit that is left to a process for each device of the parameter `device`."""

    def _fit_together(self, method, *data):
        """Fit by the method of this name, and become what comes of it."""
        fitted = fit_together(self, method, data, device_names(self.device))
        parameters = self.get_params(deep=False)
        vars(self).clear()
        vars(self).update(vars(fitted) | parameters)
        self.net_.classifier = self
        self.net_.made_with = kept_parameters(parameters)
        return self


def fit_together(estimator, method, data, devices):
    """Run a method that fits in one process per device; return the fitted estimator.

    Parameters
    ----------
    estimator : BaseAUClassifier
        It stays as it is, but that its `random_state` goes on as in a fit.
    method : str
        ``"fit"`` or ``"partial_fit"``.
    data : tuple
        Arguments of the method.
    devices : sequence of str
        One for each process.

    Returns
    -------
    fitted : BaseAUClassifier
        A copy, on the first device.

    Raises
    ------
    ValueError
        If the devices are not of one kind, or a GPU is named twice or missing.
    RuntimeError
        If processes cannot be started from here.
    """
    _check(devices)
    random_state = estimator.random_state
    if not isinstance(random_state, Integral):
        # All processes get one state, and draw the same.
        random_state = check_random_state(random_state)
    n = len(devices)
    with _LOCK, tempfile.TemporaryDirectory() as folder, parallel_config("loky"):
        if effective_n_jobs(n) < n:
            raise RuntimeError(
                f"device={list(devices)} needs a process for each, and none can be "
                "started from a thread of joblib. Pass n_jobs=1 to what calls this "
                "fit, or one device."
            )
        how = method, data, random_state, devices, str(Path(folder) / "meeting")
        # All must be under way at once: they wait for each other.
        pool = Parallel(n, batch_size=1, pre_dispatch="all")
        fits = pool(delayed(_fit_one)(estimator, *how, rank) for rank in range(n))
    fitted, caught = fits[0]
    if not isinstance(random_state, Integral):
        random_state.set_state(fitted.random_state.get_state())
    for warning in caught:
        warn(warning.message, warning.category)
    return fitted


def _check(devices):
    resolved = [resolve_device(name) for name in devices]
    kinds = {device.type for device in resolved}
    if len(kinds) > 1 or kinds == {"mps"}:
        raise ValueError(
            "device must name GPUs, ['cuda:0', 'cuda:1'], or the CPU several times. "
            f"Got {list(devices)}."
        )
    twice = len(set(resolved)) < len(resolved)
    if kinds == {"cuda"} and (twice or any(d.index is None for d in resolved)):
        raise ValueError(
            "device must give each GPU once and by number, ['cuda:0', 'cuda:1']. Got "
            f"{list(devices)}."
        )


def _fit_one(estimator, method, data, random_state, devices, path, rank):
    """Fit in this process; return the estimator and its warnings from the first."""
    estimator.set_params(device=devices[rank], random_state=random_state)
    if rank:
        quiet = without_reports(estimator.callbacks)
        estimator.set_params(verbose=0, callbacks=quiet)
    device = torch.device(devices[rank])
    team = Team(rank, len(devices), device, path)
    with joined(team), warnings.catch_warnings(record=True) as caught:
        getattr(estimator, method)(*data)
    return None if rank else (estimator, caught)
