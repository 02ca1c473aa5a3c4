"""Faces as X of scikit-learn and through joblib."""

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    train_test_split,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import resample, shuffle

from skfau import Faces

N = 24


class Brightness(BaseEstimator):
    """Predicts both AUs from the mean of a face, read a few rows at a time."""

    def __init__(self, cut=0.5):
        self.cut = cut

    def fit(self, X, y):
        assert isinstance(X, Faces) and len(X) == len(y)
        self.subjects_ = set(X.subject)
        self.classes_ = np.tile([0, 1], (2, 1))
        return self

    def predict(self, X):
        assert isinstance(X, Faces)
        means = [X.images[i : i + 5].mean(axis=(1, 2, 3)) for i in range(0, len(X), 5)]
        return np.stack([np.concatenate(means) > self.cut * 255] * 2, axis=1).astype(
            int
        )

    def score(self, X, y):
        return float((self.predict(X) == y).mean())


def score_on_strangers(estimator, X, y):
    assert not estimator.subjects_ & set(X.subject)
    return estimator.score(X, y)


class Darken(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X.with_images(X.images[...] // 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N, 1, 1, 1), np.uint8)
    path = tmp_path_factory.mktemp("x") / "x.npy"
    np.save(path, np.broadcast_to(images, (N, 8, 8, 3)))
    faces = Faces(
        np.load(path, mmap_mode="r"),
        landmarks=rng.random((N, 68, 2)),
        subject=np.arange(N) // 4,
    )
    return faces, np.repeat((images[:, 0, 0] > 127).astype(np.float32), 2, axis=1)


def test_splitting_helpers_return_views(data):
    faces, y = data
    X_train, X_test, y_train, y_test = train_test_split(faces, y, random_state=0)
    for X, labels in [
        (X_train, y_train),
        (X_test, y_test),
        shuffle(faces, y, random_state=0),
        resample(faces, y, random_state=0),
    ]:
        assert isinstance(X, Faces) and X.store is faces.store
        np.testing.assert_array_equal(labels, y[X.rows])


@pytest.mark.parametrize(
    "cv", [GroupKFold(3), LeaveOneGroupOut(), GroupShuffleSplit(2, random_state=0)]
)
def test_cross_validation_by_subject(data, cv):
    faces, y = data
    scores = cross_val_score(
        Brightness(),
        faces,
        y,
        groups=faces.subject,
        cv=cv,
        scoring=score_on_strangers,
    )
    assert (scores == 1).all()


def test_what_else_takes_x(data):
    faces, y = data
    by = {"groups": faces.subject, "cv": GroupKFold(3)}
    pipeline = Pipeline([("darken", Darken()), ("clf", Brightness(cut=0.25))])
    assert cross_validate(pipeline, faces, y, **by)["test_score"].mean() > 0.9
    np.testing.assert_array_equal(cross_val_predict(Brightness(), faces, y, **by), y)
    assert learning_curve(Brightness(), faces, y, **by)[2].mean() == 1
    assert len(list(KFold(4).split(faces))) == 4


def test_a_grid_search_in_two_processes(data):
    faces, y = data
    search = GridSearchCV(
        Brightness(),
        {"cut": [0.1, 0.5]},
        cv=GroupKFold(3),
        n_jobs=2,
        refit=False,
    ).fit(faces, y, groups=faces.subject)
    assert search.best_params_ == {"cut": 0.5}


def where_pixels_are(faces):
    array = faces.store._array
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return type(array).__name__, int(faces.images[3].sum())


def test_two_processes_share_the_pixels(data):
    mapped, _ = data
    held = Faces(np.ones((40, 120, 120, 3), np.uint8))
    found = Parallel(n_jobs=2)(
        delayed(where_pixels_are)(faces) for faces in (mapped[5:], held[5:])
    )
    assert found == [
        ("MappedArray", int(mapped.images[8].sum())),
        ("memmap", 120 * 120 * 3),
    ]


def test_a_cache_key_follows_the_file(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 8, 8, 3), np.uint8))
    faces = Faces(np.load(path, mmap_mode="r"), video=[0] * 4, frame=range(4))
    before = joblib.hash(faces)
    faces.neighbors(1)
    assert joblib.hash(faces) == before
    assert joblib.hash(faces[1:]) != before
    np.save(path, np.ones((5, 8, 8, 3), np.uint8))
    assert joblib.hash(faces) != before
