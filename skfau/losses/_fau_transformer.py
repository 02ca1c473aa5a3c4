"""The training objective of Jacob and Stenger for FAU-Transformer (CVPR 2021)."""

from __future__ import annotations

from typing import Any, Literal

from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.losses._centers import CenterContrastive, CenterLoss
from skfau.losses._inputs import aux_of
from skfau.losses._label_losses import WeightedBCE, WeightedDice, WeightedTversky
from skfau.losses._maps import MapLoss

__all__ = ["FAUTransformerLoss"]


class FAUTransformerLoss(nn.Module):
    """Sum of label, map and centre losses for `skfau.nn.FAUTransformer` [1]_.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    embedding_dim : int
        Length of an AU's embedding.
    class_weight : array-like of shape (n_aus,) or None, default=None
        Weight of each AU in the label losses; None is 1 for all.
    attention_losses : tuple of {"wce", "tversky", "dice"}, default=('wce', 'tversky')
        Losses of the attention branch's logits (equation 3), `WeightedBCE`,
        `WeightedTversky` and, as in Table 7, `WeightedDice`; () for a network without
        attention.
    classifier_losses : tuple of {"wce", "tversky", "dice"}, default=('wce', 'tversky')
        Losses of the classifier's logits (equation 6), at least one.
    tversky_alpha : float, default=0.25
        Weight of false positives.
    tversky_beta : float, default=0.75
        Weight of false negatives.
    tversky_eps : float, default=1.0
        Added above and below the fraction bar.
    map_loss : {"huber", "l1", "l2"} or None, default='huber'
        Distance between attention maps and heatmaps (equation 2), `MapLoss`; None
        trains the maps without supervision.
    map_delta : float, default=0.5
        Where Huber's function turns linear.
    map_target : {"active", "all"}, default='active'
        Whether the maps of inactive AUs should be empty or like those of active ones.
    center_loss : {"contrastive", "center"} or None, default='contrastive'
        `CenterContrastive` (equation 5), `CenterLoss`, or none.
    center_reduction : {"mean", "sum"}, default='mean'
        Whether they have means over pairs of image and AU, or sums as in print.
    loss_weights : tuple of 4 float, default=(0.33, 0.33, 0.15, 0.15)
        Of attention, classifier, maps and centres (equation 1).

    Attributes
    ----------
    parts : dict of str to Tensor of shape ()
        What each part added to the loss of the last call, weighted and detached:
        ``"attention_wce"``, ``"classifier_wce"`` and so on, ``"map"``, ``"center"``,
        as far as they are on.

    Raises
    ------
    ValueError
        If a loss has an unknown name, the classifier has none, or there are not four
        weights.

    Notes
    -----
    Call `after_step` after every optimiser step: it moves the centres.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial action unit detection with
       transformers", CVPR 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import FAUTransformerLoss
    >>> loss = FAUTransformerLoss(2, 8, attention_losses=(), map_loss=None)
    >>> outputs = torch.zeros(4, 2), {"embeddings": torch.ones(4, 2, 8)}
    >>> total = loss(outputs, {"labels": torch.eye(2).repeat(2, 1)})
    >>> sorted(loss.parts)
    ['center', 'classifier_tversky', 'classifier_wce']
    >>> bool(total == sum(loss.parts.values()))
    True
    """

    def __init__(
        self,
        n_aus: int,
        embedding_dim: int,
        *,
        class_weight: ArrayLike | None = None,
        attention_losses: tuple[Literal["wce", "tversky", "dice"], ...] = (
            "wce",
            "tversky",
        ),
        classifier_losses: tuple[Literal["wce", "tversky", "dice"], ...] = (
            "wce",
            "tversky",
        ),
        tversky_alpha: float = 0.25,
        tversky_beta: float = 0.75,
        tversky_eps: float = 1.0,
        map_loss: Literal["huber", "l1", "l2"] | None = "huber",
        map_delta: float = 0.5,
        map_target: Literal["active", "all"] = "active",
        center_loss: Literal["contrastive", "center"] | None = "contrastive",
        center_reduction: Literal["mean", "sum"] = "mean",
        loss_weights: tuple[float, float, float, float] = (0.33, 0.33, 0.15, 0.15),
    ) -> None:
        super().__init__()
        label_losses = {
            "wce": WeightedBCE(class_weight),
            "tversky": WeightedTversky(
                class_weight, tversky_alpha, tversky_beta, tversky_eps
            ),
            "dice": WeightedDice(class_weight),
        }
        center_losses = {"contrastive": CenterContrastive, "center": CenterLoss}
        _check_names("attention_losses", attention_losses, label_losses)
        _check_names("classifier_losses", classifier_losses, label_losses)
        if not classifier_losses:
            raise ValueError(
                "classifier_losses must hold 'wce', 'tversky' or 'dice'. Got none, "
                "which would leave the network's own predictions untrained."
            )
        if center_loss is not None:
            _check_names("center_loss", (center_loss,), center_losses)
        if len(loss_weights) != 4:
            raise ValueError(
                "loss_weights must be four numbers, of attention, classifier, maps and "
                f"centres. Got {loss_weights!r}."
            )
        self.loss_weights = tuple(loss_weights)
        self.label_losses = nn.ModuleDict(label_losses)
        self.attention_losses = tuple(attention_losses)
        self.classifier_losses = tuple(classifier_losses)
        self.map_loss = map_loss and MapLoss(map_loss, map_delta, map_target)
        self.center_loss = center_loss and center_losses[center_loss](
            n_aus, embedding_dim, reduction=center_reduction
        )
        self.parts = {}

    def forward(
        self, outputs: tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss and keep its parts.

        Parameters
        ----------
        outputs : (Tensor, dict)
            What `FAUTransformer` returns.
        targets : dict
            ``"labels"``: Tensor of shape (n, n_aus), 0, 1 or NaN for unknown;
            ``"maps"``: Tensor of shape (n, n_aus, h, w), needed with `map_loss`.

        Returns
        -------
        loss : Tensor of shape ()
        """
        of_attention, of_classifier, of_maps, of_centers = self.loss_weights
        parts = {}
        for name in self.attention_losses:
            remedy = "Pass attention_losses=() or take a network with attention."
            logits = aux_of(outputs, "attention_logits", remedy)
            value = self.label_losses[name](logits, targets)
            parts[f"attention_{name}"] = of_attention * value
        for name in self.classifier_losses:
            value = self.label_losses[name](outputs, targets)
            parts[f"classifier_{name}"] = of_classifier * value
        if self.map_loss is not None:
            parts["map"] = of_maps * self.map_loss(outputs, targets)
        if self.center_loss is not None:
            parts["center"] = of_centers * self.center_loss(outputs, targets)
        self.parts = {name: value.detach() for name, value in parts.items()}
        return sum(parts.values())

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return the axes of the state's entries along which AUs lie: the centres'."""
        own = self.center_loss.au_axes() if self.center_loss is not None else {}
        return {f"center_loss.{name}": axes for name, axes in own.items()}

    def after_step(self) -> None:
        """Move the centres, once per optimiser step and after it."""
        if self.center_loss is not None:
            self.center_loss.after_step()


def _check_names(parameter, names, known):
    for name in names:
        if name not in known:
            raise ValueError(
                f"{parameter} may hold {', '.join(map(repr, known))}. Got {name!r}."
            )
