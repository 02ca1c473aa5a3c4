"""`SEVNetClassifier`: its text, its maps and relations, AUs without labels."""

import numpy as np
import pytest

from skfau import SEVNetClassifier
from skfau.facs import ACTION_UNITS
from tests.small import make_small


def make_classifier(**parameters):
    small = {"augmentation": None, "max_epochs": 1}
    return make_small(SEVNetClassifier, **small | parameters)


@pytest.fixture(scope="module")
def fitted(made):
    return make_classifier().fit(made.data[::4], made.target[::4])


def test_maps_are_distributions_and_unknown_without_a_face(fitted, made):
    landmarks = made.data.landmarks[:4].copy()
    landmarks[2] = np.nan
    maps = fitted.attention_maps(made.data[:4].with_columns(landmarks=landmarks))
    assert maps.shape[:2] == (4, 12) and np.isnan(maps[2]).all()
    sums = maps[[0, 1, 3]].sum(axis=(2, 3))
    np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_relations_are_those_of_the_descriptions_for_every_face(fitted, made):
    relations = fitted.au_relations()
    np.testing.assert_allclose(relations.sum(axis=1), 1, atol=1e-5)
    of_faces = fitted.au_relations(made.data[:2])
    np.testing.assert_array_equal(of_faces, [relations, relations])


def test_without_an_encoder_there_are_no_relations(made):
    clf = make_classifier(encoder_layers=0).fit(made.data[::8], made.target[::8])
    with pytest.raises(ValueError, match="encoder_layers"):
        clf.au_relations()


def test_swapped_descriptions_swap_probabilities(made):
    # One AU's text for another's, before training: with equal start weights and
    # labels swapped too, the same network comes out.
    aus, labels = (1, 2, 12), made.target[::8][:, [0, 1, 6]]
    swap = {
        1: ACTION_UNITS[2].description,
        2: ACTION_UNITS[1].description,
    }
    faces = made.data[::8]
    plain = make_classifier(aus=aus, dropout=0.0).fit(faces, labels)
    swapped = make_classifier(aus=aus, dropout=0.0, descriptions=swap)
    swapped.fit(faces, labels[:, [1, 0, 2]])
    expected = plain.predict_proba(faces)[:, [1, 0, 2]]
    np.testing.assert_allclose(swapped.predict_proba(faces), expected, atol=1e-4)


def test_an_au_without_labels_gets_probabilities_of_its_own(fitted, made):
    proba = fitted.zero_shot_proba(made.data[:6], (25, 9))
    assert proba.shape == (6, 2) and proba.dtype == np.float32
    assert proba.min() > 0 and proba.max() < 1
    alone = fitted.zero_shot_proba(made.data[:6], ["AU9"])
    np.testing.assert_allclose(proba[:, 1:], alone, atol=1e-6)


@pytest.mark.parametrize(
    "aus, message",
    [
        (["AU12"], r"\[12\] were trained: predict_proba has those"),
        ((25, 25), "untrained AUs, each once"),
        ((99,), "AU99 has no description"),
    ],
)
def test_zero_shot_refuses(fitted, made, aus, message):
    with pytest.raises(ValueError, match=message):
        fitted.zero_shot_proba(made.data[:1], aus)


def test_without_text_no_new_au_can_be_read(made):
    clf = make_classifier(text_level=None).fit(made.data[::8], made.target[::8])
    with pytest.raises(ValueError, match="cannot read descriptions"):
        clf.zero_shot_proba(made.data[:1], (25,))


def test_vectors_of_ones_own_need_vectors_for_new_aus(made):
    vectors = np.random.default_rng(0).normal(size=(12, 8))
    clf = make_classifier(text_encoder=vectors, n_heads=2, hidden_dim=16)
    clf.fit(made.data[::8], made.target[::8])
    assert clf.text_.shape == (12, 8)
    with pytest.raises(ValueError, match=r"an array of shape \(1, 8\)"):
        clf.zero_shot_proba(made.data[:1], (25,))
    new = clf.zero_shot_proba(made.data[:1], (25,), np.ones((1, 8)))
    assert np.isfinite(new).all()


def test_aus_counted_from_zero_have_no_descriptions(made):
    with pytest.raises(ValueError, match="AU0 has no description"):
        make_classifier(aus=None).fit(made.data[::8], made.target[::8])


def test_published_defaults():
    defaults = SEVNetClassifier().get_params()
    published = {
        "backbone": "resnet18",
        "lr": 0.001,
        "lr_decay": 0.85,
        "batch_size": 100,
        "max_epochs": 50,
        "encoder_layers": 2,
        "n_heads": 6,
        "hidden_dim": 768,
        "feed_forward_dim": 1024,
    }
    assert published.items() <= defaults.items()
