"""VGG-19 whose groups can let some places through unchanged.

References
----------
Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
recognition", ICLR 2015.
"""

from torch import nn

from skfau.nn._weights import init_kaiming_

__all__ = ["VGG19"]

# Convolutions of a group, and their widths in units of the first group's.
_GROUPS = ((2, 1), (2, 2), (4, 4), (4, 8), (4, 8))


class VGG19(nn.Module):
    """The convolutions and the first linear layer of VGG-19, as torchvision names them.

    Parameters
    ----------
    channels : int
        Of the first group; VGG-19's is 64.
    image_size : int
        Side of the images, pixels.
    """

    # Prefixes of a checkpoint's entries of layers that this trunk does not have.
    unused_entries = ("classifier.3.", "classifier.6.")

    def __init__(self, channels, image_size):
        super().__init__()
        layers, in_channels, self.groups = [], 3, []
        for depth, times in _GROUPS:
            start = len(layers)
            for _ in range(depth):
                layers.append(nn.Conv2d(in_channels, times * channels, 3, padding=1))
                layers.append(nn.ReLU())
                in_channels = times * channels
            self.groups.append((start, len(layers)))
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        flat = in_channels * (image_size // 32) ** 2
        self.classifier = nn.Sequential(nn.Linear(flat, 64 * channels))
        init_kaiming_(self.features)

    def group(self, number, maps, gate=None):
        """Return the maps of a group, counted from 0, before the pooling behind it.

        With a gate (n, 1, h, w), the output of the group's first convolution, weighted
        by it, is added to that of the last.
        """
        start, end = self.groups[number]
        if number:
            maps = self.features[start - 1](maps)
        for place in range(start, end):
            maps = self.features[place](maps)
            if place == start + 1:
                first = maps
        return maps if gate is None else maps + gate * first

    def pooled(self, maps):
        """Return the first linear layer's output for the maps of the last group."""
        return self.classifier[0](self.features[-1](maps).flatten(1)).relu()
