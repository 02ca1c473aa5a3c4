"""Each face with an earlier and a later frame of its video: rows, batches, network."""

from functools import cached_property

import numpy as np
import torch

from skfau._progress import Progress
from skfau.estimators._augmentation import still
from skfau.estimators._aus import rows_with_face
from skfau.estimators._batches import (
    FaceBatches,
    PreparedNetwork,
    gather,
    move_landmarks,
    weights_of_rows,
)
from skfau.estimators._exported import Part, Prepared
from skfau.estimators._exported import fit_similarity as fit_tensors
from skfau.estimators._feature_cache import FeatureCache
from skfau.estimators._shares import own_rows
from skfau.exceptions import FaceImageError
from skfau.faces import Faces
from skfau.preprocessing._similarity import fit_similarity, invert_similarity

# The entries of a batch that hold the neighbours.
SIDES = ("previous", "following")


class Neighbourhood:
    """Store rows of faces and of the frames that each is compared with.

    A face is its own neighbour where its video has no such frame, or where there is no
    face in that frame.

    Parameters
    ----------
    faces : Faces
        With the columns ``video`` and ``frame``; without them no face has neighbours.
    interval : int or None
        Frames from a face to its neighbours; None for no neighbours.

    Attributes
    ----------
    rows : ndarray of shape (n, 3) or (n, 1), dtype intp
        Store rows of each face and, with neighbours, of the earlier and the later one.
    """

    def __init__(self, faces, interval):
        self.faces = faces
        self.frames = Faces(faces.store)
        self._sides = []
        own = faces.rows
        if interval is not None and {"video", "frame"} <= set(faces.columns):
            self._sides = [faces.neighbors(-interval), faces.neighbors(interval)]
        self._found = [rows_with_face(side) for side in self._sides]
        others = [
            np.where(found, side.rows, own)
            for side, found in zip(self._sides, self._found, strict=True)
        ]
        self.rows = np.stack([own, *others], axis=1)

    @property
    def has_sides(self):
        """Whether there are neighbours at all."""
        return bool(self._sides)

    @cached_property
    def image_shape(self):
        """Height and width of the faces, pixels."""
        return tuple(self.faces.image_shape)

    def gather(self, store_rows, image_size, **how):
        """Return the network's inputs for store rows, see `gather`."""
        inputs, _ = gather(self.frames, store_rows, image_size=image_size, **how)
        images = inputs["images"]
        if self.has_sides and images.shape[1:3] != self.image_shape:
            raise FaceImageError(
                "faces that are compared with each other must have one size. Got "
                f"{self.image_shape} and {images.shape[1:3]} (height, width). Align "
                "the faces first (FaceAligner)."
            )
        return inputs

    def landmarks(self, rows):
        """Return landmarks (3, m, 68, 2) of some faces and of their neighbours."""
        own = self.faces.column("landmarks", rows)
        return np.stack(
            [
                own,
                *(
                    np.where(
                        found[rows, None, None], side.column("landmarks", rows), own
                    )
                    for side, found in zip(self._sides, self._found, strict=True)
                ),
            ]
        )

    def moves(self, rows, image_size, geometry=None, mix=None):
        """Return how to align the neighbours of some faces, see `AUNet.compare`.

        Parameters
        ----------
        rows : ndarray of shape (m,)
            Rows of the faces.
        image_size : int
            Side of the network's input, pixels.
        geometry : Geometry or None, default=None
            How all three frames are moved.
        mix : CutMix or None, default=None
            How the faces of the batch were mixed.

        Returns
        -------
        moves : ndarray of shape (m, 2, 2, 3), dtype float32, or None
            None where `faces` have no landmarks.
        """
        if "landmarks" not in self.faces.columns:
            return None
        landmarks = self.landmarks(rows)
        if mix is not None:
            landmarks = [mix.landmarks(each) for each in landmarks]
        points = [
            _five_points(move_landmarks(each, self.image_shape, image_size, geometry))
            for each in landmarks
        ]
        # From pixels to the coordinates of affine_grid: -1 and 1 at the edges.
        own, *others = ((2 * each + 1) / image_size - 1 for each in points)
        return np.stack([_aligning(own, other) for other in others], axis=1)


def _five_points(landmarks):
    """Return eye centres, nose and mouth corners of (n, 68, 2) landmarks."""
    eyes = landmarks[:, 36:48].reshape(-1, 2, 6, 2).mean(2)
    join = torch.cat if isinstance(landmarks, torch.Tensor) else np.concatenate
    return join([eyes, landmarks[:, [33, 48, 54]]], 1)


def _aligning(own, other):
    """Return affine maps from own points to the other's, the identity if unknown."""
    other = np.where(np.isnan(own), np.nan, other)
    moves = invert_similarity(fit_similarity(other, own))
    known = np.isfinite(moves).all(axis=(1, 2), keepdims=True)
    return np.where(known, moves, np.eye(2, 3)).astype(np.float32)


