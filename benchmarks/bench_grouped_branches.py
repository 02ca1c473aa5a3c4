"""Time the branches of 12 AUs side by side against a Python loop over 12 branches.

Run ``python benchmarks/bench_grouped_branches.py`` (about two minutes on one core);
``--small`` measures the small backbone only, in seconds. ``--threads`` sets torch's
threads, ``--device cuda`` measures on a GPU.

Both sides hold the same weights and compute the same embeddings from the same maps and
attention maps: 3x3, 3x3 and 1x1 convolution, each with batch norm and ReLU, pooling and
a linear layer per AU. The loop is a ``ModuleList`` of 12 ``Sequential`` branches, one
call each, on ``maps * (1 + gate)``. Sides alternate within one run; figures are the
shortest of the repeats, for inference and for a training step without the optimiser.

The limit: a direct convolution of these sizes already runs at most of the rate of a
matrix product, which is printed, so placing branches side by side saves next to nothing
on a CPU, and on the narrow backbone both sides should come out near 1. On wide maps the
grouped side can win because its first, largest layer takes Winograd's tiles, with a
quarter of the multiplications.
"""

import argparse
import time

import torch
from torch import nn

from skfau.nn._blocks import conv_norm_relu
from skfau.nn._fau_transformer import _EmbeddingBranches

N_AUS, EMBEDDING_DIM = 12, 128


class LoopedBranches(nn.Module):
    """The same branches, one after the other."""

    def __init__(self, channels, widths):
        super().__init__()
        wide, narrow = widths
        self.branches = nn.ModuleList(
            nn.Sequential(
                conv_norm_relu(channels, wide, 3),
                conv_norm_relu(wide, wide, 3),
                conv_norm_relu(wide, narrow, 1),
                nn.AdaptiveAvgPool2d(6),
                nn.Flatten(),
                nn.Linear(36 * narrow, EMBEDDING_DIM),
            )
            for _ in range(N_AUS)
        )

    def forward(self, maps, gates=None):
        """Return embeddings (n, 12, 128)."""
        return torch.stack(
            [
                branch(maps if gates is None else maps * (1 + gates[:, i : i + 1]))
                for i, branch in enumerate(self.branches)
            ],
            dim=1,
        )

    def take(self, grouped):
        """Copy the weights of grouped branches."""
        state = grouped.state_dict()
        entries = [
            state["gated.filters.weight"],
            *[v for k, v in state.items() if k.startswith("layers.")],
            state["embed.weight"].transpose(1, 2),
            state["embed.bias"].squeeze(1),
        ]
        for i, branch in enumerate(self.branches):
            for own, entry in zip(branch.state_dict().values(), entries, strict=True):
                if own.ndim:
                    own.copy_(entry.reshape(N_AUS, *own.shape)[i])


def infer(module, maps, gates):
    with torch.inference_mode():
        module(maps, gates)


def train(module, maps, gates):
    inputs = [t if t is None else t.detach().requires_grad_() for t in (maps, gates)]
    module.zero_grad()
    module(*inputs).square().mean().backward()


def compare(pair, step, inputs, repeats):
    """Return the shortest time of each side, in seconds."""
    best = [float("inf")] * len(pair)
    for _ in range(repeats + 1):
        for side, module in enumerate(pair):
            start = time.perf_counter()
            step(module, *inputs)
            if inputs[0].is_cuda:
                torch.cuda.synchronize()
            best[side] = min(best[side], time.perf_counter() - start)
    return best


def matrix_rate(device):
    """Return the rate of a large float32 matrix product, GFLOP/s."""
    a, times = torch.randn(1536, 1536, device=device), []
    for _ in range(5):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * 1536**3 / min(times) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cases = [(64, 14, (16, 16))]
    if not args.small:
        cases += [(64, 14, (128, 64)), (768, 12, (128, 64))]
    print(f"{N_AUS} AUs, batch {args.batch_size}, {args.threads} thread(s)")
    print(f"matrix product {matrix_rate(args.device):.0f} GFLOP/s")
    for channels, side, widths in cases:
        grouped = _EmbeddingBranches(N_AUS, channels, widths, EMBEDDING_DIM)
        looped = LoopedBranches(channels, widths)
        looped.take(grouped)
        grouped, looped = grouped.to(args.device), looped.to(args.device)
        shape = (args.batch_size, N_AUS, side, side)
        maps = torch.rand(shape[0], channels, side, side, device=args.device)
        gates = torch.rand(shape, device=args.device)
        weights = sum(w.numel() for w in grouped.parameters() if w.ndim == 4)
        gflop = 2 * weights * side**2 * args.batch_size / 1e9
        print(f"{channels} channels, {side}x{side}, widths {widths}: {gflop:.1f} GFLOP")
        for gated in (True, False):
            inputs = maps, gates if gated else None
            # The loop must compute what the grouped layers do, or the ratio is void.
            ours, theirs = (m.eval()(*inputs) for m in (grouped, looped))
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
            for name, step in (("forward", infer), ("forward + backward", train)):
                for module in (grouped, looped):
                    module.train(step is train)
                fast, slow = compare((grouped, looped), step, inputs, args.repeats)
                print(
                    f"  {'gated' if gated else 'plain'} {name:<19}"
                    f"grouped {fast * 1e3:7.1f} ms  loop {slow * 1e3:7.1f} ms  "
                    f"ratio {slow / fast:.2f}"
                )


if __name__ == "__main__":
    main()
