"""Networks in plain PyTorch: image backbones and one network per published system.

Nothing here knows of an estimator: a network takes tensors and returns logits.
"""

from skfau.nn._aunet import AUNet
from skfau.nn._backbones import BACKBONES, feature_map_size, make_backbone
from skfau.nn._crf import DenseCRF
from skfau.nn._drml import DRML
from skfau.nn._eacnet import EACNet
from skfau.nn._fan import FAN
from skfau.nn._fau_transformer import FAUTransformer
from skfau.nn._jaanet import JAANet
from skfau.nn._label_graph import MLGCN, MSCAM, label_graph
from skfau.nn._label_vae import LabelVAE
from skfau.nn._megraph import MEGraph
from skfau.nn._multi_label_transformer import MultiLabelTransformer
from skfau.nn._pooled import PooledNet
from skfau.nn._sevnet import SEVNet
from skfau.nn._transfer import transfer_state
from skfau.nn._weights import IMAGENET_MEAN, IMAGENET_STD
from skfau.nn._wsarl import WSARL

__all__ = [
    "BACKBONES",
    "DRML",
    "FAN",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "MLGCN",
    "MSCAM",
    "WSARL",
    "AUNet",
    "DenseCRF",
    "EACNet",
    "FAUTransformer",
    "JAANet",
    "LabelVAE",
    "MEGraph",
    "MultiLabelTransformer",
    "PooledNet",
    "SEVNet",
    "feature_map_size",
    "label_graph",
    "make_backbone",
    "transfer_state",
]
