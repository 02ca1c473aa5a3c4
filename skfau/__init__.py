"""Facial action units (AUs) from face images, with scikit-learn's verbs.

Public names and subpackages are imported on first use, so ``import skfau``
alone pulls in neither NumPy, OpenCV, scikit-learn nor PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What `__getattr__` finds, for type checkers and editors.
    # isort: off
    from skfau import (
        cli as cli,
        datasets as datasets,
        estimators as estimators,
        exceptions as exceptions,
        faces as faces,
        facs as facs,
        inspection as inspection,
        losses as losses,
        metrics as metrics,
        model_selection as model_selection,
        nn as nn,
        preprocessing as preprocessing,
        protocols as protocols,
    )
    from skfau.estimators import (
        AUNetClassifier as AUNetClassifier,
        DRMLClassifier as DRMLClassifier,
        EACNetClassifier as EACNetClassifier,
        FAUTransformerClassifier as FAUTransformerClassifier,
        JAANetClassifier as JAANetClassifier,
        MEGraphClassifier as MEGraphClassifier,
        MLGCNClassifier as MLGCNClassifier,
        MSCAMClassifier as MSCAMClassifier,
        MultiLabelTransformerClassifier as MultiLabelTransformerClassifier,
        ResNetClassifier as ResNetClassifier,
        SEVNetClassifier as SEVNetClassifier,
        WSARLClassifier as WSARLClassifier,
        load as load,
        load_pretrained as load_pretrained,
        save as save,
        to_onnx as to_onnx,
    )
    from skfau.faces import Faces as Faces
    from skfau.preprocessing import (
        FaceAligner as FaceAligner,
        ROIHeatmaps as ROIHeatmaps,
    )

__version__ = "0.1.0"

_SUBMODULES = (
    "cli",
    "datasets",
    "estimators",
    "exceptions",
    "faces",
    "facs",
    "inspection",
    "losses",
    "metrics",
    "model_selection",
    "nn",
    "preprocessing",
    "protocols",
)

# One line per public top-level name: name -> submodule that defines it.
_EXPORTS = {
    "DRMLClassifier": "estimators",
    "EACNetClassifier": "estimators",
    "AUNetClassifier": "estimators",
    "FAUTransformerClassifier": "estimators",
    "FaceAligner": "preprocessing",
    "Faces": "faces",
    "JAANetClassifier": "estimators",
    "MEGraphClassifier": "estimators",
    "MLGCNClassifier": "estimators",
    "MSCAMClassifier": "estimators",
    "MultiLabelTransformerClassifier": "estimators",
    "ROIHeatmaps": "preprocessing",
    "ResNetClassifier": "estimators",
    "SEVNetClassifier": "estimators",
    "WSARLClassifier": "estimators",
    "load": "estimators",
    "load_pretrained": "estimators",
    "save": "estimators",
    "to_onnx": "estimators",
}

__all__ = ["__version__", *_EXPORTS, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
