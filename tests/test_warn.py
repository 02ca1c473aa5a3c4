"""Warnings name the user's line, however deep in the libraries they begin."""

import doctest
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import make_scorer
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline

import skfau.metrics
from skfau.estimators import AULinearSVC, DRMLClassifier
from skfau.exceptions import MissingFaceWarning
from skfau.inspection import AttentionMapDisplay
from skfau.metrics import au_f1_score
from skfau.preprocessing import FaceAligner
from tests.lookers import ALL_ABSENT, Looker, make_gray_faces
from tests.small import make_small

# AU1 never occurs.
LABELS = np.float32([[0, 0], [0, 1]] * 6)


def files_of(caught):
    return {warning.filename for warning in caught}


@pytest.fixture
def table():
    return np.random.default_rng(0).normal(size=(12, 3))


def test_a_fit_names_its_caller(table):
    with pytest.warns(UserWarning, match="AU1 never occurs") as caught:
        AULinearSVC(aus=(1, 2)).fit(table, LABELS)
    assert files_of(caught) == {__file__}


def test_a_fit_inside_a_pipeline_names_its_caller(made):
    clf = make_pipeline(FaceAligner(output_size=66), make_small(DRMLClassifier))
    target = made.target.copy()
    target[:, 0] = 0
    with pytest.warns(UserWarning, match="AU1 never occurs") as caught:
        clf.fit(made.data, target)
    assert files_of(caught) == {__file__}


def test_fits_and_scores_of_a_cross_validation_name_its_caller(table):
    clf, scorer = AULinearSVC(aus=(1, 2)), make_scorer(au_f1_score)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_val_score(clf, table, LABELS, scoring=scorer, cv=KFold(2))
    kinds = {warning.category for warning in caught}
    assert kinds == {UserWarning, UndefinedMetricWarning}
    assert files_of(caught) == {__file__}


def test_a_display_names_its_caller():
    faces = make_gray_faces()
    blind = FaceAligner(detector=lambda images: np.full((len(images), 68, 2), np.nan))
    clf = make_pipeline(blind, Looker())
    with pytest.warns(MissingFaceWarning) as caught:
        clf.fit(faces, ALL_ABSENT)
        AttentionMapDisplay.from_estimator(clf, faces, ax=Figure().subplots())
    assert files_of(caught) == {__file__} and len(caught) > 1


def test_a_classifier_loaded_from_disk_names_who_loads(made, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    clf = make_small(DRMLClassifier, max_epochs=1).fit(made.data, made.target)
    joblib.dump(clf.set_params(device="cuda"), tmp_path / "clf.joblib")
    with pytest.warns(UserWarning, match="loaded onto the CPU") as caught:
        joblib.load(tmp_path / "clf.joblib")
    assert files_of(caught) == {__file__}


def test_a_doctest_of_the_package_is_a_caller():
    text = ">>> au_f1_score([[0, 0]], [[1, 1]])\nnan\n"
    names = vars(skfau.metrics) | {"au_f1_score": au_f1_score}
    test = doctest.DocTestParser().get_doctest(text, names, "skfau.metrics", None, 0)
    with pytest.warns(UndefinedMetricWarning) as caught:
        results = doctest.DocTestRunner().run(test)
    assert results.failed == 0
    assert files_of(caught) == {"<doctest skfau.metrics[0]>"}


def test_a_line_of_the_user_warns_once_and_another_again():
    def score():
        au_f1_score(LABELS, LABELS)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            score()
        au_f1_score(LABELS, LABELS)
    assert len({warning.lineno for warning in caught}) == len(caught) == 2


def test_warnings_can_be_errors():
    code = "from skfau.metrics import au_f1_score\nau_f1_score([[0]], [[1]])"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "UndefinedMetricWarning: F1 is undefined for column(s) 0" in run.stderr
    assert 'File "<string>", line 2' in run.stderr
