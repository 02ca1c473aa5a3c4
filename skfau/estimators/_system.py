"""A published system as plain values, and the task that it is made for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import nn


class Task(NamedTuple):
    """What is known of the data before the network is made.

    Attributes
    ----------
    aus : tuple of int
        AU number of each column of the labels.
    label_counts : ndarray of shape (2, n_aus), dtype int64
        Positive and known labels of every AU in the training rows.
    labels : ndarray of shape (n, n_aus), dtype float32, or None
        Training labels; None where a fitted network is made again.
    buffers : dict of str to ndarray, or None
        If a fitted network is made again, the entries of its state that were given to
        it, see `System.buffers`. None for a new network.
    pretrained : bool
        Whether to read the weights of a backbone from their file.
    """

    aus: tuple
    label_counts: np.ndarray
    labels: np.ndarray | None = None
    buffers: dict | None = None
    pretrained: bool = True

    @property
    def n_aus(self):
        """Number of AUs."""
        return len(self.aus)

    def buffer(self, name, compute):
        """Return a buffer of the network that is made again, or compute a new one."""
        return compute() if self.buffers is None else self.buffers.get(name)


class LabelTargets:
    """Targets of most losses: labels, and no column of the faces."""

    def columns(self, faces):
        """Return which of ``landmarks`` and ``heatmaps`` `__call__` takes.

        Parameters
        ----------
        faces : Faces
            The training rows.

        Returns
        -------
        columns : tuple of str
        """
        return ()

    def __call__(self, labels, **columns):
        """Return the targets of a batch.

        Parameters
        ----------
        labels : ndarray of shape (n, n_aus), dtype float32
            0, 1 or NaN where unknown.
        **columns : dict of str to ndarray
            What `columns` names, moved with the pixels: landmarks (n, 68, 2) in pixels
            of the network's input, x then y; heatmaps (n, n_aus, h, w).

        Returns
        -------
        targets : dict of str to ndarray
        """
        return {"labels": labels, **columns}


class System(NamedTuple):
    """A published system as plain values: what `BaseAUClassifier._system` returns.

    Attributes
    ----------
    network : nn.Module
        Takes float images (n, 3, s, s), normalised as for ImageNet, and returns logits
        (n, n_aus), or ``(logits, aux)`` with a dict of what else its loss needs,
        tensors with a row per face.
    loss : nn.Module
        Called as ``loss(outputs, targets)``; returns a scalar. Where it has them, its
        dict ``parts`` is recorded, ``after_step()`` follows each step of the optimiser,
        and the entries of its state that ``au_axes()`` names, each with the axes along
        which AUs lie, go along wherever a fit goes on.
    optimizer : callable or None, default=None
        Makes the optimiser from parameters, ``lr`` and ``weight_decay``; None is Adam.
    lr_factors : dict of str to float or callable, default={}
        Submodules of the network with their own parameter group, and the group's factor
        of `lr`. A number scales the schedule of all other weights. A function of the
        step, counted from 1, and of the steps in an epoch takes its place.
    inputs : tuple of str, default=()
        Columns that the network takes beside the images, in prediction as well:
        ``("landmarks",)`` or nothing.
    targets : object or None, default=None
        Makes the targets of the loss. ``columns(faces)`` names the columns that it
        takes, out of ``landmarks`` and ``heatmaps``. Called with the labels and these
        columns of a batch, it returns a dict of arrays. None gives ``{"labels":
        labels}`` alone.
    buffers : dict of str to ndarray or None, default={}
        Entries of the network's state that are given, not learned. `init_from` does not
        copy them. None stands for an entry that this network does not have.
    attributes : dict of str to object, default={}
        Fitted attributes of the classifier.
    prepare : callable or None, default=None
        Makes the module that turns batches of uint8 pixels into the network's input;
        None is the one that resamples, changes and normalises images.

    Examples
    --------
    >>> from skfau.estimators import System
    >>> from skfau.losses import WeightedBCE
    >>> from skfau.nn import PooledNet
    >>> system = System(network=PooledNet(12, "tiny"), loss=WeightedBCE())
    >>> system.inputs
    ()
    """

    network: nn.Module
    loss: nn.Module
    optimizer: Callable | None = None
    lr_factors: dict[str, float | Callable] = {}
    inputs: tuple = ()
    targets: Any = None
    buffers: dict[str, np.ndarray | None] = {}
    attributes: dict[str, Any] = {}
    prepare: Callable | None = None

    @property
    def given(self) -> list[str]:
        """Names of the buffers that the network has."""
        return [name for name, value in self.buffers.items() if value is not None]
