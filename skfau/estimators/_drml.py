"""`DRMLClassifier`: the system of Zhao et al. (CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from skfau._validation import Interval
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._parameters import COUNT
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import WeightedBCE
from skfau.nn import DRML


class DRMLClassifier(BaseAUClassifier):
    """Deep region and multi-label learning (Zhao et al., 2016).

    Each of 8x8 patches of an aligned face has its own filters, and all AUs are learned
    together. It was the first network of its kind; most papers compare with it.

    Parameters
    ----------
    channels : int, default=16
        Unit of all layer widths; 2 to 8 can be trained on a CPU.
    dropout : float, default=0.5
        Dropout rate after each of the first two linear layers.
    region_layer : bool, default=True
        Whether there is a region layer; False is the paper's ConvNet.
    lr_decay : float, default=0.1
        Factor that lowers the learning rate. Applied every `lr_decay_epochs` epochs.
    lr_decay_epochs : int, default=5
        Epochs between two steps of the learning rate.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own.
    image_size : int, default=170
        Side of the network's input, pixels; faces of another size are resampled. 66,
        74, 82 and so on; 82 or more is better.
    grayscale : bool, default=False
        Convert colours to grey (luma) first.
    augmentation : FaceAugmentation, "published" or None, default="published"
        Random changes to training batches. ``"published"`` is
        ``FaceAugmentation(crop=0.15)``: flips, and random crops of 170 px from 200 px,
        the central one at test time. None changes nothing and crops nothing.
    lr : float, default=0.001
        Initial learning rate. The optimiser is SGD with momentum 0.9.
    weight_decay : float, default=0.0005
        Weight decay of the optimiser.
    batch_size : int, default=128
        Faces per step and per forward pass.
    max_epochs : int, default=20
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : DRMLClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. Everything but the last layer is copied, and of the last layer the
        outputs of the AUs that both have.
    warm_start : bool, default=False
        Let `fit` continue from the weights of the last fit.
    checkpoint_dir : path or None, default=None
        Folder of checkpoints. The same fit resumes from there, bit-equal on a CPU;
        needs an int `random_state`.
    callbacks : list of skorch callbacks or None, default=None
        Called during training; `BaseAUClassifier` lists which of them work, and how.
    device : str or sequence of str, default="auto"
        ``"auto"`` is the GPU where there is one. Several GPUs, ``["cuda:0",
        "cuda:1"]``, train one network: each computes its share of every batch, in a
        process of its own, and the steps are those of one device to rounding.
        Predictions are made on the first.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Number format of the network; ``"auto"`` is bfloat16 on a GPU. Weights and
        losses are float32.
    n_threads : int or None, default=None
        Number of torch threads; None keeps torch's own. Only equal numbers give
        bit-equal results.
    verbose : int, default=0
        1 shows progress of fit and prediction on standard error.
    random_state : int, RandomState instance or None, default=None
        Fixes everything random in a fit, without touching global generators.

    Attributes
    ----------
    aus_ : tuple of int
        AU numbers, in the order of the columns.
    n_aus_ : int
        Number of AUs.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        ``[0, 1]`` for every AU; (2,) after labels of shape (n_samples,).
    label_counts_ : ndarray of shape (2, n_aus)
        Positive and known labels of every AU in the training rows.
    train_subjects_ : tuple of str
        Digests of the names of the subjects in the training rows. `score` and the
        scorers of `skfau.metrics` warn of rows that show them again.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the `skfau.nn.DRML`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.DRML : The network.
    WSARLClassifier, JAANetClassifier : Region layers of several scales.

    Notes
    -----
    The loss is cross entropy, summed over AUs with a known label and averaged over
    faces. The settings are those of the authors' released solver. Its learning rate
    falls every 4000 steps of 128 faces, about 5 passes over two thirds of BP4D. The
    solver counts 450,000 steps instead of epochs; 20 epochs are our choice. With few
    faces raise `lr`, but keep it below 0.005: above, narrow networks lost at the end
    what they had learned.

    A label is 0, 1, or NaN if unknown; the authors write -1, 1, and 0 if unknown. The
    mean image is not subtracted; colours are normalised as for all networks here.

    References
    ----------
    K. Zhao, W.-S. Chu and H. Zhang, "Deep region and multi-label learning for facial
    action unit detection", CVPR 2016.

    Examples
    --------
    >>> from skfau import DRMLClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=66, random_state=0)
    >>> clf = DRMLClassifier(
    ...     channels=2, image_size=66, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "channels": [COUNT],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "region_layer": ["boolean"],
    }

    _published_augmentation = FaceAugmentation(crop=0.15)

    def __init__(
        self,
        *,
        channels: int = 16,
        dropout: float = 0.5,
        region_layer: bool = True,
        lr_decay: float = 0.1,
        lr_decay_epochs: int = 5,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 170,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 1e-3,
        weight_decay: float = 5e-4,
        batch_size: int = 128,
        max_epochs: int = 20,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: DRMLClassifier | str | Path | None = None,
        warm_start: bool = False,
        checkpoint_dir: str | Path | None = None,
        callbacks: list[Any] | None = None,
        device: str | Sequence[str] = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        n_threads: int | None = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self._set_parameters(locals())

    def _system(self, task):
        network = DRML(
            task.n_aus,
            channels=self.channels,
            image_size=self.image_size,
            dropout=self.dropout,
            region_layer=self.region_layer,
        )
        loss = WeightedBCE(reduction="sum")
        return System(network, loss, partial(torch.optim.SGD, momentum=0.9))
