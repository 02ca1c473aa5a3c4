"""Image backbones: sizes, entry names, gradients, and modules of the user's own."""

import pytest
import torch
from torch import nn

from skfau.nn import BACKBONES, feature_map_size, make_backbone

N_PARAMETERS = {
    ("efficientnet_b0", "12x12"): 851_808,
    ("efficientnet_b0", "full"): 4_007_548,
    ("inception_v3", "12x12"): 8_965_856,
    ("inception_v3", "full"): 21_785_568,
    ("resnet18", "12x12"): 2_782_784,
    ("resnet18", "full"): 11_176_512,
    ("resnet34", "12x12"): 8_170_304,
    ("resnet34", "full"): 21_284_672,
    ("resnet50", "12x12"): 8_543_296,
    ("resnet50", "full"): 23_508_032,
    ("tiny", "12x12"): 146_704,
    ("tiny", "full"): 376_848,
}
MAPS = {
    ("efficientnet_b0", "12x12", 224): (112, 14, 14),
    ("efficientnet_b0", "full", 224): (1280, 7, 7),
    ("inception_v3", "12x12", 224): (768, 12, 12),
    ("inception_v3", "12x12", 112): (768, 5, 5),
    ("inception_v3", "full", 299): (2048, 8, 8),
    ("resnet18", "12x12", 224): (256, 14, 14),
    ("resnet18", "full", 224): (512, 7, 7),
    ("resnet34", "12x12", 112): (256, 7, 7),
    ("resnet50", "12x12", 224): (1024, 14, 14),
    ("resnet50", "full", 224): (2048, 7, 7),
    ("tiny", "12x12", 112): (64, 14, 14),
    ("tiny", "full", 112): (128, 7, 7),
}
ENTRIES = {
    "efficientnet_b0": (
        "features.0.0.weight",
        "features.0.1.running_mean",
        "features.1.0.block.0.0.weight",
        "features.1.0.block.1.fc1.bias",
        "features.2.0.block.2.fc2.weight",
        "features.5.2.block.3.1.running_var",
        "features.8.0.weight",
    ),
    "inception_v3": (
        "Conv2d_1a_3x3.conv.weight",
        "Conv2d_2b_3x3.bn.running_var",
        "Mixed_5b.branch_pool.bn.bias",
        "Mixed_6a.branch3x3dbl_3.conv.weight",
        "Mixed_6e.branch7x7dbl_5.conv.weight",
        "Mixed_7a.branch7x7x3_4.bn.weight",
        "Mixed_7c.branch3x3dbl_3b.conv.weight",
    ),
    "resnet18": ("conv1.weight", "layer2.0.downsample.1.bias", "layer4.1.bn2.weight"),
    "resnet34": ("bn1.num_batches_tracked", "layer3.5.conv2.weight"),
    "resnet50": ("layer1.0.downsample.0.weight", "layer4.2.bn3.running_mean"),
    "tiny": ("conv1.weight", "layer2.1.conv2.weight", "layer3.0.bn1.weight"),
}


def meta_backbone(name, cut):
    """Build without memory or arithmetic: enough for names and shapes."""
    with torch.device("meta"):
        return make_backbone(name, cut=cut)


@pytest.mark.parametrize(("name", "cut"), N_PARAMETERS)
def test_parameter_count(name, cut):
    backbone = meta_backbone(name, cut)
    count = sum(p.numel() for p in backbone.parameters())
    assert count == N_PARAMETERS[name, cut]


@pytest.mark.parametrize(("name", "cut", "size"), MAPS)
def test_map_shape(name, cut, size):
    backbone = meta_backbone(name, cut)
    expected = MAPS[name, cut, size]
    maps = backbone(torch.zeros(2, 3, size, size, device="meta"))
    assert maps.shape == (2, *expected)
    assert backbone.out_channels == expected[0]
    assert feature_map_size(backbone, size) == expected[1:]


@pytest.mark.parametrize("name", BACKBONES)
def test_entry_names(name):
    assert set(ENTRIES[name]) <= meta_backbone(name, "full").state_dict().keys()


@pytest.mark.parametrize("name", BACKBONES)
def test_cut_backbone_begins_like_the_full_one(name):
    full = meta_backbone(name, "full").state_dict()
    cut = meta_backbone(name, "12x12")
    assert {k: v.shape for k, v in cut.state_dict().items()} == {
        k: v.shape for k, v in full.items() if not k.startswith(cut.unused_entries)
    }


