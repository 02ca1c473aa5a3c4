"""What every AU classifier shares; a published system adds parameters and two hooks."""

from abc import abstractmethod

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from skfau._validation import _fit_context, check_au_labels, check_faces
from skfau.estimators import _fitting, _persistence
from skfau.estimators._batches import PreparedNetwork
from skfau.estimators._device import threads
from skfau.estimators._inference import apply_network, logits_of
from skfau.estimators._labels import count_labels, resolve_aus
from skfau.estimators._parameters import SHARED_CONSTRAINTS
from skfau.estimators._training import plain_history
from skfau.metrics import au_f1_score


class BaseAUClassifier(ClassifierMixin, BaseEstimator):
    """Base of the AU classifiers: data, training, persistence and prediction, once.

    A subclass declares its parameters, passes the shared ones on, and writes
    `_make_network` and `_make_loss`; `_make_targets` and `_target_columns` only
    where its loss needs more than labels. Read `FAUTransformerClassifier` for the
    meaning of the shared parameters.
    """

    _parameter_constraints = SHARED_CONSTRAINTS

    _optimizer = torch.optim.Adam
    # What ``augmentation="published"`` means.
    _published_augmentation = None
    # Columns that the network takes beside the images, in prediction as well.
    _input_columns = ()
    # Entries of the network's state that it is given and not taught, and the
    # attributes in which the classifier keeps them, None for one that is taught.
    _constants = {}
    # Parts of the network whose learning rates `_part_factors(step, n_steps)` gives.
    _parts = ()

    def _set_parameters(self, arguments):
        """Store ``locals()`` of a constructor, unchanged, as scikit-learn asks.

        Forty parameters written out once more per estimator would hide a slip.
        """
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    # -- what a published system writes ------------------------------------------

    @abstractmethod
    def _make_network(self, *, pretrained):
        """Return the nn.Module for `aus_`; read trunk weights only if `pretrained`."""

    @abstractmethod
    def _make_loss(self):
        """Return the loss module; `aus_` and `label_counts_` are known."""

    def _target_columns(self, faces):
        """Return which of ``landmarks`` and ``heatmaps`` `_make_targets` takes."""
        return ()

    def _make_targets(self, labels):
        """Return the dict of arrays that the loss compares the outputs with."""
        return {"labels": labels}

    def _learning_rate_factor(self, epoch):
        """Return what `lr` is multiplied by in an epoch, counted from 0."""
        return 1.0

    def _check_aus(self, aus):
        """Raise if the network cannot be made for these AUs."""

    def _check_training(self, faces, *, going_on):
        """Raise if these faces cannot train this classifier."""

    def _set_constants(self, labels):
        """Set the attributes that `_constants` names, from the training labels."""

    def _pretrain(self, faces, labels, *, fresh):
        """Train what is learned before the network; `fresh`: its weights are new."""

    def _make_batches(self, faces, labels):
        return _fitting.make_batches(self, faces, labels)

    @property
    def _augmentation(self):
        published = self.augmentation == "published"
        return self._published_augmentation if published else self.augmentation

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
            _persistence.check_described(self)
        faces, labels = _fitting.check_training_data(self, X, y, going_on=going_on)
        seed = _fitting.draw_seed(self.random_state)
        checkpoint = _fitting.find_checkpoint(self, faces, labels, going_on=going_on)
        previous = self.network_state() if going_on else None
        faces, labels, held_out = _fitting.hold_out_subjects(self, faces, labels, seed)
        with threads(self.n_threads):
            self._start(labels, seed, previous)
            resumed = checkpoint is not None and checkpoint.path.exists()
            self._pretrain(faces, labels, fresh=not (going_on or resumed))
            # Before the batches: they may be features, named after the weights.
            n_epochs = _fitting.resume(self, held_out, checkpoint)
            batches = self._make_batches(faces, labels)
            _fitting.train(self, batches, n_epochs, held_out, checkpoint)
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
        faces, labels = _fitting.check_training_data(self, X, y, going_on=going_on)
        with threads(self.n_threads):
            if not going_on:
                self._start(labels, _fitting.draw_seed(self.random_state))
            self._pretrain(faces, labels, fresh=not going_on)
            self.net_.run_epochs(self._make_batches(faces, labels), 1)
        return self

    def _start(self, labels, seed, previous=None):
        """Make `net_`; its weights are fresh, `previous`, or from `init_from`."""
        self.label_counts_ = count_labels(labels, self.aus_)
        self._set_constants(labels)
        self.net_ = _fitting.start_net(self, seed)
        if previous is not None:
            self._load_network_state(previous)
        elif self.init_from is not None:
            self.transferred_ = _persistence.transfer(self, self.init_from)

    # The two doors through which data comes in; tests open them to plain tables.

    def _check_X(self, X):
        return check_faces(X, need=self._input_columns)

    def _prepare(self, network):
        return PreparedNetwork(
            network, image_size=self.image_size, grayscale=self.grayscale
        )

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

    def _run(self, X, read, method="forward"):
        """Return `read` of the network's outputs, row by row, NaN without a face."""
        check_is_fitted(self, "net_")
        with threads(self.n_threads):
            return apply_network(
                self.net_.module_,
                self._check_X(X),
                read,
                batch_size=self.batch_size,
                augmentation=self._augmentation,
                method=method,
                columns=self._input_columns,
            )

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

    def _load_network_state(self, state):
        tensors = {name: torch.as_tensor(array) for name, array in state.items()}
        self.net_.module_.network.load_state_dict(tensors)

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
        _persistence.save_classifier(self, path)

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
        return _persistence.load_classifier(cls, path)

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
        return _persistence.picklable(self, dict(super().__getstate__()))

    def __setstate__(self, state):
        state = dict(state)
        network = state.pop("_network", None)
        super().__setstate__(state)
        if network is not None:
            _persistence.restore(self, *network)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.two_d_labels = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        return tags
