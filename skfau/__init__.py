"""Facial action units (AUs) from face images, with scikit-learn's verbs.

Public names and subpackages are imported on first use, so ``import skfau``
alone pulls in neither NumPy, OpenCV, scikit-learn nor PyTorch.
"""

import importlib

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


def __getattr__(name):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
