"""Transformer encoder over one token per AU that can return its attention weights.

References
----------
Vaswani et al., "Attention is all you need", NeurIPS 2017; Shaw, Uszkoreit and Vaswani,
"Self-attention with relative position representations", NAACL 2018.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from skfau.nn._blocks import init_xavier_, start_low_

__all__ = ["POSITIONAL_ENCODINGS", "RelationEncoder"]

POSITIONAL_ENCODINGS = ("relative", "trigonometric", None)


class _SelfAttention(nn.Module):
    def __init__(self, n_tokens, dim, n_heads, relative, dropout):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        # Each projection has its own fan, though one matrix holds all three.
        for projection in self.qkv.weight.chunk(3):
            nn.init.xavier_uniform_(projection)
        start_low_(self.out)
        self.relative_bias = None
        if relative:
            self.relative_bias = nn.Parameter(torch.zeros(n_heads, 2 * n_tokens - 1))
            place = torch.arange(n_tokens)
            distance = place.unsqueeze(1) - place + n_tokens - 1
            self.register_buffer("distance", distance, persistent=False)

    def _project(self, tokens, seen):
        """Return queries, keys and values (n, heads, n_tokens, dim / heads); bias."""
        parts = self.qkv(tokens).unflatten(-1, (3, self.n_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        bias = None
        if self.relative_bias is not None:
            bias = self.relative_bias[:, self.distance].unsqueeze(0).to(query.dtype)
        if seen is not None:
            bias = 0 if bias is None else bias
            unseen = torch.zeros_like(seen, dtype=query.dtype).masked_fill(
                ~seen, -math.inf
            )
            bias = bias + unseen[:, None, None]
        return query, key, value, bias

    def forward(self, tokens, seen=None):
        query, key, value, bias = self._project(tokens, seen)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=dropout
        )
        return self.out(torch.cat(mixed.unbind(1), dim=-1))

    def weights(self, tokens, seen=None):
        query, key, _, bias = self._project(tokens, seen)
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        if bias is not None:
            scores = scores + bias
        return scores.float().softmax(dim=-1)


class _EncoderLayer(nn.Module):
    def __init__(
        self, n_tokens, dim, n_heads, hidden_dim, relative, dropout, activation
    ):
        super().__init__()
        self.attention = _SelfAttention(n_tokens, dim, n_heads, relative, dropout)
        self.norm1 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = self.norm2 = None
        if hidden_dim:
            self.feed_forward = nn.Sequential(
                nn.Linear(dim, hidden_dim),
                activation(),
                nn.Dropout(dropout),
                nn.Linear(hidden_dim, dim),
            )
            init_xavier_(self.feed_forward)
            start_low_(self.feed_forward[-1])
            self.norm2 = nn.LayerNorm(dim)

    def forward(self, tokens, seen=None):
        tokens = self.norm1(tokens + self.dropout(self.attention(tokens, seen)))
        if self.feed_forward is None:
            return tokens
        return self.norm2(tokens + self.dropout(self.feed_forward(tokens)))


class RelationEncoder(nn.Module):
    """Post-norm transformer encoder over one token per AU.

    Both branches of each layer start low, see `start_low_`.

    Parameters
    ----------
    n_tokens : int
        Number of AUs.
    dim : int
        Length of a token, a multiple of `n_heads`.
    depth : int
        Number of layers.
    n_heads : int
        Attention heads of each layer.
    feed_forward : bool
        Whether layers have their second half, a perceptron.
    positional_encoding : {"relative", "trigonometric"} or None
        ``"relative"`` adds a learned bias per layer, head and difference i - j of
        places to the attention scores, 0 at the start; ``"trigonometric"`` adds the
        sines and cosines of Vaswani et al. to the tokens.
    dropout : float
        Of attention weights, of the perceptron and of both residual branches.
    feed_forward_dim : int or None, default=None
        Width of the perceptron; None is ``4 * dim``.
    activation : type, default=nn.ReLU
        Module between its two layers.
    """

    def __init__(
        self,
        n_tokens,
        dim,
        depth,
        n_heads,
        feed_forward,
        positional_encoding,
        dropout,
        *,
        feed_forward_dim=None,
        activation=nn.ReLU,
    ):
        super().__init__()
        relative = positional_encoding == "relative"
        hidden_dim = (feed_forward_dim or 4 * dim) if feed_forward else 0
        self.layers = nn.ModuleList(
            _EncoderLayer(
                n_tokens, dim, n_heads, hidden_dim, relative, dropout, activation
            )
            for _ in range(depth)
        )
        places = None
        if positional_encoding == "trigonometric":
            places = _sines_and_cosines(n_tokens, dim)
        self.register_buffer("places", places, persistent=False)

    def forward(self, tokens, seen=None):
        """Map (n, n_tokens, dim) to tokens of the same shape.

        `seen`, bool (n, n_tokens), marks the tokens that may be attended to; None: all.
        """
        tokens = self._place(tokens)
        for layer in self.layers:
            tokens = layer(tokens, seen)
        return tokens

    def relations(self, tokens, seen=None):
        """Return attention weights, (n, depth, n_heads, n_tokens, n_tokens)."""
        tokens, weights = self._place(tokens), []
        for layer in self.layers:
            weights.append(layer.attention.weights(tokens, seen))
            tokens = layer(tokens, seen)
        return torch.stack(weights, dim=1)

    def _place(self, tokens):
        return tokens if self.places is None else tokens + self.places


def _sines_and_cosines(n_tokens, dim):
    place = torch.arange(n_tokens, dtype=torch.float32).unsqueeze(1)
    column = torch.arange(dim)
    angle = place / 10000 ** (2 * (column // 2) / dim)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())
