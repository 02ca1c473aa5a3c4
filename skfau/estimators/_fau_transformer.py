"""`FAUTransformerClassifier`: the system of Jacob and Stenger (CVPR 2021)."""

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
from skfau.exceptions import MissingColumnError
from skfau.facs import DATASET_AUS
from skfau.losses import FAUTransformerLoss
from skfau.nn import FAUTransformer, feature_map_size
from skfau.preprocessing import roi_heatmaps

if TYPE_CHECKING:
    from skfau.faces import Faces


class FAUTransformerClassifier(BaseAUClassifier):
    """Facial action unit detection with transformers (Jacob and Stenger, 2021).

    A backbone gives a feature map. An attention branch predicts one map per AU, which
    landmarks supervise in training only. Each AU's own branch embeds the features that
    its map selects. An encoder relates the embeddings, and a perceptron turns them into
    logits.

    Parameters
    ----------
    backbone : str or nn.Module, default='inception_v3'
        A name of `skfau.nn.make_backbone`, or a module of your own that returns feature
        maps; ``"tiny"`` trains on a CPU in a minute. The paper has ``"inception_v3"``.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of the backbone: ``"imagenet"`` (downloaded once and checked),
        ``"rendered"`` (of ``"tiny"``, shipped, learned on rendered faces), a file of
        torchvision's state dict, or None for random weights. The paper has
        ``"imagenet"``.
    backbone_cut : {"12x12", "full"}, default="12x12"
        Where a named backbone ends: after its last maps of at least 12x12 for 224 px
        images (section 3.1), or whole, which only the plain CNN of Table 4 is.
    embedding_dim : int, default=128
        Length of an AU's embedding.
    branch_channels : tuple of (int, int) or None, default=None
        Channels of the 3x3 and of the 1x1 convolutions of an AU's branch. None is
        (128, 64), at most a quarter of the backbone's channels.
    attention_channels : int or None, default=None
        Channels of the attention branch. None is 256, at most the backbone's.
    multi_task : bool, default=True
        One branch per AU; False is the plain CNN of Table 4.
    attention : bool, default=True
        Whether there is an attention branch (``E_att`` and the maps).
    attention_supervision : bool, default=True
        Compare attention maps with ROI heatmaps; fitting then needs ``landmarks`` or
        ``heatmaps``, predicting does not.
    roi_convention : {"jaa", "eac", "aunet"}, default="jaa"
        Which published landmark rule places the ROIs.
    encoder_layers : int, default=3
        Layers of the transformer encoder; 0 is no encoder.
    n_heads : int, default=8
        Attention heads of the encoder.
    feed_forward : bool, default=True
        Whether the encoder's layers have a feed-forward part.
    positional_encoding : {"relative", "trigonometric"} or None, default="relative"
        How the encoder tells the AUs apart.
    class_weight : {"soft_balance", "inverse_rate"} or None, default="soft_balance"
        Weights of the AUs in the loss, from the training labels. Only the label terms
        of the loss use them.
    class_weight_power : float, default=0.7
        The paper's lambda: with 0 soft-balance weights are inverse to how often an AU
        occurs, with 1 all alike.
    attention_losses : tuple of {"wce", "tversky", "dice"}, default=("wce", "tversky")
        Label losses of the attention branch (equation 3).
    classifier_losses : tuple of {"wce", "tversky", "dice"}, default=("wce", "tversky")
        Label losses of the classifier (equation 6), at least one.
    tversky_alpha : float, default=0.25
        Weight of false positives.
    tversky_beta : float, default=0.75
        Weight of false negatives.
    tversky_eps : float, default=1.0
        Added above and below the fraction bar. Not published.
    map_loss : {"huber", "l1", "l2"}, default="huber"
        Distance between attention maps and heatmaps (equation 2).
    map_delta : float, default=0.5
        Where Huber's function turns linear.
    map_target : {"active", "all"}, default="active"
        What the maps of inactive AUs should be: empty, so that maps also tell whether
        an AU is present, or as those of active ones, so that they tell where to look.
        The paper does not say.
    center_loss : {"contrastive", "center"} or None, default="contrastive"
        Loss on the embeddings: equation 5, the centre loss of Wen et al., or none.
    loss_weights : tuple of 4 float, default=(0.33, 0.33, 0.15, 0.15)
        Weights of the losses of attention, classifier, maps and centres (equation 1).
    balance : {"scaled", "printed"}, default="printed"
        What these weights weigh: ``"printed"`` has soft-balance weights, whose mean is
        near the number of AUs, and the sums of equation 5 as they are printed;
        ``"scaled"`` has class weights of mean 1, and means in equation 5.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own. These have no
        rule for ROIs.
    image_size : int, default=224
        Side of the network's input, pixels; faces of another size are resampled.
    grayscale : bool, default=True
        Convert colours to grey (luma) first. The paper does.
    augmentation : FaceAugmentation or None, default=None
        Random changes to training batches. The paper has none.
    lr : float, default=0.0001
        Initial learning rate. The optimiser is Adam. The paper fine-tunes on DISFA with
        1e-5.
    weight_decay : float, default=0.0
        Weight decay of the optimiser.
    batch_size : int, default=32
        Faces per step and per forward pass. Not published.
    max_epochs : int, default=20
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : FAUTransformerClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The backbone and the encoder are copied, and the branches of the AUs
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
    map_size_ : int
        Side of the attention maps, cells.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the `skfau.nn.FAUTransformer`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``. Also the parts
        of the loss.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.FAUTransformer : The network.
    skfau.losses.FAUTransformerLoss : The loss.

    Notes
    -----
    The ablations of the paper are settings. Table 3: `backbone`, for equal heads with
    ``branch_channels=(128, 64), attention_channels=256``. Table 4: ``baseline
    CNN`` is ``multi_task=False, attention=False, center_loss=None, encoder_layers=0``
    with ``weights=None``, and ``backbone_cut="full"`` if "just the InceptionV3" is all
    of it; ``PT`` adds ``weights="imagenet"``, ``MT``
    ``multi_task=True``, ``AT`` ``attention=True, attention_supervision=False``,
    ``ATsup`` ``attention_supervision=True``, ``CC`` ``center_loss="contrastive"`` and
    ``E`` ``encoder_layers=3``. Table 5: `attention_losses`, `classifier_losses`.
    Table 6: `n_heads` (1 is SHSA), `feed_forward`, `positional_encoding`,
    `encoder_layers`. Table 7: ``center_loss="center"``; the Dice loss of JAA-Net by
    ``attention_losses=("wce", "dice"), classifier_losses=("wce", "dice")``; JAA-Net's
    weights by ``class_weight="inverse_rate"``. Maps by L1 and L2: `map_loss`. Other
    values of delta: `map_delta`.

    The paper has gaps and misprints. Here the label losses have the logarithm and the
    sign that equation 4 lacks. The Tversky sums run over the batch, because over one
    face a negative label has no gradient. Embedding size, heads, layer widths, batch
    size and the ellipses of the ROIs are not published. `weights` is None by default,
    so that nothing is downloaded unless you ask for it; the paper starts from ImageNet.

    With ``balance="scaled"``, centres weigh against labels some 24 times as much as in
    print for the AUs of BP4D and 70 times for those of DISFA, maps 12 and 8 times. From
    random weights the loss of centres then holds features back: on rendered faces
    (3,969 of a thousand people, six epochs, two seeds) the mean AUC is 0.71 in place of
    0.77, where `ResNetClassifier` has 0.71; from ``weights="rendered"`` it is 0.87 with
    both.

    References
    ----------
    G. M. Jacob and B. Stenger, "Facial Action Unit Detection With Transformers",
    CVPR 2021.

    Examples
    --------
    >>> from skfau import FAUTransformerClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = FAUTransformerClassifier(
    ...     backbone="tiny", image_size=48, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "backbone": [str, nn.Module],
        "weights": "no_validation",
        "backbone_cut": [StrOptions({"12x12", "full"})],
        "embedding_dim": [COUNT],
        "branch_channels": [tuple, list, None],
        "attention_channels": [COUNT, None],
        "multi_task": ["boolean"],
        "attention": ["boolean"],
        "attention_supervision": ["boolean"],
        "roi_convention": [StrOptions({"jaa", "eac", "aunet"})],
        "encoder_layers": [Interval(Integral, 0, None, closed="left")],
        "n_heads": [COUNT],
        "feed_forward": ["boolean"],
        "positional_encoding": [StrOptions({"relative", "trigonometric"}), None],
        "class_weight": [StrOptions({"soft_balance", "inverse_rate"}), None],
        "class_weight_power": [WEIGHT],
        "attention_losses": [tuple, list],
        "classifier_losses": [tuple, list],
        "tversky_alpha": [WEIGHT],
        "tversky_beta": [WEIGHT],
        "tversky_eps": [Interval(Real, 0, None, closed="neither")],
        "map_loss": [StrOptions({"huber", "l1", "l2"})],
        "map_delta": [Interval(Real, 0, None, closed="neither")],
        "map_target": [StrOptions({"active", "all"})],
        "center_loss": [StrOptions({"contrastive", "center"}), None],
        "loss_weights": [tuple, list],
        "balance": [StrOptions({"scaled", "printed"})],
        # The paper augments nothing.
        "augmentation": [FaceAugmentation, None],
    }

    def __init__(
        self,
        *,
        backbone: str | nn.Module = "inception_v3",
        weights: str | Path | None = None,
        backbone_cut: Literal["12x12", "full"] = "12x12",
        embedding_dim: int = 128,
        branch_channels: tuple[int, int] | None = None,
        attention_channels: int | None = None,
        multi_task: bool = True,
        attention: bool = True,
        attention_supervision: bool = True,
        roi_convention: Literal["jaa", "eac", "aunet"] = "jaa",
        encoder_layers: int = 3,
        n_heads: int = 8,
        feed_forward: bool = True,
        positional_encoding: Literal["relative", "trigonometric"] | None = "relative",
        class_weight: Literal["soft_balance", "inverse_rate"] | None = "soft_balance",
        class_weight_power: float = 0.7,
        attention_losses: tuple[Literal["wce", "tversky", "dice"], ...] = (
            "wce",
            "tversky",
        ),
        classifier_losses: tuple[Literal["wce", "tversky", "dice"], ...] = (
            "wce",
            "tversky",
        ),
        tversky_alpha: float = 0.25,
        tversky_beta: float = 0.75,
        tversky_eps: float = 1.0,
        map_loss: Literal["huber", "l1", "l2"] = "huber",
        map_delta: float = 0.5,
        map_target: Literal["active", "all"] = "active",
        center_loss: Literal["contrastive", "center"] | None = "contrastive",
        loss_weights: tuple[float, float, float, float] = (0.33, 0.33, 0.15, 0.15),
        balance: Literal["scaled", "printed"] = "printed",
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 224,
        grayscale: bool = True,
        augmentation: FaceAugmentation | None = None,
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        batch_size: int = 32,
        max_epochs: int = 20,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: FAUTransformerClassifier | str | Path | None = None,
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
        network = FAUTransformer(
            task.n_aus,
            # Copy the backbone: a module is a parameter, and fit must not train it.
            copy.deepcopy(self.backbone),
            weights=self.weights if task.pretrained else None,
            backbone_cut=self.backbone_cut,
            embedding_dim=self.embedding_dim,
            branch_channels=self.branch_channels,
            attention_channels=self.attention_channels,
            multi_task=self.multi_task,
            attention=self.attention,
            encoder_layers=self.encoder_layers,
            n_heads=self.n_heads,
            feed_forward=self.feed_forward,
            positional_encoding=self.positional_encoding,
        )
        loss = self._make_loss(task)
        map_size, _ = feature_map_size(network.backbone, self.image_size)
        targets = None
        if self._supervises_maps:
            targets = MapTargets(
                task.aus, self.image_size, map_size, self.roi_convention
            )
        return System(
            network, loss, targets=targets, attributes={"map_size_": map_size}
        )

    def _make_loss(self, task):
        printed = self.balance == "printed"
        weights = class_weights(
            self.class_weight,
            task.label_counts,
            power=self.class_weight_power,
            normalize=not printed,
        )
        return FAUTransformerLoss(
            task.n_aus,
            self.embedding_dim,
            class_weight=weights,
            attention_losses=self.attention_losses if self.attention else (),
            classifier_losses=self.classifier_losses,
            tversky_alpha=self.tversky_alpha,
            tversky_beta=self.tversky_beta,
            tversky_eps=self.tversky_eps,
            map_loss=self.map_loss if self._supervises_maps else None,
            map_delta=self.map_delta,
            map_target=self.map_target,
            center_loss=self.center_loss,
            center_reduction="sum" if printed else "mean",
            loss_weights=self.loss_weights,
        )

    @property
    def _supervises_maps(self):
        return self.attention and self.attention_supervision

    def _check_training_faces(self, faces, *, going_on):
        if self._supervises_maps:
            find_map_column(faces)

    def predict_proba(
        self,
        X: Faces | NDArray[np.uint8],
        head: Literal["classifier", "attention"] = "classifier",
    ) -> NDArray[np.float32]:
        """Return the probability of every AU in every face.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        head : {"classifier", "attention"}, default="classifier"
            Which of the network's two predictions to return; the paper reports the
            first.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_aus), dtype float32
            In [0, 1], columns in the order of `aus_`; NaN in rows without a face. A
            DataFrame after ``set_output(predict_proba="pandas")``.

        Raises
        ------
        ValueError
            If `head` is ``"attention"`` and there is no attention branch.
        """
        if head == "classifier":
            return super().predict_proba(X)
        if head != "attention":
            raise ValueError(f"head must be 'classifier' or 'attention', got {head!r}.")
        self._need_attention("head='attention'")
        probabilities = self._run(
            X, lambda outputs: torch.sigmoid(outputs[1]["attention_logits"])
        )
        return self._as_output(probabilities, X)

    def attention_maps(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return where the network looks for every AU (Figures 5 and 6).

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
            In [0, 1], 12x12 for the default backbone. They cover the network's input
            (with ``augmentation.crop`` its central window). NaN in rows without a face.

        Raises
        ------
        ValueError
            If the classifier was fitted with ``attention=False``.
        """
        self._need_attention("attention_maps")
        return self._run(X, lambda outputs: outputs[1]["attention_maps"])

    def au_relations(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how much each AU attends to each other one (Figure 1).

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        relations : ndarray of shape (n_samples, n_aus, n_aus), dtype float32
            Self-attention of the encoder, mean over layers and heads; rows sum to 1.
            NaN in rows without a face.

        Raises
        ------
        ValueError
            If the classifier was fitted with ``encoder_layers=0``.
        """
        if self.encoder_layers == 0:
            raise ValueError("au_relations needs an encoder; encoder_layers is 0.")
        return self._run(X, lambda layers: layers.mean(dim=(1, 2)), method="relations")

    def _need_attention(self, what):
        if not self.attention:
            raise ValueError(f"{what} needs the attention branch; attention is False.")


class MapTargets:
    """Targets of a loss that compares attention with ROI heatmaps.

    Parameters
    ----------
    aus : tuple of int
        AU number of each map.
    image_size : int
        Side of the network's input, pixels.
    map_size : int
        Side of the network's maps, cells.
    convention : {"jaa", "eac", "aunet"}
        Where landmarks place each AU, see `skfau.preprocessing.roi_heatmaps`.
    """

    def __init__(self, aus, image_size, map_size, convention):
        self.aus = aus
        self.image_size = image_size
        self.map_size = map_size
        self.convention = convention

    def columns(self, faces):
        """Return the column that the maps come from."""
        name = find_map_column(faces)
        if name == "heatmaps":
            drawn = getattr(faces.column_source("heatmaps"), "aus", self.aus)
            if drawn != self.aus:
                self._refuse(f"be of the AUs {self.aus}, got {drawn}")
        return (name,)

    def __call__(self, labels, landmarks=None, heatmaps=None):
        """Return labels (n, n_aus) and maps (n, n_aus, h, w)."""
        if landmarks is not None:
            heatmaps = roi_heatmaps(
                landmarks,
                self.aus,
                (self.image_size, self.image_size),
                size=self.map_size,
                convention=self.convention,
            )
        expected = (*labels.shape, self.map_size, self.map_size)
        if heatmaps.shape != expected:
            self._refuse(f"have shape {expected}, got {heatmaps.shape}")
        return {"labels": labels, "maps": heatmaps}

    def _refuse(self, fault):
        raise ValueError(
            f"A batch's heatmaps must {fault}. Use ROIHeatmaps(aus={self.aus}, "
            f"size={self.map_size}), or leave it out: landmarks are enough."
        )


def find_map_column(faces):
    """Return the name of the column that locates the AUs."""
    for name in ("heatmaps", "landmarks"):
        if name in faces.columns:
            return name
    raise MissingColumnError(
        "attention_supervision needs the column 'heatmaps' or 'landmarks'; these "
        f"faces have {faces.columns}. Put FaceAligner() before the classifier, or "
        "pass attention_supervision=False."
    )
