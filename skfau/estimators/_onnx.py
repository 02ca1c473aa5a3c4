"""Fitted models as ONNX files, which run without torch and scikit-learn."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.torch_version import TorchVersion

from skfau import __version__
from skfau._files import write_atomically
from skfau._unwrap import find_aus, find_thresholds, parts
from skfau.estimators._exported import Network, part_of
from skfau.preprocessing import FaceAligner

_INSTALL = "pip install 'skfau[onnx]'"
_LOWEST_TORCH = "2.8"
# Loggers of the exporter; the first tells of every step of a trace.
_TALKERS = ("torch.__trace", "torch.onnx", "onnxscript")
_N_POINTS = {"mesh": (468, 3)}
_ANY_SIZE = (64, 64)


class WritesONNX:
    """Mixin of the classifiers that `to_onnx` writes."""

    def to_onnx(
        self,
        path: str | Path,
        *,
        face_size: int | tuple[int, int] | None = None,
        licence: str | None = None,
    ) -> None:
        """Write the fitted classifier as an ONNX file; see `skfau.to_onnx`.

        Parameters
        ----------
        path : str or Path
            Of the file.
        face_size : int, (int, int) or None, default=None
            Side, or height and width, of the faces that the file takes, pixels. None is
            the size of the training faces.
        licence : str or None, default=None
            What the file says of its licence.

        Raises
        ------
        ImportError
            If ``onnx`` or ``onnxscript`` is not installed, or torch is older than 2.8.
        TypeError, ValueError
            If the network cannot be exported, or the size of the faces is not known.
        OSError
            If the file cannot be written.
        """
        to_onnx(self, path, face_size=face_size, licence=licence)

    def _exported(self, face_size):
        """Return the `Part` that computes the probabilities of faces of one size."""
        check_is_fitted(self, "net_")
        inputs = self.net_.system.inputs
        return Network(self.net_.module_, face_size, self._augmentation, inputs)


def to_onnx(
    model: Any,
    path: str | Path,
    *,
    face_size: int | tuple[int, int] | None = None,
    licence: str | None = None,
) -> None:
    """Write a fitted classifier as one ONNX file, which other programs can run.

    The file takes aligned faces and gives the probabilities that ``predict_proba``
    gives for them: grey, resizing, the central window and the normalisation are inside.
    It runs with ``onnxruntime`` alone, on servers, phones and in web pages.

    Parameters
    ----------
    model : object
        A fitted network of this package; a `~sklearn.pipeline.Pipeline` of
        `FaceAligner` and one; `AULogisticRegression` or `AULinearSVC` behind
        `LandmarkFeatures` or `MeshFeatures`; a vote, threshold, calibration or search
        around these. `load_pretrained` gives one.
    path : str or Path
        Of the file.
    face_size : int, (int, int) or None, default=None
        Side, or height and width, of the faces that the file takes, pixels. None is the
        size of the `FaceAligner` in `model`, or else of the training faces.
    licence : str or None, default=None
        What the file says of its licence: weights are yours, unless they began from
        another's. The shipped model is BSD-3-Clause.

    Raises
    ------
    ImportError
        If ``onnx`` or ``onnxscript`` is not installed, or torch is older than 2.8.
    TypeError
        If a part of the model cannot go into the file, such as HOG or a smoother.
    ValueError
        If the size of the faces is not known, or differs from the aligner's.
    OSError
        If the file cannot be written; what was there before stays.

    Notes
    -----
    **Faces must be aligned** as `FaceAligner` does it: finding and aligning them is not
    in the file, and rows without a face must be left out.

    The first axis of every input is the batch, of any size:

    ``images``
        uint8 (n, height, width, 3), RGB.
    ``landmarks``
        float32 (n, 68, 2), pixels of the aligned faces, x then y. Of
        `EACNetClassifier`, `AUNetClassifier` and linear classifiers of landmarks.
    ``mesh``
        float32 (n, 468, 3), the column ``mesh`` of the aligned faces. Of the shipped
        model, and of linear classifiers of the mesh.
    ``previous``, ``following``, ``previous_landmarks``, ``following_landmarks``
        The frames before and after, of `AUNetClassifier`: give the face itself where
        there is none, and landmarks of NaN where they are not known.

    The output is ``probabilities``, float32 (n, n_aus). The file's metadata are
    ``aus``, ``thresholds`` (probabilities from which ``predict`` calls them present),
    ``face_size`` (height, width) and ``alignment`` (settings of the `FaceAligner`), all
    JSON, and ``model``, ``licence`` and ``skfau_version``.

    All networks compute in float32, whatever ``precision`` was. `DenseCRF` computes
    exactly, in float32, where prediction on a CPU has an approximation above 64 x 64
    pixels. Weights lie in the file, which may not be larger than 2 GB.

    Examples
    --------
    >>> import skfau
    >>> model = skfau.load_pretrained()
    >>> skfau.to_onnx(model, "aus.onnx", licence="BSD-3-Clause")  # doctest: +SKIP
    """
    onnx = _import_onnx()
    height, width = _face_size(model, face_size)
    part = part_of(model, (height, width))
    if not part.needs:
        raise TypeError(
            f"{type(model).__name__} takes rows of features, and a file takes faces. "
            "Export the pipeline of it and the features."
        )
    proto = _exported_proto(part, (height, width))
    proto.producer_name, proto.producer_version = "skfau", __version__
    about = {
        "aus": json.dumps([int(au) for au in find_aus(model)]),
        "thresholds": json.dumps(_thresholds(model)),
        "face_size": json.dumps([height, width]),
        "alignment": json.dumps([_settings(each) for each in _aligners(model)][:1]),
        "model": type(model).__name__,
        "licence": licence or "",
        "skfau_version": __version__,
    }
    onnx.helper.set_model_props(proto, about)
    with write_atomically(path) as file:
        file.write(proto.SerializeToString())


def _import_onnx():
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "to_onnx needs the packages onnx and onnxscript, and "
            f"{error.name or 'one of them'} is not installed: {_INSTALL}."
        ) from error
    if TorchVersion(torch.__version__) < _LOWEST_TORCH:
        raise ImportError(
            f"to_onnx needs torch {_LOWEST_TORCH} or later, whose exporter fits this "
            f"onnxscript, and torch {torch.__version__} is installed: {_INSTALL}."
        )
    return onnx


def _aligners(model):
    return [each for each in parts(model) if isinstance(each, FaceAligner)]


def _settings(aligner):
    return {"template": aligner.template, "output_size": aligner.output_size}


def _thresholds(model):
    n_aus = len(find_aus(model))
    return np.broadcast_to(find_thresholds(model), n_aus).astype(float).tolist()


def _face_size(model, given):
    """Return height and width of the faces that the file takes."""
    aligned = {(each.output_size,) * 2 for each in _aligners(model)}
    if given is not None:
        given = tuple(np.broadcast_to(given, 2).tolist())
        if aligned - {given}:
            raise ValueError(
                f"face_size must be {aligned.pop()[0]}, the output_size of the "
                f"FaceAligner in the model, or None. Got {given}."
            )
        return given
    kinds = [getattr(each, "_trained_on", None) for each in parts(model)]
    sizes = aligned or {tuple(kind.shape) for kind in kinds if kind is not None}
    if len(sizes) != 1:
        # What cannot be exported at any size says so first.
        part_of(model, _ANY_SIZE)
        raise ValueError(
            "the model does not tell one size of its faces "
            f"({sorted(sizes) or 'it has no FaceAligner'}). Pass face_size=, height "
            "and width of the aligned faces in pixels."
        )
    return sizes.pop()


class _File(nn.Module):
    """A part that takes its tensors one by one, as the inputs of a file."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, *tensors):
        given = dict(zip(self.part.needs, tensors, strict=True))
        return self.part(given).float()


