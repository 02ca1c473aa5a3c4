"""`MEGraphClassifier`: the system of Luo et al. (IJCAI 2022)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from skfau._validation import Interval, StrOptions
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._aus import class_weights
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import MEGraphLoss, WeightedAsymmetric
from skfau.nn import MEGraph


class MEGraphClassifier(BaseAUClassifier):
    """AU relation graph with multi-dimensional edges, MEGraph (Luo et al., 2022).

    Every AU has a feature of its own, the node of a graph. An edge of the graph is a
    vector, too: what two AUs have in common in this face. Nodes and edges change each
    other, and the cosine of a node and a learned vector says whether its AU occurs.

    Parameters
    ----------
    backbone : str or nn.Module, default="resnet50"
        A name of `skfau.nn.make_backbone`, or a module of your own that returns feature
        maps; ``"tiny"`` trains on a CPU in a minute. The last maps are used, 7x7 at 224
        px.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of the backbone: ``"imagenet"`` (downloaded once and checked),
        ``"rendered"`` (of ``"tiny"``, shipped, learned on rendered faces), a file of
        torchvision's state dict, or None for random weights. The paper has ImageNet.
    embedding_dim : int, default=512
        Length of nodes and edges. 64 is enough for ``"tiny"``.
    edge_features : bool, default=True
        False is the first stage alone: nodes, and a graph of each AU's nearest AUs.
    n_neighbors : int, default=4
        Nearest AUs of an AU in the graph of the first stage, K in the paper.
    graph_layers : int, default=2
        Gated graph convolutions.
    class_weight : {"soft_balance", "inverse_rate"} or None, default="inverse_rate"
        Weights of the AUs in the loss, from the training labels.
    edge_weight : float, default=0.05
        Weight of the loss of pairs of AUs, the paper's lambda.
    node_epochs : int, default=20
        Passes over the training faces in the first stage, see the notes. 0 leaves it
        out.
    schedule : {"cosine"} or None, default="cosine"
        Schedule of the learning rate in each stage: from `lr` to 0 as a cosine, or
        constant.
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
    lr : float, default=0.0001
        Initial learning rate. The optimiser is AdamW. With ``"tiny"`` and random
        weights 0.001 is better.
    weight_decay : float, default=0.0005
        Weight decay of the optimiser.
    batch_size : int, default=64
        Faces per step and per forward pass.
    max_epochs : int, default=20
        Passes over the training faces.
    early_stopping : bool, default=False
        Keep the epoch with the best mean F1 on held-out subjects (column ``subject``).
    validation_fraction : float, default=0.2
        Share of the faces in the held-out subjects.
    patience : int, default=5
        Epochs without a better F1 before training stops.
    init_from : MEGraphClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The backbone, the graphs and what the AUs that both have own are
        copied. The first stage is left out.
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
        losses are float32. So are the probabilities.
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
        The trained net; ``net_.module_.network`` is the `skfau.nn.MEGraph`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``. Also the parts
        of the loss.
    node_history_ : list of dict
        Per epoch of the first stage ``train_loss``; only set by a fit that had one.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.MEGraph : The network.
    skfau.losses.MEGraphLoss : The loss.
    ResNetClassifier : The backbone alone.

    Notes
    -----
    A fit has two stages. The first trains backbone, nodes and vectors with a graph of
    nearest AUs, for `node_epochs`, by `skfau.losses.WeightedAsymmetric`. Its graph is
    dropped. The second trains all that remains with the edges, for `max_epochs`, by
    `skfau.losses.MEGraphLoss`. The first stage takes all training rows alike, whatever
    their `sample_weight`, has no early stopping and no callbacks; with
    `checkpoint_dir` it resumes like the second.

    The settings of the paper and its code are AdamW with betas of 0.9 and 0.999 at
    0.0001, a cosine, weight decay of 0.0005, batches of 64 and 20 epochs in each stage,
    ResNet-50 or Swin-B from ImageNet, and faces aligned to 256 px. Swin is not among
    the backbones here; pass a module of your own. The number of neighbours, the layers
    of the gated graph and the weight of the pairs are this library's choice. The
    authors' code also changes brightness, contrast and colours at random;
    ``FaceAugmentation(crop=0.125, brightness=0.2, contrast=0.4)`` comes near it.

    With few faces and epochs the edges need not pay: compare with
    ``edge_features=False``. On 3,000 rendered faces, with ``"tiny"`` from its shipped
    weights and six epochs in all, the F1 of other people was 61.4 and 59.2 with two
    seeds, their AUC .860 and .857; `ResNetClassifier` had 53.2 and 54.9, .864 and .868,
    and the first stage alone, with one seed, 61.4 and .868.

    The cosine begins anew every `max_epochs` epochs, should `partial_fit` go on.

    References
    ----------
    C. Luo, S. Song, W. Xie, L. Shen and H. Gunes, "Learning multi-dimensional edge
    feature-based AU relation graph for facial action unit recognition", IJCAI 2022.

    Examples
    --------
    >>> from skfau import MEGraphClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = MEGraphClassifier(
    ...     backbone="tiny", embedding_dim=16, image_size=48, node_epochs=1,
    ...     max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "backbone": [str, nn.Module],
        "weights": "no_validation",
        "embedding_dim": [COUNT],
        "edge_features": ["boolean"],
        "n_neighbors": [COUNT],
        "graph_layers": [COUNT],
        "class_weight": [StrOptions({"soft_balance", "inverse_rate"}), None],
        "edge_weight": [WEIGHT],
        "node_epochs": [Interval(Integral, 0, None, closed="left")],
        "schedule": [StrOptions({"cosine"}), None],
    }

    _published_augmentation = FaceAugmentation(crop=0.125)

    def __init__(
        self,
        *,
        backbone: str | nn.Module = "resnet50",
        weights: str | Path | None = None,
        embedding_dim: int = 512,
        edge_features: bool = True,
        n_neighbors: int = 4,
        graph_layers: int = 2,
        class_weight: Literal["soft_balance", "inverse_rate"] | None = "inverse_rate",
        edge_weight: float = 0.05,
        node_epochs: int = 20,
        schedule: Literal["cosine"] | None = "cosine",
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 224,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 1e-4,
        weight_decay: float = 5e-4,
        batch_size: int = 64,
        max_epochs: int = 20,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: MEGraphClassifier | str | Path | None = None,
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
        network = MEGraph(
            task.n_aus,
            # Copy the backbone: a module is a parameter, and fit must not train it.
            copy.deepcopy(self.backbone),
            self.weights if task.pretrained else None,
            embedding_dim=self.embedding_dim,
            edge_features=self.edge_features,
            n_neighbors=self.n_neighbors,
            graph_layers=self.graph_layers,
        )
        weights = class_weights(self.class_weight, task.label_counts)
        loss = WeightedAsymmetric(weights)
        if self.edge_features:
            loss = MEGraphLoss(weights, self.edge_weight)
        parts = dict(network.named_children()) if self.schedule else {}
        return System(
            network=network,
            loss=loss,
            optimizer=torch.optim.AdamW,
            lr_factors=dict.fromkeys(parts, self._cosine),
        )

    def _cosine(self, step, n_steps):
        """Return the factor of `lr`; it begins anew when `partial_fit` goes on."""
        part = (step - 1) / (n_steps * self.max_epochs) % 1
        return (1 + math.cos(math.pi * part)) / 2

    def _pretrain(self, net, faces, labels, *, fresh):
        """Train backbone, nodes and vectors alone: the first stage."""
        if fresh:
            # Drop the history of an earlier fit: it may be of another network.
            vars(self).pop("node_history_", None)
        first_stage = self.edge_features and self.node_epochs
        if not fresh or not first_stage or self.init_from is not None:
            return
        first = clone(self).set_params(
            aus=self.aus_,
            edge_features=False,
            max_epochs=self.node_epochs,
            early_stopping=False,
            warm_start=False,
            callbacks=None,
            random_state=net.seed,
        )
        first.fit(faces, labels)
        network = net.module_.network
        learned = first.net_.module_.network.state_dict()
        network.load_state_dict(
            {name: learned.get(name, own) for name, own in network.state_dict().items()}
        )
        self.node_history_ = first.history_
