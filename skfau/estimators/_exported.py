"""What a fitted model computes as one torch module, from uint8 faces to probabilities.

A part takes a dict of tensors by name, those that it `needs`, and returns probabilities
(n, n_aus) or features. Nothing in it depends on the values of a tensor, so that it can
be exported.
"""

from copy import deepcopy
from functools import singledispatch

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from skfau._unwrap import find_aus
from skfau.estimators._augmentation import still
from skfau.estimators._batches import logits_of, move_landmarks, resample
from skfau.estimators._linear import AULinearSVC, AULogisticRegression
from skfau.model_selection import (
    AdaptedAUClassifier,
    AUThresholdClassifier,
    AUVotingClassifier,
    CalibratedAUClassifier,
)
from skfau.model_selection._wrapper import CLIPPED
from skfau.preprocessing import (
    FaceAligner,
    LandmarkFeatures,
    MeshFeatures,
    ROIHeatmaps,
)
from skfau.preprocessing._mesh_features import STABLE, mean_mesh, mesh_columns

_BLOCK = 16  # rows of an image that are sampled at once


class Part(nn.Module):
    """Base of the parts.

    Attributes
    ----------
    needs : tuple of str
        Names of the tensors in the dict that ``forward`` takes.
    """

    def __init__(self, needs):
        super().__init__()
        self.needs = tuple(needs)

    def _keep(self, **arrays):
        """Keep arrays as float64 buffers."""
        for name, array in arrays.items():
            self.register_buffer(name, torch.as_tensor(np.asarray(array, np.float64)))


class Prepared(nn.Module):
    """The input of a network as `apply_network` makes it, by matrix products.

    Resizing and cropping are linear, and the same for rows and columns of pixels.

    Parameters
    ----------
    module : PreparedNetwork
        Of a fitted classifier; it is copied.
    face_size : tuple of (int, int)
        Height and width of the faces, pixels.
    augmentation : FaceAugmentation or None
        Its ``crop`` says which central window the network sees.
    """

    def __init__(self, module, face_size, augmentation):
        super().__init__()
        self.module = deepcopy(module).cpu().float().eval()
        self.face_size = face_size
        self.window = still(augmentation, 1)
        warp = None
        if self.window is not None:
            warp = self.window.on_pixels(face_size, module.image_size).warp
            warp = torch.as_tensor(warp)
        elif face_size == (module.image_size, module.image_size):
            return
        columns = _columns_of(warp, face_size, module.image_size)
        if warp is not None:
            # Sides are exchanged with the directions: the window is a centred one.
            warp = warp.flip(1)[:, :, [1, 0, 2]]
        rows = _columns_of(warp, face_size[::-1], module.image_size)
        self.register_buffer("rows", rows.T.contiguous())
        self.register_buffer("columns", columns)

    def forward(self, images):
        """Return the network's input (n, 3, s, s) for uint8 RGB (n, H, W, 3)."""
        planes = images.permute(0, 3, 1, 2).float()
        if self.module.grayscale:
            # A convolution: onnxruntime is slow at products of a tensor and a vector.
            planes = F.conv2d(planes, self.module.luma.view(1, 3, 1, 1))
        if hasattr(self, "rows"):
            planes = self.rows @ planes @ self.columns
        return self.module.normalised(planes)

    def points(self, landmarks):
        """Return landmarks of the faces in pixels of the network's input."""
        ends = np.array([[[0, 0], [1, 1]]])
        size = self.module.image_size
        start, end = move_landmarks(ends, self.face_size, size, self.window)[0]
        return landmarks * torch.as_tensor(end - start) + torch.as_tensor(start)


