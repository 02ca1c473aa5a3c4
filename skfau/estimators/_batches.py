"""Rows of `Faces` to batches: one gather per batch, uint8 until it is on the device."""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from skfau._progress import Progress
from skfau.estimators._augmentation import CutMix, still
from skfau.estimators._aus import rows_with_face
from skfau.estimators._pixel_transforms import transform_faces
from skfau.estimators._shares import own_rows
from skfau.faces import Faces
from skfau.facs import FLIP_68, FLIP_AUS
from skfau.nn import IMAGENET_MEAN, IMAGENET_STD

# ITU-R BT.601 luma, what OpenCV and PIL call grey.
LUMA = (0.299, 0.587, 0.114)


def keep_batch(batch):
    """Collate nothing: `FaceBatches` already returns whole batches."""
    return batch


class FaceBatches(torch.utils.data.Dataset):
    """Serve whole training batches of a `Faces` view.

    Parameters
    ----------
    faces : Faces
        Training rows.
    labels : ndarray of shape (n, n_aus), dtype float32
        0, 1 or NaN for unknown.
    image_size : int
        Side of the network's square input, pixels.
    augmentation : FaceAugmentation or None
        Random geometry and light; None leaves the faces as they are.
    make_targets : callable
        ``make_targets(labels, landmarks, heatmaps) -> dict``: what the loss wants.
    columns : tuple of str
        Which of ``landmarks`` and ``heatmaps`` to gather, moved with the pixels.
    aus : tuple of int
        AU number of each column; head turns swap sides in a mirrored face.
    inputs : tuple of str, default=()
        Which of the columns the network takes, and not the loss.
    weights : ndarray of shape (n,) or None, default=None
        How much each face counts in the loss, also where another is mixed in; None
        weighs all alike.
    """

    # Which inputs are pixels.
    image_names = ("images",)

    def __init__(
        self,
        faces,
        labels,
        *,
        image_size,
        augmentation,
        make_targets,
        columns,
        aus,
        inputs=(),
        weights=None,
    ):
        self.weights = weights
        self.faces = faces
        self.labels = labels
        self.image_size = image_size
        self.augmentation = augmentation
        self.aus = aus
        self.inputs = inputs
        self.make_targets = make_targets
        self.columns = columns
        mirrored = [FLIP_AUS.get(au, au) for au in aus]
        self.swaps_sides = mirrored != list(aus)
        # The other side of a head turn may not be among the columns: then the last
        # one, which `_mirrored` appends as unknown.
        self.mirror_columns = [aus.index(au) if au in aus else -1 for au in mirrored]
        self.rng = self.team = None

    def __len__(self):
        return len(self.faces)

    def __getitems__(self, rows):
        rows = np.asarray(rows)
        labels, geometry, mix = self.labels[rows], None, None
        own = own_rows(self.team, len(rows))
        if self.augmentation is not None:
            geometry = self.augmentation.draw(len(rows), self.rng)
            if self.augmentation.cutmix:
                mix = self._mixture(rows)
                labels = mix.by_au(labels, self.aus)
            labels = self.augmentation.soften(labels, geometry)
            labels = self._mirrored(labels, geometry.flip)
        inputs, columns = gather(
            self.faces,
            rows,
            self.columns,
            image_size=self.image_size,
            geometry=geometry,
            mix=mix,
            aus=self.aus,
            own=own,
        )
        inputs |= self._beside(rows, geometry, mix, own)
        if getattr(self.augmentation, "colour_transform", None) is not None:
            # A face and its neighbours change in the same way.
            seeds = self.rng.integers(2**63, size=len(rows))
            seeds_of = dict.fromkeys(self.image_names, seeds[own])
            if "others" in inputs:
                seeds_of["others"] = seeds[geometry.partner[own]]
            for name in inputs.keys() & seeds_of.keys():
                inputs[name] = transform_faces(
                    self.augmentation.colour_transform, inputs[name], seeds_of[name]
                )
        inputs |= {name: columns.pop(name)[own] for name in self.inputs}
        return inputs, self._targets(rows, labels, columns)

    def _beside(self, rows, geometry, mix, own):
        """Return what the network takes beside each image of the `own` rows."""
        return {}

    def _targets(self, rows, labels, columns):
        targets = self.make_targets(labels, **columns)
        return targets | weights_of_rows(self.weights, rows)

    def _mixture(self, rows):
        landmarks = self.faces.column("landmarks", rows)
        how = self.augmentation
        return CutMix(landmarks, how.cutmix, self.rng, how.cutmix_overlap)

    def _mirrored(self, labels, flip):
        if not self.swaps_sides:
            return labels
        known = np.column_stack([labels, np.full(len(labels), np.nan, labels.dtype)])
        return np.where(flip[:, None], known[:, self.mirror_columns], labels)


