"""Features kept on disk: the same results, no image seen twice, never another's."""

import errno
import os
import signal

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skfau.estimators import FaceAugmentation
from skfau.estimators._feature_cache import FeatureCache
from skfau.estimators._neighbours import (
    FeatureBatches,
    FrameBatches,
    FrameNetwork,
    Neighbourhood,
)
from skfau.nn import AUNet
from tests.test_aunet import SMALL
from tests.test_aunet_classifier import fan_passes, small  # noqa: F401


def kept(folder, **parameters):
    return small(feature_cache=folder, augmentation=None, **parameters)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_fit_from_the_cache_is_the_fit_without(made, tmp_path):
    cached = kept(tmp_path).fit(made.data, made.target)
    plain = small(augmentation=None).fit(made.data, made.target)
    np.testing.assert_allclose(
        cached.predict_proba(made.data), plain.predict_proba(made.data), atol=0.01
    )
    (name,) = files(tmp_path)
    assert name.endswith(".npy")


def test_every_image_is_seen_once_by_all_fits_of_its_weights(
    made,
    tmp_path,
    monkeypatch,
    fan_passes,  # noqa: F811
):
    source = small(label_vae=False).fit(made.data, made.target)
    fan_passes.clear()
    again = kept(tmp_path, init_from=source, max_epochs=3)
    again.fit(made.data[:48], made.target[:48])
    # One more tells the shape.
    assert sum(fan_passes) == 48 + 1
    again.predict_proba(made.data)
    kept(tmp_path, init_from=source).fit(made.data, made.target)
    assert sum(fan_passes) == len(made.data) + 1
    assert len(files(tmp_path)) == 1


def test_other_weights_pixels_or_sizes_have_their_own_file(made, tmp_path):
    first = kept(tmp_path, label_vae=False).fit(made.data, made.target)
    kept(tmp_path, random_state=1).fit(made.data, made.target)
    assert len(files(tmp_path)) == 2
    images = made.data.images[:] // 2
    first.predict_proba(made.data.with_images(images))
    assert len(files(tmp_path)) == 3
    first.net_.module_.image_size = 64
    first.predict_proba(made.data)
    assert len(files(tmp_path)) == 4
    assert all(name.endswith(".npy") for name in files(tmp_path))


def test_what_another_process_has_begun_is_not_replaced(made, tmp_path, monkeypatch):
    clf = kept(tmp_path).fit(made.data[:48], made.target[:48])
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    # As if it had not been there a moment ago.
    monkeypatch.setattr("pathlib.Path.exists", lambda self: False)
    clf.predict_proba(made.data[:48])
    assert path.read_bytes() == before and len(files(tmp_path)) == 1


def test_augmented_faces_are_not_kept(made, tmp_path):
    for augmentation in ("published", FaceAugmentation()):
        clf = kept(tmp_path).set_params(augmentation=augmentation)
        with pytest.raises(ValueError, match="Pass augmentation=None"):
            clf.fit(made.data, made.target)
    fitted = small().fit(made.data, made.target).set_params(feature_cache=tmp_path)
    with pytest.raises(ValueError, match="Pass augmentation=None"):
        fitted.predict_proba(made.data)


def test_a_backbone_that_trains_is_not_kept(made, tmp_path):
    clf = kept(tmp_path, backbone="tiny")
    with pytest.raises(ValueError, match="got backbone='tiny', which trains along"):
        clf.fit(made.data, made.target)


def test_where_the_cache_is_stays_behind(made, tmp_path):
    clf = kept(tmp_path / "cache").fit(made.data, made.target)
    clf.save(tmp_path / "x")
    assert type(clf).load(tmp_path / "x").feature_cache is None


