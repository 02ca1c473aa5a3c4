"""Descriptions of AUs in words, and their vectors from a frozen sentence encoder."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import safe_open

from skfau.estimators._aus import au_number
from skfau.estimators._text_encoders import encode_by, fill_up
from skfau.facs import ACTION_UNITS, INTENSITY_DESCRIPTIONS

#: File of the vectors of `skfau.facs`'s descriptions; `_make_text_matrix` writes it.
MATRIX = Path(__file__).parent / "_text" / "all-MiniLM-L6-v2.safetensors"


def describe(aus, descriptions=None):
    """Return one description per AU.

    Parameters
    ----------
    aus : sequence of int
        AU numbers.
    descriptions : dict, sequence of str, "intensity" or None, default=None
        A dict describes some AUs, by number or as ``"AU12"``, and `skfau.facs` the
        others; a sequence describes all, in the order of `aus`. ``"intensity"`` is
        `INTENSITY_DESCRIPTIONS`.

    Returns
    -------
    texts : tuple of str

    Raises
    ------
    ValueError
        If an AU has no description, or two have the same.
    """
    if isinstance(descriptions, str):
        descriptions = INTENSITY_DESCRIPTIONS
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
    descriptions : dict, sequence of str, "intensity" or None, default=None
        See `describe`.
    text_encoder : str, callable, dict, array-like or None, default=None
        An encoder, see `encode_by`; or the vectors themselves, a dict by AU number or
        an array (n_aus, d) or (n_aus, n_words, d). None is all-MiniLM-L6-v2. Its
        vectors of this library's own descriptions are shipped.
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
    if holds_vectors(text_encoder):
        if descriptions is not None:
            raise ValueError(
                "text_encoder holds the vectors already, so that descriptions would "
                "count for nothing. Pass one of them."
            )
        if isinstance(text_encoder, Mapping):
            text_encoder = _in_order(aus, text_encoder, words)
        return _check_vectors(aus, text_encoder, words)
    texts = describe(aus, descriptions)
    if words or text_encoder is not None:
        return encode_by(text_encoder, texts, words)
    shipped, _ = shipped_vectors()
    _refuse_stale(aus, texts, shipped)
    new = tuple(text for text in texts if digest(text) not in shipped)
    rows = dict(zip(new, encode_by(None, new, False), strict=True)) if new else {}
    vectors = [rows[t] if t in rows else shipped[digest(t)] for t in texts]
    return np.stack(vectors)


def is_encoder(text_encoder):
    """Return whether a `text_encoder` is a function or a loaded model."""
    runs = callable(text_encoder) or hasattr(text_encoder, "encode")
    return runs and not isinstance(text_encoder, str)


def holds_vectors(text_encoder):
    """Return whether a `text_encoder` is the vectors, and not what makes them."""
    named = text_encoder is None or isinstance(text_encoder, str)
    return not (named or is_encoder(text_encoder))


def are_vectors(descriptions):
    """Return whether descriptions are vectors already, and not texts."""
    if descriptions is None or isinstance(descriptions, str):
        return False
    if isinstance(descriptions, Mapping):
        descriptions = descriptions.values()
    return not any(isinstance(given, (str, type(None))) for given in descriptions)


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
        and text in (ACTION_UNITS[au].description, INTENSITY_DESCRIPTIONS.get(au))
        and digest(text) not in shipped
    ]
    if stale:
        raise ValueError(
            f"The description of {', '.join(f'AU{au}' for au in stale)} in skfau.facs "
            "has changed since the text matrix was made. Make it again: pip install "
            "skfau[text], then python -m skfau.estimators._make_text_matrix."
        )


def _in_order(aus, vectors, words):
    """Return vectors by AU number in the order of `aus`; others are left out."""
    by_number = {au_number(au): np.asarray(v) for au, v in vectors.items()}
    missing = [f"AU{au}" for au in aus if au not in by_number]
    if missing:
        raise ValueError(
            f"text_encoder has no vector of {', '.join(missing)}. Add it under the "
            "AU's number."
        )
    rows = [by_number[au] for au in aus]
    forms = sorted({row.shape[words:] for row in rows})
    if len(forms) > 1 or len(forms[0]) != 1:
        form = "(n_words, d)" if words else "(d,)"
        raise ValueError(
            f"text_encoder must hold an array of shape {form} of every AU, of one d. "
            f"Got {sorted({row.shape for row in rows})}."
        )
    return fill_up(rows) if words else np.stack(rows)


def _check_vectors(aus, vectors, words):
    vectors = np.asarray(vectors, dtype=np.float32)
    n_axes = 3 if words else 2
    if vectors.ndim != n_axes or len(vectors) != len(aus):
        form = f"({len(aus)}, n_words, d)" if words else f"({len(aus)}, d)"
        raise ValueError(
            f"text_encoder must be a model's name or vectors of shape {form}, a row "
            f"for each of the AUs {tuple(aus)} in that order. Got shape "
            f"{vectors.shape}; a dict by AU number may hold more."
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
