"""What AUs look like, in words: which texts count, their vectors, what is refused."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from skfau.estimators import _descriptions
from skfau.estimators._descriptions import (
    describe,
    describe_as_vectors,
    digest,
    encode,
    shipped_vectors,
)
from skfau.facs import ACTION_UNITS, DATASET_AUS


class LetterModel:
    """Stands for a sentence encoder: the vector of a word counts its letters."""

    def encode(self, text, output_value, show_progress_bar):
        assert output_value == "token_embeddings"
        rows = [[word.count(letter) for letter in "aeiou"] for word in text.split()]
        return torch.tensor(rows, dtype=torch.float64)


@pytest.fixture
def letters(monkeypatch):
    """Let `LetterModel` be the encoder of every name."""
    monkeypatch.setattr(_descriptions, "load_encoder", lambda name=None: LetterModel())
    _descriptions._encode.cache_clear()
    yield
    _descriptions._encode.cache_clear()


@pytest.fixture
def no_extra(monkeypatch):
    """Hide the extra ``text`` where it is installed."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    _descriptions._encode.cache_clear()


def test_every_au_of_facs_has_a_shipped_vector():
    shipped, encoder = shipped_vectors()
    assert encoder.endswith("all-MiniLM-L6-v2")
    for unit in ACTION_UNITS.values():
        vector = shipped[digest(unit.description)]
        assert vector.shape == (384,) and np.linalg.norm(vector) > 1


def test_shipped_vectors_come_in_the_order_of_the_aus(no_extra):
    aus = DATASET_AUS["disfa"]
    backwards = describe_as_vectors(aus[::-1])
    np.testing.assert_array_equal(describe_as_vectors(aus), backwards[::-1])


def test_shipped_vectors_know_what_words_mean(no_extra):
    # Both brow raisers are nearer to each other than to a mouth.
    inner, outer, smile = describe_as_vectors((1, 2, 12))
    cosine = np.corrcoef([inner, outer, smile])
    assert cosine[0, 1] > cosine[0, 2] and cosine[0, 1] > cosine[1, 2]


def test_a_dict_describes_some_aus_and_facs_the_others():
    texts = describe((1, 12), {"AU12": "a smile"})
    assert texts == (ACTION_UNITS[1].description, "a smile")


def test_a_description_is_the_mean_over_its_words(letters):
    vectors = describe_as_vectors((1, 2), ["aa e", "o u i"], "letters")
    np.testing.assert_allclose(
        vectors, [[1, 0.5, 0, 0, 0], [0, 0, *[1 / 3] * 3]], rtol=1e-6
    )


def test_words_are_filled_up_with_nan(letters):
    vectors = describe_as_vectors((1, 2), ["aa e", "o u i"], "letters", words=True)
    assert vectors.shape == (2, 3, 5)
    np.testing.assert_array_equal(vectors[0, 0], [2, 0, 0, 0, 0])
    assert np.isnan(vectors[0, 2]).all() and np.isfinite(vectors[1]).all()


def test_encoder_runs_for_new_texts_only(monkeypatch):
    ran = []

    def run(texts, name, words):
        ran.extend(texts)
        return np.zeros((len(texts), 384), np.float32)

    monkeypatch.setattr(_descriptions, "_encode", run)
    vectors = describe_as_vectors((1, 12), {12: "a smile"})
    assert ran == ["a smile"] and not vectors[1].any()
    np.testing.assert_array_equal(vectors[0], describe_as_vectors((1, 2))[0])


def test_texts_are_read_one_at_a_time_in_float32():
    first, second = encode(["a", "e i"], LetterModel())
    assert first.shape == (1, 5) and second.shape == (2, 5)
    assert first.dtype == second.dtype == np.float32


def test_edited_description_of_facs_is_reported(monkeypatch):
    edited = replace(ACTION_UNITS[4], description="The brows come together.")
    monkeypatch.setattr(_descriptions, "ACTION_UNITS", ACTION_UNITS | {4: edited})
    with pytest.raises(
        ValueError, match=r"AU4 in skfau\.facs has changed .*_make_text"
    ):
        describe_as_vectors((1, 4))


@pytest.mark.parametrize(
    "descriptions, words", [({12: "a smile"}, False), (None, True)]
)
def test_missing_extra_names_the_remedy(no_extra, descriptions, words):
    with pytest.raises(ImportError, match=r"pip install skfau\[text\]"):
        describe_as_vectors((1, 12), descriptions, words=words)


@pytest.mark.parametrize(
    "aus, descriptions, message",
    [
        ((1, 2), ["same", " Same"], "AU1 and AU2 have the same description"),
        ((1, 99), None, r"AU99 has no description, got ''. Pass descriptions=\{99"),
        ((1,), {1: "  "}, "AU1 has no description"),
        ((1, 2), ["one"], "1 texts for 2 AUs"),
    ],
)
def test_descriptions_that_do_not_fit(aus, descriptions, message):
    with pytest.raises(ValueError, match=message):
        describe_as_vectors(aus, descriptions)


@pytest.mark.parametrize(
    "vectors, descriptions, message",
    [
        (np.eye(3), None, r"vectors of shape \(2, d\).* Got shape \(3, 3\)"),
        (np.ones((2, 3)), None, "AU1 and AU2 have the same vector"),
        (np.eye(2), {1: "text"}, "descriptions would count for nothing"),
    ],
)
def test_vectors_that_do_not_fit(vectors, descriptions, message):
    with pytest.raises(ValueError, match=message):
        describe_as_vectors((1, 2), descriptions, vectors)
