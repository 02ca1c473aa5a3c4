"""The training objective of Shao et al. for JAA-Net: labels, landmarks, attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau._landmark_layouts import PARTS
from skfau.losses._inputs import aux_of, mean_of_known, weights_of
from skfau.losses._label_losses import WeightedBCE, WeightedDice

__all__ = ["JAANetLoss", "LandmarkLoss"]

# Rows of the eyes in the 68-point layout.
_EYES = (slice(36, 42), slice(42, 48))


class LandmarkLoss(nn.Module):
    """Squared distance between landmarks, in units of the distance of the eyes [1]_.

    Notes
    -----
    Per face, with d the distance between the centres of both eyes, the sum over its
    landmarks of ``((x - x')² + (y - y')²) / (2 d²)``; then the mean over faces. An
    unknown landmark has the error 0. A face with an unknown eye is left out; if no face
    is left, the value and the gradient are 0.

    References
    ----------
    .. [1] Z. Shao, Z. Liu, J. Cai and L. Ma, "Deep adaptive attention for joint facial
       action unit detection and face alignment", ECCV 2018.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import LandmarkLoss
    >>> truth = torch.zeros(1, 68, 2)
    >>> truth[:, 42:48, 0] = 50.0
    >>> predicted = truth + torch.tensor([10.0, 0.0])
    >>> outputs = torch.zeros(1, 12), {"landmarks": predicted}
    >>> LandmarkLoss()(outputs, {"landmarks": truth})
    tensor(1.3600)
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(
        self, outputs: tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        outputs : (Tensor, dict)
            The dict's ``"landmarks"``: Tensor of shape (n, 49 or 68, 2), pixels.
        targets : dict
            ``"landmarks"``: Tensor of shape (n, 68, 2), pixels, NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        remedy = "Take a network that finds landmarks."
        predicted = aux_of(outputs, "landmarks", remedy)
        if "landmarks" not in targets:
            raise ValueError(
                "LandmarkLoss compares landmarks with targets['landmarks']. Got "
                f"targets with {sorted(targets)}."
            )
        truth = targets["landmarks"].to(predicted)
        if truth.shape[1:] != (68, 2) or predicted.shape[1] not in PARTS:
            raise ValueError(
                "Landmarks must have shape (n, 68, 2) in the targets and be 49, 51, 66 "
                f"or 68 in the outputs. Got {tuple(truth.shape)} and "
                f"{tuple(predicted.shape)}; skfau.facs.to_68 brings layouts to 68."
            )
        left, right = (truth[:, eye].mean(dim=1) for eye in _EYES)
        unit = (left - right).square().sum(dim=1)
        counts = unit > 0
        truth = truth[:, list(PARTS[predicted.shape[1]])]
        known = ~truth.isnan() & counts.view(-1, 1, 1)
        error = predicted - torch.where(known, truth, 0.0)
        error = torch.where(known, error, 0.0).square().sum(dim=(1, 2))
        each = error / (2 * torch.where(counts, unit, 1.0))
        return mean_of_known(each, counts * weights_of(targets, each))


class JAANetLoss(nn.Module):
    """Sum of label, landmark and attention losses for `skfau.nn.JAANet` [1]_ [2]_.

    Parameters
    ----------
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU in the label losses; None is 1 for all.
    landmark_weight : float, default=0.5
        Weight of `LandmarkLoss`.
    refinement_weight : float, default=0.0
        Weight of the cross entropy between refined and initial attention, mean over
        positions and sum over AUs; 0.0002 in the released code of [1]_, none in [2]_.

    Attributes
    ----------
    parts : dict of str to Tensor of shape ()
        What each part added to the loss of the last call, weighted and detached:
        ``"wce"``, ``"dice"``, ``"landmarks"``, and as far as they are on
        ``"local_wce"``, ``"local_dice"`` and ``"refinement"``.

    Notes
    -----
    Weighted cross entropy and `WeightedDice` of the logits and, where the network has
    them, of the AUs' own branches.

    References
    ----------
    .. [1] Z. Shao, Z. Liu, J. Cai and L. Ma, "Deep adaptive attention for joint facial
       action unit detection and face alignment", ECCV 2018.
    .. [2] Z. Shao, Z. Liu, J. Cai and L. Ma, "JÂA-Net: Joint facial action unit
       detection and face alignment via adaptive attention", IJCV 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import JAANetLoss
    >>> landmarks = torch.rand(4, 68, 2)
    >>> outputs = torch.zeros(4, 2), {"landmarks": landmarks}
    >>> loss = JAANetLoss()
    >>> total = loss(outputs, {"labels": torch.eye(2).repeat(2, 1),
    ...                        "landmarks": landmarks})
    >>> sorted(loss.parts)
    ['dice', 'landmarks', 'wce']
    """

    def __init__(
        self,
        class_weight: ArrayLike | None = None,
        landmark_weight: float = 0.5,
        refinement_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.label_losses = nn.ModuleDict(
            {"wce": WeightedBCE(class_weight), "dice": WeightedDice(class_weight)}
        )
        self.landmark_loss = LandmarkLoss()
        self.landmark_weight = landmark_weight
        self.refinement_weight = refinement_weight
        self.parts = {}

    def forward(
        self, outputs: tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss and keep its parts.

        Parameters
        ----------
        outputs : (Tensor, dict)
            What `skfau.nn.JAANet` returns.
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), 0, 1 or NaN for unknown;
            ``"landmarks"``: Tensor of shape (n, 68, 2), pixels, NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        aux = {} if isinstance(outputs, torch.Tensor) else outputs[1]
        heads = {"": outputs}
        if "local_logits" in aux:
            heads["local_"] = aux["local_logits"]
        parts = {
            prefix + name: loss(head, targets)
            for prefix, head in heads.items()
            for name, loss in self.label_losses.items()
        }
        landmarks = self.landmark_loss(outputs, targets)
        parts["landmarks"] = self.landmark_weight * landmarks
        if self.refinement_weight:
            parts["refinement"] = self.refinement_weight * _refinement(outputs, targets)
        self.parts = {name: value.detach() for name, value in parts.items()}
        return sum(parts.values())


def _refinement(outputs, targets):
    """Return the cross entropy of refined maps against the initial ones."""
    remedy = "Pass refinement_weight=0 or take a network that refines attention."
    refined, initial = (
        aux_of(outputs, name, remedy) for name in ("refined_maps", "attention_maps")
    )
    # No autocast: it refuses binary_cross_entropy, whatever the type of its inputs.
    with torch.autocast(refined.device.type, enabled=False):
        each = F.binary_cross_entropy(refined, initial, reduction="none")
    of_faces = each.mean(dim=(2, 3)).sum(dim=1)
    return mean_of_known(of_faces, weights_of(targets, of_faces))
