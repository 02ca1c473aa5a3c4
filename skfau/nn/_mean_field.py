"""Mean-field iterations of a two-label CRF, and their adjoint.

With x the logits after an iteration and s = 2 sigmoid(x) - 1 in [-1, 1], the next are

    x <- unary + bias + sum_m weight_m * K_m s / K_m 1

for the Gaussian kernels K_m of `_crf_kernels`, appearance and smoothness.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from skfau.nn._crf_kernels import MIN_NORM, AppearanceKernel, SmoothnessKernel

__all__ = ["MeanField", "Settings", "attention_mean_field"]


class Settings(NamedTuple):
    """What the iterations need besides tensors; gamma is one width, or one per map."""

    n_iter: int
    gamma: tuple
    include_self: bool
    approximate: bool


class MeanField(torch.autograd.Function):
    """Iterate image by image, so that one kernel at a time is in memory.

    Only the logits before every iteration are kept for the backward pass, which builds
    the kernel of an image again and runs the adjoint of the iterations. The gradient of
    the points, over all iterations and maps, takes one pass over the kernel; automatic
    differentiation would build and keep a kernel per iteration.
    """

    @staticmethod
    def forward(ctx, unary, points, appearance, smoothness, bias, settings):
        """Return refined logits.

        Parameters
        ----------
        unary : Tensor of shape (n, m, h, w)
        points : Tensor of shape (n, g, h * w, d)
            In units of the kernel's widths; g is 1, or m for kernels per map. A wider
            dtype than that of the maps gives more exact kernels.
        appearance, smoothness, bias : Tensor of shape (m,)
        settings : Settings
        """
        n_iter = settings.n_iter
        states = unary.new_empty(
            n_iter if any(ctx.needs_input_grad) else 0, *unary.shape
        )
        weights = torch.stack([appearance, smoothness, bias]).view(3, -1, 1, 1)
        out = torch.empty_like(unary)
        for image, maps, kernels in _problems(unary, points, settings):
            factors = _factors(weights[:2, maps], kernels)
            state = unary[image, maps]
            start = state + weights[2, maps]
            for step in range(n_iter):
                if len(states):
                    states[step, image, maps] = state
                signs = _signs(state)
                state = start
                for kernel, factor in zip(kernels, factors, strict=True):
                    state = torch.addcmul(state, kernel.spread(signs), factor)
            out[image, maps] = state
        ctx.settings = settings
        ctx.save_for_backward(points, weights, states)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_out):
        points, weights, states = ctx.saved_tensors
        grad_unary = torch.zeros_like(grad_out)
        grad_points = torch.zeros_like(points) if ctx.needs_input_grad[1] else None
        grad_weights = torch.zeros_like(weights)
        for image, maps, kernels in _problems(grad_out, points, ctx.settings):
            grad, seen, grads = grad_out[image, maps], [], []
            for state in states[:, image, maps].flip(0):
                grad_unary[image, maps] += grad
                grad_weights[2, maps] += grad.sum((1, 2), keepdim=True)
                signs = _signs(state)
                seen.append(signs)
                grads.append(weights[0, maps] * grad)
                back = [kernel.spread(grad / kernel.norm) for kernel in kernels]
                for weight, part in zip(grad_weights[:2, maps], back, strict=True):
                    weight += (part * signs).sum((1, 2), keepdim=True)
                grad = (weights[0, maps] * back[0]).addcmul_(weights[1, maps], back[1])
                grad = grad * (1 - signs.square()) / 2
            grad_unary[image, maps] += grad
            if grad_points is not None:
                row = maps.start if points.shape[1] > 1 else 0
                grad_points[image, row] = kernels[0].gradient(seen, grads)
        return grad_unary, grad_points, *grad_weights.flatten(1), None


def _problems(maps, points, settings):
    """Yield image, slice of maps, and the two kernels that these maps share."""
    n, m, *size = maps.shape
    n_kernels = points.shape[1]
    step = m // n_kernels
    gamma, include_self = settings.gamma, settings.include_self
    widths = [gamma] * n_kernels
    if n_kernels > 1 and len(gamma) > 1:
        widths = [(width,) for width in gamma]
    smoothness = {
        width: SmoothnessKernel(size, width, include_self, maps)
        for width in set(widths)
    }
    for image in range(n):
        for k, width in enumerate(widths):
            appearance = AppearanceKernel(
                points[image, k],
                size,
                include_self,
                settings.approximate,
                maps.dtype,
            )
            kernels = appearance, smoothness[width]
            yield image, slice(k * step, (k + 1) * step), kernels


def _factors(weights, kernels):
    return [
        weight / kernel.norm for weight, kernel in zip(weights, kernels, strict=True)
    ]


def _signs(logits):
    return logits.sigmoid().mul_(2).sub_(1)


def attention_mean_field(unary, points, appearance, smoothness, bias, settings):
    """Return refined logits, by operations that can be exported.

    Normalised over j, ``exp(-|f_i - f_j|^2 / 2)`` is the softmax of
    ``f_i f_j - |f_j|^2 / 2``: attention with one more feature. Parameters are those of
    `MeanField.forward`; `approximate` is ignored.

    Notes
    -----
    The products of distant points cancel: where features are hundreds of widths apart,
    a weight in float32 is wrong by up to a thousandth of itself.
    """
    attend = _Attention(points, settings.include_self, unary.shape[1])
    smooth = SmoothnessKernel(
        unary.shape[2:], settings.gamma, settings.include_self, unary
    )
    wa, ws, bias = (w.view(-1, 1, 1) for w in (appearance, smoothness, bias))

    def iterate(state):
        signs = (state / 2).tanh()
        near = smooth.down @ signs @ smooth.across
        if not settings.include_self:
            near = near - signs
        return unary + bias + wa * attend(signs) + ws * near / smooth.norm

    state = unary
    for _ in range(settings.n_iter):
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            state = checkpoint(iterate, state, use_reentrant=False)
        else:
            state = iterate(state)
    return state


class _Attention:
    """The normalised appearance kernel of a batch as scaled dot-product attention."""

    def __init__(self, points, include_self, n_maps):
        self.n_kernels, self.include_self = points.shape[1], include_self
        # Fused kernels need one width for keys and values, a multiple of eight.
        width = max(points.shape[3] + 2, n_maps // self.n_kernels)
        self.width = math.ceil(width / 8) * 8
        points = points - points.mean(2, keepdim=True)
        square = points.square().sum(3, keepdim=True) / 2
        one = torch.ones_like(square)
        self.query = self._pad(torch.cat([points, one, square], 3))
        self.key = self._pad(torch.cat([points, -square, 0 * one], 3))
        if not include_self:
            # An additional key, as similar to every point as the point itself, gets the
            # weight 1 / (row sum + 1).
            last = F.one_hot(torch.tensor([points.shape[3] + 1]), self.width)
            last = last.to(self.key).expand(*points.shape[:2], 1, -1)
            mark = F.pad(torch.zeros_like(self.key), (0, 0, 0, 1), value=1.0)
            share = F.scaled_dot_product_attention(
                self.query, torch.cat([self.key, last], 2), mark, scale=1.0
            )
            self.total = 1 / share[..., :1] - 1

    def _pad(self, points):
        return F.pad(points, (0, self.width - points.shape[3]))

    def __call__(self, maps):
        """Return the weighted means of maps (n, m, h, w)."""
        values = maps.unflatten(1, (self.n_kernels, -1)).flatten(3).transpose(2, 3)
        out = F.scaled_dot_product_attention(
            self.query, self.key, self._pad(values), scale=1.0
        )[..., : values.shape[3]]
        if not self.include_self:
            others = (self.total - 1).clamp(min=MIN_NORM)
            out = (out * self.total - values) / others
        return out.transpose(2, 3).reshape(maps.shape)
