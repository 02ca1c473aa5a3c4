"""The steps of a fit, in the order `BaseAUClassifier.fit` takes them."""

import copy
from numbers import Integral

import torch
from sklearn.utils import check_random_state

from skfau._validation import check_au_labels
from skfau.estimators._batches import FaceBatches
from skfau.estimators._checkpoint import Checkpoint, fit_fingerprint
from skfau.estimators._device import autocast_dtype, resolve_device
from skfau.estimators._early_stopping import EarlyStopping
from skfau.estimators._labels import drop_faceless, resolve_aus, set_aus
from skfau.estimators._parameters import kept_parameters
from skfau.estimators._random import PrivateStream
from skfau.estimators._training import INIT, ProgressBar, make_training_net
from skfau.exceptions import LabelError
from skfau.model_selection import subject_train_test_split


def draw_seed(random_state):
    """Draw the one seed from which everything random in a fit derives."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def check_training_data(estimator, X, y, *, going_on):
    """Return faces and labels to train on; set `aus_` and its kin."""
    faces = estimator._check_X(X)
    labels = check_au_labels(y, n_samples=len(faces))
    aus = resolve_aus(estimator.aus, y, labels.shape[1])
    if going_on and aus != estimator.aus_:
        raise LabelError(
            f"Training goes on with the AUs of the last fit, {estimator.aus_}; got "
            f"{aus}. Use init_from= to carry branches to other AUs."
        )
    columns = estimator._target_columns(faces)
    if estimator._augmentation is not None:
        estimator._augmentation._validate_params()
        if estimator._augmentation.cutmix:
            faces.column("landmarks", slice(0, 0))
        of_one_face = (*estimator._input_columns, *columns)
        if estimator._augmentation.mixup and of_one_face:
            raise ValueError(
                "mixup lays one face over another, and this classifier takes "
                f"{' and '.join(of_one_face)} of one. Pass augmentation without mixup; "
                "cutmix mixes these, too."
            )
    for name in columns:
        faces.column(name, slice(0, 0))
    estimator._check_training(faces, going_on=going_on)
    faces, labels = drop_faceless(faces, labels)
    if not going_on:
        estimator._check_aus(aus)
    set_aus(estimator, aus)
    return faces, labels


def hold_out_subjects(estimator, faces, labels, seed):
    """Split off whole subjects for early stopping; None without it."""
    if not estimator.early_stopping:
        return faces, labels, None
    train, test = subject_train_test_split(
        faces, labels, test_fraction=estimator.validation_fraction, random_state=seed
    )
    if not (labels[test] == 1).any():
        raise LabelError(
            "early_stopping scores F1 on held-out subjects; no AU is known to occur in "
            f"the {len(test)} rows of {len(set(faces.subject[test]))} of them. "
            "Raise validation_fraction, or pass early_stopping=False."
        )
    held_out = EarlyStopping(
        estimator._probabilities, faces[test], labels[test], estimator.patience
    )
    return faces[train], labels[train], held_out


def start_net(estimator, seed, *, pretrained=True):
    """Return a training net with fresh weights on the estimator's device."""
    device = resolve_device(estimator.device, or_cpu=not pretrained)
    stream = PrivateStream(device)
    stream.seed(seed, INIT)
    with stream():
        module = estimator._prepare(estimator._make_network(pretrained=pretrained))
        module.autocast = autocast_dtype(estimator.precision, device)
        loss = estimator._make_loss()
    net = make_training_net(
        module.to(memory_format=torch.channels_last),
        loss,
        optimizer=estimator._optimizer,
        lr=estimator.lr,
        weight_decay=estimator.weight_decay,
        batch_size=estimator.batch_size,
        device=device,
        seed=seed,
        callbacks=list(copy.deepcopy(estimator.callbacks) or []),
        learning_rate_factor=estimator._learning_rate_factor,
        parts=estimator._parts,
        part_factors=estimator._part_factors if estimator._parts else None,
    )
    net.made_with = kept_parameters(estimator)
    return net


def find_checkpoint(estimator, faces, labels, *, going_on):
    """Return the checkpoint of this very fit, None where none was asked for."""
    if estimator.checkpoint_dir is None:
        return None
    if not isinstance(estimator.random_state, Integral):
        raise ValueError(
            "checkpoint_dir needs an int random_state, so that a resumed fit is the "
            f"same fit; got {estimator.random_state!r}."
        )
    if going_on:
        raise ValueError(
            "checkpoint_dir does not go with warm_start: the file would not say which "
            "weights the fit began from. Set one of them to its default."
        )
    return Checkpoint(
        estimator.checkpoint_dir, fit_fingerprint(estimator, faces, labels)
    )


def make_batches(estimator, faces, labels, kind=FaceBatches, **more):
    """Return the training data as whole batches of a kind."""
    return kind(
        faces,
        labels,
        image_size=estimator.net_.module_.image_size,
        augmentation=estimator._augmentation,
        make_targets=estimator._make_targets,
        columns=(*estimator._input_columns, *estimator._target_columns(faces)),
        aus=estimator.aus_,
        inputs=estimator._input_columns,
        **more,
    )


def resume(estimator, held_out, checkpoint):
    """Bring `net_` to where its checkpoint is; return how many epochs are left."""
    net, n_epochs = estimator.net_, estimator.max_epochs
    state = checkpoint.load() if checkpoint else None
    if state is None:
        return n_epochs
    net.load_training_state(state)
    if held_out:
        held_out.load_state(state["early_stopping"])
    return 0 if state["finished"] else n_epochs - len(net.history)


def train(estimator, batches, n_epochs, held_out, checkpoint):
    """Train `net_` for the epochs that are left, keeping each one."""
    net = estimator.net_

    def after_epoch(net):
        finished = held_out(net) if held_out else False
        if checkpoint:
            state = net.training_state()
            state["early_stopping"] = held_out.state() if held_out else None
            state["finished"] = finished or len(net.history) == estimator.max_epochs
            checkpoint.save(state)
        return finished

    if n_epochs:
        bar = None
        if estimator.verbose:
            n_batches = -(-len(batches) // estimator.batch_size)
            name = type(estimator).__name__
            bar = ProgressBar(estimator.max_epochs, n_batches, name)
        net.run_epochs(batches, n_epochs, after_epoch, bar)
    if held_out:
        held_out.restore_best(net)
