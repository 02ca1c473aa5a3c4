"""DRML, the network of Zhao et al. (CVPR 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from skfau.nn._blocks import check_size, init_xavier_
from skfau.nn._region_layer import PatchConv
from skfau.nn._transfer import declare_au_axes

__all__ = ["DRML"]

# Patches along each side of a face.
_GRID = 8
# Smallest side of an image: a smaller one has no position left after the convolutions.
_SMALLEST = 66


class DRML(nn.Module):
    """Deep region and multi-label learning [1]_.

    A convolution, a region layer with separate filters for each of 8x8 patches of the
    face, four more convolutions and three linear layers. The last one has one output
    per AU.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    channels : int, default=16
        The unit of all widths: the first convolution and the region layer have twice
        as many, the others as many, the linear layers 256 and 128 times as many.
    image_size : int, default=170
        Side of the images, pixels: 66, 74, 82 and so on.
    dropout : float, default=0.5
        After each of the first two linear layers.
    region_layer : bool, default=True
        False leaves it out: the paper's ConvNet.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    first : nn.Module
        The first convolution.
    region : nn.Module or None
        The region layer.
    features, classifier : nn.Sequential
        The layers after the region layer.

    Raises
    ------
    ValueError
        If images of this size cannot be cut in patches.

    Notes
    -----
    Layers and sizes are those of the authors' released network: only the convolutions
    of the patches are padded; batch norm within a patch has no weights; the region
    layer's input is added to its output. Weights start from Xavier's distribution, and
    biases between the first and the last layer from 0.1. With the released start
    (Gaussians of standard deviation 0.01 and 0.005, biases of 1) a narrow network
    learned only the rates of the AUs.

    Below 82 px little is left of the maps after the last convolution: 1x1 at 66 px, 3x3
    at 74 px, 5x5 at 82 px, 27x27 at 170 px.

    The 64 patches are one grouped convolution.

    References
    ----------
    .. [1] K. Zhao, W.-S. Chu and H. Zhang, "Deep region and multi-label learning for
       facial action unit detection", CVPR 2016.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import DRML
    >>> DRML(12, channels=2, image_size=66)(torch.zeros(2, 3, 66, 66)).shape
    torch.Size([2, 12])
    """

    def __init__(
        self,
        n_aus: int,
        *,
        channels: int = 16,
        image_size: int = 170,
        dropout: float = 0.5,
        region_layer: bool = True,
    ) -> None:
        super().__init__()
        inside = image_size - 10
        if inside % _GRID or image_size < _SMALLEST:
            raise ValueError(
                f"The region layer cuts images in {_GRID}x{_GRID} patches after an "
                f"11x11 convolution, so image_size must be {_SMALLEST}, "
                f"{_SMALLEST + _GRID}, {_SMALLEST + 2 * _GRID} ..., the paper's 170. "
                f"Got {image_size}."
            )
        self.n_aus, self.image_size = n_aus, image_size
        wide = 2 * channels
        self.first = nn.Conv2d(3, wide, 11)
        self.region = None
        if region_layer:
            self.region = PatchConv(wide, wide, _GRID, own_norm=True, affine=False)
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.LocalResponseNorm(5),
            nn.Conv2d(wide, channels, 8),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 8),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 6, stride=2),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 5),
            nn.ReLU(),
        )
        # Side after convolutions of 8, of 8, of 6 with stride 2, and of 5.
        side = (inside // 2 - 20) // 2 - 3
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side**2, 256 * channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256 * channels, 128 * channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128 * channels, n_aus),
        )
        init_xavier_(self)
        for name, layer in self.named_modules():
            outer = name in ("first", "classifier.7")
            if isinstance(layer, (nn.Conv2d, nn.Linear)) and not outer:
                # A positive bias avoids dead ReLU units.
                nn.init.constant_(layer.bias, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : Tensor of shape (n, 3, image_size, image_size), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)

        Raises
        ------
        ValueError
            If the images have another size.
        """
        check_size(images, self.image_size)
        maps = self.first(images)
        if self.region is not None:
            maps = maps + self.region(maps)
        return self.classifier(self.features(maps))

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            Entry name and the axes along which the AUs' equal blocks follow each
            other: the last layer's.
        """
        return declare_au_axes(self, {"classifier.7": (0,)})
