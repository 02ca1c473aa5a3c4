"""Files that claim much, and paths that are no files: refused before they are read."""

import os
import struct

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from skfau import Faces
from skfau._image_size import claimed_size
from skfau.datasets import load_table
from skfau.datasets._landmark_files import landmark_files, read_points
from skfau.exceptions import DatasetError, FaceImageError, LabelError

IMAGE = np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8)
COMPRESSED = [".png", ".jpg", ".tif", ".webp", ".gif", ".jp2", ".avif"]
FORMATS = [*COMPRESSED, ".bmp", ".ppm", ".pgm", ".pam", ".ras"]
OPTIONS = {".webp lossless": [cv2.IMWRITE_WEBP_QUALITY, 101]}
OPTIONS[".jpg progressive"] = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]


def encoded(kind):
    suffix = kind.split()[0]
    image = IMAGE[..., 0] if suffix == ".pgm" else IMAGE
    try:
        return cv2.imencode(suffix, image, OPTIONS.get(kind, []))[1].tobytes()
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {suffix}")


@pytest.mark.parametrize("kind", [*FORMATS, *OPTIONS, ".hdr", ".pfm"])
def test_the_header_of_each_format_tells_the_size(kind):
    if kind in (".hdr", ".pfm"):
        data = cv2.imencode(kind, IMAGE.astype(np.float32))[1].tobytes()
    else:
        data = encoded(kind)
    assert claimed_size(data) == (53, 37)
    # Half a header tells nothing, and is no error.
    for end in range(40):
        assert claimed_size(data[:end]) in (None, (53, 37), (5, 37), (53, 3), (0, 0))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_every_kind_of_tiff_tells_its_size(order, big):
    size, count, entry = ("Q", "Q", "HHQQ") if big else ("I", "H", "HHII")
    start = b"II" if order == "<" else b"MM"
    start += struct.pack(f"{order}HHH", 43, 8, 0) if big else b""
    start += b"" if big else struct.pack(f"{order}H", 42)
    start += struct.pack(f"{order}{size}", 16 if big else 8)
    entries = [(254, 4, 1, 0), (256, 4, 1, 70000), (257, 4, 1, 60000)]
    data = start + struct.pack(f"{order}{count}", len(entries))
    for values in entries:
        if order == ">":
            # A number of four bytes stands at the beginning of its field.
            values = (*values[:3], values[3] << 32 if big else values[3])
        data += struct.pack(f"{order}{entry}", *values)
    assert claimed_size(data) == (70000, 60000)


@pytest.mark.parametrize("kind", [*FORMATS, *OPTIONS])
def test_an_image_that_claims_more_than_the_limit_is_refused(
    kind, tmp_path, monkeypatch
):
    path = tmp_path / f"face{kind.split()[0]}"
    path.write_bytes(encoded(kind))
    faces = Faces([path])
    monkeypatch.setenv("SKFAU_MAX_PIXELS", "1960")
    with pytest.raises(FaceImageError, match=r"row 0.*face.*53 x 37.*PIXELS=1961"):
        faces.images[0]
    report = faces.check_images(on_error="skip")
    assert not report.ok.any()
    monkeypatch.setenv("SKFAU_MAX_PIXELS", "1961")
    assert faces.images[0].shape == (37, 53, 3)


