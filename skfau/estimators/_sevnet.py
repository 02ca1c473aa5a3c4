"""`SEVNetClassifier`: the system of Yang, Yin, Zhou and Gu (CVPR 2021)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skfau._validation import HasMethods, Interval, StrOptions, check_faces
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._aus import au_number, rows_with_face
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._descriptions import (
    are_vectors,
    describe_as_vectors,
    holds_vectors,
    is_encoder,
)
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._rates import slow_text_parts
from skfau.estimators._system import System
from skfau.facs import DATASET_AUS
from skfau.losses import WeightedBCE
from skfau.nn import SEVNet

if TYPE_CHECKING:
    from skfau.faces import Faces


class SEVNetClassifier(BaseAUClassifier):
    """Semantic embedding and visual feature, SEV-Net (Yang et al., 2021).

    A frozen sentence encoder turns a description of every AU into a vector. A
    transformer encoder relates the vectors. Each of them attends to the face by its
    cosine with the feature maps. One linear layer, shared by all AUs, classifies the
    attended features.

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
    text_level : {"sentence", "word"} or None, default="sentence"
        One vector per description, the mean over the encoder's tokens, or a vector per
        word, each with an attention of its own. Words are the encoder's word pieces and
        punctuation, without its own marks ([CLS], [SEP]); they need the extra ``text``,
        or (n_words, d) of a description from `text_encoder`. None is the network
        without text: a learned vector per AU.
    described_aus : tuple of int or None, default=None
        AUs whose descriptions the Inter-AU encoder relates, beside those of `aus`; they
        have no labels and no output. None is `aus` alone. The paper describes 15 and
        trains 12 or 8 of them: ``(1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25,
        26)``. A sequence of descriptions, or of vectors, has these AUs after those of
        `aus`.
    encoder_layers : int, default=2
        Layers of the Inter-AU encoder; 0 is no encoder.
    n_heads : int, default=6
        Attention heads of the Inter-AU encoder.
    hidden_dim : int, default=768
        Width of the Inter-AU encoder.
    feed_forward_dim : int, default=1024
        Width of the perceptrons in the Inter-AU encoder.
    dropout : float, default=0.0
        Dropout rate of the encoder; not published. One mask hits all faces of a batch.
    attention_eps : float, default=0.01
        Added to the cosines in equation 5 at every position; 0 is as printed. With 0 an
        AU with hardly any positive cosine attends to single positions, by chance.
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
    init_from : SEVNetClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The backbone and all other weights that AUs share are copied.
        Descriptions are not.
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
    text_ : ndarray of shape (n_aus, d) or (n_aus, n_words, d), or None
        Vectors of the descriptions that the network was trained with.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the `skfau.nn.SEVNet`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.SEVNet : The network, and where it departs from the paper.
    ResNetClassifier, MLGCNClassifier, MSCAMClassifier : Networks to compare it with.

    Notes
    -----
    The text does not depend on the image: prediction encodes it once, and costs hardly
    more than the backbone. The paper's encoder is BERT-large with 1024-wide vectors;
    pass such a model as `text_encoder`. The paper's descriptions are taken from the
    FACS manual and say how strong each change is (Figure 1); those of `skfau.facs` are
    ours, and with ``descriptions="intensity"`` they say it, too. Their vectors have
    cosines of 0.90 to 0.98 with those of the descriptions without strengths.

    The mean over a sentence takes in the encoder's own marks, [CLS] and [SEP], as the
    models of sentence-transformers were trained; the paper averages over "tokens".

    Ablations are settings: ``encoder_layers=0`` (no Inter-AU attention),
    ``text_level="word"``, ``text_level=None`` (no text), and `ResNetClassifier` (no
    attention at all).

    The defaults are the published settings: random initial weights, Adam at 0.001,
    times 0.85 after every epoch, batches of 100, at most 50 epochs. Align faces to 256
    px. The published loss is the cross entropy, summed over AUs and averaged over
    faces; here it is averaged over AUs, too, a factor that does not change the steps of
    Adam. The paper stops early and does not say when. ``early_stopping=True`` decides
    by the F1 of held-out subjects. It is off by default because it needs subjects; by
    epoch 50 the learning rate is a 3000th of the initial one.

    One default is not the published one: layers that see text and no image learn at a
    tenth of the rate. At the printed rate, ``text_lr_factor=1``, the vectors that guide
    the attention turn by 18 degrees in each of the first steps, all into one direction,
    and all AUs look at the same places. On rendered faces of other people (``"tiny"``,
    13 AUs, two seeds) the mean AUC is 0.77 in place of 0.67 from random weights, and
    0.89 in place of 0.86 from ``weights="rendered"``; `ResNetClassifier` has 0.80 and
    0.90.

    References
    ----------
    H. Yang, L. Yin, Y. Zhou and J. Gu, "Exploiting semantic embedding and visual
    feature for facial action unit detection", CVPR 2021.

    Examples
    --------
    >>> from skfau import SEVNetClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = SEVNetClassifier(
    ...     backbone="tiny", image_size=48, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "backbone": [str, nn.Module],
        "weights": "no_validation",
        "descriptions": [dict, list, tuple, StrOptions({"intensity"}), None],
        "text_encoder": [str, dict, callable, HasMethods("encode"), "array-like", None],
        "described_aus": [tuple, list, np.ndarray, None],
        "text_lr_factor": [WEIGHT],
        "text_level": [StrOptions({"sentence", "word"}), None],
        "encoder_layers": [Interval(Integral, 0, None, closed="left")],
        "n_heads": [COUNT],
        "hidden_dim": [COUNT],
        "feed_forward_dim": [COUNT],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "attention_eps": [WEIGHT],
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
        text_level: Literal["sentence", "word"] | None = "sentence",
        described_aus: tuple[int, ...] | None = None,
        encoder_layers: int = 2,
        n_heads: int = 6,
        hidden_dim: int = 768,
        feed_forward_dim: int = 1024,
        dropout: float = 0.0,
        attention_eps: float = 0.01,
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
        init_from: SEVNetClassifier | str | Path | None = None,
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
        text, context = self._texts(task)
        network = SEVNet(
            task.n_aus,
            text,
            # Copy the backbone: a module is a parameter, and fit must not train it.
            copy.deepcopy(self.backbone),
            weights=self.weights if task.pretrained else None,
            encoder_layers=self.encoder_layers,
            n_heads=self.n_heads,
            hidden_dim=self.hidden_dim,
            feed_forward_dim=self.feed_forward_dim,
            dropout=self.dropout,
            attention_eps=self.attention_eps,
            context=context,
        )
        return System(
            network=network,
            loss=WeightedBCE(),
            lr_factors=slow_text_parts(network, self.text_lr_factor),
            buffers={"text": text, "context": context},
            attributes={"text_": text},
        )

    def _texts(self, task):
        """Return vectors of the AUs, and of those described beside them, or None."""
        if task.buffers is not None:
            return task.buffers.get("text"), task.buffers.get("context")
        vectors = self._described(task.aus)
        if vectors is None or len(vectors) == task.n_aus:
            return vectors, None
        return vectors[: task.n_aus], vectors[task.n_aus :]

    def _described(self, aus):
        """Return the vectors of all AUs that are described, those of `aus` first."""
        if self.text_level is None:
            if self.described_aus is not None:
                raise ValueError(
                    "described_aus are AUs known by their descriptions, and "
                    "text_level=None takes none. Pass described_aus=None."
                )
            return None
        beside = () if self.described_aus is None else self.described_aus
        described = tuple(dict.fromkeys((*aus, *map(au_number, beside))))
        if len(described) > len(aus) and not self.encoder_layers:
            raise ValueError(
                "described_aus join the others in the Inter-AU encoder, and "
                "encoder_layers=0 has none. Pass described_aus=None."
            )
        return self._vectors(described, self.descriptions, self.text_encoder)

    def _named_by(self, aus):
        vectors = {}
        if is_encoder(self.text_encoder):
            vectors["text_encoder"] = self._described(aus)
        return super()._named_by(aus) | vectors

    def _vectors(self, aus, descriptions, text_encoder):
        words = self.text_level == "word"
        return describe_as_vectors(aus, descriptions, text_encoder, words)

    def attention_maps(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return where the network looks for every AU (Figure 4).

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

    def au_relations(self, X: Faces | NDArray[Any] | None = None) -> NDArray[Any]:
        """Return how much each AU attends to each other one.

        Parameters
        ----------
        X : Faces, ndarray of shape (n_samples, height, width, 3) or None, default=None
            Faces, RGB. The relations depend on the descriptions only. With faces, there
            is a matrix per face, as in other classifiers.

        Returns
        -------
        relations : ndarray of shape (n_aus, n_aus) or (n_samples, n_aus, n_aus)
            Self-attention of the Inter-AU encoder, float32, mean over layers and
            heads; rows sum to 1, with `described_aus` to less. NaN in rows of `X`
            without a face.

        Raises
        ------
        ValueError
            If the classifier was fitted with ``encoder_layers=0``.
        """
        check_is_fitted(self, "net_")
        network = self.net_.module_.eval().network
        with torch.inference_mode():
            relations = network.relations().mean(dim=(0, 1)).cpu().numpy()
        if X is None:
            return relations
        seen = rows_with_face(check_faces(X))
        return np.where(seen[:, None, None], relations, np.float32(np.nan))

    def zero_shot_proba(
        self,
        X: Faces | NDArray[np.uint8],
        aus: Sequence[int],
        descriptions: dict[Any, Any]
        | Sequence[Any]
        | ArrayLike
        | Literal["intensity"]
        | None = None,
    ) -> NDArray[np.float32]:
        """Return probabilities of AUs that had no training labels.

        The network needs nothing but a description to look for an AU, but
        `predict_proba` of the trained AU that is described most like it is the better
        guess. With AU2, AU6, AU10, AU15 and AU25 left out of 18 AUs, their mean AUC on
        rendered faces of other people is 0.71; the outputs for AU1, AU5, AU9, AU14 and
        AU26 have 0.75 for them, and no mix of both has more (2,400 faces, two seeds).
        Measure on labelled faces before you use the probabilities.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        aus : sequence of int
            AU numbers, or names such as ``"AU25"``, none of them in `aus_`.
        descriptions : dict, sequence, array-like, "intensity" or None, default=None
            Texts as in the constructor, or the vectors of the same encoder: (n, d), or
            a dict by AU number. None takes what a dict, or ``"intensity"``, in the
            constructor says of these AUs, and `skfau.facs` for others.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n), dtype float32
            In [0, 1], columns in the order of `aus`; NaN in rows without a face. A
            DataFrame after ``set_output(predict_proba="pandas")``.

        Raises
        ------
        ValueError
            If an AU was trained, has no description or one that does not fit, or the
            classifier knows no text.

        Notes
        -----
        In the Inter-AU encoder each new AU joins the trained ones, and those of
        `described_aus`, without the other new ones, so that its probability does not
        depend on them. The paper does not do this.
        """
        check_is_fitted(self, "net_")
        aus = tuple(map(au_number, aus))
        text = self._new_text(aus, descriptions)
        module = self.net_.module_.eval()
        with torch.inference_mode():
            guides = module.network.guides_of(text)

        def select(maps):
            return torch.sigmoid(module.network.attention(maps, guides)[0])

        return self._as_output(self._run(X, select, method="backbone"), X, aus)

    def _new_text(self, aus, descriptions):
        trained = sorted(set(aus) & set(self.aus_))
        if trained or not aus or len(set(aus)) < len(aus):
            raise ValueError(
                f"aus must name untrained AUs, each once. Got {aus}, of which "
                f"{trained} were trained: predict_proba has those."
            )
        if self.text_ is None:
            raise ValueError(
                "The classifier was fitted with text_level=None and cannot read "
                "descriptions. Fit it with text_level='sentence'."
            )
        if are_vectors(descriptions):
            return self._vectors(aus, None, descriptions)
        if isinstance(self.text_encoder, Mapping) and descriptions is None:
            return self._vectors(aus, None, self.text_encoder)
        if holds_vectors(self.text_encoder):
            raise ValueError(
                "The classifier was fitted with vectors, and which encoder made them "
                "is unknown. Pass the new AUs' vectors as descriptions, an array of "
                f"shape ({len(aus)}, {self.text_.shape[-1]})."
            )
        if isinstance(self.descriptions, (Mapping, str)) and descriptions is None:
            descriptions = self.descriptions
        return self._vectors(aus, descriptions, self.text_encoder)
