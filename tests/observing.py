"""What an AU classifier builds and does, seen from outside; values to try."""

import contextlib
import hashlib
import inspect
import io
import sys
from functools import wraps
from numbers import Integral
from unittest import mock

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, Options
from skorch.callbacks import Callback
from torch import nn

import skfau.losses
import skfau.nn


class Recorder:
    """Writes down what the public names of `skfau.nn` and `skfau.losses` are given.

    Only calls from outside count: what a network hands to its own layers is not
    a parameter of the estimator.
    """

    def __init__(self, monkeypatch):
        self.calls = []
        self._depth = 0
        for room in (skfau.nn, skfau.losses):
            for name in room.__all__:
                thing = getattr(room, name)
                if inspect.isclass(thing):
                    recorded = self._recorded(name, thing.__init__)
                    monkeypatch.setattr(thing, "__init__", recorded)
                elif inspect.isfunction(thing):
                    recorded = self._recorded(name, thing)
                    for module in _modules_with(name, thing):
                        monkeypatch.setattr(module, name, recorded)

    def _recorded(self, name, function):
        signature = inspect.signature(function)

        @wraps(function)
        def recorded(*args, **kwargs):
            if not self._depth:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                self.calls.append((name, dict(bound.arguments)))
            self._depth += 1
            try:
                return function(*args, **kwargs)
            finally:
                self._depth -= 1

        return recorded


def _modules_with(name, thing):
    return [
        module
        for path, module in list(sys.modules.items())
        if path.startswith("skfau.") and vars(module).get(name) is thing
    ]


class Watch(Callback):
    """A callback that counts how often it was called."""

    # Of the class: a fit trains with copies of its callbacks.
    calls = 0

    def on_epoch_end(self, net, **kwargs):
        """Count."""
        Watch.calls += 1


def same(arrived, given):
    """Say whether a value arrived; a module arrives as a copy."""
    if isinstance(given, nn.Module):
        return repr(arrived) == repr(given)
    if isinstance(arrived, np.ndarray | torch.Tensor):
        return np.array_equal(arrived, given)
    return type(arrived) is type(given) and arrived == given


def observe(clf, faces, labels, folder, n_fits=1):
    """Fit a classifier and return all that can be seen of it, ready to compare."""
    Watch.calls = 0
    threads = []
    printed = io.StringIO()
    with (
        contextlib.redirect_stderr(printed),
        # To start threads takes longer than such a fit.
        mock.patch("torch.set_num_threads", threads.append),
    ):
        for _ in range(n_fits):
            clf.fit(faces, labels)
        probabilities = clf.predict_proba(faces[:2])
    net = clf.net_
    return {
        "aus": clf.aus_,
        "network": _digest(clf.network_state()),
        "loss": _plain(net.criterion_),
        "loss_state": _digest(net.criterion_.state_dict()),
        "groups": groups_of(clf),
        "device": str(net.device),
        "history": clf.history_,
        "probabilities": _digest({"": probabilities}),
        "threads": threads,
        "callbacks": Watch.calls,
        "printed": bool(printed.getvalue()),
        "files": sorted(path.name for path in folder.rglob("*")),
    }


def groups_of(clf):
    """Return the numbers of the optimiser's groups and the size of its batches."""
    return [
        {k: v for k, v in group.items() if k != "params"}
        | {"batch_size": clf.net_.batch_size}
        for group in clf.net_.optimizer_.param_groups
    ]


def _plain(module):
    kinds = (bool, int, float, str, tuple)
    known = vars(module).items()
    return {k: v for k, v in known if isinstance(v, kinds) and not k.startswith("_")}


def _digest(state):
    digest = hashlib.sha256()
    for name, array in state.items():
        array = np.ascontiguousarray(array)
        digest.update(f"{name} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def another_value(constraints, *known):
    """Return a value that the constraints of a parameter allow and none of `known`."""
    for constraint in constraints:
        if isinstance(constraint, str) and constraint == "boolean":
            found = [True, False]
        elif isinstance(constraint, Options):
            found = sorted(constraint.options)
        elif isinstance(constraint, Interval):
            start = known[0] if isinstance(known[0], (int, float)) else 2
            found = [start // 2, 2 * start, 3 * start]
            if constraint.type is not Integral:
                found = [start / 2, start + 0.25]
            found = [value for value in found if value in constraint]
        else:
            continue
        for value in found:
            if value not in known:
                return value
    if None in constraints and None not in known:
        return None
    raise AssertionError(f"no other value than {known}: give one in VALUES")
