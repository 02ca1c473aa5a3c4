"""Latency of an exported model beside torch's, and what eight bits cost.

    python benchmarks/bench_onnx.py [--small] [--threads 1] [--repeats 20]

The shipped model runs on aligned faces of the package, in turns: ``predict_proba``,
the same module in torch without scikit-learn around it, the ONNX file in onnxruntime,
and that file with the weights of its convolutions and dense layers in eight bits
(dynamic quantisation). All compute in float32 otherwise, on as many threads. Then F1 at
the file's thresholds and AUC of both files, on all faces of the package.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

import skfau
from _timing import best_of
from skfau._unwrap import find_having
from skfau.datasets import load_rendered
from skfau.estimators._exported import part_of
from skfau.metrics import au_f1_score, au_roc_auc_score


def main():
    """Print a row per way to run the model, and a row per file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--small", action="store_true", help="few faces, for a trial")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    made = load_rendered()
    step = 8 if options.small else 1
    model, labels = skfau.load_pretrained(), made.target[::step]
    # The shipped network computes in bfloat16 otherwise.
    find_having(model, "net_")[0].net_.module_.autocast = None
    faces = model[0].transform(made.data[::step])
    found = ~np.isnan(faces.landmarks).all(axis=(1, 2))
    faces, labels = faces[found], labels[found]
    with tempfile.TemporaryDirectory() as folder:
        full, eight = Path(folder) / "full.onnx", Path(folder) / "eight.onnx"
        skfau.to_onnx(model, full)
        quantise(full, eight)
        files = {"onnxruntime": full, "onnxruntime, int8": eight}
        sessions = {name: start(path, options.threads) for name, path in files.items()}
        repeats = 2 if options.small else options.repeats
        for n_faces in (1, 32):
            report_latency(model, faces[:n_faces], sessions, repeats)
        mine = [list(made.aus).index(au) for au in model[-1].aus_]
        for name, session in sessions.items():
            size = files[name].stat().st_size / 2**20
            report_scores(name, session, faces, labels[:, mine], size)


def quantise(full, eight):
    """Write a file of the same model with weights of eight bits."""
    # MatMul is left out: those of shape and calibration are in float64, and small.
    kinds = ["Conv", "Gemm"]
    # Signed weights have no convolution in onnxruntime on a CPU.
    quantize_dynamic(
        full, eight, op_types_to_quantize=kinds, weight_type=QuantType.QUInt8
    )


def start(path, n_threads):
    """Return a session of onnxruntime on some threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options)


def columns_of(faces):
    """Return what the file takes."""
    return {"images": np.asarray(faces), "mesh": np.float32(faces.mesh)}


def report_latency(model, faces, sessions, repeats):
    """Print the shortest milliseconds of a batch, each way."""
    columns = columns_of(faces)
    part = part_of(model, faces.image_shape[:2]).eval()
    tensors = {name: torch.as_tensor(column) for name, column in columns.items()}

    def in_torch():
        with torch.inference_mode():
            return part(tensors)

    ways = {
        "predict_proba": lambda: model[-1].predict_proba(faces),
        "torch": in_torch,
    }
    for name, session in sessions.items():
        ways[name] = lambda session=session: session.run(None, columns)
    for name, seconds in zip(ways, best_of([*ways.values()], repeats), strict=True):
        print(f"{len(faces):3} faces, {name:18} {1000 * seconds:8.2f} ms")


def report_scores(name, session, faces, labels, size):
    """Print F1 and AUC of a file, and how large it is."""
    (given,) = session.run(None, columns_of(faces))
    about = session.get_modelmeta().custom_metadata_map
    called = given >= np.array(json.loads(about["thresholds"]))
    f1 = au_f1_score(labels, np.float32(called))
    auc = au_roc_auc_score(labels, given)
    print(f"{name:18} {size:5.2f} MiB, {len(faces)} faces: F1 {f1:.3f}, AUC {auc:.3f}")


if __name__ == "__main__":
    main()