def jpeg_of(height, width):
    """Return a small JPEG whose header claims another size."""
    data = bytearray(encoded(".jpg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    ("side", "match"),
    [
        (30_000, "claims 30000 x 30000 values, more than 268435456"),
        (8_000, "truncated"),
    ],
)
def test_a_small_jpeg_does_not_fill_the_memory(side, match, tmp_path):
    path = tmp_path / "bomb.jpg"
    path.write_bytes(jpeg_of(side, side))
    with pytest.raises(FaceImageError, match=match):
        Faces([path]).images[0]


def test_a_jpeg_of_one_colour_is_not_taken_for_truncated(tmp_path):
    path = tmp_path / "flat.jpg"
    for options in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
        low = [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        flat = np.full((2000, 3000, 3), 128, np.uint8)
        cv2.imwrite(str(path), flat, [*low, *options])
        assert Faces([path]).images[0].shape == (2000, 3000, 3)


@pytest.mark.parametrize("value", ["", "many", "0", "-5", "1e9"])
def test_a_limit_that_is_no_number_is_an_error(value, tmp_path, monkeypatch):
    path = tmp_path / "face.png"
    path.write_bytes(encoded(".png"))
    monkeypatch.setenv("SKFAU_MAX_PIXELS", value)
    with pytest.raises(ValueError, match="SKFAU_MAX_PIXELS must be a positive whole"):
        Faces([path]).images[0]


def test_a_video_of_larger_frames_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    monkeypatch.setenv("SKFAU_MAX_PIXELS", "3071")
    with pytest.raises(FaceImageError, match=r"film\.avi.*64 x 48.*PIXELS=3072"):
        Faces.from_videos([path])
    monkeypatch.setenv("SKFAU_MAX_PIXELS", "3072")
    assert len(Faces.from_videos([path])) == 3


# -- points in MATLAB's files -----------------------------------------------------


def tracked(path, shapes, n_frames=None):
    """Write an HDF5 file whose entries claim shapes that no disk holds."""
    with h5py.File(path, "w") as file:
        entries = [
            file.create_dataset(f"e{k}", shape, "f4", chunks=True).ref
            for k, shape in enumerate(shapes)
        ]
        shape = (n_frames or len(entries), 1)
        chunks = True if n_frames else None
        frames = file.create_dataset("fit/pred", shape, h5py.ref_dtype, chunks=chunks)
        for k, entry in enumerate(entries):
            frames[k, 0] = entry


@pytest.mark.parametrize(
    ("shapes", "n_frames", "match"),
    [
        ([(2, 49), (49, 2 * 10**10)], None, r"entry of shape \(49, 20000000000\)"),
        ([(2, 49)], 10**9, "fit/pred of .* claims 1000000000 x 1 x 136 values"),
    ],
)
def test_tracked_points_that_claim_all_memory_are_refused(
    shapes, n_frames, match, tmp_path
):
    path = tmp_path / "film.mat"
    tracked(path, shapes, n_frames)
    with pytest.raises(DatasetError, match=match) as error:
        read_points(path, np.arange(1, 3), {"images": [], "files": []})
    assert str(path) in str(error.value)


def test_tracked_points_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "film.mat"
    with h5py.File(path, "w") as file:
        file.create_group("fit/pred")
    with pytest.raises(DatasetError, match=r"film\.mat does not hold tracked points"):
        read_points(path, np.arange(1, 3), {"images": [], "files": []})


def test_an_older_file_of_matlab_that_claims_all_memory_is_refused(tmp_path):
    path = tmp_path / "film.mat"
    savemat(path, {"fit": np.zeros((1, 1), object)})
    data = bytearray(path.read_bytes())
    # Dimensions stand behind the file's header, two tags and the flags.
    assert data[152:168] == struct.pack("<IIII", 5, 8, 1, 1)
    data[160:168] = struct.pack("<II", 2**20, 2**20)
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"fit of .*film\.mat claims 1048576 x"):
        read_points(path, np.arange(1, 3), {"images": [], "files": []})


# -- paths ------------------------------------------------------------------------


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def read_image_of(path):
    Faces([path]).images[0]


def read_video_of(path):
    Faces.from_videos([path])


def read_points_of(path):
    read_points(path, np.arange(1, 3), {"images": [], "files": []})


def read_frame_points_of(path):
    path.rename(path.with_name("SN001_0001_lm.mat"))
    read_points(path.parent, np.arange(1, 3), {"images": [], "files": []})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("make", [pipe, device])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("face.png", read_image_of),
        ("film.avi", read_video_of),
        ("film.csv", read_points_of),
        ("film.mat", read_points_of),
        ("film.mat", read_frame_points_of),
        ("labels.csv", load_table),
    ],
)
def test_what_is_no_regular_file_is_refused(name, read, make, tmp_path):
    path = tmp_path / name
    make(path)
    kinds = DatasetError, FaceImageError, LabelError, OSError
    with pytest.raises(kinds, match=rf"(?s){tmp_path}.*|no file"):
        read(path)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0b"]
)
def test_the_name_of_a_video_does_not_leave_its_folder(name, tmp_path):
    with pytest.raises(DatasetError, match="no separators of folders"):
        landmark_files((tmp_path,), name)


def test_a_table_cannot_print_another_file(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("root:x:0:0\n")
    (tmp_path / "points").mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE)
    table = {"path": ["a.png"], "video": ["../secret"], "frame": [1], "AU1": [0]}
    with pytest.raises(
        DatasetError, match=r"recording is called '\.\./secret'"
    ) as error:
        load_table(table, root=tmp_path, landmarks="points")
    assert "root:x" not in str(error.value)
