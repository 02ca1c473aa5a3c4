#!/usr/bin/env python3
"""Render people, and videos of them, whose action units (AUs) are known.

Run: python render_faces.py --cache ict_face_model.npz --out FILE [--protocol life] ...

Needs numpy, numba and opencv-python-headless, best in an environment of their own, and
the ICT Face Model Light (MIT licence): its folder ``FaceXModel`` as ``--model-dir`` is
packed once into the file ``--cache``. Everything follows from ``--seed``: person k of a
seed is the same in the same videos whatever the number of workers or people, so that a
set may be rendered in parts by ``--first-subject``.

    python render_faces.py --out train0.npz --protocol life --subjects 1000 --videos 1 \
        --frames 4 --fps 0.8 --size 128 --seed 1 --nuisance 1.2
    python render_faces.py --out sheet.png --preview contact

FILE holds ``images`` (n, size, size, 3), uint8 RGB, or with ``--jpeg`` their bytes,
``jpeg``, and where each ends, ``jpeg_ends``; ``landmarks_clean``, float32 (n, 68, 2),
and ``landmarks`` as a detector may find them; ``all_intensities`` (n, n_aus), 0 to 5,
``intensities`` and ``y`` (intensity of at least 2) of the labelled ``aus``; ``pose`` in
degrees; ``subject``, ``video``, ``frame``; ``dark`` (skin, 0 to 1), ``glasses``,
``beard`` (0 to 1), ``age`` (0 to 1), ``pixels`` that a side was reduced to; ``meta``.

Where the halves of a face act apart, the intensity is that of the stronger half. That
of AU25 is measured: the gap between the lips, whatever made it. AU45 at 2 is a lid
seven tenths shut.
"""

import argparse
import json
import multiprocessing as mp
import os
import time
from pathlib import Path
from types import SimpleNamespace

# One thread a worker, set before NumPy starts its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
from actions import (
    AUS,
    COL,
    PROTOCOLS,
    THRESHOLD,
    activations,
    calibrate,
    correlation_root,
    lips_apart,
    smooth_walk,
)
from face_model import Model
from people import Person
from previews import preview
from renderer import Renderer
from scenes import make_scene

# Yaw, pitch, roll in degrees: spread of a video, spread within it, limit.
POSES = ((11, 6, 35), (6, 3.5, 20), (4, 2, 14))
NOT_IN_META = ("model_dir", "cache", "out", "workers", "preview")
ABOUT = ("dark", "glasses", "beard", "age", "pixels")


def poses(rng, n, fps, nuisance):
    """Return a path of yaw, pitch and roll, (n, 3) degrees."""
    paths = []
    for video, within, limit in POSES:
        path = rng.normal(0, video * nuisance) + smooth_walk(rng, n, within, 1.5 * fps)
        paths.append(np.clip(path, -limit, limit))
    return np.stack(paths, 1)


def render_video(renderer, person, rng, plan):
    """Return the arrays of a video, by their names in the file."""
    model, size, n = renderer.model, renderer.size, plan.frames
    levels, share, weights, gaze = activations(model, person, rng, n, plan.fps, plan)
    scene = make_scene(rng, size, person, plan.nuisance)
    scene["background"] = cv2.resize(scene["background"], (size * renderer.ss,) * 2)
    pose = poses(rng, n, plan.fps, plan.nuisance)
    delta = weights @ model.expr
    lips_apart(model, delta, person.base, levels)
    images, points = [], []
    for k in range(n):
        frame = {
            "delta": delta[k],
            "levels": levels[k],
            "share": share,
            "gaze": gaze[k],
            "pose": pose[k],
        }
        image, found = renderer(person, frame, scene, rng, k / n)
        images.append(image)
        points.append(found)
    points = np.array(points, np.float32)
    # A detector errs in one way for a video, and shakes.
    eyes = np.linalg.norm(points[:, 36] - points[:, 45], axis=1)[:, None, None]
    error = 0.8 * rng.standard_normal((1, 68, 2)) + 0.6 * rng.standard_normal(
        (n, 68, 2)
    )
    pixels = min(size, round(scene["pixels"])) if scene["pixels"] < size else size
    about = (person.dark, person.glasses, person.beard, person.age, pixels)
    return {
        "images": np.array(images),
        "landmarks": (points + plan.landmark_noise * eyes * error).astype(np.float32),
        "landmarks_clean": points,
        "all_intensities": levels.astype(np.float32),
        "pose": pose.astype(np.float32),
        **{k: np.full(n, x, np.float32) for k, x in zip(ABOUT, about, strict=True)},
        "frame": np.arange(n),
    }


