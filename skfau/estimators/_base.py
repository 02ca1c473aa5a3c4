"""The base of the AU classifiers: data, training, persistence and prediction, once."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from skfau._validation import _fit_context, check_au_labels, check_faces
from skfau.estimators import _fitting, _persistence
from skfau.estimators._augmentation import still
from skfau.estimators._aus import (
    count_labels,
    drop_faceless,
    resolve_aus,
    two_classes,
)
from skfau.estimators._batches import (
    FaceBatches,
    apply_network,
    logits_of,
    return_landmarks,
)
from skfau.estimators._checkpoint import fit_fingerprint
from skfau.estimators._finite import refuse_broken_values, refuse_broken_weights
from skfau.estimators._parameters import SHARED_CONSTRAINTS, kept_parameters
from skfau.estimators._system import LabelTargets, Task
from skfau.estimators._torch_state import PrivateStream, resolve_device, threads
from skfau.estimators._training import INIT, load_history, plain_history
from skfau.metrics import au_f1_score

_TRIED = 8  # faces on which a fit tries its network


class BaseAUClassifier(ClassifierMixin, BaseEstimator):
    """Base of the AU classifiers: data, training, persistence and prediction, once.

    A subclass declares its parameters in ``__init__``, stores them by
    ``self._set_parameters(locals())`` and writes one method,
    ``_system(self, task)``, which returns the network, the loss and whatever else a
    paper says as a `System`. All that `FAUTransformerClassifier` documents as shared is
    there: early stopping, checkpoints, transfer, augmentation, saving. Parameters that
    a subclass does not take have the defaults below as attributes.

    Attributes
    ----------
    aus_ : tuple of int
        AU numbers, in the order of the columns.
    n_aus_ : int
        Their number.
    classes_ : ndarray of shape (n_aus, 2)
        ``[0, 1]`` for every AU.
    label_counts_ : ndarray of shape (2, n_aus)
        Positive and known labels of every AU in the training rows.
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
    ``_make_batches(net, faces, labels)``
        Return the training data as whole batches.
    ``_apply_network(faces, select, method)``
        Run the network over faces.

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

    _parameter_constraints = SHARED_CONSTRAINTS

    # Defaults of the shared parameters, for subclasses that do not take them.
    aus = None
    image_size = 224
    grayscale = False
    augmentation = None
    lr = 1e-3
    lr_decay = 1.0
    lr_decay_epochs = 1
    weight_decay = 0.0
    batch_size = 32
    max_epochs = 20
    early_stopping = False
    validation_fraction = 0.2
    patience = 5
    init_from = None
    warm_start = False
    checkpoint_dir = None
    callbacks = None
    device = "auto"
    precision = "auto"
    n_threads = None
    verbose = 0
    random_state = None

    def _set_parameters(self, arguments):
        """Store ``locals()`` of a constructor, unchanged, as scikit-learn asks.

        Forty parameters written out once more per estimator would hide a slip.
        """
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

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

    def _make_batches(self, net, faces, labels):
        """Return the training data as whole batches."""
        return FaceBatches(faces, labels, **self._batch_parameters(net, faces))

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
        )

    # -- fitting ------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Train the network on faces whose AUs are known.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB. Rows without a face (all landmarks NaN) are left out.
        y : array-like of shape (n_samples, n_aus)
            1 where the AU occurs, 0 where it does not, NaN where that is unknown.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        LabelError
            If `y` holds other values, does not fit `X` or `aus`, leaves an AU without
            one known label, or the subjects held out for early stopping without one
            AU that occurs.
        MissingColumnError
            If early stopping finds no subjects in `X`, or landmarks are needed and
            missing.
        ValueError
            If a warm start finds a network of another shape.
        FloatingPointError
            If training diverges.
        """
        going_on = self.warm_start and hasattr(self, "net_")
        if going_on:
            self._check_described()
        faces, labels, aus = self._check_training(X, y, going_on)
        seed = _fitting.draw_seed(self.random_state)
        checkpoint = _fitting.find_checkpoint(
            self.checkpoint_dir,
            self.random_state,
            going_on,
            lambda: fit_fingerprint(type(self), self.get_params(False), faces, labels),
        )
        train, held_out = (faces, labels), None
        if self.early_stopping:
            train, test = _fitting.hold_out_subjects(
                faces, labels, self.validation_fraction, seed
            )
            held_out = _fitting.EarlyStopping(self._probabilities, *test, self.patience)
        with threads(self.n_threads):
            net, fresh = self._start(*train, aus, seed, going_on)
            resumed = checkpoint is not None and checkpoint.path.exists()
            self._pretrain(net, *train, fresh=() if resumed else fresh)
            self.net_ = net
            # Resume first: cached features are keyed by the weights.
            n_left = _fitting.resume(net, self.max_epochs, held_out, checkpoint)
            batches = self._make_batches(net, *train)
            bar_name = type(self).__name__ if self.verbose else None
            _fitting.train(
                net, batches, n_left, self.max_epochs, held_out, checkpoint, bar_name
            )
        self._refuse_divergence(train[0])
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y):
        """Train one epoch more on these faces, keeping optimiser and history.

        The first call also decides the class weights, from its own labels. There
        is no early stopping and no checkpoint.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        y : array-like of shape (n_samples, n_aus)
            1, 0, or NaN where unknown.

        Returns
        -------
        self : object
            The classifier.
        """
        going_on = hasattr(self, "net_")
        faces, labels, aus = self._check_training(X, y, going_on)
        with threads(self.n_threads):
            net, fresh = getattr(self, "net_", None), ()
            if not going_on:
                seed = _fitting.draw_seed(self.random_state)
                net, fresh = self._start(faces, labels, aus, seed)
            self._pretrain(net, faces, labels, fresh=fresh)
            self.net_ = net
            net.run_epochs(self._make_batches(net, faces, labels), 1)
        self._refuse_divergence(faces)
        return self

    def _refuse_divergence(self, faces):
        """Raise if the last steps, which no loss tells of, broke the network."""
        refuse_broken_weights(self.net_.module_.network)
        self._probabilities(faces[:_TRIED])

    def _check_training(self, X, y, going_on):
        """Return the faces and labels that can train, and the AUs of the columns."""
        faces, labels, aus = _fitting.check_data(X, y, self.aus)
        if going_on:
            _fitting.check_same_aus(aus, self.aus_)
        _fitting.check_augmentation(self._augmentation, faces)
        self._check_training_faces(faces, going_on=going_on)
        return *drop_faceless(faces, labels), aus

    def _start(self, faces, labels, aus, seed, going_on=False):
        """Return a new net and the names of its weights that start at random.

        The others are those of `net_` where a fit goes on, or come from `init_from`.
        """
        previous = self.network_state() if going_on else None
        task = Task(aus, count_labels(labels, aus), labels)
        net = self._make_net(task, seed)
        _fitting.training_columns(net.system, faces, self._augmentation)
        network, report = net.module_.network, None
        fresh = list(network.state_dict())
        if previous is not None:
            _persistence.load_state(network, previous)
            fresh = []
        elif self.init_from is not None:
            report = _persistence.transfer(
                network, aus, net.system.given, self.init_from, type(self).__name__
            )
            fresh = report["fresh"]
        if not going_on:
            # Should `_pretrain` fail, a half-trained network must not be found here.
            vars(self).pop("net_", None)
        self._describe(net, task)
        if report is not None:
            self.transferred_ = report
        return net, fresh

    def _make_net(self, task, seed):
        """Ask the system for its parts and compose a net of them."""
        device = resolve_device(self.device, or_cpu=not task.pretrained)
        stream = PrivateStream(device)
        stream.seed(seed, INIT)
        with stream():
            system = self._system(task)
            net = _fitting.compose_net(
                system,
                {name: getattr(self, name) for name in SHARED_CONSTRAINTS},
                device=device,
                seed=seed,
                learning_rate_factor=self._learning_rate_factor,
            )
        net.system, net.made_with = system, kept_parameters(self.get_params(False))
        return net

    def _describe(self, net, task):
        """Set the fitted attributes that say what was learned, but not `net_`."""
        self.aus_, self.n_aus_ = tuple(task.aus), task.n_aus
        self.classes_ = two_classes(task.n_aus)
        self.label_counts_ = task.label_counts
        for name, value in net.system.attributes.items():
            setattr(self, name, value)

    def _learning_rate_factor(self, epoch):
        """Return what `lr` is multiplied by in an epoch, counted from 0."""
        return self.lr_decay ** (epoch // self.lr_decay_epochs)

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

    def predict_proba(self, X):
        """Return the probability of every AU in every face.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_aus), dtype float32
            In [0, 1], columns in the order of `aus_`; NaN in rows without a face. A
            DataFrame with columns ``AU1``, ... after
            ``set_output(predict_proba="pandas")``.

        Raises
        ------
        FloatingPointError
            If a row that has a face gets NaN, as from a network whose training
            diverged.
        """
        return self._as_output(self._probabilities(X))

    def _probabilities(self, X):
        return self._run(X, lambda outputs: torch.sigmoid(logits_of(outputs)))

    def predict(self, X):
        """Return which AUs occur: 1 where the probability is at least 0.5.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.

        Returns
        -------
        occurrence : ndarray of shape (n_samples, n_aus), dtype float32
            0 or 1; NaN in rows without a face. `AUThresholdClassifier` learns other
            thresholds.
        """
        probabilities = self._probabilities(X)
        return np.where(np.isnan(probabilities), probabilities, probabilities >= 0.5)

    def score(self, X, y):
        """Return the mean F1 over the AUs, over frames whose label is known.

        It is `skfau.metrics.au_f1_score` with its defaults, not the exact-match
        accuracy of other multi-label classifiers: accuracy says little where most
        AUs are rare.

        Parameters
        ----------
        X : Faces or ndarray of shape (n_samples, height, width, 3), dtype uint8
            Faces, RGB.
        y : array-like of shape (n_samples, n_aus)
            1, 0, or NaN where unknown.

        Returns
        -------
        f1 : float
            Macro F1 in [0, 1].
        """
        predicted, labels = self.predict(X), check_au_labels(y)
        resolve_aus(self.aus_, y, labels.shape[1])
        return float(au_f1_score(labels, predicted))

    def _run(self, X, select, method="forward"):
        """Return `select` of the network's outputs, row by row, NaN without a face."""
        check_is_fitted(self, "net_")
        faces = check_faces(X, need=self.net_.system.inputs)
        with threads(self.n_threads):
            values = self._apply_network(faces, select, method)
        refuse_broken_values(values, faces)
        return values

    def input_window(self, image_shape):
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
        corners = np.array([[[0, 0], [self.image_size, self.image_size]]]) - 0.5
        geometry = still(self._augmentation, 1)
        seen = return_landmarks(corners, image_shape, self.image_size, geometry)
        return tuple((seen + 0.5).ravel().tolist())

    def set_output(self, *, predict_proba=None):
        """Choose what `predict_proba` returns.

        Parameters
        ----------
        predict_proba : {"default", "pandas"} or None, default=None
            ``"pandas"`` gives a DataFrame with columns ``AU1``, ``AU2``, ... and
            needs pandas. None changes nothing.

        Returns
        -------
        self : object
            The classifier.
        """
        if predict_proba not in {"default", "pandas", None}:
            raise ValueError(
                "predict_proba must be 'default', 'pandas' or None, "
                f"got {predict_proba!r}."
            )
        if predict_proba is not None:
            # scikit-learn's clone carries an attribute of this name along.
            self._sklearn_output_config = {"predict_proba": predict_proba}
        return self

    def _as_output(self, probabilities):
        config = getattr(self, "_sklearn_output_config", {})
        if config.get("predict_proba") != "pandas":
            return probabilities
        from pandas import DataFrame

        return DataFrame(probabilities, columns=[f"AU{au}" for au in self.aus_])

    # -- keeping --------------------------------------------------------------------

    @property
    def history_(self):
        """List of one dict per epoch: ``train_loss``, its parts, ``valid_f1``."""
        check_is_fitted(self, "net_")
        return plain_history(self.net_.history)

    def network_state(self):
        """Return the network's weights and buffers as NumPy arrays by name.

        Returns
        -------
        state : dict of str to ndarray
            The network's own state dict: it loads into the module of `skfau.nn`.
        """
        check_is_fitted(self, "net_")
        state = self.net_.module_.network.state_dict()
        return {k: v.cpu().numpy().copy(order="C") for k, v in state.items()}

    def save(self, path):
        """Write the fitted classifier to one file that runs no code when read.

        Parameters
        ----------
        path : str or Path
            Of the safetensors file: weights, and a JSON header with the parameters,
            the AUs and the history. Where the fit ran (device, threads, checkpoints,
            callbacks) and ``init_from`` are not kept, nor is the optimiser.

        Raises
        ------
        TypeError
            If a parameter is an object, such as a backbone of your own; pickle keeps
            those.
        ValueError
            If parameters set after the fit are of a network of another shape.
        """
        check_is_fitted(self, "net_")
        self._check_described()
        header = {
            "class": type(self).__name__,
            "parameters": kept_parameters(self.get_params(False)),
            "aus": self.aus_,
            "label_counts": self.label_counts_.tolist(),
            "constants": self.net_.system.given,
            "history": self.history_,
        }
        _persistence.write_file(path, header, self.network_state())

    @classmethod
    def load(cls, path):
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
        ValueError
            If the file is something else, or of another class or format.
        """
        header, state = _persistence.read_file(path)
        _persistence.check_class(path, header["class"], cls.__name__)
        new = cls(**_persistence.from_json(header["parameters"]))
        new.aus_ = tuple(header["aus"])
        new.label_counts_ = np.array(header["label_counts"], dtype=np.int64)
        net = new._remake_net({name: state[name] for name in header["constants"]})
        _persistence.load_state(net.module_.network, state)
        load_history(net.history, header["history"])
        new._describe(net, Task(new.aus_, new.label_counts_))
        new.net_ = net
        return new

    def _remake_net(self, buffers, seed=0):
        """Return a net as the fitted one, to be filled with its weights."""
        task = Task(self.aus_, self.label_counts_, None, buffers, pretrained=False)
        return self._make_net(task, seed)

    def _check_described(self):
        """Raise if set_params after fit describes a network of another shape."""
        made_with, now = self.net_.made_with, kept_parameters(self.get_params(False))
        changed = {n: made_with[n] for n in now if now[n] is not made_with[n]}
        if not changed:
            return
        nets = self.net_, self._remake_net(self.net_.system.buffers)
        _persistence.check_same_shapes(*(net.module_.network for net in nets), changed)

    def __sklearn_clone__(self):
        # `init_from` is where a fit starts, not a part of it: cloned, it would lose
        # its weights in every fold.
        parameters = self.get_params(deep=False)
        new = type(self)(
            **{
                name: value if name == "init_from" else clone(value, safe=False)
                for name, value in parameters.items()
            }
        )
        if hasattr(self, "_sklearn_output_config"):
            new._sklearn_output_config = dict(self._sklearn_output_config)
        return new

    def __getstate__(self):
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            self._check_described()
            state["_network"] = {
                "state": self.network_state(),
                "history": self.history_,
                "seed": net.seed,
                "loss": {k: v.cpu() for k, v in net.criterion_.state_dict().items()},
                "buffers": net.system.buffers,
            }
        return state

    def __setstate__(self, state):
        state = dict(state)
        kept = state.pop("_network", None)
        super().__setstate__(state)
        if kept is not None:
            self.net_ = self._remake_net(kept["buffers"], kept["seed"])
            _persistence.load_state(self.net_.module_.network, kept["state"])
            load_history(self.net_.history, kept["history"])
            self.net_.criterion_.load_state_dict(kept["loss"])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.two_d_labels = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        return tags
