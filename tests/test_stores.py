"""Where pixels live: files that break, names that travel, memory that stays small."""

import os
import pickle
import re
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps

from skfau import Faces, _decoder_warnings, _stores
from skfau.exceptions import FaceImageError

RNG = np.random.default_rng(0)


def photo(height=40, width=30, rng=RNG):
    """Return a smooth random RGB image that compresses like a photograph."""
    noise = rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height))


def write(path, image, *options):
    data = cv2.imencode(path.suffix, image[..., ::-1], options)[1].tobytes()
    path.write_bytes(data)
    return data


# -- arrays and memory maps -------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), "float32.*scale floats"),
        (np.zeros((2, 8, 8, 3), np.uint16), "uint16.*divide 16 bits by 257"),
        (torch.zeros((2, 8, 8, 3)), "float32.*scale floats"),
        (torch.zeros((2, 3, 8, 8)), r"\.to\(torch.uint8\)"),
        (np.zeros((2, 8, 8, 4), np.uint8), "alpha"),
        (np.zeros((2, 4, 8, 8), np.uint8), "channel axis"),
        (np.zeros((8, 8, 3), np.uint8), r"image\[None\]"),
        (np.zeros((2, 0, 8, 3), np.uint8), "no pixels"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), int)], "row 1"),
    ],
)
def test_arrays_that_are_no_images(images, match):
    with pytest.raises(FaceImageError, match=match):
        Faces(images)


@pytest.mark.parametrize(
    ("images", "match"),
    [
        ("face.jpg", r"Faces\.from_videos"),
        (Path("face.jpg"), "list of image paths"),
        (["a.jpg", 3], "entry 1 is"),
        ([3, "a.jpg"], "entry 0 is .*int"),
        ([Image.new("RGB", (8, 8)), "a.jpg"], "only images .*entry 1 is .*str"),
        (Image.new("RGB", (8, 8)), r"a single image of PIL; pass \[image\]"),
        ({"a": 1}, r"sequence of image.*\[image for image, label in dataset\]"),
        (Faces([]), "with_columns"),
    ],
)
def test_things_that_hold_no_images(images, match):
    with pytest.raises(TypeError, match=match):
        Faces(images)


class Gathers:
    """Looks like a store at first sight."""

    def gather(self, rows):
        return rows

    def __len__(self):
        return 2


def test_what_only_looks_like_a_store_is_none():
    with pytest.raises(TypeError, match=r"a store \(gather, fingerprint and"):
        Faces(Gathers())
    images = RNG.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    faces = Faces(torch.from_numpy(images))
    np.testing.assert_array_equal(faces[::-1], images[::-1])
    with pytest.raises(FaceImageError, match=r"float32.*scale floats"):
        Faces(torch.zeros(2, 3, 8, 8))
    with pytest.raises(FaceImageError, match=r"row 0: .*float32.*scale floats"):
        Faces([torch.zeros(8, 8, 3)])


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((8, 9, 4), r"drop its alpha channel \(image\[..., :3\]\)"),
        ((8, 9, 2), r"drop its alpha channel \(image\[..., 0\]\)"),
        ((4, 8, 9), r"channels last \(image\[:3\].transpose\(1, 2, 0\)\)"),
        ((1, 8, 9, 3), r"pass all images, as list\(stack\)"),
        ((8, 9, 5), "pass three channels, last, or a single one"),
        ((8,), "pass three channels, last, or a single one"),
    ],
)
def test_an_entry_that_is_no_image_is_named_with_its_own_shape(shape, remedy):
    named = rf"row 1: .*\(H, W, 3\).*got uint8 of shape {re.escape(str(shape))}. "
    with pytest.raises(FaceImageError, match=named + f".*{remedy}"):
        Faces([photo(), np.zeros(shape, np.uint8)])


def test_floats_with_channels_first_are_refused_with_their_own_shape():
    with pytest.raises(FaceImageError, match=r"row 0: .*float32 of shape \(3, 8, 9\)"):
        Faces([torch.zeros(3, 8, 9)])
    with pytest.raises(FaceImageError, match=r"float32 of shape \(2, 3, 8, 9\)"):
        Faces(torch.zeros(2, 3, 8, 9))


def test_gray_images_are_repeated_to_three_channels():
    gray = RNG.integers(0, 256, (3, 8, 9), dtype=np.uint8)
    images = Faces(gray).images[...]
    assert images.shape == (3, 8, 9, 3)
    assert (images == gray[..., None]).all()


