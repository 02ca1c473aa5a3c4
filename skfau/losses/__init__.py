"""Losses in plain PyTorch: ``loss(outputs, targets)``, a module each.

`outputs` are logits or ``(logits, aux)``, `targets` a dict with ``"labels"`` (n,
n_aus) in {0, 1, NaN}, NaN for unknown, and what else a loss needs. Unknown labels
change neither value nor gradient.

A tensor ``"weight"`` (n,) in `targets`, at least 0, weighs the faces: one with weight
2 adds what two faces of this batch would add, in every part of a loss and to the
centres, one with weight 0 nothing. The means are over weights, so that only ratios
count, but for the ``eps`` of `WeightedTversky` and for how far centres move. Only
`LandmarkMapLoss`, which trains no AUs, does not read it.
"""

from skfau.losses._aunet import AUNetLoss, LandmarkMapLoss
from skfau.losses._centers import CenterContrastive, CenterLoss
from skfau.losses._class_weights import inverse_rate_weights, soft_balance_weights
from skfau.losses._eacnet import EACNetLoss
from skfau.losses._fau_transformer import FAUTransformerLoss
from skfau.losses._jaanet import JAANetLoss, LandmarkLoss
from skfau.losses._label_losses import WeightedBCE, WeightedDice, WeightedTversky
from skfau.losses._maps import MapLoss
from skfau.losses._megraph import MEGraphLoss, WeightedAsymmetric
from skfau.losses._multi_label_transformer import MultiLabelTransformerLoss
from skfau.losses._wsarl import WSARLLoss

__all__ = [
    "AUNetLoss",
    "CenterContrastive",
    "CenterLoss",
    "EACNetLoss",
    "FAUTransformerLoss",
    "JAANetLoss",
    "LandmarkLoss",
    "LandmarkMapLoss",
    "MEGraphLoss",
    "MapLoss",
    "MultiLabelTransformerLoss",
    "WSARLLoss",
    "WeightedAsymmetric",
    "WeightedBCE",
    "WeightedDice",
    "WeightedTversky",
    "inverse_rate_weights",
    "soft_balance_weights",
]
