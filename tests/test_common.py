"""scikit-learn's own checks, on the base of every classifier fed with table rows.

The checks make tables and single labels. `RowClassifier` reads a row as one pixel and
a class as an AU; fitting, seeding, batching, persistence and prediction are the base's.
"""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.checks import RowClassifier

# Strict: a check that fails must be named here with its reason, one that passes must
# not. At present all pass.
EXPECTED_FAILED = {}


# A class whose rows all weigh 0 is an AU that never occurs.
@pytest.mark.filterwarnings("ignore:AU. never occurs")
@parametrize_with_checks(
    [RowClassifier(random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)