def weights_of_rows(weights, rows):
    """Return the entry of the targets that weighs a batch, none without weights."""
    return {} if weights is None else {"weight": np.float32(weights[rows])}


def gather(
    faces,
    rows,
    columns=(),
    *,
    image_size,
    geometry=None,
    mix=None,
    aus=(),
    own=slice(None),
):
    """Return what a network is shown of some faces, in training and prediction alike.

    Parameters
    ----------
    faces : Faces
        Where the rows are.
    rows : ndarray of shape (n,), dtype intp
        Rows of the batch.
    columns : tuple of str, default=()
        Which of ``landmarks`` and ``heatmaps`` to take along.
    image_size : int
        Side of the network's input, pixels.
    geometry : Geometry or None, default=None
        What the batch is put through, the crop included.
    mix : CutMix or None, default=None
        How the faces of the batch are mixed.
    aus : tuple of int, default=()
        AU number of each heatmap.
    own : slice, default=slice(None)
        Which of the rows the network is shown here; the columns are of all, because
        the loss is.

    Returns
    -------
    inputs : dict of str to ndarray
        ``images``, uint8 (n, H, W, 3) as the faces have them, and what
        `PreparedNetwork.pixels` takes of the geometry.
    columns : dict of str to ndarray
        Float32, where the pixels of the network's input show them.
    """
    mixes = mix is not None or (geometry is not None and geometry.partner is not None)
    images = faces.images[rows if mixes else rows[own]]
    moved = {name: np.float32(faces.column(name, rows)) for name in columns}
    if mix is not None:
        images = mix.images(images)
        moved = {
            name: mix.landmarks(values)
            if name == "landmarks"
            else mix.by_au(values, aus)
            for name, values in moved.items()
        }
    if "landmarks" in moved:
        moved["landmarks"] = move_landmarks(
            moved["landmarks"], images.shape[1:3], image_size, geometry
        )
    inputs = {"images": images[own] if mixes else images}
    if geometry is not None:
        geometry = geometry.on_pixels(images.shape[1:3], image_size)
        if "heatmaps" in moved:
            moved["heatmaps"] = move_maps(moved["heatmaps"], geometry)
        inputs |= {k: v[own] for k, v in geometry._asdict().items() if v is not None}
        if "partner" in inputs and len(inputs["images"]) < len(images):
            # Faces that are mixed in may be other processes'.
            inputs["others"] = images[inputs.pop("partner")]
    return inputs, moved


def move_landmarks(landmarks, image_shape, image_size, geometry=None):
    """Carry landmarks from the faces' pixels to the network's input pixels.

    Parameters
    ----------
    landmarks : ndarray of shape (n, 68, 2)
        Pixels of the faces, x then y; pixel centres are whole numbers.
    image_shape : tuple of int
        Height and width of the faces, pixels.
    image_size : int
        Side of the network's input, pixels.
    geometry : Geometry or None
        What the batch was put through.

    Returns
    -------
    landmarks : ndarray of shape (n, 68, 2), dtype float32
        Pixels of the network's input, x then y.
    """
    unit = (2 * landmarks + 1) / np.float32(image_shape[::-1]) - 1
    if geometry is not None:
        geometry = geometry.on_pixels(image_shape, image_size)
        if geometry.warp is not None:
            # The warp leads from output to input; points go the other way.
            linear, offset = geometry.warp[:, :, :2], geometry.warp[:, None, :, 2]
            unit = (unit - offset) @ np.linalg.inv(linear).transpose(0, 2, 1)
        if geometry.flip is not None:
            mirrored = unit[:, FLIP_68] * np.float32([-1, 1])
            unit = np.where(geometry.flip[:, None, None], mirrored, unit)
    return (((unit + 1) * image_size - 1) / 2).astype(np.float32)


def return_landmarks(landmarks, image_shape, image_size, geometry=None):
    """Carry landmarks from the network's input pixels back to the faces' pixels.

    Parameters
    ----------
    landmarks : ndarray of shape (n, n_landmarks, 2)
        Pixels of the network's input at test time, x then y.
    image_shape : tuple of int
        Height and width of the faces, pixels.
    image_size : int
        Side of the network's input, pixels.
    geometry : Geometry or None, default=None
        What the batch was put through at test time.

    Returns
    -------
    landmarks : ndarray of shape (n, n_landmarks, 2), dtype float32
        Pixels of the faces, x then y.
    """
    unit = (2 * landmarks + 1) / np.float32(image_size) - 1
    if geometry is not None:
        warp = geometry.on_pixels(image_shape, image_size).warp
        linear, offset = warp[:, :, :2], warp[:, None, :, 2]
        unit = unit @ linear.transpose(0, 2, 1) + offset
    return (((unit + 1) * np.float32(image_shape[::-1]) - 1) / 2).astype(np.float32)


