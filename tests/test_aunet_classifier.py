"""AUNetClassifier: neighbours in a video, what is trained before, data sets, files."""

import pickle

import numpy as np
import pytest
import torch

from skfau import AUNetClassifier, Faces
from skfau.estimators import FaceAugmentation
from skfau.estimators._neighbours import FrameBatches, Neighbourhood
from skfau.exceptions import FaceImageError
from skfau.facs import DATASET_AUS
from skfau.nn import FAN
from tests.small import make_small
from tests.test_aunet import make_published

NO_VIDEO = {"video": None, "frame": None}


def small(**parameters):
    return make_small(
        AUNetClassifier, **{"fan_width": 16, "max_epochs": 1} | parameters
    )


@pytest.fixture(scope="module")
def clf(made):
    return small().fit(made.data, made.target)


@pytest.fixture
def fan_passes(monkeypatch):
    """Count the images that a FAN computes features of."""
    counts, features = [], FAN.features
    monkeypatch.setattr(
        FAN, "features", lambda s, x: counts.append(len(x)) or features(s, x)
    )
    return counts


def turned(landmarks, degrees, scale=1.0, shift=(0.0, 0.0)):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (landmarks @ (scale * turn).T + shift).astype(np.float32)


def test_neighbours_are_found_over_gaps_ends_and_missing_faces(made):
    landmarks = made.data.landmarks.copy()
    landmarks[4] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    frames = faces.frame.copy()
    assert frames[:6].tolist() == [1, 2, 3, 4, 5, 6]
    frames[2] = 30  # frame 3 of the first video is nowhere
    faces = faces.with_columns(frame=frames)[:6]
    rows = Neighbourhood(faces, 1).rows
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert rows[:, 1].tolist() == [0, 0, 2, 3, 3, 5]
    assert rows[:, 2].tolist() == [1, 1, 2, 3, 5, 5]
    assert Neighbourhood(faces, None).rows.shape == (6, 1)
    assert not Neighbourhood(faces.with_columns(**NO_VIDEO), 1).has_sides


@pytest.mark.parametrize(
    "augmentation",
    [
        None,
        FaceAugmentation(rotation=20, scale=0.2, shift=0.1),
        FaceAugmentation(flip=1),
    ],
)
def test_moves_lead_to_the_same_point_of_the_neighbours_face(made, augmentation):
    from skfau.estimators._batches import move_landmarks

    landmarks = made.data.landmarks[:6].copy()
    for row in range(6):
        landmarks[row] = turned(landmarks[0], 4 * row, 1 + 0.05 * row, (row, -row))
    faces = made.data[:6].with_columns(landmarks=landmarks)
    around, rows = Neighbourhood(faces, 1), np.arange(1, 5)
    geometry = None
    if augmentation is not None:
        geometry = augmentation.draw(4, np.random.default_rng(0))
    moves = around.moves(rows, 32, geometry)
    for side, offset in enumerate((-1, 1)):
        own, other = (
            (2 * move_landmarks(landmarks[at], (48, 48), 32, geometry) + 1) / 32 - 1
            for at in (rows, rows + offset)
        )
        linear, shift = moves[:, side, :, :2], moves[:, side, None, :, 2]
        led = own @ linear.transpose(0, 2, 1) + shift
        np.testing.assert_allclose(led, other, atol=1e-5)


@pytest.mark.parametrize("unknown_in", ["face", "neighbour"])
def test_four_of_the_five_points_are_enough_to_align(made, unknown_in):
    landmarks = np.stack([made.data.landmarks[0]] * len(made.data))
    landmarks[1] += 5
    rows = [1] if unknown_in == "face" else [0, 2]
    landmarks[rows, 48] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    moves = Neighbourhood(faces, 1).moves(np.array([1]), 48)
    back = [[[1, 0, -10 / 48], [0, 1, -10 / 48]]] * 2
    np.testing.assert_allclose(moves[0], back, atol=1e-5)


