"""A gated 3x3 convolution on a CPU by Winograd's F(4x4, 3x3).

Outputs come in tiles of 4x4 from inputs of 6x6, by 36 products where a direct
convolution takes 144. The gates are part of the input transform: one matrix product
turns a 6x6 tile into the transforms of all AUs, and no gated copy is stored.

References
----------
Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

import torch
import torch.nn.functional as F

__all__ = ["tiled_conv", "tiles_pay"]

_TILE, _PATCH = 4, 6
_MIN_CHANNELS = 256
_MIN_TILES = 64
# Largest block of transforms. Above 32 MiB the C library asks the system for memory for
# every block, which costs more than the arithmetic on it.
_CHUNK_BYTES = 31 * 2**20

_INPUT_1D = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float32,
)
_FILTER_1D = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_OUTPUT_1D = torch.tensor(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    dtype=torch.float32,
)
_INPUT = torch.kron(_INPUT_1D, _INPUT_1D)  # (36, 36)
_FILTER = torch.kron(_FILTER_1D, _FILTER_1D)  # (36, 9)
_OUTPUT = torch.kron(_OUTPUT_1D, _OUTPUT_1D)  # (16, 36)


def tiles_pay(maps, weight):
    """Tell whether tiles are faster; below these sizes the transforms dominate."""
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    if maps.device.type != "cpu" or {maps.dtype, weight.dtype} != {torch.float32}:
        return False
    n, channels, height, width = maps.shape
    n_tiles = n * -(-height // _TILE) * -(-width // _TILE)
    return channels >= _MIN_CHANNELS and n_tiles >= _MIN_TILES


def tiled_conv(maps, gates, weight):
    """Return what `GatedConv2d.forward` returns, for its arguments and its filters."""
    n, _, height, width = maps.shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    scale = maps.new_ones(n, 1, height, width) if gates is None else 1 + gates
    groups = scale.shape[1]
    out = _TileConv.apply(_to_tiles(maps), _to_tiles(scale), weight)
    out = out.view(_TILE, _TILE, groups, n, rows, columns, -1)
    out = out.permute(3, 4, 0, 5, 1, 2, 6)
    out = out.reshape(n, rows * _TILE, columns * _TILE, -1)
    return out[:, :height, :width].permute(0, 3, 1, 2)


def _to_tiles(maps):
    """Cut (n, c, h, w) into overlapping patches, (n tiles, 36, c), zeros around."""
    _, channels, height, width = maps.shape
    below, right = 1 + -height % _TILE, 1 + -width % _TILE
    patches = F.pad(maps, (1, right, 1, below))
    patches = patches.unfold(2, _PATCH, _TILE).unfold(3, _PATCH, _TILE)
    return patches.permute(0, 2, 3, 4, 5, 1).reshape(-1, _PATCH**2, channels)


class _TileConv(torch.autograd.Function):
    """Tiles (t, 36, c), scales (t, 36, g), weight (g * o, c, 3, 3) -> (16, g * t * o).

    The 36 products of a tile are independent except for the sum at the end, so they run
    in chunks of rows of the transforms. The backward pass computes the transforms
    again: stored, they would be 2.25 times as large as all gated copies.
    """

    @staticmethod
    def forward(ctx, tiles, scales, weight):
        ctx.save_for_backward(tiles, scales, weight)
        n_tiles, groups = len(tiles), scales.shape[2]
        width = weight.shape[0] // groups
        out = tiles.new_zeros(_TILE**2, groups * n_tiles * width)
        for rows in _chunks(tiles, scales, weight):
            _, inputs, filters = _transform(tiles, scales, weight, rows)
            product = torch.bmm(inputs.transpose(0, 1), filters.transpose(1, 2))
            out.addmm_(_OUTPUT[:, rows], product.view(-1, out.shape[1]))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_out):
        tiles, scales, weight = ctx.saved_tensors
        n_tiles, groups = len(tiles), scales.shape[2]
        grad_tiles, grad_scales = torch.zeros_like(tiles), torch.zeros_like(scales)
        grad_weight = weight.new_zeros(9, weight.numel() // 9)
        for rows in _chunks(tiles, scales, weight):
            matrix, inputs, filters = _transform(tiles, scales, weight, rows)
            grad = _OUTPUT[:, rows].t() @ grad_out
            grad = grad.view(inputs.shape[1], n_tiles, -1)
            grad_filters = torch.bmm(grad.transpose(1, 2), inputs.transpose(0, 1))
            grad_weight.addmm_(
                _FILTER[rows].t(), grad_filters.view(len(_FILTER[rows]), -1)
            )
            grad_inputs = torch.bmm(grad, filters).transpose(0, 1)
            grad_tiles.baddbmm_(matrix.transpose(1, 2), grad_inputs)
            grad_matrix = torch.bmm(grad_inputs, tiles.transpose(1, 2))
            grad_matrix = grad_matrix.view(n_tiles, -1, groups, _PATCH**2)
            grad_scales += torch.einsum("trgp,rp->tpg", grad_matrix, _INPUT[rows])
        return grad_tiles, grad_scales, grad_weight.t().reshape(weight.shape)


def _chunks(tiles, scales, weight):
    """Split the 36 rows so that the transforms of each chunk are small blocks."""
    n_tiles, _, channels = tiles.shape
    groups = scales.shape[2]
    row_bytes = 4 * channels * max(groups * n_tiles, weight.shape[0])
    step = min(max(_CHUNK_BYTES // row_bytes, 1), _PATCH**2)
    return [slice(start, start + step) for start in range(0, _PATCH**2, step)]


def _transform(tiles, scales, weight, rows):
    """Return, for some rows of the transform, its matrix and both transforms.

    Returns
    -------
    matrix : Tensor of shape (t, r * g, 36)
        Input transform of every tile, times the tile's scales.
    inputs : Tensor of shape (t, r * g, c)
    filters : Tensor of shape (r * g, o, c)
    """
    groups, channels = scales.shape[2], tiles.shape[2]
    matrix = _INPUT[rows].unsqueeze(1) * scales.transpose(1, 2).unsqueeze(1)
    matrix = matrix.flatten(1, 2)
    filters = _FILTER[rows] @ weight.reshape(-1, 9).t()
    filters = filters.view(matrix.shape[1], weight.shape[0] // groups, channels)
    return matrix, matrix @ tiles, filters
