"""AUs of aligned faces by ``onnxruntime`` and NumPy alone
=======================================================

``skfau.to_onnx`` writes the file. ``faces.npz`` holds what the file takes, such as
``images``, uint8 (n, height, width, 3), and ``mesh``. Without arguments the shipped
model is exported first, with a few faces of the package. ::

    python examples/run_onnx.py [aus.onnx faces.npz]
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

try:
    import onnxruntime
except ImportError:
    sys.exit("needs onnxruntime: pip install onnxruntime, or 'skfau[onnx]' to export")


def main(model, faces):
    """Print which AUs every face shows."""
    session = onnxruntime.InferenceSession(model)
    about = session.get_modelmeta().custom_metadata_map
    aus, thresholds = (np.array(json.loads(about[n])) for n in ("aus", "thresholds"))
    columns = np.load(faces)
    inputs = {each.name: columns[each.name] for each in session.get_inputs()}
    (probabilities,) = session.run(["probabilities"], inputs)
    for row, present in enumerate(probabilities >= thresholds):
        print(f"face {row}: AU", *aus[present])


def export_shipped(folder):
    """Write the shipped model and eight aligned faces; here skfau is needed."""
    import skfau
    from skfau.datasets import load_rendered

    model = skfau.load_pretrained()
    skfau.to_onnx(model, folder / "aus.onnx", licence="BSD-3-Clause")
    faces = model[0].transform(load_rendered().data[:8])
    columns = {"images": np.asarray(faces), "mesh": np.float32(faces.mesh)}
    np.savez(folder / "faces.npz", **columns)
    return folder / "aus.onnx", folder / "faces.npz"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(*sys.argv[1:])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(*export_shipped(Path(folder)))
