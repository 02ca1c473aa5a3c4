"""Damage of what the library keeps is told, and where it can be is computed again."""

import json
import os

import numpy as np
import pytest
import torch

from skfau.estimators import ResNetClassifier
from skfau.exceptions import DatasetError, DatasetWarning
from skfau.preprocessing import FaceAligner, _prepare, prepare
from tests.small import make_small
from tests.test_feature_cache import cache  # noqa: F401

ALIGNER = FaceAligner(output_size=24)


def changed(path, seed, end=None):
    """Yield a dozen versions of a file, each with another byte changed."""
    data = path.read_bytes()
    rng = np.random.default_rng(seed)
    for at in rng.integers(len(data) if end is None else end, size=12):
        other = bytearray(data)
        other[at] ^= 1 << rng.integers(8)
        path.write_bytes(other)
        yield at
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_told_and_never_gone_on_from(made, tmp_path):
    def fit(n_epochs):
        clf = make_small(ResNetClassifier, checkpoint_dir=tmp_path, max_epochs=n_epochs)
        return clf.fit(made.data[:48], made.target[:48])

    fit(1)
    (path,) = tmp_path.iterdir()
    for _ in changed(path, 0):
        with pytest.raises(ValueError, match=r"read as a checkpoint.*Delete") as caught:
            fit(2)
        assert str(path) in str(caught.value)
    for n_bytes in (0, 1, path.stat().st_size - 1):
        os.truncate(path, n_bytes)
        with pytest.raises(ValueError, match="read as a checkpoint"):
            fit(2)
    path.unlink()
    assert len(fit(2).history_) == 2


def test_damaged_features_are_computed_again(cache):  # noqa: F811
    rows = np.arange(3)
    expected = cache.read(rows)
    n_told = 0
    for at in changed(cache.path, 0):
        if at < cache._entries.offset:
            continue
        again = type(cache)(
            cache.path.parent, cache.module, cache.neighbourhood, cache.batch_size
        )
        with pytest.warns(DatasetWarning, match="damaged in 1 frames"):
            read = again.read(rows)
        # Of one frame instead of two the last bit may be another.
        np.testing.assert_allclose(read, expected, rtol=2e-3, atol=1e-3)
        n_told += 1
    assert n_told > 6


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"x" * 200])
def test_a_cache_that_is_none_is_made_again(content, cache):  # noqa: F811
    rows = np.arange(3)
    expected = cache.read(rows)
    arguments = cache.module, cache.neighbourhood, cache.batch_size
    cache.path.write_bytes(content)
    with pytest.warns(DatasetWarning, match="is damaged .* computed again"):
        again = type(cache)(cache.path.parent, *arguments)
    np.testing.assert_array_equal(again.read(rows), expected)


def test_features_of_before_have_no_checksum_and_are_read(cache):  # noqa: F811
    expected = cache.read(np.arange(3))
    entries = np.load(cache.path, mmap_mode="r+")
    entries["done"] = 1
    arguments = cache.module, cache.neighbourhood, cache.batch_size
    again = type(cache)(cache.path.parent, *arguments)
    np.testing.assert_array_equal(again.read(np.arange(3)), expected)


def test_a_damaged_manifest_is_told(made, tmp_path):
    prepare(made.data[:8], ALIGNER, tmp_path)
    path = tmp_path / "prepared.json"
    whole = json.loads(path.read_text())
    n_told = 0
    for _ in changed(path, 0):
        try:
            prepare(made.data[:8], ALIGNER, tmp_path)
        except DatasetError as error:
            assert str(path) in str(error) and "delete" in str(error)
            n_told += 1
    assert n_told >= 11  # But for the name of the digest.
    for name, value in [("blocks", []), ("blocks", 3), ("identity", 0), ("arrays", 1)]:
        path.write_text(json.dumps({**whole, name: value}))
        with pytest.raises(DatasetError, match="is damaged"):
            prepare(made.data[:8], ALIGNER, tmp_path)


def test_folders_of_before_have_no_digest_and_are_read(made, tmp_path):
    expected = prepare(made.data[:8], ALIGNER, tmp_path)
    path = tmp_path / "prepared.json"
    content = json.loads(path.read_text())
    del content["sha256"], content["arrays"]
    path.write_text(json.dumps(content))
    read = prepare(made.data[:8], ALIGNER, tmp_path, verify=True)
    np.testing.assert_array_equal(read.images[...], expected.images[...])
    for name, value in [("blocks", [{}]), ("blocks", {}), ("blocks", [])]:
        path.write_text(json.dumps({**content, name: value}))
        with pytest.raises(DatasetError, match="is damaged"):
            prepare(made.data[:8], ALIGNER, tmp_path)


@pytest.mark.parametrize("name", ["images", "landmarks", "matrix"])
def test_headers_of_prepared_arrays_are_compared(name, made, tmp_path):
    prepare(made.data[:8], ALIGNER, tmp_path)
    path = tmp_path / f"{name}.npy"
    array, size = np.load(path), path.stat().st_size
    np.save(path, array.view(f"i{array.itemsize}"))
    assert path.stat().st_size == size
    with pytest.raises(DatasetError, match=rf"{name}\.npy is damaged"):
        prepare(made.data[:8], ALIGNER, tmp_path)


class Stopping(FaceAligner):
    """An aligner that is interrupted before its third block."""

    n_left = None

    def transform(self, X):
        if Stopping.n_left == 0:
            raise KeyboardInterrupt
        Stopping.n_left = None if Stopping.n_left is None else Stopping.n_left - 1
        return super().transform(X)


@pytest.fixture
def interrupted(made, tmp_path, monkeypatch):
    monkeypatch.setattr(_prepare, "_BLOCK_ROWS", 4)

    def run(name):
        folder = tmp_path / name
        monkeypatch.setattr(Stopping, "n_left", 2)
        with pytest.raises(KeyboardInterrupt):
            prepare(made.data[:40], Stopping(output_size=24), folder)
        monkeypatch.setattr(Stopping, "n_left", None)
        return folder

    return run


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize(
    "other", [b"{}\n", b"[]\n", b"3\n", b"\xff\n", b"x" * 9 + b"\n"]
)
def test_a_damaged_journal_costs_its_blocks(line, other, made, interrupted):
    folder = interrupted("x")
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[line] = other
    journal.write_bytes(b"".join(lines))
    with pytest.warns(DatasetWarning, match=r"journal\.jsonl is damaged from byte"):
        again = prepare(made.data[:40], Stopping(output_size=24), folder, verify=True)
    expected = Stopping(output_size=24).transform(made.data[:40])
    np.testing.assert_array_equal(again.images[...], expected.images[...])


def test_a_journal_is_not_believed_what_it_does_not_say(made, interrupted):
    folder = interrupted("x")
    journal = folder / "journal.jsonl"
    content = journal.read_bytes().splitlines(keepends=True)
    # Another block than the one that was written.
    content[2] = content[2].replace(b'"block": 1', b'"block": 4')
    journal.write_bytes(b"".join(content))
    with pytest.warns(DatasetWarning, match="is damaged"):
        again = prepare(made.data[:40], Stopping(output_size=24), folder)
    expected = Stopping(output_size=24).transform(made.data[:40])
    np.testing.assert_array_equal(again.images[...], expected.images[...])


def test_weights_that_are_none_are_told(tmp_path):
    from skfau.nn import make_backbone

    path = tmp_path / "w.pth"
    torch.save(make_backbone("tiny").state_dict(), path)
    whole = path.read_bytes()
    for cut in (0, 1, 50, len(whole) // 2):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"w\.pth"):
            make_backbone("tiny", weights=path)
