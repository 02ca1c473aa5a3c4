"""HOG and LBP against slow definitions; linear models per AU; the chains."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import LinearSVC

from skfau import FaceAligner, Faces
from skfau.estimators import (
    AULinearSVC,
    AULogisticRegression,
    hog_baseline,
    landmark_baseline,
)
from skfau.exceptions import (
    FaceImageError,
    LabelError,
    MissingColumnError,
    MissingFaceWarning,
)
from skfau.facs import to_68
from skfau.metrics import f1_scorer
from skfau.model_selection import SubjectKFold, oof_predict_proba
from skfau.preprocessing import HOGFeatures, LandmarkFeatures, LBPFeatures

LUMA = np.array([0.299, 0.587, 0.114])
DESCRIPTORS = pytest.mark.parametrize("cls", [HOGFeatures, LBPFeatures])
LINEAR = {
    AULinearSVC: LinearSVC(C=0.1, class_weight="balanced", dual=False, tol=1e-3),
    AULogisticRegression: LogisticRegression(C=0.1, class_weight="balanced"),
}
PER_AU = pytest.mark.parametrize("cls", LINEAR)
CHAINS = {
    "hog": lambda: hog_baseline("hog", output_size=48),
    "lbp": lambda: hog_baseline("lbp", output_size=48),
    "landmarks": landmark_baseline,
}


@pytest.mark.parametrize(
    "parameters",
    [{}, {"cell_size": 7, "block_size": 3}, {"n_orientations": 6, "block_size": 1}],
)
def test_hog_is_that_of_scikit_image(parameters, made):
    hog = pytest.importorskip("skimage.feature").hog
    parameters = {"cell_size": 12, "block_size": 2, "n_orientations": 9} | parameters
    features = HOGFeatures(**parameters).fit_transform(made.data[:6])
    assert features.dtype == np.float32
    for image, ours in zip(made.data.images[:6], features, strict=True):
        expected = hog(
            image.astype(np.float32) @ LUMA.astype(np.float32),
            orientations=parameters["n_orientations"],
            pixels_per_cell=(parameters["cell_size"],) * 2,
            cells_per_block=(parameters["block_size"],) * 2,
        )
        # A direction on the line between two bins may fall to either side.
        assert np.mean(abs(ours - expected) > 1e-4) < 0.02
        assert np.linalg.norm(ours - expected) < 0.02 * np.linalg.norm(expected)


def slow_lbp(image, cell):
    """Count patterns pixel by pixel."""
    grey = np.rint(image @ LUMA).astype(int)
    around = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]

    def changes(bits):
        return sum(bits[i] != bits[i - 1] for i in range(8))

    def bits_of(number):
        return [number >> i & 1 for i in range(8)]

    uniform = [k for k in range(256) if changes(bits_of(k)) <= 2]
    rows, columns = grey.shape[0] // cell, grey.shape[1] // cell
    counts = np.zeros((rows, columns, 59))
    for y in range(1, grey.shape[0] - 1):
        for x in range(1, grey.shape[1] - 1):
            if y // cell >= rows or x // cell >= columns:
                continue
            bits = [int(grey[y + dy, x + dx] >= grey[y, x]) for dy, dx in around]
            number = sum(bit << i for i, bit in enumerate(bits))
            at = uniform.index(number) if number in uniform else 58
            counts[y // cell, x // cell, at] += 1
    return np.sqrt(counts / counts.sum(axis=-1, keepdims=True)).ravel()


@pytest.mark.parametrize("cell", [14, 9])
def test_lbp_is_counted_pixel_by_pixel(cell, made):
    features = LBPFeatures(cell_size=cell).fit_transform(made.data[:2])
    for image, ours in zip(made.data.images[:2], features, strict=True):
        np.testing.assert_allclose(ours, slow_lbp(image, cell), atol=1e-6)


@DESCRIPTORS
def test_batches_change_nothing_and_faceless_rows_are_nan(cls, made):
    landmarks = made.data.landmarks[:9].copy()
    landmarks[4] = np.nan
    faces = made.data[:9].with_columns(landmarks=landmarks)
    features = cls(batch_size=2).fit_transform(faces)
    np.testing.assert_array_equal(cls().transform(faces), features)
    assert np.isnan(features[4]).all()
    assert np.isfinite(np.delete(features, 4, axis=0)).all()


@DESCRIPTORS
@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_face_is_finite(cls, value):
    images = np.full((2, 30, 30, 3), value, np.uint8)
    assert np.isfinite(cls().fit_transform(images)).all()


@DESCRIPTORS
def test_what_cannot_be_described_is_refused(cls, made):
    with pytest.raises(ValueError, match=r"at least .* px high and wide"):
        cls(cell_size=50).fit(made.data)
    with pytest.raises(ValueError, match="'cell_size' parameter of"):
        cls(cell_size=0).fit(made.data)
    ragged = Faces([np.zeros((48, 48, 3), np.uint8), np.zeros((50, 48, 3), np.uint8)])
    with pytest.raises(FaceImageError, match="Align the faces first"):
        cls().transform(ragged)
    with pytest.raises(TypeError, match="X must be Faces"):
        cls().fit(None)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5)).astype(np.float32)
    y = (X[:, :3] + 0.3 * rng.normal(size=(60, 3)) > 0.2).astype(np.float32)
    y[::4, 1] = np.nan
    return X, y


@PER_AU
def test_each_au_has_the_machine_of_its_known_rows(cls, table):
    X, y = table
    clf = cls(C=0.1, aus=(1, 2, 4)).fit(X, y)
    for au in range(3):
        known = np.isfinite(y[:, au])
        machine = clone(LINEAR[cls]).fit(X[known], y[known, au])
        np.testing.assert_allclose(
            clf.decision_function(X)[:, au], machine.decision_function(X), rtol=1e-4
        )
    proba = clf.predict_proba(X)
    assert proba.dtype == np.float32 and proba.min() > 0 and proba.max() < 1
    np.testing.assert_array_equal(proba >= 0.5, clf.predict(X))
    assert clf.score(X, y) > 0.8


def test_a_logistic_regression_gives_its_own_probabilities(table):
    X, y = table
    y = np.nan_to_num(y)
    clf = AULogisticRegression(C=0.1, aus=None).fit(X, y)
    model = LogisticRegression(C=0.1, class_weight="balanced").fit(X, y[:, 2])
    np.testing.assert_allclose(
        clf.predict_proba(X)[:, 2], model.predict_proba(X)[:, 1], atol=1e-5
    )


@PER_AU
def test_rows_with_nan_neither_train_nor_get_a_guess(cls, table):
    X, y = table
    holes = X.copy()
    holes[::3, 2] = np.nan
    holes[4, 1] = np.inf
    seen = np.isfinite(holes).all(axis=1)
    clf = cls(aus=None).fit(holes, y)
    whole = cls(aus=None).fit(X[seen], y[seen])
    np.testing.assert_array_equal(clf.coef_, whole.coef_)
    for output in (clf.predict(holes), clf.predict_proba(holes)):
        np.testing.assert_array_equal(np.isnan(output).all(axis=1), ~seen)
        assert np.isfinite(output[seen]).all()


@PER_AU
def test_an_au_that_never_occurs_is_never_called(cls, table):
    X, y = table
    y[:, 0] = 0
    with pytest.warns(UserWarning, match="AU1 never occurs in the 60 training rows"):
        clf = cls(aus=(1, 2, 4)).fit(X, y)
    assert not clf.predict(X)[:, 0].any()


def test_labels_that_do_not_fit_are_refused(table):
    X, y = table
    with pytest.raises(LabelError, match="y has 3 columns, but aus names 12"):
        AULinearSVC().fit(X, y)
    with pytest.raises(LabelError, match="60 rows but y has 59"):
        AULinearSVC(aus=None).fit(X, y[1:])
    with pytest.raises(LabelError, match="all 60 rows have NaN"):
        AULinearSVC(aus=None).fit(np.full_like(X, np.nan), y)
    with pytest.raises(ValueError, match="'C' parameter of AULinearSVC"):
        AULinearSVC(C=0.0, aus=None).fit(X, y)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros(60), ValueError, "Expected 2D array"),
        (np.zeros((60, 4)), ValueError, "X has 4 features, .* is expecting 5"),
        (np.full((60, 5), "a"), ValueError, "could not convert"),
        (Faces(np.zeros((60, 8, 8, 3), np.uint8)), TypeError, "put HOGFeatures"),
    ],
)
def test_features_that_do_not_fit_are_refused(table, X, error, message):
    clf = AULinearSVC(aus=None).fit(*table)
    with pytest.raises(error, match=message):
        clf.predict(X)


@PER_AU
def test_features_named_in_another_order_are_refused(cls, table):
    X, y = table
    named = pd.DataFrame(X, columns=list("abcde"))
    clf = cls(aus=None).fit(named, y)
    bare = cls(aus=None).fit(X, y)
    np.testing.assert_array_equal(clf.predict(named), bare.predict(X))
    with pytest.raises(ValueError, match="in the same order as they were in fit"):
        clf.predict(named[list("bacde")])


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
@pytest.mark.parametrize("features", CHAINS)
def test_the_chain_works_in_scikit_learn(features, made):
    target = made.target.copy()
    target[::5, ::2] = np.nan
    clf = CHAINS[features]()
    cv = SubjectKFold(2)
    scores = cross_val_score(
        clf, made.data, target, cv=cv, scoring=f1_scorer, error_score="raise"
    )
    assert scores.shape == (2,) and np.isfinite(scores).all()
    proba = oof_predict_proba(clf, made.data, target, cv=cv)
    assert proba.shape == target.shape and np.isfinite(proba).all()
    assert clone(clf).fit(made.data, target).score(made.data, target) > 0.8


def test_the_chain_can_be_searched(made):
    grid = {"svm__C": [1e-4, 1e-2], "features__cell_size": [12]}
    search = GridSearchCV(
        hog_baseline(output_size=48),
        grid,
        cv=SubjectKFold(2),
        scoring=f1_scorer,
        error_score="raise",
    )
    assert search.fit(made.data, made.target).best_params_["features__cell_size"] == 12


@pytest.mark.parametrize("features", CHAINS)
def test_a_face_that_was_not_found_stays_unknown_through_the_chain(features, made):
    landmarks = made.data.landmarks.copy()
    landmarks[3] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    clf = CHAINS[features]().set_params(align__landmarks="given")
    with pytest.warns(MissingFaceWarning, match="row 3: no landmarks"):
        proba = clf.fit(faces, made.target).predict_proba(faces)
    assert np.isnan(proba[3]).all() and np.isfinite(np.delete(proba, 3, 0)).all()


def test_other_features_are_refused():
    with pytest.raises(ValueError, match=r"must be 'hog' or 'lbp'\. Got 'sift'"):
        hog_baseline("sift")


def test_landmark_features_are_positions_from_the_middle(made):
    faces = FaceAligner(output_size=100).fit_transform(made.data[:5])
    points = to_68(faces.landmarks[:, np.setdiff1d(np.arange(17, 68), [60, 64])])
    features = LandmarkFeatures().fit_transform(faces.with_columns(landmarks=points))
    assert features.shape == (5, 98) and features.dtype == np.float32
    # BP4D's 49 points and all 68 give the same.
    np.testing.assert_array_equal(LandmarkFeatures().transform(faces), features)
    nose = features[:, 2 * (30 - 17) :][:, :2]
    np.testing.assert_allclose(100 * nose + 49.5, faces.landmarks[:, 30], atol=1e-4)


def test_landmark_features_read_no_pixel(made):
    def refuse(rows):
        raise AssertionError("a pixel was read")

    faces = FaceAligner(output_size=64).fit_transform(made.data)
    faces.store.gather = refuse
    assert np.isfinite(LandmarkFeatures().fit_transform(faces)).all()


def test_landmark_features_need_landmarks():
    with pytest.raises(MissingColumnError, match="no column 'landmarks'"):
        LandmarkFeatures().fit(Faces(np.zeros((2, 8, 8, 3), np.uint8)))
