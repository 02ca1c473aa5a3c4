"""`JAANetClassifier`: the system of Shao et al. (ECCV 2018, IJCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from skfau._validation import Options, StrOptions, check_faces
from skfau.estimators._augmentation import FaceAugmentation, still
from skfau.estimators._aus import class_weights
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._batches import return_landmarks
from skfau.estimators._parameters import COUNT, WEIGHT
from skfau.estimators._system import LabelTargets, System
from skfau.facs import DATASET_AUS, to_68
from skfau.losses import JAANetLoss
from skfau.nn import JAANet

if TYPE_CHECKING:
    from skfau.faces import Faces

# Weights of the refinement loss in the released code; the paper sums over cells.
_REFINEMENT_WEIGHTS = {"ijcv": 0.0, "eccv": 2e-4}


class JAANetClassifier(BaseAUClassifier):
    """Action units and landmarks together, by adaptive attention (Shao et al., 2021).

    Each face region has its own filters, at several scales. They give feature maps that
    all AUs share. One branch finds the landmarks. They place an attention map per AU,
    which the AU's own convolutions refine. Fitting needs landmarks, predicting does
    not.

    Parameters
    ----------
    variant : {"ijcv", "eccv"}, default="ijcv"
        Version of the journal, or of the conference, with which most papers compare;
        see `skfau.nn.JAANet`.
    channels : int, default=8
        Unit of all layer widths; 2 to 4 can be trained on a CPU.
    n_landmarks : {49, 68}, default=49
        Number of landmarks to find: all 68, or 49 without the jaw and the inner lip
        corners.
    roi_convention : {"jaa", "eac", "aunet"}, default="jaa"
        Which published landmark rule places the attention maps.
    landmark_weight : float, default=0.5
        Weight of the landmarks' loss.
    class_weight : {"soft_balance", "inverse_rate"} or None, default="inverse_rate"
        Weights of the AUs in the loss, from the training labels. Only the label terms
        of the loss use them.
    lr_decay : float, default=0.3
        Factor that lowers the learning rate. Applied every `lr_decay_epochs` epochs.
    lr_decay_epochs : int, default=2
        Epochs between two steps of the learning rate.
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y. None takes the column names of a DataFrame, or
        counts from 0. Numbers that FACS lacks are labels of your own. These have no
        rule for ROIs.
    image_size : int, default=176
        Side of the network's input, pixels; faces of another size are resampled. A
        multiple of 16, from 32.
    grayscale : bool, default=False
        Convert colours to grey (luma) first.
    augmentation : FaceAugmentation, "published" or None, default="published"
        Random changes to training batches. ``"published"`` is
        ``FaceAugmentation(crop=0.12)``: flips, and random crops of 176 px from 200 px,
        the central one at test time. None changes nothing and crops nothing.
    lr : float, default=0.01
        Initial learning rate. The optimiser is SGD with Nesterov momentum 0.9.
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
    init_from : JAANetClassifier, path or None, default=None
        Fitted classifier, fitted pipeline or search around one, or file of `save`, to
        start from. The layers that all AUs share are copied, and the branches of the
        AUs that both have, as from BP4D to DISFA in the paper.
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
        The trained net; ``net_.module_.network`` is the `skfau.nn.JAANet`.
    history_ : list of dict
        Per epoch ``train_loss`` and, with early stopping, ``valid_f1``. Also the parts
        of the loss.
    transferred_ : object
        Which weights came from `init_from` and which are new; only set if it was used.

    See Also
    --------
    skfau.nn.JAANet : The network, and where it departs from the released one.
    skfau.losses.JAANetLoss : The loss.

    Notes
    -----
    Optimiser, learning rates and weights are those of the authors' PyTorch code. An
    epoch there is one pass over some 100,000 faces: with fewer faces the learning rate
    falls too early; raise `lr_decay_epochs` and `max_epochs`. All landmarks start in
    the middle of the image, so attention maps mean nothing before the landmarks are
    learned.

    `FaceAligner` with ``output_size=200`` gives faces of the size that the published
    crops are taken from.

    References
    ----------
    Z. Shao, Z. Liu, J. Cai and L. Ma, "Deep adaptive attention for joint facial action
    unit detection and face alignment", ECCV 2018; "JÂA-Net: Joint facial action unit
    detection and face alignment via adaptive attention", IJCV 2021.

    Examples
    --------
    >>> from skfau import JAANetClassifier
    >>> from skfau.datasets import make_faces
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = JAANetClassifier(
    ...     channels=1, image_size=32, max_epochs=1, random_state=0)
    >>> clf.fit(faces.data, faces.target).predict_proba(faces.data).shape
    (32, 12)
    >>> clf.predict_landmarks(faces.data).shape
    (32, 68, 2)
    """

    _parameter_constraints = {
        **BaseAUClassifier._parameter_constraints,
        "variant": [StrOptions({"ijcv", "eccv"})],
        "channels": [COUNT],
        "n_landmarks": [Options(Integral, {49, 68})],
        "roi_convention": [StrOptions({"jaa", "eac", "aunet"})],
        "landmark_weight": [WEIGHT],
        "class_weight": [StrOptions({"soft_balance", "inverse_rate"}), None],
    }

    _published_augmentation = FaceAugmentation(crop=0.12)

    def __init__(
        self,
        *,
        variant: Literal["ijcv", "eccv"] = "ijcv",
        channels: int = 8,
        n_landmarks: Literal[49, 68] = 49,
        roi_convention: Literal["jaa", "eac", "aunet"] = "jaa",
        landmark_weight: float = 0.5,
        class_weight: Literal["soft_balance", "inverse_rate"] | None = "inverse_rate",
        lr_decay: float = 0.3,
        lr_decay_epochs: int = 2,
        aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
        image_size: int = 176,
        grayscale: bool = False,
        augmentation: FaceAugmentation | Literal["published"] | None = "published",
        lr: float = 0.01,
        weight_decay: float = 5e-4,
        batch_size: int = 8,
        max_epochs: int = 12,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 5,
        init_from: JAANetClassifier | str | Path | None = None,
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
        network = JAANet(
            task.n_aus,
            task.aus,
            variant=self.variant,
            channels=self.channels,
            image_size=self.image_size,
            n_landmarks=self.n_landmarks,
            roi_convention=self.roi_convention,
        )
        loss = JAANetLoss(
            class_weights(self.class_weight, task.label_counts),
            self.landmark_weight,
            _REFINEMENT_WEIGHTS[self.variant],
        )
        return System(
            network,
            loss,
            partial(torch.optim.SGD, momentum=0.9, nesterov=True),
            targets=LandmarkTargets(),
        )

    def attention_maps(
        self, X: Faces | NDArray[np.uint8], refined: bool = True
    ) -> NDArray[np.float32]:
        """Return where the network looks for every AU.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        refined : bool, default=True
            Return the maps that the AUs' own convolutions refined, or those that the
            landmarks place.

        Returns
        -------
        maps : ndarray of shape (n_samples, n_aus, h, w), dtype float32
            In [0, 1], of a quarter of `image_size`. They cover the network's input
            (with ``augmentation.crop`` its central window). NaN in rows without a face.
        """
        name = "refined_maps" if refined else "attention_maps"
        return self._run(X, lambda outputs: outputs[1][name])

    def predict_landmarks(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the landmarks that the network finds.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        landmarks : ndarray of shape (n_samples, 68, 2), dtype float32
            Pixels of the faces, x then y. NaN in rows without a face and, with
            ``n_landmarks=49``, on the jaw and at the inner lip corners.
        """
        found = self._run(X, lambda outputs: outputs[1]["landmarks"])
        faces = check_faces(X)
        window = still(self._augmentation, len(faces))
        found = return_landmarks(found, faces.image_shape, self.image_size, window)
        return to_68(found)


class LandmarkTargets(LabelTargets):
    """Targets of a loss that also compares landmarks."""

    def columns(self, faces):
        """Return the name of the landmarks' column."""
        return ("landmarks",)
