"""The base of the AU classifiers: data, training, persistence and prediction, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skfau import _single_au as single
from skfau._subjects import RemembersSubjects, warn_of_training_subjects
from skfau._tables import TableOutput
from skfau._unwrap import is_binary
from skfau._validation import _fit_context, check_au_labels, check_faces
from skfau.estimators import _bounds, _fitting, _persistence
from skfau.estimators._aus import count_labels, drop_rows, resolve_aus
from skfau.estimators._batches import FaceBatches, apply_network, logits_of, window_of
from skfau.estimators._callbacks import check_callbacks, plain_history
from skfau.estimators._checkpoint import fit_fingerprint
from skfau.estimators._devices import FitsTogether, several
from skfau.estimators._finite import refuse_broken_values, refuse_broken_weights
from skfau.estimators._likeness import kind_in, kind_of, warn_unlike
from skfau.estimators._onnx import WritesONNX
from skfau.estimators._parameters import (
    SHARED_CONSTRAINTS,
    SharedParameters,
    kept_parameters,
)
from skfau.estimators._system import LabelTargets, Task
from skfau.estimators._torch_state import PrivateStream, resolve_device, threads
from skfau.estimators._training import INIT
from skfau.faces import Faces
from skfau.metrics import au_f1_score

_TRIED = 8  # faces on which a fit tries its network


class BaseAUClassifier(
    SharedParameters,
    RemembersSubjects,
    TableOutput,
    WritesONNX,
    FitsTogether,
    ClassifierMixin,
    BaseEstimator,
):
    """Base of the AU classifiers: data, training, persistence and prediction, once.

    A subclass declares its parameters in ``__init__``, stores them by
    ``self._set_parameters(locals())`` and writes one method,
    ``_system(self, task)``, which returns the network, the loss and whatever else a
    paper says as a `System`. All that `FAUTransformerClassifier` documents as shared is
    there: early stopping, checkpoints, transfer, augmentation, saving. Parameters that
    a subclass does not take are attributes of the class: ``image_size`` 224, ``lr``
    0.001, ``batch_size`` 32, ``max_epochs`` 20; the others switch nothing on.

    Attributes
    ----------
    aus_ : tuple of int
        AU numbers, in the order of the columns.
    n_aus_ : int
        Their number.
    classes_ : ndarray of shape (n_aus, 2) or (2,)
        ``[0, 1]`` for every AU; (2,) after labels of shape (n_samples,).
    label_counts_ : ndarray of shape (2, n_aus)
        Positive and known labels of every AU in the training rows; with
        ``sample_weight`` float64, the sums of weights of mean 1.
    train_subjects_ : tuple of str
        Digests of the names of the subjects in the training rows. `score` and the
        scorers of `skfau.metrics` warn of rows that show them again.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.network`` is the network.
    history_ : list of dict
        Per epoch ``train_loss``, its parts and, with early stopping, ``valid_f1``.
    transferred_ : object
        What `init_from` gave, and what began afresh; set only when it was used.

    Notes
    -----
    The hooks, all with a default but the first; their names begin with an underscore so
    that they do not stand among the verbs:

    ``_system(task)``
        Return the `System`. `task` knows ``aus``, ``n_aus``, ``label_counts`` and
        ``labels``, and whether to read ``pretrained`` weights.
    ``_published_augmentation``
        Class attribute, a `FaceAugmentation`: what ``augmentation="published"`` means.
        Without it the word is refused.
    ``_check_training_faces(faces, going_on)``
        Raise if these faces cannot train this classifier, before anything is made.
    ``_pretrain(net, faces, labels, fresh)``
        Train what is learned before the network.
    ``_make_batches(net, faces, labels, weights)``
        Return the training data as whole batches; `weights` are those of the rows, or
        None where all weigh alike.
    ``_apply_network(faces, select, method)``
        Run the network over faces.
    ``_named_by(aus)``
        Return the parameters that tell one fit's checkpoint from another's.
    ``_exported(face_size)``
        Return what `to_onnx` writes.

    What ``callbacks`` of skorch do here; a fit trains with copies of them. What cannot
    do its work is refused with a reason before anything is trained:

    ===================================  ===============================================
    callback                             here
    ===================================  ===============================================
    ``LRScheduler``                      Every policy, by epoch or batch, if nothing
                                         else sets the rate: ``lr_decay=1`` and
                                         ``schedule=None``. A ``max_lr`` is that of all
                                         parts of the network, unless it is a list.
    ``EarlyStopping``, ``Checkpoint``    With ``monitor=`` what is recorded before they
                                         are called; ``load_best`` without
                                         ``early_stopping``; no ``f_pickle``.
    ``TrainEndCheckpoint``               Holds the weights that the fit ends with.
    ``EpochScoring``                     Calls the classifier: on the held-out faces
                                         with ``early_stopping=True``, on the training
                                         faces, unchanged, with ``on_train=True``.
    ``PassthroughScoring``               With ``on_train=True``: ``train_loss_best``.
    ``GradientNormClipping``             Works.
    ``Freezer``, ``Unfreezer``,          By names such as ``network.backbone.*``; one
    ``ParamMapper``, ``Initializer``     that fits no weight is refused.
    ``EpochTimer``, ``ProgressBar``      Work.
    ``PrintLog``                         Prints with ``verbose=1``, or to its ``sink``.
    ``TensorBoard`` and other loggers    Read the history.
    ``BatchScoring``,                    Refused.
    ``InputShapeSetter``,
    ``LoadInitState``
    your own                             ``on_*`` are called as by skorch.
    ===================================  ===============================================

    An epoch records ``train_loss``, the parts of the loss and, with early stopping on
    held-out subjects, ``valid_f1``, which is better the higher it is (pass
    ``lower_is_better=False``); there is no ``valid_loss``. A callback ends the
    training with its epoch by raising KeyboardInterrupt, as ``EarlyStopping`` does;
    all others still hear of that epoch. A user's Ctrl-C passes through. In
    `partial_fit` a scheduler goes on where it was; other callbacks begin anew.

    A file in ``checkpoint_dir`` belongs to the class, the data, the parameters, and the
    callbacks that may change the training: all but those that score, print or log.
    What callbacks have learned, attributes that end in an underscore, is kept with it.
    A fit with more ``max_epochs`` goes on from the file of one with fewer, unless its
    learning rates depend on that number; one that had stopped early stays as it is.

    Examples
    --------
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import BaseAUClassifier, System
    >>> from skfau.losses import WeightedBCE
    >>> from skfau.nn import PooledNet
    >>> class TinyClassifier(BaseAUClassifier):
    ...     def __init__(self, *, image_size=48, max_epochs=1, random_state=None):
    ...         self._set_parameters(locals())
    ...
    ...     def _system(self, task):
    ...         network = PooledNet(task.n_aus, "tiny")
    ...         return System(network=network, loss=WeightedBCE())
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=48, random_state=0)
    >>> clf = TinyClassifier(random_state=0).fit(faces.data, faces.target)
    >>> clf.predict_proba(faces.data).shape
    (32, 12)
    """

    # -- hooks: what a published system writes --------------------------------------

    _published_augmentation = None

    def _system(self, task):
        """Return the `System` for a `Task`; asked once per fit."""
        raise NotImplementedError(
            f"{type(self).__name__} has no _system(self, task) yet. Write it, and "
            "return skfau.estimators.System(network=..., loss=...)."
        )

    def _check_training_faces(self, faces, *, going_on):
        """Raise if these faces cannot train this classifier."""

    def _pretrain(self, net, faces, labels, *, fresh):
        """Train what is learned before the network.

        `fresh` names the entries of the network's state that start at random.
        """

    def _make_batches(self, net, faces, labels, weights=None):
        """Return the training data as whole batches."""
        parameters = self._batch_parameters(net, faces)
        return FaceBatches(faces, labels, weights=weights, **parameters)

    def _apply_network(self, faces, select, method):
        """Return `select` of the network's outputs, row by row, NaN without a face."""
        return apply_network(
            self.net_.module_,
            faces,
            select,
            batch_size=self.batch_size,
            augmentation=self._augmentation,
            method=method,
            columns=self.net_.system.inputs,
            **self._shown("Applying"),
        )

    def _shown(self, doing):
        """Return how progress is shown, as arguments of what trains or applies."""
        return {"title": f"{doing} {type(self).__name__}", "verbose": self.verbose}

    # -- fitting ------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Faces | NDArray[np.uint8],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the network on faces whose AUs are known.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB. Rows without a face (all landmarks NaN) are left out.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            1 where the AU occurs, 0 where it does not, NaN where that is unknown. After
            labels of a single AU of shape (n_samples,) `classes_`, `predict` and
            `predict_proba` have the shapes of scikit-learn's two classes. A column may
            be all NaN if the classifier that training starts from (`init_from`,
            `warm_start`) knows that AU: it keeps its branch, which no label of its own
            teaches, and is predicted as the others are. Layers that it shares with
            other AUs go on learning.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each face in all parts of the loss, at least 0; only their ratios
            count. Rows of weight 0 are left out. A face weighs as much where another
            is mixed in, and in `label_counts_` and the class weights made of them.
            None, and equal weights, weigh all alike. `subject_weights` makes every
            person count alike. What is learned before the network, graphs of labels
            and the F1 of early stopping take all rows that are left alike.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        LabelError
            If `y` holds other values, does not fit `X` or `aus`, leaves an AU without
            one known label that training does not start with, or the subjects held out
            for early stopping without one AU that occurs.
        MissingColumnError
            If early stopping finds no subjects in `X`, or landmarks are needed and
            missing.
        ValueError
            If `sample_weight` has another shape or other values, a warm start finds a
            network of another shape, or a callback could not do its work (see the notes
            of `BaseAUClassifier`). If several devices are not GPUs named once each, or
            the CPU throughout.
        RuntimeError
            If several devices are asked for in a thread of joblib.
        FloatingPointError
            If training diverges.
        """
        if several(self.device):
            return self._fit_together("fit", X, y, sample_weight)
        going_on = self.warm_start and hasattr(self, "net_")
        if going_on:
            self._check_described()
        *train, aus = self._check_training(X, y, sample_weight, going_on=going_on)
        seed = _fitting.draw_seed(self.random_state)
        checkpoint = _fitting.find_checkpoint(
            self.checkpoint_dir,
            self.random_state,
            going_on,
            lambda: fit_fingerprint(type(self), self._named_by(aus), *train),
            self.max_epochs,
        )
        taught = _persistence.subjects_of(self if going_on else self.init_from)
        everyone, held_out = train[0], None
        if self.early_stopping:
            train, test = _fitting.hold_out_subjects(
                *train, self.validation_fraction, seed
            )
            held_out = _fitting.EarlyStopping(self._probabilities, *test, self.patience)
        with threads(self.n_threads):
            net, fresh = self._start(*train, aus, seed, going_on, held_out)
            self.classes_ = single.classes_of(y)
            state = _fitting.saved_state(checkpoint, net)
            self._pretrain(net, *train[:2], fresh=() if state else fresh)
            self.net_ = net
            # Resume first: cached features are keyed by the weights.
            n_left = _fitting.resume(net, self.max_epochs, held_out, state)
            batches = self._make_batches(net, *train)
            how = n_left, held_out, checkpoint, self._shown("Fitting")
            with self._remembering(everyone, taught):
                _fitting.train(net, batches, train[:2], *how)
        self._refuse_divergence(train[0])
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Faces | NDArray[np.uint8],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train one epoch more on these faces, keeping optimiser and history.

        The first call also decides the class weights, from its own labels. There
        is no early stopping and no checkpoint. A copy (`copy.deepcopy`, pickle) goes on
        exactly as the original; a classifier from a file of `save` warns, and begins
        with a new optimiser.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            1, 0, or NaN where unknown. The first call decides the shapes of what is
            predicted.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            As in `fit`; their ratios count within one call.
        classes : array-like or None, default=None
            Ignored: scikit-learn names here what labels there are, which for AUs is
            always 0, 1 and NaN.

        Returns
        -------
        self : object
            The classifier.
        """
        if several(self.device):
            return self._fit_together("partial_fit", X, y, sample_weight, classes)
        going_on = hasattr(self, "net_")
        *train, aus = self._check_training(X, y, sample_weight, going_on=going_on)
        taught = _persistence.subjects_of(self if going_on else self.init_from)
        with threads(self.n_threads):
            net, fresh = getattr(self, "net_", None), ()
            if going_on:
                net.use_callbacks(self.callbacks)
                _persistence.warn_without_optimizer(net)
            else:
                seed = _fitting.draw_seed(self.random_state)
                net, fresh = self._start(*train, aus, seed)
                self.classes_ = single.classes_of(y)
            self._pretrain(net, *train[:2], fresh=fresh)
            self.net_ = net
            batches = self._make_batches(net, *train)
            with self._remembering(train[0], taught):
                net.run_epochs(batches, 1, data=train[:2], **self._shown("Fitting"))
        self._refuse_divergence(train[0])
        return self

    def _refuse_divergence(self, faces):
        """Raise if the last steps, which no loss tells of, broke the network."""
        refuse_broken_weights(self.net_.module_.network)
        self._probabilities(faces[:_TRIED])

    def _check_training(self, X, y, sample_weight, *, going_on):
        """Return faces, labels and weights that can train, and the columns' AUs.

        Weights have mean 1, and are None where all weigh alike.
        """
        *rows, aus = _fitting.check_data(X, y, sample_weight, self.aus)
        faces = rows[0]
        if going_on:
            _fitting.check_same_aus(aus, self.aus_)
        _fitting.check_augmentation(self._augmentation, faces)
        self._check_training_faces(faces, going_on=going_on)
        rows = drop_rows(*rows)
        self._trained_on = kind_of(rows[0])
        return *rows, aus

    def _start(self, faces, labels, weights, aus, seed, going_on=False, held_out=None):
        """Return a new net and the names of its weights that start at random.

        The others are those of `net_` where a fit goes on, or come from `init_from`.
        """
        kept = aus if going_on else _persistence.aus_of(self.init_from)
        task = Task(aus, count_labels(labels, aus, weights, kept), labels)
        if going_on or self.init_from is not None:
            # Weights that are copied need not be read from a file, or downloaded.
            task = task._replace(pretrained=False)
        net = self._make_net(task, seed)
        columns = _fitting.training_columns(net.system, faces, self._augmentation)
        _fitting.warn_few_landmarks(faces, columns)
        check_callbacks(net, held_out is not None)
        network = net.module_.network
        fresh = list(network.state_dict())
        if going_on:
            _persistence.load_state(network, self.network_state())
            _persistence.load_loss(net, _persistence.loss_state(self.net_))
            fresh = []
        elif self.init_from is not None:
            report = _persistence.transfer(net, task, self.init_from, type(self))
            if _persistence.needs_weights(network, report):
                net = self._make_net(task._replace(pretrained=True), seed)
                report = _persistence.transfer(net, task, self.init_from, type(self))
            self.transferred_, fresh = report, report["fresh"]
        if not going_on:
            # Should `_pretrain` fail, a half-trained network must not be found here.
            vars(self).pop("net_", None)
        self._describe(net, task)
        return net, fresh

    def _make_net(self, task, seed, made_with=None):
        """Ask the system for its parts and compose a net of them.

        `made_with` are the parameters of a net that is made again.
        """
        made_with = made_with or kept_parameters(self.get_params(False))
        device = resolve_device(self.device, or_cpu=task.labels is None)
        stream = PrivateStream(device)
        stream.seed(seed, INIT)
        with stream():
            system = self._system(task)
            net = _fitting.compose_net(
                system,
                {name: getattr(self, name) for name in SHARED_CONSTRAINTS} | made_with,
                device=device,
                seed=seed,
            )
        net.system, net.made_with, net.classifier = system, made_with, self
        return net

    def _describe(self, net, task):
        """Set the fitted attributes that say what was learned, but not `net_`."""
        self.aus_, self.n_aus_ = tuple(task.aus), task.n_aus
        self.label_counts_ = task.label_counts
        for name, value in net.system.attributes.items():
            setattr(self, name, value)

    def _batch_parameters(self, net, faces):
        """Return how batches of faces are made, as arguments of `FaceBatches`."""
        return {
            "image_size": net.module_.image_size,
            "augmentation": self._augmentation,
            "make_targets": net.system.targets or LabelTargets(),
            "columns": _fitting.training_columns(net.system, faces, self._augmentation),
            "aus": self.aus_,
            "inputs": net.system.inputs,
        }

    @property
    def _augmentation(self):
        if self.augmentation != "published":
            return self.augmentation
        if self._published_augmentation is None:
            raise ValueError(
                f"augmentation='published' is a paper's, and {type(self).__name__} "
                "names none. Pass a FaceAugmentation, or None."
            )
        return self._published_augmentation

    # -- predicting ----------------------------------------------------------------

    def predict_proba(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of every AU in every face.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_aus), dtype float32
            In [0, 1], columns in the order of `aus_`; NaN in rows without a face. A
            DataFrame with columns ``AU1``, ... and rows named as the faces are, after
            ``set_output(predict_proba="pandas")``. Of shape (n_samples, 2), without
            the AU and with it, after labels of shape (n_samples,).

        Raises
        ------
        FloatingPointError
            If a row that has a face gets NaN, as from a network whose training
            diverged.

        Warns
        -----
        MissingFaceWarning
            After labels of shape (n_samples,), if a row is NaN: scikit-learn's tools
            for two classes take that for an absent AU.
        UnlikeTrainingWarning
            If the faces are not aligned, not square or grey, those of the training were
            aligned, square or in colours.
        """
        return self._as_output(self._probabilities(X), X)

    def _probabilities(self, X):
        return self._run(X, lambda outputs: torch.sigmoid(logits_of(outputs)))

    def predict(self, X: Faces | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return which AUs occur: 1 where the probability is at least 0.5.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        occurrence : ndarray of shape (n_samples, n_aus), dtype float32
            0 or 1; NaN in rows without a face. `AUThresholdClassifier` learns other
            thresholds. Of shape (n_samples,) after labels of that shape, and int64
            where all rows have a face.
        """
        called = self._probabilities(X)
        called = np.where(np.isnan(called), called, called >= 0.5)
        return single.as_occurrence(called, binary=is_binary(self))

    def score(
        self,
        X: Faces | NDArray[np.uint8],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the mean F1 over the AUs, over frames whose label is known.

        It is `skfau.metrics.au_f1_score` with its defaults, not the exact-match
        accuracy of other multi-label classifiers: accuracy says little where most
        AUs are rare.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        y : array-like of shape (n_samples, n_aus) or (n_samples,)
            1, 0, or NaN where unknown.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts, at least 0; None is once.

        Returns
        -------
        f1 : float
            Macro F1 in [0, 1].

        Warns
        -----
        SubjectOverlapWarning
            If some subjects of `X` were in training, so that the score flatters. A
            score of training rows that you mean is silent after
            ``warnings.simplefilter("ignore", SubjectOverlapWarning)``.
        """
        warn_of_training_subjects(self, X)
        predicted, y = single.as_columns(self.predict(X)), single.as_columns(y)
        labels = check_au_labels(y)
        resolve_aus(self.aus_, y, labels.shape[1])
        return float(au_f1_score(labels, predicted, sample_weight=sample_weight))

    def _run(self, X, select, method="forward"):
        """Return `select` of the network's outputs, row by row, NaN without a face."""
        check_is_fitted(self, "net_")
        faces = check_faces(X, need=self.net_.system.inputs)
        warn_unlike(getattr(self, "_trained_on", None), faces, self.grayscale)
        with threads(self.n_threads):
            values = self._apply_network(faces, select, method)
        refuse_broken_values(values, faces)
        return values

    def input_window(self, image_shape: tuple[int, int]) -> tuple[float, ...]:
        """Return which part of a face the network sees when it predicts.

        Maps of the network, such as ``attention_maps``, cover this window.

        Parameters
        ----------
        image_shape : tuple of (int, int)
            Height and width of the faces, pixels.

        Returns
        -------
        window : tuple of float
            Left, top, right and bottom, pixels, counted from the image's upper left
            corner: the network sees ``image[top:bottom, left:right]``. The whole image
            without ``augmentation.crop``.
        """
        return window_of(self._augmentation, image_shape, self.image_size)

    # -- keeping --------------------------------------------------------------------

    @property
    def history_(self) -> list[dict[str, Any]]:
        """List of one dict per epoch: ``train_loss``, its parts, ``valid_f1``."""
        check_is_fitted(self, "net_")
        return plain_history(self.net_.history)

    def network_state(self) -> dict[str, NDArray[Any]]:
        """Return the network's weights and buffers as NumPy arrays by name.

        Returns
        -------
        state : dict of str to ndarray
            The network's own state dict: it loads into the module of `skfau.nn`.
        """
        check_is_fitted(self, "net_")
        state = self.net_.module_.network.state_dict()
        return {k: v.cpu().numpy().copy(order="C") for k, v in state.items()}

    def save(self, path: str | Path) -> None:
        """Write the fitted classifier to one file that runs no code when read.

        Parameters
        ----------
        path : str or Path
            Of the safetensors file: weights, and a JSON header with the parameters,
            the AUs, the history and the centres of a loss that has them. Where the fit
            ran (device, threads, checkpoints, callbacks) and ``init_from`` are not
            kept, nor is the optimiser, which would make the file three times as long:
            `partial_fit` warns that it begins with a new one. Pickle keeps it.

        Raises
        ------
        TypeError
            If a parameter is an object, such as a backbone of your own; pickle keeps
            those.
        ValueError
            If parameters set after the fit are of a network of another shape.
        OSError
            If the file cannot be written; what was there before stays.
        """
        header, state = self._to_file()
        parameters = _persistence.to_json(kept_parameters(self.get_params(False)))
        _persistence.write_file(path, {**header, "parameters": parameters}, state)

    def _to_file(self):
        """Return what a file needs beside the parameters: a header and arrays."""
        check_is_fitted(self, "net_")
        self._check_described()
        header = {
            "class": type(self).__name__,
            "aus": self.aus_,
            "binary": is_binary(self),
            "label_counts": self.label_counts_.tolist(),
            "constants": self.net_.system.given,
            "history": self.history_,
            "train_subjects": _persistence.subjects_of(self),
            "trained_on": getattr(self, "_trained_on", None),
            "loss": _persistence.loss_state(self.net_),
        }
        return header, self.network_state()

    @classmethod
    def load(cls, path: str | Path) -> Any:
        """Read a classifier written by `save`.

        Parameters
        ----------
        path : str or Path
            Of a file written by `save` of the same class.

        Returns
        -------
        estimator : object
            The fitted classifier.

        Raises
        ------
        OSError
            If there is no such file, or it cannot be read.
        ValueError
            If the file is something else, damaged, or of another class or format; or
            if its parameters are not those of the arrays in it.
        """
        with _persistence.opened(path, cls.__name__) as (parameters, header, state):
            return cls._from_file(parameters, header, state)

    @classmethod
    def _from_file(cls, parameters, header, state):
        """Return the classifier that has these parameters and gave `_to_file`."""
        new = cls(**_bounds.check_parameters(cls, parameters))
        new._validate_params()
        new.aus_, new.label_counts_ = _bounds.read_labels(header)
        with _bounds.Bounded(state):
            net = new._remake_net({name: state[name] for name in header["constants"]})
        _persistence.fill(net, header, state)
        new._describe(net, Task(new.aus_, new.label_counts_))
        binary = _bounds.read_binary(header)
        new.classes_ = single.two_classes(new.n_aus_, binary=binary)
        new.net_ = net
        new.train_subjects_ = _persistence.subjects_in(header)
        new._trained_on = kind_in(header)
        return new

    def _remake_net(self, buffers, seed=0, made_with=None):
        """Return a net as the fitted one, to be filled with its weights."""
        task = Task(self.aus_, self.label_counts_, None, buffers, pretrained=False)
        return self._make_net(task, seed, made_with)

    def _check_described(self):
        """Raise if set_params after fit describes a network of another shape."""
        made_with, now = self.net_.made_with, kept_parameters(self.get_params(False))
        changed = {n: made_with[n] for n in now if now[n] is not made_with[n]}
        if not changed:
            return
        nets = self.net_, self._remake_net(self.net_.system.buffers)
        _persistence.check_same_shapes(*(net.module_.network for net in nets), changed)

    def __getstate__(self):
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            self._check_described()
            state["_network"] = {
                "remade": (net.system.buffers, net.seed, net.made_with),
                "training": _persistence.to_arrays(net.training_state(copied=True)),
                "loaded_from": net.loaded_from,
            }
        return state

    def __setstate__(self, state):
        state = dict(state)
        kept = _persistence.read_kept(state.pop("_network", None))
        super().__setstate__(state)
        if kept is not None:
            self.net_ = net = self._remake_net(*kept["remade"])
            net.load_training_state(_persistence.to_tensors(kept["training"]))
            net.loaded_from = kept["loaded_from"]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags
