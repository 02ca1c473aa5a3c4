"""Estimators: one per published system, over one base that trains them all."""

from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._aunet import AUNetClassifier
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._chains import load, save
from skfau.estimators._drml import DRMLClassifier
from skfau.estimators._eacnet import EACNetClassifier
from skfau.estimators._fau_transformer import FAUTransformerClassifier
from skfau.estimators._jaanet import JAANetClassifier
from skfau.estimators._label_graph import MLGCNClassifier, MSCAMClassifier
from skfau.estimators._linear import (
    AULinearSVC,
    AULogisticRegression,
    hog_baseline,
    landmark_baseline,
)
from skfau.estimators._megraph import MEGraphClassifier
from skfau.estimators._multi_label_transformer import (
    MultiLabelTransformerClassifier,
)
from skfau.estimators._onnx import to_onnx
from skfau.estimators._pretrained import load_pretrained, pretrained_classifier
from skfau.estimators._resnet import ResNetClassifier
from skfau.estimators._sevnet import SEVNetClassifier
from skfau.estimators._system import System
from skfau.estimators._wsarl import WSARLClassifier

__all__ = [
    "AULinearSVC",
    "AULogisticRegression",
    "AUNetClassifier",
    "BaseAUClassifier",
    "DRMLClassifier",
    "EACNetClassifier",
    "FAUTransformerClassifier",
    "FaceAugmentation",
    "JAANetClassifier",
    "MEGraphClassifier",
    "MLGCNClassifier",
    "MSCAMClassifier",
    "MultiLabelTransformerClassifier",
    "ResNetClassifier",
    "SEVNetClassifier",
    "System",
    "WSARLClassifier",
    "hog_baseline",
    "landmark_baseline",
    "load",
    "load_pretrained",
    "pretrained_classifier",
    "save",
    "to_onnx",
]