def exported_program(part, face_size):
    """Return a `Part` as a `torch.export.ExportedProgram` of any batch size."""
    rows = torch.export.Dim("n", min=1)
    module = _File(part).eval()
    inputs = tuple(_example(name, face_size) for name in part.needs)
    # One for `forward`'s only argument, which is a tuple.
    axes = (tuple({0: rows} for _ in inputs),)
    with torch.no_grad(), _quiet():
        return torch.export.export(module, inputs, dynamic_shapes=axes)


def _exported_proto(part, face_size):
    program = exported_program(part, face_size)
    with torch.no_grad(), _quiet():
        proto = torch.onnx.export(
            program,
            input_names=list(part.needs),
            output_names=["probabilities"],
            dynamo=True,
            verbose=False,
        ).model_proto
    # The exporter numbers the batch's axis; between inputs and output nobody looks.
    del proto.graph.value_info[:]
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    return proto


def _example(name, face_size):
    """Return an input of two faces."""
    if not name.endswith(("landmarks", "mesh")):
        return torch.zeros(2, *face_size, 3, dtype=torch.uint8)
    shape = _N_POINTS.get(name, (68, 2))
    rng = torch.Generator().manual_seed(0)
    return torch.rand(2, *shape, generator=rng) * min(face_size)


@contextlib.contextmanager
def _quiet():
    """Keep what torch says of its own insides from the user."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
