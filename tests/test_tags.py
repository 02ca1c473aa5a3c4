"""Tags of scikit-learn say of every public estimator what it does."""

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skfau.estimators import AULinearSVC, AULogisticRegression, ResNetClassifier
from skfau.exceptions import FaceImageError, LabelError
from skfau.model_selection import AUThresholdClassifier, AUVotingClassifier
from tests._midpoint import draw_faces
from tests.test_sklearn_rules import CLASSES, make

CLASSIFIERS = [cls for cls in CLASSES if is_classifier(make(cls))]
TRANSFORMERS = [cls for cls in CLASSES if hasattr(cls, "transform")]


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_classifiers_take_one_au_or_several(cls):
    tags = get_tags(make(cls))
    assert tags.target_tags.required
    assert tags.target_tags.single_output
    # Neither a transformer of labels, nor several classes per label.
    assert not tags.target_tags.one_d_labels
    assert not tags.target_tags.two_d_labels
    assert not tags.target_tags.multi_output
    assert tags.classifier_tags.multi_label
    assert not tags.classifier_tags.multi_class
    assert tags.requires_fit
    assert not tags.non_deterministic
    assert not tags.no_validation


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_classifiers_of_faces_refuse_tables(cls):
    estimator = make(cls)
    takes_tables = get_tags(estimator).input_tags.two_d_array
    given = draw_faces(n_subjects=2)[0] if takes_tables else np.zeros((4, 3))
    if hasattr(estimator, "estimator") or hasattr(estimator, "estimators"):
        pytest.skip("it has the tags of what it wraps")
    refused = r"X must be rows of features, got Faces|expected uint8 images"
    with pytest.raises((TypeError, FaceImageError), match=refused):
        estimator.fit(given, np.zeros((len(given), 12)))


@pytest.mark.parametrize("cls", TRANSFORMERS)
def test_transformers_learn_nothing(cls):
    tags = get_tags(make(cls))
    assert not tags.requires_fit
    assert not tags.target_tags.required
    assert not tags.non_deterministic
    is_of_faces = not tags.input_tags.two_d_array
    assert is_of_faces == (tags.transformer_tags.preserves_dtype == [])


def test_wrappers_have_the_tags_of_what_they_wrap():
    for inner, of_tables in ((AULinearSVC(), True), (ResNetClassifier(), False)):
        for wrapper in (
            AUThresholdClassifier(inner),
            AUVotingClassifier([("one", inner)]),
        ):
            tags = get_tags(wrapper)
            assert tags.input_tags.two_d_array == of_tables
            assert tags.input_tags.allow_nan == of_tables
            assert tags.classifier_tags.multi_label


def test_labels_are_required():
    with pytest.raises(LabelError, match="requires y to be passed"):
        AULinearSVC().fit(np.zeros((3, 2)), None)


OTHER_LABELS = "its labels are others than 0, 1 and NaN"
UNKNOWN = "predictions are float, as NaN stands for a row without a face"
# Strict: a check that passes must not be named here.
EXPECTED_FAILED = {
    "check_estimators_dtypes": OTHER_LABELS,
    "check_sample_weights_pandas_series": OTHER_LABELS,
    "check_sample_weights_not_an_array": OTHER_LABELS,
    "check_sample_weights_shape": OTHER_LABELS,
    "check_sample_weights_not_overwritten": OTHER_LABELS,
    "check_classifier_data_not_an_array": OTHER_LABELS,
    "check_classifiers_classes": OTHER_LABELS,
    "check_classifiers_regression_target": OTHER_LABELS,
    "check_classifier_not_supporting_multiclass": OTHER_LABELS,
    "check_fit2d_1feature": OTHER_LABELS,
    "check_supervised_y_2d": "labels of shape (n, 1) are a column of an AU",
    "check_class_weight_classifiers": "class_weight is a word or None",
    "check_classifiers_multilabel_output_format_predict": UNKNOWN,
}


@pytest.mark.filterwarnings("ignore:AU. never occurs")
@parametrize_with_checks(
    [AULogisticRegression(aus=None, C=10.0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)
