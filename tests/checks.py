"""A classifier of table rows over the real base, for scikit-learn's own checks."""

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from skfau import Faces
from skfau.estimators import BaseAUClassifier, System
from skfau.losses import WeightedBCE


class RowStore:
    """Rows of a table as images of one pixel with as many channels as features."""

    image_shape = (1, 1)

    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def gather(self, rows):
        return self.table[rows][:, None, None, :]

    def fingerprint(self):
        return str(hash(self.table.tobytes()))


def as_faces(table):
    """Return rows of a table as `Faces`."""
    return Faces(RowStore(table))


class RowInput(nn.Module):
    """Stands where `PreparedNetwork` does: standardise nothing, forward a row."""

    image_size = 1

    def __init__(self, network, **size_and_colours):
        super().__init__()
        self.network = network

    def forward(self, images, method="forward"):
        return getattr(self.network, method)(images[:, 0, 0].double())


class RowNetwork(nn.Sequential):
    def __init__(self, n_features, n_aus):
        hidden = nn.Linear(n_features, 32)
        super().__init__(hidden, nn.Tanh(), nn.Linear(32, n_aus))
        self.double()


class RowClassifier(BaseAUClassifier):
    """The base on a table: every class of `y` is one AU, the likeliest one wins."""

    def __init__(
        self,
        *,
        lr=0.02,
        weight_decay=0.0,
        batch_size=32,
        max_epochs=60,
        early_stopping=False,
        validation_fraction=0.2,
        patience=5,
        warm_start=False,
        checkpoint_dir=None,
        callbacks=None,
        device="cpu",
        precision="float32",
        n_threads=None,
        verbose=0,
        random_state=None,
    ):
        self._set_parameters(locals())

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        labels = np.eye(len(classes), dtype=np.float32)[codes]
        super().fit(as_faces(X), labels, sample_weight)
        self.classes_ = classes
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        first = not hasattr(self, "net_")
        X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
        classes = np.unique(classes) if first else self.classes_
        codes = np.searchsorted(classes, y)
        labels = np.eye(len(classes), dtype=np.float32)[codes]
        super().partial_fit(as_faces(X), labels, sample_weight)
        self.classes_ = classes
        return self

    def _system(self, task):
        return System(
            network=RowNetwork(self.n_features_in_, task.n_aus),
            loss=WeightedBCE(),
            prepare=RowInput,
        )

    def predict_proba(self, X):
        check_is_fitted(self, "net_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        proba = self._probabilities(as_faces(X)).astype(np.float64)
        return proba / proba.sum(axis=1, keepdims=True)

    def predict(self, X):
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def score(self, X, y, sample_weight=None):
        return float(np.average(self.predict(X) == y, weights=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.classifier_tags.multi_label = False
        tags.classifier_tags.multi_class = True
        return tags
