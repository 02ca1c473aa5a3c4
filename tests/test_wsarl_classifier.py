"""`WSARLClassifier`: what it learns and shows, its schedule, start and defaults."""

import numpy as np
import pytest

from skfau import WSARLClassifier
from skfau.facs import DATASET_AUS
from tests.small import make_small


def make_classifier(**parameters):
    small = {"image_size": 32, "augmentation": None, "max_epochs": 1}
    return make_small(WSARLClassifier, **small | parameters)


@pytest.fixture(scope="module")
def fitted(made):
    return make_classifier(crf_scale=2).fit(made.data[::4], made.target[::4])


@pytest.mark.filterwarnings("ignore::skfau.exceptions.SubjectOverlapWarning")
def test_it_overfits_a_small_batch(made):
    known = [6, 10, 12, 17]
    columns = [made.aus.index(au) for au in known]
    faces, target = made.data[::4], made.target[::4, columns]
    clf = make_classifier(
        channels=2,
        aus=known,
        lr=0.05,
        lr_decay=0.2,
        lr_decay_epochs=18,
        batch_size=8,
        max_epochs=24,
    )
    assert clf.fit(faces, target).score(faces, target) > 0.95


def test_maps_before_and_after_the_crf(fitted, made):
    landmarks = made.data.landmarks[:4].copy()
    landmarks[2] = np.nan
    faces = made.data[:4].with_columns(landmarks=landmarks)
    refined, initial = (fitted.attention_maps(faces, refined=r) for r in (True, False))
    np.testing.assert_array_equal(refined, fitted.attention_maps(faces))
    for maps in (refined, initial):
        assert maps.shape == (4, 12, 16, 16) and maps.dtype == np.float32
        assert np.isnan(maps[2]).all() and np.isfinite(maps[[0, 1, 3]]).all()
        assert np.nanmin(maps) >= 0 and np.nanmax(maps) <= 1
    assert np.nanmax(abs(refined - initial)) > 0


def test_without_a_crf_all_maps_are_the_same(made):
    clf = make_classifier(crf=False).fit(made.data[::8], made.target[::8])
    refined, initial = (clf.attention_maps(made.data[:2], r) for r in (True, False))
    assert refined.shape == (2, 12, 8, 8)
    np.testing.assert_array_equal(refined, initial)
    np.testing.assert_array_equal(refined, clf.gating_maps(made.data[:2]))


def test_gates_are_the_refined_maps_at_the_size_of_what_they_weigh(fitted, made):
    gates, refined = fitted.gating_maps(made.data[:3]), fitted.attention_maps
    expected = refined(made.data[:3]).reshape(3, 12, 8, 2, 8, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(gates, expected, rtol=1e-5)


def test_every_channel_of_every_au_has_a_weight(fitted, made):
    weights = fitted.channel_weights(made.data[:3])
    assert weights.shape == (3, 12, 12 * fitted.channels)
    assert weights.min() > 0 and weights.max() < 1


def test_one_au_shows_its_weighted_channels(fitted, made):
    landmarks = made.data.landmarks[:3].copy()
    landmarks[1] = np.nan
    faces = made.data[:3].with_columns(landmarks=landmarks)
    maps = fitted.channel_maps(faces, "AU24")
    assert maps.shape == (3, 12 * fitted.channels, 8, 8) and maps.dtype == np.float32
    assert np.isnan(maps[1]).all() and np.isfinite(maps[[0, 2]]).all()
    np.testing.assert_array_equal(maps, fitted.channel_maps(faces, 24))
    assert not np.array_equal(maps, fitted.channel_maps(faces, 23))
    with pytest.raises(ValueError, match=r"one of \(1, 2, .*Got 'AU9'"):
        fitted.channel_maps(faces, "AU9")


def test_what_was_left_out_cannot_be_shown(made):
    off = {"spatial_attention": False, "channel_attention": False, "crf": False}
    clf = make_classifier(region_layer=None, **off)
    clf.fit(made.data[::8], made.target[::8])
    for show in (clf.attention_maps, clf.gating_maps):
        with pytest.raises(ValueError, match="spatial_attention is False"):
            show(made.data[:2])
    with pytest.raises(ValueError, match="channel_attention is False"):
        clf.channel_weights(made.data[:2])
    with pytest.raises(ValueError, match="channel_attention is False"):
        clf.channel_maps(made.data[:2], 1)


@pytest.mark.parametrize(("variant", "nesterov"), [("wsarl", False), ("arl", True)])
def test_it_steps_as_published(variant, nesterov, made):
    clf = make_classifier(
        variant=variant, lr=0.006, lr_decay=0.3, lr_decay_epochs=1, max_epochs=3
    )
    clf.fit(made.data[::8], made.target[::8])
    (group,) = clf.net_.optimizer_.param_groups
    assert group["lr"] == pytest.approx(0.006 * 0.3**2)
    assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)
    assert group["nesterov"] == nesterov
    assert clf.net_.module_.network.spatial.crf.n_iter == 1


