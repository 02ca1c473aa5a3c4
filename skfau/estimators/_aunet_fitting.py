"""Trainings of `AUNetClassifier` alone: face alignment network, label auto-encoders."""

import math

import numpy as np
import torch

from skfau._columns import names_of
from skfau._progress import Progress
from skfau._warn import warn
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._batches import FaceBatches, PreparedNetwork
from skfau.estimators._callbacks import plain_history
from skfau.estimators._neighbours import Neighbourhood
from skfau.estimators._torch_state import PrivateStream, derive_seed
from skfau.estimators._training import make_training_net
from skfau.exceptions import MissingColumnError
from skfau.facs import DATASET_AUS
from skfau.losses import LandmarkMapLoss
from skfau.nn import LabelVAE

_FAN_AUGMENTATION = FaceAugmentation(
    rotation=30, scale=0.2, shift=0.05, brightness=0.15, contrast=0.3
)
_FAN_LR = 1e-3
_VAE_EPOCHS, _VAE_BATCH_SIZE, _VAE_LR = 100, 128, 1e-3
# Seed words: these trainings have other random streams than the classifier's.
_FAN, _VAE = 101, 102


def warn_without_neighbours(faces, interval):
    """Warn if no face has a neighbour `interval` frames away in its video."""
    around = Neighbourhood(faces, interval)
    if (around.rows == around.rows[:, :1]).all():
        reason, remedy = "X has no columns 'video' and 'frame'", "Give them"
        if around.has_sides:
            reason = f"no video in X has two faces that are {interval} frames apart"
            remedy = "Set interval= by the column 'frame'; align before rows are taken"
        warn(
            f"{reason}: no face has neighbours, and the temporal module learns "
            f"nothing. {remedy}, or pass temporal=False.",
        )


def check_landmarks(faces):
    """Raise unless faces have what `train_fan` needs."""
    if "landmarks" not in faces.columns:
        raise MissingColumnError(
            "without fan_weights the face alignment network is trained on the faces' "
            "landmarks, and X has no column 'landmarks' (it has "
            f"{', '.join(faces.columns) or 'none'}). Give fan_weights=, or align the "
            "faces first (FaceAligner with a detector)."
        )


def train_fan(module, faces, *, n_epochs, batch_size, device, seed, verbose):
    """Train the frozen network of a prepared `AUNet` on heatmaps of landmarks.

    The loss is the squared error against Gaussians. The learning rate of Adam falls
    from 0.001 as a cosine. Faces are rotated, scaled, shifted and mirrored at random.

    Parameters
    ----------
    module : FrameNetwork
        Its network's backbone is trained in place, then frozen again.
    faces : Faces
        With landmarks in every row.
    n_epochs, batch_size : int
        Passes over the faces, and faces per step.
    device : torch.device
        Device of the module.
    seed : int
        Fixes everything random.
    verbose : int
        1 shows progress on standard error.

    Returns
    -------
    history : list of dict
        ``train_loss`` per epoch.
    """
    fan = module.network.trunk.requires_grad_(True)
    own = PreparedNetwork(fan, image_size=module.image_size, grayscale=module.grayscale)
    own.autocast = module.autocast
    batches = FaceBatches(
        faces,
        torch.zeros(len(faces), 0).numpy(),
        image_size=module.image_size,
        augmentation=_FAN_AUGMENTATION,
        make_targets=lambda labels, landmarks: {"landmarks": landmarks},
        columns=("landmarks",),
        aus=(),
    )
    net = make_training_net(
        own,
        LandmarkMapLoss(module.image_size),
        optimizer=torch.optim.Adam,
        lr=_FAN_LR,
        weight_decay=0.0,
        batch_size=batch_size,
        device=device,
        seed=derive_seed(seed, _FAN) >> 1,
        callbacks=[],
        learning_rate_factor=lambda e: (1 + math.cos(math.pi * e / n_epochs)) / 2,
        lr_factors={},
    )
    try:
        title = "Training the alignment network"
        net.run_epochs(batches, n_epochs, title=title, verbose=verbose)
    finally:
        fan.requires_grad_(False).eval()
    return plain_history(net.history)


def datasets_of(faces):
    """Return the name of each row's data set, "" without the column ``dataset``."""
    if "dataset" not in faces.columns:
        return np.full(len(faces), "")
    names, missing = names_of(faces.column("dataset"))
    if missing.any():
        raise ValueError(
            f"column 'dataset' is missing in row {np.argmax(missing)}; name the data "
            "set of every row, or leave these rows out."
        )
    return names.astype(str)


def dataset_numbers(faces, names):
    """Return the index of each row's data set in `names`, -1 if it is not there."""
    numbers = np.full(len(faces), -1)
    if names:
        dataset = datasets_of(faces)
        for number, name in enumerate(names):
            numbers[dataset == name] = number
    return numbers


def fit_label_vaes(labels, dataset, aus, *, latent_dim, kl_weight, seed, verbose=0):
    """Train a `LabelVAE` on the labels of each data set.

    Adam at 0.001, batches of 128, 100 epochs; the weights of the last one are kept.

    Parameters
    ----------
    labels : ndarray of shape (n, n_aus), dtype float32
        0, 1 or NaN for unknown.
    dataset : ndarray of shape (n,)
        Name of each row's data set.
    aus : tuple of int
        AU number of each column.
    latent_dim : int or None
        Length of the codes; None depends on the data set, see `latent_dim_of`.
    kl_weight : float
        Weight lambda of equation 2.
    seed : int
        Fixes everything random.
    verbose : int, default=0
        1 shows progress on standard error.

    Returns
    -------
    vaes : dict of str to LabelVAE
        One per data set; data sets without a known label are left out.
    """
    vaes = {}
    for number, name in enumerate(np.unique(dataset)):
        rows = labels[dataset == name]
        # Rows without labels add only the KL term; leave them out.
        rows = rows[np.isfinite(rows).any(axis=1)]
        if not len(rows):
            continue
        known = np.isfinite(rows)
        coded = known.any(axis=0)
        with np.errstate(invalid="ignore"):
            rates = np.nansum(rows, axis=0) / known.sum(axis=0)
        size = latent_dim or latent_dim_of(np.array(aus)[coded])
        stream = PrivateStream("cpu")
        stream.seed(seed, _VAE, number)
        with stream():
            vae = LabelVAE(rates, size)
        generator = torch.Generator().manual_seed(derive_seed(seed, _VAE, number, 1))
        _train_label_vae(vae, torch.as_tensor(rows), kl_weight, generator, verbose)
        vaes[str(name)] = vae.requires_grad_(False)
    return vaes


def latent_dim_of(aus):
    """Return the published length of the code for a data set that codes these AUs.

    8 for the AUs of BP4D, 6 for those of DISFA, 5 for those of Aff-Wild2 (2020). For
    other AUs it is two thirds of their number, which fits all three data sets but
    DISFA.
    """
    if set(aus) == set(DATASET_AUS["disfa"]):
        return 6
    return max(1, round(2 * len(aus) / 3))


def _train_label_vae(vae, labels, kl_weight, generator, verbose):
    optimizer = torch.optim.Adam(vae.parameters(), lr=_VAE_LR)
    shown = "Training a label VAE", _VAE_EPOCHS, "epochs", __name__, verbose
    with Progress(*shown) as progress:
        for _ in range(_VAE_EPOCHS):
            order = torch.randperm(len(labels), generator=generator)
            for rows in order.split(_VAE_BATCH_SIZE):
                optimizer.zero_grad()
                vae.loss(labels[rows], generator, kl_weight=kl_weight).backward()
                optimizer.step()
            progress.update()
