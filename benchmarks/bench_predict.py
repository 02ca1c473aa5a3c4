"""Frames a second of ``python -m skfau predict``, beside MediaPipe on the same video.

    python benchmarks/bench_predict.py [--small] [--frames 300 900] [--peer PYTHON]
        [--task face_landmarker.task]

The video is the film of the package, one face, on a grey picture of 1280 x 720 pixels.
Both tools read it twice, in a short and a long version; the difference of the times is
that of the additional frames, without start and loading. CPU time is that of all
threads. ``--peer`` is the interpreter of an environment with ``mediapipe``; with
``--task`` it runs the FaceLandmarker with blendshapes of that file, without the older
FaceMesh with refined landmarks, which is the same but for the blendshapes. The limit is
what decoding, one pass of the mesh and the classifier's networks take, with nothing
between them. ``--rounds`` runs all of them so many times, and takes the least times:
where others work on the machine, all of them are disturbed alike. Memory is the largest
of the process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

PEER = """
import sys
import cv2, mediapipe as mp
path, task = sys.argv[1:]
video, seen, at = cv2.VideoCapture(path), 0, 0
if task:
    vision = mp.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=task),
        running_mode=vision.RunningMode.VIDEO,
        output_face_blendshapes=True,
    )
    tool = vision.FaceLandmarker.create_from_options(options)
else:
    tool = mp.solutions.face_mesh.FaceMesh(refine_landmarks=True)
while True:
    ok, frame = video.read()
    if not ok:
        break
    frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    if task:
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=frame)
        seen += bool(tool.detect_for_video(image, at).face_landmarks)
        at += 40
    else:
        seen += tool.process(frame).multi_face_landmarks is not None
print(seen)
"""


def main():
    """Print a row per tool."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--frames", type=int, nargs=2, default=(300, 900))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="20 frames, for a trial")
    parser.add_argument("--peer", help="interpreter that has mediapipe")
    parser.add_argument("--task", default="", help="FaceLandmarker's model file")
    arguments = parser.parse_args()
    lengths = (5, 20) if arguments.small else arguments.frames
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n}.mp4" for n in lengths]
        for path, n_frames in zip(paths, lengths, strict=True):
            write_video(path, n_frames)
        table = str(Path(folder) / "aus.csv")
        predict = [sys.executable, "-m", "skfau", "predict", "-o", table]
        tools = {
            "skfau predict": lambda path: [*predict, path],
            "its limit": lambda path: [sys.executable, "-c", LIMIT, path],
            "decoding alone": lambda path: [sys.executable, "-c", DECODE, path],
        }
        if arguments.peer:
            tools["MediaPipe"] = lambda path: (
                [arguments.peer, "-c", PEER, path, arguments.task]
            )
        used = {name: [] for name in tools}
        for _ in range(arguments.rounds):
            for name, command in tools.items():
                used[name].append([run(command(str(path))) for path in paths])
        for name, rounds in used.items():
            report(name, np.array(rounds), lengths)


LIMIT = """
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2, numpy as np, torch
import skfau
from skfau._unwrap import parts
from skfau.preprocessing._mesh import FaceNets

video, nets, seen = cv2.VideoCapture(sys.argv[1]), FaceNets(), 0
found = (p for p in parts(skfau.load_pretrained()) if hasattr(p, "net_"))
network = next(found).net_.module_.eval()
crop = torch.zeros(32, 112, 112, 3, dtype=torch.uint8)

def judge():
    torch.set_num_threads(1)
    with torch.inference_mode():
        network(crop)

pool = ThreadPoolExecutor(1)
coming = pool.submit(judge)
while True:
    ok, frame = video.read()
    if not ok:
        break
    blob = cv2.dnn.blobFromImage(frame[:192, :192], 1 / 255)
    nets.mesh.setInput(blob)
    nets.mesh.forward(("conv2d_31", "conv2d_21"))
    seen += 1
    if seen % 32 == 0:
        coming.result()
        coming = pool.submit(judge)
"""

DECODE = """
import sys, cv2
video = cv2.VideoCapture(sys.argv[1])
while video.read()[0]:
    pass
"""


def write_video(path, n_frames):
    """Write the film of the package, again and again, on a larger picture."""
    film = files("skfau.datasets") / "rendered" / "film.mp4"
    video, frames = cv2.VideoCapture(str(film)), []
    while (read := video.read())[0]:
        frames.append(read[1])
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (1280, 720))
    for k in range(n_frames):
        picture = np.full((720, 1280, 3), 128, np.uint8)
        # To and fro, so that the face never jumps.
        at = k % (2 * len(frames) - 2)
        frame = frames[min(at, 2 * len(frames) - 2 - at)]
        picture[60:660, 340:940] = cv2.resize(frame, (600, 600))
        out.write(picture)
    out.release()


def run(command):
    """Return wall and CPU seconds of a command, and its memory in MB."""
    began = perf_counter()
    # Each child's own use: that of all children would be the largest of them.
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{command[:3]} ended with {status}.")
    cpu = usage.ru_utime + usage.ru_stime
    return perf_counter() - began, cpu, usage.ru_maxrss / 1024


def report(name, used, n_frames):
    """Print frames a second between two lengths, CPU time a frame, start, memory."""
    (short, cpu_short, _), (long, cpu_long, memory) = used.min(axis=0)
    n_more = n_frames[1] - n_frames[0]
    speed, cpu = n_more / (long - short), 1000 * (cpu_long - cpu_short) / n_more
    start = short - n_frames[0] / speed
    print(
        f"{name:16} {speed:7.1f} frames/s, {cpu:5.2f} ms of CPU a frame, "
        f"start {start:.1f} s, {memory:.0f} MB"
    )


if __name__ == "__main__":
    main()
