"""AdaptedAUClassifier: a network goes on with new labels and forgets nothing."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator

from skfau import Faces
from skfau.exceptions import LabelError
from skfau.model_selection import AdaptedAUClassifier
from skfau.model_selection._adapted import _best_cut, _most_likely

rng = np.random.default_rng(0)
KNOWN = (1, 2, 4)


class Said(ClassifierMixin, BaseEstimator):
    """Says what is written in the pixels: a column per AU."""

    def __init__(self, aus=KNOWN, thresholds=(0.5, 0.3, 0.8)):
        self.aus = aus
        self.thresholds = thresholds

    def fit(self, X, y):
        self.targets_ = np.asarray(y)
        if self.aus is not None:
            self.aus_ = self.aus
        self.thresholds_ = np.array(self.thresholds)
        return self

    def predict_proba(self, X):
        return X.images[...][:, 0, : len(self.aus_), 0] / 255


class Constant(Said):
    """Says one half of every AU."""

    def predict_proba(self, X):
        return np.full((len(X), len(self.aus_)), 0.5, np.float32)


class Warns(Constant):
    """Warns as networks do."""

    def fit(self, X, y):
        warnings.warn("AU4 never occurs in the 6 training rows; ...", stacklevel=2)
        return super().fit(X, y)


def faces_of(n_faces=200):
    images = rng.integers(20, 230, (n_faces, 1, 5, 3), np.uint8)
    return Faces(images)


def adapted(network=None, **settings):
    start = FrozenEstimator(Said().fit(None, None))
    return AdaptedAUClassifier(start, network or Constant(), **settings)


def labels_of(faces, columns):
    """Return labels that the classifier's log-odds explain, with another cut."""
    odds = logit(Said().fit(None, None).predict_proba(faces))
    return (2 * odds + 1 > rng.logistic(size=odds.shape))[:, columns].astype(float)


def test_the_network_learns_labels_and_elsewhere_what_the_classifier_says():
    faces = faces_of(6)
    y = np.array([[1, 0], [0, 1], [np.nan, 0], [1, 1], [0, np.nan], [0, 0]])
    clf = adapted(aus=(4, 9)).fit(faces, y)
    said = Said().fit(None, None).predict_proba(faces)
    assert clf.estimator_.aus_ == (1, 2, 4, 9)
    np.testing.assert_array_equal(clf.estimator_.targets_[:, 2:], y)
    np.testing.assert_array_equal(
        clf.estimator_.targets_[:, :2], said[:, :2] >= [0.5, 0.3]
    )


def test_an_au_that_the_classifier_does_not_know_is_the_networks_alone():
    faces = faces_of()
    y = np.c_[labels_of(faces, [2]), rng.integers(0, 2, len(faces))]
    clf = adapted(Said(), aus=(4, 9)).fit(faces, y)
    expected = clf.estimator_.predict_proba(faces)[:, 3]
    np.testing.assert_allclose(clf.predict_proba(faces)[:, 1], expected, rtol=1e-6)


def test_a_known_au_is_the_mean_of_both_log_odds():
    faces = faces_of()
    clf = adapted(Said(), aus=(2,)).fit(faces, labels_of(faces, [1]))
    odds = logit(faces.images[...][:, 0, 1, 0] / 255)
    expected = expit((odds + clf.coef_ * odds + clf.intercept_) / 2)
    np.testing.assert_allclose(clf.predict_proba(faces)[:, 0], expected, rtol=1e-5)


def test_one_half_is_where_f1_is_best():
    faces = faces_of(20000)
    y = labels_of(faces, [0, 1, 2])
    called = adapted(Said()).fit(faces, y)
    odds = logit(Said().fit(None, None).predict_proba(faces))
    moved = odds * called.coef_ + called.intercept_
    for column, label in zip(moved.T, y.T, strict=True):
        cuts = np.linspace(-3, 3, 601)
        hits = np.array([(label * (column >= cut)).sum() for cut in cuts])
        calls = np.array([(column >= cut).sum() for cut in cuts])
        f1 = 2 * hits / (calls + label.sum())
        assert f1[300] > f1.max() - 0.003


