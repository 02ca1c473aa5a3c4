"""MEGraph, the network of Luo, Song, Xie, Shen and Gunes (IJCAI 2022)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skfau.nn._backbones import make_backbone
from skfau.nn._blocks import conv_norm_relu, init_xavier_
from skfau.nn._transfer import declare_au_axes

__all__ = ["MEGraph"]

# Classes of a pair of AUs: neither, the second, the first, both.
_PATTERNS = 4
# Nearest that a probability comes to 0 and 1: logits stay finite.
_EPS = 1e-4


class _RowNorm(nn.BatchNorm1d):
    """Batch norm of the last axis, over all others; a single row has no variance."""

    def forward(self, values):
        rows = values.flatten(0, -2)
        rows = F.batch_norm(
            rows,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training and len(rows) > 1,
            self.momentum,
            self.eps,
        )
        return rows.reshape(values.shape)


class _NeighbourGraph(nn.Module):
    """A graph convolution over each AU's nearest AUs (FGG)."""

    def __init__(self, dim, n_neighbors):
        super().__init__()
        self.n_neighbors = n_neighbors
        self.own = nn.Linear(dim, dim)
        self.others = nn.Linear(dim, dim)
        self.norm = _RowNorm(dim)

    def forward(self, nodes):
        messages = self.adjacency(nodes) @ self.others(nodes)
        return F.relu(nodes + self.norm(self.own(nodes) + messages))

    def adjacency(self, nodes):
        """Return (n, n_aus, n_aus): 1 / K where AU j is among the K nearest of AU i."""
        n_aus = nodes.shape[1]
        n_neighbors = min(self.n_neighbors, n_aus - 1)
        itself = torch.eye(n_aus, dtype=torch.bool, device=nodes.device)
        similarity = (nodes @ nodes.transpose(1, 2)).masked_fill(itself, -math.inf)
        nearest = similarity.topk(n_neighbors, dim=-1).indices
        joined = torch.zeros_like(similarity).scatter(-1, nearest, 1.0)
        return joined / max(n_neighbors, 1)