def test_a_tensor_is_the_array_that_it_holds():
    images = RNG.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    faces = Faces(torch.as_tensor(images))
    np.testing.assert_array_equal(faces.images[...], images)
    assert "3 rows" in repr(faces)


def test_one_tensor_is_not_three_grey_images():
    with pytest.raises(FaceImageError, match=r"pass tensor\[None\] or tensor\[:, None"):
        Faces(torch.zeros(3, 8, 9, dtype=torch.uint8))
    assert len(Faces(torch.zeros(4, 8, 9, dtype=torch.uint8))) == 4


def test_a_series_holds_paths_or_is_refused(tmp_path):
    image = photo()
    write(tmp_path / "a.png", image)
    named = pd.Series([str(tmp_path / "a.png")] * 2, index=[7, 9])
    np.testing.assert_array_equal(Faces(named).images[1], image)
    with pytest.raises(TypeError, match=r"only paths.*entry 1 is <class 'NoneType'>"):
        Faces(pd.Series([*named[:1], None], dtype=object))
    with pytest.raises(FaceImageError, match=r"got int64 of shape \(2,\)"):
        Faces(pd.Series([1, 2]))


def test_channels_may_come_first(tmp_path):
    images = RNG.integers(0, 256, (4, 8, 9, 3), dtype=np.uint8)
    first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    np.save(tmp_path / "first.npy", first)
    mapped = np.load(tmp_path / "first.npy", mmap_mode="r")
    for stack in (first, torch.from_numpy(first), mapped, list(first), tuple(mapped)):
        faces = pickle.loads(pickle.dumps(Faces(stack)))
        assert faces.image_shape == (8, 9)
        np.testing.assert_array_equal(faces[1:].images[...], images[1:])
        assert faces[1:].images[...].flags.c_contiguous
    assert len(pickle.dumps(Faces(mapped))) < 2000


@pytest.mark.parametrize("axis", [1, 3])
def test_gray_images_may_have_an_axis_of_channels(axis):
    gray = RNG.integers(0, 256, (3, 8, 9), dtype=np.uint8)
    stack = torch.from_numpy(gray).unsqueeze(axis)
    for images in (stack, list(stack)):
        np.testing.assert_array_equal(Faces(images)[:], Faces(gray)[:])


# -- images of PIL ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1", "LA", "YCbCr"])
def test_images_of_pil_in_any_mode_of_8_bits(mode):
    image = Image.fromarray(photo()).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(Faces([image]).images[0], expected)


