#!/usr/bin/env python3
"""Make the rendered faces that the package carries, again.

Run: python package_faces.py [--cache FILE], with what render_faces.py needs

Writes into ``skfau/datasets/rendered``: ``faces.npz``, 72 people in six frames each, as
JPEG bytes; ``film.mp4``, one person in 60 frames, with its intensities in ``film.csv``;
four pictures of other people, chosen for their AUs, with ``pictures.csv``. No model is
trained with these seeds.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "skfau" / "datasets" / "rendered"
COLUMNS = (
    "subject",
    "video",
    "frame",
    "meta",
    "dark",
    "glasses",
    "beard",
    "age",
    "pixels",
)
QUALITY = 85
# The picture with the most of these AUs and the least of others.
PICTURES = {
    "smile.jpg": (6, 12, 25),
    "brows_up.jpg": (1, 2, 5),
    "brows_down.jpg": (4, 7, 9),
    "lip_corners_down.jpg": (15, 17),
}


def render(folder, name, **options):
    """Run the renderer; return the arrays of its file."""
    path = folder / f"{name}.npz"
    cache = folder / "ict_face_model.npz"
    options = {"out": path, "cache": cache, "workers": 1, **options}
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    subprocess.run([sys.executable, HERE / "render_faces.py", *flags], check=True)
    return dict(np.load(path))


def as_jpeg(image, quality=QUALITY):
    """Return the bytes of an RGB image as an array."""
    done, data = cv2.imencode(
        ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    assert done
    return data.ravel()


def write_faces(folder):
    made = render(
        folder,
        "faces",
        protocol="wild",
        correlation=0.3,
        subjects=72,
        videos=1,
        frames=6,
        fps=0.8,
        seed=9100,
        size=160,
    )
    images = [as_jpeg(image) for image in made["images"]]
    # Half precision is a tenth of a pixel, and hundredths of an intensity.
    small = {k: made[k].astype("f2") for k in ("landmarks_clean", "all_intensities")}
    small |= {k: made[k] for k in COLUMNS if k in made}
    known = {k: made[k].astype("i4") for k in ("subject", "video", "frame")}
    np.savez(
        TARGET / "faces.npz",
        jpeg=np.concatenate(images),
        jpeg_ends=np.cumsum([len(image) for image in images]),
        **small | known,
    )
    meta = json.loads(str(made["meta"]))
    rates = (small["all_intensities"] >= 2).mean(axis=0).round(2).tolist()
    print(dict(zip(meta["all_aus"], rates, strict=True)))


def write_film(folder):
    made = render(
        folder,
        "film",
        protocol="bp4d",
        subjects=1,
        videos=1,
        frames=60,
        fps=10,
        seed=9101,
        nuisance=0.5,
        first_subject=1,
        size=320,
    )
    images = made["images"]
    code = cv2.VideoWriter.fourcc(*"mp4v")
    size = images.shape[2:0:-1]
    film = cv2.VideoWriter(str(TARGET / "film.mp4"), code, 10.0, size)
    for image in images:
        film.write(np.ascontiguousarray(image[..., ::-1]))
    film.release()
    aus = json.loads(str(made["meta"]))["all_aus"]
    lines = [
        ["film.mp4", "9101-1", "film", frame, *tell(levels)]
        for frame, levels in enumerate(made["all_intensities"])
    ]
    write_table("film.csv", ["path", "subject", "video", "frame"], aus, lines)


def write_pictures(folder):
    made = render(
        folder,
        "pictures",
        protocol="life",
        subjects=30,
        videos=1,
        frames=4,
        fps=0.8,
        seed=9102,
        nuisance=0.5,
        size=400,
    )
    aus = json.loads(str(made["meta"]))["all_aus"]
    levels, people = made["all_intensities"], made["subject"]
    lines, taken = [], set()
    for name, wanted in PICTURES.items():
        shows = np.isin(aus, wanted)
        strength = levels @ np.where(shows, 1.0, -0.3)
        strength[np.isin(people, list(taken))] = -np.inf
        row = int(strength.argmax())
        taken.add(people[row])
        (TARGET / name).write_bytes(as_jpeg(made["images"][row]).tobytes())
        lines.append([name, f"9102-{people[row]}", *tell(levels[row])])
    write_table("pictures.csv", ["path", "subject"], aus, sorted(lines))


def tell(levels):
    return [f"{level:.1f}" for level in levels]


def write_table(name, about, aus, lines):
    """Write intensities as `load_table` reads them."""
    names = [*about, *(f"AU{au:02d}_r" for au in aus)]
    with (TARGET / name).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *lines])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cache", type=Path, default=HERE / "ict_face_model.npz")
    cache = parser.parse_args().cache.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ict_face_model.npz").symlink_to(cache)
        write_faces(folder)
        write_film(folder)
        write_pictures(folder)
    size = sum(path.stat().st_size for path in TARGET.iterdir())
    print(f"{TARGET}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
