"""Multi-label transformer, the network of Tallec, Yvinec, Dapogny and Bailly (2022)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from skfau.nn._backbones import feature_map_size, make_backbone
from skfau.nn._blocks import PerAULinear, init_xavier_, start_low_
from skfau.nn._transfer import declare_au_axes

__all__ = ["MultiLabelTransformer"]

DECODERS = ("paper", "released")
HEADS = ("shared", "per_label")


class _Residual(nn.Module):
    """Dropout of a branch, sum, layer norm: the frame of equations 5 to 7."""

    def __init__(self, dim, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def add(self, tokens, branch):
        return self.norm(tokens + self.dropout(branch))


class _Attention(_Residual):
    """Multi-head attention of tokens to themselves or to others (equations 1 to 3)."""

    def __init__(self, dim, n_heads, dropout):
        super().__init__(dim, dropout)
        self.attention = nn.MultiheadAttention(dim, n_heads, batch_first=True)
        # Each projection has its own fan, though one matrix holds all three.
        for projection in self.attention.in_proj_weight.chunk(3):
            nn.init.xavier_uniform_(projection)
        start_low_(self.attention.out_proj)

    def forward(self, tokens, others=None, weights=None):
        """Return the tokens after attention; append its weights to a list `weights`."""
        others = tokens if others is None else others
        branch, shares = self.attention(
            tokens,
            others,
            others,
            need_weights=weights is not None,
            average_attn_weights=False,
        )
        if weights is not None:
            weights.append(shares.float())
        return self.add(tokens, branch)


class _Perceptron(_Residual):
    """Two layers with dropout after each (equation 4), and once more for the sum."""

    def __init__(self, dim, hidden_dim, dropout):
        super().__init__(dim, dropout)
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, dim),
            nn.Dropout(dropout),
        )
        init_xavier_(self.layers)
        start_low_(self.layers[3])

    def forward(self, tokens):
        return self.add(tokens, self.layers(tokens))


class _PatchLayer(nn.Module):
    def __init__(self, dim, n_heads, hidden_dim, dropout):
        super().__init__()
        self.attend = _Attention(dim, n_heads, dropout)
        self.perceptron = _Perceptron(dim, hidden_dim, dropout)

    def forward(self, tokens):
        return self.perceptron(self.attend(tokens))


class _DecoderLayer(nn.Module):
    """AU tokens attend to each other, then to the patches.

    One perceptron ends the layer of the paper; in the released one each of the two
    attentions has its own.
    """

    def __init__(self, dim, n_heads, hidden_dim, dropout, released):
        super().__init__()
        self.to_tokens = _Attention(dim, n_heads, dropout)
        self.between = _Perceptron(dim, hidden_dim, dropout) if released else None
        self.to_patches = _Attention(dim, n_heads, dropout)
        self.perceptron = _Perceptron(dim, hidden_dim, dropout)

    def forward(self, tokens, patches, relations=None, maps=None):
        tokens = self.to_tokens(tokens, weights=relations)
        if self.between is not None:
            tokens = self.between(tokens)
        return self.perceptron(self.to_patches(tokens, patches, maps))


class _Table(nn.Module):
    """A learned vector per place: a dense layer of one-hot places, with its bias."""

    def __init__(self, n_places, dim, std):
        super().__init__()
        self.weight = nn.Parameter(std * torch.randn(n_places, dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self):
        return self.weight + self.bias


class _PatchEncoder(nn.Module):
    def __init__(self, in_channels, grid, dim, depth, n_heads, hidden_dim, dropout):
        super().__init__()
        self.grid = tuple(grid)
        self.embed = nn.Conv2d(in_channels, dim, 1)
        init_xavier_(self.embed)
        self.positions = _Table(grid[0] * grid[1], dim, 0.02)
        self.layers = nn.Sequential(
            *(_PatchLayer(dim, n_heads, hidden_dim, dropout) for _ in range(depth))
        )

    def forward(self, maps):
        if tuple(maps.shape[-2:]) != self.grid:
            raise ValueError(
                "The network learned positions for {}x{} patches. These images give "
                "{}x{}; build it with the image_size that they have.".format(
                    *self.grid, *maps.shape[-2:]
                )
            )
        patches = self.embed(maps).flatten(2).transpose(1, 2)
        return self.layers(patches + self.positions())


class _LabelDecoder(nn.Module):
    def __init__(self, n_aus, dim, depth, n_heads, hidden_dim, dropout, form, head):
        super().__init__()
        self.tokens = _Table(n_aus, dim, 1.0)
        released = form == "released"
        self.layers = nn.ModuleList(
            _DecoderLayer(dim, n_heads, hidden_dim, dropout, released)
            for _ in range(depth)
        )
        if head == "shared":
            self.head = nn.Linear(dim, 1)
            init_xavier_(self.head)
        else:
            self.head = PerAULinear(n_aus, dim, 1)

    def forward(self, patches, relations=None, maps=None):
        tokens = self.tokens().expand(patches.shape[0], -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, patches, relations, maps)
        return self.head(tokens).squeeze(-1)


class MultiLabelTransformer(nn.Module):
    """AU detection by a learned token per AU that attends to image patches [1]_.

    Every position of a backbone's last maps is a patch token. Self-attention relates
    the patches. Then the AUs' tokens attend to each other and to the patches, layer by
    layer, and a linear layer turns each AU's token into its logit.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    backbone : str or nn.Module, default='inception_v3'
        Backbone by name, whole, or a module that maps images to feature maps. See
        `make_backbone`.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of a named backbone.
    image_size : int or (int, int), default=299
        Height and width of the images, pixels: it decides how many patches there are
        (8x8 from Inception-v3 at 299), each with a learned position.
    embedding_dim : int, default=128
        Length of a token, a multiple of `n_heads`.
    encoder_layers : int, default=1
        Layers of self-attention between patches; 0 leaves them out.
    decoder_layers : int, default=2
        Layers of the decoder, at least 1.
    n_heads : int, default=8
        Attention heads of every layer.
    feed_forward_dim : int or None, default=None
        Width of the perceptrons; None is ``4 * embedding_dim``.
    decoder : {"paper", "released"}, default='paper'
        Layers of equations 5 to 7, with one perceptron at the end, or those of the
        authors' code, with one after each attention.
    head : {"shared", "per_label"}, default='shared'
        One linear layer for all AUs (equation 8), or one per AU.
    dropout : float, default=0.1
        Of all residual branches and of the perceptrons' two layers.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    backbone : nn.Module
        The backbone.
    encoder : nn.Module
        From the backbone's maps to patch tokens (n, h * w, embedding_dim);
        ``encoder.grid`` is (h, w).
    decoder : nn.Module
        From patch tokens to logits.

    Raises
    ------
    ValueError
        If a parameter has an unknown value, or two do not go together.

    Notes
    -----
    The paper's sections on the patches (3.2.1) and on the experiments (4) are empty:
    sizes, positions and the encoder are those of the authors' code. As there, tokens
    and positions are dense layers of one-hot vectors, each with a bias that all entries
    share. Outside the backbone the released form has 1,263,745
    parameters for 12 AUs and Inception-v3 at 299 pixels.

    The last layers of the residual branches start at a tenth of Xavier's distribution,
    which is that of the authors' code: tokens that are mixed at random at first learn
    slower (mean AUC of 13 AUs, 2,400 rendered faces, two epochs from
    ``weights="rendered"``: 0.87 and 0.88).

    References
    ----------
    .. [1] G. Tallec, E. Yvinec, A. Dapogny and K. Bailly, "Multi-label classification
       with transformers for action unit detection", 2022.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import MultiLabelTransformer
    >>> network = MultiLabelTransformer(12, backbone="tiny", image_size=112).eval()
    >>> images = torch.zeros(2, 3, 112, 112)
    >>> network(images).shape
    torch.Size([2, 12])
    >>> network.attention_maps(images).shape
    torch.Size([2, 2, 8, 12, 7, 7])
    """

    def __init__(
        self,
        n_aus: int,
        backbone: str | nn.Module = "inception_v3",
        weights: str | Path | None = None,
        *,
        image_size: int | tuple[int, int] = 299,
        embedding_dim: int = 128,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        n_heads: int = 8,
        feed_forward_dim: int | None = None,
        decoder: Literal["paper", "released"] = "paper",
        head: Literal["shared", "per_label"] = "shared",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        _check_choice("decoder", decoder, DECODERS)
        _check_choice("head", head, HEADS)
        _check_sizes(embedding_dim, n_heads, decoder_layers)
        self.n_aus = n_aus
        self.backbone = make_backbone(backbone, weights, cut="full")
        hidden_dim = feed_forward_dim or 4 * embedding_dim
        shape = n_heads, hidden_dim, dropout
        self.encoder = _PatchEncoder(
            self.backbone.out_channels,
            feature_map_size(self.backbone, image_size),
            embedding_dim,
            encoder_layers,
            *shape,
        )
        self.decoder = _LabelDecoder(
            n_aus, embedding_dim, decoder_layers, *shape, decoder, head
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``; of the
            size that the network was built for.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        """
        return self.decoder(self.encoder(self.backbone(images)))

    def attention_maps(self, images: Tensor) -> Tensor:
        """Return how much each AU's token attends to each patch.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            As for `forward`.

        Returns
        -------
        maps : Tensor of shape (n, decoder_layers, n_heads, n_aus, h, w)
            Attention weights of equation 6, float32; each map has sum 1.
        """
        maps = []
        self.decoder(self.encoder(self.backbone(images)), maps=maps)
        return torch.stack(maps, dim=1).unflatten(-1, self.encoder.grid)

    def relations(self, images: Tensor) -> Tensor:
        """Return how much the AUs' tokens attend to each other.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            As for `forward`.

        Returns
        -------
        relations : Tensor of shape (n, decoder_layers, n_heads, n_aus, n_aus)
            Attention weights of equation 5, AU i (fourth axis) to AU j (last axis),
            float32; they sum to 1 over the last axis. In the first layer, which has
            not seen the image, they are the same for all images.
        """
        relations = []
        self.decoder(self.encoder(self.backbone(images)), relations=relations)
        return torch.stack(relations, dim=1)

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            The tokens, and the heads where each AU has its own. All else is shared.
        """
        layers = {"decoder.tokens.weight": (0,)}
        if isinstance(self.decoder.head, PerAULinear):
            layers["decoder.head"] = (0,)
        return declare_au_axes(self, layers)


def _check_choice(name, value, known):
    if value not in known:
        raise ValueError(f"{name} must be one of {known}. Got {value!r}.")


def _check_sizes(embedding_dim, n_heads, decoder_layers):
    if embedding_dim % n_heads:
        raise ValueError(
            "embedding_dim must be a multiple of n_heads. Got embedding_dim="
            f"{embedding_dim}, n_heads={n_heads}."
        )
    if decoder_layers < 1:
        raise ValueError(
            "decoder_layers must be at least 1: without it the tokens never see the "
            f"image. Got {decoder_layers}."
        )
