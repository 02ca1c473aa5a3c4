"""Models of strangers: a header asks for no more than its arrays are."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from skfau.estimators import FaceAugmentation
from skfau.estimators._parameters import NOT_SAVED
from tests.small import CLASSIFIERS, make_small

BIG = 10**9


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    """Return the header and the arrays of a saved classifier, by class."""
    found = {}

    def get(cls):
        if cls not in found:
            path = tmp_path_factory.mktemp("saved") / cls.__name__
            clf = make_small(cls, augmentation=FaceAugmentation(), max_epochs=1)
            clf.fit(made.data, made.target).save(path)
            arrays = load_file(path)
            text = path.read_bytes()
            n_bytes = int.from_bytes(text[:8], "little")
            header = json.loads(text[8 : 8 + n_bytes])["__metadata__"]["skfau"]
            found[cls] = json.loads(header), arrays
        return found[cls]

    return get


def crafted(files, cls, path, **changes):
    """Write a file of an earlier version, without a digest, with another header."""
    header, arrays = files(cls)
    header = {k: v for k, v in header.items() if k != "sha256"} | changes
    save_file(arrays, path, {"skfau": json.dumps(header)})
    return path


def with_parameters(files, cls, path, **parameters):
    own = files(cls)[0]["parameters"]
    return crafted(files, cls, path, parameters=own | parameters)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_a_file_of_before_has_no_digest_and_loads(cls, files, tmp_path, made):
    clf = cls.load(crafted(files, cls, tmp_path / "x"))
    assert clf.predict_proba(made.data[:2]).shape == (2, 12)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_no_parameter_makes_load_build_what_the_arrays_cannot_fill(
    cls, files, tmp_path
):
    parameters = files(cls)[0]["parameters"]
    numbers = [k for k, v in parameters.items() if type(v) in (int, type(None))]
    refused = []
    # To make a network of a thousand million layers would take days.
    for name in numbers:
        path = with_parameters(files, cls, tmp_path / "x", **{name: BIG})
        try:
            cls.load(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused.append(name)
    depths = {"encoder_layers", "decoder_layers", "fan_stacks", "embedding_dim"}
    assert depths & parameters.keys() <= set(refused)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("name", sorted(NOT_SAVED))
def test_where_it_runs_is_not_for_a_file_to_say(name, cls, files, tmp_path):
    path = with_parameters(files, cls, tmp_path / "x", **{name: str(tmp_path)})
    expected = f"no parameter {name!r}"
    if name in cls._get_param_names():
        expected = f"sets {name!r}, which no file does"
    with pytest.raises(ValueError, match=expected) as caught:
        cls.load(path)
    assert str(path) in str(caught.value)


AUGMENTED = {"FaceAugmentation": {"rotation": "far"}}
FAULTS = {
    "class": ({"class": 3}, "class is 3"),
    "no class": ({"class": None}, "class is None"),
    "parameters": ({"parameters": []}, "AttributeError"),
    "unknown": ({"parameters": {"newer": 1}}, "no parameter 'newer'.*another version"),
    "batch_size": ({"parameters": {"batch_size": 0}}, "'batch_size' parameter"),
    "augmentation": ({"parameters": {"augmentation": AUGMENTED}}, "'rotation' param"),
    "texts": ({"aus": ["x"] * 12}, "AUs are"),
    "twice": ({"aus": [1] * 12}, "AUs are"),
    "too many": ({"aus": list(range(10**5))}, "label counts"),
    "counts": ({"label_counts": [[-1] * 12] * 2}, "label counts"),
    "history": ({"history": 3}, "TypeError"),
    "constants": ({"constants": ["absent"]}, "KeyError"),
    "other network": ({"parameters": {"backbone": "resnet18"}}, "larger than|shape"),
    "format": ({"skfau_format": None}, "has format None"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_header_says_the_error_names_the_file(fault, files, tmp_path):
    cls = CLASSIFIERS[[c.__name__ for c in CLASSIFIERS].index("ResNetClassifier")]
    changes, message = FAULTS[fault]
    path = crafted(files, cls, tmp_path / "x", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        cls.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("change", ["lost", "added", "reshaped", "of another dtype"])
def test_arrays_are_those_of_the_network(change, files, tmp_path):
    cls = CLASSIFIERS[[c.__name__ for c in CLASSIFIERS].index("ResNetClassifier")]
    header, arrays = files(cls)
    arrays, header = dict(arrays), {k: v for k, v in header.items() if k != "sha256"}
    name = next(name for name in arrays if arrays[name].ndim > 1)
    if change == "lost":
        del arrays[name]
    elif change == "added":
        arrays["more"] = np.zeros(3, np.float32)
    elif change == "reshaped":
        arrays[name] = np.zeros((2, 2), np.float32)
    else:
        arrays[name] = arrays[name].astype(np.complex64)
    path = tmp_path / "x"
    save_file(arrays, path, {"skfau": json.dumps(header)})
    with pytest.raises(ValueError, match="array") as caught:
        cls.load(path)
    assert str(path) in str(caught.value)
