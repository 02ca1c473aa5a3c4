"""`ResNetClassifier`: the plain network that the systems are compared with."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn

from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import WeightedBCE
from skfau.nn import PooledNet


class ResNetClassifier(BaseAUClassifier):
    """A residual network, global average pooling and one linear layer.

    The baseline of Yang et al. (2021), trained like their SEV-Net. A comparison with it
    shows what a system adds.

    Parameters
    ----------
    backbone : str or nn.Module, default='resnet18'
        A name of `skfau.nn.make_backbone`, or a module of your own that returns feature
        maps; ``"tiny"`` trains on a CPU in a minute. The last maps are used, 7x7 at 224
        px.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of the backbone: ``"imagenet"`` (downloaded once and checked),
        ``"rendered"`` (of ``"tiny"``, shipped, learned on rendered faces), a file of
        torchvision's state dict, or None for random weights. The paper has
        random weights.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own.
    image_size : int, default=224
        Side of the network's input, pixels; faces of another size are resampled.
    grayscale : bool, default=False
        Convert colours to grey (luma) first.
    augmentation : FaceAugmentation, "published" or None, default="published"
        Random changes to training batches. ``"published"`` is
        ``FaceAugmentation(crop=0.125)``: flips, and random crops of 224 px from 256 px,
        the central one at test time. None changes nothing and crops nothing.
    lr : float, default=0.001
        Initial learning rate. The optimiser is Adam.
    lr_decay : float, default=0.85
        Factor that lowers the learning rate. Applied after every epoch.
    weight_decay : float, default=0.0
        Weight decay of the optimiser.
    batch_size : int, default=100
        Faces per step and per forward pass.
    max_epochs : int, default=50
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : ResNetClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The backbone is copied, and the outputs of the AUs that both have.
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
        The trained net; ``net_.module_.network`` is the `skfau.nn.PooledNet`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.PooledNet : The network.
    SEVNetClassifier : The same backbone, guided by descriptions of the AUs.

    Notes
    -----
    ``"resnet34"``, ``"resnet50"`` and all other backbones of `skfau.nn.make_backbone`
    work as well.

    The defaults are the published settings: random initial weights, Adam at 0.001,
    times 0.85 after every epoch, batches of 100, at most 50 epochs. Align faces to 256
    px. The published loss is the cross entropy, summed over AUs and averaged over
    faces; here it is averaged over AUs, too, a factor that does not change the steps of
    Adam. The paper stops early and does not say when. ``early_stopping=True`` decides
    by the F1 of held-out subjects. It is off by default because it needs subjects; by
    epoch 50 the learning rate is a 3000th of the initial one.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition",
    CVPR 2016; H. Yang, L. Yin, Y. Zhou and J. Gu, "Exploiting semantic embedding and
    visual feature for facial action unit detection", CVPR 2021, section 4.4.

    Examples
    --------
    >>> from skfau import ResNetClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = ResNetClassifier(
    ...     backbone="tiny", image_size=48, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "backbone": [str, nn.Module],
        "weights": "no_validation",
    }

    _published_augmentation = FaceAugmentation(crop=0.125)

    def __init__(
        self,
        *,
        backbone: str | nn.Module = "resnet18",
        weights: str | Path | None = None,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 224,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 1e-3,
        lr_decay: float = 0.85,
        weight_decay: float = 0.0,
        batch_size: int = 100,
        max_epochs: int = 50,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: ResNetClassifier | str | Path | None = None,
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
        # Copy the backbone: a module is a parameter, and fit must not train it.
        backbone = copy.deepcopy(self.backbone)
        weights = self.weights if task.pretrained else None
        network = PooledNet(task.n_aus, backbone, weights)
        return System(network=network, loss=WeightedBCE())
