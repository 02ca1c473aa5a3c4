"""SEV-Net, the network of Yang, Yin, Zhou and Gu (CVPR 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.nn._blocks import init_xavier_
from skfau.nn._encoder import RelationEncoder
from skfau.nn._semantic import (
    ATTENTION_EPS,
    CrossModalityAttention,
    SemanticNetwork,
    as_text,
    standardise_,
)

__all__ = ["SEVNet"]


class SEVNet(SemanticNetwork):
    """AU detection guided by what the AUs' descriptions mean (SEV-Net) [1]_.

    A frozen sentence encoder has turned each AU's description into a vector. A
    transformer encoder relates these vectors (Inter-AU attention). Each vector then
    attends to the positions of the image's feature maps by its cosine with them. One
    linear layer, shared by all AUs, classifies the attended features.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    text : array-like of shape (n_aus, d) or (n_aus, n_words, d), default=None
        Vectors of the descriptions: one each, the mean over a sentence's words, or
        one per word, rows of NaN filling up shorter sentences. None learns a vector
        per AU from the labels, the network without text.
    backbone : str or nn.Module, default='resnet18'
        Backbone by name, up to its last maps, or a module that maps images to feature
        maps. See `make_backbone`.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of a named backbone.
    encoder_layers : int, default=2
        Depth of the Inter-AU encoder. With 0 one linear layer leads from the
        descriptions' vectors to the maps.
    n_heads : int, default=6
        Attention heads of each layer; a divisor of `hidden_dim`.
    hidden_dim : int, default=768
        Width of the Inter-AU encoder.
    feed_forward_dim : int, default=1024
        Width of the perceptron in its layers.
    dropout : float, default=0.0
        Dropout rate of the encoder; not published. One mask hits all faces of a batch.
    attention_eps : float, default=0.01
        Added to the cosines in equation 5, at least 0; 0 is as printed.
    context : array-like of shape (n, d) or (n, n_words, d), default=None
        Vectors of more descriptions, in the form of `text`, of AUs without an output:
        the encoder relates all AUs.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    text, context : Tensor
        The vectors, in the state dict; absent words are 0. `context` may be None.
    backbone : nn.Module
        The backbone.

    Raises
    ------
    ValueError
        If `text` or `context` does not fit, see above, two AUs have the same vectors,
        `hidden_dim` is no multiple of `n_heads`, or there is a `context` without text
        or without an encoder.

    Notes
    -----
    The paper's sizes do not divide ("hidden size 1024, 6 heads", output 768). Here a
    linear layer takes the text (1024 for BERT-large, 384 for the matrix that comes with
    this library) to 768; there are six heads of 128, and a perceptron of 1024 with
    GELU; a second linear layer leads to the backbone's channels (512), as in the paper.
    That is 9.06 million weights for text of 1024, beside the 11.18 million of
    ResNet-18. AUs are a set: there is no positional encoding. Projections of the
    self-attention have no biases. The last layers of the encoder's branches start at a
    tenth of Xavier's distribution, as in `FAUTransformer`.

    A vector per word is our reading of attention at the level of words: the encoder
    relates all words of all AUs, each word attends to the maps, and an AU's map is the
    mean over its words, scaled to sum 1. With one word per AU this is the attention at
    the level of sentences, as in the paper.

    Two initialisations are ours. The first linear layer (without an encoder the only
    one) starts so that its outputs for the given vectors have mean 0 over the AUs, as
    if the vectors had variance 1: all descriptions speak of a face, and what they share
    would hide what differs. The bias of the last one starts positive: backbones end in
    a ReLU, so that a vector drawn at random has no positive cosine anywhere for about
    every second AU. Equation 5 divides by 0 there; we add `attention_eps` at every
    position, and an AU without a positive cosine attends to all positions equally. With
    ``attention_eps=0`` it does so, too, the limit of the equation.

    The paper says of the number of descriptions, N_S, that it is 15, and that it is the
    number of AUs trained, 12 or 8. The first reading is the second with a `context` of
    the other descriptions.

    References
    ----------
    .. [1] H. Yang, L. Yin, Y. Zhou and J. Gu, "Exploiting semantic embedding and
       visual feature for facial action unit detection", CVPR 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import SEVNet
    >>> text = torch.randn(12, 384, generator=torch.Generator().manual_seed(0))
    >>> network = SEVNet(12, text, backbone="tiny").eval()
    >>> logits, aux = network(torch.zeros(2, 3, 112, 112))
    >>> logits.shape, aux["attention_maps"].shape
    (torch.Size([2, 12]), torch.Size([2, 12, 7, 7]))
    """

    def __init__(
        self,
        n_aus: int,
        text: ArrayLike | None = None,
        backbone: str | nn.Module = "resnet18",
        weights: str | Path | None = None,
        *,
        encoder_layers: int = 2,
        n_heads: int = 6,
        hidden_dim: int = 768,
        feed_forward_dim: int = 1024,
        dropout: float = 0.0,
        attention_eps: float = ATTENTION_EPS,
        context: ArrayLike | None = None,
    ) -> None:
        if encoder_layers and hidden_dim % n_heads:
            raise ValueError(
                "hidden_dim must be a multiple of n_heads. Got hidden_dim="
                f"{hidden_dim}, n_heads={n_heads}."
            )
        if context is not None and (text is None or not encoder_layers):
            raise ValueError(
                "context joins the descriptions of the AUs in the encoder. Pass text, "
                f"and encoder_layers of at least 1. Got encoder_layers={encoder_layers}"
                f"{' and no text' if text is None else ''}."
            )
        described = None if text is None else _as_texts(text, n_aus, context)
        text, context = described or (None, None)
        super().__init__(n_aus, text, backbone, weights, hidden_dim)
        self.register_buffer("context", context)
        in_features = self.text.shape[-1]
        self.embed = self.encoder = None
        if encoder_layers:
            self.embed = nn.Linear(in_features, hidden_dim)
            init_xavier_(self.embed)
            if text is not None:
                standardise_(self.embed, self._tokens())
            self.encoder = RelationEncoder(
                n_aus,  # tokens have no places, so that more of them may come
                hidden_dim,
                encoder_layers,
                n_heads,
                feed_forward=True,
                positional_encoding=None,
                dropout=dropout,
                feed_forward_dim=feed_forward_dim,
                activation=nn.GELU,
            )
            in_features = hidden_dim
        self.attention = CrossModalityAttention(
            in_features, self.backbone.out_channels, attention_eps
        )
        if text is not None and not encoder_layers:
            standardise_(self.attention.project, self.text)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return logits and attention maps.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        aux : dict
            ``"attention_maps"`` (n, n_aus, h, w), each of sum 1 (equation 5).
        """
        logits, maps = self.attention(self.backbone(images), self.guides())
        return logits, {"attention_maps": maps}

    def guides_of(self, text: ArrayLike) -> Tensor:
        """Return the guiding vectors of AUs that this network was not built for.

        Each new AU enters the encoder with the network's own AUs and its context but
        without the other new ones, so that its vectors do not depend on them. It takes
        the place of a description of the context that has the same vectors.

        Parameters
        ----------
        text : array-like of shape (n_new, d) or (n_new, n_words, d)
            As in the constructor, of the same width d.

        Returns
        -------
        guides : Tensor of shape (n_new, n_words, channels)
            For ``attention(maps, guides)``; `n_words` is 1 for sentences.

        Raises
        ------
        ValueError
            If `text` does not fit or has another width.
        """
        new = _words(as_text(text, len(text)).to(self.text))
        own = _words(self.text)
        if new.shape[-1] != own.shape[-1]:
            raise ValueError(
                f"text must be {own.shape[-1]} wide, like that of the network's own "
                f"AUs. Got {new.shape[-1]}; use the same sentence encoder."
            )
        own = own.flatten(0, 1).unsqueeze(0).expand(len(new), -1, -1)
        joint = torch.cat([own, *self._context_beside(new), new], dim=1)
        return self._relate(joint)[:, -new.shape[1] :]

    def _context_beside(self, new):
        """Return the context's tokens for every new AU, 0 where they are its own."""
        if self.context is None:
            return []
        context = _words(self.context)
        n_words = max(context.shape[1], new.shape[1])
        here, there = (
            F.pad(words, (0, 0, 0, n_words - words.shape[1]))
            for words in (context, new)
        )
        same = (here == there.unsqueeze(1)).flatten(2).all(dim=-1)
        beside = context.expand(len(new), *context.shape)
        return [beside.masked_fill(same[..., None, None], 0).flatten(1, 2)]

    def relations(self) -> Tensor:
        """Return how much the AUs attend to each other in the Inter-AU encoder.

        Returns
        -------
        relations : Tensor of shape (encoder_layers, n_heads, n_aus, n_aus)
            Attention weights of AU i (third axis) to AU j; they sum to 1 over the
            last axis, with a `context` to less: the rest is for its AUs. With several
            words per AU, they are summed over the words of j and averaged over those
            of i. They do not depend on images.

        Raises
        ------
        ValueError
            If the network has no encoder.
        """
        if self.encoder is None:
            raise ValueError(
                "Relations are the Inter-AU encoder's attention weights. This network "
                "has none: build it with encoder_layers of at least 1."
            )
        words, tokens = _words(self.text), self._tokens()
        seen, n_own = _seen(tokens), len(words.flatten(0, 1))
        weights = self.encoder.relations(self.embed(tokens), seen)[0]
        weights, seen = weights[..., :n_own, :n_own], seen[:, :n_own]
        by_au = weights.unflatten(-1, words.shape[:2]).sum(dim=-1)
        share = seen.view(words.shape[:2]).to(by_au)
        share = share / share.sum(dim=1, keepdim=True)
        by_au = by_au.unflatten(-2, words.shape[:2])
        return (by_au * share.unsqueeze(-1)).sum(dim=-2)

    def text_parts(self) -> tuple[str, ...]:
        """Return which submodules see the AUs' vectors and no image.

        Returns
        -------
        names : tuple of str
        """
        encoder = ("embed", "encoder") if self.encoder is not None else ()
        return (*encoder, "attention.project")

    def _encode(self):
        shape = _words(self.text).shape[:2]
        guides = self._relate(self._tokens())[0]
        return guides[: shape.numel()].unflatten(0, shape)

    def _tokens(self):
        """Return the vectors of all descriptions, those of the AUs first, (1, n, d)."""
        texts = [self.text] if self.context is None else [self.text, self.context]
        tokens = [_words(text).flatten(0, 1) for text in texts]
        return torch.cat(tokens).unsqueeze(0)

    def _relate(self, tokens):
        """Map texts (n, n_tokens, d) to guides (n, n_tokens, channels)."""
        seen = _seen(tokens)
        if self.encoder is not None:
            tokens = self.encoder(self.embed(tokens), seen)
        return self.attention.project(tokens) * seen.unsqueeze(-1)


def _as_texts(text, n_aus, context):
    """Return the vectors of AUs and of the context, checked together."""
    text = as_text(text, n_aus)
    if context is None:
        return text, None
    context = as_text(context, len(context))
    if text.ndim != context.ndim or text.shape[-1] != context.shape[-1]:
        raise ValueError(
            "context must have the form of text, of the same encoder. Got "
            f"{tuple(context.shape)} beside {tuple(text.shape)}."
        )
    return text, context


def _words(text):
    """Return text as (n_aus, n_words, d); a sentence is one word."""
    return text if text.ndim == 3 else text.unsqueeze(1)


def _seen(tokens):
    """Return which tokens are no padding (0), bool (n, n_tokens)."""
    return (tokens != 0).any(dim=-1)
