"""How do I try a network of my own beside the published ones?
===========================================================

One class with one method: `_system` returns the network and its loss. Training by
subject, unknown labels, early stopping, checkpoints, saving and searching come
along. ::

    python examples/write_your_own.py [--small]
"""

import argparse

from torch import nn

from skfau import ResNetClassifier
from skfau.datasets import make_faces
from skfau.estimators import BaseAUClassifier, FaceAugmentation, System
from skfau.losses import WeightedBCE
from skfau.model_selection import SubjectKFold, compare


class SmallVGG(nn.Module):
    """Blocks of two 3x3 convolutions and a pooling layer, then one output per AU."""

    def __init__(self, n_aus, width):
        super().__init__()
        layers, channels = [], 3
        for wider in (width, 2 * width, 4 * width):
            for _ in range(2):
                layers += [nn.Conv2d(channels, wider, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(wider), nn.ReLU()]
                channels = wider
            layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten())
        self.classifier = nn.Linear(9 * channels, n_aus)

    def forward(self, images):
        return self.classifier(self.features(images))

    def au_axes(self):
        """Say which weights belong to single AUs: `init_from` carries them over."""
        return {"classifier.weight": (0,), "classifier.bias": (0,)}


class SmallVGGClassifier(BaseAUClassifier):
    """The network as a classifier: its parameters, and what it is made of."""

    # What augmentation="published" means.
    _published_augmentation = FaceAugmentation(rotation=5, brightness=0.1)

    def __init__(
        self,
        *,
        width=16,
        image_size=64,
        augmentation="published",
        lr=1e-3,
        max_epochs=20,
        random_state=None,
    ):
        self._set_parameters(locals())

    def _system(self, task):
        network = SmallVGG(task.n_aus, self.width)
        return System(network=network, loss=WeightedBCE())


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()
epochs, width, frames = (1, 4, 6) if options.small else (25, 16, 30)

made = make_faces(n_subjects=12, n_frames=frames, image_size=64, random_state=0)
usual = {"image_size": 64, "max_epochs": epochs, "random_state": 0}
systems = {
    "mine": SmallVGGClassifier(width=width, **usual),
    "ResNet": ResNetClassifier(backbone="tiny", **usual),
}
print(compare(systems, made.data, made.target, cv=SubjectKFold(3), aus=made.aus))
