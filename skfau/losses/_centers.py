"""Losses that pull embeddings of active AUs towards a centre per AU."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from skfau.losses._inputs import aux_of, known_labels, mean_of_known, weights_of

__all__ = ["CenterContrastive", "CenterLoss"]

_REDUCTIONS = ("mean", "sum")


class _CenterBase(nn.Module):
    """Keep one centre per AU and move it after each optimiser step.

    In training mode every call adds its embeddings of active AUs to a tally, which
    `after_step` uses and clears. So gradients may be accumulated over several batches.
    """

    def __init__(
        self,
        n_aus: int,
        embedding_dim: int,
        rate: float,
        reduction: Literal["mean", "sum"],
    ) -> None:
        super().__init__()
        if reduction not in _REDUCTIONS:
            raise ValueError(
                f"reduction must be one of {_REDUCTIONS}. Got {reduction!r}."
            )
        self.rate, self.reduction = rate, reduction
        self.register_buffer("centers", torch.zeros(n_aus, embedding_dim))
        self._tally = None

    def forward(
        self, outputs: tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        outputs : (Tensor, dict)
            The dict's ``"embeddings"``: Tensor of shape (n, n_aus, embedding_dim).
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), 0, 1 or NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        remedy = "Pass center_loss=None or take a network with a branch per AU."
        embeddings = aux_of(outputs, "embeddings", remedy)
        labels, share = known_labels(targets, embeddings.shape[:2], embeddings)
        # A label between 0 and 1 counts as active and as inactive, in proportion.
        active, inactive = share * labels, share * (1 - labels)
        if self.training:
            self._count(embeddings.detach(), active)
        distances = (embeddings - self.centers.to(embeddings)).square().sum(dim=-1)
        n_faces = weights_of(targets, embeddings).sum()
        totals = [self._reduce(distances, s, n_faces) for s in (active, inactive)]
        # Without an active pair or an inactive one there is nothing to contrast.
        contrasted = (active > 0).any() & (inactive > 0).any()
        return self._combine(*totals, contrasted)

    def _reduce(self, distances, share, n_faces):
        """Return the mean over the pairs, or over the faces the sum of their pairs."""
        mean = mean_of_known(distances, share)
        if self.reduction == "mean":
            return mean
        return mean * share.sum() / n_faces.clamp(min=torch.finfo(mean.dtype).tiny)

    def _count(self, embeddings, active):
        # Totals by a product and a sum: autocast would turn an einsum into bfloat16.
        totals = (active.unsqueeze(-1) * embeddings).sum(dim=0).to(self.centers)
        counts = active.sum(dim=0).to(self.centers)
        if self._tally is not None:
            totals, counts = totals + self._tally[0], counts + self._tally[1]
        self._tally = totals, counts

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return the axes of the state's entries along which AUs lie."""
        return {"centers": (0,)}

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the centres, once per optimiser step and after it."""
        if self._tally is None:
            return
        totals, counts = self._tally
        counts = counts.unsqueeze(1)
        self.centers -= self.rate * (counts * self.centers - totals) / (1 + counts)
        self._tally = None


class CenterContrastive(_CenterBase):
    """Pull embeddings of active AUs to their centre and push the others away [1]_.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    embedding_dim : int
        Length of an AU's embedding.
    rate : float, default=0.5
        Step of the centres; the value of [2]_, as the paper has none.
    eps : float, default=1e-06
        Added to the denominator.
    reduction : {"mean", "sum"}, default="mean"
        What is divided by what: means over pairs, or sums over them as in print.

    Attributes
    ----------
    centers : Tensor of shape (n_aus, embedding_dim)
        A buffer without gradient, 0 at the start.

    Notes
    -----
    Equation 5 of [1]_ with means in place of sums, so that the value does not depend on
    how many AUs are active: with squared distances between an image's embedding of AU
    i and centre i, ``mean over active pairs / (mean over inactive pairs + eps)``, over
    all pairs of image and AU in the batch with a known label. Without an active pair
    or without an inactive one there is nothing to contrast: value and gradient are 0.

    ``reduction="sum"`` is equation 5 as printed, with each of its sums averaged over
    the images of the batch. The value is that of means times the active pairs, divided
    by the inactive ones: about a half for the AUs of BP4D, a tenth for those of DISFA.

    Centres follow as in [2]_: after each optimiser step, centre i moves by ``-rate *
    sum over active images of (c_i - f_i) / (1 + their number)``, with the embeddings
    that the loss saw. Call `after_step` for that.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial action unit detection with
       transformers", CVPR 2021.
    .. [2] Y. Wen, K. Zhang, Z. Li and Y. Qiao, "A discriminative feature learning
       approach for deep face recognition", ECCV 2016.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import CenterContrastive
    >>> loss = CenterContrastive(n_aus=1, embedding_dim=2)
    >>> embeddings = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    >>> outputs = torch.zeros(2, 1), {"embeddings": embeddings}
    >>> loss(outputs, {"labels": torch.tensor([[1.0], [0.0]])})
    tensor(0.2500)
    >>> loss.after_step()
    >>> loss.centers
    tensor([[0.2500, 0.0000]])
    """

    def __init__(
        self,
        n_aus: int,
        embedding_dim: int,
        rate: float = 0.5,
        eps: float = 1e-6,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(n_aus, embedding_dim, rate, reduction)
        self.eps = eps

    def _combine(self, pulled, pushed, contrasted):
        return torch.where(contrasted, pulled / (pushed + self.eps), 0.0)


class CenterLoss(_CenterBase):
    """Pull embeddings of active AUs to their centre [1]_.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    embedding_dim : int
        Length of an AU's embedding.
    rate : float, default=0.5
        Step of the centres.
    reduction : {"mean", "sum"}, default="mean"
        The mean over pairs, or the mean over images of the sum of their pairs.

    Attributes
    ----------
    centers : Tensor of shape (n_aus, embedding_dim)
        A buffer without gradient, 0 at the start.

    Notes
    -----
    Half the mean squared distance over the active pairs of image and AU in the batch;
    0 without an active pair. In the original every image has one class, so that both
    reductions are its sum over the batch, divided by the number of images. Centres
    follow as for `CenterContrastive`.

    References
    ----------
    .. [1] Y. Wen, K. Zhang, Z. Li and Y. Qiao, "A discriminative feature learning
       approach for deep face recognition", ECCV 2016.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import CenterLoss
    >>> outputs = torch.zeros(1, 1), {"embeddings": torch.tensor([[[1.0, 2.0]]])}
    >>> CenterLoss(n_aus=1, embedding_dim=2)(outputs, {"labels": torch.ones(1, 1)})
    tensor(2.5000)
    """

    def __init__(
        self,
        n_aus: int,
        embedding_dim: int,
        rate: float = 0.5,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(n_aus, embedding_dim, rate, reduction)

    def _combine(self, pulled, pushed, contrasted):
        return pulled / 2
