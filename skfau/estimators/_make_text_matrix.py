"""Make the text matrix that this library ships, from the descriptions in `facs`.

    python -m skfau.estimators._make_text_matrix [--output FILE]

Run it after a description was edited. Needs the extra ``text``: the weights of
all-MiniLM-L6-v2 come with it, nothing is downloaded. The result depends on versions of
PyTorch in the last bits only. Prints how far the new vectors of unchanged descriptions
are from the old ones.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from skfau.estimators._descriptions import MATRIX, digest, shipped_vectors
from skfau.estimators._text_encoders import encode, load_encoder
from skfau.facs import ACTION_UNITS, INTENSITY_DESCRIPTIONS

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def make_matrix():
    """Return the digests of all descriptions and their vectors, float32 (n, d)."""
    texts = [unit.description for unit in ACTION_UNITS.values()]
    texts += INTENSITY_DESCRIPTIONS.values()
    means = [vectors.mean(axis=0) for vectors in encode(texts, load_encoder())]
    return [digest(text) for text in texts], np.stack(means)


def main():
    """Write the matrix and compare it with the one in place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=MATRIX)
    options = parser.parse_args()
    digests, means = make_matrix()
    if MATRIX.exists():
        old, _ = shipped_vectors()
        pairs = [(old[d], m) for d, m in zip(digests, means, strict=True) if d in old]
        moved = max((np.abs(a - b).max() for a, b in pairs), default=0.0)
        print(f"{len(pairs)} descriptions as before, largest difference {moved:.1e}")
    header = {"encoder": ENCODER, "texts": json.dumps(digests)}
    save_file({"means": means}, options.output, metadata=header)
    print(
        f"wrote {options.output}: {means.shape[0]} descriptions, {means.shape[1]} wide"
    )


if __name__ == "__main__":
    main()
