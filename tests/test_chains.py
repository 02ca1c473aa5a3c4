"""Whole chains in one file: the same model again, no code, no other class."""

import inspect
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import skfau
from skfau import FaceAligner, Faces
from skfau.estimators import (
    AULinearSVC,
    FaceAugmentation,
    FAUTransformerClassifier,
    ResNetClassifier,
    hog_baseline,
    landmark_baseline,
)
from skfau.metrics import f1_scorer
from skfau.model_selection import (
    AdaptedAUClassifier,
    AUThresholdClassifier,
    AUVotingClassifier,
    CalibratedAUClassifier,
    ProbabilitySmoother,
    PublishedKFold,
    SmoothedClassifier,
    SubjectKFold,
)
from skfau.preprocessing import (
    DlibDetector,
    HOGFeatures,
    LandmarkFeatures,
    LBPFeatures,
    MeshDetector,
    MeshFeatures,
    ROIHeatmaps,
)
from tests.small import BaseAUClassifier, make_small
from tests.test_docs import PUBLIC

OTHERS = [
    cls
    for cls in PUBLIC.values()
    if inspect.isclass(cls)
    and issubclass(cls, BaseEstimator)
    and not issubclass(cls, BaseAUClassifier)
]


class MyClassifier(BaseAUClassifier):
    """A network that is none of the package's."""

    def __init__(self, *, image_size=48, max_epochs=1, width=8, random_state=0):
        self._set_parameters(locals())

    def _system(self, task):
        return ResNetClassifier(backbone="tiny")._system(task)


@pytest.fixture(scope="module")
def network(made):
    """A chain around a network, and a vote of it with two linear chains."""
    small = make_small(FAUTransformerClassifier, max_epochs=1)
    chain = make_pipeline(FaceAligner(output_size=48), ROIHeatmaps(size=6), small)
    return chain.fit(made.data, made.target)


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def round_trip(model, tmp_path, **options):
    skfau.save(model, tmp_path / "model")
    assert names_in(tmp_path) == ["model"]
    return skfau.load(tmp_path / "model", **options)


def plain(value):
    """Return a parameter as what compares by value: estimators by class and those."""
    if hasattr(value, "get_params"):
        return type(value), plain(value.get_params(deep=False))
    if isinstance(value, dict):
        # Where a fit ran is not part of a model.
        return {k: plain(v) for k, v in value.items() if k != "n_threads"}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))
    if isinstance(value, np.ndarray):
        return value.dtype, value.tolist()
    if type(value).__module__.startswith("skfau"):
        return type(value), vars(value)
    return value


def outputs(model, X):
    """Return all that a model says of faces or rows of features."""
    if hasattr(model, "predict_proba"):
        return [model.predict_proba(X), model.predict(X)]
    if isinstance(model, ProbabilitySmoother):
        return [model.transform(X.landmarks[:, 0] / 99, X)]
    if not hasattr(model, "transform"):
        return []
    out = model.transform(X)
    if isinstance(out, Faces):
        return [out.images[...], *(out.column(name) for name in out.columns)]
    return [out]


