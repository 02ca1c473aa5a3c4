"""Neighbors in time, against brute force."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau import Faces
from skfau.exceptions import MissingColumnError


def pixels(n):
    """Return images whose every pixel is their row number."""
    return np.broadcast_to(
        np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 6, 5, 3)
    ).copy()


@st.composite
def recordings(draw):
    """Draw unsorted frames with gaps: (subject, video, frame), a view, an offset."""
    frames = st.tuples(st.sampled_from("ab"), st.sampled_from("vw"), st.integers(-3, 9))
    table = draw(st.lists(frames, min_size=1, max_size=25, unique=True))
    view = draw(st.lists(st.integers(0, len(table) - 1), max_size=12))
    return table, view, draw(st.integers(-15, 15))


def in_store(table, **columns):
    subject, video, frame = zip(*table, strict=True)
    return Faces(
        pixels(len(table)), subject=subject, video=video, frame=frame, **columns
    )


@given(recordings())
@settings(deadline=None)
def test_neighbors_are_those_of_brute_force(drawn):
    table, view, offset = drawn
    where = {key: row for row, key in enumerate(table)}
    expected = [
        where.get((table[r][0], table[r][1], table[r][2] + offset), r) for r in view
    ]
    near = in_store(table)[view].neighbors(offset)
    np.testing.assert_array_equal(near.rows, np.array(expected, int))
    np.testing.assert_array_equal(near.images[...], pixels(len(table))[expected])
    np.testing.assert_array_equal(near.frame, [table[r][2] for r in expected])


@given(recordings())
@settings(deadline=None)
def test_time_given_to_a_part_finds_neighbors_in_that_part(drawn):
    table, view, offset = drawn
    subject, video, frame = (
        zip(*[table[r] for r in view], strict=True)
        if view
        else [
            np.empty(0, "U1"),
            np.empty(0, "U1"),
            np.empty(0, int),
        ]
    )
    part = Faces(pixels(len(table)))[view]
    part = part.with_columns(subject=subject, video=video, frame=frame)
    where = {table[row]: row for row in view}
    expected = [
        where.get((table[r][0], table[r][1], table[r][2] + offset), r) for r in view
    ]
    # Pickling must not separate the columns that name a frame from one another.
    near = pickle.loads(pickle.dumps(part[::-1])).neighbors(offset)
    np.testing.assert_array_equal(near.rows, np.array(expected[::-1], int))
    np.testing.assert_array_equal(near.subject, [table[r][0] for r in expected[::-1]])


@given(recordings())
@settings(deadline=None)
def test_a_column_of_a_part_follows_neighbors_or_says_it_cannot(drawn):
    table, view, offset = drawn
    tags = np.arange(len(view)) + 100
    part = in_store(table)[view].with_columns(tag=tags)
    near = part.neighbors(offset)
    first = {row: tags[i] for i, row in reversed(list(enumerate(view)))}
    for i, row in enumerate(near.rows):
        if row == view[i]:
            assert near.column("tag", i) == tags[i]
        elif row in first:
            assert near.column("tag", i) == first[row]
        else:
            with pytest.raises(MissingColumnError, match="added to a part"):
                near.column("tag", i)


def test_tasks_of_the_same_name_are_apart_by_subject():
    faces = in_store([("a", "T1", 0), ("b", "T1", 1)])
    assert faces.neighbors(1).rows.tolist() == [0, 1]


def test_two_rows_of_one_frame_are_refused():
    faces = Faces(pixels(3), video=["v", "v", "v"], frame=[0, 1, 1])
    with pytest.raises(ValueError, match="rows 1 and 2 are both frame 1 of video v"):
        faces.neighbors(1)


def test_a_resampled_view_has_neighbors_also_over_new_images():
    faces = in_store([("a", "v", t) for t in range(6)])[[2, 2, 3, 5]]
    again = faces.with_images(pixels(4))[[3, 1, 2]].with_images(pixels(3))
    assert faces.neighbors(1).rows.tolist() == [3, 3, 4, 5]
    assert again.neighbors(1).rows.tolist() == [0, 2, 2]
    assert again[[1, 1]].with_images(pixels(2)).neighbors(-1).frame.tolist() == [2, 2]


class Computed:
    """A lazy column: ten times the row number."""

    def __len__(self):
        return 6

    def __getitem__(self, rows):
        return 10 * np.arange(6)[rows]


def mapped(folder):
    """Return the same values in a memory-mapped file."""
    np.save(folder / "values.npy", 10 * np.arange(6))
    return np.load(folder / "values.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", ["array", "computed", "mapped", "of a part"])
def test_columns_over_new_images_are_known_outside_of_a_later_part(kind, tmp_path):
    values = {"computed": Computed(), "mapped": mapped(tmp_path)}
    values = values.get(kind, 10 * np.arange(6))
    faces = in_store([("a", "v", t) for t in range(6)])
    if kind == "of a part":
        part = faces[1:].with_columns(value=values[1:])
    else:
        part = faces.with_columns(value=values)[1:]
    near = part.with_images(pixels(5))[:2].neighbors(1)
    assert near.frame.tolist() == [2, 3]
    assert near.column("value").tolist() == [20, 30]


def test_neighbors_without_time_name_the_column():
    with pytest.raises(MissingColumnError, match="no column 'video'"):
        Faces(pixels(2)).neighbors(1)
    with pytest.raises(TypeError):
        in_store([("a", "v", 0)]).neighbors(1.5)
    time_stamps = Faces(pixels(2), video=[0, 1], frame=[0, 2**62])
    with pytest.raises(ValueError, match="not time stamps"):
        time_stamps.neighbors(1)


def test_the_lookup_is_built_once_for_all_views_and_not_pickled(monkeypatch):
    sorts, argsort = [], np.argsort
    monkeypatch.setattr(
        np, "argsort", lambda *a, **k: (sorts.append(a), argsort(*a, **k))[1]
    )
    faces = in_store([("a", "v", t) for t in range(50)])
    before = len(pickle.dumps(faces))
    for view in (faces, faces[3:], faces[[1, 2]][::-1]):
        view.neighbors(1).neighbors(-2)
    assert len(sorts) == 1
    assert len(pickle.dumps(faces)) == before


def test_time_columns_replaced_one_by_one_stay_together():
    faces = in_store([("a", "v", t) for t in range(4)])
    turned = (
        faces[::-1]
        .with_columns(video=list("wwww"))[::-1]
        .with_columns(frame=[3, 2, 1, 0])
    )
    assert turned.neighbors(1).rows.tolist() == [0, 0, 1, 2]
    assert turned.columns == ("subject", "video", "frame")
