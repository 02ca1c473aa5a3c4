"""The steps of a fit, in the order `BaseAUClassifier.fit` takes them: plain values."""

import copy
import warnings
from functools import partial
from numbers import Integral

import numpy as np
import torch
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from skfau._single_au import as_columns
from skfau._validation import check_au_labels, check_faces, check_sample_weight
from skfau._warn import warn
from skfau.estimators._aus import relative_weights, resolve_aus
from skfau.estimators._batches import PreparedNetwork
from skfau.estimators._checkpoint import Checkpoint
from skfau.estimators._pixel_transforms import check_transform
from skfau.estimators._system import LabelTargets
from skfau.estimators._torch_state import autocast_dtype
from skfau.estimators._training import make_training_net
from skfau.exceptions import LabelError
from skfau.metrics import au_f1_score
from skfau.model_selection import subject_train_test_split


def draw_seed(random_state):
    """Draw the one seed from which everything random in a fit derives."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def check_data(X, y, sample_weight, aus):
    """Return faces, labels, weights and the AU numbers of the labels' columns."""
    faces, y = check_faces(X), as_columns(y)
    labels = check_au_labels(y, n_samples=len(faces))
    weights = check_sample_weight(sample_weight, len(faces))
    return faces, labels, weights, resolve_aus(aus, y, labels.shape[1])


def check_same_aus(aus, fitted):
    """Raise if a fit that goes on is given other AUs."""
    if aus != fitted:
        raise LabelError(
            f"Training goes on with the AUs of the last fit, {fitted}; got "
            f"{aus}. Use init_from= to carry branches to other AUs."
        )


# The layouts that `skfau.facs.to_68` knows have as many at least, or three.
_FEWEST_LANDMARKS = 49
_LOOKED_AT = 4096  # rows


def check_augmentation(augmentation, faces):
    """Raise if an augmentation is not valid, or needs what the faces lack."""
    if augmentation is not None:
        augmentation._validate_params()
        check_transform(augmentation.colour_transform)
        if augmentation.cutmix:
            faces.column("landmarks", slice(0, 0))


def training_columns(system, faces, augmentation):
    """Return the columns that a system takes of the training faces, which have them."""
    columns = (*system.inputs, *(system.targets or LabelTargets()).columns(faces))
    if augmentation is not None and augmentation.mixup and columns:
        raise ValueError(
            "mixup lays one face over another, and this classifier takes "
            f"{' and '.join(columns)} of one. Pass augmentation without mixup; "
            "cutmix mixes these, too."
        )
    for name in columns:
        faces.column(name, slice(0, 0))
    return columns


def warn_few_landmarks(faces, columns):
    """Warn if what is learned from landmarks has next to none, as of five points."""
    if not columns or "landmarks" not in faces.columns:
        return
    some = np.isfinite(faces.column("landmarks", slice(0, _LOOKED_AT)))
    known = int(some.all(axis=2).any(axis=0).sum())
    if 0 < known < _FEWEST_LANDMARKS:
        warn(
            f"only {known} of 68 landmarks are known, as of five points: what this "
            f"classifier learns from {' and '.join(columns)} it learns from these "
            "alone. Detect all 68: faces.with_columns(five_points=None), then "
            "FaceAligner()."
        )


def hold_out_subjects(faces, labels, weights, fraction, seed):
    """Split off whole subjects; return the training rows, then the others.

    The others are scored, and have no weights.
    """
    train, test = subject_train_test_split(
        faces, labels, test_fraction=fraction, random_state=seed
    )
    if not (labels[test] == 1).any():
        raise LabelError(
            "early_stopping scores F1 on held-out subjects; no AU is known to occur in "
            f"the {len(test)} rows of {len(set(faces.subject[test]))} of them. "
            "Raise validation_fraction, or pass early_stopping=False."
        )
    if weights is not None:
        weights = relative_weights(weights[train])
    return (faces[train], labels[train], weights), (faces[test], labels[test])


def find_checkpoint(directory, random_state, going_on, fingerprint, n_epochs):
    """Return the checkpoint of this very fit, None where none was asked for.

    `fingerprint` is a function: a digest of the data is made only where it is needed.
    """
    if directory is None:
        return None
    if not isinstance(random_state, Integral):
        raise ValueError(
            "checkpoint_dir needs an int random_state, so that a resumed fit is the "
            f"same fit; got {random_state!r}."
        )
    if going_on:
        raise ValueError(
            "checkpoint_dir does not go with warm_start: the file would not say which "
            "weights the fit began from. Set one of them to its default."
        )
    return Checkpoint(directory, fingerprint(), n_epochs)


