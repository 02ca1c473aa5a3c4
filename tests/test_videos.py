"""Videos as faces: any order, any thread, honest about their end."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from skfau import Faces
from skfau._stores import _MAX_OPEN_VIDEOS
from skfau.exceptions import FaceImageError


def write(path, n=60, fourcc="MJPG"):
    """Write frames that show their number as six black or white stripes."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), 25, (96, 32))
    for t in range(n):
        bits = (t >> np.arange(6) & 1).astype(np.uint8) * 255
        stripes = np.repeat(bits, 16)[None, :, None]
        writer.write(np.broadcast_to(stripes, (32, 96, 3)).copy())
    writer.release()
    return path


def numbers(images):
    """Read the numbers back; codecs blur, so from the middle of each stripe."""
    middles = [image[8:24, 8::16].mean(axis=(0, 2)) > 127 for image in images]
    return [int(bits @ (1 << np.arange(6))) for bits in middles]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [write(folder / "ä.avi", 60), write(folder / "b.mp4", 40, "mp4v")]


def test_every_frame_is_a_row(paths):
    faces = Faces.from_videos(paths, subject=["x", "y"])
    assert faces.shape == (100,)
    assert faces.image_shape == (32, 96)
    assert faces[60:].frame.tolist() == list(range(40))
    assert set(faces[:60].video) == {"ä"}
    assert set(faces[60:].subject) == {"y"}
    assert numbers(faces) == [*range(60), *range(40)]
    assert faces[58:].neighbors(2).rows[:3].tolist() == [58, 59, 62]


@pytest.mark.parametrize("seed", range(3))
def test_frames_in_any_order_are_those_in_sequence(paths, seed):
    rows = np.random.default_rng(seed).integers(0, 100, 80)
    faces = Faces.from_videos(paths)
    expected = [row if row < 60 else row - 60 for row in rows]
    assert numbers(faces.read(rows)) == expected
    assert numbers(faces[int(row)] for row in rows[:10]) == expected[:10]


def test_the_same_frame_twice_gives_two_images(paths):
    first, second = Faces.from_videos(paths).read([5, 5])
    first[:] = 0
    assert numbers([second]) == [5]


def test_frames_in_order_are_never_sought(paths, monkeypatch):
    faces = Faces.from_videos(paths[:1])

    class Unseekable:
        def __init__(self, path, real=cv2.VideoCapture):
            capture = real(path)
            self.isOpened, self.grab, self.read = (
                capture.isOpened,
                capture.grab,
                capture.read,
            )

    monkeypatch.setattr(cv2, "VideoCapture", Unseekable)
    assert numbers(faces.images[::3]) == list(range(0, 60, 3))


def test_threads_do_not_disturb_each_other(paths):
    faces = Faces.from_videos(paths)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: numbers(faces[i::4]), range(4)))
    together = [*range(60), *range(40)]
    assert parts == [together[i::4] for i in range(4)]


def test_a_pickle_holds_names_and_opens_its_own_decoders(paths):
    faces = Faces.from_videos(paths)
    faces[7]
    data = pickle.dumps(faces.store)
    assert len(data) < 1_000
    assert numbers(Faces(pickle.loads(data)).read([7, 3])) == [7, 3]


def test_only_some_decoders_stay_open(tmp_path):
    many = [write(tmp_path / f"{i}.avi", 3) for i in range(_MAX_OPEN_VIDEOS + 3)]
    faces = Faces.from_videos(many)
    assert numbers(faces) == [0, 1, 2] * len(many)
    assert numbers(faces.read([0, 1])) == [0, 1]
    assert len(faces.store._local.captures) == _MAX_OPEN_VIDEOS


def test_videos_of_one_name_are_told_apart_by_path(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
    same = [write(tmp_path / folder / "T1.avi", 3) for folder in "ab"]
    assert len(set(Faces.from_videos(same).video)) == 2
    assert set(Faces.from_videos(same, video=[1, 2]).video) == {1, 2}


def test_the_end_of_a_truncated_video_is_named(tmp_path):
    whole = write(tmp_path / "a.avi", 60)
    short = tmp_path / "short.avi"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    faces = Faces.from_videos([whole, short])
    with pytest.raises(FaceImageError, match=r"row 119:.*frame 59 of.*short\.avi"):
        faces[119]
    report = faces[60:].check_images(on_error="skip")
    assert report.ok[:20].all()
    assert not report.ok[-10:].any()


def test_videos_that_cannot_be_opened(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(FaceImageError, match="no video"):
        Faces.from_videos([tmp_path / "missing.mp4"])
    with pytest.raises(FaceImageError, match=r"cannot open.*text\.mp4"):
        Faces.from_videos([tmp_path / "text.mp4"])
    with pytest.raises(TypeError, match="list of videos"):
        Faces.from_videos(str(tmp_path / "text.mp4"))
    with pytest.raises(ValueError, match="expected 1, got 2"):
        Faces.from_videos([write(tmp_path / "a.avi", 3)], subject=["a", "b"])