def window_of(augmentation, image_shape, image_size):
    """Return left, top, right and bottom of what a network sees at test time, pixels.

    They are counted from the upper left corner of the face, not from a pixel's centre.
    """
    corners = np.array([[[0, 0], [image_size, image_size]]]) - 0.5
    window = return_landmarks(corners, image_shape, image_size, still(augmentation, 1))
    return tuple((window + 0.5).ravel().tolist())


def move_maps(maps, geometry):
    """Put ROI heatmaps of shape (n, n_aus, h, w) through a batch's geometry."""
    flip = geometry.flip[:, None, None, None]
    if geometry.warp is not None:
        grid = _grid(torch.as_tensor(geometry.warp), maps.shape[-2:])
        unknown = np.isnan(maps).any(axis=(2, 3), keepdims=True)
        maps = F.grid_sample(torch.as_tensor(maps), grid, align_corners=False).numpy()
        # What comes in from outside the image is 0, also in a map that is unknown.
        maps = np.where(unknown, np.float32(np.nan), maps)
    return np.where(flip, maps[..., ::-1], maps)


def _grid(warp, size):
    return F.affine_grid(warp, [len(warp), 1, *size], align_corners=False)


class PreparedNetwork(nn.Module):
    """A network that takes uint8 batches: resize, augment, normalise, then forward.

    Parameters
    ----------
    network : nn.Module
        Takes float images (n, 3, s, s), normalised as for ImageNet.
    image_size : int
        Side s of its input, pixels.
    grayscale : bool
        Whether colours are reduced to luma, repeated three times.

    Attributes
    ----------
    autocast : torch.dtype or None
        Type of the matrix products; None computes in float32.
    """

    autocast = None

    def __init__(self, network, *, image_size, grayscale):
        super().__init__()
        self.network = network
        self.image_size = image_size
        self.grayscale = grayscale
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        shape = (1, 3, 1, 1)
        self.register_buffer("luma", torch.tensor(LUMA), persistent=False)
        self.register_buffer("scale", (1 / (255 * std)).view(shape), persistent=False)
        self.register_buffer("offset", (mean / std).view(shape), persistent=False)

    def forward(self, images, method="forward", landmarks=None, **geometry):
        """Return what a method of the network returns for uint8 RGB (n, H, W, 3)."""
        pixels = self.pixels(images, **geometry)
        inputs = (pixels,) if landmarks is None else (pixels, landmarks)
        call = self.network if method == "forward" else getattr(self.network, method)
        return self.computed(call, *inputs)

    def computed(self, call, *inputs):
        """Return what a function of the network makes of inputs, in its precision."""
        if self.autocast is None:
            return call(*inputs)
        with torch.autocast(inputs[0].device.type, dtype=self.autocast):
            return call(*inputs)

    def pixels(
        self,
        images,
        flip=None,
        warp=None,
        gain=None,
        bias=None,
        planes=None,
        partner=None,
        share=None,
        others=None,
    ):
        """Return the network's float input (n, 3, s, s) for uint8 images."""
        if others is not None:
            partner = torch.arange(len(images), 2 * len(images), device=images.device)
            images = torch.cat([images, others])
        pixels = self.planes(images)
        if warp is not None:
            pixels = self._mixed(pixels, partner, share)
            pixels = resample(pixels, warp, self.image_size)
        else:
            pixels = resample(pixels, None, self.image_size)
            pixels = self._mixed(pixels, partner, share)
        if flip is not None:
            pixels = torch.where(flip.view(-1, 1, 1, 1), pixels.flip(-1), pixels)
        if gain is not None:
            pixels = (pixels - 127.5) * gain.view(-1, 1, 1, 1) + 127.5
            pixels = pixels + 255 * bias.view(-1, 1, 1, 1)
        if planes is not None:
            pixels = pixels * planes[:, :, None, None]
        return self.normalised(pixels)

    def planes(self, images):
        """Return colours, or luma, of uint8 RGB images as planes (n, 3 or 1, H, W)."""
        if self.grayscale:
            return (images.float() @ self.luma)[:, None]
        return images.permute(0, 3, 1, 2).float()

    def normalised(self, pixels):
        """Return planes of 0 to 255 as ImageNet's networks want them, (n, 3, s, s)."""
        # Broadcasting grey to three channels costs nothing extra here.
        return (pixels * self.scale - self.offset).contiguous(
            memory_format=torch.channels_last
        )

    @staticmethod
    def _mixed(pixels, partner, share):
        if partner is None:
            return pixels
        own = pixels[: len(partner)]
        return pixels[partner].lerp(own, share.view(-1, 1, 1, 1))


