"""The training objective of Shao et al. for WSARL."""

from __future__ import annotations

from typing import Any, Literal

from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.losses._inputs import aux_of, mean_of_known, weights_of
from skfau.losses._label_losses import WeightedBCE

__all__ = ["WSARLLoss"]


class WSARLLoss(nn.Module):
    """Weighted cross-entropy and, optionally, the CRF's energy for `WSARL` [1]_.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU in the cross-entropy; None is 1 for all.
    energy_weight : float, default=0.0
        Weight of the CRF's energy; 0 leaves it out.
    reduction : {"mean", "sum"}, default="mean"
        ``"sum"`` is what is printed, averaged over faces; ``"mean"`` also averages over
        AUs, and the energy over pixels. See Notes.

    Attributes
    ----------
    parts : dict of str to Tensor of shape ()
        What each part added to the loss of the last call, weighted and detached:
        ``"wce"`` and, with a weight, ``"crf_energy"``.

    Raises
    ------
    ValueError
        If `reduction` is something else.

    Notes
    -----
    Equation 10 adds the energies of all AUs' labellings to the cross-entropy. Read
    literally it has no value, because the mean field gives probabilities and no
    labelling. Here it is the expected energy: the initial attention's cross-entropy
    against the refined one, plus for each pair of pixels its kernels' weight times the
    probability that their labels differ. A pixel is paired with itself, too, as in the
    released mean field and not in equation 6. That adds 3 to 4 % at ``crf_scale=1``, 1
    % at 2 and less at 4.

    With ``reduction="sum"``, sums are those in print: over AUs in equations 2 and 10,
    over pixels and their pairs in equation 6. Then the energy outweighs the labels by
    four orders of magnitude at 176x176, and without it the steps of SGD are `n_aus`
    times as long. With ``"mean"`` the cross-entropy is the mean over known labels, as
    released, and the energy the mean over AUs and pixels: they have the ratio of
    equation 10, but for the number of pixels.

    The energy is lowest, 0, where every map is all 0 or all 1, so it works against
    attention. It has no gradient in the kernels' weights: they are learned here by the
    labels alone, and constants in equation 7. The authors' released code has no such
    term, and the default is 0.

    References
    ----------
    .. [1] Z. Shao, Z. Liu, J. Cai, Y. Wu and L. Ma, "Facial action unit detection
       using attention and relation learning", first version, arXiv:1808.03457v1.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import WSARLLoss
    >>> outputs = torch.zeros(1, 2), {"crf_energy": torch.tensor([[0.5, 1.0]])}
    >>> loss = WSARLLoss(energy_weight=0.1)
    >>> loss(outputs, {"labels": torch.tensor([[1.0, 0.0]])})
    tensor(0.7681)
    >>> loss.parts["crf_energy"]
    tensor(0.0750)
    """

    def __init__(
        self,
        class_weight: ArrayLike | None = None,
        energy_weight: float = 0.0,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        self.label_loss = WeightedBCE(class_weight, reduction)
        self.energy_weight, self.reduction = energy_weight, reduction
        self.parts = {}

    def forward(
        self, outputs: tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss and keep its parts.

        Parameters
        ----------
        outputs : (Tensor, dict)
            What `skfau.nn.WSARL` returns.
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), 0, 1 or NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        parts = {"wce": self.label_loss(outputs, targets)}
        if self.energy_weight:
            remedy = (
                "Pass energy_weight=0 or take a network with a CRF and energy=True."
            )
            energy = aux_of(outputs, "crf_energy", remedy)
            if self.reduction == "sum":
                n_pixels = outputs[1]["refined_maps"][0, 0].numel()
                energy = n_pixels * energy.sum(dim=1)
            else:
                energy = energy.mean(dim=1)
            energy = mean_of_known(energy, weights_of(targets, energy))
            parts["crf_energy"] = self.energy_weight * energy
        self.parts = {name: value.detach() for name, value in parts.items()}
        return sum(parts.values())
