"""`WSARLClassifier`: the system of Shao et al. (2018)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skfau._validation import StrOptions
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._aus import au_number, class_weights
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import WSARLLoss
from skfau.nn import WSARL

if TYPE_CHECKING:
    from skfau.faces import Faces


class WSARLClassifier(BaseAUClassifier):
    """Facial action units by attention and relation learning (Shao et al., 2018).

    Each face region has its own filters, at several scales. They give feature maps that
    all AUs share. Each AU's branch weighs channels, then positions. A fully connected
    CRF over the pixels refines the weights of the positions. Attention is learned from
    AU labels alone, without landmarks.

    Parameters
    ----------
    variant : {"wsarl", "arl"}, default="wsarl"
        The paper's first version, or the authors' later one as they released it; see
        `skfau.nn.WSARL`.
    channels : int, default=8
        Unit of all layer widths, c in the paper; 2 to 4 can be trained on a CPU.
    region_layer : {"auto", "parallel", "hierarchical"} or None, default="auto"
        Multi-scale region layer, or plain convolutions. ``"auto"`` is ``"parallel"``,
        with ``variant="arl"`` ``"hierarchical"``.
    channel_attention : bool, default=True
        Weigh the channels of each AU's maps.
    spatial_attention : bool, default=True
        Weigh the positions of each AU's maps.
    crf : bool, default=True
        Refine spatial attention by a CRF.
    crf_iterations : int or None, default=None
        Mean-field iterations; None is 10, with ``"arl"`` 5.
    crf_scale : int or None, default=None
        Side of the CRF's maps, as a multiple of the side of the attention maps (a
        quarter of `image_size`). None is 4, the image's own pixels, with ``"arl"`` 1.
    crf_widths : tuple of 3 or None, default=None
        Alpha, beta and gamma of equation 7, each one number or a sequence of one per
        AU; None is (14, 13, 0.75), with ``"arl"`` (160, 3, 3). Alpha and gamma count
        positions of the attention maps, whatever `crf_scale`.
    crf_weights : tuple of 2 or None, default=None
        Initial weights of the appearance and the smoothness kernel, which are learned,
        each one number or a sequence of one per AU; None is (1, 0.5), with ``"arl"``
        (5, 3).
    class_weight : {"soft_balance", "inverse_rate"} or None, default="inverse_rate"
        Weights of the AUs in the loss, from the training labels. Equation 2.
    energy_weight : float, default=0.0
        Weight of the CRF's energy in the loss (equation 10), see
        `skfau.losses.WSARLLoss`; the released code has no such term.
    reduction : {"mean", "sum"}, default="mean"
        How the loss adds up: ``"sum"`` over AUs and pixels, as printed in equations 2,
        6 and 10; ``"mean"`` is their mean, the released code's for the labels. See
        `skfau.losses.WSARLLoss`.
    lr_decay : float, default=0.3
        Factor that lowers the learning rate. Applied every `lr_decay_epochs` epochs.
    lr_decay_epochs : int, default=2
        Epochs between two steps of the learning rate.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own.
    image_size : int, default=176
        Side of the network's input, pixels; faces of another size are resampled. A
        multiple of 16, from 32.
    grayscale : bool, default=False
        Convert colours to grey (luma) first.
    augmentation : FaceAugmentation, "published" or None, default="published"
        Random changes to training batches. ``"published"`` is
        ``FaceAugmentation(crop=0.12)``: flips, and random crops of 176 px from 200 px,
        the central one at test time. None changes nothing and crops nothing.
    lr : float, default=0.006
        Initial learning rate. The optimiser is SGD with momentum 0.9.
    weight_decay : float, default=0.0005
        Weight decay of the optimiser.
    batch_size : int, default=8
        Faces per step and per forward pass.
    max_epochs : int, default=12
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : WSARLClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The backbone is copied, and the branches of the AUs that both have,
        as from BP4D to DISFA in the paper.
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
        losses are float32. So is the CRF.
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
        The trained net; ``net_.module_.network`` is the `skfau.nn.WSARL`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``. Also the parts
        of the loss.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.WSARL : The network.
    skfau.losses.WSARLLoss : The loss.

    Notes
    -----
    The ablations of the paper's Table 3 are settings: ``B-Net`` is
    ``spatial_attention=False, channel_attention=False, region_layer=None, crf=False``;
    ``S-Net`` has ``spatial_attention=True``; ``SC-Net`` also
    ``channel_attention=True``; ``SCH-Net`` ``region_layer="hierarchical"`` and
    ``SCM-Net`` ``region_layer="parallel"``; ``WSARL`` ``crf=True``.

    An "epoch" of the paper is most likely 10,000 steps of 8 faces, less than one pass
    over BP4D: with fewer faces the learning rate falls too early; raise
    `lr_decay_epochs` and `max_epochs`. ``variant="arl"`` steps with Nesterov's
    momentum, as released.

    The sums and the energy of the printed loss are settings, because they do not learn
    as well. On 240 made faces (20 epochs, one seed; mean AUC over the AUs, of other
    people) the default gave 0.73. With ``reduction="sum"``, whose steps are twelve
    times as long, it was 0.54, at a twelfth of the learning rate 0.72.
    ``energy_weight=1`` gave 0.64, and with sums 0.52: its maps are the same at nearly
    all positions (a standard deviation of 0.025, and 0.002, in place of 0.18).

    Departures: initial weights have Xavier's distribution. After 160 steps on made
    faces the training F1 was 0.97 with it and 0.24 with the released Gaussian of 0.01.
    Biases have the same learning rate and decay as weights, not twice the rate and no
    decay, because batch norm removes most of them. Widths and weights of the kernels of
    ``"wsarl"`` are not published, so they are ours. Those released for ``"arl"``
    saturate: within a few steps maps are all 0 or all 1, and attention no longer tells
    positions apart; ``crf_weights=(1, 0.5)`` learned faster.

    References
    ----------
    Z. Shao, Z. Liu, J. Cai, Y. Wu and L. Ma, "Facial Action Unit Detection Using
    Attention and Relation Learning", first version, arXiv:1808.03457v1, 2018.

    Examples
    --------
    >>> from skfau import WSARLClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = WSARLClassifier(
    ...     channels=2, image_size=32, crf_scale=1, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "variant": [StrOptions({"wsarl", "arl"})],
        "channels": [COUNT],
        "region_layer": [StrOptions({"auto", "parallel", "hierarchical"}), None],
        "channel_attention": ["boolean"],
        "spatial_attention": ["boolean"],
        "crf": ["boolean"],
        "crf_iterations": [COUNT, None],
        "crf_scale": [COUNT, None],
        "crf_widths": [tuple, list, None],
        "crf_weights": [tuple, list, None],
        "class_weight": [StrOptions({"soft_balance", "inverse_rate"}), None],
        "energy_weight": [WEIGHT],
        "reduction": [StrOptions({"mean", "sum"})],
    }

    _published_augmentation = FaceAugmentation(crop=0.12)

    def __init__(
        self,
        *,
        variant: Literal["wsarl", "arl"] = "wsarl",
        channels: int = 8,
        region_layer: Literal["auto", "parallel", "hierarchical"] | None = "auto",
        channel_attention: bool = True,
        spatial_attention: bool = True,
        crf: bool = True,
        crf_iterations: int | None = None,
        crf_scale: int | None = None,
        crf_widths: tuple[float | Sequence[float], ...] | None = None,
        crf_weights: tuple[float | Sequence[float], ...] | None = None,
        class_weight: Literal["soft_balance", "inverse_rate"] | None = "inverse_rate",
        energy_weight: float = 0.0,
        reduction: Literal["mean", "sum"] = "mean",
        lr_decay: float = 0.3,
        lr_decay_epochs: int = 2,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 176,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 0.006,
        weight_decay: float = 5e-4,
        batch_size: int = 8,
        max_epochs: int = 12,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: WSARLClassifier | str | Path | None = None,
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
        if self.energy_weight and not self.crf:
            raise ValueError(
                "energy_weight is that of the CRF's energy, and crf is False. Pass "
                "energy_weight=0."
            )
        network = WSARL(
            task.n_aus,
            self.variant,
            channels=self.channels,
            region_layer=self.region_layer,
            channel_attention=self.channel_attention,
            spatial_attention=self.spatial_attention,
            crf=self.crf,
            crf_iterations=self.crf_iterations,
            crf_scale=self.crf_scale,
            crf_widths=self.crf_widths,
            crf_weights=self.crf_weights,
            energy=self.energy_weight > 0,
        )
        weights = class_weights(self.class_weight, task.label_counts)
        nesterov = self.variant == "arl"
        return System(
            network=network,
            loss=WSARLLoss(weights, self.energy_weight, self.reduction),
            optimizer=partial(torch.optim.SGD, momentum=0.9, nesterov=nesterov),
        )

    def attention_maps(
        self, X: Faces | NDArray[np.uint8], refined: bool = True
    ) -> NDArray[np.float32]:
        """Return where the network looks for every AU (Figure 5).

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        refined : bool, default=True
            Return the maps after the CRF (equation 8), or before it (equation 5).
            Without a CRF both are the same. `gating_maps` returns what they become.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
            In [0, 1], of the size of the CRF's maps, or without a CRF of a quarter of
            `image_size`. They cover the network's input (with ``augmentation.crop`` its
            central window). NaN in rows without a face.

        Raises
        ------
        ValueError
            If the classifier was fitted with ``spatial_attention=False``.
        """
        self._need("attention_maps", "spatial_attention")
        name = "refined_maps" if refined and self.crf else "attention_maps"
        return self._run(X, lambda outputs: outputs[1][name])

    def gating_maps(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what weighs the positions of every AU's maps (Figures 5 to 7).

        These are the maps of `attention_maps` at the size of the maps that they weigh,
        v(s) of equation 9.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
            In [0, 1], of a quarter of `image_size`: 44x44 at 176 px. They cover the
            network's input (with ``augmentation.crop`` its central window). NaN in rows
            without a face.

        Raises
        ------
        ValueError
            If the classifier was fitted with ``spatial_attention=False``.
        """
        self._need("gating_maps", "spatial_attention")
        return self._run(X, lambda outputs: outputs[1]["gates"])

    def channel_weights(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the weight of every channel of every AU's maps (equation 3).

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        weights : ndarray of shape (n_samples, n_aus, n_channels), dtype float32
            In [0, 1]; NaN in rows without a face.

        Raises
        ------
        ValueError
            If the classifier was fitted with ``channel_attention=False``.
        """
        self._need("channel_weights", "channel_attention")
        return self._run(X, lambda outputs: outputs[1]["channel_attention"])

    def channel_maps(
        self, X: Faces | NDArray[np.uint8], au: int | str
    ) -> NDArray[np.float32]:
        """Return one AU's maps, each times the weight of its channel (Figure 4).

        They are f(c) of equation 4, before the batch norm and the ReLU that follow.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        au : int or str
            One of `aus_`, or its name, such as ``"AU24"``.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_channels, h, w), dtype float32
            Channels in the order of `channel_weights`, of a quarter of `image_size`.
            They cover the network's input (with ``augmentation.crop`` its central
            window). NaN in rows without a face.

        Raises
        ------
        ValueError
            If `au` was not trained, or the classifier was fitted with
            ``channel_attention=False``.
        """
        self._need("channel_maps", "channel_attention")
        if au_number(au) not in self.aus_:
            raise ValueError(f"au must be one of {self.aus_}. Got {au!r}.")
        column = self.aus_.index(au_number(au))
        return self._run(X, lambda maps: maps[:, column], method="channel_maps")

    def _need(self, method, attention):
        """Raise if the classifier was told to do without what a method shows."""
        check_is_fitted(self, "net_")
        if not getattr(self, attention):
            words = attention.replace("_", " ")
            raise ValueError(f"{method} needs {words}; {attention} is False.")
