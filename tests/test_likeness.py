"""A classifier warns of faces of another kind than those of its training."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skfau import FaceAligner, Faces, FAUTransformerClassifier
from skfau.exceptions import UnlikeTrainingWarning
from tests.small import make_small


@pytest.fixture(scope="module")
def aligned(made):
    return FaceAligner(output_size=40).transform(made.data)


@pytest.fixture(scope="module")
def fitted(made, aligned):
    clf = make_small(FAUTransformerClassifier, max_epochs=1, grayscale=False)
    return clf.fit(aligned, made.target)


def gray(images):
    return np.repeat(images.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "attention_maps"])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda made, aligned: made.data[:5], r"these 5 are not aligned \(they"),
        (lambda made, aligned: made.data.images[:5], "not aligned"),
        (
            lambda made, aligned: aligned[:5].with_images(aligned.images[:5][:, 4:]),
            r"not square \(40 x 36 pixels\)",
        ),
        (
            lambda made, aligned: aligned[:5].with_images(gray(aligned.images[:5])),
            "5 are grey",
        ),
        (
            lambda made, aligned: Faces(gray(made.data.images[:5])[:, 8:]),
            "not aligned .*, and not square .*, and grey.*FaceAligner",
        ),
    ],
)
def test_faces_unlike_those_of_the_training(
    method, change, match, made, aligned, fitted
):
    faces = change(made, aligned)
    with pytest.warns(UnlikeTrainingWarning, match=match) as told:
        getattr(fitted, method)(faces)
    assert len(told) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda aligned: aligned,
        lambda aligned: aligned[::3],
        lambda aligned: np.asarray(aligned),
        lambda aligned: aligned.with_images(np.zeros_like(aligned)),
        lambda aligned: FaceAligner(output_size=56).transform(aligned),
    ],
)
def test_faces_like_those_of_the_training(change, aligned, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(change(aligned))


def test_a_network_without_colours_does_not_miss_them(made):
    clf = make_small(FAUTransformerClassifier, max_epochs=1, grayscale=True)
    clf.fit(made.data, made.target)
    clf.predict(made.data.with_images(gray(made.data.images[...])))


def test_a_pipeline_does_not_warn_and_a_copy_still_does(made, fitted):
    clf = make_small(FAUTransformerClassifier, max_epochs=1)
    pipe = make_pipeline(FaceAligner(output_size=40), clf)
    pipe.fit(made.data, made.target).predict(made.data[:3])
    with pytest.warns(UnlikeTrainingWarning, match="not aligned"):
        pickle.loads(pickle.dumps(fitted)).predict(made.data[:3])


def test_a_saved_classifier_warns_as_well(made, aligned, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again = type(fitted).load(tmp_path / "model")
    with pytest.warns(UnlikeTrainingWarning, match="not aligned"):
        again.predict(made.data[:5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.predict(aligned[:5])


def test_partial_fit_remembers_its_faces_too(made, aligned):
    clf = make_small(FAUTransformerClassifier).partial_fit(aligned, made.target)
    with pytest.warns(UnlikeTrainingWarning, match="not aligned"):
        clf.predict(made.data[:3])