class Stop(Callback):
    """End a fit after its first epoch, as Ctrl-C does."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 1:
            signal.raise_signal(signal.SIGINT)


def test_a_resumed_fit_reads_the_features_of_its_own_weights(made, tmp_path):
    faces, labels = made.data[:48], made.target[:48]
    where = {"checkpoint_dir": tmp_path / "checkpoints", "max_epochs": 2}
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path / "cache", callbacks=[Stop()], **where).fit(faces, labels)
    before = files(tmp_path / "cache")
    resumed = kept(tmp_path / "cache", **where).fit(faces, labels)
    assert files(tmp_path / "cache") == before
    straight = kept(tmp_path / "cache", max_epochs=2).fit(faces, labels)
    assert resumed.history_ == straight.history_


@pytest.fixture
def cache(made, tmp_path):
    """Return a cache of three frames, empty."""
    torch.manual_seed(0)
    module = FrameNetwork(AUNet(2, **SMALL).eval(), image_size=32, grayscale=False)
    around = Neighbourhood(made.data[:3].with_images(made.data.images[:3]), None)
    return FeatureCache(tmp_path, module, around, batch_size=2)


def test_features_beyond_float16_are_refused(cache):
    for norm in cache.module.network.trunk.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_var.fill_(1e-6)
    with pytest.raises(ValueError, match=r"float16, up to 65504.*feature_cache=None"):
        cache.read(np.arange(3))
    assert not cache._entries["done"].any()


def test_what_the_disk_did_not_take_is_not_read(cache, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            cache.read(np.arange(3))
    assert not cache._entries["done"].any()
    rows = np.array([2, 0, 2])
    for which in ("features", "half"):
        expected = cache._compute(rows)[which]
        read = cache.read(rows, which)
        np.testing.assert_array_equal(read, np.moveaxis(expected, 3, 1))
    assert (cache._entries["done"] > 0).tolist() == [True, False, True]


def test_a_file_that_was_replaced_is_not_taken_for_the_old_one(cache):
    cache.read(np.array([1]))
    cache.path.unlink()
    with pytest.raises(FileNotFoundError):
        cache.read(np.array([0]))
    cache._create()
    with pytest.raises(OSError, match=r"was replaced while in use\. Start"):
        cache.read(np.array([0]))


def test_two_that_begin_one_file_at_once_share_it(cache, monkeypatch):
    (path,) = cache.path.parent.iterdir()
    cache.read(np.arange(3))
    before = path.read_bytes()
    # As in another container: the same number of the process.
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.hardlink_to(path)
    cache._create()
    assert path.read_bytes() == before


def test_a_folder_without_links_keeps_features_too(cache, monkeypatch):
    def refuse(self, target):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    cache.path.unlink()
    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    again = FeatureCache(cache.path.parent, cache.module, cache.neighbourhood, 2)
    assert again.read(np.arange(3)).shape[0] == 3
    assert files(cache.path.parent) == [cache.path.name]


def test_a_file_is_on_the_disk_before_it_has_its_name(cache, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    cache.path.unlink()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        cache._create()
    assert files(cache.path.parent) == []


def test_batches_of_features_give_what_batches_of_pixels_give(cache, made):
    faces, labels = made.data[:8], made.target[:8]
    around, rows = Neighbourhood(faces, 2), [5, 0, 3]
    shared = {"neighbourhood": around, "datasets": np.arange(8)}
    shared["weights"] = np.arange(8.0)
    kept = FeatureCache(cache.path.parent, cache.module, around, batch_size=2)
    features = FeatureBatches(labels, cache=kept, image_size=32, **shared)
    pixels = FrameBatches(
        faces,
        labels,
        image_size=32,
        augmentation=None,
        make_targets=lambda labels: {"labels": labels},
        columns=(),
        aus=made.aus,
        **shared,
    )
    (got, got_targets), (expected, targets) = (
        batches.__getitems__(rows) for batches in (features, pixels)
    )
    with torch.no_grad():
        logits, seen = (
            cache.module(**{k: torch.as_tensor(v) for k, v in inputs.items()})
            for inputs in (got, expected)
        )
    torch.testing.assert_close(logits, seen, rtol=1e-3, atol=1e-3)
    for name, values in targets.items():
        np.testing.assert_array_equal(got_targets[name], values)
    assert not torch.allclose(logits, logits.flip(0), rtol=0.1)
