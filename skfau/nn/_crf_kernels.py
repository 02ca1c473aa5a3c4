"""Gaussian kernels over the pixels of one image, applied to several maps at once.

Both kernels of the dense CRF are symmetric. So one product, `spread`, serves the
forward pass and its adjoint; `norm` is the sum of each pixel's row.

The appearance kernel is left out where it is practically 0. Points are halved at the
median of their widest axis until the blocks are small, and a block is compared only
with blocks within reach: a quarter of all for the colours of a face. Positions are
relative to the block, so that float32 is exact wherever the kernel is not 0.
"""

import math

import torch
import torch.nn.functional as F

__all__ = ["MIN_NORM", "AppearanceKernel", "SmoothnessKernel"]

# Lower bound of a row's sum, which is nearly 0 where all other pixels are far. With the
# pixel itself in the sum, no row is below 1.
MIN_NORM = 1e-3
_BAND = 32
_BLOCK, _CELL_BLOCK = 96, 64
# 128 MiB of float32; larger kernels are computed again for every product.
_MAX_STORED = 2**25
_CELL_WIDTH, _PLACE_WIDTH, _CELL_REACH = 1.0, 0.55, 3.1
_MAX_CELLS = 8192


class SmoothnessKernel:
    """Kernel of positions: the product of one banded matrix along each axis.

    Parameters
    ----------
    size : tuple of two ints
        Height and width of the maps.
    gamma : sequence of float
        Width in pixels, for all maps or one per map.
    include_self : bool
        Whether a pixel is also compared with itself.
    like : Tensor
        A tensor of the maps' dtype, on their device.
    """

    def __init__(self, size, gamma, include_self, like):
        self.include_self = include_self
        # Beyond this reach, weights are below the rounding of the pixel's own weight.
        reach = math.sqrt(-2 * math.log(torch.finfo(like.dtype).eps))
        self.reach = math.ceil(reach * max(gamma))
        width = like.new_tensor(gamma).view(-1, 1, 1)
        self.down, self.across = (_position_kernel(side, width) for side in size)
        norm = self.down.sum(-1).unsqueeze(-1) * self.across.sum(-1).unsqueeze(-2)
        self.norm = norm if include_self else (norm - 1).clamp(min=MIN_NORM)

    def spread(self, maps):
        """Return the kernel's product with every map of (m, h, w)."""
        half, out = torch.empty_like(maps), torch.empty_like(maps)
        for rows, near in self._bands(maps.shape[1]):
            half[:, rows] = self.down[:, rows, near] @ maps[:, near]
        for columns, near in self._bands(maps.shape[2]):
            out[:, :, columns] = half[:, :, near] @ self.across[:, near, columns]
        return out if self.include_self else out - maps

    def _bands(self, side):
        step = _BAND if side > _BAND + 2 * self.reach else side
        for start in range(0, side, step):
            low, high = max(start - self.reach, 0), start + step + self.reach
            yield slice(start, start + step), slice(low, high)


def _position_kernel(side, width):
    place = torch.arange(side, dtype=width.dtype, device=width.device)
    return (((place.unsqueeze(1) - place) / width).square() / -2).exp()


