"""Faces as rows: indexing and columns, against NumPy."""

import copy
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau import Faces
from skfau.exceptions import FaceImageError, MissingColumnError

N = 12

# Five points that begin with the eye on the right of the image.
MIRRORED = np.array([(40, 30), (20, 30), (30, 41), (38, 50), (22, 50)])


def pixels(n):
    """Return images whose every pixel is their row number."""
    return np.broadcast_to(
        np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 6, 5, 3)
    ).copy()


def make(n=N, **columns):
    landmarks = np.arange(n * 136, dtype=np.float32).reshape(n, 68, 2)
    return Faces(
        pixels(n),
        landmarks=landmarks,
        subject=np.repeat(["a", "b", "c"], n // 3 + 1)[:n],
        **columns,
    )


@st.composite
def keys(draw, n):
    kind = draw(st.sampled_from(["slice", "ints", "list", "mask", "all"]))
    if kind == "all":
        return ...
    if kind == "slice":
        key = draw(st.slices(n))
    elif kind == "mask":
        key = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    else:
        key = draw(st.lists(st.integers(-n, n - 1), max_size=20)) if n else []
        dtypes = st.sampled_from([np.int8, np.int32, np.int64])
        key = key if kind == "list" else np.array(key, draw(dtypes))
    return (key, ...) if draw(st.booleans()) else key


@given(st.data())
@settings(deadline=None)
def test_chained_indexing_is_numpys(data):
    faces, rows, tags = make(), np.arange(N), np.arange(N)
    given_at = data.draw(st.integers(0, 3))
    for step in range(4):
        if step == given_at:
            tags = np.arange(len(rows)) * 7
            faces = faces.with_columns(tag=tags)
        key = data.draw(keys(len(rows)))
        faces = faces[key]
        # NumPy alone reads an empty list as floats.
        key = key[0] if isinstance(key, tuple) else key
        key = np.array(key, int) if isinstance(key, list) else key
        rows, tags = rows[key], tags[key]
    np.testing.assert_array_equal(faces.rows, rows)
    assert faces.rows.dtype == np.intp
    assert faces.shape == (len(rows),) == (len(faces),)
    np.testing.assert_array_equal(faces.images[...], pixels(N)[rows])
    np.testing.assert_array_equal(faces.landmarks, make().landmarks[rows])
    np.testing.assert_array_equal(faces.subject, make().subject[rows])
    np.testing.assert_array_equal(faces.column("tag"), tags)


@given(st.data())
@settings(deadline=None)
def test_reading_a_key_is_reading_the_view(data):
    faces = make()[data.draw(keys(N))]
    key = data.draw(keys(len(faces)))
    view = faces[key]
    np.testing.assert_array_equal(faces.images[key], view.images[...])
    np.testing.assert_array_equal(faces.read(key), view.read())
    np.testing.assert_array_equal(faces.column("landmarks", key), view.landmarks)


def test_a_part_keeps_its_store_and_other_columns_when_one_is_added():
    faces = make()
    part = faces[4:8].with_columns(tag=[1, 2, 3, 4], subject=None)
    assert part.store is faces.store
    assert part.rows.tolist() == [4, 5, 6, 7]
    assert part.columns == ("landmarks", "tag")
    assert faces.columns == ("landmarks", "subject")
    assert part.subject is None


def test_changes_outside_do_not_reach_the_columns():
    subject, landmarks = np.array(["a", "b"]), np.zeros((2, 68, 2), np.float32)
    faces = Faces(pixels(2), subject=subject, landmarks=landmarks)
    subject[0], landmarks[0] = "z", 9
    faces[0][:] = 77
    faces.images[...][:] = 77
    assert faces.subject.tolist() == ["a", "b"]
    assert not faces.landmarks.any()
    assert faces.images[1].max() == 1
    with pytest.raises(ValueError, match="read-only"):
        faces.landmarks[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        faces[1:].subject[0] = "q"


class Lazy:
    """A column that must never be asked for all its rows at once."""

    def __init__(self, n):
        self.asked, self.n = [], n

    def __len__(self):
        return self.n

    def __getitem__(self, rows):
        self.asked.append(rows)
        assert rows.dtype == np.intp
        return rows * 10


def test_a_lazy_column_is_read_only_by_row():
    column = Lazy(N)
    faces = make(maps=column)[5:].with_images(pixels(7)).with_columns(tag=range(7))
    assert column.asked == []
    assert faces.column("maps", [0, 6]).tolist() == [50, 110]
    assert faces.column("maps", 1) == 60
    assert faces.column("tag", [2]).tolist() == [2]
    assert [len(rows) for rows in column.asked] == [2, 1]


def test_new_images_keep_the_columns_of_the_view():
    faces = make()[[7, 2]]
    other = faces.with_images(pixels(2), subject=["x", "y"])
    np.testing.assert_array_equal(other.landmarks, faces.landmarks)
    assert other.subject.tolist() == ["x", "y"]
    assert other.rows.tolist() == [0, 1]
    with pytest.raises(FaceImageError, match=r"one image per row \(2\), got 3"):
        faces.with_images(pixels(3))


@pytest.mark.parametrize(
    ("columns", "error", "match"),
    [
        ({"subject": ["a"]}, ValueError, "expected 3, got 1"),
        ({"subject": "abc"}, TypeError, "must be array-like"),
        ({"subject": np.array(1)}, ValueError, "got a single value"),
        ({"subject": 3}, TypeError, "must be array-like"),
        ({"subject": ["a", None, "b"]}, ValueError, "missing in row 1"),
        ({"video": [0.0, 1.0, np.nan]}, ValueError, "missing in row 2"),
        ({"subject": np.zeros((3, 2))}, ValueError, "must be 1-D"),
        ({"frame": [0, 1, 1.5]}, TypeError, "whole frame numbers"),
        ({"frame": ["0", "1", "2"]}, TypeError, "whole frame numbers"),
        ({"frame": [0, np.inf, 1]}, TypeError, r"whole frame numbers, got \[inf\]"),
        ({"frame": np.array([0, 1, 2**63], np.uint64)}, TypeError, "got .9223"),
        ({"subject": pd.array(["a", None, "b"], "string")}, ValueError, "in row 1"),
        ({"frame": np.ma.masked_equal([0, 1, 2], 1)}, ValueError, "masked entries"),
        ({"landmarks": np.zeros((3, 49, 2))}, ValueError, r"skfau\.facs\.to_68"),
        ({"landmarks": np.zeros((3, 68, 3))}, ValueError, r"with depth\).*to_68"),
        ({"mesh": np.zeros((3, 478, 3))}, ValueError, "478 points take the first 468"),
        ({"mesh": np.ones((3, 468, 3)) * [1, 0, 0.1]}, ValueError, "shares of the im"),
        ({"five_points": np.ones((3, 5, 2)) * MIRRORED}, ValueError, "another order"),
        ({"landmarks": np.zeros((3, 136))}, ValueError, r"\(n, 68, 2\)"),
        ({"landmarks": np.full((3, 68, 2), np.inf)}, ValueError, "infinite.* row 0"),
        ({"landmarks": np.full((3, 68, 2), "x")}, TypeError, "must be numbers"),
        ({"maps": np.zeros(4)}, ValueError, "'maps'.* expected 3, got 4"),
    ],
)
def test_columns_that_do_not_fit(columns, error, match):
    with pytest.raises(error, match=match):
        Faces(pixels(3), **columns)


def test_landmarks_become_float32_and_may_be_partly_unknown():
    points = np.zeros((3, 68, 2))
    points[0, :17] = np.nan
    faces = Faces(pixels(3), landmarks=points)
    assert faces.landmarks.dtype == np.float32
    assert np.isnan(faces.landmarks).sum() == 34


@pytest.mark.parametrize(
    "key", ["landmarks", 1.5, True, None, np.zeros(3), [[0, 1]], (0, 1), (0, 1, 2)]
)
def test_keys_that_are_no_rows(key):
    with pytest.raises(IndexError, match="indexed by row"):
        make()[key]


@pytest.mark.parametrize("key", [N, -N - 1, [N], np.ones(N + 1, bool)])
def test_rows_out_of_reach(key):
    with pytest.raises(IndexError):
        make()[key]


def test_an_absent_column_lists_what_is_there():
    with pytest.raises(MissingColumnError, match=r"no column 'maps'.*landmarks, subj"):
        make().column("maps")


def test_nothing_answers_to_names_of_other_containers():
    faces = make()
    for name in ("iloc", "dtype", "fit", "get_feature_names_out", "columns_"):
        assert not hasattr(faces, name)


def test_columns_are_attributes_too():
    faces = make(status=[""] * N, box=np.zeros((N, 4)))[2:5]
    assert faces.status.tolist() == [""] * 3
    assert faces.box.shape == (3, 4)
    assert copy.deepcopy(faces).status.tolist() == [""] * 3
    with pytest.raises(AttributeError, match=r"'time'.* status, box.*faces\.column\(n"):
        _ = faces.time


def test_columns_become_a_table():
    box = np.arange(4 * N).reshape(N, 4)
    faces = make(box=box, maps=Lazy(N), age=np.arange(N))[[7, 2]]
    table = faces.to_frame()
    points = [f"{axis}_{k}" for axis in "xy" for k in range(68)]
    boxes = [f"box_{k}" for k in range(4)]
    assert table.columns.tolist() == [*points, "subject", *boxes, "age"]
    assert table.index.tolist() == [0, 1]
    assert table.subject.tolist() == faces.subject.tolist()
    np.testing.assert_array_equal(table[boxes], box[[7, 2]])
    x, y = table[points[:68]], table[points[68:]]
    np.testing.assert_array_equal(np.stack([x, y], axis=-1), faces.landmarks)
    table.age += 1
    assert faces.age.tolist() == [7, 2]
    assert Faces(pixels(3))[1:].to_frame().shape == (2, 0)


def test_columns_of_a_file_are_in_the_table_over_new_images_and_joined(tmp_path):
    np.save(tmp_path / "age.npy", np.arange(N))
    age = np.load(tmp_path / "age.npy", mmap_mode="r")
    part = make(age=age, maps=Lazy(N))[3:5].with_images(pixels(2))
    for faces, expected in (part, [3, 4]), (Faces.concat([part, part]), [3, 4, 3, 4]):
        table = faces.to_frame()
        assert table.age.tolist() == expected
        assert "maps" not in table


def test_a_table_without_pandas_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas: pip install pandas"):
        make().to_frame()


def test_the_repr_tells_what_is_inside():
    assert repr(make()[2:9]) == (
        "Faces(7 rows, array store, 6x5 pixels, columns: landmarks, subject, "
        "2 subjects)"
    )
    assert repr(Faces(["a.png"])) == (
        "Faces(1 rows, paths store, sizes not known, columns: none)"
    )


def test_points_of_tools_may_be_lists_with_lost_faces():
    five = np.array([(20, 30), (40, 30), (30, 41), (22, 50), (38, 50)])
    faces = Faces(pixels(3), five_points=[five, None, five.tolist()])
    assert np.isnan(faces.five_points).any(axis=(1, 2)).tolist() == [False, True, False]
    np.testing.assert_array_equal(faces.five_points[2], five)
    alone = Faces(pixels(1), five_points=[None]).five_points
    assert alone.shape == (1, 5, 2)
    assert np.isnan(alone).all()
