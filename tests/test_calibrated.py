"""Calibrated probabilities, thresholds and intensities of a fitted classifier."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.frozen import FrozenEstimator

from skfau import Faces
from skfau.exceptions import LabelError
from skfau.model_selection import CalibratedAUClassifier
from tests.lookers import Looker

AUS = (1, 6, 12)


class Known(Looker):
    """Gives probabilities that are the pixels of the faces."""

    def predict_proba(self, X):
        return X.images[...][:, 0, :, 0] / np.float32(255)


def make_rows(n=2000, seed=0):
    """Return faces whose pixels are probabilities, and intensities that follow them."""
    rng = np.random.default_rng(seed)
    images = rng.integers(3, 253, (n, 1, 3, 1), dtype=np.uint8).repeat(3, axis=3)
    odds = logit(images[:, 0, :, 0] / 255)
    # Half as sure as the classifier says, and seldom there.
    return Faces(images), np.clip(0.5 * odds + rng.logistic(size=(n, 3)) + 1, 0, 5)


def fitted(occurrence=2.0, **rows):
    faces, intensities = make_rows(**rows)
    known = FrozenEstimator(Known().fit(faces, intensities))
    clf = CalibratedAUClassifier(known, occurrence=occurrence)
    return clf.fit(faces, intensities), faces, intensities


def test_probabilities_are_as_often_right_as_they_say():
    clf, _, _ = fitted()
    faces, intensities = make_rows(seed=1)
    y_proba = clf.predict_proba(faces)
    for low in np.arange(0, 0.5, 0.1):
        chosen = (y_proba >= low) & (y_proba < low + 0.1)
        share = (intensities[chosen] >= 2).mean()
        assert share == pytest.approx(y_proba[chosen].mean(), abs=0.04)


def test_the_line_is_the_one_that_made_the_rows():
    clf, _, _ = fitted(n=20_000)
    # An AU is present if the noise is at least 1 - odds / 2.
    np.testing.assert_allclose(clf.coef_, 0.5, atol=0.05)
    np.testing.assert_allclose(clf.intercept_, -1, atol=0.1)


def test_thresholds_are_learned_and_cut_the_probabilities():
    clf, faces, intensities = fitted()
    y_proba = clf.predict_proba(faces)
    expected = (y_proba >= clf.thresholds_).astype(np.float32)
    np.testing.assert_array_equal(clf.predict(faces), expected)
    assert (clf.thresholds_ < 0.45).all()
    assert clf.score(faces, (intensities >= 2) * 1.0) > 0.5


def test_intensities_are_the_means_of_rows_of_equal_probability():
    clf, faces, intensities = fitted(n=20_000)
    predicted = clf.predict_intensity(faces)
    for au in range(3):
        for rows in np.array_split(np.argsort(predicted[:, au]), 8):
            expected = intensities[rows, au].mean()
            assert predicted[rows, au].mean() == pytest.approx(expected, abs=0.12)


@given(st.integers(0, 10_000))
def test_a_higher_probability_is_never_a_lower_intensity(seed):
    clf, _, _ = fitted(n=40, seed=seed)
    y_proba = np.linspace(0, 1, 50)[:, None].repeat(3, axis=1)
    intensities = clf.to_intensity(y_proba)
    assert (np.diff(intensities, axis=0) >= 0).all()
    assert intensities.min() >= 0
    assert intensities.max() <= 5


def test_rows_without_a_face_and_unknown_intensities_are_left_out():
    clf, faces, intensities = fitted()
    intensities[:50, 0] = np.nan

    class SeesHalf(Known):
        def predict_proba(self, X):
            y_proba = super().predict_proba(X).copy()
            y_proba[-100:] = np.nan
            return y_proba

    half = FrozenEstimator(SeesHalf().fit(faces, intensities))
    again = CalibratedAUClassifier(half).fit(faces, intensities)
    fewer = CalibratedAUClassifier(clf.estimator).fit(faces[:-100], intensities[:-100])
    np.testing.assert_array_equal(again.knots_, fewer.knots_)
    assert np.isnan(again.predict_intensity(faces)[-100:]).all()
    assert np.isnan(again.predict(faces)[-100:]).all()


def test_an_au_of_one_class_keeps_its_probabilities():
    faces, intensities = make_rows()
    intensities[:, 1], intensities[:, 2] = 0, np.nan
    clf = CalibratedAUClassifier(FrozenEstimator(Known().fit(faces, intensities)))
    y_proba = clf.fit(faces, intensities).predict_proba(faces)
    given = Known().predict_proba(faces)
    np.testing.assert_allclose(y_proba[:, 1:], given[:, 1:], atol=1e-6)
    # What is not known at all rises with the probability.
    np.testing.assert_allclose(clf.to_intensity(y_proba)[:, 2], 5 * given[:, 2], atol=1)


def test_where_an_au_starts_is_a_parameter():
    clf, faces, intensities = fitted(occurrence=1.0)
    found = clf.predict_proba(faces).mean(axis=0)
    np.testing.assert_allclose(found, (intensities >= 1).mean(axis=0), atol=0.01)


@pytest.mark.parametrize(
    ("intensities", "match"),
    [
        (np.zeros((4, 3, 1)), r"a row of intensities per face, \(4, n_aus\); got"),
        (np.full((4, 3), 6.0), r"in \[0, 5\] or NaN, got 6.0 in row 0, column 0"),
        (np.full((4, 3), -1.0), r"got -1.0 in row 0"),
    ],
)
def test_other_intensities_are_refused(intensities, match):
    faces, given = make_rows(n=4)
    clf = CalibratedAUClassifier(FrozenEstimator(Known().fit(faces, given)))
    with pytest.raises(LabelError, match=match):
        clf.fit(faces, intensities)


def test_a_classifier_that_is_not_frozen_is_refused():
    faces, intensities = make_rows(n=4)
    clf = CalibratedAUClassifier(Known().fit(faces, intensities))
    with pytest.raises(ValueError, match=r"instance of 'sklearn\.frozen"):
        clf.fit(faces, intensities)


def test_without_one_face_nothing_is_learned():
    faces, intensities = make_rows(n=4)

    class Blind(Known):
        def predict_proba(self, X):
            return np.full((len(X), 3), np.nan)

    clf = CalibratedAUClassifier(FrozenEstimator(Blind().fit(faces, intensities)))
    with pytest.raises(ValueError, match="all 4 have none"):
        clf.fit(faces, intensities)


def test_log_odds_of_certainty_are_finite():
    clf, _, _ = fitted()
    ends = clf.to_intensity(np.float32([[0, 0, 0], [1, 1, 1]]))
    assert np.isfinite(ends).all()
    assert (ends[1] > ends[0]).all()
