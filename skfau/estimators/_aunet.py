"""`AUNetClassifier`: the system of Yang, Hristov, Shen, Lin and Pantic."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch

from skfau._validation import StrOptions
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._aunet_fitting import (
    check_landmarks,
    dataset_numbers,
    datasets_of,
    fit_label_vaes,
    train_fan,
    warn_without_neighbours,
)
from skfau.estimators._aus import class_weights, resolve_aus, rows_with_face
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._feature_cache import FeatureCache, check_cacheable
from skfau.estimators._fitting import draw_seed
from skfau.estimators._neighbours import (
    ExportedFrames,
    FeatureBatches,
    FrameBatches,
    FrameNetwork,
    Neighbourhood,
    apply_to_frames,
)
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._system import System, Task
from skfau.facs import DATASET_AUS
from skfau.losses import AUNetLoss
from skfau.nn import AUNet

# Sides of faces, pixels, in which the shipped network finds landmarks.
_RENDERED_SIZES = 96, 160


class AUNetClassifier(BaseAUClassifier):
    """Facial AU detection with face alignment, AUNet (Yang et al., 2023).

    The features come from a frozen network that finds facial landmarks. Their change
    from an earlier to a later frame of the video is added. In training, an auto-encoder
    of the labels pulls predictions towards combinations of AUs that occur in the
    labels.

    Parameters
    ----------
    backbone : {"fan", "resnet18", "resnet34", "resnet50", "tiny"}, default="fan"
        ``"fan"`` is the face alignment network, frozen. The others are residual
        backbones, trained with the other layers (ResNet-18-A of Table XIII).
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of the backbone: ``"imagenet"`` (downloaded once and checked),
        ``"rendered"`` (of ``"tiny"``, shipped, learned on rendered faces), a file of
        torchvision's state dict, or None for random weights. For residual
        backbones only.
    fan_weights : {"rendered"}, path or None, default=None
        Weights of the face alignment network: a file of the published one
        (``2dfan2``), or ``"rendered"``, a small one that is shipped and wants
        ``image_size=128`` (96 to 160). It learned the exact points of rendered faces.
        With None, one is first trained on the landmarks of the training faces.
    fan_width : int or None, default=None
        Channels of the face alignment network and of the layers after it; a multiple of
        16. 16 to 64 can be trained on a CPU. None is 256 as published, or 64 with
        ``fan_weights="rendered"``.
    fan_stacks : int or None, default=None
        Hourglasses of the face alignment network. None is 2 as published, or 1 with
        ``fan_weights="rendered"``.
    fan_epochs : int, default=40
        Passes over the training faces, if the face alignment network is trained.
    temporal : bool, default=True
        Compare each face with two other frames of its video (columns ``video`` and
        ``frame``).
    interval : int, default=10
        Distance to each of these two frames, in frames; T in the paper.
    static_share : float, default=0.9
        Weight of the face's own feature maps when motion is added to them.
    motion_share : float, default=0.1
        Weight of motion in that sum.
    label_vae : bool, default=True
        Train with the auto-encoder of labels, one per data set (column ``dataset``).
    latent_dim : int or None, default=None
        Length of the auto-encoder's code. None is 8 for the AUs of BP4D, 6 for those of
        DISFA, otherwise two thirds of the number of AUs (5 for the 7 or 8 of
        Aff-Wild2).
    kl_weight : float, default=0.3
        Weight lambda of the KL divergence when the auto-encoder is trained.
    consistency_weight : float, default=1.0
        Weight gamma of the auto-encoder's term in the loss.
    class_weight : {"soft_balance", "inverse_rate"} or None, default="inverse_rate"
        Weights of the AUs in the loss, from the training labels. Equation 1.
    feature_cache : path or None, default=None
        Folder that keeps the frozen network's features, so that those of each frame are
        computed once: float16, 8 MB a frame with ``fan_width=256`` at 256 px. Only with
        ``augmentation=None``, because changed pixels have other features.
    lr_decay : float, default=0.3
        Factor that lowers the learning rate. Applied every `lr_decay_epochs` epochs.
    lr_decay_epochs : int, default=4
        Epochs between two steps of the learning rate.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own.
    image_size : int, default=256
        Side of the network's input, pixels; faces of another size are resampled.
    grayscale : bool, default=False
        Convert colours to grey (luma) first.
    augmentation : FaceAugmentation, "published" or None, default="published"
        Random changes to training batches. All three frames change in the same way.
        ``"published"`` is ``FaceAugmentation(rotation=15, scale=0.25, shift=0.05,
        brightness=0.15, contrast=0.3)``.
    lr : float, default=0.0001
        Initial learning rate. The optimiser is AdamW.
    weight_decay : float, default=0.0
        Weight decay of the optimiser.
    batch_size : int, default=64
        Faces per step and per forward pass.
    max_epochs : int, default=12
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : AUNetClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. Everything is copied except the outputs of AUs that only one of the
        two has. The face alignment network is neither trained again nor read from
        `fan_weights`.
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
    label_vaes_ : dict of str to skfau.nn.LabelVAE
        Auto-encoders by data set; the name is ``""`` without the column ``dataset``.
        `save` does not write them; after `load` the next `partial_fit` trains new ones.
    fan_history_ : list of dict
        ``train_loss`` per epoch of the face alignment network, if it was trained.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the `skfau.nn.AUNet`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``. Also the parts
        of the loss.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.AUNet : The network.
    skfau.losses.AUNetLoss : The loss.

    Notes
    -----
    Table VI as settings: AU-FAN is ``label_vae=False, temporal=False``, AU-VAE
    ``temporal=False``, AU-TDN ``label_vae=False``; ResNet-18-A is
    ``backbone="resnet18"``. Align faces with ``FaceAligner(template="aunet",
    output_size=256)`` for the published crop.

    To train on several data sets (Tables VII to IX), concatenate their faces. Give y a
    column for every AU of any data set, with NaN where a data set does not code the AU,
    and name the data set of each row in the column ``dataset``.

    A face is compared with itself if its video has no frame `interval` earlier or later
    (at its ends and in gaps), or if that frame shows no face. Single images, without
    the columns ``video`` and ``frame``, have no motion: `predict` accepts them, `fit`
    warns. Align all faces first, then select rows: neighbours may lie outside of the
    selected rows. A ``FaceAligner`` in a pipeline sees the selected rows only, and
    `feature_cache` would store every selection again. With landmarks, neighbours are
    aligned to the face by the centres of the eyes, the nose and the corners of the
    mouth. Unlike in the paper, the features are moved, not the pixels, so that each
    frame of a video passes through the backbone once.

    Departures: in training the authors also blur and compress images, cut holes into
    them, and rotate by 13.5 degrees because of a bug. At test time they average the
    logits of a face and of its mirror image. The learning rate falls to 30 % and the
    auto-encoder's term is a mean, as in the released code; the paper has a fall by 30 %
    and a sum. The paper chose `kl_weight` from 0.1, 0.2 and 0.3 and does not say which.
    A face alignment network that is trained here has seen the training faces only.

    References
    ----------
    J. Yang, Y. Hristov, J. Shen, Y. Lin and M. Pantic, "Towards robust facial action
    units detection", Proceedings of the IEEE, 2023.

    Examples
    --------
    >>> from skfau import AUNetClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = AUNetClassifier(
    ...     fan_width=16, fan_stacks=1, fan_epochs=1, interval=1, image_size=48,
    ...     max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "backbone": [StrOptions({"fan", "resnet18", "resnet34", "resnet50", "tiny"})],
        "weights": "no_validation",
        "fan_weights": "no_validation",
        "fan_width": [COUNT, None],
        "fan_stacks": [COUNT, None],
        "fan_epochs": [COUNT],
        "temporal": ["boolean"],
        "interval": [COUNT],
        "static_share": [WEIGHT],
        "motion_share": [WEIGHT],
        "label_vae": ["boolean"],
        "latent_dim": [COUNT, None],
        "kl_weight": [WEIGHT],
        "consistency_weight": [WEIGHT],
        "class_weight": [StrOptions({"soft_balance", "inverse_rate"}), None],
        "feature_cache": "no_validation",
    }

    _published_augmentation = FaceAugmentation(
        rotation=15, scale=0.25, shift=0.05, brightness=0.15, contrast=0.3
    )

    def __init__(
        self,
        *,
        backbone: Literal["fan", "resnet18", "resnet34", "resnet50", "tiny"] = "fan",
        weights: str | Path | None = None,
        fan_weights: str | Path | None = None,
        fan_width: int | None = None,
        fan_stacks: int | None = None,
        fan_epochs: int = 40,
        temporal: bool = True,
        interval: int = 10,
        static_share: float = 0.9,
        motion_share: float = 0.1,
        label_vae: bool = True,
        latent_dim: int | None = None,
        kl_weight: float = 0.3,
        consistency_weight: float = 1.0,
        class_weight: Literal["soft_balance", "inverse_rate"] | None = "inverse_rate",
        feature_cache: str | Path | None = None,
        lr_decay: float = 0.3,
        lr_decay_epochs: int = 4,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 256,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        batch_size: int = 64,
        max_epochs: int = 12,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: AUNetClassifier | str | Path | None = None,
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
        fan = self.backbone == "fan"
        weights = self.fan_weights if fan else self.weights
        # The shipped file is read in any case: it says how wide the network is.
        read = task.pretrained or (fan and weights == "rendered")
        network = AUNet(
            task.n_aus,
            self.backbone,
            weights if read else None,
            temporal=self.temporal,
            static_share=self.static_share,
            motion_share=self.motion_share,
            fan_width=self.fan_width,
            fan_stacks=self.fan_stacks,
        )
        # Auto-encoders of new labels are trained by `_pretrain`.
        vaes = {} if task.labels is not None else getattr(self, "label_vaes_", {})
        class_weight = class_weights(self.class_weight, task.label_counts)
        loss = AUNetLoss(class_weight, self.consistency_weight)
        loss.set_encoders(copy.deepcopy(list(vaes.values())))
        return System(
            network=network,
            loss=loss,
            optimizer=torch.optim.AdamW,
            attributes={"label_vaes_": vaes},
            prepare=FrameNetwork,
        )

    @property
    def _trains_fan(self):
        return self.backbone == "fan" and self.fan_weights is None

    def _check_training_faces(self, faces, *, going_on):
        check_cacheable(self.feature_cache, self.backbone, self._augmentation)
        self._check_size()
        if self._trains_fan and not going_on and self.init_from is None:
            self._check_weights()
            check_landmarks(faces)
        if self.label_vae:
            # Raise for rows without a name before anything is trained.
            datasets_of(faces)
        if self.temporal:
            warn_without_neighbours(faces, self.interval)

    def _check_size(self):
        small, large = _RENDERED_SIZES
        rendered = self.backbone == "fan" and self.fan_weights == "rendered"
        if rendered and not small <= self.image_size <= large:
            raise ValueError(
                "fan_weights='rendered' finds landmarks in faces of 128 pixels, and "
                f"from image_size={small} to {large}. Got {self.image_size}; pass "
                "image_size=128."
            )

    def _check_weights(self):
        if self.weights is not None:
            raise ValueError(
                "weights= is where residual trunks start, and backbone='fan' does not "
                f"read it; got {self.weights!r}. Give the face alignment network's "
                "file as fan_weights=, or pass weights=None to train one on these "
                "faces."
            )

    def _pretrain(self, net, faces, labels, *, fresh):
        if fresh:
            # Drop the history of an earlier fit: it may be of another network.
            vars(self).pop("fan_history_", None)
        if self._trains_fan and any(name.startswith("trunk.") for name in fresh):
            self.fan_history_ = train_fan(
                net.module_,
                faces,
                n_epochs=self.fan_epochs,
                batch_size=self.batch_size,
                device=net.device,
                seed=net.seed,
                verbose=self.verbose,
            )
        if self.label_vae:
            self._train_label_vaes(net, faces, labels)

    def _train_label_vaes(self, net, faces, labels):
        """Train an auto-encoder for every data set that has none yet."""
        dataset = datasets_of(faces)
        new = ~np.isin(dataset, list(self.label_vaes_))
        if not new.any():
            return
        self.label_vaes_ = self.label_vaes_ | fit_label_vaes(
            labels[new],
            dataset[new],
            self.aus_,
            latent_dim=self.latent_dim,
            kl_weight=self.kl_weight,
            seed=net.seed,
            verbose=self.verbose,
        )
        net.criterion_.set_encoders(copy.deepcopy(list(self.label_vaes_.values())))
        net.criterion_.to(net.device)

    def _make_batches(self, net, faces, labels, weights=None):
        names = list(self.label_vaes_) if self.label_vae else []
        around = Neighbourhood(faces, self._interval)
        shared = {"neighbourhood": around, "datasets": dataset_numbers(faces, names)}
        shared["weights"] = weights
        if self.feature_cache is None:
            shared |= self._batch_parameters(net, faces)
            return FrameBatches(faces, labels, **shared)
        cache = FeatureCache(self.feature_cache, net.module_, around, self.batch_size)
        return FeatureBatches(labels, cache=cache, image_size=self.image_size, **shared)

    @property
    def _interval(self):
        # Ask the network, not `temporal`: set_params may have changed it since fit.
        temporal = self.net_.module_.network.motion is not None
        return self.interval if temporal else None

    def _apply_network(self, faces, select, method):
        if method != "forward" or not rows_with_face(faces).any():
            return super()._apply_network(faces, select, method)
        check_cacheable(self.feature_cache, self.backbone, self._augmentation)
        return apply_to_frames(
            self.net_.module_,
            faces,
            select,
            batch_size=self.batch_size,
            interval=self._interval,
            augmentation=self._augmentation,
            cache_dir=self.feature_cache,
            **self._shown("Applying"),
        )

    def _exported(self, face_size):
        if self._interval is None:
            return super()._exported(face_size)
        return ExportedFrames(self.net_.module_, face_size, self._augmentation)

    def load_published(self, path: str | Path) -> Self:
        """Load the weights that the authors published.

        Parameters
        ----------
        path : path-like
            File of the authors, such as ``bp4d_split1.pth`` (the default AUs) or
            ``disfa_split1.pth``; `fan_weights`, `aus` and `temporal` must match it.

        Returns
        -------
        self : object
            The fitted classifier; `label_counts_` are 0.

        Raises
        ------
        ValueError
            If `fan_weights` or `aus` is None, or the file does not fit.
        """
        if self.fan_weights is None or self.aus is None:
            raise ValueError(
                "the published layers read the features of the published face "
                "alignment network, for AUs in a fixed order. Give fan_weights= and "
                "aus=."
            )
        aus = resolve_aus(self.aus, None, len(self.aus))
        task = Task(aus, np.zeros((2, len(aus)), np.int64))
        net = self._make_net(task, draw_seed(self.random_state))
        net.module_.network.load_published(path)
        for name in ("fan_history_", "label_vaes_"):
            vars(self).pop(name, None)
        self._describe(net, task)
        self.net_, self.label_vaes_ = net, {}
        return self