class FrameBatches(FaceBatches):
    """Batches of faces with their neighbours and the number of their data set.

    Parameters
    ----------
    faces : Faces
        Training rows.
    labels : ndarray of shape (n, n_aus), dtype float32
        0, 1 or NaN for unknown.
    neighbourhood : Neighbourhood
        Neighbourhood of the same faces.
    datasets : ndarray of shape (n,), dtype int
        Number of each row's data set.
    **parameters : dict
        The other parameters of `FaceBatches`.
    """

    image_names = ("images", *SIDES)

    def __init__(self, faces, labels, *, neighbourhood, datasets, **parameters):
        super().__init__(faces, labels, **parameters)
        self.neighbourhood = neighbourhood
        self.datasets = datasets

    def _beside(self, rows, geometry, mix, own):
        around = self.neighbourhood
        if not around.has_sides:
            return {}
        if (
            self.team is not None
            and geometry is not None
            and geometry.share is not None
        ):
            raise ValueError(
                "mixup lays the neighbours of faces over each other, too, and a device "
                "has not those of all faces. Pass one device, temporal=False, or an "
                "augmentation without mixup."
            )
        sides = [
            around.gather(store_rows, self.image_size, mix=mix, own=own)["images"]
            for store_rows in around.rows[rows, 1:].T
        ]
        moves = around.moves(rows, self.image_size, geometry, mix)
        moves = moves if moves is None else moves[own]
        return dict(zip(SIDES, sides, strict=True)) | _given(moves=moves)

    def _targets(self, rows, labels, columns):
        return super()._targets(rows, labels, columns) | {
            "dataset": self.datasets[rows]
        }


class FeatureBatches(torch.utils.data.Dataset):
    """Batches of basic features in place of pixels.

    Parameters
    ----------
    labels : ndarray of shape (n, n_aus), dtype float32
        0, 1 or NaN for unknown.
    neighbourhood : Neighbourhood
        Neighbourhood of the training rows.
    datasets : ndarray of shape (n,), dtype int
        Number of each row's data set.
    cache : FeatureCache
        Cache that the features are read from.
    image_size : int
        Side of the input of the network that made the features, pixels.
    weights : ndarray of shape (n,) or None, default=None
        As for `FaceBatches`.
    """

    def __init__(
        self, labels, *, neighbourhood, datasets, cache, image_size, weights=None
    ):
        self.weights = weights
        self.labels = labels
        self.neighbourhood = neighbourhood
        self.datasets = datasets
        self.cache = cache
        self.image_size = image_size
        self.team = None

    def __len__(self):
        return len(self.labels)

    def __getitems__(self, rows):
        rows = np.asarray(rows)
        around = self.neighbourhood
        own = rows[own_rows(self.team, len(rows))]
        stores = around.rows[own].T
        inputs = {"images": self.cache.read(stores[0])}
        if around.has_sides:
            halves = (self.cache.read(each, "half") for each in stores[1:])
            inputs |= dict(zip(SIDES, halves, strict=True))
            inputs |= _given(moves=around.moves(own, self.image_size))
        targets = {"labels": self.labels[rows], "dataset": self.datasets[rows]}
        return inputs, targets | weights_of_rows(self.weights, rows)


def _given(**entries):
    return {name: value for name, value in entries.items() if value is not None}


class FrameNetwork(PreparedNetwork):
    """A prepared `AUNet`: takes uint8 frames, or the basic features of frames."""

    def forward(
        self, images, method="forward", previous=None, following=None, moves=None, **how
    ):
        """Return logits for uint8 RGB (n, H, W, 3), or for features, floats.

        Neighbours' features are at half the resolution, see `AUNet.head`.
        """
        frames = [each for each in (images, previous, following) if each is not None]
        sides = () if moves is None else (moves,)
        if images.is_floating_point():
            return self.computed(
                self.network.head, *map(torch.Tensor.float, frames), *sides
            )
        call = self.network if method == "forward" else getattr(self.network, method)
        return self.computed(call, *(self.pixels(f, **how) for f in frames), *sides)

    def features(self, images, **how):
        """Return the basic features (n, channels, h, w) of uint8 RGB images."""
        return self.computed(self.network.features, self.pixels(images, **how))


def apply_to_frames(
    module,
    faces,
    select,
    *,
    batch_size,
    interval,
    augmentation=None,
    cache_dir=None,
    title="Applying a network",
    verbose=0,
):
    """Return `select` of the network's logits for every face and its neighbours.

    Parameters
    ----------
    module : FrameNetwork
        Put into evaluation mode.
    faces : Faces
        At least one row with a face.
    select : callable
        What to keep of a batch's logits.
    batch_size : int
        Frames per forward pass.
    interval : int or None
        Frames from a face to its neighbours; None for no neighbours.
    augmentation : FaceAugmentation or None, default=None
        Its ``crop`` says which central window the network was trained on.
    cache_dir : path or None, default=None
        Folder of the feature cache.
    title, verbose
        As in `apply_network`.

    Returns
    -------
    values : ndarray of shape (n_samples, ...), dtype float32
        NaN in rows without a face.
    """
    module.eval()
    device = next(module.parameters()).device
    found = np.flatnonzero(rows_with_face(faces))
    around = Neighbourhood(faces[found], interval)
    summary = _summaries(module, around, augmentation, cache_dir, batch_size)
    order = _video_order(around.faces)
    out, shown = None, (title, len(found), "faces", __name__, verbose)
    with torch.inference_mode(), Progress(*shown) as progress:
        for rows, parts in _windows(summary, around.rows, order, batch_size):
            moves = None
            if around.has_sides:
                window = still(augmentation, len(rows))
                moves = around.moves(rows, module.image_size, window)
            if moves is not None:
                parts = [*parts, torch.as_tensor(moves).to(device)]
            values = select(module.computed(module.network.compare, *parts))
            values = values.float().cpu().numpy()
            if out is None:
                shape = (len(faces), *values.shape[1:])
                out = np.full(shape, np.nan, np.float32)
            out[found[rows]] = values
            progress.update(len(rows))
    return out


