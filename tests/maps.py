"""Maps of logits and what to refine them by."""

import torch
import torch.nn.functional as F

from skfau.datasets import make_faces


def draw(n=2, m=3, h=7, w=9, channels=3, seed=0, per_map=False, dtype=torch.double):
    rng = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, m, h, w, generator=rng, dtype=dtype)
    shape = (n, m, channels, h, w) if per_map else (n, channels, h, w)
    return logits, 6 * torch.randn(shape, generator=rng, dtype=dtype)


def face(side):
    images = make_faces(1, 1, image_size=side, random_state=3).data.images[:]
    return torch.tensor(images).permute(0, 3, 1, 2)


def blobs(n_maps, side, seed=0):
    """Logits as an attention branch gives them: smooth, of both signs."""
    rng = torch.Generator().manual_seed(seed)
    coarse = 3 * torch.randn(1, n_maps, 6, 6, generator=rng)
    return F.interpolate(coarse, (side, side), mode="bilinear")
