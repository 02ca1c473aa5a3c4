"""scikit-learn's own checks that need no table, on all that is exported."""

import inspect
import pickle

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.utils import estimator_checks, get_tags

from tests._midpoint import MidpointClassifier
from tests.small import BaseAUClassifier
from tests.test_docs import PUBLIC

CLASSES = [
    cls
    for cls in PUBLIC.values()
    if inspect.isclass(cls)
    and issubclass(cls, BaseEstimator)
    and cls is not BaseAUClassifier
]
REQUIRED = {
    "estimator": MidpointClassifier(),
    "estimators": [("one", MidpointClassifier())],
    "network": MidpointClassifier(),
}
CHECKS = [
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_mixin_order,
]
pytestmark = pytest.mark.parametrize("cls", CLASSES)


def make(cls):
    known = inspect.signature(cls).parameters
    return cls(**{k: v for k, v in REQUIRED.items() if k in known})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_scikit_learn_check(cls, check):
    check(cls.__name__, make(cls))


def test_init_only_assigns(cls):
    given = {name: object() for name in inspect.signature(cls).parameters}
    assert vars(cls(**given)) == given
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert getattr(make(cls), name) is parameter.default, name


def test_parameters_survive_clone_and_pickle(cls):
    estimator = make(cls)
    for again in (clone(estimator), pickle.loads(pickle.dumps(estimator))):
        assert str(again.get_params()) == str(estimator.get_params())
        assert get_tags(again) == get_tags(estimator)
