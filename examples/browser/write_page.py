"""Write a web page that runs the shipped model in a browser, and what it needs.

    python examples/browser/write_page.py FOLDER
    cd FOLDER && npm install onnxruntime-web && python -m http.server

Then open http://localhost:8000. FOLDER gets ``index.html``, the model, eight aligned
faces as PNG files, and ``faces.json`` with their meshes and what the model's outputs
are. No face leaves the browser, and no other machine is asked for anything.
"""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np

import skfau
from skfau.datasets import load_rendered
from skfau.facs import action_unit

PAGE = Path(__file__).with_name("index.html")


def main(folder):
    """Write the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = skfau.load_pretrained()
    skfau.to_onnx(model, folder / "aus.onnx", licence="BSD-3-Clause")
    faces = model[0].transform(load_rendered().data[5::50][:8])
    listed = []
    for row, (image, mesh) in enumerate(zip(faces.images, faces.mesh, strict=True)):
        name = f"face-{row}.png"
        cv2.imwrite(str(folder / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        listed.append({"image": name, "mesh": np.float32(mesh).ravel().tolist()})
    aus = [int(au) for au in model[-1].aus_]
    about = {
        "aus": aus,
        "names": [action_unit(au).name for au in aus],
        "thresholds": np.asarray(model[-1].thresholds_, float).tolist(),
        "faces": listed,
    }
    (folder / "faces.json").write_text(json.dumps(about), "utf-8")
    shutil.copy(PAGE, folder / "index.html")
    print(f"{folder} has index.html, aus.onnx and {len(listed)} faces")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python examples/browser/write_page.py FOLDER")
    main(Path(sys.argv[1]))
