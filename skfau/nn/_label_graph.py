"""ML-GCN and MS-CAM, which relate AUs by a graph of their labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skfau.nn._blocks import init_xavier_
from skfau.nn._semantic import (
    CrossModalityAttention,
    SemanticNetwork,
    as_text,
    own_tensor,
    standardise_,
)

__all__ = ["MLGCN", "MSCAM", "label_graph"]

# Length of label vectors that are learned, ML-GCN's.
_LEARNED_DIM = 300


def label_graph(
    labels: ArrayLike,
    kind: Literal["correlation", "conditional"] = "correlation",
    *,
    positive_threshold: float = 0.2,
    negative_threshold: float = -0.03,
    conditional_threshold: float = 0.4,
) -> Tensor:
    """Return the matrix that mixes AUs in a graph convolution, from training labels.

    Parameters
    ----------
    labels : array-like of shape (n_samples, n_aus)
        1 where the AU occurs, 0 where not, NaN where unknown. Two AUs are compared on
        the rows in which both are known; an AU that is never known is joined to none.
    kind : {"correlation", "conditional"}, default='correlation'
        SEV-Net's authors join AUs by 1 where Pearson's correlation is above a threshold
        and by -1 where it is below another. ML-GCN joins i to j where P(j | i) is high.
    positive_threshold : float, default=0.2
        Correlation above which two AUs are joined.
    negative_threshold : float, default=-0.03
        Correlation below which two AUs are joined with a negative sign.
    conditional_threshold : float, default=0.4
        Threshold of the conditional probability.

    Returns
    -------
    graph : Tensor of shape (n_aus, n_aus), dtype float32
        The normalised matrix: row i holds what AU i takes of each AU.

    Raises
    ------
    ValueError
        If `kind` is unknown or `labels` are no matrix.

    Notes
    -----
    As in ML-GCN's code: with B the joins, ``A = 0.25 B / (column sums of |B|) + I``
    and D the row sums of ``|A|``, it is ``D^-1/2 A^T D^-1/2``: AUs with the same
    neighbours keep different vectors. No weights are published for negative joins.

    Examples
    --------
    >>> from skfau.nn import label_graph
    >>> label_graph([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]])
    tensor([[ 0.8000,  0.1000, -0.1000],
            [ 0.1000,  0.8000, -0.1000],
            [-0.1000, -0.1000,  0.8000]])
    """
    labels = own_tensor(labels, torch.float64)
    if labels.ndim != 2 or kind not in ("correlation", "conditional"):
        raise ValueError(
            "labels must have shape (n_samples, n_aus) and kind must be 'correlation' "
            f"or 'conditional'. Got {tuple(labels.shape)} and {kind!r}."
        )
    if kind == "conditional":
        return _normalised((_conditionals(labels) >= conditional_threshold).double())
    rho = _correlations(labels)
    above, below = rho > positive_threshold, rho < negative_threshold
    return _normalised(above.double() - below.double())


def _normalised(joined):
    """Return the mixing matrix of joins 1, 0 and -1."""
    joined.fill_diagonal_(0)
    graph = 0.25 * joined / (joined.abs().sum(dim=0, keepdim=True) + 1e-6)
    graph.fill_diagonal_(1)
    root = graph.abs().sum(dim=1).rsqrt()
    return (root.unsqueeze(1) * graph.T * root).float()


def _correlations(labels):
    """Return Pearson's correlations over the rows where both AUs are known; else 0."""
    known = (~labels.isnan()).double()
    values = labels.nan_to_num(0)
    n = known.T @ known
    # Sums of the AU of each row, over the images where the AU of the column is known.
    sums = values.T @ known
    squares = values.square().T @ known
    covariance = n * (values.T @ values) - sums * sums.T
    variance = n * squares - sums.square()
    # A variance of 0 is exact, because labels are whole numbers.
    spread = (variance * variance.T).sqrt()
    return torch.where(spread > 0, covariance / spread.clamp(min=1e-300), 0.0)


def _conditionals(labels):
    """Return P(column's AU | row's AU) over images where both are known, 0 if none."""
    known = (~labels.isnan()).double()
    values = labels.nan_to_num(0)
    together, seen = values.T @ values, values.T @ known
    return together / seen.clamp(min=1)


class _GraphEncoder(nn.Module):
    """Two graph convolutions without biases, LeakyReLU between them."""

    def __init__(self, graph, n_aus, in_features, hidden_dim, out_features):
        super().__init__()
        graph = own_tensor(torch.eye(n_aus) if graph is None else graph, torch.float32)
        if graph.shape != (n_aus, n_aus) or not graph.isfinite().all():
            raise ValueError(
                f"graph must be a finite matrix of shape ({n_aus}, {n_aus}). Got "
                f"{tuple(graph.shape)}; make it with label_graph."
            )
        self.register_buffer("graph", graph)
        self.first = nn.Linear(in_features, hidden_dim, bias=False)
        self.second = nn.Linear(hidden_dim, out_features, bias=False)
        init_xavier_(self)

    def forward(self, vectors):
        """Map (n_aus, in_features) to (n_aus, out_features)."""
        hidden = F.leaky_relu(self.graph @ self.first(vectors), 0.2)
        return self.graph @ self.second(hidden)


class _GraphNetwork(SemanticNetwork):
    """Base of networks that embed the AUs' vectors by graph convolutions."""

    def __init__(
        self,
        n_aus: int,
        text: ArrayLike | None = None,
        graph: ArrayLike | None = None,
        backbone: str | nn.Module = "resnet18",
        weights: str | Path | None = None,
        *,
        hidden_dim: int = 1024,
    ) -> None:
        text = None if text is None else as_text(text, n_aus, n_axes=(2,))
        super().__init__(n_aus, text, backbone, weights, _LEARNED_DIM)
        width, channels = self.text.shape[1], self.backbone.out_channels
        self.encoder = _GraphEncoder(graph, n_aus, width, hidden_dim, channels)
        self._finish(channels)

    def _finish(self, channels):
        """Add, or scale, what comes after the graph convolutions."""
        raise NotImplementedError


