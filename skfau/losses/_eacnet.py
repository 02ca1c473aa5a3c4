"""The training objective of Li et al. for EAC-Net."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skfau.losses._inputs import (
    at_least_float32,
    known_labels,
    logits_of,
    mean_of_known,
)

__all__ = ["EACNetLoss"]


class EACNetLoss(nn.Module):
    """Smoothed cross entropy of both of EAC-Net's decisions [1]_.

    Parameters
    ----------
    smoothing : float, default=0.05
        Added to every probability before its logarithm, which bounds the loss of one
        label.

    Attributes
    ----------
    parts : dict of str to Tensor of shape ()
        What each part added to the loss of the last call, detached: ``"logits"`` and,
        where the network has it, ``"enhancing"``.

    Notes
    -----
    Per label y with probability p, with a the smoothing, averaged over known labels::

        - y log((p + a) / (1 + a)) - (1 - y) log((1 - p + a) / (1 + a))

    for the logits and for the logits of the whole face. (The released code trains one
    after the other.)

    References
    ----------
    .. [1] W. Li, F. Abtahi, Z. Zhu and L. Yin, "EAC-Net: Deep nets with enhancing and
       cropping for facial action unit detection", TPAMI 2018.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import EACNetLoss
    >>> labels = torch.tensor([[1.0, float("nan")]])
    >>> EACNetLoss()(torch.zeros(1, 2), {"labels": labels})
    tensor(0.6466)
    """

    def __init__(self, smoothing: float = 0.05) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.parts = {}

    def forward(
        self, outputs: Tensor | tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss and keep its parts.

        Parameters
        ----------
        outputs : Tensor of shape (n, n_aus), or (Tensor, dict)
            What `skfau.nn.EACNet` returns, or logits alone.
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), from 0 to 1, NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        aux = {} if isinstance(outputs, torch.Tensor) else outputs[1]
        parts = {"logits": self._smoothed(logits_of(outputs), targets)}
        if "enhancing_logits" in aux:
            parts["enhancing"] = self._smoothed(aux["enhancing_logits"], targets)
        self.parts = {name: value.detach() for name, value in parts.items()}
        return sum(parts.values())

    def _smoothed(self, logits, targets):
        logits = at_least_float32(logits)
        labels, share = known_labels(targets, logits.shape, logits)
        # The logarithm of a probability of 0 stays finite without smoothing, so that
        # its product with a label of 0 is 0.
        tiny = torch.finfo(logits.dtype).tiny
        present, absent = (
            ((p + self.smoothing) / (1 + self.smoothing)).clamp(min=tiny).log()
            for p in (logits.sigmoid(), (-logits).sigmoid())
        )
        each = -labels * present - (1 - labels) * absent
        return mean_of_known(each, share)
