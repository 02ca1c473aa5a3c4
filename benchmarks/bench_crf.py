"""Time the dense CRF's backends against pydensecrf2, KeOps and a loop over AUs.

Run ``python benchmarks/bench_crf.py`` (a quarter of an hour on one core, most of it for
the truth); ``--small`` takes seconds and leaves the large maps out. ``--threads`` sets
the threads of torch and KeOps; pydensecrf2 uses one. Peers are optional (``pip install
pydensecrf2 pykeops``) and skipped, saying so, where they are not installed.

Every side runs the same model on the same batch of made faces: 12 maps each, 10
iterations, alpha 160, beta 3 and gamma 3 at 176 x 176 pixels, alpha and gamma
in proportion below. pydensecrf2 normalises symmetrically unless told otherwise; here it
is told to divide by each pixel's own sum (``NORMALIZE_AFTER``), which is what
`DenseCRF` does. It then differs in its filter alone, a permutohedral lattice. The loop
calls a `DenseCRF` of one map for each map. KeOps sums the appearance kernel over all
pairs without storing it; its smoothness kernel is a product of two matrices, as ours.
Sides alternate within one run; figures are the shortest of the repeats, per image.

Left out: MONAI's CRF needs MONAI's C++ extension, which its wheel lacks and only a
build from source gives; crfseg has the smoothness kernel alone, which is another model.

Errors are of probabilities: their mean, their 99th percentile and the share of pixels
on the other side of 0.5. The truth at 176 x 176 is summed over all 9.6e8 pairs in
float64 for the first face; for all faces, it is the exact backend, whose own distance
from the brute force is printed.

The limit: an iteration multiplies the smoothness kernel's band, some 68 weights along
each axis, into each of 12 * 176 * 176 numbers: 12 * 31k * 2 * 68 * 2 = 100 MFLOP, 2 ms
at 50 GFLOP/s, and moves these numbers (1.5 MB) through the cache a dozen times, about
as long. That makes some 40 ms an image, to which the appearance kernel adds its pairs:
all pairs of pixels for exact backends, or the pairs of cells within reach, which are
counted below.
"""

import argparse
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

from _timing import best_of
from skfau.datasets import make_faces
from skfau.nn import IMAGENET_MEAN, IMAGENET_STD, WSARL, DenseCRF
from skfau.nn._crf import _points
from skfau.nn._crf_kernels import AppearanceKernel

N_AUS, N_ITER, SIDE = 12, 10, 176
ALPHA, BETA, GAMMA, APPEARANCE, SMOOTHNESS = 160.0, 3.0, 3.0, 5.0, 3.0


def make_batch(n_images):
    """Return images (n, 3, 176, 176) and logits like an attention branch's."""
    made = make_faces(n_images, 1, image_size=SIDE, random_state=0)
    images = torch.tensor(made.data.images[:]).permute(0, 3, 1, 2).float()
    rng, side = torch.Generator().manual_seed(0), SIDE // 4
    place = torch.arange(side)
    centres = side * torch.rand(2, n_images, N_AUS, 1, generator=rng)
    near = [(-((place - c) ** 2) / 2 / (side / 8) ** 2).exp() for c in centres]
    noise = torch.randn(n_images, N_AUS, side + 4, side + 4, generator=rng)
    logits = 5 * near[0].unsqueeze(3) * near[1].unsqueeze(2) - 2.5
    logits = logits + 3.5 * F.avg_pool2d(noise, 5, 1)
    return images, F.interpolate(logits, (SIDE, SIDE), mode="bilinear")


def shrink(maps, side):
    return F.interpolate(maps, (side, side), mode="area")


def make_crf(side, backend, n_maps=N_AUS):
    scale = side / SIDE
    return DenseCRF(
        n_maps,
        n_iter=N_ITER,
        alpha=ALPHA * scale,
        beta=BETA,
        gamma=GAMMA * scale,
        appearance_weight=APPEARANCE,
        smoothness_weight=SMOOTHNESS,
        backend=backend,
    )


def solve(crf, logits, images):
    with torch.inference_mode():
        return crf(logits, images).sigmoid()


def loop(crf, logits, images):
    return torch.cat([solve(crf, one, images) for one in logits.split(1, 1)], 1)


def train(crf, logits, images):
    logits = logits.detach().requires_grad_()
    crf(logits, images).square().mean().backward()


def solve_by_pydensecrf(logits, images):
    """Return the peer's probabilities, one map after the other."""
    from pydensecrf import densecrf

    settings = {
        "kernel": densecrf.DIAG_KERNEL,
        "normalization": densecrf.NORMALIZE_AFTER,
    }
    scale = logits.shape[3] / SIDE
    out = torch.empty_like(logits)
    pixels = images.permute(0, 2, 3, 1).round().byte().contiguous().numpy()
    for i, image in enumerate(pixels):
        for k, unary in enumerate(logits[i]):
            crf = densecrf.DenseCRF2D(*unary.shape[::-1], 2)
            costs = torch.stack([unary, -unary]).flatten(1) / 2
            crf.setUnaryEnergy(costs.contiguous().numpy())
            crf.addPairwiseGaussian(GAMMA * scale, compat=SMOOTHNESS, **settings)
            crf.addPairwiseBilateral(
                ALPHA * scale, BETA, rgbim=image, compat=APPEARANCE, **settings
            )
            refined = np.array(crf.inference(N_ITER))[1]
            out[i, k] = torch.from_numpy(refined).view(unary.shape)
    return out


