"""One label auto-encoder per data set, from its training labels."""

import numpy as np
import torch
from tqdm import trange

from skfau._columns import names_of
from skfau.estimators._random import PrivateStream, derive_seed
from skfau.facs import DATASET_AUS
from skfau.nn import LabelVAE

_EPOCHS, _BATCH_SIZE, _LR = 100, 128, 1e-3
# Keeps this training's random stream apart from the classifier's.
_VAE = 102


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
    """Return the place of each row's data set among names, -1 for one not there."""
    numbers = np.full(len(faces), -1)
    if names:
        dataset = datasets_of(faces)
        for number, name in enumerate(names):
            numbers[dataset == name] = number
    return numbers


def fit_label_vaes(labels, dataset, aus, *, latent_dim, kl_weight, seed, verbose=0):
    """Train a `LabelVAE` on the labels of each data set.

    Adam at 0.001, batches of 128, 100 epochs; the last one is kept.

    Parameters
    ----------
    labels : ndarray of shape (n, n_aus), dtype float32
        0, 1 or NaN for unknown.
    dataset : ndarray of shape (n,)
        Name of each row's data set.
    aus : tuple of int
        AU number of each column.
    latent_dim : int or None
        Length of the codes; None is by data set, see `latent_dim_of`.
    kl_weight : float
        Weight lambda of equation 2.
    seed : int
        Fixes everything random.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    vaes : dict of str to LabelVAE
        By data set; one without a known label has none.
    """
    vaes = {}
    for number, name in enumerate(np.unique(dataset)):
        rows = labels[dataset == name]
        # A face without labels would only draw the code to its prior.
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
        _train(vae, torch.as_tensor(rows), kl_weight, generator, verbose)
        vaes[str(name)] = vae.requires_grad_(False)
    return vaes


def latent_dim_of(aus):
    """Return the published length of the code for a data set that codes these AUs.

    8 for the AUs of BP4D, 6 for DISFA's, 5 for those of Aff-Wild2 (2020); else two
    thirds of their number, as it is but for DISFA.
    """
    if set(aus) == set(DATASET_AUS["disfa"]):
        return 6
    return max(1, round(2 * len(aus) / 3))


def _train(vae, labels, kl_weight, generator, verbose):
    optimizer = torch.optim.Adam(vae.parameters(), lr=_LR)
    for _ in trange(_EPOCHS, desc="label VAE", unit="epoch", disable=not verbose):
        order = torch.randperm(len(labels), generator=generator)
        for rows in order.split(_BATCH_SIZE):
            optimizer.zero_grad()
            vae.loss(labels[rows], generator, kl_weight=kl_weight).backward()
            optimizer.step()
