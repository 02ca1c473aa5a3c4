"""`FAUTransformerClassifier`: where its maps come from, and what it shows of itself."""

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline

from skfau import FAUTransformerClassifier, ROIHeatmaps
from skfau.exceptions import MissingColumnError
from tests.small import make_small


@pytest.fixture(scope="module")
def fitted(made):
    return make_small(FAUTransformerClassifier, max_epochs=1).fit(
        made.data, made.target
    )


def test_maps_of_the_pipeline_train_like_the_landmarks_that_they_are_of(fitted, made):
    maps = ROIHeatmaps(made.aus, size=fitted.map_size_)
    chain = make_pipeline(maps, make_small(FAUTransformerClassifier, max_epochs=1))
    chain.fit(made.data, made.target)
    # Places are read off a table, so that rounding moves a map by up to 1e-3.
    ours, theirs = chain[-1].history_[0]["map"], fitted.history_[0]["map"]
    assert ours == pytest.approx(theirs, rel=1e-3)
    proba = chain.predict_proba(made.data)
    np.testing.assert_allclose(proba, fitted.predict_proba(made.data), atol=0.02)


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        ({"aus": (2, 1, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)}, r"got \(2, 1, 4"),
        ({"size": 5}, r"shape \(16, 12, 6, 6\), got \(16, 12, 5, 5\)"),
    ],
)
def test_maps_of_other_aus_or_sizes_are_refused(made, maps, said):
    """As many AUs in another order would teach each where another one shows."""
    faces = ROIHeatmaps(**{"size": 6} | maps).transform(made.data)[16:]
    clf = make_small(FAUTransformerClassifier)
    with pytest.raises(ValueError, match=rf"{said}.*Use ROIHeatmaps\(aus=\(1, 2.*=6"):
        clf.fit(faces, made.target[16:])


def test_landmarks_are_needed_to_train_and_only_then(fitted, made):
    bare = made.data.with_columns(landmarks=None)
    np.testing.assert_array_equal(
        fitted.predict_proba(bare), fitted.predict_proba(made.data)
    )
    with pytest.raises(MissingColumnError, match="attention_supervision=False"):
        make_small(FAUTransformerClassifier).fit(bare, made.target)


def test_both_heads_maps_and_relations_are_the_networks(fitted, made):
    faces = made.data[:5]
    prepared = fitted.net_.module_.eval()
    with torch.inference_mode():
        pixels = prepared.pixels(torch.as_tensor(faces.images[...]))
        logits, aux = prepared.network(pixels)
        relations = prepared.network.relations(pixels)
    for ours, theirs in {
        "classifier": logits.sigmoid(),
        "attention": aux["attention_logits"].sigmoid(),
    }.items():
        proba = fitted.predict_proba(faces, head=ours)
        np.testing.assert_allclose(proba, theirs, atol=1e-6)
    np.testing.assert_allclose(
        fitted.attention_maps(faces), aux["attention_maps"], atol=1e-6
    )
    of_aus = fitted.au_relations(faces)
    np.testing.assert_allclose(of_aus, relations.mean(dim=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(of_aus.sum(axis=2), 1, atol=1e-5)
    with pytest.raises(ValueError, match="head must be 'classifier' or 'attention'"):
        fitted.predict_proba(faces, head="both")


def test_training_that_diverges_is_an_error(made):
    """NaN probabilities would pass for faces that were not found."""
    clf = make_small(FAUTransformerClassifier, lr=1e8, max_epochs=3)
    with pytest.raises(FloatingPointError, match=r"diverged.*Lower lr \(it is 1000000"):
        clf.fit(made.data, made.target)


def test_what_was_left_out_cannot_be_shown(made):
    plain = {"multi_task": False, "attention": False, "center_loss": None}
    clf = make_small(FAUTransformerClassifier, encoder_layers=0, max_epochs=1, **plain)
    clf.fit(made.data.with_columns(landmarks=None), made.target)
    with pytest.raises(ValueError, match="attention_maps needs the attention branch"):
        clf.attention_maps(made.data)
    with pytest.raises(ValueError, match="au_relations needs an encoder"):
        clf.au_relations(made.data)
    with pytest.raises(ValueError, match="head='attention' needs"):
        clf.predict_proba(made.data, head="attention")
