"""AUNet: sizes as published, and the published code's layers written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skfau.nn import AUNet
from skfau.nn._fan import MultiScaleBlock
from tests.networks import draw_images, stirred

SMALL = {"fan_width": 16, "fan_stacks": 1}


def make_network(n_aus=3, seed=0, **parameters):
    torch.manual_seed(seed)
    return stirred(AUNet(n_aus, **SMALL | parameters), seed).eval()


class Published(nn.Module):
    """The layers behind the FAN in the order in which the authors declare them."""

    def __init__(self, n_aus, channels, width, temporal):
        super().__init__()

        def stages(n):
            pairs = [
                (MultiScaleBlock(width, width), nn.MaxPool2d(2, 2)) for _ in range(n)
            ]
            return nn.Sequential(*(layer for pair in pairs for layer in pair))

        self.conv1x1 = nn.Conv2d(channels, width, 1)
        if temporal:
            self.ConvNet_1, self.ConvNet_diff, self.ConvNet_2 = map(stages, (1, 1, 3))
        else:
            self.ConvNet = stages(4)
        half = width // 2
        self.predictor = nn.Sequential(
            nn.Linear(width, half),
            nn.BatchNorm1d(half),
            nn.ReLU(),
            nn.Linear(half, n_aus),
        )
        if temporal:
            self.conv1x1_diff = nn.Conv2d(2 * channels, width, 1)

    def forward(self, x, before=None, after=None):
        if not hasattr(self, "conv1x1_diff"):
            return self.predictor(self.ConvNet(self.conv1x1(x)).mean(dim=(2, 3)))
        d = torch.cat([x - before, after - x], dim=1)
        d = self.conv1x1_diff(F.avg_pool2d(d, 2))
        x = 0.9 * self.conv1x1(x) + 0.1 * F.interpolate(d, scale_factor=2)
        d = self.ConvNet_diff(d)
        x = 0.9 * self.ConvNet_1(x) + 0.1 * F.interpolate(d, scale_factor=2)
        return self.predictor(self.ConvNet_2(x).mean(dim=(2, 3)))


def make_published(tmp_path, n_aus=3, temporal=True):
    """Return the authors' layers and a file of theirs, under names that say nothing."""
    torch.manual_seed(1)
    theirs = stirred(Published(n_aus, 32, 16, temporal)).eval()
    state = {f"x{i}": v for i, v in enumerate(theirs.state_dict().values())}
    torch.save(state, tmp_path / "split1.pth")
    return theirs, tmp_path / "split1.pth"


@pytest.mark.parametrize(("temporal", "n"), [(True, 2_657_036), (False, 1_857_164)])
def test_head_has_the_published_number_of_parameters(temporal, n):
    network = AUNet(12, temporal=temporal)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == n
    assert sum(p.numel() for p in network.trunk.parameters()) == 12_106_504


@pytest.mark.parametrize("temporal", [True, False])
def test_published_files_load_by_position_and_compute_the_same(temporal, tmp_path):
    theirs, path = make_published(tmp_path, temporal=temporal)
    ours = make_network(temporal=temporal)
    ours.load_published(path)
    frames = torch.randn(3, 2, 32, 16, 16).double()
    expected = theirs.double()(*frames)
    ours, (face, *others) = ours.double(), frames
    sides = [ours.half(each) for each in others]
    torch.testing.assert_close(ours.head(face, *sides), expected)


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    _, path = make_published(tmp_path)
    with pytest.raises(ValueError, match=r"must hold the \d+ entries.*Check temporal"):
        make_network(temporal=False).load_published(path)
    with pytest.raises(ValueError, match=r"must have the shape \(4, 8\) of"):
        make_network(4).load_published(path)
    torch.save([torch.zeros(2)], path)
    with pytest.raises(ValueError, match=r"must be a dict of.*Got a list"):
        make_network().load_published(path)