@pytest.mark.parametrize("cut", ["12x12", "full"])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_parameter_gets_a_gradient(name, cut):
    torch.manual_seed(0)
    backbone = make_backbone(name, cut=cut).train()
    backbone(torch.randn(3, 3, 96, 96)).square().mean().backward()
    dead = [
        n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()
    ]
    assert dead == []


@pytest.mark.parametrize("name", BACKBONES)
def test_eval_is_repeatable_and_independent_of_the_batch(name):
    backbone = make_backbone(name).eval()
    images = torch.randn(3, 3, 80, 80)
    with torch.inference_mode():
        batch, again, alone = backbone(images), backbone(images), backbone(images[1:2])
    assert torch.isfinite(batch).all()
    assert torch.equal(batch, again)
    torch.testing.assert_close(alone, batch[1:2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_random_weights_keep_the_scale_in_evaluation(name):
    torch.manual_seed(0)
    backbone = make_backbone(name).eval()
    with torch.inference_mode():
        scale = backbone(torch.randn(2, 3, 80, 80)).std()
    assert 1e-5 < scale < 100


@pytest.mark.parametrize("name", ["efficientnet_b0", "inception_v3", "tiny"])
def test_channels_last_stays_channels_last(name):
    backbone = make_backbone(name).eval()
    images = torch.randn(2, 3, 80, 80)
    with torch.inference_mode():
        expected = backbone(images)
        backbone = backbone.to(memory_format=torch.channels_last)
        maps = backbone(images.to(memory_format=torch.channels_last))
    assert maps.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50"])
def test_start_weights_have_the_kaiming_scale(name):
    torch.manual_seed(0)
    for layer in make_backbone(name, cut="full").modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 10_000:
            reached = layer.out_channels // layer.groups * layer.weight[0, 0].numel()
            assert layer.weight.std().item() == pytest.approx(
                (2 / reached) ** 0.5, rel=0.05
            )


def test_same_seed_same_weights():
    backbones = []
    for _ in range(2):
        torch.manual_seed(3)
        backbones.append(make_backbone("tiny").state_dict())
    for key in backbones[0]:
        assert torch.equal(backbones[0][key], backbones[1][key])


class Noisy(nn.Module):
    """A backbone with everything a dry run could disturb."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=8)
        self.bn = nn.BatchNorm2d(5)
        self.frozen = nn.BatchNorm2d(5).eval()

    def forward(self, images):
        return self.frozen(self.bn(self.conv(images) + torch.randn(())))


def test_own_module_is_adopted_and_left_as_it_was():
    module = Noisy()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    state = torch.get_rng_state()
    assert make_backbone(module) is module
    assert module.out_channels == 5
    assert feature_map_size(module, (64, 32)) == (8, 4)
    assert torch.equal(state, torch.get_rng_state())
    assert (module.training, module.bn.training, module.frozen.training) == (1, 1, 0)
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key])


def test_own_module_is_believed_about_its_channels():
    module = nn.Conv2d(1, 7, 3)  # a dry run on three channels would fail
    assert make_backbone(module).out_channels == 7


@pytest.mark.parametrize(
    ("backbone", "error", "match"),
    [
        ("vgg", ValueError, r"one of 'efficientnet_b0', .*Got 'vgg'"),
        (nn.Flatten(), ValueError, r"shape \(n, channels.*take off its pooling"),
        (nn.LSTM(224, 4), ValueError, "made it fail"),
        (nn.Sequential(nn.Flatten(2), nn.LSTM(50176, 2)), TypeError, "Got tuple"),
        (nn.ReLU, TypeError, "pass an instance"),
    ],
)
def test_refused_backbones(backbone, error, match):
    with pytest.raises(error, match=match):
        make_backbone(backbone)


def test_too_small_images_are_named():
    with pytest.raises(ValueError, match=r"32x32 pixels made it fail.*larger"):
        feature_map_size(make_backbone("inception_v3"), 32)


def test_unknown_cut():
    with pytest.raises(ValueError, match="cut must be '12x12' or 'full'"):
        make_backbone("tiny", cut="7x7")