def test_images_of_pil_are_those_of_their_files(tmp_path):
    """Sizes differ, transparency is dropped; a file may be opened and not yet read."""
    paths = [tmp_path / f"{k}.png" for k in range(2)]
    for path, height in zip(paths, (40, 48), strict=True):
        pixels = np.dstack([photo(height), np.full((height, 30), 99, np.uint8)])
        Image.fromarray(pixels).save(path)
    faces = Faces([Image.open(path) for path in paths])
    for ours, theirs in zip(faces.read(), Faces(paths).read(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_of_pil_are_turned_as_their_tag_says(orientation, tmp_path):
    image = Image.fromarray(photo())
    image.getexif()[274] = orientation
    image.save(tmp_path / "photo.jpg", exif=image.getexif(), quality=100)
    image = Image.open(tmp_path / "photo.jpg")
    upright = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    faces = Faces([image])
    np.testing.assert_array_equal(faces.images[0], upright)
    # Decoders of JPEG differ in rounding.
    assert np.abs(Faces([tmp_path / "photo.jpg"]).images[0] - upright).max() < 8


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_images_of_pil_of_more_bits_are_refused(mode):
    with pytest.raises(FaceImageError, match=f"row 1: .*{mode}.*path of its file"):
        Faces([Image.new("L", (8, 8)), Image.new(mode, (8, 8))])


def test_images_of_pil_that_cannot_be_decoded(tmp_path):
    data = write(tmp_path / "cut.jpg", photo())
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with (
        Image.open(tmp_path / "cut.jpg") as image,
        pytest.raises(FaceImageError, match=r"row 0: PIL cannot decode .*truncated"),
    ):
        Faces([image])


def test_files_of_other_kinds_are_read_as_rgb(tmp_path):
    image = photo()
    paths = [tmp_path / f"{k}.png" for k in range(2)]
    write(paths[0], image.astype(np.uint16) * 257)
    clear = np.zeros((*image.shape[:2], 1), np.uint8)
    cv2.imwrite(str(paths[1]), np.dstack([image[..., ::-1], clear]))
    for read in Faces(paths).read():
        np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_twelve_bits_in_sixteen_are_not_black(tmp_path, suffix):
    image = RNG.integers(0, 4096, (16, 12, 3)).astype(np.uint16)
    paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
    cv2.imwrite(str(paths[0]), image[..., ::-1])
    cv2.imwrite(str(paths[1]), image[..., 0])
    read = Faces(paths).read()
    np.testing.assert_array_equal(read[0], image >> 4)
    np.testing.assert_array_equal(read[1], np.repeat(image[..., :1] >> 4, 3, axis=-1))


def test_a_dark_photograph_of_sixteen_bits_stays_dark(tmp_path):
    """One bright pixel shows that values run up to 65535."""
    image = np.full((16, 12, 3), 2000, np.uint16)
    image[3, 4] = 5000
    cv2.imwrite(str(tmp_path / "dark.png"), image)
    assert Faces([tmp_path / "dark.png"]).images[0].max() == 5000 >> 8
    cv2.imwrite(str(tmp_path / "black.png"), np.full((16, 12, 3), 9, np.uint8))
    assert (Faces([tmp_path / "black.png"]).images[0] == 9).all()


def test_photographs_are_turned_as_their_exif_tag_says(tmp_path):
    image, path = photo(), tmp_path / "turned.jpg"
    data = write(path, image)
    # Tag 0x112, orientation, is 6: a quarter turn.
    tags = bytes.fromhex("49492a00080000000100120103000100000006000000") + bytes(4)
    head = b"\xff\xe1" + (8 + len(tags)).to_bytes(2, "big") + b"Exif\0\0" + tags
    path.write_bytes(data[:2] + head + data[2:])
    turned = Faces([path]).images[0].astype(int)
    assert np.abs(turned - np.rot90(image, -1)).mean() < 8


def test_images_of_several_sizes_are_read_as_a_list():
    images = [photo(40, 30), photo(24, 20), photo(40, 30)]
    faces = Faces(images)
    assert faces.image_shape == (40, 30)
    for read, image in zip(faces.read(), images, strict=True):
        np.testing.assert_array_equal(read, image)
    assert faces.images[[0, 2]].shape == (2, 40, 30, 3)
    with pytest.raises(FaceImageError, match=r"differ in size.*FaceAligner"):
        np.asarray(faces)


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", RNG.integers(0, 256, (30, 12, 10, 3), dtype=np.uint8))
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "part",
    [
        np.s_[:],
        np.s_[5:20],
        np.s_[::-2],
        np.s_[3:, 2:8, ::2, ::-1],
        np.s_[..., 0],
    ],
)
def test_a_memory_map_pickles_as_a_name_whatever_part_it_is(mapped, part):
    faces = Faces(mapped[part])
    data = pickle.dumps(faces)
    again = pickle.loads(data)
    assert len(data) < 2_000
    np.testing.assert_array_equal(np.asarray(again), np.asarray(faces))
    assert again.fingerprint() == faces.fingerprint()


def test_a_plain_view_of_a_memory_map_pickles_as_a_name(mapped):
    faces = Faces(np.asarray(mapped), landmarks=None, age=mapped[:, 0, 0, 0])
    assert len(pickle.dumps(faces)) < 3_000
    again = pickle.loads(pickle.dumps(faces[4:]))
    np.testing.assert_array_equal(again.column("age"), mapped[4:, 0, 0, 0])


def test_private_changes_to_a_copy_on_write_map_travel_along(tmp_path, mapped):
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[0] = 123
    again = pickle.loads(pickle.dumps(Faces(private)))
    assert (again[0] == 123).all()


def test_unpickling_does_not_erase_a_map_opened_for_writing(tmp_path):
    images = np.memmap(tmp_path / "raw", np.uint8, "w+", shape=(4, 8, 8, 3))
    images[:] = 9
    images.flush()
    again = pickle.loads(pickle.dumps(Faces(images)))
    assert (np.asarray(again) == 9).all()
    assert (tmp_path / "raw").stat().st_size == images.nbytes


def test_folds_of_a_large_memory_map_cost_almost_nothing(tmp_path):
    n = 140_000
    images = np.memmap(tmp_path / "big", np.uint8, "w+", shape=(n, 200, 200, 3))
    faces = Faces(images, subject=np.arange(n) % 41)
    order = np.random.default_rng(0).permutation(n)
    tracemalloc.start()
    folds = [(faces[np.setdiff1d(order, t)], faces[t]) for t in np.split(order, 4)[:3]]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sum(len(fold) for pair in folds for fold in pair) == 3 * n
    assert held < 5e6


# -- image files ------------------------------------------------------------------


def test_image_files_are_decoded_to_rgb(tmp_path):
    images = [photo(), photo(20, 50)]
    paths = [tmp_path / "größe_顔.png", tmp_path / "b.png"]
    for path, image in zip(paths, images, strict=True):
        write(path, image)
    faces = Faces([paths[0], str(paths[1])])
    np.testing.assert_array_equal(faces[0], images[0])
    np.testing.assert_array_equal(faces[1], images[1])
    assert faces[1:].image_shape == (20, 50)


def test_relative_paths_survive_a_change_of_folder(tmp_path, monkeypatch):
    write(tmp_path / "a.png", photo())
    monkeypatch.chdir(tmp_path)
    faces = Faces(["a.png"])
    monkeypatch.chdir("/")
    assert faces[0].shape == (40, 30, 3)


def test_paths_are_kept_and_pickled_without_what_they_share():
    paths = [f"/data/set/F{i % 41:03}/T{i % 8}/{i:06}.jpg" for i in range(20_000)]
    faces = Faces(paths)
    assert [faces.store.path(i) for i in (0, 41, 19_999)] == [
        paths[i] for i in (0, 41, 19_999)
    ]
    assert len(pickle.dumps(faces)) < 20 * len(paths)


@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_a_truncated_file_is_named_with_its_row(tmp_path, suffix, kept):
    good, bad = tmp_path / f"good{suffix}", tmp_path / f"bad{suffix}"
    data = write(good, photo(200, 200))
    bad.write_bytes(data[: int(len(data) * kept)])
    faces = Faces([good, bad])
    assert faces[0].shape == (200, 200, 3)
    with pytest.raises(FaceImageError, match=rf"row 1:.*bad\{suffix}.*check_images"):
        faces.read()


def jpeg_with_thumbnail(image):
    """Return a JPEG whose header embeds another whole JPEG, as cameras write it."""
    data = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
    small = cv2.imencode(".jpg", image[::4, ::4])[1].tobytes()
    size = (len(small) + 2).to_bytes(2, "big")
    return data[:2] + b"\xff\xe5" + size + small + data[2:]


def test_a_thumbnails_end_marker_does_not_hide_a_truncation(tmp_path):
    data = jpeg_with_thumbnail(photo(120, 120))
    (tmp_path / "whole.jpg").write_bytes(data + b"\0\0")
    (tmp_path / "half.jpg").write_bytes(data[: len(data) * 2 // 3])
    assert Faces([tmp_path / "whole.jpg"])[0].shape == (120, 120, 3)
    with pytest.raises(FaceImageError, match=r"half\.jpg' is truncated at"):
        Faces([tmp_path / "half.jpg"])[0]


def test_unreadable_rows_are_reported_so_that_labels_can_follow(tmp_path):
    write(tmp_path / "a.png", photo())
    (tmp_path / "text.png").write_text("not an image")
    names = ["a.png", "missing.png", "a.png", "text.png", ""]
    faces, y = Faces([tmp_path / name for name in names])[1:], np.arange(4)
    with pytest.raises(FaceImageError, match=r"row 1: cannot read.*missing\.png"):
        faces.check_images()
    report = faces.check_images(on_error="skip")
    assert y[report.ok].tolist() == [1]
    assert faces[report.ok].check_images().ok.all()
    assert sorted(report.errors) == [0, 2, 3]
    assert "No such file" in report.errors[0]
    assert "text.png" in report.errors[2]
    with pytest.raises(ValueError, match="on_error must be"):
        faces.check_images(on_error="ignore")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_damage_in_the_middle_is_found_where_the_decoder_knows(tmp_path, suffix, capfd):
    good, bad = tmp_path / f"good{suffix}", tmp_path / f"bad{suffix}"
    # Some damaged JPEG streams are valid streams of another image; this one is not.
    data = bytearray(write(good, photo(200, 200, np.random.default_rng(0))))
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    bad.write_bytes(data)
    report = Faces([good, bad, good]).check_images(on_error="skip")
    assert report.ok.tolist() == [True, False, True]
    assert f"bad{suffix}" in report.errors[1]
    both = Faces.concat([Faces([good]), Faces([bad])])
    with pytest.raises(FaceImageError, match="bad"):
        both.check_images()
    # Only who checks pays for it.
    assert suffix == ".png" or Faces([bad])[0].shape == (200, 200, 3)


def test_what_others_write_while_images_are_checked_is_not_lost(tmp_path, capfd):
    write(tmp_path / "a.png", photo())

    class Talks:
        image_shape = None

        def __len__(self):
            return 1

        def gather(self, rows):
            with _decoder_warnings.overhear() as said:
                os.write(2, b"a word\nCorrupt JPEG data: all\n")
            assert said == ["Corrupt JPEG data: all"]
            return Faces([tmp_path / "a.png"]).read()

        def fingerprint(self):
            return "talks"

    assert Faces(Talks()).check_images().ok.all()
    assert capfd.readouterr().err == "a word\n"


def test_pipes_and_folders_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    report = Faces([tmp_path / "pipe.png", tmp_path]).check_images(on_error="skip")
    assert not report.ok.any()
    assert "pipe.png' is a folder or device" in report.errors[0]


# -- memory -----------------------------------------------------------------------


class Watched:
    """Images of one size, or of unknown sizes; notes how many are asked for."""

    def __init__(self, known):
        self.images = RNG.integers(0, 256, (25, 10, 10, 3), dtype=np.uint8)
        self.image_shape = (10, 10) if known else None
        self.asked = []

    def __len__(self):
        return len(self.images)

    def gather(self, rows):
        self.asked.append(len(rows))
        return [self.images[row] for row in rows]

    def fingerprint(self):
        return "watched"


@pytest.mark.parametrize("known", [True, False])
def test_decoded_images_are_held_by_their_bytes(tmp_path, monkeypatch, known):
    monkeypatch.setattr(_stores, "_HELD_BYTES", 10 * 300 + 1)
    store = Watched(known)
    np.testing.assert_array_equal(Faces(store).images[::-1], store.images[::-1])
    assert max(store.asked) == 10
    store.asked.clear()
    written = Faces(store).to_memmap(tmp_path / "x.npy")
    np.testing.assert_array_equal(written, store.images)
    assert max(store.asked) in (9, 10)


# -- fingerprints and rewriting ---------------------------------------------------


def test_a_fingerprint_changes_with_whatever_matters(tmp_path):
    write(tmp_path / "a.png", photo())
    faces = Faces([tmp_path / "a.png"] * 4, subject=list("aabb"), age=[1, 2, 3, 4])
    prints = [
        faces.fingerprint(),
        faces[::-1].fingerprint(),
        faces[1:].fingerprint(),
        faces.with_columns(subject=list("aaab")).fingerprint(),
        faces.with_columns(age=None).fingerprint(),
        faces.with_images(np.zeros((4, 8, 8, 3), np.uint8)).fingerprint(),
        faces.with_images(np.ones((4, 8, 8, 3), np.uint8)).fingerprint(),
    ]
    write(tmp_path / "a.png", photo(44, 44))
    prints.append(faces.fingerprint())
    assert len(set(prints)) == len(prints)
    assert faces[1:3].fingerprint() == faces[[1, 2]].fingerprint()


def test_dates_have_a_fingerprint_too():
    faces = Faces(np.zeros((3, 8, 8, 3), np.uint8))
    days = np.array(["2024-02-28", "2024-02-29", "2024-03-01"], "M8[D]")
    one, other = (faces.with_columns(day=d).fingerprint() for d in (days, days + 1))
    assert one == faces.with_columns(day=days).fingerprint() != other


def test_faces_are_decoded_once_into_a_memory_map(tmp_path):
    images = [photo() for _ in range(5)]
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, images, strict=True):
        write(path, image)
    part = Faces(paths, subject=list("abcde"))[[4, 0, 2]]
    written = part.to_memmap(tmp_path / "faces.npy", batch_size=2)
    assert repr(written).startswith("Faces(3 rows, memmap store, 40x30 pixels")
    assert written.subject.tolist() == ["e", "a", "c"]
    np.testing.assert_array_equal(written, [images[i] for i in (4, 0, 2)])


def test_a_failed_rewrite_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "faces.npy"
    Faces([photo()]).to_memmap(target)
    ragged = Faces([photo(), photo(), photo(8, 8)])
    with pytest.raises(FaceImageError, match=r"differ in size.*FaceAligner"):
        ragged.to_memmap(target, batch_size=2)
    assert np.load(target).shape == (1, 40, 30, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["faces.npy"]
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        ragged.to_memmap(target, batch_size=0)
    with pytest.raises(FaceImageError, match="no rows"):
        ragged[:0].to_memmap(target)
