"""Videos as faces: any order, any thread, honest about their end."""

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from skfau import Faces, _video_index
from skfau._video_store import _MAX_OPEN_VIDEOS
from skfau.exceptions import FaceImageError
from tests.video_files import (
    FILES,
    cut,
    numbers,
    plain,
    turn,
    vary_rate,
    write_video,
)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [
        write_video(folder / "ä.avi", 60, "MJPG"),
        write_video(folder / "b.mp4", 40, "mp4v"),
    ]


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
            for name in ("isOpened", "grab", "retrieve", "get"):
                setattr(self, name, getattr(capture, name))

    monkeypatch.setattr(cv2, "VideoCapture", Unseekable)
    assert numbers(faces.images[::3]) == list(range(0, 60, 3))


def test_seeks_that_come_late_start_earlier_from_then_on(tmp_path, monkeypatch):
    path = vary_rate(write_video(tmp_path / "mpeg4.mp4", 300))
    frames, faces, places = plain(path), Faces.from_videos([path]), []

    class Counted:
        def __init__(self, path, real=cv2.VideoCapture):
            self._capture = real(path)

        def set(self, name, place):
            places.append(place)
            return self._capture.set(name, place)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Counted)
    rows = range(299, 100, -20)
    for row in rows:
        np.testing.assert_array_equal(faces[row], frames[row])
    assert len(places) < 1.5 * len(rows)


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
    assert len(data) < 3_000
    assert numbers(Faces(pickle.loads(data)).read([7, 3])) == [7, 3]


def test_only_some_decoders_stay_open(tmp_path):
    many = [
        write_video(tmp_path / f"{i}.avi", 3, "MJPG")
        for i in range(_MAX_OPEN_VIDEOS + 3)
    ]
    faces = Faces.from_videos(many)
    assert numbers(faces) == [0, 1, 2] * len(many)
    assert numbers(faces.read([0, 1])) == [0, 1]
    assert len(faces.store._local.decoders) == _MAX_OPEN_VIDEOS


