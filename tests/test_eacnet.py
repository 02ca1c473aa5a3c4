"""EAC-Net: gates, crops and both decisions against loops; landmarks as input."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau import EACNetClassifier
from skfau.estimators import FaceAugmentation
from skfau.estimators._batches import FaceBatches
from skfau.exceptions import MissingColumnError
from skfau.facs import FLIP_68
from skfau.losses import EACNetLoss
from skfau.nn import EACNet
from tests.networks import draw_images, draw_landmarks, stirred
from tests.small import make_small

N_AUS = 3


def make_network(seed=0, **parameters):
    torch.manual_seed(seed)
    small = {"channels": 2, "embedding_dim": 4, "image_size": 48}
    return EACNet(N_AUS, **small | parameters)


def inputs(n=2, size=48):
    return draw_images(n, size), draw_landmarks(n, size)


def test_numbers_of_parameters():
    # Meta tensors: 200 million numbers need not be drawn.
    with torch.device("meta"):
        vgg19 = EACNet(12).trunk
    vgg = sum(p.numel() for p in vgg19.features.parameters())
    assert vgg == 20_024_384  # VGG-19's convolutions
    assert vgg19.classifier[0].weight.shape == (4096, 25088)
    network = make_network(channels=4, embedding_dim=5)
    crops, width, hidden = 2 * N_AUS, 32, 128
    expected = crops * (9 * width**2 + width + 16 * width * 5 + 5)
    expected += (crops * 5 + 1) * hidden + (hidden + 1) * N_AUS
    assert sum(p.numel() for p in network.cropping_net.parameters()) == expected


def test_entries_are_torchvisions():
    names = make_network(channels=1, image_size=32).trunk.state_dict()
    convolutions = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    assert {name for name in names if name.endswith("weight")} == {
        *(f"features.{place}.weight" for place in convolutions),
        "classifier.0.weight",
    }


def test_a_gate_lets_the_first_convolution_pass():
    network = stirred(make_network()).double().eval()
    images, landmarks = (v.double() for v in inputs())
    gates = {}
    maps, features = images, network.trunk.features
    with torch.no_grad():
        aux = network(images, landmarks)[1]
        gates[2] = aux["attention_maps"].amax(dim=1, keepdim=True)
        gates[3] = F.max_pool2d(gates[2], 2)
        place = 0
        for group, depth in enumerate((2, 2, 4, 4, 4)):
            maps = first = features[place](maps).relu()
            for later in range(1, depth):
                maps = features[place + 2 * later](maps).relu()
            place += 2 * depth
            maps = maps + gates[group] * first if group in gates else maps
            maps = F.max_pool2d(maps, 2)
            place += 1
        hidden = network.trunk.classifier[0](maps.flatten(1)).relu()
        head = network.enhancing_head
        expected = head.out(head.hidden(hidden).relu())
    torch.testing.assert_close(aux["enhancing_logits"], expected)


def cut_crops(network, images, landmarks):
    """Return the maps that a network cuts, and its crops."""
    taken = {}
    network.norm.register_forward_hook(
        lambda module, inputs, maps: taken.update(maps=maps)
    )
    network.cropping_net.register_forward_pre_hook(
        lambda module, inputs: taken.update(crops=inputs[0])
    )
    network(images, landmarks)
    return taken["maps"], taken["crops"]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), unknown=st.booleans())
def test_crops_lie_around_their_centres_and_inside(seed, unknown):
    network = make_network().eval()
    landmarks = draw_landmarks(2, 80, seed) - 16
    if unknown:
        # A corner of the left eye: needed by AU1, AU2 and AU4 of both sides.
        landmarks[1, 39] = torch.nan
    with torch.no_grad():
        centres = network.rule(landmarks)
        maps, crops = cut_crops(network, draw_images(2, 48, seed), landmarks)
    assert crops.shape == (2, 2 * N_AUS, 16, 3, 3)
    for face in range(2):
        for place, (x, y) in enumerate(centres[face].reshape(-1, 2).tolist()):
            if np.isnan(x + y):
                assert not crops[face, place].any()
                continue
            column = min(max(int(np.floor((x + 0.5) / 8)), 1), 4)
            row = min(max(int(np.floor((y + 0.5) / 8)), 1), 4)
            cut = maps[face, :, row - 1 : row + 2, column - 1 : column + 2]
            assert torch.equal(crops[face, place], cut)


def test_grouped_crops_equal_a_loop():
    network = stirred(make_network()).double().eval()
    net = network.cropping_net
    crops = torch.rand(2, 2 * N_AUS, 16, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        embedded = []
        for place in range(2 * N_AUS):
            own = slice(16 * place, 16 * place + 16)
            maps = crops[:, place].repeat_interleave(2, 2).repeat_interleave(2, 3)
            maps = F.conv2d(maps, net.conv.weight[own], net.conv.bias[own]).relu()
            values = maps.flatten(1) @ net.embed.weight[place] + net.embed.bias[place]
            embedded.append(values.relu())
        expected = net.out(net.hidden(torch.cat(embedded, dim=1)).relu())
        torch.testing.assert_close(net(crops), expected)


def test_attention_is_1_where_the_au_shows_and_0_far_away():
    landmarks = torch.full((1, 68, 2), torch.nan)
    landmarks[:, [48, 54]] = torch.tensor([[13.5, 33.5], [37.5, 33.5]])
    landmarks[:, [39, 42]] = torch.tensor([[20.0, 20.0], [28.0, 20.0]])
    network = make_network(aus=(12, 1, 14)).eval()
    maps = network(draw_images(1, 48), landmarks)[1]["attention_maps"][0]
    assert maps.shape == (3, 12, 12)
    assert maps[0, 8, 3] == maps[0, 8, 9] == 1
    assert maps[0, 8, 4] == pytest.approx(1 - 7 / 12)
    assert not maps[0, :7].any() and not maps[1].any()
    assert torch.equal(maps[0], maps[2])


@pytest.mark.parametrize("enhancing", [False, True])
@pytest.mark.parametrize("cropping", [False, True])
def test_the_papers_comparisons_are_settings(enhancing, cropping):
    network = make_network(enhancing=enhancing, cropping=cropping).eval()
    images, landmarks = inputs()
    logits, aux = network(images, landmarks)
    names = {"attention_maps", "enhancing_logits"} if cropping else {"attention_maps"}
    assert logits.shape == (2, N_AUS) and set(aux) == names
    moved = network(images, landmarks.flip(0))
    whole = aux["enhancing_logits"] if cropping else logits
    moved_whole = moved[1]["enhancing_logits"] if cropping else moved[0]
    assert torch.equal(whole, moved_whole) == (not enhancing)
    assert torch.equal(logits, moved[0]) == (not (enhancing or cropping))


def test_frozen_groups_stay_and_the_rest_learns():
    network = make_network(freeze=True)
    learns = {n: p.requires_grad for n, p in network.trunk.named_parameters()}
    assert not any(learns[f"features.{i}.weight"] for i in (0, 2, 5, 7))
    assert learns["features.10.weight"] and learns["classifier.0.weight"]


def test_a_checkpoint_of_vgg19_is_read(tmp_path):
    state = make_network(seed=1).trunk.state_dict()
    extra = dict.fromkeys(("classifier.3.weight", "classifier.6.bias"), torch.zeros(1))
    torch.save(state | extra, tmp_path / "vgg19.pth")
    network = make_network(weights=tmp_path / "vgg19.pth")
    for name, entry in network.trunk.state_dict().items():
        assert torch.equal(entry, state[name]), name
    with pytest.raises(ValueError, match="does not fit backbone 'vgg19'"):
        make_network(weights=tmp_path / "vgg19.pth", channels=1)


def test_loss_is_its_formula():
    rng = np.random.default_rng(0)
    logits, whole = rng.normal(size=(2, 4, 3))
    # Labels between 0 and 1 are what mixing and smoothing make.
    labels = np.array([[0, 1, 0.05], [0.95, 0, 1], [0.5, np.nan, 0], [1, 0.3, 0]])
    expected = 0
    for z in (logits, whole):
        p = 1 / (1 + np.exp(-z))
        each = labels * np.log((p + 0.05) / 1.05)
        each += (1 - labels) * np.log((1.05 - p) / 1.05)
        expected -= np.nanmean(each)
    outputs = torch.tensor(logits), {"enhancing_logits": torch.tensor(whole)}
    loss = EACNetLoss()
    value = loss(outputs, {"labels": torch.tensor(labels)})
    assert value.item() == pytest.approx(expected)
    assert sum(loss.parts.values()) == value


def test_a_sure_network_has_a_finite_loss_without_smoothing():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    right, wrong = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    for labels in (right, wrong):
        loss = EACNetLoss(smoothing=0.0)(logits, {"labels": labels})
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite() and gradient.isfinite().all()


def test_batches_move_the_landmarks_with_the_pixels(made):
    faces = made.data[:6]
    batches = FaceBatches(
        faces,
        made.target[:6],
        image_size=96,
        augmentation=FaceAugmentation(flip=1.0),
        make_targets=lambda labels: {"labels": labels},
        columns=("landmarks",),
        aus=made.aus,
        inputs=("landmarks",),
    )
    batches.rng = np.random.default_rng(0)
    inputs, targets = batches.__getitems__(range(6))
    assert set(targets) == {"labels"}
    mirrored = (faces.landmarks + 0.5) * 2 - 0.5
    mirrored = mirrored[:, FLIP_68] * [-1, 1] + [95, 0]
    np.testing.assert_allclose(inputs["landmarks"], mirrored, atol=1e-4)


def test_a_missing_landmark_is_survived_and_a_missing_column_named(made):
    clf = make_small(EACNetClassifier, max_epochs=1)
    landmarks = made.data.landmarks.copy()
    landmarks[::2, 48] = np.nan
    landmarks[1] = np.nan
    faces = made.data.with_columns(landmarks=landmarks)
    proba = clf.fit(faces, made.target).predict_proba(faces)
    assert np.isnan(proba[1]).all() and np.isfinite(np.delete(proba, 1, axis=0)).all()
    bare = made.data.with_columns(landmarks=None)
    for call in (lambda: clf.predict(bare), lambda: clf.fit(bare, made.target)):
        with pytest.raises(MissingColumnError, match="no column 'landmarks'"):
            call()


def test_predictions_look_where_the_landmarks_are(made):
    clf = make_small(EACNetClassifier, max_epochs=1).fit(made.data, made.target)
    faces = made.data[:4]
    moved = faces.with_columns(landmarks=faces.landmarks[[1, 0, 3, 2]])
    assert not np.array_equal(clf.predict_proba(faces), clf.predict_proba(moved))
    maps = clf.attention_maps(faces)
    assert maps.shape == (4, 12, 8, 8)
    np.testing.assert_array_equal(maps, clf.attention_maps(moved)[[1, 0, 3, 2]])


def test_disfa_needs_another_convention(made):
    clf = make_small(EACNetClassifier, aus=(1, 9), max_epochs=1)
    with pytest.raises(ValueError, match="convention='jaa' has one"):
        clf.fit(made.data, made.target[:, :2])
    clf.set_params(roi_convention="jaa").fit(made.data[::8], made.target[::8, :2])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image_size": 50}, "multiple of 8 from 32. Got 50"),
        ({"aus": (1, 2)}, "aus must name 3 AUs"),
        ({"roi_convention": "facs"}, "convention must be one of"),
    ],
)
def test_what_cannot_be_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_network(**parameters)


def test_inputs_of_other_shapes_are_refused():
    images, landmarks = inputs()
    with pytest.raises(ValueError, match=r"48x48 px. Got 32x32"):
        make_network()(draw_images(2, 32), landmarks)
    with pytest.raises(ValueError, match=r"\(n, 68, 2\). Got \(2, 49, 2\)"):
        make_network()(images, landmarks[:, :49])
