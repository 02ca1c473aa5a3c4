"""`MultiLabelTransformerClassifier`: the system of Tallec et al. (2022)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skfau._validation import Interval, StrOptions
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._aus import class_weights
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import MultiLabelTransformerLoss
from skfau.nn import MultiLabelTransformer

if TYPE_CHECKING:
    from skfau.faces import Faces

# Released learning rate of the backbone, and divisor in the rates of other parts.
_RELEASED_LR = 5e-5
_RELEASED_SCALE = 25_000


class MultiLabelTransformerClassifier(BaseAUClassifier):
    """Multi-label classification with transformers (Tallec et al., 2022).

    Every position of a backbone's last maps is a patch. Patches attend to each other. A
    learned token per AU attends to the other tokens and to the patches, layer by layer,
    and becomes the AU's logit. Landmarks are not needed.

    Parameters
    ----------
    backbone : str or nn.Module, default='inception_v3'
        A name of `skfau.nn.make_backbone`, or a module of your own that returns feature
        maps; ``"tiny"`` trains on a CPU in a minute. The last maps are used, 8x8
        patches at 299 px.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of the backbone: ``"imagenet"`` (downloaded once and checked),
        ``"rendered"`` (of ``"tiny"``, shipped, learned on rendered faces), a file of
        torchvision's state dict, or None for random weights. The released code
        has ``"imagenet"``.
    embedding_dim : int, default=128
        Length of a token.
    encoder_layers : int, default=1
        Layers of self-attention between patches.
    decoder_layers : int, default=2
        Layers of the AUs' tokens.
    n_heads : int, default=8
        Attention heads of every layer.
    feed_forward_dim : int or None, default=None
        Width of the perceptrons; None is ``4 * embedding_dim``.
    decoder : {"paper", "released"}, default="paper"
        One perceptron per layer of the decoder, or one after each of its attentions.
    head : {"shared", "per_label"}, default="shared"
        One linear layer for all AUs, or one per AU.
    dropout : float, default=0.1
        Dropout rate of all layers.
    class_weight : {"soft_balance", "inverse_rate"} or None, default=None
        Weights of the AUs in the loss, from the training labels. The released code has
        ``"inverse_rate"``, the paper none.
    dice_weight : float, default=0.0
        Weight of `skfau.losses.WeightedDice`; 0.5 as released, none in the paper.
    schedule : {"released"} or None, default="released"
        Schedule of the learning rates, see the notes. None gives all weights the rate
        of the backbone.
    warmup_epochs : float, default=2.5
        Epochs in which the released schedule rises.
    lr_decay : float, default=0.99
        Factor that lowers the learning rate. Applied after every epoch, to the
        backbone's.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own.
    image_size : int, default=299
        Side of the network's input, pixels; faces of another size are resampled.
    grayscale : bool, default=False
        Convert colours to grey (luma) first.
    augmentation : FaceAugmentation, "published" or None, default="published"
        Random changes to training batches. ``"published"`` is
        ``FaceAugmentation(mixup=0.4, brightness=0.1, channel_drop=0.3, rotation=36,
        scale=0.1, label_smoothing=0.1)``, with flips. None changes nothing.
    lr : float, default=5e-05
        Initial learning rate. The optimiser is AdamW. It is the rate of the backbone;
        the rates of the other parts are proportional to it. The paper has 5e-4 in runs
        on several data sets.
    weight_decay : float, default=1.0
        Weight decay of the optimiser. Each step shrinks every weight by this share
        times the learning rate.
    batch_size : int, default=64
        Faces per step and per forward pass.
    max_epochs : int, default=10
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : MultiLabelTransformerClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The layers that all AUs share are copied, and the tokens of the AUs
        that both have.
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
    patch_grid_ : tuple of (int, int)
        Height and width of the grid of patches.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the
        `skfau.nn.MultiLabelTransformer`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``. Also the parts
        of the loss.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.MultiLabelTransformer : The network.
    skfau.losses.MultiLabelTransformerLoss : The loss.
    skfau.model_selection.SmoothedClassifier : Its moving average over a video.
    skfau.model_selection.AUThresholdClassifier : Its threshold per AU.

    Notes
    -----
    The paper's section on experiments is empty. So sizes, rates and augmentations are
    those of the authors' code; layers and loss are by default those of the paper. The
    submission to the challenge is ``decoder="released", class_weight="inverse_rate",
    dice_weight=0.5, weights="imagenet"``, then a moving average over each video and a
    threshold per AU.

    The schedule, with B faces in a batch, tokens of length d, and n steps in an epoch:
    the backbone has the rate ``lr * lr_decay ** epoch``. The patches' encoder and the
    AUs' decoder have ``lr / 5e-5 * B * L / 25000 / sqrt(d) * min(1 / sqrt(step), step /
    (warmup_epochs * n) ** 1.5)``, where L is the number of patches or of AUs. These
    rates are higher if an epoch has fewer steps: with few faces, lower `lr`, or use
    ``schedule=None`` with an `lr` of your own.

    Departures: the last layers of residual branches start at a tenth of the released
    scale, see `skfau.nn.MultiLabelTransformer`. Steps count from 1, so that the first
    one changes the weights. Weight decay follows every schedule, as always with AdamW.
    Pixels from outside of a rotated image are black, not reflected. Brightness is not
    clipped.

    References
    ----------
    G. Tallec, E. Yvinec, A. Dapogny and K. Bailly, "Multi-label classification with
    transformers for action unit detection", 2022.

    Examples
    --------
    >>> from skfau import MultiLabelTransformerClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = MultiLabelTransformerClassifier(
    ...     backbone="tiny", image_size=48, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "backbone": [str, nn.Module],
        "weights": "no_validation",
        "embedding_dim": [COUNT],
        "encoder_layers": [Interval(Integral, 0, None, closed="left")],
        "decoder_layers": [COUNT],
        "n_heads": [COUNT],
        "feed_forward_dim": [COUNT, None],
        "decoder": [StrOptions({"paper", "released"})],
        "head": [StrOptions({"shared", "per_label"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [StrOptions({"soft_balance", "inverse_rate"}), None],
        "dice_weight": [WEIGHT],
        "schedule": [StrOptions({"released"}), None],
        "warmup_epochs": [Interval(Real, 0, None, closed="neither")],
    }

    _published_augmentation = FaceAugmentation(
        mixup=0.4,
        brightness=0.1,
        channel_drop=0.3,
        rotation=36,
        scale=0.1,
        label_smoothing=0.1,
    )

    def __init__(
        self,
        *,
        backbone: str | nn.Module = "inception_v3",
        weights: str | Path | None = None,
        embedding_dim: int = 128,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        n_heads: int = 8,
        feed_forward_dim: int | None = None,
        decoder: Literal["paper", "released"] = "paper",
        head: Literal["shared", "per_label"] = "shared",
        dropout: float = 0.1,
        class_weight: Literal["soft_balance", "inverse_rate"] | None = None,
        dice_weight: float = 0.0,
        schedule: Literal["released"] | None = "released",
        warmup_epochs: float = 2.5,
        lr_decay: float = 0.99,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 299,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 5e-5,
        weight_decay: float = 1.0,
        batch_size: int = 64,
        max_epochs: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: MultiLabelTransformerClassifier | str | Path | None = None,
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
        network = MultiLabelTransformer(
            task.n_aus,
            # Copy the backbone: a module is a parameter, and fit must not train it.
            copy.deepcopy(self.backbone),
            weights=self.weights if task.pretrained else None,
            image_size=self.image_size,
            embedding_dim=self.embedding_dim,
            encoder_layers=self.encoder_layers,
            decoder_layers=self.decoder_layers,
            n_heads=self.n_heads,
            feed_forward_dim=self.feed_forward_dim,
            decoder=self.decoder,
            head=self.head,
            dropout=self.dropout,
        )
        weights = class_weights(self.class_weight, task.label_counts)
        height, width = network.encoder.grid
        return System(
            network=network,
            loss=MultiLabelTransformerLoss(weights, self.dice_weight),
            optimizer=torch.optim.AdamW,
            lr_factors={
                "encoder": self._schedule(height * width),
                "decoder": self._schedule(task.n_aus),
            },
            attributes={"patch_grid_": network.encoder.grid},
        )

    def _schedule(self, n_tokens):
        """Return the learning rate's factor for a part that takes `n_tokens` tokens."""
        if self.schedule is None:
            return 1.0
        scale = self.batch_size / _RELEASED_SCALE / self.embedding_dim**0.5

        def factor(step, n_steps):
            warmup = self.warmup_epochs * n_steps
            course = min(step**-0.5, step * warmup**-1.5)
            return n_tokens * scale * course / _RELEASED_LR

        return factor

    def attention_maps(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how much each AU's token attends to each patch (equation 6).

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
            Mean over layers and heads, each of sum 1, 8x8 for the default backbone.
            They cover the network's input (with ``augmentation.crop`` its central
            window). NaN in rows without a face.
        """
        return self._run(
            X, lambda layers: layers.mean(dim=(1, 2)), method="attention_maps"
        )

    def au_relations(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how much each AU's token attends to each other one (equation 5).

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        relations : ndarray of shape (n_samples, n_aus, n_aus), dtype float32
            Mean over layers and heads; rows sum to 1. The first layer's part is the
            same for all faces. NaN in rows without a face.
        """
        return self._run(X, lambda layers: layers.mean(dim=(1, 2)), method="relations")