def test_videos_of_one_name_are_told_apart_by_path(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
    same = [write_video(tmp_path / folder / "T1.avi", 3, "MJPG") for folder in "ab"]
    assert len(set(Faces.from_videos(same).video)) == 2
    assert set(Faces.from_videos(same, video=[1, 2]).video) == {1, 2}


@pytest.fixture(params=FILES, ids=lambda p: f"{p[0]}-{getattr(p[1], '__name__', '')}")
def any_video(request, tmp_path):
    """One video of every kind, whole and changed."""
    name, change = request.param
    path = write_video(tmp_path / name)
    return change(path) if change else path


def in_batches(order, size):
    return [list(order[at : at + size]) for at in range(0, len(order), size)]


@pytest.mark.filterwarnings("ignore:the video .* ends")
def test_row_k_is_the_kth_frame_that_a_plain_loop_reads(any_video):
    frames, faces = plain(any_video), Faces.from_videos([any_video])
    n = len(frames)
    assert len(faces) == n > 5
    shuffled = np.random.default_rng(0).permutation(n)
    twice = [*range(n), *range(n)]
    for order in (twice, shuffled, range(n)[::7], range(n)[::-1]):
        for rows in in_batches(order, 1) + in_batches(order, 16):
            for row, image in zip(rows, faces.read(rows), strict=True):
                np.testing.assert_array_equal(image, frames[row])


@pytest.mark.filterwarnings("ignore:the video .* ends")
def test_two_folds_at_once_do_not_mix(any_video):
    frames, faces = plain(any_video), Faces.from_videos([any_video])
    half = len(frames) // 2
    first, second = faces[:half], faces[half:]
    for row in range(0, half, 5):
        np.testing.assert_array_equal(second[row], frames[half + row])
        np.testing.assert_array_equal(first[row], frames[row])


def test_a_cut_off_mp4_has_no_frame(tmp_path):
    path = cut(write_video(tmp_path / "mpeg4.mp4"))
    with pytest.raises(FaceImageError, match=r"cannot open.*mpeg4\.mp4"):
        Faces.from_videos([path])


def test_videos_of_telephones_are_turned(tmp_path):
    path = write_video(tmp_path / "mpeg4.mp4")
    upright = plain(path)
    faces = Faces.from_videos([turn(path)])
    assert faces.image_shape == (96, 32)
    for row in (40, 3):
        np.testing.assert_array_equal(faces[row], np.rot90(upright[row], -1))


def test_time_is_what_the_file_tells(tmp_path):
    path = vary_rate(write_video(tmp_path / "mpeg4.mp4"), fast=20, slow=3)
    expected = np.arange(60) / 25 + np.maximum(np.arange(60) - 20, 0) * 2 / 25
    np.testing.assert_allclose(Faces.from_videos([path]).column("time"), expected)


def test_time_is_unknown_where_the_clock_runs_back(tmp_path):
    path = write_video(tmp_path / "mpeg2.mpg")
    times = Faces.from_videos([path]).column("time")
    # Of the last frame a program stream tells none.
    np.testing.assert_allclose(times[:-1], np.arange(59) / 25)
    assert np.isnan(times[-1])


@pytest.mark.parametrize(
    ("step", "frames"),
    [
        (
            {"every": 0.4},
            [0, 10, 20, 30, 40, 50, 0, 10, 20, 24, 27, 30, 34, 37],
        ),
        ({"every_frames": 25}, [0, 25, 50, 0, 25]),
        ({"every": 1000}, [0, 0]),
        ({"every_frames": 1}, [*range(60), *range(40)]),
    ],
)
def test_thinned_videos(tmp_path, step, frames):
    paths = [
        write_video(tmp_path / "a.avi", 60, "MJPG"),
        vary_rate(write_video(tmp_path / "b.mp4", 40, "mp4v")),
    ]
    faces = Faces.from_videos(paths, **step)
    assert faces.frame.tolist() == frames
    assert numbers(faces) == frames
    assert faces.neighbors(1).frame[0] == 1


@pytest.mark.parametrize(
    ("step", "match"),
    [
        ({"every": 0}, "seconds, above 0, got 0"),
        ({"every": "1 s"}, "seconds, above 0, got '1 s'"),
        ({"every_frames": 0}, "at least 1, got 0"),
        ({"every": 1, "every_frames": 2}, "not both"),
    ],
)
def test_steps_that_cannot_be(paths, step, match):
    with pytest.raises(ValueError, match=match):
        Faces.from_videos(paths, **step)


def test_a_video_without_times_is_thinned_by_frames(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 60, "MJPG")
    scan = _video_index._scan
    stopped = {"times": np.zeros(60)}
    monkeypatch.setattr(_video_index, "_scan", lambda *p: scan(*p)._replace(**stopped))
    with pytest.raises(FaceImageError, match=r"no time for 59 of its 60.*every_f"):
        Faces.from_videos([path], every=1)
    assert Faces.from_videos([path], every_frames=30).frame.tolist() == [0, 30]


def test_a_folder_or_a_pattern_names_the_videos(tmp_path):
    for name in ("b.avi", "a.AVI", "c.mp4", "._a.avi"):
        write_video(tmp_path / name, 3, "mp4v" if name[0] == "c" else "MJPG")
    (tmp_path / "notes.txt").write_text("no video")
    names = np.repeat(["a", "b", "c"], 3).tolist()
    assert Faces.from_videos(tmp_path).video.tolist() == names
    assert Faces.from_videos(str(tmp_path)).video.tolist() == names
    assert Faces.from_videos(tmp_path / "[ab].*").video.tolist() == names[:6]
    with pytest.raises(FaceImageError, match=r"no video in what the pattern .*\.mov"):
        Faces.from_videos(tmp_path / "*.mov")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FaceImageError, match=r"no video in the folder .*empty.*\.mp4"):
        Faces.from_videos(tmp_path / "empty")
    with pytest.raises(FaceImageError, match="no folder or video 'typo'; check"):
        Faces.from_videos("typo")
    with pytest.raises(FaceImageError, match="no video in the list"):
        Faces.from_videos([])
    with pytest.raises(FaceImageError, match="is a folder; pass it alone"):
        Faces.from_videos([tmp_path])


