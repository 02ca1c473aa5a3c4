"""Classifiers without a network, whose attention and probabilities are known."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin

from skfau import Faces

AUS = (1, 6, 12)
ALL_ABSENT = np.zeros((4, 3))


class Looker(ClassifierMixin, BaseEstimator):
    """Knows AUs by their first pixel; the last row of its input has no face."""

    def __init__(self, gain=1):
        self.gain = gain

    def fit(self, X, y):
        self.aus_, self.classes_ = AUS, np.tile([0, 1], (3, 1))
        return self

    def attention_maps(self, X):
        maps = np.ones((len(X), 3, 4, 4), np.float32) * self.brightness(X)
        maps[-1] = np.nan
        return maps

    def au_relations(self, X):
        relations = np.tile(np.eye(3, dtype=np.float32), (len(X), 1, 1))
        relations[0] = 1 / 3
        relations[-1] = np.nan
        return relations

    def predict_proba(self, X):
        return np.tile(self.brightness(X)[:, 0, 0], (1, 3)).astype(np.float32)

    def predict(self, X):
        return (self.predict_proba(X) > 0.5).astype(np.float32)

    def score(self, X, y):
        return 1.0

    @staticmethod
    def brightness(X):
        return X.images[...][:, :1, :1, :1] / np.float32(255)


class Negative(TransformerMixin, BaseEstimator):
    """Turns pixels round, so that a test sees whether it was applied."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        return X.with_images(255 - X.images[...])


class Tuned(ClassifierMixin, BaseEstimator):
    """A classifier around another one, with thresholds."""

    def __init__(self, estimator):
        self.estimator_ = estimator
        self.thresholds_ = np.array([0.2, 0.5, 0.9])

    def predict_proba(self, X):
        return self.estimator_.predict_proba(X)


def make_gray_faces():
    """Return four plain faces of videos "a", "a", "a", "b"."""
    images = np.empty((4, 8, 6, 3), np.uint8)
    images[:] = np.reshape([0, 51, 102, 255], (4, 1, 1, 1))
    return Faces(images, video=["a", "a", "a", "b"], frame=[5, 6, 9, 1])
