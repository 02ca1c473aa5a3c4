"""ML-GCN and MS-CAM, two networks over a graph of labels, to compare SEV-Net with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from skfau._validation import HasMethods, Interval, StrOptions
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._descriptions import describe_as_vectors, is_encoder
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._rates import slow_text_parts
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import WeightedBCE
from skfau.nn import MLGCN, MSCAM, label_graph

if TYPE_CHECKING:
    from skfau.faces import Faces


class _LabelGraphClassifier(BaseAUClassifier):
    """All that both classes share: everything but the network."""

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "backbone": [str, nn.Module],
        "weights": "no_validation",
        "descriptions": [dict, list, tuple, StrOptions({"intensity"}), None],
        "text_encoder": [str, dict, callable, HasMethods("encode"), "array-like", None],
        "graph": [StrOptions({"correlation", "conditional"})],
        "positive_threshold": [Interval(Real, -1, 1, closed="both")],
        "negative_threshold": [Interval(Real, -1, 1, closed="both")],
        "conditional_threshold": [Interval(Real, 0, 1, closed="right")],
        "hidden_dim": [COUNT],
        "text_lr_factor": [WEIGHT],
    }

    _published_augmentation = FaceAugmentation(crop=0.125)

    def __init__(
        self,
        *,
        backbone: str | nn.Module = "resnet18",
        weights: str | Path | None = None,
        descriptions: dict[Any, Any]
        | Sequence[str]
        | Literal["intensity"]
        | None = None,
        text_encoder: str
        | Callable[..., Any]
        | dict[Any, Any]
        | ArrayLike
        | None = None,
        graph: Literal["correlation", "conditional"] = "correlation",
        positive_threshold: float = 0.2,
        negative_threshold: float = -0.03,
        conditional_threshold: float = 0.4,
        hidden_dim: int = 1024,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 224,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 1e-3,
        text_lr_factor: float = 0.1,
        lr_decay: float = 0.85,
        weight_decay: float = 0.0,
        batch_size: int = 100,
        max_epochs: int = 50,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: _LabelGraphClassifier | str | Path | None = None,
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
        text = task.buffer(
            "text",
            lambda: describe_as_vectors(task.aus, self.descriptions, self.text_encoder),
        )
        graph = task.buffer("encoder.graph", lambda: self._graph(task.labels))
        network = self._network(
            task.n_aus,
            text,
            graph,
            # Copy the backbone: a module is a parameter, and fit must not train it.
            copy.deepcopy(self.backbone),
            weights=self.weights if task.pretrained else None,
            hidden_dim=self.hidden_dim,
        )
        return System(
            network=network,
            loss=WeightedBCE(),
            lr_factors=slow_text_parts(network, self.text_lr_factor),
            buffers={"text": text, "encoder.graph": graph},
            attributes={"text_": text, "label_graph_": graph},
        )

    def _named_by(self, aus):
        vectors = {}
        if is_encoder(self.text_encoder):
            vectors["text_encoder"] = describe_as_vectors(
                aus, self.descriptions, self.text_encoder
            )
        return super()._named_by(aus) | vectors

    def _graph(self, labels):
        return label_graph(
            labels,
            self.graph,
            positive_threshold=self.positive_threshold,
            negative_threshold=self.negative_threshold,
            conditional_threshold=self.conditional_threshold,
        ).numpy()


class MLGCNClassifier(_LabelGraphClassifier):
    """Multi-label recognition with a graph of labels, ML-GCN (Chen et al., 2019).

    Graph convolutions over the graph of the training labels turn each AU's vector into
    a linear classifier of the image's pooled features.

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
    descriptions : dict, sequence of str, "intensity" or None, default=None
        What the AUs look like: a dict by AU number describes some, `skfau.facs` the
        others; a sequence describes all AUs, in the order of `aus`; ``"intensity"``
        takes `skfau.facs.INTENSITY_DESCRIPTIONS`, which also say how strong each change
        is, for the AUs that are there. Other texts than those of `skfau.facs` need an
        encoder.
    text_encoder : str, callable, dict, array-like or None, default=None
        Frozen encoder of the descriptions: a sentence-transformers model, loaded or by
        its name or folder; or a function from a text to its vector, shape (d,); or the
        vectors themselves, a dict by AU number or (n_aus, d), one row per AU. None is
        all-MiniLM-L6-v2 (d = 384), whose vectors of `skfau.facs` come with the library;
        for other texts it needs the extra ``text``. `save` writes no functions and no
        loaded models.
    graph : {"correlation", "conditional"}, default="correlation"
        How the training labels give a graph, see `skfau.nn.label_graph`: as in the
        SEV-Net paper, or as in ML-GCN's own.
    positive_threshold : float, default=0.2
        Correlation above which two AUs are joined.
    negative_threshold : float, default=-0.03
        Correlation below which two AUs are joined with a negative sign.
    conditional_threshold : float, default=0.4
        Conditional probability from which on two AUs are joined, for
        ``graph="conditional"``.
    hidden_dim : int, default=1024
        Width between the two graph convolutions.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own. These need
        `descriptions`.
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
    text_lr_factor : float, default=0.1
        Factor of `lr` for the layers that see the AUs' vectors and no image. 1 is the
        published rate, see the notes. A scheduler that is given one ``max_lr`` undoes
        it.
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
    init_from : MLGCNClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The backbone and all other weights that AUs share are copied.
        Descriptions and graph are not.
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
    text_ : ndarray of shape (n_aus, d), dtype float32
        Vectors of the descriptions that the network was trained with.
    label_graph_ : ndarray of shape (n_aus, n_aus), dtype float32
        Graph of the training labels, see `skfau.nn.label_graph`.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the `skfau.nn.MLGCN`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.MLGCN : The network.
    MSCAMClassifier : The same graph with attention.
    SEVNetClassifier : The network that it is compared with.

    Notes
    -----
    It is trained like SEV-Net and uses the same vectors, not embeddings of the AUs'
    names.

    The defaults are the published settings: random initial weights, Adam at 0.001,
    times 0.85 after every epoch, batches of 100, at most 50 epochs. Align faces to 256
    px. The published loss is the cross entropy, summed over AUs and averaged over
    faces; here it is averaged over AUs, too, a factor that does not change the steps of
    Adam. The paper stops early and does not say when. ``early_stopping=True`` decides
    by the F1 of held-out subjects. It is off by default because it needs subjects; by
    epoch 50 the learning rate is a 3000th of the initial one.

    One default is not the published one: layers that see the AUs' vectors and no image
    learn at a tenth of the rate. ``text_lr_factor=1`` is the printed rate. On rendered
    faces (3,969 of a thousand people, six epochs, two seeds and more) the mean AUC is
    0.63 in place of 0.54 from random weights, where `ResNetClassifier` has 0.72, and
    0.87 with both from ``weights="rendered"``.

    References
    ----------
    Z.-M. Chen, X.-S. Wei, P. Wang and Y. Guo, "Multi-label image recognition with graph
    convolutional networks", CVPR 2019; for AUs as in H. Yang, L. Yin, Y. Zhou and
    J. Gu, "Exploiting semantic embedding and visual feature for facial action unit
    detection", CVPR 2021, section 4.4.

    Examples
    --------
    >>> from skfau import MLGCNClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = MLGCNClassifier(
    ...     backbone="tiny", image_size=48, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _network = MLGCN


class MSCAMClassifier(_LabelGraphClassifier):
    """Cross-modality attention on a graph of labels, MS-CAM (You et al., 2020).

    Graph convolutions over the graph of the training labels embed each AU's vector.
    Each embedding attends to the face by its cosine with the feature maps. One linear
    layer, shared by all AUs, classifies the attended features.

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
    descriptions : dict, sequence of str, "intensity" or None, default=None
        What the AUs look like: a dict by AU number describes some, `skfau.facs` the
        others; a sequence describes all AUs, in the order of `aus`; ``"intensity"``
        takes `skfau.facs.INTENSITY_DESCRIPTIONS`, which also say how strong each change
        is, for the AUs that are there. Other texts than those of `skfau.facs` need an
        encoder.
    text_encoder : str, callable, dict, array-like or None, default=None
        Frozen encoder of the descriptions: a sentence-transformers model, loaded or by
        its name or folder; or a function from a text to its vector, shape (d,); or the
        vectors themselves, a dict by AU number or (n_aus, d), one row per AU. None is
        all-MiniLM-L6-v2 (d = 384), whose vectors of `skfau.facs` come with the library;
        for other texts it needs the extra ``text``. `save` writes no functions and no
        loaded models.
    graph : {"correlation", "conditional"}, default="correlation"
        How the training labels give a graph, see `skfau.nn.label_graph`: as in the
        SEV-Net paper, or as in ML-GCN's own.
    positive_threshold : float, default=0.2
        Correlation above which two AUs are joined.
    negative_threshold : float, default=-0.03
        Correlation below which two AUs are joined with a negative sign.
    conditional_threshold : float, default=0.4
        Conditional probability from which on two AUs are joined, for
        ``graph="conditional"``.
    hidden_dim : int, default=1024
        Width between the two graph convolutions.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own. These need
        `descriptions`.
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
    text_lr_factor : float, default=0.1
        Factor of `lr` for the layers that see the AUs' vectors and no image. 1 is the
        published rate, see the notes. A scheduler that is given one ``max_lr`` undoes
        it.
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
    init_from : MSCAMClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The backbone and all other weights that AUs share are copied.
        Descriptions and graph are not.
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
    text_ : ndarray of shape (n_aus, d), dtype float32
        Vectors of the descriptions that the network was trained with.
    label_graph_ : ndarray of shape (n_aus, n_aus), dtype float32
        Graph of the training labels, see `skfau.nn.label_graph`.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the `skfau.nn.MSCAM`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.MSCAM : The network.
    MLGCNClassifier : The same graph without attention.
    SEVNetClassifier : The network that it is compared with.

    Notes
    -----
    It is trained like SEV-Net and uses the same vectors, not embeddings of the AUs'
    names.

    The defaults are the published settings: random initial weights, Adam at 0.001,
    times 0.85 after every epoch, batches of 100, at most 50 epochs. Align faces to 256
    px. The published loss is the cross entropy, summed over AUs and averaged over
    faces; here it is averaged over AUs, too, a factor that does not change the steps of
    Adam. The paper stops early and does not say when. ``early_stopping=True`` decides
    by the F1 of held-out subjects. It is off by default because it needs subjects; by
    epoch 50 the learning rate is a 3000th of the initial one.

    One default is not the published one: layers that see the AUs' vectors and no image
    learn at a tenth of the rate, as in `SEVNetClassifier`, which says why.
    ``text_lr_factor=1`` is the printed rate.

    References
    ----------
    R. You, Z. Guo, L. Cui, X. Long, Y. Bao and S. Wen, "Cross-modality attention with
    semantic graph embedding for multi-label classification", AAAI 2020; for AUs as in
    H. Yang, L. Yin, Y. Zhou and J. Gu, "Exploiting semantic embedding and visual
    feature for facial action unit detection", CVPR 2021, section 4.4.

    Examples
    --------
    >>> from skfau import MSCAMClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = MSCAMClassifier(
    ...     backbone="tiny", image_size=48, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _network = MSCAM

    def attention_maps(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return where the network looks for every AU.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
            Each of sum 1, 7x7 for the default backbone. They cover the network's input
            (with ``augmentation.crop`` its central window). NaN in rows without a face.
        """
        return self._run(X, lambda outputs: outputs[1]["attention_maps"])