class AppearanceKernel:
    """Kernel ``exp(-|f_i - f_j|^2 / 2)`` of the pixels' positions and features.

    Every pixel belongs to a site. Each has its own or, in the approximation, all pixels
    in one cell of a grid share one, at their mean.

    Parameters
    ----------
    points : Tensor of shape (h * w, d)
        Positions, then features, in units of the kernel's widths.
    size : tuple of two ints
        Height and width of the maps.
    include_self : bool
        As for `SmoothnessKernel`.
    approximate : bool
        Let cells of about one width stand for their pixels, and leave out pairs of
        cells with a weight below 0.01.
    dtype : torch.dtype
        Of the maps. Points may have a wider one, in which exponents are computed.
    """

    def __init__(self, points, size, include_self, approximate, dtype):
        self.include_self, self.approximate = include_self, approximate
        labels, means = torch.arange(len(points), device=points.device), points
        if approximate:
            labels = _grid_cells(points)
            cells = _Bags(labels, labels.max().item() + 1)
            means = cells.sum(points) / cells.counts.unsqueeze(1)
        means, order, n_blocks = _sort_by_halves(
            means, _CELL_BLOCK if approximate else _BLOCK
        )
        self.site = order.argsort()[labels]
        self.bags = _Bags(self.site, len(order))
        self.counts = self.bags.counts.to(dtype)
        self.blocks = means[order].view(n_blocks, -1, points.shape[1])
        self.reach = _CELL_REACH if approximate else self._exact_reach()
        self.near = self._blocks_within_reach()
        self.stored = None
        if approximate:
            self.stored = self._sparse_rows()
        elif sum(map(len, self.near)) * self.blocks.shape[1] ** 2 <= _MAX_STORED:
            self.stored = [self._kernel(row) for row in range(n_blocks)]
        self.site_norm = self._multiply(self.counts.unsqueeze(1)).squeeze(1)
        if not include_self:
            self.site_norm = (self.site_norm - 1).clamp(min=MIN_NORM)
        self.norm = self.site_norm[self.site].view(*size)

    def spread(self, maps):
        """Return the kernel's product with every map of (m, h, w)."""
        out = self._multiply(self._gather(maps)).index_select(0, self.site)
        out = out.t().view(maps.shape)
        return out if self.include_self else out - maps

    def gradient(self, maps, grads):
        """Return the gradient of the points, (h * w, d).

        Parameters
        ----------
        maps, grads : list of Tensor of shape (m, h, w)
            What was spread and divided by `norm`, and the gradient of the quotient.
        """
        maps = torch.cat(maps)
        grads = torch.cat(grads) / self.norm
        own = 0.0
        if not self.include_self:
            own = self._gather((grads * maps).sum(0, keepdim=True)).squeeze(1)
        maps, grads = self._gather(maps), self._gather(grads)
        free = (self.site_norm > MIN_NORM) / self.site_norm
        n_blocks, size, _ = self.blocks.shape
        maps, grads = maps.view(n_blocks, size, -1), grads.view(n_blocks, size, -1)
        counts, free = self.counts.view(n_blocks, size), free.view(n_blocks, size)
        own = torch.as_tensor(own).expand(n_blocks * size).view(n_blocks, size)
        total = torch.zeros_like(self.blocks, dtype=maps.dtype)
        for row, near in enumerate(self.near):
            kernel = self._kernel(row)
            pairs = grads[row] @ maps[near].flatten(0, 1).t()
            level = ((pairs * kernel).sum(1) - own[row]) * free[row]
            pairs = (pairs - torch.outer(level, counts[near].flatten())) * kernel
            here, there = (part.to(maps.dtype) for part in self._local(row))
            total[row] += pairs @ there - pairs.sum(1, keepdim=True) * here
            back = pairs.t() @ here - pairs.sum(0).unsqueeze(1) * there
            total[near] += back.view(len(near), size, -1)
        total = total.flatten(0, 1) / self.counts.clamp(min=1).unsqueeze(1)
        return total[self.site]

    def _gather(self, maps):
        return self.bags.sum(maps.flatten(1).t().contiguous())

    def _multiply(self, values):
        if self.approximate:
            columns, offsets, weights = self.stored
            return F.embedding_bag(
                columns,
                values,
                offsets,
                mode="sum",
                per_sample_weights=weights,
                include_last_offset=True,
            )
        # Maps are rows here: few rows times many columns is the faster product.
        values = values.t().contiguous().view(-1, *self.blocks.shape[:2])
        out = torch.empty_like(values)
        for row, near in enumerate(self.near):
            kernel = self._kernel(row) if self.stored is None else self.stored[row]
            out[:, row] = values.index_select(1, near).flatten(1) @ kernel.t()
        return out.flatten(1).t()

    def _kernel(self, row):
        """Return the kernel between a block and the near blocks, (s, b * s)."""
        exponents = self._exponents(row)
        kernel = exponents.exp()
        return kernel * self._kept(exponents) if self.approximate else kernel

    def _exponents(self, row):
        near, size = self.near[row], self.blocks.shape[1]
        here, there = self._local(row)
        out = torch.addmm(there.square().sum(1) / -2, here, there.t())
        out += here.square().sum(1, keepdim=True) / -2
        start = size * torch.searchsorted(near, row).item()
        out[:, start : start + size].fill_diagonal_(0)
        # Clamp: exponentials that underflow are several times as slow.
        return out.clamp_(min=-80.0).to(self.counts.dtype)

    def _local(self, row):
        """Return the points of a block and of the near blocks, from its first point."""
        origin = self.blocks[row, :1]
        near = self.blocks[self.near[row]]
        return self.blocks[row] - origin, (near - origin).flatten(0, 1)

    def _kept(self, exponents):
        return exponents > self.reach**2 / -2

    def _sparse_rows(self):
        """Return columns and ends of rows, both int32, and weights of kept pairs."""
        size = self.blocks.shape[1]
        inside = torch.arange(size, device=self.site.device)
        columns, lengths, weights = [], [], []
        for row, near in enumerate(self.near):
            exponents = self._exponents(row)
            kept = self._kept(exponents)
            lengths.append(kept.sum(1))
            place = kept.flatten().nonzero().squeeze(1)
            weights.append(exponents.flatten().index_select(0, place))
            sites = (near.unsqueeze(1) * size + inside).flatten()
            columns.append(sites.index_select(0, place % len(sites)))
        ends = F.pad(torch.cat(lengths).cumsum(0), (1, 0))
        return torch.cat(columns).int(), ends.int(), torch.cat(weights).exp_()

    def _exact_reach(self):
        """Return the distance beyond which all weights together are below rounding."""
        lost = torch.finfo(self.counts.dtype).eps
        if not self.include_self:
            lost *= MIN_NORM
        return math.sqrt(2 * math.log(len(self.site) / lost))

    def _blocks_within_reach(self):
        low, high = self.blocks.amin(1), self.blocks.amax(1)
        gap = (low.unsqueeze(1) - high).clamp(min=0)
        gap = torch.maximum(gap, gap.transpose(0, 1)).square().sum(2)
        return [row.nonzero().squeeze(1) for row in gap <= self.reach**2]