class MLGCN(_GraphNetwork):
    """Multi-label recognition with graph convolutions (ML-GCN) [1]_, for AUs.

    Graph convolutions over the AUs' label graph turn a vector per AU into that AU's
    linear classifier of the image's pooled features.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    text : array-like of shape (n_aus, d), default=None
        Vector of each AU, such as its description's; None learns vectors of length 300.
    graph : array-like of shape (n_aus, n_aus), default=None
        What `label_graph` returns; None relates no AU to another.
    backbone : str or nn.Module, default='resnet18'
        Backbone by name, up to its last maps, or a module that maps images to feature
        maps. See `make_backbone`.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of a named backbone.
    hidden_dim : int, default=1024
        Width between the two graph convolutions.

    Raises
    ------
    ValueError
        If `text` or `graph` does not fit `n_aus`, or two AUs have the same vector.

    Notes
    -----
    As published: convolutions without biases, LeakyReLU of slope 0.2 between them,
    global max pooling, logits without bias. There the backbone is ResNet-101 with 2048
    channels, and vectors are word embeddings of the labels' names. Here the classifiers
    start divided by the square root of the number of channels. Without that, unless
    the text has variance 1 and the backbone is trained, the first logits would be in
    the tens.

    References
    ----------
    .. [1] Z.-M. Chen, X.-S. Wei, P. Wang and Y. Guo, "Multi-label image recognition
       with graph convolutional networks", CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import MLGCN, label_graph
    >>> graph = label_graph([[1, 1, 0], [0, 0, 1], [1, 0, 1]])
    >>> MLGCN(3, graph=graph, backbone="tiny")(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 3])
    """

    def text_parts(self) -> tuple[str, ...]:
        """Return which submodules see the AUs' vectors and no image.

        Returns
        -------
        names : tuple of str
        """
        return ("encoder",)

    def _finish(self, channels):
        with torch.no_grad():
            self.encoder.second.weight /= math.sqrt(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width), float
            RGB in [0, 1], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns
        -------
        logits : Tensor of shape (n, n_aus)
        """
        return self.backbone(images).amax(dim=(2, 3)) @ self.guides().squeeze(1).T

    def _encode(self):
        return self.encoder(self.text).unsqueeze(1)


class MSCAM(_GraphNetwork):
    """Cross-modality attention with semantic graph embedding (MS-CAM) [1]_, for AUs.

    Graph convolutions over the AUs' label graph embed a vector per AU. Each vector
    attends to the positions of the feature maps by its cosine with them. One linear
    layer, shared by all AUs, classifies the attended features.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    text : array-like of shape (n_aus, d), default=None
        Vector of each AU, such as its description's; None learns vectors of length 300.
    graph : array-like of shape (n_aus, n_aus), default=None
        What `label_graph` returns; None relates no AU to another.
    backbone : str or nn.Module, default='resnet18'
        Backbone by name, up to its last maps, or a module that maps images to feature
        maps. See `make_backbone`.
    weights : {"imagenet", "rendered"}, path or None, default=None
        Initial weights of a named backbone.
    hidden_dim : int, default=1024
        Width between the two graph convolutions.

    Raises
    ------
    ValueError
        If `text` or `graph` does not fit `n_aus`, or two AUs have the same vector.

    Notes
    -----
    This is the method as rebuilt for the comparison in [2]_, whose figures are those
    reported for AUs: "a GCN based method", "similar to ML-GCN" but for the attention,
    on a graph of correlations. So it has the graph convolutions of `MLGCN`, then the
    linear projection and the attention of `SEVNet`, with 0.01 added to the cosines.

    The method of [1]_ is another one at two places. It learns the labels' embeddings
    first, so that their similarities are those of the graph (ASGE), where here they
    come from graph convolutions that are trained with the rest. And it projects the
    feature maps to the space of the labels, where here the labels' vectors go to that
    of the maps. [2]_ mentions neither.

    References
    ----------
    .. [1] R. You, Z. Guo, L. Cui, X. Long, Y. Bao and S. Wen, "Cross-modality
       attention with semantic graph embedding for multi-label classification", AAAI
       2020.
    .. [2] H. Yang, L. Yin, Y. Zhou and J. Gu, "Exploiting semantic embedding and
       visual feature for facial action unit detection", CVPR 2021.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import MSCAM
    >>> logits, aux = MSCAM(3, backbone="tiny")(torch.zeros(2, 3, 64, 64))
    >>> logits.shape, aux["attention_maps"].shape
    (torch.Size([2, 3]), torch.Size([2, 3, 4, 4]))
    """

    def text_parts(self) -> tuple[str, ...]:
        """Return which submodules see the AUs' vectors and no image.

        Returns
        -------
        names : tuple of str
        """
        return ("encoder", "attention.project")

    def _finish(self, channels):
        self.attention = CrossModalityAttention(channels, channels)
        with torch.no_grad():
            standardise_(self.attention.project, self.encoder(self.text))

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
            ``"attention_maps"`` (n, n_aus, h, w), each of sum 1.
        """
        logits, maps = self.attention(self.backbone(images), self.guides())
        return logits, {"attention_maps": maps}

    def _encode(self):
        embedded = self.encoder(self.text)
        return self.attention.project(embedded).unsqueeze(1)