def _summaries(module, around, augmentation, cache_dir, batch_size):
    """Return a function from store rows to `AUNet.summary` of their frames."""
    device = next(module.parameters()).device
    cache = None
    if cache_dir is not None:
        cache = FeatureCache(cache_dir, module, around, batch_size)

    def features(rows):
        if cache is not None:
            return torch.as_tensor(cache.read(rows)).to(device).float()
        window = still(augmentation, len(rows))
        inputs = around.gather(rows, module.image_size, geometry=window)
        return module.features(
            **{name: torch.as_tensor(v).to(device) for name, v in inputs.items()}
        )

    return lambda rows: module.computed(module.network.summary, features(rows))


def _video_order(faces):
    """Return the rows in an order in which frames of a video follow each other."""
    names = [n for n in ("subject", "video", "frame") if n in faces.columns]
    keys = [faces.column(name) for name in names] or [faces.rows]
    keys = [np.unique(key, return_inverse=True)[1] for key in keys]
    return np.lexsort(keys[::-1])


def _windows(summary, store_rows, order, batch_size):
    """Yield rows and the arguments of `AUNet.compare`; each frame is computed once.

    The summaries of one batch are held, and of the frames that later batches need. In
    the order of the videos these are at most a batch and twice the interval.
    """
    starts = range(0, len(order), batch_size)
    last_use = np.full(store_rows.max() + 1, -1)
    for start in starts:
        last_use[store_rows[order[start : start + batch_size]]] = start
    held = {}
    for start in starts:
        rows = order[start : start + batch_size]
        wanted = np.unique(store_rows[rows])
        new = np.array([row for row in wanted if row not in held], np.intp)
        for begin in range(0, len(new), batch_size):
            part = new[begin : begin + batch_size]
            held.update(
                zip(part.tolist(), zip(*summary(part), strict=True), strict=True)
            )
        own, *sides = store_rows[rows].T.tolist()
        parts = [
            torch.stack(each) for each in zip(*(held[r] for r in own), strict=True)
        ]
        # From the earlier frame take its part as previous, from the later one its part
        # as following.
        for place, side in enumerate(sides, start=1):
            parts.append(torch.stack([held[row][place] for row in side]))
        yield rows, parts
        held = {row: part for row, part in held.items() if last_use[row] > start}


class ExportedFrames(Part):
    """An `AUNet` with all that is done to a face and its neighbours before.

    Parameters
    ----------
    module : FrameNetwork
        Of a fitted classifier with the temporal module.
    face_size : tuple of (int, int)
        Height and width of the faces, pixels.
    augmentation : FaceAugmentation or None
        Its ``crop`` says which central window the network sees.
    """

    def __init__(self, module, face_size, augmentation):
        frames = ("images", *SIDES)
        points = ("landmarks", *(f"{side}_landmarks" for side in SIDES))
        super().__init__((*frames, *points))
        self.frames, self.points = frames, points
        self.prepared = Prepared(module, face_size, augmentation)

    def forward(self, given):
        """Return probabilities (n, n_aus), float32."""
        module, n_faces = self.prepared.module, given["images"].shape[0]
        frames = self.prepared(torch.cat([given[name] for name in self.frames]))
        summary = module.network.summary(module.network.features(frames))
        # From the earlier frame take its part as previous, from the later one its part
        # as following, as `_windows` does.
        own = [each[:n_faces] for each in summary]
        sides = summary[1][n_faces : 2 * n_faces], summary[2][2 * n_faces :]
        size = module.image_size
        point, *others = (
            (2 * _five_points(self.prepared.points(given[name])) + 1) / size - 1
            for name in self.points
        )
        moves = torch.stack([_moves_of(point, other) for other in others], 1)
        return module.network.compare(*own, *sides, moves).sigmoid()


def _moves_of(own, other):
    """Return what `_aligning` does, for tensors."""
    own, other = own.double(), other.double()
    moves = fit_tensors(torch.where(own.isnan(), torch.nan, other), own)
    linear, offset = moves[:, :, :2], moves[:, :, 2:]
    # The inverse of a turn and a scale.
    inverse = linear.mT / linear[:, :1].square().sum(2, keepdim=True)
    moves = torch.cat([inverse, -inverse @ offset], 2)
    known = moves.isfinite().all(2, keepdim=True).all(1, keepdim=True)
    return torch.where(known, moves, torch.eye(2, 3, dtype=moves.dtype)).float()
