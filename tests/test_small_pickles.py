"""A small view pickles its rows and nothing else, and stays what it was."""

import pickle
import sys

import cv2
import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau import FaceAligner, Faces
from skfau.datasets import make_faces
from skfau.exceptions import FaceImageError
from skfau.preprocessing import ROIHeatmaps
from tests.video_files import write_video

N_VIDEOS, N_FRAMES = 12, 5


def pixels(n, side=16):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def made():
    return make_faces(
        n_subjects=N_VIDEOS, n_frames=N_FRAMES, image_size=32, random_state=0
    ).data


@pytest.fixture(scope="module")
def kinds(made, tmp_path_factory):
    """Return faces over a store of every kind, all with the same columns."""
    folder = tmp_path_factory.mktemp("kinds")
    columns = {name: made.column(name) for name in made.columns}
    images = np.asarray(made)
    film = write_video(folder / "v.avi", len(made), "MJPG")
    aligned = FaceAligner(output_size=24).fit_transform(made)
    paths = [str(folder / f"{row}.png") for row in range(len(made))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(path, image)
    other = aligned.with_columns(video=np.char.add(made.video, "b"))
    return {
        "array": made,
        "list": Faces(list(images), **columns),
        "paths": Faces(paths, **columns),
        "memmap": made.to_memmap(folder / "x.npy"),
        "video": Faces(Faces.from_videos([film]).store, **columns),
        "aligned": aligned,
        "maps": ROIHeatmaps(aus=(1, 12)).fit_transform(aligned),
        "joined": Faces.concat([made[:31], other[::-1]]),
    }


KINDS = ("array", "list", "paths", "memmap", "video", "aligned", "maps", "joined")


def assert_same(one, other):
    assert one.columns == other.columns
    assert one.fingerprint() == other.fingerprint()
    np.testing.assert_array_equal(one.rows, other.rows)
    for name in one.columns:
        np.testing.assert_array_equal(one.column(name), other.column(name))
    for image, again in zip(one.read(), other.read(), strict=True):
        np.testing.assert_array_equal(image, again)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_a_pickled_view_is_the_same_view(kinds, kind, data):
    faces = kinds[kind]
    rows = st.integers(0, len(faces) - 1)
    view = faces[np.array(data.draw(st.lists(rows, max_size=8)), int)]
    if data.draw(st.booleans()):
        view = view.with_columns(tag=np.arange(len(view)))
    if data.draw(st.booleans()):
        view = view.with_columns(subject=np.array([f"s{r % 3}" for r in view.rows]))
    again = view
    for _ in range(2):
        again = pickle.loads(pickle.dumps(again))
        assert_same(view, again)
    assert_same(view[::-2], again[::-2])
    assert_same(view[:1], pickle.loads(pickle.dumps(again[:1])))
    if len(view):
        assert joblib.hash(view) == joblib.hash(again)
        assert_same(Faces.concat([view, view]), Faces.concat([again, again]))
    if "tag" not in view.columns:
        for offset in (-7, -1, 1, 2):
            assert_same(view.neighbors(offset), again.neighbors(offset))


@pytest.mark.parametrize("kind", ["array", "list", "aligned", "maps", "joined"])
def test_ten_rows_pickle_as_ten_rows(kinds, kind):
    faces = kinds[kind].with_columns(video=None, frame=None)
    size = len(pickle.dumps(faces)) / len(faces)
    assert len(pickle.dumps(faces[7:17])) < 13 * size + 5_000


def test_columns_of_other_rows_stay_behind():
    n = 2_000
    faces = Faces([f"/data/{row:06}.jpg" for row in range(n)], age=np.ones((n, 500)))
    assert len(pickle.dumps(faces[:10])) < 50_000 < len(pickle.dumps(faces)) / 100


def test_videos_of_the_rows_travel_whole_and_no_others(made):
    video, frame = np.divmod(np.arange(len(made)), 5)
    faces = made.with_columns(video=video, frame=frame)
    again = pickle.loads(pickle.dumps(faces[[2, 11]]))
    there = again.store.gather(np.r_[0:5, 10:15])
    np.testing.assert_array_equal(there, made.images[np.r_[0:5, 10:15]])
    with pytest.raises(FaceImageError, match="row 5 did not travel along"):
        again.store.gather(np.array([4, 5]))


def test_ambiguous_frames_raise_the_same_error_on_both_sides():
    faces = Faces(pixels(9), video=list("aaaaaabbb"), frame=[0, 1, 2, 3, 4, 5, 0, 0, 1])
    again = pickle.loads(pickle.dumps(faces[:2]))
    for view in (faces[:2], again):
        with pytest.raises(ValueError, match="rows 6 and 7 are both frame 0"):
            view.neighbors(1)


@pytest.mark.parametrize("kind", [np.asarray, list])
def test_pixels_changed_since_the_last_pickle_travel_changed(kind):
    images = pixels(20)
    view = Faces(kind(images))[3:6]
    before = view.fingerprint()
    assert pickle.loads(pickle.dumps(view)).fingerprint() == before
    images[4] = 7
    again = pickle.loads(pickle.dumps(view))
    assert (again[1] == 7).all()
    assert again.fingerprint() == view.fingerprint() != before


def test_a_file_changed_after_the_pickle_changes_the_fingerprint(tmp_path):
    paths = [tmp_path / f"{row}.png" for row in range(6)]
    for path in paths:
        path.write_bytes(b"one")
    view = Faces(paths)[:2]
    again = pickle.loads(pickle.dumps(view))
    assert again.fingerprint() == view.fingerprint()
    paths[1].write_bytes(b"other")
    assert again.fingerprint() != view.fingerprint()
    assert pickle.loads(pickle.dumps(view)).fingerprint() == view.fingerprint()


def mapped_file(faces):
    return faces.store._array.values.filename


def test_joblib_writes_the_pixels_of_a_view_once():
    view = Faces(pixels(64, 160))[5:30]
    files = joblib.Parallel(n_jobs=2, max_nbytes="1M")(
        joblib.delayed(mapped_file)(view) for _ in range(4)
    )
    assert len(set(files)) == 1


def test_the_size_in_memory_is_that_of_pixels_and_columns(made):
    n_bytes = np.asarray(made).nbytes + made.landmarks.nbytes
    assert n_bytes < sys.getsizeof(made) < 1.1 * n_bytes
    joined = Faces.concat([made, FaceAligner(output_size=24).fit_transform(made)])
    assert sys.getsizeof(joined) > 2 * n_bytes


def test_a_memory_map_is_opened_when_it_is_used_not_when_it_is_passed_on(tmp_path):
    images = pixels(6)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    faces = Faces(mapped, age=mapped[:, 0, 0, 0])
    data = pickle.dumps(faces)
    away = (tmp_path / "x.npy").rename(tmp_path / "away.npy")
    passed_on = pickle.dumps(pickle.loads(data))
    lost = pickle.loads(passed_on)
    assert lost.image_shape == (16, 16)
    for use in (lambda: lost[0], lambda: lost.age, lambda: lost.images[...]):
        with pytest.raises(FaceImageError, match=r"x\.npy' cannot be opened here"):
            use()
    (tmp_path / "x.npy").write_bytes(away.read_bytes()[:-1])
    with pytest.raises(FaceImageError, match=r"x\.npy' cannot be opened here"):
        lost[5]
    away.rename(tmp_path / "x.npy")
    np.testing.assert_array_equal(np.asarray(lost), images)
    np.testing.assert_array_equal(lost.age, images[:, 0, 0, 0])