def test_batches_hold_the_neighbours_pixels_and_the_data_set(made):
    faces, labels = made.data[:12], made.target[:12]
    batches = FrameBatches(
        faces,
        labels,
        neighbourhood=Neighbourhood(faces, 2),
        datasets=np.arange(12),
        image_size=48,
        augmentation=None,
        make_targets=lambda labels: {"labels": labels},
        columns=(),
        aus=made.aus,
    )
    inputs, targets = batches.__getitems__([2, 3])
    images = made.data.images[:6]
    np.testing.assert_array_equal(inputs["images"], images[[2, 3]])
    np.testing.assert_array_equal(inputs["previous"], images[[0, 1]])
    np.testing.assert_array_equal(inputs["following"], images[[4, 5]])
    assert inputs["moves"].shape == (2, 2, 2, 3)
    assert targets["dataset"].tolist() == [2, 3]


def expected_proba(clf, faces):
    """Run the bare network on each face and its neighbours, one at a time."""
    module, around = clf.net_.module_.eval(), Neighbourhood(faces, clf.interval)
    out = []
    for row, stores in enumerate(around.rows):
        images = torch.as_tensor(around.frames.images[stores])
        moves = torch.as_tensor(around.moves(np.array([row]), clf.image_size))
        with torch.no_grad():
            frames = module.pixels(images).unsqueeze(1)
            out.append(module.network(*frames, moves).sigmoid()[0].numpy())
    return np.array(out)


def test_a_video_is_what_the_bare_network_makes_of_every_three_frames(clf, made):
    rows = np.random.default_rng(0).permutation(len(made.data))[:20]
    for faces in (made.data[rows], made.data[:20]):
        np.testing.assert_allclose(
            clf.predict_proba(faces), expected_proba(clf, faces), atol=1e-5
        )


def test_a_frames_features_are_computed_once(clf, made, fan_passes):
    clf.predict_proba(made.data)
    assert sum(fan_passes) == len(made.data)
    fan_passes.clear()
    clf.predict_proba(made.data[1:3])
    assert sum(fan_passes) == 4


def test_single_images_have_no_motion(clf, made):
    faces = made.data[:4].with_columns(**NO_VIDEO)
    with torch.no_grad():
        pixels = clf.net_.module_.eval().pixels(torch.as_tensor(faces.images[:]))
        expected = clf.net_.module_.network(pixels, pixels, pixels).sigmoid()
    np.testing.assert_allclose(clf.predict_proba(faces), expected, atol=1e-6)


def test_fit_without_videos_warns(made):
    faces = made.data.with_columns(**NO_VIDEO)
    with pytest.warns(UserWarning, match="no face has neighbours"):
        small().fit(faces, made.target)
    small(temporal=False).fit(faces, made.target)


@pytest.mark.parametrize(("interval", "step"), [(100, 1), (1, 2)])
def test_fit_on_videos_without_a_frame_at_the_interval_warns(made, interval, step):
    # As behind a FaceAligner in a pipeline: the frames in between are not there.
    part = made.data[::step].with_images(made.data.images[::step])
    clf = small(interval=interval, backbone="tiny", label_vae=False)
    with pytest.warns(UserWarning, match=f"{interval} frames apart: no face has"):
        clf.fit(part, made.target[::step])


def test_a_frame_that_comes_twice_is_refused_before_anything_is_trained(made):
    twice = made.data.with_columns(frame=np.ones(len(made.data), int))
    clf = small()
    with pytest.raises(ValueError, match="give each recording its own name"):
        clf.fit(twice, made.target)
    assert not hasattr(clf, "net_")


def test_faces_of_two_sizes_are_not_compared(clf, made):
    images = [*made.data.images[:2], np.zeros((40, 48, 3), np.uint8)]
    columns = {"video": ["v"] * 3, "frame": [1, 2, 3]}
    landmarks = made.data.landmarks[:3]
    faces = Faces(images, landmarks=landmarks, **columns)
    with pytest.raises(FaceImageError, match="Align the faces first"):
        clf.predict_proba(faces)


