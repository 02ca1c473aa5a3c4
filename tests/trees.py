"""Data sets on disk for the loaders' tests, in their own layouts."""

import cv2
import numpy as np

HEADER = ",".join(map(str, range(25)))


def write_image(path, grey=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    # Lossless where the grey level is looked at.
    assert cv2.imwrite(str(path), np.full((8, 8, 3), grey, np.uint8))


def write_labels(path, rows, header=HEADER):
    """Write frame -> {au: value}; other AUs of the header are 9."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aus = [int(au) for au in header.split(",")[1:]]
    lines = [header]
    for frame, coded in rows.items():
        values = [coded.get(au, 9) for au in aus]
        lines.append(",".join(map(str, [frame, *values])))
    path.write_text("\n".join(lines) + "\n")


def write_bp4d(root, name, images, rows, folder="2D+3D", header=HEADER):
    """Write one BP4D video: images (file stems) and labels."""
    for k, stem in enumerate(images):
        write_image(root.joinpath(folder, *name.split("_"), f"{stem}.jpg"), 10 * k + 10)
    write_labels(root / "AUCoding" / "AU_OCC" / f"{name}.csv", rows, header)


def write_points(folder, name, frames, n_points=68):
    """Write landmarks whose first coordinate is the frame number."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[frame, *(frame + np.arange(2 * n_points))] for frame in frames]
    np.savetxt(folder / f"{name}.csv", rows, delimiter=",", fmt="%.2f")


def write_disfa(root, name, levels, first=1):
    """Write one DISFA subject's labels: {au: intensities}, frames from `first`."""
    folder = root / "ActionUnit_Labels" / name
    folder.mkdir(parents=True, exist_ok=True)
    for au, values in levels.items():
        lines = [f"{k},{value}" for k, value in enumerate(values, first)]
        (folder / f"{name}_au{au}.txt").write_text("\n".join(lines) + "\n")


def write_video(path, greys):
    """Write a video whose frames are of those grey levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20, (64, 64))
    for grey in greys:
        writer.write(np.full((64, 64, 3), grey, np.uint8))
    writer.release()


def write_tool_points(path, rows, extra):
    """Write rows of (frame, x of all points, extras) under a tool's header."""
    names = ["frame", *extra, *(f"x_{k}" for k in range(68))]
    names += [f"y_{k}" for k in range(68)]
    lines = [", ".join(names)]
    for frame, x, *values in rows:
        cells = [frame, *values, *([x] * 68), *([x] * 68)]
        lines.append(", ".join("" if c is None else str(c) for c in cells))
    path.write_text("\n".join(lines) + "\n")


def write_tool_faces(path, rows, extra=("success",), n_points=68):
    """Write rows of (frame, left edge, extras): faces 30 pixels wide and high.

    Point k lies at the left edge + k % 31, k // 31 below the top; `extra` may be none.
    """
    names = [
        "frame",
        *extra,
        *(f"{axis}_{k}" for axis in "xy" for k in range(n_points)),
    ]
    lines = [", ".join(names)]
    down = [30 * k / (n_points - 1) for k in range(n_points)]
    for frame, left, *values in rows:
        across = [left + k % 31 for k in range(n_points)]
        lines.append(", ".join(map(str, [frame, *values, *across, *down])))
    path.write_text("\n".join(lines) + "\n")


def write_pts(path, points):
    """Write points that count from 0 as iBUG does, from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "\n".join(f"{x + 1} {y + 1}" for x, y in points)
    path.write_text(f"version: 1\nn_points: {len(points)}\n{{\n{rows}\n}}\n")