def resample(pixels, warp, size):
    """Return images (n, channels, size, size): windows by `sample`, or all of them."""
    if warp is not None:
        return sample(pixels, warp, size)
    if pixels.shape[-2:] == (size, size):
        return pixels
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)


def sample(pixels, warp, size):
    """Return windows of images, in one sampling from the images' own pixels.

    Parameters
    ----------
    pixels : Tensor of shape (n, channels, height, width)
        Images.
    warp : Tensor of shape (n, 2, 3)
        Leads from window to image coordinates, both from -1 to 1, x then y.
    size : int
        Side of the square windows, pixels.

    Returns
    -------
    windows : Tensor of shape (n, channels, size, size)
        Bilinear between the images' pixels. Where a step of one pixel in the window is
        longer than one in the image, the mean of samples all over the pixel's area, as
        many along each side as the step is long; outside the image 0. Images of more
        than four times the window's resolution are shrunk to four times first.
    """
    steps = _steps(pixels, warp, size)
    if steps.min() > 4:
        # Photographs: more samples than four times four would show nothing else.
        sides = [int(side * 4 / steps.min()) for side in pixels.shape[-2:]]
        pixels = F.interpolate(pixels, sides, mode="bilinear", antialias=True)
        steps = _steps(pixels, warp, size)
    # Less than a thousandth of a pixel is rounding.
    counts = (steps - 1e-3).ceil().clamp(min=1).long()
    if (counts == counts[0]).all():
        return _sample_evenly(pixels, warp, size, int(counts[0]))
    windows = pixels.new_empty(len(pixels), pixels.shape[1], size, size)
    for count in counts.unique().tolist():
        those = counts == count
        windows[those] = _sample_evenly(pixels[those], warp[those], size, count)
    return windows


def _steps(pixels, warp, size):
    """Return how many pixels of each image a step in its window spans."""
    sides = warp.new_tensor([pixels.shape[-1], pixels.shape[-2]])
    steps = warp[:, :, :2] * sides[:, None] / size
    return steps.norm(dim=1).amax(dim=1)


def _sample_evenly(pixels, warp, size, count):
    """Sample `count` times along each side of the window's pixels; take the means."""
    grid = _grid(warp, (size * count, size * count))
    samples = F.grid_sample(pixels, grid, align_corners=False)
    return samples if count == 1 else F.avg_pool2d(samples, count)


def logits_of(outputs):
    """Return the logits of a network that returns them alone or with more."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def apply_network(
    module,
    faces,
    select,
    *,
    batch_size,
    augmentation=None,
    method="forward",
    columns=(),
    title="Applying a network",
    verbose=0,
):
    """Return `select` of the network's outputs for every face.

    Memory holds one batch of pixels and the result.

    Parameters
    ----------
    module : PreparedNetwork
        Put into evaluation mode.
    faces : Faces
        Any number of rows.
    select : callable
        What to keep of a batch's outputs: a tensor whose first axis is the batch.
    batch_size : int
        Faces per forward pass.
    augmentation : FaceAugmentation or None, default=None
        Its ``crop`` says which central window the network was trained on.
    method : str, default="forward"
        Method of the network to call.
    columns : tuple of str, default=()
        What the network takes beside the images: ``("landmarks",)`` or nothing.
    title : str, default="Applying a network"
        What the progress says is done.
    verbose : int, default=0
        Whether to show it on standard error.

    Returns
    -------
    values : ndarray of shape (n_samples, ...), dtype float32
        NaN in rows without a face.
    """
    module.eval()
    found = np.flatnonzero(rows_with_face(faces))
    forward = partial(_forward, module, method, select, augmentation, columns)
    if not len(found):
        # One blank face tells the shape of a row.
        blank = np.zeros((1, module.image_size, module.image_size, 3), np.uint8)
        blank = Faces(blank, landmarks=np.zeros((1, 68, 2), np.float32))
        shape = forward(blank, np.arange(1)).shape[1:]
        return np.full((len(faces), *shape), np.nan, np.float32)
    out = None
    with Progress(title, len(found), "faces", __name__, verbose) as progress:
        for start in range(0, len(found), batch_size):
            rows = found[start : start + batch_size]
            values = forward(faces, rows)
            if out is None:
                out = np.full((len(faces), *values.shape[1:]), np.nan, np.float32)
            out[rows] = values
            progress.update(len(rows))
    return out


def _forward(module, method, select, augmentation, columns, faces, rows):
    """Return `select` of the outputs for a batch of faces, cropped as in training."""
    geometry = still(augmentation, len(rows))
    inputs, beside = gather(
        faces, rows, columns, image_size=module.image_size, geometry=geometry
    )
    device = next(module.parameters()).device
    inputs = {k: torch.as_tensor(v).to(device) for k, v in (inputs | beside).items()}
    with torch.inference_mode():
        return select(module(**inputs, method=method)).float().cpu().numpy()
