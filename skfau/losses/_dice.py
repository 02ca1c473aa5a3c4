"""Dice loss of single labels."""

from torch import nn

from skfau.losses._inputs import (
    as_class_weight,
    known_labels,
    logits_of,
    mean_of_known,
)

__all__ = ["WeightedDice"]


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

    as released with [2]_. With none known the value and the gradient are 0. Unlike
    `WeightedTversky` it knows no sums over the batch: it is a loss of one label,
    flatter than cross entropy where a label is far off. (The released code of [1]_
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

    def __init__(self, class_weight=None, eps=1.0):
        super().__init__()
        self.eps = eps
        weight = as_class_weight(class_weight)
        self.register_buffer("class_weight", weight, persistent=False)

    def forward(self, outputs, targets):
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
        labels, known = known_labels(targets, logits.shape, logits)
        p = logits.sigmoid()
        above = 2 * labels * p + self.eps
        each = 1 - above / (labels.square() + p.square() + self.eps)
        return mean_of_known(each, known, self.class_weight)
