"""A small AU classifier for tests: one learned cut per AU through one pixel each."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from skfau import Faces


def draw_faces(n_subjects=9, n_frames=12, n_aus=3, seed=0, unknown=0.0):
    """Faces whose pixel (0, j) is brighter when AU j is present, and their labels."""
    rng = np.random.default_rng(seed)
    n = n_subjects * n_frames
    y = (rng.random((n, n_aus)) < 0.4).astype(np.float32)
    bright = np.clip(90 + 60 * y + rng.normal(0, 45, y.shape), 0, 255).astype("uint8")
    y[rng.random(y.shape) < unknown] = np.nan
    images = np.repeat(bright[:, None, :, None], 3, axis=3)
    subjects = np.repeat([f"s{k}" for k in range(n_subjects)], n_frames)
    return Faces(images, subject=subjects), y


class MidpointClassifier(ClassifierMixin, BaseEstimator):
    """Logistic in the distance from the middle between the two class means."""

    def __init__(self, slope=8.0, aus=None):
        self.slope = slope
        self.aus = aus

    def fit(self, X, y):
        pixels = self._pixels(X)
        present, absent = (np.where(y == k, pixels, np.nan) for k in (1, 0))
        self.cuts_ = (np.nanmean(present, axis=0) + np.nanmean(absent, axis=0)) / 2
        self.classes_ = np.tile([0, 1], (y.shape[1], 1))
        if self.aus is not None:
            self.aus_ = self.aus
        return self

    def predict_proba(self, X):
        z = self.slope * (self._pixels(X) - self.cuts_)
        return (1 / (1 + np.exp(-z))).astype(np.float32)

    def predict(self, X):
        return (self.predict_proba(X) >= 0.5).astype(np.float32)

    @staticmethod
    def _pixels(X):
        return X.images[...][:, 0, :, 0] / 255
