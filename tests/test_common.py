"""scikit-learn's own checks, on the base of every classifier fed with table rows.

The checks make tables and single labels. `RowClassifier` reads a row as one pixel and
a class as an AU; fitting, seeding, batching, persistence and prediction are the base's.
"""

from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.checks import RowClassifier

EXPECTED_FAILED = {}


@parametrize_with_checks(
    [RowClassifier(random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_hardly_any_check_is_expected_to_fail():
    assert len(EXPECTED_FAILED) <= 1