def _columns_of(warp, face_size, image_size):
    """Return the matrix (W, s) by which pixels of a row become those of the input."""
    height, width = face_size
    matrix = torch.empty(width, image_size)
    for start in range(0, width, _BLOCK):
        lines = torch.eye(width)[start : start + _BLOCK, None, None]
        lines = lines.expand(-1, -1, height, -1).contiguous()
        own = None if warp is None else warp.expand(len(lines), -1, -1)
        # The middle row: at the edges the window may reach out of the face.
        sampled = resample(lines, own, image_size)[:, 0, image_size // 2]
        matrix[start : start + _BLOCK] = sampled
    return matrix


class Network(Part):
    """A classifier's network, with all that is done to a face before.

    Parameters
    ----------
    module : PreparedNetwork
        Of a fitted classifier.
    face_size, augmentation
        As for `Prepared`.
    columns : tuple of str, default=()
        What the network takes beside the images.
    """

    def __init__(self, module, face_size, augmentation, columns=()):
        super().__init__(("images", *columns))
        self.prepared = Prepared(module, face_size, augmentation)

    def forward(self, given):
        """Return probabilities (n, n_aus), float32."""
        inputs = [self.prepared(given["images"])]
        if "landmarks" in self.needs:
            inputs.append(self.prepared.points(given["landmarks"]))
        return logits_of(self.prepared.module.network(*inputs)).sigmoid()


class _Chain(Part):
    """Features, and what is made of them."""

    def __init__(self, parts):
        super().__init__(parts[0].needs)
        self.parts = nn.ModuleList(parts)

    def forward(self, given):
        values = self.parts[0](given)
        for part in self.parts[1:]:
            values = part(values)
        return values


class _Landmarks(Part):
    """What `LandmarkFeatures` returns."""

    def __init__(self, features, face_size):
        super().__init__(("landmarks",))
        height, width = face_size
        self.points = [int(n[1:]) for n in features.get_feature_names_out()[::2]]
        self.middle, self.width = ((width - 1) / 2, (height - 1) / 2), width

    def forward(self, given):
        points = given["landmarks"][:, self.points]
        return ((points - points.new_tensor(self.middle)) / self.width).flatten(1)


class _Mesh(Part):
    """What `MeshFeatures` returns."""

    def __init__(self):
        super().__init__(("mesh",))
        mean, partner = mean_mesh()
        self._keep(mean=mean, side=[-1.0, 1.0])
        self.partner = partner.tolist()
        self.across, self.along = (each.tolist() for each in mesh_columns())

    def forward(self, given):
        mesh = given["mesh"][..., :2].double()
        stable = STABLE.tolist()
        to_mean = fit_similarity(mesh[:, stable], self.mean[stable])
        shape = apply_similarity(to_mean, mesh) - self.mean
        shape = (shape + shape[:, self.partner] * self.side) / 2
        shape = torch.cat([shape[:, self.across, 0], shape[:, self.along, 1]], 1)
        return shape.float()


def fit_similarity(source, target):
    """Return what `preprocessing._similarity.fit_similarity` does, for tensors.

    Parameters
    ----------
    source : Tensor of shape (n, n_points, 2), dtype float64
        Points x, y; a point with NaN is left out.
    target : Tensor of shape (n_points, 2) or (n, n_points, 2), dtype float64
        Where they should be.

    Returns
    -------
    matrices : Tensor of shape (n, 2, 3), dtype float64
        NaN where the known points coincide.
    """
    known = source.isfinite().all(2, keepdim=True)
    count = known.sum(1, keepdim=True).clamp(min=1)
    points = [torch.where(known, each, 0) for each in (source, target)]
    middle, goal = (each.sum(1, keepdim=True) / count for each in points)
    source = torch.where(known, source - middle, 0)
    target = torch.where(known, target - goal, 0)
    spread = source.square().sum((1, 2))
    # As in NumPy: what is left of points that coincide is rounding.
    reach = 1 + middle.square().sum((1, 2)).sqrt()
    flat = spread <= count[:, 0, 0] * (1e-6 * reach).square()
    spread = torch.where(flat, torch.nan, spread)
    turned = source[..., 0] * target[..., 1] - source[..., 1] * target[..., 0]
    real, imaginary = (source * target).sum((1, 2)) / spread, turned.sum(1) / spread
    linear = torch.stack([real, -imaginary, imaginary, real], 1).unflatten(1, (2, 2))
    return torch.cat([linear, goal.mT - linear @ middle.mT], 2)


def apply_similarity(matrices, points):
    """Move points (n, n_points, 2) by matrices (n, 2, 3)."""
    return points @ matrices[:, :, :2].mT + matrices[:, None, :, 2]


class _Scaled(Part):
    """What a `StandardScaler` returns."""

    def __init__(self, scaler):
        super().__init__(())
        n = scaler.n_features_in_
        self._keep(
            mean=np.zeros(n) if scaler.mean_ is None else scaler.mean_,
            scale=np.ones(n) if scaler.scale_ is None else scaler.scale_,
        )

    def forward(self, features):
        return ((features - self.mean) / self.scale).float()


class _Linear(Part):
    """What a linear classifier's ``predict_proba`` returns."""

    def __init__(self, classifier):
        super().__init__(())
        self._keep(coef=classifier.coef_.T, intercept=classifier.intercept_)

    def forward(self, features):
        return (features.double() @ self.coef + self.intercept).float().sigmoid()


def _log_odds(probabilities):
    clipped = probabilities.double().clamp(CLIPPED, 1 - CLIPPED)
    return (clipped / (1 - clipped)).log()


class _Calibrated(Part):
    """Log-odds put on a line."""

    def __init__(self, classifier, part):
        super().__init__(part.needs)
        self.part = part
        self._keep(coef=classifier.coef_, intercept=classifier.intercept_)

    def forward(self, given):
        odds = _log_odds(self.part(given))
        return (odds * self.coef + self.intercept).sigmoid()


class _Vote(Part):
    """Average of log-odds."""

    def __init__(self, classifier, parts):
        super().__init__(_union(parts))
        self.parts = nn.ModuleList(parts)
        weights = classifier.weights
        weights = np.ones(len(parts)) if weights is None else np.asarray(weights, float)
        self._keep(shares=weights / weights.sum())

    def forward(self, given):
        odds = [_log_odds(part(given)) for part in self.parts]
        return (torch.stack(odds, 2) @ self.shares).sigmoid()


class _Adapted(Part):
    """A network that has learned on, and what it began from."""

    def __init__(self, classifier, learned, start):
        super().__init__(_union([learned, start]))
        self.learned, self.start = learned, start
        every = list(find_aus(classifier.estimator_))
        known = list(find_aus(classifier.start_))
        self.columns = [every.index(au) for au in classifier.aus_]
        # New AUs, of which the start says nothing, get any column with the share 0.
        self.known = [known.index(au) if au in known else 0 for au in classifier.aus_]
        shares = [0.5 if au in known else 0.0 for au in classifier.aus_]
        self._keep(
            coef=classifier.coef_, intercept=classifier.intercept_, shares=shares
        )

    def forward(self, given):
        learned = _log_odds(self.learned(given)[:, self.columns])
        start = _log_odds(self.start(given)[:, self.known])
        start = start * self.coef + self.intercept
        return (learned + self.shares * (start - learned)).sigmoid()


def _union(parts):
    return dict.fromkeys(name for part in parts for name in part.needs)


@singledispatch
def part_of(model, face_size):
    """Return the `Part` that computes what a fitted model's ``predict_proba`` returns.

    Parameters
    ----------
    model : object
        A fitted classifier, or a step of a pipeline that makes features.
    face_size : tuple of (int, int)
        Height and width of the faces, pixels.

    Raises
    ------
    TypeError
        If there is no such module for it.
    """
    if hasattr(model, "best_estimator_"):
        return part_of(model.best_estimator_, face_size)
    if hasattr(model, "_exported"):
        return model._exported(face_size)
    raise TypeError(
        f"{type(model).__name__} cannot be exported. Networks can be, also behind a "
        "FaceAligner, linear classifiers of LandmarkFeatures or MeshFeatures, and "
        "votes, thresholds and calibrations of these. Export the part that can be, and "
        "do the rest around it."
    )


@part_of.register
def _(model: FrozenEstimator, face_size):
    return part_of(model.estimator, face_size)


@part_of.register
def _(model: AUThresholdClassifier, face_size):
    return part_of(model.estimator_, face_size)


@part_of.register
def _(model: CalibratedAUClassifier, face_size):
    return _Calibrated(model, part_of(model.estimator_, face_size))


@part_of.register
def _(model: AUVotingClassifier, face_size):
    return _Vote(model, [part_of(each, face_size) for each in model.estimators_])


@part_of.register
def _(model: AdaptedAUClassifier, face_size):
    parts = (part_of(each, face_size) for each in (model.estimator_, model.start_))
    return _Adapted(model, *parts)


@part_of.register
def _(model: Pipeline, face_size):
    # Faces come aligned, and maps of regions are for training only.
    steps = [each for _, each in model.steps if each not in (None, "passthrough")]
    steps = [each for each in steps if not isinstance(each, FaceAligner | ROIHeatmaps)]
    parts = [part_of(each, face_size) for each in steps]
    return parts[0] if len(parts) == 1 else _Chain(parts)


@part_of.register
def _(model: LandmarkFeatures, face_size):
    return _Landmarks(model, face_size)


@part_of.register
def _(model: MeshFeatures, face_size):
    return _Mesh()


@part_of.register
def _(model: StandardScaler, face_size):
    return _Scaled(model)


@part_of.register(AULinearSVC)
@part_of.register(AULogisticRegression)
def _(model, face_size):
    return _Linear(model)
