"""Frames a second of ``python -m skfau predict``, beside MediaPipe on the same video.

    python benchmarks/bench_predict.py [--small] [--frames 300 900] [--peer PYTHON]
        [--task face_landmarker.task]

The video is the film of the package, one face, on a grey picture of 1280 x 720 pixels.
Both tools read it twice, in a short and a long version; the difference of the times is
that of the additional frames, without start and loading. ``--peer`` is the interpreter
of an environment with ``mediapipe``; with ``--task`` it runs the FaceLandmarker with
blendshapes of that file, without the older FaceMesh with refined landmarks, which is
the same but for the blendshapes. The limit is what decoding alone takes. Memory is the
largest of the process.
"""

import argparse
import resource
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
        tools = {
            "skfau predict": lambda path: (
                [sys.executable, "-m", "skfau", "predict", path, "-o", table]
            ),
            "decoding alone": lambda path: [sys.executable, "-c", DECODE, path],
        }
        if arguments.peer:
            tools["MediaPipe"] = lambda path: (
                [arguments.peer, "-c", PEER, path, arguments.task]
            )
        for name, command in tools.items():
            report(name, [command(str(path)) for path in paths], lengths)


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


def report(name, commands, n_frames):
    """Print frames a second between two lengths, the start, and the memory."""
    seconds = []
    for command in commands:
        began = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(perf_counter() - began)
    speed = (n_frames[1] - n_frames[0]) / (seconds[1] - seconds[0])
    start = seconds[0] - n_frames[0] / speed
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{name:16} {speed:7.1f} frames/s, start {start:.1f} s, {largest:.0f} MB")


if __name__ == "__main__":
    main()
