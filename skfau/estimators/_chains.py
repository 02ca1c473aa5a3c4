"""Whole chains, such as pipelines, as one file that runs no code when it is read.

A file holds a list of objects, parts before what they are parts of. Each is a class by
name, its parameters and its fitted attributes, in JSON; arrays lie beside it. Only
classes that are listed here are written and made again.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from skfau import model_selection as ms
from skfau import preprocessing as pre
from skfau._files import reading
from skfau.estimators import _linear, _persistence
from skfau.estimators._augmentation import FaceAugmentation
from skfau.estimators._base import BaseAUClassifier
from skfau.estimators._parameters import NOT_SAVED

_OF_TABLES = ("n_features_in_", "feature_names_in_")
_OF_LABELS = ("classes_", "aus_")
_OF_SUBJECTS = ("train_subjects_",)
_OF_LINEAR = ("coef_", "intercept_", "n_aus_", "label_counts_", *_OF_SUBJECTS)
# What is written beside networks, with the fitted attributes.
_ATTRIBUTES = {
    pre.DlibDetector: (),
    pre.FaceAligner: (),
    pre.HOGFeatures: ("image_shape_", *_OF_SUBJECTS),
    pre.LBPFeatures: ("image_shape_", *_OF_SUBJECTS),
    pre.LandmarkFeatures: _OF_SUBJECTS,
    pre.MeshDetector: (),
    pre.MeshFeatures: _OF_SUBJECTS,
    pre.ROIHeatmaps: (),
    ms.AdaptedAUClassifier: (
        *(*_OF_LABELS, "start_", "estimator_", "coef_", "intercept_", "thresholds_"),
    ),
    ms.AUThresholdClassifier: (*_OF_LABELS, "estimator_", "thresholds_"),
    ms.AUVotingClassifier: (*_OF_LABELS, "estimators_"),
    ms.CalibratedAUClassifier: (
        *(*_OF_LABELS, "estimator_", "coef_", "intercept_", "thresholds_", "knots_"),
    ),
    ms.ProbabilitySmoother: (),
    ms.PublishedKFold: (),
    ms.SmoothedClassifier: (*_OF_LABELS, "estimator_"),
    ms.SubjectKFold: (),
    _linear.AULinearSVC: (*_OF_TABLES, *_OF_LABELS, *_OF_LINEAR),
    _linear.AULogisticRegression: (*_OF_TABLES, *_OF_LABELS, *_OF_LINEAR),
    FaceAugmentation: (),
    FeatureUnion: (),
    FrozenEstimator: (),
    Pipeline: (),
    _linear.FacePipeline: (),
    StandardScaler: (*_OF_TABLES, "scale_", "mean_", "var_", "n_samples_seen_"),
}
_CLASSES = {cls.__name__: cls for cls in _ATTRIBUTES}
# Where a fit ran is not part of a model. A folder of `memory` is full of pickles.
_LEFT_OUT = {*NOT_SAVED, "memory"}
_CHOICES = {"default", "pandas", "polars"}


def save(model: Any, path: str | Path) -> None:
    """Write a model to one file that runs no code when read.

    Parameters
    ----------
    model : object
        A classifier or transformer of skfau, of your own if it is a subclass of
        `BaseAUClassifier`, or any nesting of them in `~sklearn.pipeline.Pipeline`,
        `~sklearn.pipeline.FeatureUnion`, `~sklearn.frozen.FrozenEstimator` and the
        wrappers of `skfau.model_selection`, with `StandardScaler` between.
    path : str or Path
        Of the safetensors file, which is replaced as a whole or not at all. A network
        alone is written as by its method ``save``.

    Raises
    ------
    TypeError
        If a part is something else; the message names the step.
    ValueError
        If parameters set after the fit are of a network of another shape.

    See Also
    --------
    load : Reads the file.

    Notes
    -----
    As in ``save`` of a network, where a fit ran (device, threads, checkpoints,
    callbacks, ``memory`` of a pipeline) and ``init_from`` are not kept, nor are the
    optimiser and requests of metadata. What `set_output` chose is.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import skfau
    >>> from skfau.datasets import make_faces
    >>> from skfau.estimators import landmark_baseline
    >>> faces = make_faces(n_subjects=4, n_frames=8, image_size=64, random_state=0)
    >>> clf = landmark_baseline().fit(faces.data, faces.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "landmarks.safetensors"
    ...     skfau.save(clf, path)
    ...     again = skfau.load(path)
    >>> bool((again.predict_proba(faces.data) == clf.predict_proba(faces.data)).all())
    True
    """
    if _is_fitted_network(model):
        model.save(path)
        return
    writer = _Writer()
    writer.add(model, "")
    header = {"class": type(model).__name__, "aus": None, "objects": writer.objects}
    _persistence.write_file(path, header, writer.arrays)


def load(path: str | Path, *, classes: Sequence[type] = ()) -> Any:
    """Read a model written by `save`, or by the method ``save`` of a classifier.

    Parameters
    ----------
    path : str or Path
        Of the file.
    classes : sequence of type, default=()
        Subclasses of `BaseAUClassifier` of your own that the file may hold, found by
        name.

    Returns
    -------
    model : object
        As it was saved; it predicts the same.

    Raises
    ------
    ValueError
        If the file is damaged, something else, of another format, or holds a class
        that is neither of skfau nor in `classes`. The message names the file.
    TypeError
        If `classes` holds something else.

    See Also
    --------
    save : Writes the file.

    Notes
    -----
    Only classes of a fixed list are made, with attributes of a fixed list, so that a
    file of a stranger can be read. What it predicts is for you to judge.
    """
    known = _known_classes(classes)
    header, arrays = _persistence.read_file(path)
    with reading(path, *_persistence.KIND):
        if "objects" in header:
            return _Reader(arrays, known).read(header["objects"])
        cls = _look_up(header["class"], known)
        parameters = _persistence.from_json(header["parameters"])
        return cls._from_file(parameters, header, arrays)


def _known_classes(classes):
    """Return by name what a file may hold: our classes and those of the user."""
    # The room lists this file too, so that it is looked at when it is complete.
    from skfau import estimators

    public = [getattr(estimators, name) for name in estimators.__all__]
    known = {cls.__name__: cls for cls in public if _is_network_class(cls)}
    for cls in classes:
        if not _is_network_class(cls):
            raise TypeError(
                f"classes must be subclasses of BaseAUClassifier, got {cls!r}."
            )
    return _CLASSES | known | {cls.__name__: cls for cls in classes}


def _is_network_class(cls):
    return isinstance(cls, type) and issubclass(cls, BaseAUClassifier)


def _is_fitted_network(model):
    return isinstance(model, BaseAUClassifier) and "net_" in vars(model)


def _look_up(name, known):
    if name not in known:
        raise ValueError(
            f"it holds a {name}, which is no class of skfau. If it is a classifier of "
            f"yours, pass it: skfau.load(path, classes=[{name}])."
        )
    return known[name]


def _parameters_of(model):
    """Return the parameters of an estimator, a splitter or a detector."""
    if hasattr(model, "get_params"):
        found = model.get_params(deep=False)
    else:
        found = {
            p: getattr(model, p) for p in inspect.signature(type(model)).parameters
        }
    return {name: value for name, value in found.items() if name not in _LEFT_OUT}


class _Writer:
    """Turns objects into JSON and arrays."""

    def __init__(self):
        self.objects, self.arrays = [], {}
        self._known = _known_classes(())
        self._numbers = {}

    def add(self, model, where):
        """Return the number of an object; one that is there twice is written once."""
        if id(model) not in self._numbers:
            self._check(model, where)
            node = {
                "class": type(model).__name__,
                "parameters": self._values(_parameters_of(model), where),
                "fitted": self._values(self._fitted(model, where), where),
                "output": vars(model).get("_sklearn_output_config", {}),
            }
            if _is_fitted_network(model):
                node["network"], state = model._to_file()
                node["arrays"] = {name: self._store(a) for name, a in state.items()}
            # The object is kept, lest another one gets its id.
            self._numbers[id(model)] = len(self.objects), model
            self.objects.append(node)
        return self._numbers[id(model)][0]

    def _check(self, model, where):
        cls, name = type(model), type(model).__name__
        if self._known.get(name) is cls:
            return
        if isinstance(model, BaseAUClassifier) and name not in self._known:
            return
        best = " Save its best_estimator_." if hasattr(model, "best_estimator_") else ""
        raise TypeError(
            f"skfau.save cannot write {_name(where)}, a {cls.__module__}.{name}: it "
            "writes the classes of skfau, networks of your own, Pipeline, "
            f"FeatureUnion, StandardScaler and FrozenEstimator.{best} Replace this "
            "part, or keep the model as a pickle, which runs code when it is read."
        )

    def _fitted(self, model, where):
        """Return the fitted attributes that are there; those of networks are apart."""
        if isinstance(model, BaseAUClassifier):
            return {}
        listed = _ATTRIBUTES[type(model)]
        found = {
            name: value
            for name, value in vars(model).items()
            if name.endswith("_") and not name.startswith("_")
        }
        others = sorted(found.keys() - set(listed))
        if others:
            raise TypeError(
                f"skfau.save knows no attribute {others[0]!r} of a "
                f"{type(model).__name__}, which {_name(where)} has. Delete it, or "
                "pickle the model."
            )
        return found

    def _values(self, values, where):
        return {name: self._value(v, _join(where, name)) for name, v in values.items()}

    def _value(self, value, where):
        """Return a value as JSON; what JSON does not have is a dict of one entry."""
        if value is None or type(value) in {bool, int, float, str}:
            return value
        if isinstance(value, np.str_):
            return str(value)
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, np.bool_ | np.integer | np.floating):
            return {"scalar": [value.dtype.str, value.item()]}
        if isinstance(value, Path):
            return {"path": str(value)}
        if type(value) is list:
            items = enumerate(value)
            return [self._value(each, _of_item(where, i, each)) for i, each in items]
        if type(value) is tuple:
            return {"tuple": [self._value(each, where) for each in value]}
        if type(value) is dict:
            pairs = [[k, v] for k, v in value.items()]
            return {"dict": [self._value(pair, where) for pair in pairs]}
        return {"object": self.add(value, where)}

    def _array(self, array, where):
        if array.dtype.kind in "biuf":
            order = "F" if np.isfortran(array) else "C"
            return {"array": [self._store(array), order]}
        texts = array.tolist()
        if array.ndim != 1 or not all(type(text) is str for text in texts):
            raise TypeError(
                f"skfau.save cannot write {_name(where)}, an array of dtype "
                f"{array.dtype}: numbers and text are written. Pickle the model."
            )
        return {"texts": [array.dtype.str, texts]}

    def _store(self, array):
        name = str(len(self.arrays))
        self.arrays[name] = np.array(array, array.dtype.newbyteorder("="), order="C")
        return name


class _Reader:
    """Makes objects of what `_Writer` wrote."""

    def __init__(self, arrays, known):
        self._arrays, self._known = arrays, known
        self._objects = []

    def read(self, nodes):
        """Return the last object, of which all others are parts."""
        for node in nodes:
            self._objects.append(self._make(node))
        return self._objects[-1]

    def _make(self, node):
        cls = _look_up(node["class"], self._known)
        parameters = {k: self._value(v) for k, v in node["parameters"].items()}
        if parameters.keys() & _LEFT_OUT:
            raise ValueError(f"a {cls.__name__} has parameters that are never saved.")
        if "network" in node:
            arrays = {k: self._arrays[name] for k, name in node["arrays"].items()}
            model = cls._from_file(parameters, node["network"], arrays)
        else:
            model = cls(**parameters)
        for name, value in node["fitted"].items():
            if name not in _ATTRIBUTES.get(cls, ()):
                raise ValueError(f"a {cls.__name__} has no attribute {name!r}.")
            setattr(model, name, self._value(value))
        output = node["output"]
        if output:
            if not set(output.values()) <= _CHOICES:
                raise ValueError(f"{output} is no choice of an output.")
            model._sklearn_output_config = dict(output)
        return model

    def _value(self, coded):
        if isinstance(coded, list):
            return [self._value(item) for item in coded]
        if not isinstance(coded, dict):
            return coded
        ((kind, content),) = coded.items()
        match kind:
            case "tuple":
                return tuple(map(self._value, content))
            case "dict":
                return dict(map(self._value, content))
            case "path":
                return Path(content)
            case "scalar":
                dtype, number = content
                return np.dtype(dtype).type(number)
            case "array":
                name, order = content
                return np.array(self._arrays[name], order=order)
            case "texts":
                dtype, texts = content
                return np.array(texts, dtype)
            case "object":
                return self._objects[content]
        raise ValueError(f"it holds a value of the unknown kind {kind!r}.")


def _name(where):
    return repr(where) if where else "this model"


def _join(where, name):
    return f"{where}__{name}" if where else name


def _of_item(where, number, item):
    """Return the name of a list's item, which a step has itself."""
    if isinstance(item, tuple) and len(item) > 1 and isinstance(item[0], str):
        return _join(where.rpartition("__")[0], item[0])
    return f"{where}[{number}]"
