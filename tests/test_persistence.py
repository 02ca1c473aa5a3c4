"""Saved classifiers: one file, no code, the same predictions."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.pipeline import make_pipeline
from torch import nn

import skfau
from skfau.estimators import FaceAugmentation
from tests.small import CLASSIFIERS, make_small

pytestmark = pytest.mark.parametrize("cls", CLASSIFIERS)


@pytest.fixture(scope="module")
def saved(made, tmp_path_factory):
    cache = {}

    def get(cls):
        if cls not in cache:
            path = tmp_path_factory.mktemp("saved") / f"{cls.__name__}.safetensors"
            augmentation = FaceAugmentation(rotation=3, crop=0.1)
            clf = make_small(cls, augmentation=augmentation, max_epochs=1)
            clf.fit(made.data, made.target).save(path)
            cache[cls] = clf, path
        return cache[cls]

    return get


def test_a_loaded_classifier_is_the_saved_one(cls, saved, made):
    clf, path = saved(cls)
    loaded = cls.load(path)
    np.testing.assert_array_equal(
        loaded.predict_proba(made.data), clf.predict_proba(made.data)
    )
    assert loaded.aus_ == clf.aus_
    assert loaded.history_ == clf.history_
    assert loaded.augmentation.get_params() == clf.augmentation.get_params()
    same = {k: v for k, v in clf.get_params(deep=False).items() if k != "augmentation"}
    same.pop("n_threads")
    assert {k: loaded.get_params()[k] for k in same} == same


def test_the_class_is_found_by_its_name_alone_and_in_a_chain(
    cls, saved, made, tmp_path
):
    clf, path = saved(cls)
    skfau.save(make_pipeline(clf), tmp_path / "chain")
    loaded = skfau.load(path), skfau.load(tmp_path / "chain")[-1]
    for again in loaded:
        assert type(again) is cls
        np.testing.assert_array_equal(
            again.predict_proba(made.data), clf.predict_proba(made.data)
        )
    assert loaded[1].history_ == clf.history_
    assert str(loaded[1].get_params()) == str(loaded[0].get_params())


def test_weights_load_into_the_bare_network(cls, saved):
    clf, path = saved(cls)
    state = load_file(path)
    assert state.keys() == clf.net_.module_.network.state_dict().keys()


def test_a_saved_classifier_is_a_start_for_another(cls, saved, made):
    clf, path = saved(cls)
    again = make_small(cls, init_from=path, lr=1e-12, max_epochs=1)
    again.fit(made.data, made.target)
    was, now = clf.network_state(), again.network_state()
    weights = [n for n in was if n.endswith("weight") and was[n].ndim > 1]
    assert weights
    for name in weights:
        np.testing.assert_allclose(now[name], was[name], atol=1e-6, err_msg=name)


def test_another_class_is_refused(cls, saved, tmp_path):
    _, path = saved(cls)
    header = {"skfau_format": 1, "skfau_version": "0", "class": "Other"}
    save_file(load_file(path), tmp_path / "x", metadata={"skfau": json.dumps(header)})
    with pytest.raises(ValueError, match=f"holds a Other, not a {cls.__name__}"):
        cls.load(tmp_path / "x")


def test_another_format_is_refused(cls, saved, tmp_path):
    header = {"skfau_format": 99, "skfau_version": "9.0", "class": cls.__name__}
    path = tmp_path / "x"
    save_file(load_file(saved(cls)[1]), path, metadata={"skfau": json.dumps(header)})
    with pytest.raises(ValueError, match=r"format 99, written by skfau 9\.0"):
        cls.load(path)


def test_numpy_values_of_parameters_are_written(cls, made, tmp_path):
    augmentation = FaceAugmentation(rotation=np.float32(3))
    clf = make_small(cls, augmentation=augmentation, aus=np.array(made.aus))
    clf.set_params(max_epochs=1).fit(made.data, made.target).save(tmp_path / "x")
    assert cls.load(tmp_path / "x").aus_ == made.aus


@pytest.mark.parametrize("content", [b"", b"not a file of ours", b"\x80\x04K\x01."])
def test_something_else_is_refused(cls, content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a classifier saved"):
        cls.load(tmp_path / "x")


def test_a_module_as_backbone_cannot_be_written_as_text(cls, made, tmp_path):
    if "backbone : str or nn.Module" not in cls.__doc__:
        pytest.skip("its backbone is its own")
    backbone = nn.Conv2d(3, 8, 5, stride=3)
    clf = make_small(cls, backbone=backbone, max_epochs=1).fit(made.data, made.target)
    with pytest.raises(TypeError, match="parameter 'backbone' is a Conv2d"):
        clf.save(tmp_path / "x")


def test_parameters_of_another_network_are_refused(cls, made, tmp_path):
    clf = make_small(cls, max_epochs=1, aus=made.aus).fit(made.data, made.target)
    clf.set_params(aus=made.aus, batch_size=3)
    clf.save(tmp_path / "same")
    assert pickle.loads(pickle.dumps(clf)).batch_size == 3
    shaping = {"channels": 12, "fan_width": 48, "backbone": "resnet18"}
    name = next(name for name in shaping if name in clf.get_params())
    was = clf.get_params()[name]
    clf.set_params(**{name: shaping[name]})
    uses = [
        pickle.dumps,
        lambda c: c.save(tmp_path / "other"),
        lambda c: c.set_params(warm_start=True).fit(made.data, made.target),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=f"of another network.*{name}"):
            use(clf)
    # Nothing is lost.
    clf.set_params(**{name: was}).save(tmp_path / "back")
    np.testing.assert_array_equal(
        cls.load(tmp_path / "back").predict_proba(made.data),
        clf.predict_proba(made.data),
    )
