"""Loss between attention maps and ROI heatmaps."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skfau.losses._inputs import aux_of, known_labels, mean_of_known, weights_of

__all__ = ["MapLoss"]

_DISTANCES = ("huber", "l1", "l2")
_TARGETS = ("active", "all")


class MapLoss(nn.Module):
    """Distance between attention maps and ROI heatmaps (equation 2 of [1]_).

    Parameters
    ----------
    distance : {"huber", "l1", "l2"}, default="huber"
        Per position, with d the difference: Huber's function, d² / 2 up to `delta` and
        ``delta * (|d| - delta / 2)`` beyond; ``|d|``; d².
    delta : float, default=0.5
        Where Huber's function turns linear.
    target : {"active", "all"}, default="active"
        What a map should look like. ``"active"``: the AU's heatmap where its label is
        1, an empty map (all 0) where it is 0; maps of unknown labels are left out.
        ``"all"``: the heatmap whatever the label, known or not.

    Notes
    -----
    The mean over all positions of the maps that count. A map counts unless its heatmap
    holds NaN (no landmarks) or, with ``"active"``, its label is unknown. If none
    counts, the value and the gradient are 0.

    The paper makes its maps "from action unit labels" and shows those of active AUs
    only. It does not say whether an inactive AU has an empty map or its usual one.
    ``"active"`` is the literal reading: a map also tells whether the AU is present.
    With ``"all"`` it tells only where to look.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial action unit detection with
       transformers", CVPR 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.losses import MapLoss
    >>> predicted = torch.full((1, 2, 4, 4), 0.2)
    >>> targets = {"labels": torch.tensor([[1.0, 0.0]]), "maps": torch.ones(1, 2, 4, 4)}
    >>> outputs = torch.zeros(1, 2), {"attention_maps": predicted}
    >>> round(float(MapLoss("l1")(outputs, targets)), 4)
    0.5
    """

    def __init__(
        self,
        distance: Literal["huber", "l1", "l2"] = "huber",
        delta: float = 0.5,
        target: Literal["active", "all"] = "active",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("distance", distance, _DISTANCES),
            ("target", target, _TARGETS),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}. Got {value!r}.")
        self.distance, self.delta, self.target = distance, delta, target

    def forward(
        self, outputs: tuple[Tensor, dict[str, Any]], targets: dict[str, Any]
    ) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        outputs : (Tensor, dict)
            The dict's ``"attention_maps"``: Tensor of shape (n, n_aus, h, w).
        targets : dict
            ``"maps"``: heatmaps of the same shape, a map with NaN does not count.
            ``"labels"``: (n, n_aus), 0, 1 or NaN for unknown.

        Returns
        -------
        loss : Tensor of shape ()
        """
        remedy = "Pass map_loss=None or take a network with attention."
        maps = aux_of(outputs, "attention_maps", remedy)
        if "maps" not in targets:
            raise ValueError(
                "MapLoss compares attention maps with targets['maps']. Got targets "
                f"with {sorted(targets)}; add heatmaps or pass map_loss=None."
            )
        heatmaps = targets["maps"].to(maps)
        if heatmaps.shape != maps.shape:
            raise ValueError(
                "Heatmaps must have the shape of the network's attention maps, "
                f"{tuple(maps.shape)}. Got {tuple(heatmaps.shape)}; draw them at the "
                "size that skfau.nn.feature_map_size gives."
            )
        share = weights_of(targets, maps).unsqueeze(1)
        if self.target == "active":
            labels, share = known_labels(targets, maps.shape[:2], maps)
            heatmaps = heatmaps * labels[..., None, None]
        share = share * ~heatmaps.isnan().any(dim=-1).any(dim=-1)
        # Maps are cleared of NaN before the distance: after it, their gradient is NaN.
        heatmaps = torch.where(share[..., None, None] > 0, heatmaps, 0.0)
        each = self._distance(maps, heatmaps).mean(dim=(-2, -1))
        return mean_of_known(each, share)

    def _distance(self, maps, heatmaps):
        if self.distance == "huber":
            return F.huber_loss(maps, heatmaps, reduction="none", delta=self.delta)
        if self.distance == "l1":
            return (maps - heatmaps).abs()
        return (maps - heatmaps).square()