def test_every_image_has_features_of_its_own():
    network, frames = make_network(), draw_images(6, 48).unflatten(0, (3, 2))
    with torch.no_grad():
        logits = network(*frames)
        face, before, after = (network.features(images) for images in frames)
        sides = network.half(before), network.half(after)
        torch.testing.assert_close(network.head(face, *sides), logits)
        face, before, after = map(network.summary, (face, before, after))
        compared = network.compare(*face, before[1], after[2])
        torch.testing.assert_close(compared, logits)


def test_without_neighbours_nothing_moves():
    network, images = make_network(), draw_images(2, 48)
    with torch.no_grad():
        alone = network(images)
        torch.testing.assert_close(network(images, images, images), alone)
        others = network(images, draw_images(2, 48, 1), draw_images(2, 48, 2))
    assert not torch.allclose(others, alone)


def test_without_the_temporal_module_neighbours_are_not_read():
    network, images = make_network(temporal=False), draw_images(2, 48)
    with torch.no_grad():
        assert torch.equal(network(images, images + 1, images - 1), network(images))


def test_moved_neighbours_are_where_the_map_leads():
    network = make_network().double()
    x, (before, after) = torch.randn(2, 32, 16, 16), torch.randn(2, 2, 32, 8, 8)
    x, before, after = x.double(), before.double(), after.double()
    moves = torch.eye(2, 3).double().repeat(2, 2, 1, 1)
    torch.testing.assert_close(
        network.head(x, before, after, moves), network.head(x, before, after)
    )
    moves[:, 0, 0, 2] = 2 * 3 / 8  # three cells to the right
    moves[:, 1, 1, 2] = -2 * 2 / 8  # two cells up
    shifted = F.pad(before[..., 3:], (0, 3)), F.pad(after[..., :-2, :], (0, 0, 2, 0))
    torch.testing.assert_close(
        network.head(x, before, after, moves), network.head(x, *shifted)
    )


def test_positions_are_not_rounded_to_bfloat16():
    network, channels = make_network(), 32
    slope = torch.arange(32.0).expand(1, channels, 32, 32)
    face = torch.zeros(1, channels, 64, 64).bfloat16()
    moves = torch.tensor([[[1, 0, 0.01], [0, 1, 0]]]).expand(1, 2, 2, 3)
    # A hundredth of half the side to the right; beyond the last cell is 0.
    exact = slope + 0.01 * 16
    exact[..., -1] = 31 * (1 - 0.16)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        half = slope.bfloat16()
        moved = network.head(face, half, half, moves)
        expected = network.head(face, exact.bfloat16(), exact.bfloat16())
    assert torch.equal(moved, expected)


def test_the_fan_stays_as_it_is():
    network = make_network().train()
    before = {k: v.clone() for k, v in network.trunk.state_dict().items()}
    assert network.training and not network.trunk.training
    assert not any(p.requires_grad for p in network.trunk.parameters())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(*draw_images(6, 48).unflatten(0, (3, 2))).sum().backward()
    optimizer.step()
    for name, entry in network.trunk.state_dict().items():
        assert torch.equal(entry, before[name]), name


@pytest.mark.parametrize("backbone", ["resnet18", "tiny"])
def test_a_residual_backbone_is_split_behind_its_first_stage(backbone):
    network = make_network(backbone=backbone)
    plain = make_network(backbone=backbone, temporal=False)
    plain.load_state_dict(network.state_dict(), strict=False)
    images = draw_images(2, 64)
    features = network.features(images)
    assert features.shape[2:] == (16, 16)
    assert all(p.requires_grad for p in network.parameters())
    static = make_network(backbone=backbone, static_share=1.0, motion_share=0.0)
    static.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(static(images, images, images), plain(images))
        assert not torch.allclose(network(images), plain(images))


def test_one_face_trains():
    network = make_network().train()
    assert network(*draw_images(3, 32).unsqueeze(1)).isfinite().all()


def test_another_backbone_is_refused():
    with pytest.raises(ValueError, match=r"one of 'fan', 'resnet18'.*Got 'inception"):
        AUNet(3, "inception_v3")
