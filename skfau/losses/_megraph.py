"""The losses of Luo et al. (IJCAI 2022): weighted asymmetric, and of pairs of AUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.losses._inputs import (
    as_class_weight,
    aux_of,
    known_labels,
    logits_of,
    mean_of_known,
    weights_of,
)

__all__ = ["MEGraphLoss", "WeightedAsymmetric"]


class WeightedAsymmetric(nn.Module):
    """Cross entropy that easy negatives hardly enter, weighted per AU [1]_.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU; None is 1 for all.

    Notes
    -----
    Per label y with probability p, times the AU's weight, averaged over known labels::

        -(y log p + (1 - y) p log(1 - p))

    The factor p makes a negative label count little where p is small already: AUs are
    absent from most faces. The gradient goes through it, as printed; the authors' code
    takes it for a constant. With no known label the value and the gradient are 0.

    References
    ----------
    .. [1] C. Luo, S. Song, W. Xie, L. Shen and H. Gunes, "Learning multi-dimensional
       edge feature-based AU relation graph for facial action unit recognition", IJCAI
       2022.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import WeightedAsymmetric
    >>> labels = torch.tensor([[1.0, 0.0, float("nan")]])
    >>> WeightedAsymmetric()(torch.zeros(1, 3), {"labels": labels})
    tensor(0.5199)
    """

    def __init__(self, class_weight: ArrayLike | None = None) -> None:
        super().__init__()
        weight = as_class_weight(class_weight)
        self.register_buffer("class_weight", weight, persistent=False)

    def forward(
        self, outputs: Tensor | tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        outputs : Tensor of shape (n, n_aus), or (Tensor, dict)
            Logits, or what a network with auxiliary outputs returns.
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), from 0 to 1, NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        logits = logits_of(outputs)
        labels, share = known_labels(targets, logits.shape, logits)
        present = labels * F.logsigmoid(logits)
        absent = (1 - labels) * logits.sigmoid() * F.logsigmoid(-logits)
        return mean_of_known(-(present + absent), share, self.class_weight)


class MEGraphLoss(nn.Module):
    """Loss of AUs and of how pairs of AUs occur together, for `skfau.nn.MEGraph` [1]_.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU in the loss of AUs; None is 1 for all.
    edge_weight : float, default=0.05
        Weight of the loss of pairs, the paper's lambda; 0 leaves it out.

    Attributes
    ----------
    parts : dict of str to Tensor of shape ()
        What each part added to the loss of the last call, weighted and detached:
        ``"label"`` and, with a weight, ``"edge"``.

    Notes
    -----
    The loss of AUs is `WeightedAsymmetric`. That of pairs is the cross entropy of four
    classes for every ordered pair of two different AUs, averaged over pairs of known
    labels: 0, neither occurs; 1, the second alone; 2, the first alone; 3, both. Labels
    between 0 and 1, as of mixed faces, give a pair the product of its labels'
    probabilities.

    References
    ----------
    .. [1] C. Luo, S. Song, W. Xie, L. Shen and H. Gunes, "Learning multi-dimensional
       edge feature-based AU relation graph for facial action unit recognition", IJCAI
       2022.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import MEGraphLoss
    >>> loss = MEGraphLoss(edge_weight=0.1)
    >>> outputs = torch.zeros(1, 2), {"edge_logits": torch.zeros(1, 2, 2, 4)}
    >>> total = loss(outputs, {"labels": torch.ones(1, 2)})
    >>> loss.parts
    {'label': tensor(0.6931), 'edge': tensor(0.1386)}
    """

    def __init__(
        self, class_weight: ArrayLike | None = None, edge_weight: float = 0.05
    ) -> None:
        super().__init__()
        self.label_loss = WeightedAsymmetric(class_weight)
        self.edge_weight = edge_weight
        self.parts = {}

    def forward(
        self, outputs: tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss and keep its parts.

        Parameters
        ----------
        outputs : (Tensor, dict)
            What `MEGraph` returns: logits (n, n_aus) and ``"edge_logits"`` (n, n_aus,
            n_aus, 4), needed with `edge_weight`.
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), from 0 to 1, NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()

        Raises
        ------
        ValueError
            If there are no ``"edge_logits"``, and `edge_weight` is not 0.
        """
        parts = {"label": self.label_loss(outputs, targets)}
        if self.edge_weight:
            parts["edge"] = self.edge_weight * _pair_loss(outputs, targets)
        self.parts = {name: value.detach() for name, value in parts.items()}
        return sum(parts.values())


def _pair_loss(outputs, targets):
    """Return the mean cross entropy of ordered pairs of different AUs."""
    remedy = "Pass edge_weight=0, or take a network with edge features."
    edge_logits = aux_of(outputs, "edge_logits", remedy)
    labels, share = known_labels(targets, edge_logits.shape[:2], edge_logits)
    known = (share > 0).to(share)
    weight = weights_of(targets, edge_logits)[:, None, None]
    pairs = weight * known.unsqueeze(2) * known.unsqueeze(1)
    pairs = pairs * (1 - torch.eye(labels.shape[1]).to(pairs))
    # Axis 1 is the first AU of a pair, axis 2 the second.
    first = torch.stack([1 - labels, labels], dim=-1)[:, :, None, :, None]
    second = torch.stack([1 - labels, labels], dim=-1)[:, None, :, None, :]
    classes = (first * second).flatten(-2)
    each = -(classes * edge_logits.log_softmax(dim=-1)).sum(dim=-1)
    return mean_of_known(each, pairs)