class _CrossAttention(nn.Module):
    """Softmax(Q K' / sqrt(d)) V of one set of positions with another."""

    def __init__(self, dim):
        super().__init__()
        self.query = nn.Linear(dim, dim // 2)
        self.key = nn.Linear(dim, dim // 2)
        self.value = nn.Linear(dim, dim)

    def scores(self, queries, others):
        """Return scaled products of (n, p, dim) with (n, q, dim), (n, p, q)."""
        query, key = self.query(queries), self.key(others)
        return query / math.sqrt(query.shape[-1]) @ key.transpose(1, 2)

    def forward(self, queries, others):
        """Return (n, p, dim)."""
        shares = self.scores(queries, others).softmax(dim=-1)
        return shares @ self.value(others)


class _EdgeFeatures(nn.Module):
    """Edge features of all ordered pairs of AUs: MEFL, of FAM and ARM."""

    def __init__(self, dim):
        super().__init__()
        self.of_face = _CrossAttention(dim)
        self.of_pair = _CrossAttention(dim)
        self.project = nn.Linear(dim, dim)
        self.norm = _RowNorm(dim)

    def forward(self, per_au, face):
        """Return (n, n_aus, n_aus, dim) of (n, n_aus, p, dim) and (n, p, dim)."""
        n_aus, n_positions = per_au.shape[1:3]
        places = self.of_face(per_au.flatten(1, 2), face)
        # One product compares the positions of all AUs with those of all AUs.
        scores = self.of_pair.scores(places, places)
        shares = scores.unflatten(2, (n_aus, n_positions)).softmax(dim=-1)
        # The mean over positions moves before the product with the values: it is the
        # mean of that product, which would be as large as all pairs' maps.
        shares = shares.unflatten(1, (n_aus, n_positions)).mean(dim=2)
        values = self.of_pair.value(places).unflatten(1, (n_aus, n_positions))
        pairs = torch.einsum("njip,nipc->nijc", shares, values)
        return self.norm(self.project(pairs))


class _GatedGraph(nn.Module):
    """One layer of a gated graph convolution on nodes and edges (GatedGCN)."""

    def __init__(self, dim):
        super().__init__()
        self.edge = nn.Linear(dim, dim)
        self.edge_from = nn.Linear(dim, dim)
        self.edge_to = nn.Linear(dim, dim)
        self.edge_norm = _RowNorm(dim)
        self.own = nn.Linear(dim, dim)
        self.others = nn.Linear(dim, dim)
        self.norm = _RowNorm(dim)

    def forward(self, nodes, edges):
        """Return new nodes (n, n_aus, dim) and edges (n, n_aus, n_aus, dim)."""
        ends = self.edge_from(nodes).unsqueeze(2) + self.edge_to(nodes).unsqueeze(1)
        edges = edges + F.relu(self.edge_norm(self.edge(edges) + ends))
        gates = edges.sigmoid()
        gates = gates / (gates.sum(dim=2, keepdim=True) + 1e-6)
        messages = (gates * self.others(nodes).unsqueeze(1)).sum(dim=2)
        # Nodes are inside of ReLU: outside they could only grow, and a cosine with a
        # vector hardly fall.
        nodes = F.relu(nodes + self.norm(self.own(nodes) + messages))
        return nodes, edges


class _Similarity(nn.Module):
    """Probability of an AU: cosine of its feature and a learned vector."""

    def __init__(self, n_aus, dim):
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(n_aus, dim))
        nn.init.xavier_uniform_(self.vectors)

    def forward(self, nodes):
        """Return logits (n, n_aus) of these probabilities."""
        # Of bfloat16, probabilities near 1 would have two digits.
        nodes = nodes.float() if nodes.dtype.itemsize < 4 else nodes
        cosine = F.cosine_similarity(nodes.relu(), self.vectors.relu(), dim=-1)
        return cosine.logit(eps=_EPS)


class MEGraph(nn.Module):
    """AU detection by a graph of AUs with multi-dimensional edges, ME-GraphAU [1]_.

    Every AU has a layer of its own over the face's maps; the mean over positions is its
    node. Cross attention of each AU with the face, then of each AU with each other,
    gives an edge feature per ordered pair. A gated graph convolution lets nodes and
    edges change each other. The probability of an AU is the cosine of its node and a
    learned vector.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    backbone : str or nn.Module, default='resnet50'
        Backbone by name, whole, or a module that maps images to feature maps. See
        `make_backbone`.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of a named backbone.
    embedding_dim : int, default=512
        Length of nodes and edges.
    edge_features : bool, default=True
        False is the network of the first stage: a graph convolution over each AU's
        nearest AUs in place of edge features and gated graph convolutions.
    n_neighbors : int, default=4
        Nearest AUs of an AU in the network of the first stage, K in the paper.
    graph_layers : int, default=2
        Gated graph convolutions, at least 1.

    Attributes
    ----------
    n_aus : int
        Number of AUs.
    backbone : nn.Module
        The backbone.
    embed : nn.Module
        From the backbone's maps to the face's (n, embedding_dim, h, w).
    features : nn.Module
        From the face's maps to those of all AUs (AFG).
    neighbors : nn.Module or None
        The first stage's graph (FGG).
    edges : nn.Module or None
        Makes edge features (MEFL).
    layers : nn.ModuleList or None
        The gated graph convolutions.
    patterns : nn.Linear or None
        From an edge to the four classes of its pair, see `skfau.losses.MEGraphLoss`.
    similarity : nn.Module
        From nodes to logits.

    Notes
    -----
    With ResNet-50 and 12 AUs it has 31.67 million parameters, as many as [2]_ counts
    (section F). That includes what the equations do not tell: the 1x1 convolution
    `embed`, queries and keys half as long as values, a linear layer after the edges'
    attention. The first stage's network has 28.25 million.

    Each layer of `embed` and `features` is linear, batch norm and ReLU: without
    that, pooling would undo the positions. Batch norm in the graphs is over faces, AUs
    and pairs, per channel, so that all AUs share its weights. The nearest AUs of an AU
    are others, chosen by the product of nodes; their messages are averaged. In the
    gated graph every AU also has an edge to itself, which the loss does not see, and a
    node is added to its messages before ReLU, as in the first stage, not after it:
    pooled features are positive, and with ReLU first they could only grow. On rendered
    faces the second stage then lost some of what the first had learned. The mean of an
    edge's attention over positions is taken before the product with the values, which
    is the same number for less memory.

    Probabilities are kept within 0.0001 and 0.9999, so that logits are finite.

    References
    ----------
    .. [1] C. Luo, S. Song, W. Xie, L. Shen and H. Gunes, "Learning multi-dimensional
       edge feature-based AU relation graph for facial action unit recognition", IJCAI
       2022.
    .. [2] J. Yang, Y. Hristov, J. Shen, Y. Lin and M. Pantic, "Toward robust facial
       action units' detection", Proceedings of the IEEE, 2023.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import MEGraph
    >>> network = MEGraph(12, backbone="tiny", embedding_dim=32).eval()
    >>> logits, aux = network(torch.zeros(2, 3, 112, 112))
    >>> logits.shape, aux["edge_logits"].shape
    (torch.Size([2, 12]), torch.Size([2, 12, 12, 4]))
    """

    def __init__(
        self,
        n_aus: int,
        backbone: str | nn.Module = "resnet50",
        weights: str | Path | None = None,
        *,
        embedding_dim: int = 512,
        edge_features: bool = True,
        n_neighbors: int = 4,
        graph_layers: int = 2,
    ) -> None:
        super().__init__()
        if graph_layers < 1:
            raise ValueError(
                "graph_layers must be at least 1: without it the edges change no node. "
                f"Got {graph_layers}."
            )
        self.n_aus = n_aus
        self.backbone = make_backbone(backbone, weights, cut="full")
        self.embed = conv_norm_relu(self.backbone.out_channels, embedding_dim, 1)
        self.features = conv_norm_relu(embedding_dim, n_aus * embedding_dim, 1)
        self.neighbors = self.edges = self.layers = self.patterns = None
        if edge_features:
            self.edges = _EdgeFeatures(embedding_dim)
            self.layers = nn.ModuleList(
                _GatedGraph(embedding_dim) for _ in range(graph_layers)
            )
            self.patterns = nn.Linear(embedding_dim, _PATTERNS)
        else:
            self.neighbors = _NeighbourGraph(embedding_dim, n_neighbors)
        self.similarity = _Similarity(n_aus, embedding_dim)
        for name, module in self.named_children():
            if name != "backbone":
                init_xavier_(module)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return logits, and those of the pairs' classes.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        aux : dict
            ``"edge_logits"`` (n, n_aus, n_aus, 4); empty with ``edge_features=False``.
        """
        face = self.embed(self.backbone(images))
        per_au = self.features(face).flatten(2).transpose(1, 2)
        per_au = per_au.unflatten(2, (self.n_aus, -1)).transpose(1, 2)
        nodes = per_au.mean(dim=2)
        if self.neighbors is not None:
            return self.similarity(self.neighbors(nodes)), {}
        edges = self.edges(per_au, face.flatten(2).transpose(1, 2))
        for layer in self.layers:
            nodes, edges = layer(nodes, edges)
        return self.similarity(nodes), {"edge_logits": self.patterns(edges)}

    def au_axes(self) -> dict[str, tuple[int, ...]]:
        """Return where AUs lie in the entries of ``state_dict()``.

        Returns
        -------
        axes : dict of str to tuple of int
            The layer of each AU and its vector. Graphs and edges belong to all AUs.
        """
        return declare_au_axes(self, {"features": (0,), "similarity": (0,)})
