"""The shipped face alignment network: its file, its error, and AUNet with it."""

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import skfau
from skfau import AUNetClassifier, FaceAligner
from skfau.datasets import load_rendered
from skfau.estimators._batches import PreparedNetwork
from skfau.losses import LandmarkMapLoss
from skfau.nn import FAN, AUNet, _weights
from tests.rendered_files import contents

ROOT = Path(__file__).parents[1]
FOLDER = files("skfau.nn") / "_trained"
FILE = "fan-rendered-1.safetensors"


@pytest.fixture(scope="module")
def fan():
    return FAN("rendered").eval()


def errors(fan, template):
    """Return the mean error of one frame of each person of the package, by the eyes."""
    faces = load_rendered().data[::6]
    exact = faces.landmarks
    aligner = FaceAligner(template=template, output_size=128)
    aligned = aligner.fit_transform(faces)
    own = PreparedNetwork(fan, image_size=128, grayscale=False)
    with torch.inference_mode():
        found = own(torch.as_tensor(aligned.images[:]), method="landmarks").numpy()
    distance = np.linalg.norm(aligner.inverse_transform(aligned, found) - exact, axis=2)
    eyes = np.linalg.norm(exact[:, 45] - exact[:, 36], axis=1)
    return float((distance / eyes[:, None]).mean())


@pytest.mark.parametrize("template", ["aunet", "eyes-nose-mouth"])
def test_points_of_unseen_people_are_found(fan, template):
    assert errors(fan, template) < 0.05


def test_the_card_says_how_well(fan):
    card = (FOLDER / "FAN_CARD.rst").read_text("utf-8")
    said = re.search(r"72 faces of the package[^.]*?(\d\.\d) %", card)
    assert float(said[1]) == pytest.approx(100 * errors(fan, "aunet"), abs=0.15)


def test_it_holds_what_the_file_holds(fan):
    given = load_file(FOLDER / FILE)
    assert all(array.dtype == np.float16 for array in given.values())
    for name, tensor in fan.state_dict().items():
        if tensor.dtype.is_floating_point:
            np.testing.assert_array_equal(tensor, given[name].astype(np.float32))


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    damaged = bytearray((FOLDER / FILE).read_bytes())
    damaged[-1000] ^= 1
    (tmp_path / "_trained").mkdir()
    (tmp_path / "_trained" / FILE).write_bytes(damaged)
    monkeypatch.setattr(_weights, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=rf"{FILE}' is damaged; install skfau again"):
        FAN("rendered")


def test_its_size_is_that_of_the_file():
    assert AUNet(3, weights="rendered").trunk.out_channels == 128
    match = "width=64 and n_stacks=1. Got 32 and 1"
    with pytest.raises(ValueError, match=match):
        FAN("rendered", width=32)


def test_landmarks_are_where_the_heatmaps_are(fan, monkeypatch):
    rng = np.random.default_rng(0)
    points = torch.tensor(rng.uniform(10, 117, (5, 68, 2)), dtype=torch.float32)
    maps = LandmarkMapLoss(128).maps(points, (32, 32))
    monkeypatch.setattr(FAN, "_run", lambda self, images: (None, [maps]))
    found = fan.landmarks(torch.zeros(5, 3, 128, 128))
    # A cell is four pixels; the mean of few cells is drawn a little to their middle.
    torch.testing.assert_close(found, points, atol=0.5, rtol=0)


def test_aunet_with_it_needs_no_landmarks(made, tmp_path, fan):
    clf = AUNetClassifier(
        fan_weights="rendered", image_size=96, interval=1, max_epochs=1, random_state=0
    )
    clf.fit(made.data.with_columns(landmarks=None), made.target)
    assert not hasattr(clf, "fan_history_")
    trunk = clf.net_.module_.network.trunk
    for name, tensor in fan.state_dict().items():
        torch.testing.assert_close(trunk.state_dict()[name], tensor)
    clf.save(tmp_path / "aunet.safetensors")
    again = skfau.load(tmp_path / "aunet.safetensors")
    np.testing.assert_array_equal(
        again.predict_proba(made.data), clf.predict_proba(made.data)
    )


def test_aunet_with_it_wants_faces_of_its_size(made):
    clf = AUNetClassifier(fan_weights="rendered")
    with pytest.raises(ValueError, match=r"96 to 160\. Got 256; pass image_size=128"):
        clf.fit(made.data, made.target)


def test_the_training_command_runs_and_goes_on(tmp_path):
    faces = load_rendered().data[::30]
    arrays = contents(len(faces), size=160) | {
        "images": faces.images[:],
        "landmarks_clean": faces.landmarks,
    }
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "few.npz", **arrays)
    command = [sys.executable, str(ROOT / "benchmarks" / "train_fan.py"), "--small"]
    options = ["--data", str(tmp_path), "--output", str(tmp_path), "--threads", "1"]
    printed = [
        subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, check=True
        ).stderr
        for _ in range(2)
    ]
    assert "epoch 1 of 1" in printed[0] and "epoch" not in printed[1]
    assert set(load_file(tmp_path / FILE)) == set(load_file(FOLDER / FILE))
    rows = (tmp_path / "fan-figures.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [
        "network",
        "Face Mesh",
        "mean shape",
    ]
