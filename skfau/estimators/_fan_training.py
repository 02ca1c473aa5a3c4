"""A face alignment network from the landmarks of the faces at hand."""

import math

import torch

from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._batches import FaceBatches, PreparedNetwork
from skfau.estimators._random import derive_seed
from skfau.estimators._training import ProgressBar, make_training_net, plain_history
from skfau.exceptions import MissingColumnError
from skfau.losses import LandmarkMapLoss

_AUGMENTATION = FaceAugmentation(
    rotation=30, scale=0.2, shift=0.05, brightness=0.15, contrast=0.3
)
_LR = 1e-3
# Keeps this training's random stream apart from the classifier's.
_FAN = 101


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

    Squared error against Gaussians, Adam, a learning rate that falls as a cosine from
    0.001; the faces are turned, scaled, shifted and mirrored at random.

    Parameters
    ----------
    module : FrameNetwork
        Its network's trunk is trained in place, and frozen again.
    faces : Faces
        With landmarks in every row.
    n_epochs, batch_size : int
        Passes over the faces, and faces per step.
    device : torch.device
        Where the module is.
    seed : int
        Fixes everything random.
    verbose : int
        1 shows a progress bar.

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
        augmentation=_AUGMENTATION,
        make_targets=lambda labels, landmarks: {"landmarks": landmarks},
        columns=("landmarks",),
        aus=(),
    )
    net = make_training_net(
        own,
        LandmarkMapLoss(module.image_size),
        optimizer=torch.optim.Adam,
        lr=_LR,
        weight_decay=0.0,
        batch_size=batch_size,
        device=device,
        seed=derive_seed(seed, _FAN) >> 1,
        callbacks=[],
        learning_rate_factor=lambda e: (1 + math.cos(math.pi * e / n_epochs)) / 2,
    )
    bar = None
    if verbose:
        bar = ProgressBar(n_epochs, -(-len(faces) // batch_size), "FAN")
    try:
        net.run_epochs(batches, n_epochs, bar=bar)
    finally:
        fan.requires_grad_(False).eval()
    return plain_history(net.history)
