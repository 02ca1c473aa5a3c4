"""Rows of `Faces` to batches: one gather per batch, uint8 until it is on the device."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from skfau.estimators._cutmix import CutMix
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
    """

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
    ):
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
        self.rng = None

    def __len__(self):
        return len(self.faces)

    def __getitems__(self, rows):
        rows = np.asarray(rows)
        images, labels = self.faces.images[rows], self.labels[rows]
        columns = {
            name: np.asarray(self.faces.column(name, rows), dtype=np.float32)
            for name in self.columns
        }
        geometry = mix = None
        if self.augmentation is not None:
            geometry = self.augmentation.draw(len(rows), self.rng)
            if self.augmentation.cutmix:
                mix = self._mixture(rows)
                images, labels, columns = self._mixed(mix, images, labels, columns)
            labels = self.augmentation.soften(labels, geometry)
            labels = self._mirrored(labels, geometry.flip)
        columns = self._moved(columns, images.shape[1:3], geometry)
        inputs = {"images": images} | self._beside(rows, geometry, mix)
        inputs |= {name: columns.pop(name) for name in self.inputs}
        if geometry is not None:
            inputs |= {k: v for k, v in geometry._asdict().items() if v is not None}
        return inputs, self._targets(rows, labels, columns)

    def _beside(self, rows, geometry, mix):
        """Return what the network takes beside each row's image."""
        return {}

    def _targets(self, rows, labels, columns):
        return self.make_targets(labels, **columns)

    def _mixture(self, rows):
        landmarks = self.faces.column("landmarks", rows)
        how = self.augmentation
        return CutMix(landmarks, how.cutmix, self.rng, how.cutmix_overlap)

    def _mixed(self, mix, images, labels, columns):
        columns = {
            name: mix.landmarks(values)
            if name == "landmarks"
            else mix.by_au(values, self.aus)
            for name, values in columns.items()
        }
        return mix.images(images), mix.by_au(labels, self.aus), columns

    def _mirrored(self, labels, flip):
        if not self.swaps_sides:
            return labels
        known = np.column_stack([labels, np.full(len(labels), np.nan, labels.dtype)])
        return np.where(flip[:, None], known[:, self.mirror_columns], labels)

    def _moved(self, columns, image_shape, geometry):
        moved = dict(columns)
        if "landmarks" in columns:
            moved["landmarks"] = move_landmarks(
                columns["landmarks"], image_shape, self.image_size, geometry
            )
        if "heatmaps" in columns and geometry is not None:
            moved["heatmaps"] = move_maps(columns["heatmaps"], geometry)
        return moved


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
        if geometry.warp is not None:
            # The warp leads from output to input; points go the other way.
            linear, offset = geometry.warp[:, :, :2], geometry.warp[:, None, :, 2]
            unit = (unit - offset) @ np.linalg.inv(linear).transpose(0, 2, 1)
        mirrored = unit[:, FLIP_68] * np.float32([-1, 1])
        unit = np.where(geometry.flip[:, None, None], mirrored, unit)
    return (((unit + 1) * image_size - 1) / 2).astype(np.float32)


def return_landmarks(landmarks, image_shape, image_size, crop):
    """Carry landmarks from the network's input pixels back to the faces' pixels.

    Parameters
    ----------
    landmarks : ndarray of shape (n, n_landmarks, 2)
        Pixels of the network's input at test time, x then y.
    image_shape : tuple of int
        Height and width of the faces, pixels.
    image_size : int
        Side of the network's input, pixels.
    crop : float
        Fraction of the faces' side that lies outside of the input.

    Returns
    -------
    landmarks : ndarray of shape (n, n_landmarks, 2), dtype float32
        Pixels of the faces, x then y.
    """
    unit = ((2 * landmarks + 1) / np.float32(image_size) - 1) * np.float32(1 - crop)
    return (((unit + 1) * np.float32(image_shape[::-1]) - 1) / 2).astype(np.float32)


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
    ):
        """Return the network's float input (n, 3, s, s) for uint8 images."""
        size = (self.image_size, self.image_size)
        pixels = images.permute(0, 3, 1, 2)
        if self.grayscale:
            pixels = (images.float() @ self.luma)[:, None]
        else:
            pixels = pixels.float()
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        if partner is not None:
            pixels = pixels[partner].lerp(pixels, share.view(-1, 1, 1, 1))
        if warp is not None:
            pixels = F.grid_sample(pixels, _grid(warp, size), align_corners=False)
        if flip is not None:
            pixels = torch.where(flip.view(-1, 1, 1, 1), pixels.flip(-1), pixels)
        if gain is not None:
            pixels = (pixels - 127.5) * gain.view(-1, 1, 1, 1) + 127.5
            pixels = pixels + 255 * bias.view(-1, 1, 1, 1)
        if planes is not None:
            pixels = pixels * planes[:, :, None, None]
        # Broadcasting grey to three channels costs nothing extra here.
        return (pixels * self.scale - self.offset).contiguous(
            memory_format=torch.channels_last
        )