def assert_same(again, model, X):
    assert type(again) is type(model)
    assert plain(again) == plain(model)
    for ours, theirs in zip(outputs(again, X), outputs(model, X), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def fitted(cls, made):
    X, y, options = made.data, made.target, {}
    if cls.__name__.startswith("AUL"):
        X = X.landmarks.reshape(len(X), -1)
    if cls is MeshFeatures:
        X = X.with_columns(
            mesh=np.arange(1404.0).reshape(468, 3)[None].repeat(len(X), 0)
        )
    parameters = inspect.signature(cls).parameters
    if "estimator" in parameters:
        options = {"estimator": landmark_baseline()}
    if "estimators" in parameters:
        options = {"estimators": [("lm", landmark_baseline())]}
    if cls in (CalibratedAUClassifier, AdaptedAUClassifier):
        options = {"estimator": FrozenEstimator(landmark_baseline().fit(X, y))}
    if cls is AdaptedAUClassifier:
        network = make_small(ResNetClassifier, max_epochs=1)
        options |= {"network": network, "aus": network.aus}
    model = cls(**options)
    return (model.fit(X, y) if hasattr(model, "fit") else model), X


@pytest.mark.parametrize("cls", OTHERS)
def test_every_public_estimator_comes_back(cls, made, tmp_path):
    model, X = fitted(cls, made)
    again = round_trip(model, tmp_path)
    assert_same(again, model, X)
    fitted_attributes = {name for name in vars(model) if name.endswith("_")}
    assert fitted_attributes <= vars(again).keys()


def vote(network):
    members = [("net", network), ("hog", hog_baseline("lbp", output_size=48))]
    return AUVotingClassifier([*members, ("shape", landmark_baseline())])


NESTED = {
    "hog": lambda network: hog_baseline(output_size=48, cell_size=8),
    "network": lambda network: network,
    "vote": vote,
    "all wrappers": lambda network: SmoothedClassifier(
        AUThresholdClassifier(vote(network), thresholds={12: 0.3, 1: 0.6}), width=3
    ),
    "learned thresholds": lambda network: AUThresholdClassifier(
        landmark_baseline(), cv=SubjectKFold(2)
    ),
    "union": lambda network: make_pipeline(
        FaceAligner(output_size=48),
        make_union(HOGFeatures(), LandmarkFeatures(), LBPFeatures()),
        StandardScaler(with_mean=False),
        AULinearSVC(),
    ),
    "passthrough": lambda network: Pipeline(
        [("none", "passthrough"), ("clf", landmark_baseline())]
    ),
}


@pytest.mark.parametrize("make", NESTED.values(), ids=NESTED)
def test_every_nesting_comes_back(make, network, made, tmp_path):
    model = make(FrozenEstimator(network))
    model = model if model is network else model.fit(made.data, made.target)
    again = round_trip(model, tmp_path)
    assert_same(again, model, made.data)
    assert plain(again.get_params()) == plain(model.get_params())
    assert again.aus_ == made.aus if hasattr(model, "aus_") else True


def test_a_chain_that_is_not_fitted_comes_back_unfitted(tmp_path, made):
    model = SmoothedClassifier(make_pipeline(make_small(ResNetClassifier, lr=0.01)))
    again = round_trip(model, tmp_path)
    assert plain(again) == plain(model)
    assert not hasattr(again, "estimator_")


def test_one_object_in_two_places_is_one_object_again(network, made, tmp_path):
    frozen = FrozenEstimator(network)
    model = AUVotingClassifier([("a", frozen), ("b", frozen)])
    model.fit(made.data, made.target)
    again = round_trip(model, tmp_path)
    assert len({id(each.estimator) for each in again.estimators_}) == 1
    both = (tmp_path / "model").stat().st_size
    skfau.save(network, tmp_path / "one")
    assert both < 1.1 * (tmp_path / "one").stat().st_size


def test_what_set_output_chose_comes_back(made, tmp_path):
    pytest.importorskip("pandas")
    model = landmark_baseline().set_output(transform="pandas")
    model[-1].set_output(predict_proba="pandas")
    again = round_trip(model.fit(made.data, made.target), tmp_path)
    ours, theirs = (m.predict_proba(made.data) for m in (again, model))
    assert ours.equals(theirs) and ours.index.names[0] == "subject"


def test_splitters_and_detectors_come_back(tmp_path):
    cvs = SubjectKFold(4, random_state=3), PublishedKFold("disfa"), [([0], [1])]
    for cv in cvs:
        model = AUThresholdClassifier(landmark_baseline(), cv=cv)
        assert plain(round_trip(model, tmp_path).cv) == plain(cv)
    for detector in (MeshDetector(n_jobs=2), DlibDetector("68.dat", upsample=2)):
        again = round_trip(FaceAligner(detector=detector), tmp_path)
        assert repr(again.detector) == repr(detector)


ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
ATOMS |= st.floats(allow_nan=False)
KEYS = st.integers() | st.text(max_size=5)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=10,
)


