"""Checkpoints of image backbones: what is loaded, what is ignored, what is refused."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from skfau.nn import BACKBONES, EACNet, _weights, make_backbone

FOREIGN = {
    "efficientnet_b0": ("classifier.1.weight", "features.7.0.block.0.0.weight"),
    "inception_v3": ("fc.bias", "AuxLogits.conv0.conv.weight", "Mixed_7b.x.bn.bias"),
    "resnet18": ("fc.weight", "fc.bias", "layer4.1.bn2.weight"),
    "tiny": ("layer3.0.conv1.weight",),
}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key


@pytest.fixture
def state():
    torch.manual_seed(1)
    return make_backbone("tiny").state_dict()


@pytest.mark.parametrize("name", FOREIGN)
def test_round_trip_ignores_what_lies_after_the_cut(name, tmp_path):
    saved = make_backbone(name)
    for buffer in saved.buffers():
        if buffer.is_floating_point():
            buffer.uniform_()
    state = saved.state_dict()
    path = tmp_path / "published.pth"
    torch.save(state | dict.fromkeys(FOREIGN[name], torch.zeros(2)), path)
    assert_same(make_backbone(name, path).state_dict(), state)


def test_safetensors_round_trip(state, tmp_path):
    save_file(state, tmp_path / "backbone.safetensors")
    loaded = make_backbone("tiny", str(tmp_path / "backbone.safetensors"))
    assert_same(loaded.state_dict(), state)


def test_checkpoints_without_batch_counters_are_taken(state, tmp_path):
    old = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    torch.save(old, tmp_path / "old.pth")
    assert_same(make_backbone("tiny", tmp_path / "old.pth").state_dict(), state)


def test_misfits_name_the_first_keys(state, tmp_path):
    state["conv1.weight"] = torch.zeros(8, 3, 7, 7)
    state["stranger"] = torch.zeros(1)
    for key in [k for k in state if k.startswith("layer2.0.bn")]:
        del state[key]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(
        ValueError,
        match=r"x.pth' does not fit backbone 'tiny'. "
        r"Entries 8 missing: layer2.0.bn1.bias, layer2.0.bn1.running_mean, .*, \.\.\.; "
        r"1 of another shape: conv1.weight \(8, 3, 7, 7\) instead of \(16, 3, 3, 3\); "
        r"1 unknown: stranger. Pass",
    ):
        make_backbone("tiny", tmp_path / "x.pth")


def test_a_deeper_sibling_is_refused(tmp_path):
    torch.save(make_backbone("resnet34").state_dict(), tmp_path / "r34.pth")
    with pytest.raises(ValueError, match=r"unknown: layer1\.2\.bn1\.bias"):
        make_backbone("resnet18", tmp_path / "r34.pth")


def test_a_cut_checkpoint_does_not_fill_a_full_backbone(state, tmp_path):
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match=r"15 missing: layer3\.0\.bn1\.bias"):
        make_backbone("tiny", tmp_path / "cut.pth", cut="full")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"epoch": 3, "model": {}}, r"Got a dict with epoch, model; save"),
        (torch.zeros(3), "Got a Tensor; save"),
    ],
)
def test_only_a_plain_state_dict_is_taken(content, match, tmp_path):
    torch.save(content, tmp_path / "training.pth")
    with pytest.raises(ValueError, match=match):
        make_backbone("tiny", tmp_path / "training.pth")


class Bomb:
    """Its pickle asks for a file to be created on reading."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_pickled_code_is_refused_and_never_runs(write, state, tmp_path):
    target, path = tmp_path / "exploded", tmp_path / "evil.pth"
    content = {**state, "conv1.weight": Bomb(target)}
    if write == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(target), protocol=2))
    with pytest.raises(ValueError, match="pickled Python code, and was refused"):
        make_backbone("tiny", path)
    assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(target), protocol=2))
    assert target.exists()  # the bomb would have worked


@pytest.mark.parametrize("name", ["cut_short.pth", "cut_short.safetensors"])
def test_damaged_files_are_refused(name, state, tmp_path):
    path = tmp_path / name
    save = save_file if path.suffix == ".safetensors" else torch.save
    save(state, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged or holds pickled"):
        make_backbone("tiny", path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.pth").touch()
    with pytest.raises(ValueError, match="damaged"):
        make_backbone("tiny", tmp_path / "empty.pth")


@pytest.mark.parametrize(
    ("backbone", "weights", "error", "match"),
    [
        ("tiny", "imagnet", FileNotFoundError, "or the path.*'imagnet'"),
        (
            "tiny",
            "imagenet",
            ValueError,
            "No ImageNet weights.*backbone 'tiny'; they exist",
        ),
        ("tiny", {"a": 1}, TypeError, "weights must be None.*Got dict"),
        (torch.nn.ReLU(), "imagenet", ValueError, "load them into the module first"),
    ],
)
def test_refused_weights(backbone, weights, error, match):
    with pytest.raises(error, match=match):
        make_backbone(backbone, weights)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish a state dict of `tiny` in a folder, under a name that holds its hash."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(_weights, "_IMAGENET_SITE", folder.as_uri() + "/")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))

    def publish(state):
        torch.save(state, folder / "plain.pth")
        digest = hashlib.sha256((folder / "plain.pth").read_bytes()).hexdigest()
        file = (folder / "plain.pth").rename(folder / f"tiny-{digest[:8]}.pth")
        monkeypatch.setitem(_weights._IMAGENET_FILES, "tiny", file.name)
        return file

    return publish


@pytest.fixture
def site(state, publish):
    return publish(state)


def test_imagenet_weights_are_fetched_once(site, state):
    assert_same(make_backbone("tiny", "imagenet").state_dict(), state)
    site.unlink()
    assert_same(make_backbone("tiny", "imagenet").state_dict(), state)


def test_a_wrong_hash_is_refused_and_nothing_is_kept(site, tmp_path):
    site.write_bytes(site.read_bytes() + b"x")
    with pytest.raises(OSError, match="could not be fetched: invalid hash value"):
        make_backbone("tiny", "imagenet")
    assert list((tmp_path / "hub" / "checkpoints").iterdir()) == []


def test_offline_says_which_file_to_bring(site):
    site.unlink()
    with pytest.raises(OSError, match=rf"download file:.*/{site.name} .*weights='"):
        make_backbone("tiny", "imagenet")


def test_published_code_never_runs(publish, tmp_path):
    target = tmp_path / "exploded"
    publish({"conv1.weight": Bomb(target)})
    with pytest.raises(OSError, match="could not be fetched"):
        make_backbone("tiny", "imagenet")
    assert not target.exists()


@pytest.mark.parametrize("name", sorted({*BACKBONES, "vgg19"} - {"tiny"}))
def test_published_names_carry_the_hash_that_is_checked(name, monkeypatch):
    asked = {}

    def record(url, **options):
        asked.update(options, url=url)
        raise OSError("no network in tests")

    def build(name):
        if name == "vgg19":
            return EACNet(12, weights="imagenet")
        return make_backbone(name, "imagenet")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", record)
    with (
        torch.device("meta"),
        pytest.raises(OSError, match="no network in tests"),
    ):
        build(name)
    assert asked["check_hash"] is True
    assert asked["weights_only"] is True
    assert asked["url"].startswith("https://download.pytorch.org/models/")
    assert torch.hub.HASH_REGEX.search(asked["url"].rpartition("/")[2])
