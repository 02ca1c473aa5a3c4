"""One training batch, shared out among processes: each computes on its own faces."""

import datetime
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# Wait as long as it takes: who starts the processes ends them all if one fails.
_FOREVER = datetime.timedelta(days=365)
_RANDOM = {
    *(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d),
    *(F.alpha_dropout, F.feature_alpha_dropout),
}


_team = None


def current_team():
    """Return the `Team` of this process, None in a process that trains alone."""
    return _team


@contextmanager
def joined(team):
    """Run the body as one of a team's processes."""
    global _team
    _team = team
    try:
        yield
        # Whoever fails does not come here: it leaves the others waiting until they are
        # ended, so that its error is the first to be heard of.
        team.disband()
    finally:
        _team = None


class Team:
    """The processes that train one network together, seen from one of them.

    Parameters
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    device : torch.device
        Device of this process.
    path : str
        File in which the processes find each other; new for every team.
    """

    def __init__(self, rank, size, device, path):
        self.rank, self.size, self.device = rank, size, device
        if dist.is_initialized():
            # A team that failed has left it behind.
            dist.destroy_process_group()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=dist.FileStore(path, size),
            rank=rank,
            world_size=size,
            timeout=_FOREVER,
        )

    def disband(self):
        """End the team, after all have done their work."""
        dist.barrier()
        dist.destroy_process_group()

    def bounds(self, n_rows):
        """Return where the processes' shares of some rows begin and end, size + 1."""
        return np.arange(self.size + 1) * n_rows // self.size

    def slice_of(self, n_rows):
        """Return which of some rows are this process's."""
        start, stop = self.bounds(n_rows)[self.rank :][:2]
        return slice(int(start), int(stop))

    def decide(self, flag):
        """Return the flag of the first process, in all of them."""
        value = torch.tensor(float(flag), device=self.device)
        dist.broadcast(value, 0)
        return bool(value)

    def begin_alike(self, *modules):
        """Give all processes the weights and buffers of the first one."""
        for module in modules:
            for tensor in module.state_dict().values():
                # A copy is contiguous, as a broadcast wants it.
                value = tensor.detach().contiguous()
                dist.broadcast(value, 0)
                tensor.copy_(value)

    def gather(self, own, n_rows):
        """Return the rows of all processes, given each one's share of `n_rows`."""
        sizes = np.diff(self.bounds(n_rows)).tolist()
        # All of one length, as not every backend takes shares of different ones.
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        every = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(every, padded)
        return torch.cat([each[:n] for each, n in zip(every, sizes, strict=True)])

    def add(self, tensor):
        """Add up a contiguous tensor over all processes, in place."""
        dist.all_reduce(tensor)
        return tensor

    def collect(self, tensor):
        """Return the tensors of all processes, (size, ...)."""
        every = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(every, tensor.contiguous())
        return torch.stack(every)

    def predict(self, predict, faces):
        """Return predictions for all faces, each process having made its share."""
        if len(faces) < 2 * self.size:
            return predict(faces)
        own = predict(faces[self.slice_of(len(faces))])
        values = torch.as_tensor(own, device=self.device)
        return self.gather(values, len(faces)).cpu().numpy()


