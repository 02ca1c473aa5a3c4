"""Weights of AUs from how often they occur."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["inverse_rate_weights", "soft_balance_weights"]


def soft_balance_weights(
    positives: ArrayLike, power: float = 0.7, normalize: bool = True
) -> Tensor:
    """Return the soft-balance weights of AUs (section 3.2 of [1]_, after [2]_).

    Parameters
    ----------
    positives : array-like of shape (n_aus,)
        Number of images in which each AU is active, or its share of them.
    power : float, default=0.7
        The paper's lambda: 0 is inverse frequency, 1 the same weight for all.
    normalize : bool, default=True
        Scale the weights to mean 1. As printed they have a mean near n_aus.

    Returns
    -------
    weights : Tensor of shape (n_aus,), dtype float32

    Notes
    -----
    With P_i the AU's share of all positives, Ps_i = (1 / (n_aus P_i)) ** power * P_i
    and w_i = sum(Ps) / Ps_i. An AU without a positive image, for which this is
    infinite, gets the weight of the rarest AU that has one.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial action unit detection with
       transformers", CVPR 2021.
    .. [2] J. Peng, X. Bu, M. Sun, Z. Zhang, T. Tan and J. Yan, "Large-scale object
       detection in the wild from imbalanced multi-labels", CVPR 2020.

    The scale of the weights is the scale of the label losses: with weights as printed
    they outweigh the other parts of equation 1 about n_aus times more.

    Examples
    --------
    >>> from skfau.losses import soft_balance_weights
    >>> soft_balance_weights([100, 1000])
    tensor([1.3323, 0.6677])
    """
    share = _without_zeros(positives)
    share = share / share.sum()
    soft = (1 / (len(share) * share)) ** power * share
    return _scaled(soft.sum() / soft, normalize)


def inverse_rate_weights(rates: ArrayLike, normalize: bool = True) -> Tensor:
    """Return weights in inverse proportion to how often AUs occur.

    Parameters
    ----------
    rates : array-like of shape (n_aus,)
        Share of the known labels of each AU that are positive.
    normalize : bool, default=True
        Scale the weights to mean 1, as JAA-Net does; else 1 / rate.

    Returns
    -------
    weights : Tensor of shape (n_aus,), dtype float32

    Notes
    -----
    An AU whose rate is 0 or NaN (no known label) gets the weight of the rarest AU with
    a positive rate.

    Examples
    --------
    >>> from skfau.losses import inverse_rate_weights
    >>> inverse_rate_weights([0.1, 0.3])
    tensor([1.5000, 0.5000])
    """
    return _scaled(1 / _without_zeros(rates), normalize)


def _without_zeros(frequencies):
    """Return frequencies in float64; 0 and NaN become the smallest positive one."""
    frequencies = torch.as_tensor(frequencies, dtype=torch.float64)
    if frequencies.ndim != 1 or (frequencies < 0).any():
        raise ValueError(
            "Expected one count or rate of at least 0 per AU, shape (n_aus,). Got "
            f"{frequencies.tolist()}."
        )
    seen = frequencies > 0
    if not seen.any():
        return torch.ones_like(frequencies)
    return torch.where(seen, frequencies, frequencies[seen].min())


def _scaled(weights, normalize):
    return (weights / weights.mean() if normalize else weights).float()
