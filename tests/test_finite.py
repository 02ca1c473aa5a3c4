"""NaN means that a row has no face, never that a network is broken."""

import numpy as np
import pytest
import torch

from skfau import FAUTransformerClassifier
from skfau.estimators import BaseAUClassifier, System
from skfau.losses import WeightedBCE
from skfau.nn import PooledNet
from tests.small import CLASSIFIERS, SMALL, make_small


def break_network(clf, value=np.nan):
    with torch.no_grad():
        for weights in clf.net_.module_.network.parameters():
            weights.fill_(value)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_a_broken_network_is_an_error_not_a_missing_face(cls, made):
    landmarks = made.data.landmarks.copy()
    landmarks[1] = np.nan
    # One point that is not known makes no row without a face.
    landmarks[2, 3] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)[:6]
    clf = make_small(cls, max_epochs=1).fit(made.data[::2], made.target[::2])
    assert (np.isnan(clf.predict_proba(faces)).all(axis=1) == np.eye(6)[1]).all()
    break_network(clf)
    with pytest.raises(FloatingPointError, match=r"5 of 5 faces.*row 0.*Lower lr"):
        clf.predict_proba(faces)
    assert np.isnan(clf.predict_proba(faces[[1, 1]])).all()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "attention_maps"])
def test_every_output_of_a_network_is_looked_at(method, made):
    clf = make_small(FAUTransformerClassifier, max_epochs=1)
    clf.fit(made.data, made.target)
    break_network(clf, np.inf)
    with pytest.raises(FloatingPointError, match="not finite"):
        getattr(clf, method)(made.data[:3])


@pytest.mark.parametrize("lr", [1e2, 1e3])
@pytest.mark.parametrize("verb", ["fit", "partial_fit"])
def test_a_last_step_that_breaks_the_network_is_an_error(lr, verb, made):
    # One batch of one epoch: no loss is taken after the step.
    clf = make_small(
        FAUTransformerClassifier, lr=lr, max_epochs=1, batch_size=len(made.data)
    )
    with pytest.raises(FloatingPointError, match="training diverged"):
        getattr(clf, verb)(made.data, made.target)


class UnusedWeight(PooledNet):
    """A network with a weight that no output depends on."""

    def __init__(self, n_aus):
        super().__init__(n_aus, "tiny")
        self.unused = torch.nn.Parameter(torch.full((1,), np.nan))


class UnusedWeightClassifier(BaseAUClassifier):
    def __init__(self, *, image_size=48, max_epochs=1, random_state=None):
        self._set_parameters(locals())

    def _system(self, task):
        return System(network=UnusedWeight(task.n_aus), loss=WeightedBCE())


def test_a_fit_ends_with_finite_weights_or_an_error(made):
    clf = UnusedWeightClassifier(random_state=SMALL["random_state"])
    with pytest.raises(FloatingPointError, match=r"not finite \(unused"):
        clf.fit(made.data, made.target)