def render_person(number):
    """Return the videos of a person; its worker holds the plan."""
    plan, renderer = STATE
    person = Person(renderer.model, plan.seed, number, plan.root, plan.nuisance)
    videos = []
    for v in range(plan.videos):
        rng = np.random.default_rng([plan.seed, number, v + 1])
        videos.append(render_video(renderer, person, rng, plan))
    return number, videos


def render_all(options, renderer, root):
    """Return the arrays of all videos in the order of people."""
    global STATE
    plan = SimpleNamespace(**vars(options), root=root)
    plan.thresholds = calibrate(options.protocol, root, options.fps)
    STATE = plan, renderer
    first = options.first_subject
    numbers = range(first, first + options.subjects)
    # Compile before the workers start.
    warm = SimpleNamespace(**{**vars(plan), "frames": 1, "videos": 1})
    render_video(renderer, Person(renderer.model, 0, 0, root), _rng(0), warm)
    with mp.get_context("fork").Pool(options.workers) as pool:
        done = dict(pool.imap_unordered(render_person, numbers))
    videos = [(number, video) for number in numbers for video in done[number]]
    arrays = {k: np.concatenate([v[k] for _, v in videos]) for k in videos[0][1]}
    arrays["subject"] = np.repeat([number for number, _ in videos], options.frames)
    before = first * options.videos
    arrays["video"] = np.repeat(before + np.arange(len(videos)), options.frames)
    return arrays


def _rng(seed):
    return np.random.default_rng(seed)


def as_jpeg(images, quality=92):
    """Return the bytes of all images in one array, and where each ends."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    data = [
        cv2.imencode(".jpg", image[..., ::-1], flags)[1].ravel() for image in images
    ]
    return np.concatenate(data), np.cumsum([len(d) for d in data])


def write(options, arrays):
    """Write the file, and return the rates of its labels."""
    aus = list(PROTOCOLS[options.protocol][0])
    intensities = arrays["all_intensities"][:, [COL[au] for au in aus]]
    meta = {k: v for k, v in vars(options).items() if k not in NOT_IN_META}
    meta |= {"aus": aus, "all_aus": AUS, "threshold": THRESHOLD}
    y = (intensities >= THRESHOLD).astype(np.int8)
    if options.jpeg:
        arrays["jpeg"], arrays["jpeg_ends"] = as_jpeg(arrays.pop("images"))
    # A name of its own until it is whole, so that what is there is complete.
    out = Path(options.out)
    part = out.with_name(out.name + ".part.npz")
    np.savez(
        part, **arrays, intensities=intensities, y=y, aus=aus, meta=json.dumps(meta)
    )
    part.replace(out)
    return dict(zip(aus, y.mean(0).round(2).tolist(), strict=True))


def parse():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = Path(__file__).resolve().parent / "ict_face_model.npz"
    add = parser.add_argument
    add("--cache", default=str(beside), help="packed face model")
    add("--model-dir", help="folder FaceXModel of the face model, to pack it")
    add("--out", required=True)
    add("--protocol", choices=sorted(PROTOCOLS), default="bp4d")
    add("--subjects", type=int, default=30)
    add("--first-subject", type=int, default=0)
    add("--videos", type=int, default=2, help="videos of each person")
    add("--frames", type=int, default=60, help="frames of each video")
    add("--fps", type=float, default=10)
    add("--size", type=int, default=160, help="pixels of a side")
    add("--seed", type=int, default=0)
    add("--nuisance", type=float, default=1.0, help="0 clean, 1 usual, 1.5 hard")
    add("--correlation", type=float, default=1.0, help="factor of the correlations")
    add("--landmark-noise", type=float, default=0.012, help="in outer eye distances")
    add("--workers", type=int, default=os.cpu_count())
    add("--jpeg", action="store_true", help="images as JPEG bytes, a tenth in size")
    add("--preview", choices=["contact", "aus", "landmarks"])
    return parser.parse_args()


def main():
    """Render what the command line says."""
    options = parse()
    cv2.setNumThreads(1)
    start = time.time()
    renderer = Renderer(Model(options.cache, options.model_dir), options.size)
    root = correlation_root(options.correlation)
    if options.preview:
        preview(options, renderer, root)
        return
    ready = time.time()
    arrays = render_all(options, renderer, root)
    seconds, n = time.time() - ready, len(arrays["subject"])
    rates = write(options, arrays)
    print(
        f"{n} images; set-up {ready - start:.1f} s, rendering {seconds:.1f} s = "
        f"{n / seconds:.0f} images/s, rates {rates}"
    )


if __name__ == "__main__":
    main()
