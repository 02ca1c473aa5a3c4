"""`EACNetClassifier`: the system of Li et al. (FG 2017, TPAMI 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from skfau._validation import Interval, StrOptions, check_faces
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import EACNetLoss
from skfau.nn import EACNet

if TYPE_CHECKING:
    from skfau.faces import Faces


class EACNetClassifier(BaseAUClassifier):
    """Enhancing and cropping nets around VGG-19 (Li et al., 2018).

    Landmarks say where each AU shows. In two groups of convolutions, the first maps are
    added to the last ones at these places. Then two crops per AU go through their own
    convolutions. Fitting and predicting need the column ``landmarks``.

    Parameters
    ----------
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of the backbone: ``"imagenet"`` (downloaded once and checked),
        ``"rendered"`` (of ``"tiny"``, shipped, learned on rendered faces), a file of
        torchvision's state dict, or None for random weights. The paper has
        ``"imagenet"``; VGG-19 is 548 MB. With weights, the first two groups of layers
        are not trained.
    enhancing : bool, default=True
        Enhance the maps at the AUs' places (E-Net).
    cropping : bool, default=True
        Decide from the crops (C-Net); False decides from the whole face.
    channels : int, default=64
        Channels of VGG-19's first group; all other widths are multiples of it. 4 to 8
        can be trained on a CPU.
    embedding_dim : int, default=150
        Length of a crop's embedding.
    dropout : float, default=0.5
        Dropout rate around the linear layers before the logits.
    roi_convention : {"jaa", "eac", "aunet"}, default="eac"
        Which published landmark rule places the AUs; ``"eac"`` has none for AU9, AU25
        and AU26 of DISFA.
    smoothing : float, default=0.05
        Smoothing of the loss, see `skfau.losses.EACNetLoss`.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own. These have no
        rule for ROIs.
    image_size : int, default=224
        Side of the network's input, pixels; faces of another size are resampled. A
        multiple of 8, from 32.
    grayscale : bool, default=False
        Convert colours to grey (luma) first.
    augmentation : FaceAugmentation or None, default=None
        Random changes to training batches. Landmarks move with the pixels. The authors
        publish none.
    lr : float, default=0.0001
        Initial learning rate. The optimiser is SGD with Nesterov momentum 0.9.
    weight_decay : float, default=0.0
        Weight decay of the optimiser.
    batch_size : int, default=50
        Faces per step and per forward pass.
    max_epochs : int, default=10
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : EACNetClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The layers that all AUs share are copied, and the branches of the
        AUs that both have. The paper starts from a trained E-Net, a classifier with
        ``cropping=False``.
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
        The trained net; ``net_.module_.network`` is the `skfau.nn.EACNet`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``. Also the parts
        of the loss.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.EACNet : The network, and where it departs from the released one.
    skfau.losses.EACNetLoss : The loss.

    Notes
    -----
    The paper's comparisons are settings: ``FVGG`` is ``enhancing=False,
    cropping=False``, ``E-Net`` is ``cropping=False``, ``C-Net`` ``enhancing=False``.

    Loss, batches and learning rate are those of the authors' released code, which
    trains the C-Net on 1,000,000 faces, about 10 passes over two thirds of BP4D. They
    assume ImageNet's weights; with random weights use a learning rate of 0.01.

    References
    ----------
    W. Li, F. Abtahi, Z. Zhu and L. Yin, "EAC-Net: A region-based deep enhancing and
    cropping approach for facial action unit detection", FG 2017; "EAC-Net: Deep nets
    with enhancing and cropping for facial action unit detection", TPAMI 2018.

    Examples
    --------
    >>> from skfau import EACNetClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = EACNetClassifier(
    ...     channels=2, embedding_dim=8, image_size=32, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "weights": "no_validation",
        "enhancing": ["boolean"],
        "cropping": ["boolean"],
        "channels": [COUNT],
        "embedding_dim": [COUNT],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "roi_convention": [StrOptions({"jaa", "eac", "aunet"})],
        "smoothing": [WEIGHT],
        "augmentation": [FaceAugmentation, None],
    }

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        enhancing: bool = True,
        cropping: bool = True,
        channels: int = 64,
        embedding_dim: int = 150,
        dropout: float = 0.5,
        roi_convention: Literal["jaa", "eac", "aunet"] = "eac",
        smoothing: float = 0.05,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 224,
        grayscale: bool = False,
        augmentation: FaceAugmentation | None = None,
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        batch_size: int = 50,
        max_epochs: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: EACNetClassifier | str | Path | None = None,
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

    def _check_training_faces(self, faces, *, going_on):
        check_faces(faces, need=("landmarks",))

    def _system(self, task):
        network = EACNet(
            task.n_aus,
            task.aus,
            self.weights if task.pretrained else None,
            enhancing=self.enhancing,
            cropping=self.cropping,
            channels=self.channels,
            embedding_dim=self.embedding_dim,
            dropout=self.dropout,
            freeze=self.weights is not None,
            image_size=self.image_size,
            roi_convention=self.roi_convention,
        )
        return System(
            network=network,
            loss=EACNetLoss(self.smoothing),
            optimizer=partial(torch.optim.SGD, momentum=0.9, nesterov=True),
            inputs=("landmarks",),
        )

    def attention_maps(self, X: Faces) -> NDArray[np.float32]:
        """Return the places that the network enhances for every AU.

        Parameters
        ----------
        X : Faces of n_samples rows
            With the column ``landmarks``.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
            In [0, 1], of a quarter of `image_size`. They cover the network's input
            (with ``augmentation.crop`` its central window). The network enhances by
            their maximum over the AUs. NaN in rows without a face.
        """
        return self._run(X, lambda outputs: outputs[1]["attention_maps"])