def test_without_labels_of_an_au_the_classifier_keeps_its_probabilities():
    faces = faces_of()
    y = np.c_[np.full(len(faces), np.nan), labels_of(faces, [1])]
    clf = adapted(aus=(1, 2)).fit(faces, y)
    assert clf.coef_[0] == pytest.approx(1)
    assert clf.coef_[1] > 1.2


@pytest.mark.parametrize("n_faces", [0, 3, 400])
def test_slope_and_offset_are_those_of_the_penalised_likelihood(n_faces):
    odds = rng.normal(size=n_faces)
    label = (2 * odds + 1 > rng.logistic(size=n_faces)).astype(float)

    def loss(pair):
        p = expit(odds * pair[0] + pair[1])
        likelihood = label @ np.log(p) + (1 - label) @ np.log(1 - p)
        return 15 * ((pair[0] - 1) ** 2 + pair[1] ** 2) - likelihood

    best = minimize(loss, [1, 0], method="Nelder-Mead", options={"xatol": 1e-8}).x
    np.testing.assert_allclose(_most_likely(odds, label), best, atol=1e-4)


def test_the_best_cut_has_the_best_expected_f1():
    p = rng.uniform(size=50)
    expected = [2 * p[p >= cut].sum() / ((p >= cut).sum() + p.sum()) for cut in p]
    best = p[np.argmax(expected)]
    cut = _best_cut(p)
    assert cut <= best
    assert not ((p >= cut) & (p < best)).any()


def test_a_classifier_that_points_the_wrong_way_is_not_turned_round():
    faces = faces_of(2000)
    clf = adapted(aus=(1,)).fit(faces, 1 - labels_of(faces, [0]))
    assert clf.coef_[0] == 0


def test_y_of_another_width_is_an_error():
    with pytest.raises(LabelError, match="2"):
        adapted(aus=(1, 2)).fit(faces_of(4), np.ones((4, 3)))


def test_a_classifier_must_tell_its_aus():
    silent = Said(aus=None).fit(None, None)
    clf = AdaptedAUClassifier(FrozenEstimator(silent), Constant())
    with pytest.raises(ValueError, match="must be a fitted classifier with aus_"):
        clf.fit(faces_of(4), np.ones((4, 3)))


def test_an_au_that_no_row_has_is_a_warning_only_if_it_is_new():
    faces, y = faces_of(6), np.eye(6)[:, :2]
    adapted(Warns(), aus=(1, 2)).fit(faces, y)
    with pytest.warns(UserWarning, match="AU4 never occurs in the 6"):
        adapted(Warns(), aus=(1, 9)).fit(faces, y)


class Strong(Said):
    """Intensities are five times the probabilities."""

    def to_intensity(self, y_proba):
        return 5 * y_proba


def test_intensities_are_read_on_the_classifiers_scale():
    faces = faces_of()
    y = np.c_[labels_of(faces, [2, 0]), rng.integers(0, 2, len(faces))]
    start = FrozenEstimator(Strong().fit(None, None))
    clf = AdaptedAUClassifier(start, Constant(), aus=(4, 1, 9)).fit(faces, y)
    odds = logit(clf.predict_proba(faces).astype(float)) - clf.intercept_
    expected = 5 * expit(odds[:, :2] / clf.coef_[:2])
    told = clf.predict_intensity(faces)
    np.testing.assert_allclose(told[:, :2], expected, rtol=1e-4)
    assert np.isnan(told[:, 2]).all()


def test_without_a_scale_there_are_no_intensities():
    assert not hasattr(adapted(), "to_intensity")
    assert not hasattr(adapted(), "predict_intensity")
