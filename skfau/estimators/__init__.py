"""Estimators: one per published system, over one base that trains them all."""

from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._aunet import AUNetClassifier
from skfau.estimators._baselines import hog_baseline, landmark_baseline
from skfau.estimators._drml import DRMLClassifier
from skfau.estimators._eacnet import EACNetClassifier
from skfau.estimators._fau_transformer import FAUTransformerClassifier
from skfau.estimators._jaanet import JAANetClassifier
from skfau.estimators._linear import AULinearSVC, AULogisticRegression
from skfau.estimators._mlgcn import MLGCNClassifier
from skfau.estimators._mscam import MSCAMClassifier
from skfau.estimators._multi_label_transformer import (
    MultiLabelTransformerClassifier,
)
from skfau.estimators._resnet import ResNetClassifier
from skfau.estimators._sevnet import SEVNetClassifier
from skfau.estimators._wsarl import WSARLClassifier

__all__ = [
    "AULinearSVC",
    "AULogisticRegression",
    "AUNetClassifier",
    "DRMLClassifier",
    "EACNetClassifier",
    "FAUTransformerClassifier",
    "FaceAugmentation",
    "JAANetClassifier",
    "MLGCNClassifier",
    "MSCAMClassifier",
    "MultiLabelTransformerClassifier",
    "ResNetClassifier",
    "SEVNetClassifier",
    "WSARLClassifier",
    "hog_baseline",
    "landmark_baseline",
]
