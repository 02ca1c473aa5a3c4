"""FAU-Transformer, the network of Jacob and Stenger (CVPR 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from skfau.nn._backbones import make_backbone
from skfau.nn._blocks import PerAULinear, conv_norm_relu, init_xavier_
from skfau.nn._encoder import POSITIONAL_ENCODINGS, RelationEncoder
from skfau.nn._gated_conv import GatedConv2d
from skfau.nn._transfer import declare_au_axes

__all__ = ["FAUTransformer"]


class _AttentionBranch(nn.Module):
    """Predict one map and one logit per AU from the backbone's maps (section 3.2)."""

    def __init__(self, n_aus, in_channels, channels):
        super().__init__()
        channels = channels or min(256, in_channels)
        self.features = nn.Sequential(
            conv_norm_relu(in_channels, channels, 3),
            conv_norm_relu(channels, channels, 3),
        )
        self.to_aus = conv_norm_relu(channels, n_aus, 1)
        self.map_head = nn.Sequential(
            nn.Conv2d(n_aus, n_aus, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_aus),
            nn.Sigmoid(),
        )
        self.classifier = nn.Linear(n_aus, n_aus)
        # Maps start low, as most of a face is outside of an AU's region: maps that
        # start at one half would take hundreds of steps to fall.
        nn.init.constant_(self.map_head[1].bias, -2.5)

    def forward(self, maps):
        """Return attention maps (n, n_aus, h, w) in [0, 1] and logits (n, n_aus)."""
        per_au = self.to_aus(self.features(maps))
        # Pooling comes first: equal to a 1x1 convolution and then pooling, but cheaper.
        return self.map_head(per_au), self.classifier(per_au.mean(dim=(2, 3)))


# Side of the grid that an AU's maps are pooled to before its fully connected layer.
_GRID = 6


class _EmbeddingBranches(nn.Module):
    """Embed the backbone's maps by separate layers for each AU (section 3.3).

    The fully connected layer knows positions in the aligned face, as in section 3.3;
    pooling to a coarse grid first limits its size.
    """

    def __init__(self, n_aus, in_channels, channels, embedding_dim):
        super().__init__()
        wide, narrow = channels
        self.n_aus = n_aus
        self.gated = GatedConv2d(n_aus, in_channels, wide)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(n_aus * wide),
            nn.ReLU(inplace=True),
            conv_norm_relu(n_aus * wide, n_aus * wide, 3, groups=n_aus),
            conv_norm_relu(n_aus * wide, n_aus * narrow, 1, groups=n_aus),
        )
        self.embed = PerAULinear(n_aus, narrow * _GRID**2, embedding_dim)

    def forward(self, maps, gates=None):
        """Return embeddings (n, n_aus, embedding_dim)."""
        maps = F.adaptive_avg_pool2d(self.layers(self.gated(maps, gates)), _GRID)
        return self.embed(maps.unflatten(1, (self.n_aus, -1)).flatten(2))


def _check_encoder(encoder_layers, embedding_dim, n_heads, positional_encoding):
    if encoder_layers and embedding_dim % n_heads:
        raise ValueError(
            "embedding_dim must be a multiple of n_heads. Got embedding_dim="
            f"{embedding_dim}, n_heads={n_heads}."
        )
    if positional_encoding not in POSITIONAL_ENCODINGS:
        raise ValueError(
            f"positional_encoding must be one of {POSITIONAL_ENCODINGS}. Got "
            f"{positional_encoding!r}."
        )


