"""Examples and benchmarks run, in their small setting, and write what they say."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import skfau
from skfau.datasets import load_rendered

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# A benchmark of a data set needs one on disk.
BENCHMARKS = [
    path
    for path in sorted((ROOT / "benchmarks").glob("bench_*.py"))
    if "--data" not in path.read_text("utf-8")
]
# What a script needs that names the first of them.
EXTRAS = {
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "dask": ("distributed", "dask"),
}


def run(path, *options, cwd):
    text = path.read_text("utf-8")
    for extra, packages in EXTRAS.items():
        for package in packages if packages[0] in text else ():
            pytest.importorskip(package, reason=f"{package} is in the extra {extra}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *options],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        # Decoders of videos repeat the bytes of a damaged file.
        errors="replace",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    text = path.read_text("utf-8")
    options = ["--small"] if '"--small"' in text else []
    printed = run(path, *options, cwd=tmp_path)
    written = list(tmp_path.rglob("*.png"))
    assert printed.strip()
    assert bool(written) == path.stem.startswith("plot_")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_a_title_for_its_page(path):
    first, line, *_ = ast.get_docstring(ast.parse(path.read_text("utf-8"))).split("\n")
    assert line == "=" * len(first), f"{path.name}: underline the title"


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_runs(path, tmp_path):
    assert any(c.isdigit() for c in run(path, "--small", cwd=tmp_path))


def test_demo_prints_a_table_and_writes_its_figures(tmp_path):
    small = ["--people", "18", "--epochs", "1"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "skfau", "demo", *small],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    systems = ("everything present", "landmark_baseline()", "hog_baseline()")
    for name in (*systems, "load_pretrained()", "pretrained_classifier()"):
        # Figures of every system, with the seconds it took.
        assert re.search(rf"\n{re.escape(name)}.*\.\d{{3}}.* \d+\.\d\n", done.stdout)
    assert {p.name for p in (tmp_path / "skfau_demo").iterdir()} == {
        "attention.png",
        "film.csv",
        "film.mp4",
        "timeline.png",
    }


def test_page_for_a_browser_has_what_the_model_takes(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="of the extra onnx")
    run(ROOT / "examples" / "browser" / "write_page.py", str(tmp_path), cwd=tmp_path)
    about = json.loads((tmp_path / "faces.json").read_text("utf-8"))
    images = [cv2.imread(str(tmp_path / face["image"])) for face in about["faces"]]
    given = {
        "images": np.stack(images)[..., ::-1],
        "mesh": np.float32([face["mesh"] for face in about["faces"]]).reshape(
            -1, 468, 3
        ),
    }
    session = onnxruntime.InferenceSession(tmp_path / "aus.onnx")
    (probabilities,) = session.run(["probabilities"], given)
    model = skfau.load_pretrained()
    expected = model.predict_proba(load_rendered().data[5::50][:8])
    # bfloat16 in the network of predict_proba.
    np.testing.assert_allclose(probabilities, expected, atol=0.02)
    assert about["aus"] == list(model[-1].aus_)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert f"session.run({{ {', '.join(given)} }})" in page
