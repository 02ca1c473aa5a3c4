"""JAA-Net: maps from landmarks, branches one by one, losses by formula, sizes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skfau import JAANetClassifier
from skfau.facs import DATASET_AUS, to_68
from skfau.losses import JAANetLoss, LandmarkLoss
from skfau.nn import JAANet, transfer_state
from skfau.preprocessing import roi_heatmaps
from tests.networks import draw_images, stirred
from tests.small import make_small

N_AUS = 3
VARIANTS = pytest.mark.parametrize("variant", ["ijcv", "eccv"])
ROWS_49 = [i for i in range(17, 68) if i not in (60, 64)]


def make_network(variant="ijcv", *, n_aus=N_AUS, seed=0, **parameters):
    torch.manual_seed(seed)
    small = {"channels": 1, "image_size": 32, "variant": variant}
    return JAANet(n_aus, **small | parameters)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("variant", "published"), [("ijcv", 25.2), ("eccv", 22.2)])
def test_numbers_of_parameters_are_those_of_the_released_networks(variant, published):
    network = JAANet(12, variant=variant)
    assert count(network.trunk) == 1_615_392
    features, hidden, n = 4000, 512, 12
    pairs = ((64, 96), (96, 96), (96, 128), (128, 128), (128, 160), (160, 160))
    # Without the biases that batch norm takes out again.
    deep = sum(9 * a * b + 2 * b for a, b in pairs)
    assert count(network.align) == count(network.overall) == deep
    assert count(network.local) == n * deep
    assert count(network.landmarks) == (features + 1) * hidden + (hidden + 1) * 98
    assert count(network.refine) == n * (9 * 64 + 2 * 9 * 64 * 64 + 6 * 64 + 577)
    assert count(network.head) == (3 * features + 1) * hidden + (hidden + 1) * n
    if variant == "ijcv":
        assert count(network.local_head) == n * ((features + 1) * 64 + 65)
    assert round(count(network) / 1e6, 1) == pytest.approx(published, abs=0.101)


@pytest.mark.parametrize("aus", [DATASET_AUS["bp4d"], DATASET_AUS["disfa"]])
def test_initial_maps_are_those_of_the_heatmaps(aus, made):
    landmarks = made.data.landmarks[:5] * (176 / 48)
    network = JAANet(len(aus), aus, channels=1)
    maps = network.initial_maps(torch.tensor(landmarks[:, ROWS_49]), 44)
    assert maps.shape == (5, len(aus), 52, 52)
    # A face of 44 cells in the middle of an image of 52, four cells on every side.
    moved = (landmarks + 0.5) + 176 * 4 / 44 - 0.5
    side = 176 * 52 // 44
    same = roi_heatmaps(moved, aus, (side, side), size=52, shape="diamond")
    np.testing.assert_allclose(maps, same, atol=2e-5)
    assert maps.max() > 0.9


def test_landmarks_of_49_and_68_place_the_same_maps(made):
    landmarks = torch.tensor(made.data.landmarks[:3])
    few, all_ = (make_network(n_landmarks=n, image_size=48) for n in (49, 68))
    torch.testing.assert_close(
        few.initial_maps(landmarks[:, ROWS_49], 12), all_.initial_maps(landmarks, 12)
    )


def test_aus_on_the_jaw_need_all_landmarks():
    with pytest.raises(ValueError, match=r"49 landmarks are too few to place AU29"):
        make_network(n_aus=1, aus=(29,))
    assert make_network(n_aus=1, aus=(29,), n_landmarks=68)(draw_images(2, 32))


class LoneBranch:
    """What the paper writes for one AU, in evaluation mode."""

    def __init__(self, au):
        self.au = au

    def take(self, entry):
        return entry.chunk(N_AUS)[self.au]

    def layer(self, layer, maps):
        if isinstance(layer, torch.nn.Conv2d):
            bias = None if layer.bias is None else self.take(layer.bias)
            return F.conv2d(maps, self.take(layer.weight), bias, padding=layer.padding)
        if isinstance(layer, torch.nn.BatchNorm2d):
            names = ("running_mean", "running_var", "weight", "bias")
            own = [self.take(getattr(layer, name)) for name in names]
            return F.batch_norm(maps, *own, eps=layer.eps)
        return layer(maps)

    def __call__(self, layers, maps):
        for layer in layers.modules():
            if not list(layer.children()):
                maps = self.layer(layer, maps)
        return maps


def test_grouped_branches_equal_a_loop_over_aus():
    network = stirred(make_network(image_size=48)).double().eval()
    images = draw_images(2, 48).double()
    with torch.no_grad():
        logits, aux = network(images)
        shared = network.trunk(images)
        initial = network.initial_maps(aux["landmarks"], 12)
        local = []
        for au in range(N_AUS):
            branch = LoneBranch(au)
            refined = branch(network.refine, initial[:, au : au + 1])
            torch.testing.assert_close(refined[:, 0], aux["refined_maps"][:, au])
            local.append(branch(network.local, shared * refined))
            value = local[-1].flatten(1)
            for layer in network.local_head:
                value = value @ layer.weight[au] + layer.bias[au]
            torch.testing.assert_close(value[:, 0], aux["local_logits"][:, au])
        parts = network.align(shared), network.overall(shared), sum(local) / N_AUS
        together = torch.cat([part.flatten(1) for part in parts], dim=1)
        # The layer flattens side-by-side maps; so do flattened maps side by side.
        torch.testing.assert_close(network.head[1:](together), logits)


@VARIANTS
def test_who_learns_from_whom(variant):
    network = make_network(variant)
    logits, aux = network(draw_images(4, 32))
    logits.sum().backward()
    taught = {name: p.grad is not None for name, p in network.named_parameters()}
    # The joint decision teaches the branches in the first version only.
    for name in ("local.0.0.weight", "refine.0.weight"):
        assert taught[name] == (variant == "eccv")
    assert taught["align.0.0.weight"] and not taught["landmarks.mean"]
    assert ("local_logits" in aux) == (variant == "ijcv")


def test_the_first_version_doubles_the_gradient_to_the_refinement():
    network = make_network("eccv").eval()
    shared, refined = torch.rand(2, 8, 8, 8), torch.rand(2, N_AUS, 8, 8)
    refined.requires_grad_()
    seen = (shared.unsqueeze(1) * refined.unsqueeze(2)).flatten(1, 2)
    plain = torch.autograd.grad(network.local(seen).sum(), refined)[0]
    ours = torch.autograd.grad(network._local_features(shared, refined).sum(), refined)
    torch.testing.assert_close(ours[0], 2 * plain)


def test_permuted_aus_give_permuted_maps():
    order = (4, 1, 2)
    source, target = (
        stirred(make_network(seed=s, aus=aus), s).eval()
        for s, aus in ((0, (1, 2, 4)), (1, order))
    )
    state, report = transfer_state(
        source.state_dict(), (1, 2, 4), target.state_dict(), order, target.au_axes()
    )
    target.load_state_dict(state)
    assert report["fresh"] == report["partly"] == ()
    with torch.no_grad():
        (logits, aux), (moved, moved_aux) = (
            network(draw_images(2, 32)) for network in (source, target)
        )
    torch.testing.assert_close(moved, logits[:, [2, 0, 1]])
    for name in ("attention_maps", "refined_maps", "local_logits"):
        torch.testing.assert_close(moved_aux[name], aux[name][:, [2, 0, 1]])


def test_landmark_loss_is_its_formula():
    rng = np.random.default_rng(0)
    truth, found = rng.normal(size=(3, 68, 2)), rng.normal(size=(3, 49, 2))
    total = 0
    for face in range(3):
        eyes = truth[face, 36:42].mean(axis=0) - truth[face, 42:48].mean(axis=0)
        for row, landmark in enumerate(ROWS_49):
            squared = np.square(found[face, row] - truth[face, landmark]).sum()
            total += squared / (2 * (eyes @ eyes))
    outputs = torch.zeros(3, 2), {"landmarks": torch.tensor(found)}
    targets = {"landmarks": torch.tensor(truth)}
    assert LandmarkLoss()(outputs, targets).item() == pytest.approx(total / 3)


def test_unknown_landmarks_change_neither_value_nor_gradient():
    truth, found = torch.rand(4, 68, 2), torch.rand(4, 68, 2, requires_grad=True)
    part = truth.clone()
    part[1, 8] = torch.nan
    part[2, 40] = torch.nan
    part[3] = torch.nan
    loss = LandmarkLoss()((None, {"landmarks": found}), {"landmarks": part})
    loss.backward()
    assert loss.isfinite() and found.grad.isfinite().all()
    assert not found.grad[1, 8].any() and not found.grad[2:].any()
    nothing = torch.full_like(truth, torch.nan)
    outputs = None, {"landmarks": found}
    assert LandmarkLoss()(outputs, {"landmarks": nothing}) == 0


@VARIANTS
def test_history_has_every_part(variant, made):
    clf = make_small(JAANetClassifier, variant=variant, max_epochs=1)
    row = clf.fit(made.data[::8], made.target[::8]).history_[0]
    parts = {"wce", "dice", "landmarks"} | (
        {"refinement"} if variant == "eccv" else {"local_wce", "local_dice"}
    )
    assert parts == set(row) & (parts | {"refinement", "local_wce"})
    assert row["train_loss"] == pytest.approx(sum(row[name] for name in parts))


@pytest.mark.parametrize("crop", [0.0, 0.2])
def test_landmarks_come_back_in_the_faces_pixels(crop, made):
    from skfau.estimators import FaceAugmentation

    augmentation = FaceAugmentation(flip=0, crop=crop)
    clf = make_small(JAANetClassifier, augmentation=augmentation, max_epochs=1)
    faces = made.data[::8]
    clf.fit(faces, made.target[::8])
    network = clf.net_.module_.network
    # A network that knows the first face by heart.
    truth = faces.landmarks[:1]
    unit = ((2 * truth + 1) / 48 - 1) / (1 - crop)
    inside = torch.tensor((((unit + 1) * 32 - 1) / 2)[0, ROWS_49])
    with torch.no_grad():
        network.landmarks.out.weight.zero_()
        network.landmarks.mean.copy_((inside - 15.5) / network.landmarks.scale)
    found = clf.predict_landmarks(faces[:1])
    assert np.isnan(found[0, [*range(17), 60, 64]]).all()
    np.testing.assert_allclose(found, to_68(truth[:, ROWS_49]), atol=1e-3)


def test_it_finds_landmarks_of_a_small_batch(made):
    clf = make_small(
        JAANetClassifier, variant="eccv", lr=0.05, max_epochs=30, augmentation=None
    )
    faces = made.data[:24]
    present = made.target[:24].any(axis=0)
    clf.set_params(aus=tuple(np.array(made.aus)[present]))
    clf.fit(faces, made.target[:24, present])
    error = np.linalg.norm(clf.predict_landmarks(faces) - faces.landmarks, axis=2)
    eyes = faces.landmarks[:, 36:42].mean(1) - faces.landmarks[:, 42:48].mean(1)
    mean = np.nanmean(error / np.linalg.norm(eyes, axis=1, keepdims=True))
    assert mean < 0.1
    refined, initial = (clf.attention_maps(faces, refined=r) for r in (True, False))
    assert refined.shape == initial.shape == (24, present.sum(), 8, 8)
    assert initial.max() > 0.7


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"variant": "eccv2018"}, r"one of \('ijcv', 'eccv'\). Got 'eccv2018'"),
        ({"n_landmarks": 51}, "must be 49 or 68. Got 51"),
        ({"image_size": 40}, "multiples of 16 .* Got 40x40"),
        ({"aus": (1, 2)}, "aus must name 3 AUs.*got \\(1, 2\\)"),
        ({"n_aus": 13}, "None names no more than the 12 of BP4D"),
        ({"aus": (1, 2, 999)}, "There is no AU999"),
    ],
)
def test_what_cannot_be_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_network(**parameters)


def test_other_errors_name_the_remedy(made):
    with pytest.raises(ValueError, match=r"32x32 px. Got 48x48; resize"):
        make_network()(draw_images(1, 48))
    with pytest.raises(ValueError, match="landmarks"):
        bare = made.data.with_columns(landmarks=None)
        make_small(JAANetClassifier).fit(bare, made.target)
    found = {"landmarks": torch.zeros(1, 68, 2)}
    with pytest.raises(ValueError, match=r"compares landmarks with targets"):
        LandmarkLoss()((torch.zeros(1, 2), found), {"labels": torch.zeros(1, 2)})
    with pytest.raises(ValueError, match=r"skfau.facs.to_68 brings layouts to 68"):
        LandmarkLoss()((None, found), {"landmarks": torch.zeros(1, 49, 2)})
    targets = {"labels": torch.zeros(1, 2), "landmarks": torch.zeros(1, 68, 2)}
    with pytest.raises(ValueError, match="refinement_weight=0"):
        JAANetLoss(refinement_weight=1.0)((torch.zeros(1, 2), found), targets)


def test_a_fit_says_that_five_points_are_few(made):
    landmarks = np.full((48, 68, 2), np.nan, np.float32)
    landmarks[:, [30, 48, 54]] = made.data.landmarks[:48, [30, 48, 54]]
    faces = made.data[:48].with_columns(landmarks=landmarks)
    clf = make_small(JAANetClassifier, max_epochs=1)
    with pytest.warns(UserWarning, match="only 3 of 68 landmarks are known"):
        clf.fit(faces, made.target[:48])
