"""Losses between logits and labels: weighted cross entropy, Tversky and Dice."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.losses._inputs import (
    as_class_weight,
    known_labels,
    logits_of,
    mean_of_known,
    weights_of,
)

__all__ = ["WeightedBCE", "WeightedDice", "WeightedTversky"]


class WeightedBCE(nn.Module):
    """Binary cross entropy of every AU, weighted per AU, over known labels.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU; None is 1 for all.
    reduction : {"mean", "sum"}, default="mean"
        What the sum of ``w_i * bce(y_ni, p_ni)`` over known labels is divided by: their
        number, or with ``"sum"`` the number of faces.

    Raises
    ------
    ValueError
        If `reduction` is something else.

    Notes
    -----
    ``"mean"`` is the mean over the batch of equation 4 of [1]_, with the logarithm and
    the minus sign that are missing in print. ``"sum"`` is the sum over the AUs of
    equation 2 of [2]_, averaged over faces: an unknown label adds nothing, and leaves
    the steps for the others as they are. The weights are not normalised here. Computed
    in float32 (or wider) from logits. With no known label the value and the gradient
    are 0.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial action unit detection with
       transformers", CVPR 2021.
    .. [2] Z. Shao, Z. Liu, J. Cai, Y. Wu and L. Ma, "Facial action unit detection
       using attention and relation learning", first version, arXiv:1808.03457v1.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import WeightedBCE
    >>> labels = torch.tensor([[1.0, float("nan")]])
    >>> WeightedBCE()(torch.zeros(1, 2), {"labels": labels})
    tensor(0.6931)
    """

    def __init__(
        self,
        class_weight: ArrayLike | None = None,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum'. Got {reduction!r}.")
        self.reduction = reduction
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
            ``"labels"``: Tensor of shape (n, n_aus), 0, 1 or NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        logits = logits_of(outputs)
        labels, share = known_labels(targets, logits.shape, logits)
        each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        mean = mean_of_known(each, share, self.class_weight)
        if self.reduction == "mean":
            return mean
        n_faces = weights_of(targets, logits).sum()
        return mean * share.sum() / torch.where(n_faces > 0, n_faces, 1.0)


class WeightedTversky(nn.Module):
    """Tversky loss of every AU over the batch, weighted per AU, over known labels.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU; None is 1 for all.
    alpha : float, default=0.25
        Weight of false positives.
    beta : float, default=0.75
        Weight of false negatives. ``alpha = beta = 0.5`` is the Dice loss.
    eps : float, default=1.0
        Added above and below the fraction bar.

    Notes
    -----
    Per AU, with sums over the known labels of the batch, TP = sum of p y, FP = sum of
    p (1 - y) and FN = sum of (1 - p) y::

        (alpha FP + beta FN + eps) / (TP + alpha FP + beta FN + eps)

    then the mean over the AUs with a known label of this times their weight (equation
    4 of [1]_, where `eps` has no value). The paper does not say what its sums run over.
    Over single images a negative label would always give 1 and no gradient. The same
    holds here for an AU without a positive label in the batch: it adds its weight and
    no gradient. With no known label at all the value and the gradient are 0.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial action unit detection with
       transformers", CVPR 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import WeightedTversky
    >>> labels = torch.tensor([[1.0], [0.0]])
    >>> WeightedTversky()(torch.zeros(2, 1), {"labels": labels})
    tensor(0.7500)
    """

    def __init__(
        self,
        class_weight: ArrayLike | None = None,
        alpha: float = 0.25,
        beta: float = 0.75,
        eps: float = 1.0,
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.eps = alpha, beta, eps
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
            ``"labels"``: Tensor of shape (n, n_aus), 0, 1 or NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        logits = logits_of(outputs)
        labels, share = known_labels(targets, logits.shape, logits)
        present = torch.where(share > 0, share * logits.sigmoid(), 0.0)
        absent = torch.where(share > 0, share * (-logits).sigmoid(), 0.0)
        hits = (present * labels).sum(dim=0)
        misses = self.alpha * (present * (1 - labels)).sum(dim=0)
        misses = misses + self.beta * (absent * labels).sum(dim=0) + self.eps
        each = misses / (hits + misses)
        known = (share > 0).any(dim=0).to(each)
        return mean_of_known(each, known, self.class_weight)


class WeightedDice(nn.Module):
    """Dice loss of every label, weighted per AU, over known labels [1]_ [2]_.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU; None is 1 for all.
    eps : float, default=1.0
        Added above and below the fraction bar.

    Notes
    -----
    Per label y with probability p, times the AU's weight, averaged over known labels::

        1 - (2 y p + eps) / (y² + p² + eps)

    as released with [2]_. With no known label the value and the gradient are 0. Unlike
    `WeightedTversky` it has no sums over the batch: it is a loss per label, flatter
    than cross entropy where a prediction is far off. (The released code of [1]_
    sums over the batch within the fraction, then divides the fraction by the batch's
    size, which leaves hardly any gradient in large batches.)

    References
    ----------
    .. [1] Z. Shao, Z. Liu, J. Cai and L. Ma, "Deep adaptive attention for joint facial
       action unit detection and face alignment", ECCV 2018.
    .. [2] G. Tallec, E. Yvinec, A. Dapogny and K. Bailly, "Multi-label classification
       with transformers for action unit detection", 2022.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import WeightedDice
    >>> labels = torch.tensor([[1.0, float("nan")]])
    >>> WeightedDice()(torch.zeros(1, 2), {"labels": labels})
    tensor(0.1111)
    """

    def __init__(self, class_weight: ArrayLike | None = None, eps: float = 1.0) -> None:
        super().__init__()
        self.eps = eps
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
        p = logits.sigmoid()
        above = 2 * labels * p + self.eps
        each = 1 - above / (labels.square() + p.square() + self.eps)
        return mean_of_known(each, share, self.class_weight)
