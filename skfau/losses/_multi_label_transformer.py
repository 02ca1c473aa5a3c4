"""The training objective of the multi-label transformer, as printed and as released."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.losses._label_losses import WeightedBCE, WeightedDice

__all__ = ["MultiLabelTransformerLoss"]


class MultiLabelTransformerLoss(nn.Module):
    """Cross entropy and, optionally, Dice loss for `MultiLabelTransformer` [1]_.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU in both parts; None is 1 for all, as in the paper.
    dice_weight : float, default=0.0
        Weight of `WeightedDice`; 0.5 as released, 0 leaves it out as in the paper.

    Attributes
    ----------
    parts : dict of str to Tensor of shape ()
        What each part added to the loss of the last call, weighted and detached:
        ``"wce"`` and, with a weight, ``"dice"``.

    Notes
    -----
    Equation 10 sums over AUs; here both parts are means over known labels. The two
    differ by a factor, which does not change the steps of Adam.

    References
    ----------
    .. [1] G. Tallec, E. Yvinec, A. Dapogny and K. Bailly, "Multi-label classification
       with transformers for action unit detection", 2022.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import MultiLabelTransformerLoss
    >>> loss = MultiLabelTransformerLoss(dice_weight=0.5)
    >>> loss(torch.zeros(1, 1), {"labels": torch.ones(1, 1)})
    tensor(0.7487)
    >>> loss.parts
    {'wce': tensor(0.6931), 'dice': tensor(0.0556)}
    """

    def __init__(
        self, class_weight: ArrayLike | None = None, dice_weight: float = 0.0
    ) -> None:
        super().__init__()
        self.label_loss = WeightedBCE(class_weight)
        self.dice = WeightedDice(class_weight) if dice_weight else None
        self.dice_weight = dice_weight
        self.parts = {}

    def forward(
        self, outputs: Tensor | tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss and keep its parts.

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
        parts = {"wce": self.label_loss(outputs, targets)}
        if self.dice is not None:
            parts["dice"] = self.dice_weight * self.dice(outputs, targets)
        self.parts = {name: value.detach() for name, value in parts.items()}
        return sum(parts.values())