class FAUTransformer(nn.Module):
    """AU detection by attention maps, a branch per AU and a transformer encoder [1]_.

    A backbone gives feature maps. The attention branch predicts a map per AU and first
    logits. Each AU has its own branch, which embeds the features weighted by
    ``1 + map``. A transformer encoder relates the embeddings, and a perceptron turns
    all of them into the final logits.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    backbone : str or nn.Module, default='inception_v3'
        Backbone by name, or a module that maps images to feature maps. See
        `make_backbone`.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of a named backbone.
    backbone_cut : {"12x12", "full"}, default='12x12'
        Where a named backbone ends, see `make_backbone`: after its last maps of at
        least 12x12 for 224 px images (section 3.1), or whole, as "just the
        InceptionV3" of Table 4.
    embedding_dim : int, default=128
        Length of an AU's embedding.
    branch_channels : (int, int) or None, default=None
        Channels of the 3x3 and of the 1x1 convolutions of an AU's branch. None is
        (128, 64), at most a quarter of the backbone's channels.
    attention_channels : int or None, default=None
        Channels of the attention branch's 3x3 convolutions. None is 256, at most the
        backbone's channels.
    multi_task : bool, default=True
        One branch per AU. False is the plain CNN of the paper's Table 4: backbone,
        global average pooling and one linear layer. It needs ``attention=False`` and
        ``encoder_layers=0``.
    attention : bool, default=True
        Attention branch; without it the AUs' branches see the backbone's maps
        unweighted.
    encoder_layers : int, default=3
        Depth of the transformer encoder; with 0 the embeddings go to the classifier.
    n_heads : int, default=8
        Attention heads per layer; a divisor of `embedding_dim`.
    feed_forward : bool, default=True
        Whether the encoder's layers have their feed-forward half.
    positional_encoding : {"relative", "trigonometric"} or None, default='relative'
        How the encoder knows the place of an AU: a learned bias on attention scores
        per layer, head and difference of places; fixed sines and cosines; not at all.
    dropout : float, default=0.1
        Dropout rate of the encoder.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    backbone : nn.Module
        The backbone.
    head : nn.Module
        Turns what `forward_features` returns into logits.

    Raises
    ------
    ValueError
        If a parameter has an unknown value or two do not go together.

    Notes
    -----
    The paper gives neither widths nor the number of layers of its branches, heads,
    dropout or the kind of relative encoding; these are ours: two 3x3 convolutions and
    a 1x1 convolution, each with batch norm and ReLU, pooling to a grid of 6x6 and a
    linear layer over it per AU; in the attention branch, as in Attention Branch
    Networks, two 3x3 convolutions, a 1x1 convolution to one
    channel per AU, and from there a 3x3 convolution to the maps and a 1x1 convolution
    to the logits. The classifier's two linear layers see all tokens at once (hidden
    width 256). New layers start from Xavier's distribution, biases and relative biases
    from 0; the maps start low, at 0.08. The last layers of the encoder's branches start
    at a tenth of Xavier's distribution: an encoder that begins by mixing the AUs at
    random makes the network worse than none (mean AUC of 13 AUs, 2,400 rendered faces,
    two epochs from ``weights="rendered"``: 0.84; without encoder 0.89; as it is 0.89).

    Channels follow the backbone's, so that small backbones stay quick. "All other
    components remain unchanged" (section 4.2) where `branch_channels` and
    `attention_channels` are given.

    The branches of all AUs run side by side in grouped layers. Maps may have any size.

    References
    ----------
    .. [1] G. M. Jacob and B. Stenger, "Facial action unit detection with
       transformers", CVPR 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import FAUTransformer
    >>> network = FAUTransformer(12, backbone="tiny").eval()
    >>> logits, aux = network(torch.zeros(2, 3, 112, 112))
    >>> logits.shape
    torch.Size([2, 12])
    >>> aux["attention_maps"].shape, aux["embeddings"].shape
    (torch.Size([2, 12, 14, 14]), torch.Size([2, 12, 128]))
    """

    def __init__(
        self,
        n_aus: int,
        backbone: str | nn.Module = "inception_v3",
        weights: str | Path | None = None,
        *,
        backbone_cut: Literal["12x12", "full"] = "12x12",
        embedding_dim: int = 128,
        branch_channels: tuple[int, int] | None = None,
        attention_channels: int | None = None,
        multi_task: bool = True,
        attention: bool = True,
        encoder_layers: int = 3,
        n_heads: int = 8,
        feed_forward: bool = True,
        positional_encoding: Literal["relative", "trigonometric"] | None = "relative",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not multi_task and (attention or encoder_layers):
            raise ValueError(
                "multi_task=False is the plain CNN, without attention branch and "
                f"encoder. Got attention={attention}, encoder_layers={encoder_layers}; "
                "pass attention=False and encoder_layers=0 with it."
            )
        _check_encoder(encoder_layers, embedding_dim, n_heads, positional_encoding)
        self.n_aus = n_aus
        self.backbone = make_backbone(backbone, weights, cut=backbone_cut)
        channels = self.backbone.out_channels
        self.attention = self.branches = self.encoder = None
        if attention:
            self.attention = _AttentionBranch(n_aus, channels, attention_channels)
            init_xavier_(self.attention)
        if multi_task:
            if branch_channels is None:
                branch_channels = (min(128, channels // 4), min(64, channels // 4))
            self.branches = _EmbeddingBranches(
                n_aus, channels, branch_channels, embedding_dim
            )
            init_xavier_(self.branches)
        if encoder_layers:
            self.encoder = RelationEncoder(
                n_aus,
                embedding_dim,
                encoder_layers,
                n_heads,
                feed_forward,
                positional_encoding,
                dropout,
            )
        self.head = nn.Linear(channels, n_aus)
        if multi_task:
            self.head = nn.Sequential(
                nn.Flatten(),
                nn.Linear(n_aus * embedding_dim, 256),
                nn.ReLU(),
                nn.Linear(256, n_aus),
            )
        init_xavier_(self.head)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return the classifier's logits and what the loss and inspection need.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``. For the
            paper's setting repeat a grey image three times.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        aux : dict
            ``"embeddings"`` (n, n_aus, embedding_dim), unless ``multi_task=False``;
            with attention also ``"attention_maps"`` (n, n_aus, h, w) in [0, 1] and
            ``"attention_logits"`` (n, n_aus).
        """
        features, aux = self.forward_features(images)
        return self.head(features), aux

    def forward_features(self, images: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return the input of the head, and `aux` as `forward` does.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            As for `forward`.

        Returns
        -------
        features : Tensor of shape (n, n_aus, embedding_dim)
            Encoded embeddings; with ``multi_task=False`` the backbone's pooled maps
            (n, channels).
        aux : dict
            See `forward`.
        """
        if self.branches is None:
            return self.backbone(images).mean(dim=(2, 3)), {}
        aux = self._embed(images)
        if self.encoder is None:
            return aux["embeddings"], aux
        return self.encoder(aux["embeddings"]), aux

    def _embed(self, images):
        maps, aux = self.backbone(images), {}
        if self.attention is not None:
            gates, logits = self.attention(maps)
            aux = {"attention_maps": gates, "attention_logits": logits}
        aux["embeddings"] = self.branches(maps, aux.get("attention_maps"))
        return aux

    def relations(self, images: Tensor) -> Tensor:
        """Return how much the AUs' tokens attend to each other in the encoder.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            As for `forward`.

        Returns
        -------
        relations : Tensor of shape (n, encoder_layers, n_heads, n_aus, n_aus)
            Attention weights of AU i (fourth axis) to AU j (last axis), float32;
            they sum to 1 over the last axis.

        Raises
        ------
        ValueError
            If the network has no encoder.
        """
        if self.encoder is None:
            raise ValueError(
                "Relations are the encoder's attention weights. This network has none: "
                "build it with encoder_layers of at least 1."
            )
        return self.encoder.relations(self._embed(images)["embeddings"])

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            Entry name and the axes along which the AUs' equal blocks follow each
            other. Entries without AUs are absent, and so are the relative biases,
            which belong to differences of places.
        """
        if self.branches is None:
            return declare_au_axes(self, {"head": (0,)})
        layers = {
            "branches": (0,),
            "head.1.weight": (1,),
            "head.3": (0,),
            "attention.to_aus": (0,),
            "attention.map_head": (0, 1),
            "attention.classifier": (0, 1),
        }
        return declare_au_axes(self, layers)
