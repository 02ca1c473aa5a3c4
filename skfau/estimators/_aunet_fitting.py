"""The steps of a fit that only `AUNetClassifier` takes."""

import copy
import warnings

import numpy as np

from skfau.estimators import _fitting
from skfau.estimators._fan_training import check_landmarks, train_fan
from skfau.estimators._feature_cache import FeatureCache, check_cacheable
from skfau.estimators._frames import FeatureBatches, FrameBatches, Neighbourhood
from skfau.estimators._label_vae_training import (
    dataset_numbers,
    datasets_of,
    fit_label_vaes,
)


def check_training(estimator, faces, *, going_on):
    """Raise if faces cannot train the classifier; warn if they have no neighbours."""
    check_cacheable(estimator)
    if _trains_fan(estimator) and not going_on and estimator.init_from is None:
        _check_weights(estimator)
        check_landmarks(faces)
    if estimator.label_vae:
        # It raises for rows without a name, before anything is trained.
        datasets_of(faces)
    if estimator.temporal:
        _warn_without_neighbours(faces, estimator.interval)


def _warn_without_neighbours(faces, interval):
    around = Neighbourhood(faces, interval)
    if (around.rows == around.rows[:, :1]).all():
        reason, remedy = "X has no columns 'video' and 'frame'", "Give them"
        if around.has_sides:
            reason = f"no video in X has two faces that are {interval} frames apart"
            remedy = "Set interval= by the column 'frame'; align before rows are taken"
        warnings.warn(
            f"{reason}: no face has neighbours, and the temporal module learns "
            f"nothing. {remedy}, or pass temporal=False.",
            UserWarning,
            stacklevel=7,
        )


def _check_weights(estimator):
    if estimator.weights is not None:
        raise ValueError(
            "weights= is where residual trunks start, and backbone='fan' does not read "
            f"it; got {estimator.weights!r}. Give the face alignment network's file as "
            "fan_weights=, or pass weights=None to train one on these faces."
        )


def pretrain(estimator, faces, labels, *, fresh):
    """Train the face alignment network and the labels' auto-encoders, as needed."""
    if fresh:
        # That of an earlier fit may be of another network.
        vars(estimator).pop("fan_history_", None)
    if fresh and _trains_fan(estimator) and _trunk_is_new(estimator):
        _train_fan(estimator, faces)
    if estimator.label_vae:
        _train_label_vaes(estimator, faces, labels)


def _train_fan(estimator, faces):
    net = estimator.net_
    try:
        estimator.fan_history_ = train_fan(
            net.module_,
            faces,
            n_epochs=estimator.fan_epochs,
            batch_size=estimator.batch_size,
            device=net.device,
            seed=net.seed,
            verbose=estimator.verbose,
        )
    except BaseException:
        # What goes on from here would take it for trained.
        del estimator.net_
        raise


def _train_label_vaes(estimator, faces, labels):
    """Train an auto-encoder for every data set that has none yet."""
    net, dataset = estimator.net_, datasets_of(faces)
    # After `load` there are none.
    trained = getattr(estimator, "label_vaes_", {})
    new = ~np.isin(dataset, list(trained))
    if not new.any():
        return
    estimator.label_vaes_ = trained | fit_label_vaes(
        labels[new],
        dataset[new],
        estimator.aus_,
        latent_dim=estimator.latent_dim,
        kl_weight=estimator.kl_weight,
        seed=net.seed,
        verbose=estimator.verbose,
    )
    give_encoders(estimator, net.criterion_)
    net.criterion_.to(net.device)


def give_encoders(estimator, loss):
    """Hand copies of the labels' auto-encoders to the loss."""
    vaes = getattr(estimator, "label_vaes_", {})
    loss.set_encoders(copy.deepcopy(list(vaes.values())))


def make_batches(estimator, faces, labels):
    """Return the training data as whole batches, of pixels or of kept features."""
    names = list(estimator.label_vaes_) if estimator.label_vae else []
    around = Neighbourhood(faces, estimator._interval)
    shared = {
        "neighbourhood": around,
        "datasets": dataset_numbers(faces, names),
    }
    if estimator.feature_cache is None:
        return _fitting.make_batches(estimator, faces, labels, FrameBatches, **shared)
    module = estimator.net_.module_
    cache = FeatureCache(estimator.feature_cache, module, around, estimator.batch_size)
    return FeatureBatches(
        labels, cache=cache, image_size=estimator.image_size, **shared
    )


def _trains_fan(estimator):
    return estimator.backbone == "fan" and estimator.fan_weights is None


def _trunk_is_new(estimator):
    if estimator.init_from is None:
        return True
    return any(name.startswith("trunk.") for name in estimator.transferred_["fresh"])
