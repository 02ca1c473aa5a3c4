"""Time the dense CRF's backends against pydensecrf2 and a loop over AUs.

Run ``python benchmarks/bench_crf.py`` (a quarter of an hour on one core, most of it for
the truth); ``--small`` takes seconds and leaves the large maps out. ``--threads``
sets torch's threads; pydensecrf2 (``pip install pydensecrf2``) uses one and is skipped,
saying so, where it is not installed.

Every side runs the same model on the same batch of made faces: 12 maps each, 10
iterations, alpha 160, beta 3 and gamma 3 at 176 x 176 pixels, alpha and gamma
in proportion below. pydensecrf2 normalises symmetrically unless told otherwise; here it
is told to divide by each pixel's own sum (``NORMALIZE_AFTER``), which is what
`DenseCRF` does. It then differs in its filter alone, a permutohedral lattice. The loop
calls a `DenseCRF` of one map for each map. Sides alternate within one run; figures are
the shortest of the repeats, per image.

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
import time

import numpy as np
import torch
import torch.nn.functional as F

from _timing import best_of
from skfau.datasets import make_faces
from skfau.nn import DenseCRF
from skfau.nn._crf_kernels import AppearanceKernel
from skfau.nn.crf import _points

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


def brute_force(logits, image, step=64):
    """Return one image's probabilities by float64 sums over all pairs of pixels."""
    logits, colour = logits.double(), image.double().flatten(1).t() / BETA
    place = torch.cartesian_prod(*(torch.arange(s) for s in image.shape[1:])).double()
    points = torch.cat([place / ALPHA, colour], 1)
    axis = torch.arange(SIDE).double()
    near = (-((axis.unsqueeze(1) - axis) ** 2) / 2 / GAMMA**2).exp()
    near /= near.sum(1, keepdim=True)
    state = logits
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


def compare(side, images, logits, peer, repeats):
    """Print the time per image of every side at one size of maps."""
    images, logits = shrink(images, side).round(), shrink(logits, side)
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
    if peer:
        functions.append(lambda: peer(logits, images))
    times = best_of(functions, repeats) / len(images)
    print(f"{side} x {side}, ms an image")
    for name, seconds in zip([*sides, "pydensecrf2"], times, strict=False):
        ratio = f"  peer / this {times[-1] / seconds:5.1f}" if peer else ""
        print(f"  {name:<22}{1e3 * seconds:9.1f}{ratio}")


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


def judge(images, logits, peer):
    """Print how far every side, and coarser solutions, are from the truth."""
    start = time.perf_counter()
    exact = solve(make_crf(SIDE, "exact"), logits, images)
    spent = (time.perf_counter() - start) / len(images)
    print(f"{SIDE} x {SIDE} exact: {spent:.1f} s an image; against the brute force:")
    errors("exact", exact[0], brute_force(logits[0], images[0]))
    print("against exact, all faces:")
    errors("approximate", solve(make_crf(SIDE, "approximate"), logits, images), exact)
    if peer:
        errors("pydensecrf2", peer(logits, images), exact)
    errors("not refined", logits.sigmoid(), exact)
    for side in (SIDE // 2, SIDE // 4):
        small = shrink(logits, side), shrink(images, side)
        coarse = solve(make_crf(side, "exact"), *small)
        enlarged = F.interpolate(coarse, (SIDE, SIDE), mode="bilinear")
        errors(f"solved at {side}", enlarged, exact)
        at = SIDE // 4
        errors(f"  both seen at {at}", shrink(coarse, at), shrink(exact, at))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    n_images = 1 if args.small else args.batch_size
    images, logits = make_batch(n_images)
    try:
        import pydensecrf.densecrf  # noqa: F401
    except ImportError:
        peer = None
        print("pydensecrf2 is not installed: its rows are left out")
    else:
        peer = solve_by_pydensecrf
    print(
        f"{n_images} faces, {N_AUS} maps, {N_ITER} iterations, {args.threads} threads"
    )
    for side in [SIDE // 4] if args.small else [SIDE // 4, SIDE // 2, SIDE]:
        compare(side, images, logits, peer, 1 if args.small else args.repeats)
    if not args.small:
        count(images)
        judge(images, logits, peer)


if __name__ == "__main__":
    main()