def solve_by_keops(logits, images, n_iter=N_ITER):
    """Return the peer's probabilities, image by image."""
    from pykeops.torch import LazyTensor

    scale = logits.shape[3] / SIDE
    all_points = _points(images.unsqueeze(1), (ALPHA * scale,), (BETA,))[:, 0]
    near = _near(logits.shape[3], GAMMA * scale).to(logits)
    out = torch.empty_like(logits)
    for i, points in enumerate(all_points):
        rows, columns = LazyTensor(points[:, None]), LazyTensor(points[None])
        kernel = (-((rows - columns) ** 2).sum(-1) / 2).exp()
        state = logits[i]
        for _ in range(n_iter):
            signs = (state / 2).tanh()
            values = F.pad(signs.flatten(1), (0, 0, 0, 1), value=1.0).t().contiguous()
            sums = kernel @ values
            appearance = (sums[:, :-1] / sums[:, -1:]).t().view(state.shape)
            smoothness = near @ signs @ near.t()
            state = logits[i] + APPEARANCE * appearance + SMOOTHNESS * smoothness
        out[i] = state.sigmoid()
    return out


def find_peers(threads):
    """Return those peers that are installed, ready to run, by name."""
    peers = {}
    try:
        import pydensecrf.densecrf  # noqa: F401
    except ImportError:
        print("pydensecrf2 is not installed: its rows are left out")
    else:
        peers["pydensecrf2"] = solve_by_pydensecrf
    # Its OpenMP is not torch's, and reads this when it is loaded.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        import pykeops
    except ImportError:
        print("pykeops is not installed: its rows are left out")
    else:
        pykeops.set_verbose(False)
        # The first call compiles.
        solve_by_keops(torch.zeros(1, N_AUS, 8, 8), torch.zeros(1, 3, 8, 8))
        peers["KeOps"] = solve_by_keops
    return peers


def _near(side, gamma):
    """Return the normalised smoothness kernel along an axis, float64."""
    axis = torch.arange(side).double()
    near = (-((axis.unsqueeze(1) - axis) ** 2) / 2 / gamma**2).exp()
    return near / near.sum(1, keepdim=True)


def brute_force(logits, image, step=64):
    """Return one image's probabilities by float64 sums over all pairs of pixels."""
    logits, colour = logits.double(), image.double().flatten(1).t() / BETA
    place = torch.cartesian_prod(*(torch.arange(s) for s in image.shape[1:])).double()
    points = torch.cat([place / ALPHA, colour], 1)
    near, state = _near(SIDE, GAMMA), logits
    for _ in range(N_ITER):
        signs = (state / 2).tanh()
        values = F.pad(signs.flatten(1), (0, 0, 0, 1), value=1.0).t().contiguous()
        means = []
        for rows in points.split(step):
            kernel = torch.zeros(len(rows), len(points), dtype=torch.double)
            for axis_rows, axis_all in zip(rows.t(), points.t(), strict=True):
                gap = axis_rows.unsqueeze(1) - axis_all
                kernel.addcmul_(gap, gap, value=-0.5)
            sums = kernel.exp_() @ values
            means.append(sums[:, :-1] / sums[:, -1:])
        appearance = torch.cat(means).t().view(state.shape)
        smoothness = near @ signs @ near.t()
        state = logits + APPEARANCE * appearance + SMOOTHNESS * smoothness
    return state.sigmoid().float()


def errors(name, result, truth):
    gap = (result - truth).abs()
    flips = ((result > 0.5) != (truth > 0.5)).float().mean()
    print(
        f"  {name:<22}mean {gap.mean():.1e}  99 % "
        f"{np.quantile(gap.numpy(), 0.99):.1e}  max {gap.max():.1e}  "
        f"labels changed {100 * flips:.3f} %"
    )


def compare(side, images, logits, peers, repeats):
    """Print the time per image of every side at one size of maps."""
    images, logits = shrink(images, side).round(), shrink(logits, side)
    if side > SIDE // 4:
        # All pairs, in every iteration: `compare_iteration` has full size.
        peers = {name: peer for name, peer in peers.items() if name != "KeOps"}
    sides = {
        f"{name} {how.__name__}": (how, make_crf(side, name, n_maps))
        for name, how, n_maps in [
            ("approximate", solve, N_AUS),
            ("approximate", train, N_AUS),
            ("approximate", loop, 1),
            ("exact", solve, N_AUS),
            ("exact", train, N_AUS),
            ("exact", loop, 1),
            ("attention", solve, N_AUS),
        ]
        if name == "approximate" or side < SIDE
    }
    functions = [
        lambda how=how, crf=crf: how(crf, logits, images) for how, crf in sides.values()
    ]
    functions += [lambda peer=peer: peer(logits, images) for peer in peers.values()]
    times = best_of(functions, repeats) / len(images)
    of_peers = dict(zip(peers, times[len(sides) :], strict=True))
    print(f"{side} x {side}, ms an image")
    for name, seconds in zip([*sides, *peers], times, strict=True):
        ratios = (f"  {p} / this {t / seconds:5.1f}" for p, t in of_peers.items())
        print(f"  {name:<22}{1e3 * seconds:9.1f}{''.join(ratios)}")
    if side < SIDE and peers:
        print("against exact:")
        exact = solve(make_crf(side, "exact"), logits, images)
        for name, peer in peers.items():
            errors(name, peer(logits, images), exact)


