"""The contract of every AU classifier, on faces."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skfau import Faces
from skfau.exceptions import FaceImageError, LabelError, MissingColumnError
from tests.small import CLASSIFIERS, make_small

pytestmark = pytest.mark.parametrize("cls", CLASSIFIERS)


@pytest.fixture(scope="module")
def fitted(made):
    """Return one fitted classifier per class, fitted once."""
    cache = {}

    def get(cls):
        if cls not in cache:
            cache[cls] = make_small(cls).fit(made.data, made.target)
        return cache[cls]

    return get


def test_probabilities_have_a_column_per_au(cls, fitted, made):
    proba = fitted(cls).predict_proba(made.data)
    assert proba.shape == made.target.shape and proba.dtype == np.float32
    assert proba.min() >= 0 and proba.max() <= 1
    assert fitted(cls).aus_ == made.aus
    assert fitted(cls).classes_.tolist() == [[0, 1]] * len(made.aus)


def test_predict_is_the_probability_cut_at_one_half(cls, fitted, made):
    clf = fitted(cls)
    expected = clf.predict_proba(made.data) >= 0.5
    np.testing.assert_array_equal(clf.predict(made.data), expected)
    assert clf.predict(made.data).dtype == np.float32


def test_fit_returns_self_and_changes_no_parameter(cls, made):
    clf = make_small(cls, max_epochs=1)
    before = clf.get_params()
    assert clf.fit(made.data[::2], made.target[::2]) is clf
    assert clf.get_params() == before
    assert clone(clf).get_params().keys() == before.keys()


def test_fit_changes_neither_faces_nor_labels(cls, made):
    pixels, labels = made.data.images[...].copy(), made.target.copy()
    make_small(cls, max_epochs=1).fit(made.data[::2], labels[::2])
    np.testing.assert_array_equal(made.data.images[...], pixels)
    np.testing.assert_array_equal(labels, made.target)


def test_unfitted_says_so(cls, made):
    with pytest.raises(NotFittedError, match="not fitted"):
        make_small(cls).predict_proba(made.data)


def test_rows_do_not_depend_on_their_neighbours(cls, fitted, made):
    clf = fitted(cls)
    rows = np.random.default_rng(0).permutation(len(made.data))[:30]
    together = clf.predict_proba(made.data)[rows]
    np.testing.assert_allclose(clf.predict_proba(made.data[rows]), together, atol=1e-5)


def test_single_face(cls, fitted, made):
    assert fitted(cls).predict_proba(made.data[:1]).shape == (1, len(made.aus))


def test_bare_array_of_images_predicts_like_faces(cls, fitted, made):
    clf = fitted(cls)
    # Of frames of a video, a temporal network knows more than their pixels.
    faces = made.data[:8].with_columns(video=None, frame=None)
    if clf.net_.system.inputs:
        with pytest.raises(MissingColumnError, match="X has no column 'landmarks'"):
            clf.predict_proba(faces.images[:])
        return
    np.testing.assert_array_equal(
        clf.predict_proba(faces.images[:]), clf.predict_proba(faces)
    )


def test_rows_without_a_face_are_nan_in_every_output(cls, fitted, made):
    landmarks = made.data.landmarks.copy()
    landmarks[[1, 4]] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    for output in (fitted(cls).predict_proba(faces), fitted(cls).predict(faces)):
        np.testing.assert_array_equal(
            np.flatnonzero(np.isnan(output).all(axis=1)), [1, 4]
        )
        assert np.isfinite(np.delete(output, [1, 4], axis=0)).all()


def test_no_face_at_all_gives_nan_of_the_right_shape(cls, fitted, made):
    faces = made.data.with_columns(landmarks=np.full_like(made.data.landmarks, np.nan))
    proba = fitted(cls).predict_proba(faces)
    assert proba.shape == made.target.shape and np.isnan(proba).all()


def test_rows_without_a_face_do_not_train(cls, made):
    landmarks = made.data.landmarks.copy()
    kept = np.arange(len(landmarks)) % 3 > 0
    landmarks[~kept] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    holes = make_small(cls, max_epochs=1).fit(faces, made.target)
    clean = make_small(cls, max_epochs=1).fit(faces[kept], made.target[kept])
    np.testing.assert_array_equal(
        holes.predict_proba(made.data), clean.predict_proba(made.data)
    )


def test_unknown_labels_train(cls, made):
    target = made.target.copy()
    target[::3, ::2] = np.nan
    proba = (
        make_small(cls, max_epochs=1).fit(made.data, target).predict_proba(made.data)
    )
    assert np.isfinite(proba).all()


def test_pickle_keeps_predictions(cls, fitted, made):
    clf = fitted(cls)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(
        again.predict_proba(made.data), clf.predict_proba(made.data)
    )
    assert again.history_ == clf.history_


def test_set_output_names_the_columns(cls, fitted, made):
    clf = pickle.loads(pickle.dumps(fitted(cls))).set_output(predict_proba="pandas")
    frame = clf.predict_proba(made.data)
    assert frame.columns.tolist() == [f"AU{au}" for au in made.aus]
    assert clone(clf)._sklearn_output_config == {"predict_proba": "pandas"}
    with pytest.raises(ValueError, match="'default', 'pandas' or None"):
        clf.set_output(predict_proba="polars")


def test_label_frames_name_their_aus(cls, made):
    pandas = pytest.importorskip("pandas")
    columns = [f"AU{au}" for au in made.aus]
    frame = pandas.DataFrame(made.target, columns=columns)
    clf = make_small(cls, max_epochs=1, aus=None).fit(made.data, frame)
    assert clf.aus_ == made.aus
    with pytest.raises(LabelError, match="the columns of y are"):
        make_small(cls).fit(made.data, frame[columns[::-1]])


def test_a_number_that_facs_lacks_is_a_label_of_ones_own(cls, made):
    clf = make_small(cls, max_epochs=1, aus=(12, 99))
    needs = cls.__doc__.partition("labels of your own. These ")[2]
    if needs:
        said = "AU99 has no desc" if needs.startswith("need") else "There is no AU99"
        with pytest.raises(ValueError, match=said):
            clf.fit(made.data, made.target[:, :2])
        return
    clf.fit(made.data, made.target[:, :2]).set_output(predict_proba="pandas")
    assert clf.predict_proba(made.data[:2]).columns.tolist() == ["AU12", "AU99"]


def test_history_has_the_loss_and_its_parts(cls, fitted):
    history = fitted(cls).history_
    assert len(history) == 2
    assert all(np.isfinite(row["train_loss"]) for row in history)


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
def test_score_is_macro_f1_over_known_labels(cls, fitted, made):
    target = made.target.copy()
    target[:20] = np.nan
    clf = fitted(cls)
    assert clf.score(made.data, target) == clf.score(made.data[20:], made.target[20:])


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
def test_score_knows_its_aus_by_name(cls, fitted, made):
    pandas = pytest.importorskip("pandas")
    columns = [f"AU{au}" for au in reversed(made.aus)]
    frame = pandas.DataFrame(made.target[:, ::-1], columns=columns)
    with pytest.raises(LabelError, match="the columns of y are"):
        fitted(cls).score(made.data, frame)


@pytest.mark.parametrize(
    ("aus", "said"),
    [(("AU1c", *range(2, 13)), "named by its number"), ((1,) * 12, "every AU once")],
)
def test_odd_au_names_are_refused(cls, made, aus, said):
    with pytest.raises(LabelError, match=said):
        make_small(cls, aus=aus).fit(made.data, made.target)


def test_a_failed_refit_leaves_the_fitted_classifier_whole(cls, made):
    clf = make_small(cls, max_epochs=1).fit(made.data, made.target)
    with pytest.raises(LabelError):
        clf.set_params(aus=(1, 2)).fit(made.data, made.target)
    assert clf.aus_ == made.aus
    assert clf.predict_proba(made.data[:2]).shape == (2, len(made.aus))


def test_a_pickle_from_a_gpu_opens_on_a_cpu(cls, fitted, made, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    clf = pickle.loads(pickle.dumps(fitted(cls))).set_params(device="cuda")
    with pytest.warns(UserWarning, match="loaded onto the CPU"):
        again = pickle.loads(pickle.dumps(clf))
    assert np.isfinite(again.predict_proba(made.data)).all()


def test_a_device_that_is_none_names_the_parameter(cls, made):
    with pytest.raises(ValueError, match=r"device must be 'auto', .* got 'gpu'"):
        make_small(cls, device="gpu").fit(made.data, made.target)


def test_wrong_label_value_is_named(cls, made):
    target = made.target.copy()
    target[3, 2] = 2
    with pytest.raises(LabelError, match=r"got 2\.0 in row 3, column 2"):
        make_small(cls).fit(made.data, target)


def test_wrong_number_of_columns_says_which_aus_were_expected(cls, made):
    with pytest.raises(LabelError, match=r"y has 8 columns, but aus names 12 AUs"):
        make_small(cls).fit(made.data, made.target[:, :8])


def test_wrong_number_of_rows(cls, made):
    with pytest.raises(LabelError, match="96 rows but y has 95"):
        make_small(cls).fit(made.data, made.target[1:])


def test_all_labels_of_an_au_unknown(cls, made):
    target = made.target.copy()
    target[:, 1] = np.nan
    with pytest.raises(LabelError, match="Every training label of AU2 is NaN"):
        make_small(cls).fit(made.data, target)


def test_au_without_a_positive_warns_and_trains(cls, made):
    target = made.target.copy()
    target[:, 1] = 0
    with pytest.warns(UserWarning, match="AU2 never occurs in the 96 training rows"):
        clf = make_small(cls, max_epochs=1).fit(made.data, target)
    assert np.isfinite(clf.predict_proba(made.data)).all()


def test_faces_of_different_size_say_align_first(cls, made):
    images = [np.zeros((48, 48, 3), np.uint8), np.zeros((50, 40, 3), np.uint8)]
    videos = {"video": ["v", "v"], "frame": [1, 2]}
    faces = Faces(images, landmarks=made.data.landmarks[:2], **videos)
    with pytest.raises(FaceImageError, match="Align the faces first"):
        make_small(cls).fit(faces, np.float32([[0] * 12, [1] * 12]))


def test_bad_parameter_is_refused_at_fit(cls, made):
    with pytest.raises(ValueError, match=r"'lr' parameter of .* must be"):
        make_small(cls, lr=-1.0).fit(made.data, made.target)
