"""The training objectives of AUNet and of its face alignment network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.losses._inputs import (
    at_least_float32,
    known_labels,
    logits_of,
    weights_of,
)
from skfau.losses._label_losses import WeightedBCE

__all__ = ["AUNetLoss", "LandmarkMapLoss"]


class AUNetLoss(nn.Module):
    """Weighted cross-entropy, and agreement with the labels in a latent space [1]_.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU in the cross-entropy; None is 1 for all.
    consistency_weight : float, default=1.0
        Weight gamma of the agreement.

    Attributes
    ----------
    parts : dict of str to Tensor of shape ()
        What each part added to the loss of the last call, weighted and detached:
        ``"bce"`` and, with encoders, ``"consistency"``.

    Notes
    -----
    Agreement (equation 3) is the squared distance between predictions and labels in
    the means and in the variances that an encoder of labels gives them, averaged over
    the faces that have an encoder and a known label. Each data set has its own encoder,
    trained before and frozen: `set_encoders`. Where a label is unknown, prediction and
    label both enter as unknown.

    The distance is averaged over the latent dimensions, as in the released code. The
    sum, as in the paper's norms, weighs eight times as much beside a cross-entropy that
    is averaged over AUs, and results get worse. Apart from that, the released code
    compares only the means, and pulls the standard deviations of predictions to 0.

    In equation 1 the weights sum to 1 and AUs are summed. Here the weights have mean 1
    and AUs are averaged, which is the same if all labels are known.

    References
    ----------
    .. [1] J. Yang, Y. Hristov, J. Shen, Y. Lin and M. Pantic, "Towards robust facial
       action units detection", Proceedings of the IEEE, 2023.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import AUNetLoss
    >>> AUNetLoss()(torch.zeros(1, 2), {"labels": torch.tensor([[1.0, 0.0]])})
    tensor(0.6931)
    """

    def __init__(
        self, class_weight: ArrayLike | None = None, consistency_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.label_loss = WeightedBCE(class_weight)
        self.consistency_weight = consistency_weight
        self.encoders = nn.ModuleList()
        self.parts = {}

    def set_encoders(self, encoders: Sequence[nn.Module]) -> None:
        """Take the data sets' encoders, in the order of their numbers in the targets.

        Parameters
        ----------
        encoders : sequence of nn.Module
            With ``encode(labels) -> (mean, log_variance)``, such as
            `skfau.nn.LabelVAE`. They are frozen here.
        """
        self.encoders = nn.ModuleList(encoders).requires_grad_(False)

    def forward(
        self, outputs: Tensor | tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss and keep its parts.

        Parameters
        ----------
        outputs : Tensor of shape (n, n_aus), or (Tensor, dict)
            Logits, or what a network with auxiliary outputs returns.
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), 0, 1 or NaN for unknown.
            ``"dataset"``: Tensor of shape (n,), int, the number of each face's
            encoder, -1 for a face without one; may be absent with one encoder.

        Returns
        -------
        loss : Tensor of shape ()
        """
        parts = {"bce": self.label_loss(outputs, targets)}
        if len(self.encoders) and self.consistency_weight:
            distance = self._distance(logits_of(outputs), targets)
            parts["consistency"] = self.consistency_weight * distance
        self.parts = {name: value.detach() for name, value in parts.items()}
        return sum(parts.values())

    def _distance(self, logits, targets):
        labels, share = known_labels(targets, logits.shape, logits)
        known, weight = share > 0, weights_of(targets, logits)
        dataset = targets.get("dataset", torch.zeros_like(logits[:, 0]))
        predicted = torch.where(known, logits.sigmoid(), torch.nan)
        labels = torch.where(known, labels, torch.nan)
        total, count = logits.new_zeros(()), logits.new_zeros(())
        for number, encoder in enumerate(self.encoders):
            rows = (dataset == number) & known.any(dim=1)
            mean, log_variance = encoder.encode(predicted[rows])
            true_mean, true_log_variance = encoder.encode(labels[rows])
            means = (mean - true_mean).square()
            variances = (log_variance.exp() - true_log_variance.exp()).square()
            each = weight[rows] * (means + variances).mean(dim=1)
            total, count = total + each.sum(), count + weight[rows].sum()
        return total / torch.where(count > 0, count, 1.0)


class LandmarkMapLoss(nn.Module):
    """Squared error of landmark heatmaps against Gaussians at the landmarks [1]_.

    Parameters
    ----------
    image_size : int
        Side of the images that the landmarks are measured in, pixels.
    sigma : float, default=1.0
        Standard deviation of the Gaussians, in cells of the maps.

    Notes
    -----
    Each Gaussian has its landmark's place to a fraction of a cell and the height 1;
    the error is averaged over all maps of known landmarks that lie within the image,
    and over the hourglasses that gave them.

    References
    ----------
    .. [1] A. Bulat and G. Tzimiropoulos, "How far are we from solving the 2D & 3D face
       alignment problem?", ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import LandmarkMapLoss
    >>> loss = LandmarkMapLoss(image_size=64)
    >>> loss.maps(torch.tensor([[[31.5, 0.0]]]), (4, 4)).shape
    torch.Size([1, 1, 4, 4])
    """

    def __init__(self, image_size: int, sigma: float = 1.0) -> None:
        super().__init__()
        self.image_size = image_size
        self.sigma = sigma

    def maps(self, landmarks: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return the Gaussians.

        Parameters
        ----------
        landmarks : Tensor of shape (n, n_landmarks, 2)
            Pixels of the image, x then y.
        size : tuple of int
            Height and width of the maps.

        Returns
        -------
        maps : Tensor of shape (n, n_landmarks, height, width)
            NaN where a landmark is NaN.
        """
        height, width = size
        scale = landmarks.new_tensor([width, height]) / self.image_size
        x, y = ((landmarks + 0.5) * scale - 0.5).unbind(dim=-1)
        across = torch.arange(width).to(landmarks) - x[..., None]
        down = torch.arange(height).to(landmarks) - y[..., None]
        along_x, along_y = (
            (-(d.square()) / (2 * self.sigma**2)).exp() for d in (across, down)
        )
        return along_y[..., :, None] * along_x[..., None, :]

    def forward(self, outputs: Tensor, targets: dict[str, Any]) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        outputs : Tensor of shape (n, n_stacks, n_landmarks, height, width)
            Heatmaps of every hourglass.
        targets : dict
            ``"landmarks"``: Tensor of shape (n, n_landmarks, 2), pixels, x then y; NaN
            for unknown ones.

        Returns
        -------
        loss : Tensor of shape ()
        """
        outputs, landmarks = at_least_float32(outputs), targets["landmarks"]
        inside = (landmarks > -0.5) & (landmarks < self.image_size - 0.5)
        seen = inside.all(dim=-1)[:, None, :, None, None]
        maps = self.maps(landmarks, outputs.shape[-2:]).unsqueeze(1)
        # Errors are masked before squaring: after it, the gradient of a NaN is NaN.
        errors = torch.where(seen, outputs - maps, 0.0)
        count = seen.sum() * errors[0, :, 0].numel()
        return errors.square().sum() / count.clamp(min=1)
