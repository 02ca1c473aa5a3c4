"""Estimators: one per published system, over one base that trains them all."""

from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._fau_transformer import FAUTransformerClassifier
from skfau.estimators._wsarl import WSARLClassifier

__all__ = ["FAUTransformerClassifier", "FaceAugmentation", "WSARLClassifier"]