def test_the_index_is_kept_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_video(tmp_path / "a.avi", 20, "MJPG")
    Faces.from_videos([path])
    assert not (tmp_path / "cache").exists()
    then = time.time() - 100
    os.utime(path, (then, then))
    before = Faces.from_videos([path])
    kept = list((tmp_path / "cache").rglob("*.npz"))
    assert len(kept) == 1
    with monkeypatch.context() as unread:
        unread.setattr(_video_index, "_scan", None)
        again = Faces.from_videos([path])
    assert again.fingerprint() == before.fingerprint()
    assert numbers(again[::3]) == list(range(0, 20, 3))
    write_video(path, 30, "MJPG")
    assert len(Faces.from_videos([path])) == 30
    os.utime(path, (then, then))
    kept[0].write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"index of a video, is not as it was written"):
        assert len(Faces.from_videos([path])) == 30


def test_whatever_a_decoder_raises_names_the_video(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 5, "MJPG")
    faces = Faces.from_videos([path])

    class Broken:
        def __init__(self, path):
            pass

        def isOpened(self):
            return True

        def get(self, number):
            return 0.0

        def read(self):
            raise RuntimeError("assertion")

        grab = read

    monkeypatch.setattr(cv2, "VideoCapture", Broken)
    for use in (lambda: Faces.from_videos([path]), lambda: faces.images[3]):
        with pytest.raises(FaceImageError, match=r"a\.avi.* decode"):
            use()


def test_a_cache_that_cannot_be_written_is_said_and_costs_only_time(
    tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = write_video(tmp_path / "a.avi", 5, "MJPG")
    os.utime(path, (0, 0))
    with pytest.warns(UserWarning, match="indexes of videos cannot be kept.*file"):
        assert numbers(Faces.from_videos([path])) == list(range(5))


def test_a_video_that_changed_is_an_error_that_names_the_frame(tmp_path):
    path = write_video(tmp_path / "a.avi", 20, "MJPG")
    faces = Faces.from_videos([path])
    write_video(path, 10, "MJPG")
    with pytest.raises(FaceImageError, match=r"row 15: frame 15 of the video .*a\.avi"):
        faces[15]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
def test_an_image_is_no_video_of_one_frame(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    cv2.imwrite(str(path), np.zeros((32, 32, 3), np.uint8))
    path = path.rename(tmp_path / "photo.avi")
    with pytest.raises(FaceImageError, match=r"photo\.avi' is an image, not a video"):
        Faces.from_videos([path])


def test_a_video_of_one_frame_and_a_stream_of_images_are_videos(tmp_path):
    one = write_video(tmp_path / "motion_jpeg.avi", n=1)
    image = cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    (tmp_path / "stream.mjpeg").write_bytes(image * 3)
    assert len(Faces.from_videos([one])) == 1
    assert len(Faces.from_videos([tmp_path / "stream.mjpeg"])) == 3


def test_videos_that_cannot_be_opened(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(FaceImageError, match="no video"):
        Faces.from_videos([tmp_path / "missing.mp4"])
    with pytest.raises(FaceImageError, match=r"cannot open.*text\.mp4"):
        Faces.from_videos([tmp_path / "text.mp4"])
    with pytest.raises(TypeError, match="list of videos"):
        Faces.from_videos(str(tmp_path / "text.mp4"))
    with pytest.raises(ValueError, match="expected 1, got 2"):
        Faces.from_videos(
            [write_video(tmp_path / "a.avi", 3, "MJPG")], subject=["a", "b"]
        )
