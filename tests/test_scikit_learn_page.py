"""The guide's page on scikit-learn is true: its table is run."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

from skfau import model_selection
from skfau.exceptions import MissingFaceWarning
from tests.test_single_au import ALIGNED, FOLDS, linear, make_missing, y

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "scikit_learn.rst"
TWO = np.column_stack([y, 1 - y])
TOOLS = {
    "GridSearchCV": lambda clf: GridSearchCV(
        clf, {}, cv=FOLDS, scoring="roc_auc", error_score="raise"
    ),
    "OneVsRestClassifier": OneVsRestClassifier,
    "MultiOutputClassifier": MultiOutputClassifier,
    "CalibratedClassifierCV, sigmoid": lambda clf: CalibratedClassifierCV(
        clf, cv=FOLDS
    ),
    "CalibratedClassifierCV, isotonic": lambda clf: CalibratedClassifierCV(
        clf, method="isotonic", cv=FOLDS
    ),
    "TunedThresholdClassifierCV": lambda clf: TunedThresholdClassifierCV(
        clf, thresholds=9, cv=FOLDS
    ),
    "FixedThresholdClassifier": lambda clf: FixedThresholdClassifier(
        clf, threshold=0.5
    ),
    "VotingClassifier, hard": lambda clf: VotingClassifier([("a", clf)]),
    "VotingClassifier, soft": lambda clf: VotingClassifier([("a", clf)], voting="soft"),
    "StackingClassifier": lambda clf: StackingClassifier([("a", clf)], cv=FOLDS),
    "BaggingClassifier": lambda clf: BaggingClassifier(clf, n_estimators=2),
    "OneVsOneClassifier": OneVsOneClassifier,
    "ClassifierChain": ClassifierChain,
}


def read_table():
    """Return the cells of each row of the page's table of tools."""
    text = PAGE.read_text("utf-8").split("What takes what")[1].split("\n\nThe last")[0]
    rows = re.findall(r"   \* - (.*)\n" + r"     -(.*)\n" * 3 + r"     -(.*)", text)
    return [[cell.replace("`", "").strip() for cell in row] for row in rows][1:]


ROWS = read_table()


def test_every_tool_is_in_the_table():
    assert [row[0] for row in ROWS] == list(TOOLS)


def outcome_of(tool, labels):
    try:
        return "yes", clone(tool).fit(ALIGNED, labels)
    except (ValueError, TypeError, NotImplementedError):
        return "no", None


@pytest.mark.parametrize(("name", "one", "several", "missing", "ours"), ROWS)
def test_the_table_is_true(name, one, several, missing, ours):
    tool = TOOLS[name](linear(aus=None))
    told, fitted = outcome_of(tool, y)
    assert told == one
    told, of_several = outcome_of(tool, TWO)
    assert told == several
    assert not ours or hasattr(model_selection, ours)
    if (fitted or of_several) is None:
        assert not missing
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingFaceWarning)
        try:
            called = (fitted or of_several).predict(make_missing(ALIGNED))[0]
        except (ValueError, TypeError):
            assert missing == "error"
            return
    unknown = np.isnan(called).all()
    assert missing == ("NaN" if unknown else "absent")
    assert unknown or not called.any()


def test_a_tool_per_au():
    stack = StackingClassifier([("a", linear(aus=None))], cv=FOLDS)
    proba = OneVsRestClassifier(stack).fit(ALIGNED, TWO).predict_proba(ALIGNED)
    alone = clone(stack).fit(ALIGNED, y).predict_proba(ALIGNED)
    np.testing.assert_allclose(proba[:, 0], alone[:, 1], rtol=1e-6)


def test_tools_of_tables_take_features():
    table, features = linear(aus=None)[0].transform(ALIGNED), linear(aus=None)[-1]
    for make in (BaggingClassifier, LogisticRegression):
        clf = make(clone(features)) if make is BaggingClassifier else make()
        assert clf.fit(table, y).predict(table).shape == (36,)
    chain = ClassifierChain(clone(features)).fit(table, TWO)
    assert chain.predict(table).shape == (36, 2)


def test_what_tools_learn_of_missing_faces():
    missing = make_missing(ALIGNED, 1)
    with pytest.warns(MissingFaceWarning, match="1 of 18 rows have no face"):
        tuned = TOOLS["TunedThresholdClassifierCV"](linear()).fit(missing, y)
    assert np.isnan(tuned.best_threshold_)
    with pytest.warns(MissingFaceWarning, match="1 of 18 rows have no face"):
        calibrated = TOOLS["CalibratedClassifierCV, sigmoid"](linear()).fit(missing, y)
    said = calibrated.calibrated_classifiers_[0].predict_proba(ALIGNED)
    np.testing.assert_array_equal(said, 0.5)