def test_every_data_set_has_its_auto_encoder(made):
    target = made.target.copy()
    disfa = np.arange(len(target)) >= 48
    target[disfa, 5:] = np.nan
    dataset = np.where(disfa, "disfa", "bp4d")
    faces = made.data.with_columns(dataset=dataset)
    clf = small().fit(faces, target)
    assert list(clf.label_vaes_) == ["bp4d", "disfa"]
    sizes = {k: v.mean.out_features for k, v in clf.label_vaes_.items()}
    assert sizes == {"bp4d": 8, "disfa": 3}
    assert len(clf.net_.criterion_.encoders) == 2
    batches = clf._make_batches(clf.net_, faces, target)
    assert batches.datasets.tolist() == [0] * 48 + [1] * 48
    assert "consistency" in clf.history_[0]
    dataset = np.where(disfa, None, "bp4d")
    with pytest.raises(ValueError, match="'dataset' is missing in row 48"):
        small().fit(faces.with_columns(dataset=dataset), target)


def test_a_data_set_that_comes_later_gets_its_auto_encoder(made):
    labels, clf = made.target, small()
    for name, rows in {"disfa": slice(48), "bp4d": slice(48, None)}.items():
        faces = made.data[rows]
        faces = faces.with_columns(dataset=[name] * len(faces))
        first = dict(getattr(clf, "label_vaes_", {}))
        clf.partial_fit(faces, labels[rows])
        assert clf.history_[-1]["consistency"] > 0
    assert list(clf.label_vaes_) == ["disfa", "bp4d"]
    assert clf.label_vaes_["disfa"] is first["disfa"]
    assert len(clf.net_.criterion_.encoders) == 2


def test_the_auto_encoder_is_left_out_where_not_asked_for(made):
    clf = small(label_vae=False).fit(made.data, made.target)
    assert clf.label_vaes_ == {} and "consistency" not in clf.history_[0]


def test_a_loaded_classifier_trains_its_auto_encoder_anew(clf, made, tmp_path):
    clf.save(tmp_path / "x")
    loaded = AUNetClassifier.load(tmp_path / "x")
    with pytest.warns(UserWarning, match="holds no optimiser"):
        loaded.partial_fit(made.data, made.target)
    assert "consistency" in loaded.history_[-1]


def test_published_files_make_a_fitted_classifier(made, tmp_path):
    _, path = make_published(tmp_path, n_aus=8)
    torch.save(FAN(width=16, n_stacks=1).state_dict(), tmp_path / "fan.pth")
    clf = small(fan_weights=tmp_path / "fan.pth", aus=DATASET_AUS["disfa"])
    proba = clf.load_published(path).predict_proba(made.data[:3])
    assert proba.shape == (3, 8) and np.isfinite(proba).all()
    with pytest.raises(ValueError, match="Give fan_weights="):
        small().load_published(path)


def test_published_weights_leave_nothing_of_an_earlier_fit(clf, made, tmp_path):
    _, path = make_published(tmp_path, n_aus=8)
    torch.save(FAN(width=16, n_stacks=1).state_dict(), tmp_path / "fan.pth")
    again = pickle.loads(pickle.dumps(clf))
    again.set_params(fan_weights=tmp_path / "fan.pth", aus=DATASET_AUS["disfa"])
    again.load_published(path)
    assert not hasattr(again, "fan_history_") and again.label_vaes_ == {}
    again.partial_fit(made.data, made.target[:, :8])
    assert "consistency" in again.history_[-1]


def test_faces_are_compared_as_the_network_was_fitted(clf, made):
    again = pickle.loads(pickle.dumps(clf)).set_params(temporal=False)
    expected = clf.predict_proba(made.data)
    np.testing.assert_array_equal(again.predict_proba(made.data), expected)