class Share(TorchFunctionMode):
    """A process's faces of a batch; a ``with`` block in which they are computed.

    In the block everything is as if one process saw the whole batch: batch norm takes
    the statistics of all faces, and dropout draws for all of them and keeps its own
    rows, so that a face has the same mask whoever computes it. Functions whose first
    axis is not a multiple of the faces work on something else, and are left alone.

    A batch of fewer than two faces for each process is not shared: all compute all.

    Parameters
    ----------
    team : Team
        The processes.
    n_faces : int
        Faces of the whole batch.
    """

    def __init__(self, team, n_faces):
        super().__init__()
        self.team, self.n_faces = team, n_faces
        self.own = own_rows(team, n_faces)
        self.shared = self.own != slice(None)
        self.n_own = self.own.stop - self.own.start if self.shared else n_faces

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Run a function of torch, as on the whole batch where that matters."""
        kwargs = kwargs or {}
        replace = None
        if self.shared and self._has_faces(args):
            replace = self._replacement(function, args, kwargs)
        return (replace or function)(*args, **kwargs)

    def _has_faces(self, args):
        first = args[0] if args else None
        return isinstance(first, torch.Tensor) and self._is_of_faces(first)

    def _is_of_faces(self, tensor):
        return tensor.ndim > 0 and len(tensor) > 0 and len(tensor) % self.n_own == 0

    def _replacement(self, function, args, kwargs):
        if function is F.batch_norm:
            return self._batch_norm
        if function in _RANDOM:
            return lambda rows, *how, **named: self._narrow(
                function(self._widen(rows), *how, **named)
            )
        if function is F.scaled_dot_product_attention and kwargs.get("dropout_p"):
            return self._attention
        if function is torch.Tensor.bernoulli_:
            return self._bernoulli_
        return None

    def _batch_norm(
        self,
        inputs,
        running_mean,
        running_var,
        weight=None,
        bias=None,
        training=False,
        momentum=0.1,
        eps=1e-5,
    ):
        if not training:
            return F.batch_norm(
                inputs, running_mean, running_var, weight, bias, eps=eps
            )
        out, mean, var, count = _BatchNorm.apply(inputs, weight, bias, eps, self)
        if running_mean is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean), momentum)
                unbiased = var * (count / (count - 1))
                running_var.lerp_(unbiased.to(running_var), momentum)
        return out

    def _attention(self, query, key, value, attn_mask=None, **kwargs):
        if attn_mask is not None and self._is_of_faces(attn_mask):
            attn_mask = self._widen(attn_mask)
        wide = map(self._widen, (query, key, value))
        out = F.scaled_dot_product_attention(*wide, attn_mask=attn_mask, **kwargs)
        return self._narrow(out)

    def _bernoulli_(self, tensor, *args, **kwargs):
        wide = self._widen(tensor).bernoulli_(*args, **kwargs)
        return tensor.copy_(self._narrow(wide))

    def _widen(self, tensor):
        """Return rows for all faces of the batch; those of others are 0.

        They lie in memory as the own ones do: in that order numbers are drawn.
        """
        shape = [len(tensor) // self.n_own * self.n_faces, *tensor.shape[1:]]
        order = sorted(range(tensor.ndim), key=lambda axis: -tensor.stride(axis))
        wide = tensor.new_zeros([shape[axis] for axis in order])
        wide = wide.permute([order.index(axis) for axis in range(tensor.ndim)])
        self._narrow(wide).copy_(tensor)
        return wide

    def _narrow(self, tensor):
        """Return the rows of this process's faces."""
        per_face = len(tensor) // self.n_faces
        return tensor[self.own.start * per_face : self.own.stop * per_face]

    def gather(self, outputs):
        """Return a network's outputs for all faces, given those for the own ones.

        The loss is then that of the whole batch, in every process. Of its gradient each
        process takes what belongs to its own faces.
        """
        if not self.shared:
            return outputs
        if isinstance(outputs, torch.Tensor):
            if len(outputs) != self.n_own:
                raise ValueError(
                    "on several devices all outputs of a network must have one row per "
                    f"face. Got shape {tuple(outputs.shape)} for {self.n_own} faces."
                )
            return _Gather.apply(outputs, self)
        if isinstance(outputs, dict):
            return {name: self.gather(each) for name, each in outputs.items()}
        return type(outputs)(self.gather(each) for each in outputs)

    def add_gradients(self, parameters):
        """Add up the processes' gradients, so that all take the same step."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.team.add(torch.cat([each.flatten() for each in gradients]))
        if not self.shared:
            flat /= self.team.size
        parts = flat.split([each.numel() for each in gradients])
        for own, total in zip(gradients, parts, strict=True):
            own.copy_(total.view(own.shape))


def own_rows(team, n_faces):
    """Return which faces of a batch a process computes."""
    alone = team is None or n_faces < 2 * team.size
    return slice(None) if alone else team.slice_of(n_faces)


class _Gather(torch.autograd.Function):
    """Rows of all processes; the gradient of the own ones goes back."""

    @staticmethod
    def forward(ctx, own, share):
        ctx.own = share.own
        return share.team.gather(own, share.n_faces)

    @staticmethod
    def backward(ctx, gradient):
        return gradient[ctx.own], None


class _BatchNorm(torch.autograd.Function):
    """Batch norm over the faces of all processes."""

    @staticmethod
    def forward(ctx, inputs, weight, bias, eps, share):
        axes = [axis for axis in range(inputs.ndim) if axis != 1]
        per_face = inputs.numel() // inputs.shape[1] / share.n_own
        counts = np.diff(share.team.bounds(share.n_faces)) * per_face
        counts = torch.as_tensor(counts, device=inputs.device)[:, None]
        var, mean = torch.var_mean(inputs.float(), axes, correction=0)
        means, variances = (
            share.team.collect(torch.stack([mean, var])).double().unbind(1)
        )
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        var = (counts * (variances + (means - mean).square())).sum(0) / count
        mean, var = mean.float(), var.float()
        out = F.batch_norm(inputs, mean, var, weight, bias, eps=eps)
        ctx.save_for_backward(inputs, weight, mean, (var + eps).rsqrt())
        ctx.share, ctx.axes, ctx.count = share, axes, count.float()
        ctx.mark_non_differentiable(mean, var, count)
        return out, mean, var, count

    @staticmethod
    def backward(ctx, gradient, *_):
        inputs, weight, mean, scale = ctx.saved_tensors
        shape = [1, -1] + [1] * (inputs.ndim - 2)
        normal = (inputs.float() - mean.view(shape)) * scale.view(shape)
        gradient = gradient.float()
        own = torch.stack([gradient.sum(ctx.axes), (gradient * normal).sum(ctx.axes)])
        total = ctx.share.team.add(own.clone()) / ctx.count
        shift, slope = (each.view(shape) for each in total)
        if weight is not None:
            scale = scale * weight
        back = (gradient - shift - normal * slope) * scale.view(shape)
        of_bias, of_weight = own
        if weight is None:
            of_weight = of_bias = None
        return back.to(inputs.dtype), of_weight, of_bias, None, None