def compare_network(images, repeats):
    """Print what the CRF adds to the forward pass of the networks that have one."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    images = (images / 255 - mean) / std
    print("forward pass of the networks, ms an image")
    for variant, scales in {"wsarl": (1, 4), "arl": (1,)}.items():
        torch.manual_seed(0)
        networks = [WSARL(N_AUS, variant, crf=False)]
        networks += [WSARL(N_AUS, variant, crf_scale=scale) for scale in scales]
        with torch.inference_mode():
            functions = [lambda net=net: net.eval()(images) for net in networks]
            plain, *refined = best_of(functions, repeats) / len(images)
        print(f"  {variant} without CRF      {1e3 * plain:9.1f}")
        for scale, seconds in zip(scales, refined, strict=True):
            side, more = scale * SIDE // 4, seconds - plain
            print(f"  its CRF at {side:<3d}        {1e3 * more:9.1f}", end="")
            print(f"  {100 * more / plain:.0f} % of that")


def count(images):
    """Print operations and bytes of the appearance kernel of the first face."""
    points = _points(images[:1].unsqueeze(1), (ALPHA,), (BETA,))[0, 0]
    start = time.perf_counter()
    kernel = AppearanceKernel(points, (SIDE, SIDE), True, True, torch.float32)
    built = time.perf_counter() - start
    pairs, cells = len(kernel.stored[2]), int((kernel.counts > 0).sum())
    print(f"{SIDE} x {SIDE} approximate: {cells} cells, {pairs} pairs, {built:.3f} s")
    print(
        f"  {2e-6 * pairs * N_AUS:.0f} MFLOP, {8e-6 * pairs:.0f} MB an iteration; "
        f"all pairs: {2e-6 * SIDE**4 * N_AUS:.0f} MFLOP, {4e-6 * SIDE**4:.0f} MB"
    )


def judge(images, logits, peers):
    """Print how far every side, and coarser solutions, are from the truth."""
    start = time.perf_counter()
    exact = solve(make_crf(SIDE, "exact"), logits, images)
    spent = (time.perf_counter() - start) / len(images)
    print(f"{SIDE} x {SIDE} exact: {spent:.1f} s an image; against the brute force:")
    errors("exact", exact[0], brute_force(logits[0], images[0]))
    print("against exact, all faces:")
    errors("approximate", solve(make_crf(SIDE, "approximate"), logits, images), exact)
    if "pydensecrf2" in peers:
        errors("pydensecrf2", peers["pydensecrf2"](logits, images), exact)
    errors("not refined", logits.sigmoid(), exact)
    for side in (SIDE // 2, SIDE // 4):
        small = shrink(logits, side), shrink(images, side)
        coarse = solve(make_crf(side, "exact"), *small)
        enlarged = F.interpolate(coarse, (SIDE, SIDE), mode="bilinear")
        errors(f"solved at {side}", enlarged, exact)
        at = SIDE // 4
        errors(f"  both seen at {at}", shrink(coarse, at), shrink(exact, at))
    if "KeOps" in peers:
        compare_iteration(images[:1], logits[:1], peers["KeOps"], spent)


def compare_iteration(images, logits, peer, spent):
    """Print time and error of KeOps at full size, from one iteration on one face."""
    start = time.perf_counter()
    result = peer(logits, images, n_iter=1)
    seconds = N_ITER * (time.perf_counter() - start)
    print(
        f"KeOps: {seconds:.0f} s an image, {N_ITER} times its first iteration; KeOps / "
        f"exact {seconds / spent:.1f}; after that iteration, against exact:"
    )
    exact = make_crf(SIDE, "exact")
    exact.n_iter = 1
    errors("KeOps", result, solve(exact, logits, images))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    n_images, repeats = (1, 1) if args.small else (args.batch_size, args.repeats)
    images, logits = make_batch(n_images)
    peers = find_peers(args.threads)
    print(
        f"{n_images} faces, {N_AUS} maps, {N_ITER} iterations, {args.threads} threads"
    )
    for side in [SIDE // 4] if args.small else [SIDE // 4, SIDE // 2, SIDE]:
        compare(side, images, logits, peers, repeats)
    compare_network(images, repeats)
    if not args.small:
        count(images)
        judge(images, logits, peers)


if __name__ == "__main__":
    main()
