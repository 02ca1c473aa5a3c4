"""A variational auto-encoder of AU labels: which AUs go together."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

__all__ = ["LabelVAE"]


class LabelVAE(nn.Module):
    """Variational auto-encoder of the AU labels of one data set [1]_.

    Its encoder, trained on labels, serves to compare predictions with labels: it maps
    combinations of AUs of the same meaning to the same place
    (`skfau.losses.AUNetLoss`).

    Parameters
    ----------
    rates : array-like of shape (n_aus,)
        How often each AU occurs in the data set; NaN for one that is not coded there,
        which the auto-encoder then leaves out.
    latent_dim : int
        Length k of the latent code.

    Attributes
    ----------
    rates : Tensor of shape (n_aus,)
        As given.

    Raises
    ------
    ValueError
        If no AU has a rate.

    Notes
    -----
    One hidden layer of k units with ReLU on either side of the code. An unknown label
    is replaced by its AU's rate: in training and, where predictions are compared with
    labels, on both sides, so that it makes no difference.

    References
    ----------
    .. [1] J. Yang, Y. Hristov, J. Shen, Y. Lin and M. Pantic, "Towards robust facial
       action units detection", Proceedings of the IEEE, 2023, section IV-B.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import LabelVAE
    >>> vae = LabelVAE([0.5, 0.1, float("nan")], latent_dim=2)
    >>> mean, log_variance = vae.encode(torch.zeros(5, 3))
    >>> mean.shape
    torch.Size([5, 2])
    """

    def __init__(self, rates: ArrayLike, latent_dim: int) -> None:
        super().__init__()
        rates = torch.as_tensor(rates, dtype=torch.float32)
        coded = rates.isfinite().nonzero().flatten()
        if not len(coded):
            raise ValueError("rates must have a number for at least one AU.")
        self.register_buffer("rates", rates)
        self.register_buffer("coded", coded, persistent=False)
        self.encoder = nn.Linear(len(coded), latent_dim)
        self.mean = nn.Linear(latent_dim, latent_dim)
        self.log_variance = nn.Linear(latent_dim, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, latent_dim),
            nn.ReLU(),
            nn.Linear(latent_dim, len(coded)),
        )

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code's distribution.

        Parameters
        ----------
        labels : Tensor of shape (n, n_aus), float
            Labels or probabilities; NaN for unknown ones.

        Returns
        -------
        mean, log_variance : Tensor of shape (n, latent_dim)
            Of the normal distributions, independent per entry.
        """
        labels = labels[:, self.coded]
        labels = torch.where(labels.isnan(), self.rates[self.coded], labels)
        hidden = F.relu(self.encoder(labels))
        return self.mean(hidden), self.log_variance(hidden)

    def loss(
        self,
        labels: Tensor,
        generator: torch.Generator,
        noise: float = 0.2,
        kl_weight: float = 0.3,
    ) -> Tensor:
        """Return the training objective (equation 2), summed over the rows.

        Parameters
        ----------
        labels : Tensor of shape (n, n_aus), float
            0, 1 or NaN for unknown, which is not reconstructed.
        generator : torch.Generator
            Draws the noise of inputs and codes.
        noise : float, default=0.2
            Labels are read with uniform noise of up to this, either way.
        kl_weight : float, default=0.3
            Weight lambda of the divergence from the standard normal distribution.

        Returns
        -------
        loss : Tensor of shape ()
        """
        drawn = torch.rand(labels.shape, generator=generator)
        mean, log_variance = self.encode(labels + noise * (2 * drawn - 1))
        normal = torch.randn(mean.shape, generator=generator)
        logits = self.decoder(mean + (log_variance / 2).exp() * normal)
        targets = labels[:, self.coded]
        known = ~targets.isnan()
        reconstruction = F.binary_cross_entropy_with_logits(
            logits[known], targets[known], reduction="sum"
        )
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        return reconstruction + kl_weight * divergence
