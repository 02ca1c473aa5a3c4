"""A contributor's network: two new files, four lines, two rows, no edited test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NETWORK = '''"""Three convolutions and a linear layer per AU."""

from torch import nn

from skfau.nn._transfer import declare_au_axes

__all__ = ["Sixth"]


class Sixth(nn.Module):
    """Convolutions, global average pooling and one linear layer.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    width : int, default=16
        Channels of the first convolution.
    """

    def __init__(self, n_aus, width=16):
        super().__init__()
        layers, before = [], 3
        for channels in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.BatchNorm2d(channels)]
            layers += [nn.ReLU()]
            before = channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(before, n_aus)

    def forward(self, images):
        """Return logits (n, n_aus) of images (n, 3, h, w)."""
        return self.classifier(self.features(images).mean(dim=(2, 3)))

    def au_axes(self):
        """Return where AUs lie in the entries of ``state_dict()``."""
        return declare_au_axes(self, {"classifier": (0,)})
'''
ESTIMATOR = '''"""`SixthClassifier`: a contributor's network."""

from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._parameters import COUNT
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import WeightedBCE
from skfau.nn import Sixth


class SixthClassifier(BaseAUClassifier):
    """A small network.

    Parameters
    ----------
    width : int, default=16
        Channels of the first convolution.
    image_size : int, default=48
        Side of the network's input, pixels; faces of another size are resampled.
    batch_size : int, default=32
        Faces per step and per forward pass.
    lr : float, default=0.001
        Learning rate at the start. The optimiser is Adam.
    max_epochs : int, default=20
        Passes over the training faces.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the names of a DataFrame, or counts
        from 0.
    augmentation : FaceAugmentation or None, default=None
        Random changes to training batches. None changes nothing.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : SixthClassifier, path or None, default=None
        Fitted classifier, or file of `save`, to start from. All is copied but what
        belongs to other AUs.
    warm_start : bool, default=False
        Let `fit` go on from the weights of the last fit.
    callbacks : list of skorch callbacks or None, default=None
        Called during training; `BaseAUClassifier` lists which of them work, and how.
    device : str, default="auto"
        ``"auto"`` is the GPU where there is one.
    n_threads : int or None, default=None
        torch threads; None leaves them. Only equal counts give bit-equal results.
    verbose : int, default=0
        1 shows progress of fit and prediction on standard error.
    random_state : int, RandomState instance or None, default=None
        Fixes all that is random in a fit, without touching global generators.
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "width": [COUNT],
    }

    def __init__(
        self,
        *,
        width=16,
        image_size=48,
        batch_size=32,
        lr=1e-3,
        max_epochs=20,
        aus=DATASET_AUS["bp4d"],
        augmentation=None,
        early_stopping=False,
        patience=5,
        init_from=None,
        warm_start=False,
        callbacks=None,
        device="auto",
        n_threads=None,
        verbose=0,
        random_state=None,
    ):
        self._set_parameters(locals())

    def _system(self, task):
        return System(network=Sixth(task.n_aus, self.width), loss=WeightedBCE())
'''
# Where a line goes in: before the first that begins so.
LINES = {
    "skfau/nn/__init__.py": {
        "from skfau.nn._wsarl": "from skfau.nn._sixth import Sixth",
        '    "WSARL",': '    "Sixth",',
    },
    "skfau/estimators/__init__.py": {
        "from skfau.estimators._wsarl": (
            "from skfau.estimators._sixth import SixthClassifier"
        ),
        '    "WSARLClassifier",': '    "SixthClassifier",',
    },
    "docs/reference/estimators.rst": {
        "   * - `hog_baseline`": (
            "   * - `SixthClassifier`\n     - a contributor's network"
        ),
    },
    "docs/reference/networks.rst": {
        "   * - `DenseCRF`": "   * - `Sixth`\n     - a contributor's network",
    },
}


def insert(path, before, line):
    text = path.read_text("utf-8")
    assert text.count(f"\n{before}") >= 1, before
    path.write_text(text.replace(f"\n{before}", f"\n{line}\n{before}", 1), "utf-8")


def test_a_sixth_network_passes_the_common_tests_without_editing_any(tmp_path):
    for name in ("skfau", "tests", "docs"):
        ignored = shutil.ignore_patterns(
            "__pycache__", "_build", "gallery", "generated"
        )
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("README.rst", "pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "skfau/nn/_sixth.py").write_text(NETWORK, "utf-8")
    (tmp_path / "skfau/estimators/_sixth.py").write_text(ESTIMATOR, "utf-8")
    for name, lines in LINES.items():
        for before, line in lines.items():
            insert(tmp_path / name, before, line)
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-q", "-k", "ixth"]
    common = ("networks", "estimators", "training", "shared_docs")
    common += ("parameters", "sklearn_rules", "layers", "docs")
    files = [f"tests/test_{name}.py" for name in common]
    done = subprocess.run(
        [*command, *files],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.rsplit(" passed", 1)[0].split()[-1])
    assert passed >= 60