def compose_net(system, parameters, *, device, seed):
    """Return a training net of a system's parts.

    Parameters
    ----------
    system : System
        Its parts are taken as they are.
    parameters : dict
        Of the estimator, by name.
    device : torch.device
        Where to train.
    seed : int
        Of the fit.
    """
    prepare = system.prepare or PreparedNetwork
    module = prepare(
        system.network,
        image_size=parameters["image_size"],
        grayscale=parameters["grayscale"],
    )
    module.autocast = autocast_dtype(parameters["precision"], device)
    return make_training_net(
        module.to(memory_format=torch.channels_last),
        system.loss,
        optimizer=system.optimizer or torch.optim.Adam,
        lr=parameters["lr"],
        weight_decay=parameters["weight_decay"],
        batch_size=parameters["batch_size"],
        device=device,
        seed=seed,
        callbacks=parameters["callbacks"],
        verbose=parameters["verbose"],
        learning_rate_factor=decay_of(**parameters),
        lr_factors=system.lr_factors,
    )


def decay_of(lr_decay, lr_decay_epochs, **others):
    """Return what `lr` is multiplied by in an epoch from 0; None for a constant."""
    if lr_decay == 1:
        return None
    return lambda epoch: lr_decay ** (epoch // lr_decay_epochs)


def saved_state(checkpoint, net):
    """Return the state from which a fit goes on; None where it begins.

    A fit of fewer epochs was the same fit so far, if it had the same learning rates.
    """
    for path in checkpoint.paths() if checkpoint else ():
        state = checkpoint.load(path)
        if state["rates"] == net.planned_rates(len(state["history"])):
            return state
    return None


def resume(net, n_epochs, held_out, state):
    """Bring a net to a saved state; return how many epochs are left."""
    if state is None:
        return n_epochs
    net.load_training_state(state)
    if held_out:
        held_out.load_state(state["early_stopping"])
    return 0 if state["stopped"] else n_epochs - len(net.history)


def train(net, batches, data, n_left, held_out, checkpoint, shown):
    """Train a net for the epochs that are left, keeping each one.

    `shown` are ``title`` and ``verbose`` of `TrainingNet.run_epochs`.
    """

    def keep(stopped):
        state = net.training_state()
        state["early_stopping"] = held_out.state() if held_out else None
        state["stopped"] = stopped
        state["rates"] = net.planned_rates(len(net.history))
        checkpoint.save(state)

    keep = keep if checkpoint else None
    net.run_epochs(batches, n_left, data=data, held_out=held_out, keep=keep, **shown)


class EarlyStopping:
    """Score held-out subjects after each epoch, keep the best weights.

    Parameters
    ----------
    predict_proba : callable
        ``predict_proba(faces)`` of the classifier in training.
    faces : Faces
        Rows of the held-out subjects.
    labels : ndarray of shape (n, n_aus), dtype float32
        Their labels; at least one AU is known to occur.
    patience : int
        Epochs without a better F1 before training ends.
    """

    def __init__(self, predict_proba, faces, labels, patience):
        self.predict_proba = predict_proba
        self.faces = faces
        self.labels = labels
        self.patience = patience
        self.best_f1 = -np.inf
        self.stale_epochs = 0
        self.best_module = None
        self.best_loss = None

    def __call__(self, net):
        """Score the epoch just done; return True when it is time to stop."""
        predict = self.predict_proba
        if net.team is not None:
            predict = partial(net.team.predict, predict)
        predicted = predict(self.faces) >= 0.5
        with warnings.catch_warnings():
            # An AU absent from the held-out rows is the same in every epoch.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            f1 = float(au_f1_score(self.labels, predicted.astype(np.float32)))
        net.history.record("valid_f1", f1)
        if f1 > self.best_f1:
            self.best_f1, self.stale_epochs = f1, 0
            self.best_module = {
                name: tensor.detach().cpu().clone()
                for name, tensor in net.module_.state_dict().items()
            }
            self.best_loss = copy.deepcopy(net.criterion_.state_dict())
        else:
            self.stale_epochs += 1
        return self.stale_epochs >= self.patience

    def restore_best(self, net):
        """Put the best epoch's weights into the network, and centres into the loss."""
        net.module_.load_state_dict(self.best_module)
        net.criterion_.load_state_dict(self.best_loss)

    def state(self):
        """Return what a resumed fit needs."""
        return {
            "best_f1": self.best_f1,
            "stale_epochs": self.stale_epochs,
            "best_module": self.best_module,
            "best_loss": self.best_loss,
        }

    def load_state(self, state):
        """Go back to a state of `state`."""
        self.best_f1 = state["best_f1"]
        self.stale_epochs = state["stale_epochs"]
        self.best_module = state["best_module"]
        self.best_loss = state["best_loss"]
