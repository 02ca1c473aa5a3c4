"""The word "published" is the paper's augmentation in every class, or is refused."""

import re

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from skfau.estimators import FaceAugmentation
from tests.small import CLASSIFIERS, make_small
from tests.test_shared_docs import SHARED


def documented(cls):
    """Return the augmentation that a class documents as published, or None."""
    _, text = SHARED["augmentation"][cls.__name__]
    told = re.search(r'``"published"`` is ``(FaceAugmentation\(.*?\))``', text)
    return told and eval(told[1], {"FaceAugmentation": FaceAugmentation})


PUBLISHED = [cls for cls in CLASSIFIERS if documented(cls)]


def learn(cls, made, augmentation):
    clf = make_small(cls, max_epochs=1, augmentation=augmentation)
    clf.fit(made.data[::6], made.target[::6])
    return clf.history_[0]["train_loss"], clf.predict_proba(made.data[:4])


@pytest.mark.filterwarnings("ignore:no video")
@pytest.mark.parametrize("cls", PUBLISHED)
def test_published_is_what_the_class_documents(cls, made):
    assert cls().augmentation == "published"
    loss, proba = learn(cls, made, "published")
    expected = learn(cls, made, documented(cls))
    assert loss == expected[0]
    np.testing.assert_array_equal(proba, expected[1])
    assert loss != learn(cls, made, None)[0]


@pytest.mark.parametrize("cls", [cls for cls in CLASSIFIERS if cls not in PUBLISHED])
def test_a_class_without_one_refuses_the_word(cls, made):
    assert cls().augmentation is None
    with pytest.raises(InvalidParameterError, match="'augmentation' parameter of"):
        learn(cls, made, "published")
