"""Shared parts of networks that attend to feature maps with query vectors per AU."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skfau.nn._backbones import make_backbone
from skfau.nn._blocks import init_xavier_
from skfau.nn._transfer import declare_au_axes

__all__ = [
    "ATTENTION_EPS",
    "CrossModalityAttention",
    "SemanticNetwork",
    "as_text",
    "cosine_attention",
    "own_tensor",
    "standardise_",
]


# Added to the cosines of equation 5 at every position. With 0, as printed, an AU with
# hardly any positive cosine jumps from position to position as they change.
ATTENTION_EPS = 0.01


def own_tensor(values, dtype):
    """Return a copy as a tensor; the memory of an array may be read-only."""
    if not isinstance(values, torch.Tensor):
        values = torch.from_numpy(np.array(values))
    return values.detach().to(dtype, copy=True)


def as_text(text, n_aus, n_axes=(2, 3)):
    """Return the vectors of AUs' descriptions as a tensor, 0 where words are absent.

    Parameters
    ----------
    text : array-like of shape (n_aus, d) or (n_aus, n_words, d)
        A vector per description, or one per word; rows of NaN fill up shorter ones.
    n_aus : int
        Number of AUs.
    n_axes : tuple of int, default=(2, 3)
        Which of the two forms are allowed, by their number of axes.

    Returns
    -------
    text : Tensor, dtype float32

    Raises
    ------
    ValueError
        If the shape is not one of these, a description has no vector, a vector is not
        finite or 0, or two descriptions are the same.
    """
    text = own_tensor(text, torch.float32)
    if text.ndim not in n_axes or len(text) != n_aus:
        forms = {2: f"({n_aus}, d)", 3: f"({n_aus}, n_words, d)"}
        raise ValueError(
            f"text must have one row per AU, shape "
            f"{' or '.join(forms[n] for n in n_axes)}. Got {tuple(text.shape)}; give "
            "the vectors of these AUs only, in their order."
        )
    if text.ndim == 3:
        text[text.isnan().all(dim=-1)] = 0
    if not text.isfinite().all() or not text.flatten(1).any(dim=1).all():
        raise ValueError(
            "Every AU needs at least one finite vector that is not 0; only whole rows "
            "of NaN may fill up descriptions with fewer words. Check the encoder."
        )
    for row, earlier in torch.combinations(torch.arange(n_aus)).flip(1).tolist():
        if torch.equal(text[row], text[earlier]):
            raise ValueError(
                f"Rows {earlier} and {row} of text are the same, and AUs that share a "
                "vector share their predictions. Describe each AU in its own words."
            )
    return text


def cosine_attention(maps, guides, eps=ATTENTION_EPS):
    """Pool feature maps where they are similar to an AU's vectors (eq. 4-6).

    Parameters
    ----------
    maps : Tensor of shape (n, channels, h, w)
        Feature maps V.
    guides : Tensor of shape (n_aus, n_words, channels)
        Vectors w of each AU, one or several; vectors of 0 are ignored.
    eps : float, default=0.01
        Added at every position: an AU without a positive cosine attends to all
        positions equally, and one with tiny cosines does not jump between positions.
        With 0, where the equation divides by 0, the attention is its limit, equal.

    Returns
    -------
    features : Tensor of shape (n, n_aus, channels)
        Equation 6: mean of V, weighted by the attention.
    attention : Tensor of shape (n, n_aus, h, w)
        Equation 5: ReLU of the cosines (equation 4), summed over the AU's words, plus
        `eps`, scaled to sum 1 over the positions.
    """
    flat = maps.flatten(2)
    flat = flat.float() if flat.dtype.itemsize < 4 else flat
    n_aus, n_words = guides.shape[:2]
    unit = F.normalize(guides.flatten(0, 1), dim=-1).to(flat.dtype)
    cosines = (unit @ F.normalize(flat, dim=1)).relu()
    if n_words > 1:
        cosines = cosines.unflatten(1, (n_aus, n_words)).sum(dim=2)
    attention = cosines + eps
    total = attention.sum(dim=-1, keepdim=True)
    nowhere = total == 0
    attention = attention / total.masked_fill(nowhere, 1)
    attention = attention.masked_fill(nowhere, 1 / attention.shape[-1])
    features = attention @ flat.transpose(1, 2)
    return features, attention.unflatten(-1, maps.shape[-2:])


def standardise_(linear, text):
    """Scale and shift a layer as if its input `text` had mean 0 and variance 1."""
    rows = text.flatten(0, -2)
    rows = rows[rows.any(dim=-1)]
    centred = rows - rows.mean(dim=0)
    # One spread for all entries; it is 0, and not used, for a single AU.
    spread = centred.square().mean().sqrt()
    with torch.no_grad():
        linear.weight /= torch.where(spread > 0, spread, 1.0)
        linear.bias -= linear.weight @ rows.mean(dim=0)


class CrossModalityAttention(nn.Module):
    """Project AUs' vectors to the maps' channels, attend, classify all AUs alike.

    Parameters
    ----------
    in_features : int
        Length of an AU's vector.
    channels : int
        Channels of the maps.
    eps : float, default=0.01
        See `cosine_attention`.

    Notes
    -----
    Backbones end in a ReLU. A vector drawn at random therefore has a negative cosine
    with every position for about every second AU, and such an AU would start without a
    map and without a gradient. The bias of the projection starts positive to avoid it;
    after training this start makes no difference.
    """

    def __init__(self, in_features, channels, eps=ATTENTION_EPS):
        super().__init__()
        self.eps = eps
        self.project = nn.Linear(in_features, channels)
        self.classifier = nn.Linear(channels, 1)
        init_xavier_(self)
        nn.init.constant_(self.project.bias, 4 / math.sqrt(channels))

    def forward(self, maps, guides):
        """Return logits (n, n_aus) and attention maps (n, n_aus, h, w)."""
        features, attention = cosine_attention(maps, guides, self.eps)
        return self.classifier(features).squeeze(-1), attention


class SemanticNetwork(nn.Module):
    """Base of networks with a backbone for images and an encoder for vectors of AUs.

    The encoder's output does not depend on images. In evaluation without gradient it is
    computed once and kept until a weight changes, so that prediction costs no more than
    the backbone.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    text : Tensor or None
        What `as_text` returns; None learns vectors.
    backbone, weights
        See `make_backbone`; a named backbone is not cut.
    learned_dim : int
        Length of learned vectors.
    """

    def __init__(
        self,
        n_aus: int,
        text: Tensor | None,
        backbone: str | nn.Module,
        weights: str | Path | None,
        learned_dim: int,
    ) -> None:
        super().__init__()
        self.n_aus = n_aus
        self.backbone = make_backbone(backbone, weights, cut="full")
        if text is None:
            self.text = nn.Parameter(torch.randn(n_aus, learned_dim))
        else:
            self.register_buffer("text", text)
        self._kept = None

    def guides(self) -> Tensor:
        """Return the vectors (n_aus, n_words, channels) that guide the attention."""
        if torch.compiler.is_compiling():
            return self._encode_in_float32()
        if self.training or torch.is_grad_enabled():
            # Keep nothing in training: fused optimisers do not raise tensor._version.
            self._kept = None
            return self._encode_in_float32()
        sources = list(self._sources())
        if any(tensor.is_inference() for tensor in sources):
            return self._encode_in_float32()
        # The stamp changes with every weight: a change in place raises _version.
        stamp = [(tensor.data_ptr(), tensor._version) for tensor in sources]
        if self._kept is None or self._kept[0] != stamp:
            self._kept = stamp, self._encode_in_float32()
        return self._kept[1]

    def _sources(self):
        own = chain(self._parameters.values(), self._buffers.values())
        own = (tensor for tensor in own if tensor is not None)
        parts = [part for name, part in self.named_children() if name != "backbone"]
        return chain(
            own,
            *(part.parameters() for part in parts),
            *(part.buffers() for part in parts),
        )

    def _encode_in_float32(self):
        # Autocast is off, because it would save nothing for a dozen tokens.
        with torch.autocast(self.text.device.type, enabled=False):
            return self._encode()

    def _apply(self, *args, **kwargs):
        self._kept = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self):
        return {**self.__dict__, "_kept": None}

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            Entries of the AUs' vectors and, if there is one, of the graph; all others
            are shared by the AUs.
        """
        return declare_au_axes(self, {"text": (0,), "encoder.graph": (0, 1)})