def test_rare_aus_weigh_more_in_the_loss(fitted, made):
    rate = np.divide(*fitted.label_counts_)
    seen = rate > 0
    weight = fitted.net_.criterion_.label_loss.class_weight.numpy()
    product = (rate * weight)[seen]
    np.testing.assert_allclose(product, product[0], rtol=1e-5)
    assert weight.mean() == pytest.approx(1)


def test_the_energy_is_a_part_of_the_loss_if_wanted(made):
    clf = make_classifier(energy_weight=0.1).fit(made.data[::8], made.target[::8])
    (row,) = clf.history_
    assert row["train_loss"] == pytest.approx(row["wce"] + row["crf_energy"])
    with pytest.raises(ValueError, match=r"crf is False\. Pass energy_weight=0"):
        clf.set_params(crf=False).fit(made.data[::8], made.target[::8])


def test_widths_of_every_au_are_kept_in_a_file(made, tmp_path):
    widths = ([2.0] * 11 + [4.0], 13.0, np.linspace(0.5, 1, 12))
    clf = make_classifier(crf_scale=2, crf_widths=widths, crf_iterations=2)
    clf.fit(made.data[::8], made.target[::8]).save(tmp_path / "wsarl")
    again = WSARLClassifier.load(tmp_path / "wsarl")
    assert again.net_.module_.network.spatial.crf.alpha == (4.0,) * 11 + (8.0,)
    ours, theirs = (c.predict_proba(made.data[:4]) for c in (clf, again))
    np.testing.assert_array_equal(ours, theirs)


def test_the_printed_sums_are_a_setting(made):
    faces, labels = made.data[::8], made.target[::8]
    parts = {}
    for reduction in ("mean", "sum"):
        clf = make_classifier(energy_weight=1.0, reduction=reduction, lr=1e-12)
        parts[reduction] = clf.fit(faces, labels).history_[0]
    ratio = {name: parts["sum"][name] / parts["mean"][name] for name in parts["sum"]}
    assert ratio["wce"] == pytest.approx(12)
    assert ratio["crf_energy"] == pytest.approx(12 * 8 * 8)


def test_branches_go_from_one_data_set_to_the_other(fitted, made):
    aus = DATASET_AUS["disfa"]
    target = made.target[::8, : len(aus)]
    clf = make_classifier(aus=aus, crf_scale=2, init_from=fitted, lr=1e-12)
    clf.fit(made.data[::8], target)
    assert clf.transferred_["aus"] == tuple(sorted(set(aus) & set(made.aus)))
    assert "trunk.0.patches.0.conv.weight" in clf.transferred_["copied"]
    ours, theirs = (
        c.network_state()["decision.classify.weight"] for c in (clf, fitted)
    )
    np.testing.assert_allclose(ours[aus.index(12)], theirs[made.aus.index(12)])


def test_images_that_cannot_be_cut_are_refused(made):
    with pytest.raises(ValueError, match=r"multiples of 16 .* Got 40x40; resize"):
        make_classifier(image_size=40).fit(made.data[::8], made.target[::8])