class _Bags:
    """Rows grouped by label, to sum the rows of each label."""

    def __init__(self, labels, n_labels):
        self.counts = torch.bincount(labels, minlength=n_labels)
        self.rows = labels.argsort().int()
        self.ends = F.pad(self.counts.cumsum(0), (1, 0)).int()

    def sum(self, values):
        return F.embedding_bag(
            self.rows, values, self.ends, mode="sum", include_last_offset=True
        )


def _sort_by_halves(points, block):
    """Return points, padded by copies of the last, their order, number of blocks."""
    depth = max(0, math.floor(math.log2(len(points) / block)))
    padding = -len(points) % 2**depth
    points = torch.cat([points, points[-1:].expand(padding, -1)])
    order = torch.arange(len(points), device=points.device).view(1, -1)
    for _ in range(depth):
        parts = points[order]
        axis = (parts.amax(1) - parts.amin(1)).argmax(1).view(-1, 1, 1)
        keys = parts.gather(2, axis.expand(-1, parts.shape[1], 1)).squeeze(2)
        order = order.gather(1, keys.argsort(1)).view(2 * len(order), -1)
    return points, order.flatten(), 2**depth


def _grid_cells(points):
    """Return each point's cell, numbered over the cells that have points."""
    low = points.amin(0)
    span = (points.amax(0) - low).clamp(min=torch.finfo(points.dtype).tiny)
    width = torch.full_like(span, _CELL_WIDTH)
    width[:2] = _PLACE_WIDTH
    while True:
        n_steps = (span / width).ceil()
        steps = ((points - low) / span * n_steps).minimum(n_steps - 1).long()
        labels, n_labels = steps[:, 0], int(n_steps[0])
        for axis in range(1, points.shape[1]):
            n_labels *= int(n_steps[axis])
            labels = labels * int(n_steps[axis]) + steps[:, axis]
            if n_labels > 2**40 or axis == points.shape[1] - 1:
                labels = labels.unique(return_inverse=True)[1]
                n_labels = labels.max().item() + 1
        if n_labels <= _MAX_CELLS:
            return labels
        width *= 1.25
