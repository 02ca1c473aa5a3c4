"""The plain network that the published ones are compared with."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from skfau.nn._backbones import make_backbone
from skfau.nn._blocks import init_xavier_
from skfau.nn._transfer import declare_au_axes

__all__ = ["PooledNet"]


class PooledNet(nn.Module):
    """A backbone up to its last maps, global average pooling and one linear layer.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    backbone : str or nn.Module, default='resnet18'
        Backbone by name, or a module that maps images to feature maps. See
        `make_backbone`.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of a named backbone.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import PooledNet
    >>> PooledNet(12, backbone="tiny")(torch.zeros(2, 3, 112, 112)).shape
    torch.Size([2, 12])
    """

    def __init__(
        self,
        n_aus: int,
        backbone: str | nn.Module = "resnet18",
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.n_aus = n_aus
        self.backbone = make_backbone(backbone, weights, cut="full")
        self.classifier = nn.Linear(self.backbone.out_channels, n_aus)
        init_xavier_(self.classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        """
        return self.classifier(self.backbone(images).mean(dim=(2, 3)))

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            The classifier's entries; the backbone belongs to all AUs.
        """
        return declare_au_axes(self, {"classifier": (0,)})