@given(value=VALUES)
def test_values_of_parameters_come_back(value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "value"
    skfau.save(FaceAugmentation(rotation=value), path)
    again = skfau.load(path).rotation
    assert repr(again) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.float32([[np.nan, np.inf]]),
        np.array(3, np.int8),
        np.zeros((0, 2), bool),
        np.array(["a", "bcd"]),
        np.array(["x0", "ä"], dtype=object),
        np.float64(0.1),
        np.bool_(True),
    ],
    ids=repr,
)
def test_arrays_come_back_as_they_lie(array, tmp_path):
    again = round_trip(FaceAugmentation(rotation=array), tmp_path).rotation
    np.testing.assert_array_equal(again, array)
    assert np.shape(again) == np.shape(array)
    assert np.asarray(again).dtype == np.asarray(array).dtype
    assert np.isfortran(again) == np.isfortran(array)


def test_numpy_text_and_foreign_byte_orders_become_native(tmp_path):
    texts = round_trip(FaceAugmentation(rotation=np.str_("a")), tmp_path)
    assert texts.rotation == "a"
    numbers = FaceAugmentation(rotation=np.arange(3, dtype=">i4"))
    assert round_trip(numbers, tmp_path).rotation.tolist() == [0, 1, 2]


def test_a_network_alone_is_a_file_of_its_class(network, made, tmp_path):
    clf = network[-1]
    skfau.save(clf, tmp_path / "by function")
    clf.save(tmp_path / "by method")
    one, other = (
        (tmp_path / f"by {how}").read_bytes() for how in ("function", "method")
    )
    assert one == other
    aligned = network[:-1].transform(made.data)
    assert_same(skfau.load(tmp_path / "by method"), clf, aligned)


def test_a_file_of_the_first_version_is_read(network, made, tmp_path):
    network[-1].save(tmp_path / "new")
    with safe_open(tmp_path / "new", framework="numpy") as file:
        text = file.metadata()["skfau"]
    arrays = load_file(tmp_path / "new")
    save_file(arrays, tmp_path / "old", metadata={"skfau": text})
    aligned = network[:-1].transform(made.data)
    assert_same(skfau.load(tmp_path / "old"), network[-1], aligned)


@pytest.mark.parametrize("nested", [False, True])
def test_a_class_of_ones_own_is_named_to_load(nested, made, tmp_path):
    model = MyClassifier().fit(made.data, made.target)
    model = make_pipeline(FrozenEstimator(model)) if nested else model
    skfau.save(model, tmp_path / "mine")
    with pytest.raises(ValueError, match=r"mine cannot.*classes=\[MyClassifier\]\)"):
        skfau.load(tmp_path / "mine")
    again = skfau.load(tmp_path / "mine", classes=[MyClassifier])
    assert_same(again, model, made.data)
    with pytest.raises(TypeError, match=r"subclasses of BaseAUClassifier, got .*Mesh"):
        skfau.load(tmp_path / "mine", classes=[MeshDetector])


class Scaler(StandardScaler):
    """A class of the list with code of its own."""


def search():
    return GridSearchCV(landmark_baseline(), {}, cv=SubjectKFold(2), scoring=f1_scorer)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_pipeline(MinMaxScaler(), AULinearSVC()), "'minmaxscaler', a skl"),
        (lambda: SmoothedClassifier(make_pipeline(Scaler())), "'estimator__scaler'"),
        (lambda: make_pipeline(FaceAligner(detector=len)), "'facealigner__detector'"),
        (lambda: SmoothedClassifier(search()), "'estimator', a .*GridSearchCV"),
        (lambda: FaceAugmentation(rotation=[1, {2}]), r"'rotation\[1\]', a .*set:"),
        (lambda: FaceAugmentation(rotation=np.array([None])), "dtype object: numbers"),
        (lambda: 3.0, "this model, a builtins.float"),
    ],
)
def test_another_class_is_refused_by_the_name_of_its_step(make, message, tmp_path):
    with pytest.raises(TypeError, match=f"skfau.save cannot write .*{message}"):
        skfau.save(make(), tmp_path / "x")
    assert not names_in(tmp_path)


def test_a_search_is_saved_by_its_best(made, tmp_path):
    model = search().fit(made.data, made.target)
    with pytest.raises(TypeError, match="Save its best_estimator_"):
        skfau.save(model, tmp_path / "x")
    again = round_trip(model.best_estimator_, tmp_path)
    np.testing.assert_array_equal(again.predict(made.data), model.predict(made.data))


def test_attributes_that_are_not_ours_are_not_lost_in_silence(made, tmp_path):
    model = make_pipeline(LandmarkFeatures(), StandardScaler()).fit(made.data)
    model[-1].note_ = "mine"
    with pytest.raises(
        TypeError, match=r"no attribute 'note_' of a StandardSc.*'standardscaler'"
    ):
        skfau.save(model, tmp_path / "x")


def test_a_file_with_any_byte_changed_is_refused_or_the_same(tmp_path):
    path = tmp_path / "model"
    model = make_pipeline(LandmarkFeatures(), StandardScaler())
    model[-1].fit(np.float32([[1, 2], [3, 5]]))
    skfau.save(model, path)
    whole = path.read_bytes()
    n_refused = 0
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            again = skfau.load(path)
        except ValueError as error:
            assert str(path) in str(error)
            n_refused += 1
        else:
            # The name of the digest alone may be lost.
            np.testing.assert_array_equal(again[-1].mean_, model[-1].mean_)
            assert plain(again) == plain(model)
    assert n_refused > 0.98 * len(whole) / 3
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="model cannot be read as a classifier"):
        skfau.load(path)


HEADER = {"skfau_format": 1, "skfau_version": "9.0", "class": "FaceAligner"}
NODE = {"class": "FaceAligner", "parameters": {}, "fitted": {}, "output": {}}


def other(**changes):
    return {**HEADER, "objects": [{**NODE, **changes}]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "cannot be read as a classifier saved by skfau"),
        ([1], "header is no JSON object"),
        ({**HEADER, "skfau_format": 2}, "format 2, written by skfau 9.0"),
        ({**HEADER, "objects": []}, "x cannot be read as a classifier"),
        ({**HEADER, "objects": [3]}, "x cannot be read as a classifier"),
        ({**HEADER, "class": "DRMLClassifier"}, "KeyError"),
        ({**HEADER, "class": "system"}, "holds a system, which is no class of skfau"),
        (other(**{"class": "Popen"}), "holds a Popen, which is no class of skfau"),
        (other(parameters={"side": 3}), "unexpected keyword argument 'side'"),
        (other(parameters={"output_size": {"call": 1}}), "unknown kind 'call'"),
        (other(parameters={"output_size": {"array": ["7", "C"]}}), "KeyError"),
        (other(fitted={"transform": "x"}), "FaceAligner has no attribute 'transform'"),
        (other(output={"transform": "code"}), "no choice of an output"),
        (
            other(**{"class": "Pipeline"}, parameters={"steps": [], "memory": "/"}),
            "Pipeline has parameters that are never saved",
        ),
    ],
)
def test_a_file_of_a_stranger_is_refused(header, message, tmp_path):
    metadata = None if header is None else {"skfau": json.dumps(header)}
    save_file({"w": np.zeros(3)}, tmp_path / "x", metadata)
    with pytest.raises(ValueError, match=message) as caught:
        skfau.load(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)


def test_a_write_that_fails_leaves_the_old_file(made, tmp_path, monkeypatch):
    path = tmp_path / "model"
    skfau.save(FaceAligner(output_size=48), path)

    def fail(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    clf = MyClassifier().fit(made.data, made.target)
    for write in (lambda: skfau.save(FaceAligner(), path), lambda: clf.save(path)):
        with pytest.raises(OSError, match="no space left"):
            write()
    assert names_in(tmp_path) == ["model"]
    assert skfau.load(path).output_size == 48


def test_a_missing_file_or_folder_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        skfau.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        skfau.save(FaceAligner(), tmp_path / "nowhere" / "x")


def test_a_clone_of_what_was_loaded_can_be_fitted(network, made, tmp_path):
    skfau.save(network, tmp_path / "model")
    again = clone(skfau.load(tmp_path / "model")).set_params(
        fautransformerclassifier__n_threads=1
    )
    np.testing.assert_array_equal(
        again.fit(made.data, made.target).predict_proba(made.data),
        network.predict_proba(made.data),
    )
