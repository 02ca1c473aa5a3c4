"""One row per face: nothing is lost, and each person has one number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau import Faces, FAUTransformerClassifier
from skfau.datasets import make_faces
from skfau.exceptions import MissingFaceWarning
from skfau.preprocessing import FaceAligner, MeshDetector, find_faces
from tests.squares import SquareDetector, film, truth

SQUARES = SquareDetector()


def people_are_right(found):
    """Whether numbers and people correspond one to one."""
    seen = found.column("n_faces") > 0
    pairs = set(zip(found.column("person")[seen], truth(found)[seen], strict=True))
    numbers, people = zip(*pairs, strict=True)
    return len(pairs) == len(set(numbers)) == len(set(people))


def walks(start, speed, y=5, side=20):
    return lambda frame: (start + speed * frame, y, side)


def sits(x, y=5, side=20, away=()):
    return lambda frame: None if frame in away else (x, y, side)


def hidden(person, frames):
    return lambda frame: None if frame in frames else person(frame)


THINNINGS = {
    "all": np.arange(60),
    "every 5th": np.arange(0, 60, 5),
    "every 12th": np.arange(0, 60, 12),
    "a gap": np.r_[:20, 34:60],
    "some": np.sort(np.random.default_rng(0).permutation(60)[:25]),
    "shuffled": np.random.default_rng(1).permutation(60),
}


@pytest.fixture(params=THINNINGS)
def rows(request):
    return THINNINGS[request.param]


def test_two_who_walk_past_each_other_keep_their_numbers(rows):
    film_ = film([walks(0, 3), walks(200, -3, y=30)], 60)
    assert people_are_right(find_faces(film_[rows], SQUARES))


def test_two_who_cross_and_hide_each_other_keep_their_numbers():
    # At one height: while they overlap one of them, then neither, is seen.
    left, right = walks(0, 3), walks(200, -3)
    crossing = set(range(28, 40))
    film_ = film([hidden(left, crossing), hidden(right, crossing - {28, 29, 39})], 60)
    assert people_are_right(find_faces(film_, SQUARES))


def test_three_who_sit_and_are_missed_now_and_then_keep_their_numbers(rows):
    misses = np.random.default_rng(2).random((3, 60)) < 0.3
    film_ = film([sits(60 * k, away=np.flatnonzero(misses[k])) for k in range(3)], 60)
    assert people_are_right(find_faces(film_[rows], SQUARES))


def test_who_leaves_and_comes_back_to_the_same_place_is_the_same_person(rows):
    film_ = film([sits(20), sits(110, away=range(13, 47))], 60)
    assert people_are_right(find_faces(film_[rows], SQUARES))


def test_who_moves_far_between_thinned_rows_is_followed_if_nobody_else_can_be_it():
    # Three sizes of the face from row to row; the other one stays.
    film_ = film([walks(0, 5), sits(110, y=35)], 44)[::12]
    assert people_are_right(find_faces(film_, SQUARES))


def test_a_face_at_another_place_is_another_person():
    film_ = film([lambda frame: (0 if frame < 5 else 200, 5, 20)], 10)
    found = find_faces(film_, SQUARES)
    assert found.column("person").tolist() == [0] * 5 + [1] * 5


def test_a_face_of_another_size_is_another_person():
    film_ = film([lambda frame: (20, 5, 10 if frame < 5 else 50)], 10)
    found = find_faces(film_, SQUARES)
    assert found.column("person").tolist() == [0] * 5 + [1] * 5


def test_who_is_away_for_longer_than_max_gap_is_another_person():
    film_ = film([sits(20), sits(110, away=range(5, 55))], 60)
    found = find_faces(film_, SQUARES, max_gap=1.9)
    assert np.unique(found.column("person")).tolist() == [0, 1, 2]
    assert people_are_right(find_faces(film_, SQUARES, max_gap=2.1))


def test_the_column_time_counts_rather_than_frame_numbers():
    slow = film([sits(20), sits(110, away=range(5, 55))], 60, time=np.arange(60) * 1.0)
    found = find_faces(slow, SQUARES)
    assert np.unique(found.column("person")).tolist() == [0, 1, 2]


def test_rows_far_apart_in_time_are_still_one_video():
    film_ = film([sits(20), sits(110)], 6, time=np.arange(6) * 1000.0)
    assert people_are_right(find_faces(film_, SQUARES))


def test_a_newcomer_does_not_push_others_on():
    # Each would reach the seat of the next if only the number of pairs counted.
    film_ = film([sits(20 + 21 * k) for k in range(3)], 4)
    later = film([sits(20 + 21 * k) for k in range(1, 4)], 4)
    images = np.concatenate([film_.images[...], later.images[...]])
    found = find_faces(Faces(images, video=["v"] * 8, frame=np.arange(8)), SQUARES)
    left = found.column("box")[:, 0].round()
    pairs = set(zip(found.column("person").tolist(), left.tolist(), strict=True))
    assert len(pairs) == 4


def test_videos_and_subjects_have_people_of_their_own():
    one = film([sits(20), sits(110)], 4)
    faces = Faces(
        np.concatenate([one.images[...]] * 3),
        subject=["a"] * 8 + ["b"] * 4,
        video=["v"] * 4 + ["w"] * 4 + ["v"] * 4,
        frame=[*range(4)] * 3,
    )
    assert find_faces(faces, SQUARES).column("person").tolist() == [0, 1] * 12


def test_single_images_count_their_faces_from_the_largest_on():
    images = film([sits(0, side=10), sits(110, side=30)], 2).images[...]
    found = find_faces(Faces(images), SQUARES)
    assert found.column("person").tolist() == [0, 1, 0, 1]
    assert truth(found).tolist() == [2, 1, 2, 1]


def test_rows_are_as_documented():
    film_ = film([sits(20, away=[1]), sits(110, side=30, away=[0, 1])], 3)
    faces = film_.with_columns(subject=["s"] * 3, light=[0.5, 0.6, 0.7])
    found = find_faces(faces, SQUARES)
    assert found.column("row").tolist() == [0, 1, 2, 2]
    assert found.column("n_faces").tolist() == [1, 0, 2, 2]
    assert found.column("person").tolist() == [0, -1, 0, 1]
    assert found.column("status").tolist() == ["", "no face found", "", ""]
    assert found.column("light").tolist() == [0.5, 0.6, 0.7, 0.7]
    assert found.frame.tolist() == [0, 1, 2, 2]
    np.testing.assert_array_equal(
        found.column("box")[[0, 3]],
        np.array([[19.5, 4.5, 39.5, 24.5], [109.5, 4.5, 139.5, 34.5]], np.float32),
    )
    assert np.isnan(found.column("box")[1]).all()
    assert np.isnan(found.landmarks).all(axis=(1, 2)).tolist() == [0, 1, 0, 0]
    np.testing.assert_array_equal(
        found.column("score"), np.array([0.9, np.nan, 0.9, 0.9], np.float32)
    )
    assert found.store is faces.store


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_nothing_is_lost(data):
    there = np.array(
        data.draw(st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=8))
    )
    film_ = film(
        [sits(60 * k, away=np.flatnonzero(~there[:, k])) for k in range(3)], len(there)
    )
    found = find_faces(film_, SQUARES)
    n_faces = there.sum(axis=1)
    expected = np.repeat(np.arange(len(there)), np.maximum(n_faces, 1))
    np.testing.assert_array_equal(found.column("row"), expected)
    np.testing.assert_array_equal(found.column("n_faces"), n_faces[expected])
    if there.any():
        assert people_are_right(found)
    one = find_faces(film_, SQUARES, people="largest")
    np.testing.assert_array_equal(one.column("n_faces"), n_faces)
    shown = np.unique(truth(one)[one.column("person") >= 0])
    assert there[:, shown - 1].sum(axis=1).max() <= 1


def test_largest_is_one_person_of_a_video_not_one_size():
    # Sizes alternate, as when one of two people leans forward.
    two = [lambda f: (20, 5, 20 + f % 2), lambda f: (110, 5, 22 - f % 2)]
    found = find_faces(film(two, 20), SQUARES, people="largest")
    assert set(truth(found)) == {2}
    assert found.column("row").tolist() == [*range(20)]
    assert found.column("n_faces").tolist() == [2] * 20


def test_rows_without_the_largest_person_show_nobody_else():
    film_ = film([sits(20), sits(110, side=40, away=[3, 4])], 10)
    found = find_faces(film_, SQUARES, people="largest")
    assert truth(found)[[2, 5]].tolist() == [2, 2]
    assert np.isnan(found.landmarks[3:5]).all()
    assert found.column("status")[3] == "no face but of other people"
    assert found.column("n_faces")[3] == 1


def test_after_a_cut_the_largest_is_who_is_there():
    film_ = film([sits(20, away=range(6, 10)), sits(200, away=range(6))], 10)
    found = find_faces(film_, SQUARES, people="largest")
    assert truth(found).tolist() == [1] * 6 + [2] * 4


def test_unreadable_images_stay_and_are_counted(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    faces = Faces([tmp_path / "bad.png", tmp_path / "none.png"])
    with pytest.warns(MissingFaceWarning, match="2 of 2 images cannot be read"):
        found = find_faces(faces, SQUARES)
    assert found.column("n_faces").tolist() == [0, 0]
    assert "is not an image" in found.column("status")[0]


def test_neighbours_are_of_the_same_person():
    found = find_faces(film([walks(0, 3), walks(200, -3, y=30)], 20), SQUARES)
    near = found.neighbors(1)
    np.testing.assert_array_equal(near.column("person"), found.column("person"))
    np.testing.assert_array_equal(near.frame, np.minimum(found.frame + 1, 19))
    np.testing.assert_array_equal(truth(near), truth(found))


def test_neighbours_of_a_part_and_of_columns_added_later_are_the_same_persons():
    found = find_faces(film([sits(20), sits(110)], 6), SQUARES)
    found = found[found.frame > 0].with_columns(who=truth(found[found.frame > 0]))
    near = found[::-1].neighbors(1)
    np.testing.assert_array_equal(near.column("who"), found[::-1].column("who"))
    np.testing.assert_array_equal(near.column("who"), truth(near))


def test_neighbours_of_aligned_rows_are_of_the_same_person():
    found = find_faces(film([sits(20), sits(110)], 3), SQUARES)
    near = FaceAligner(output_size=16, n_jobs=1).fit_transform(found).neighbors(2)
    assert near.column("person").tolist() == [0, 1] * 3
    assert near.frame.tolist() == [2, 2, 1, 1, 2, 2]


def test_a_detector_of_one_face_is_refused():
    with pytest.raises(TypeError, match=r"method faces\(images\)"):
        find_faces(film([sits(20)], 2), lambda images: None)


def test_a_detector_that_breaks_its_contract_is_refused():
    class Short(SquareDetector):
        def faces(self, images):
            return super().faces(images)[:-1]

    with pytest.raises(ValueError, match=r"for each of 2 images, got 1"):
        find_faces(film([sits(20)], 2), Short())


def test_boxes_of_another_layout_are_refused():
    class Corners(SquareDetector):
        def faces(self, images):
            return [(boxes[:, :4], points) for boxes, points in super().faces(images)]

    with pytest.raises(ValueError, match=r"shape \(n_faces, 6\).*got shape \(1, 4\)"):
        find_faces(film([sits(20)], 2), Corners())


@pytest.mark.parametrize(
    ("settings_", "words"),
    [({"people": "some"}, "people must be one of"), ({"max_gap": -1}, "max_gap must")],
)
def test_wrong_settings_are_refused(settings_, words):
    with pytest.raises(ValueError, match=words):
        find_faces(film([sits(20)], 2), SQUARES, **settings_)


def test_rows_of_people_are_not_searched_again():
    found = find_faces(film([sits(20)], 2), SQUARES)
    with pytest.raises(ValueError, match="have a column 'person' already"):
        find_faces(found, SQUARES)


@pytest.mark.parametrize(
    ("time", "words"), [([0.0, np.inf], "inf in row 1"), (["noon", "one"], "noon in")]
)
def test_a_time_that_is_none_is_refused(time, words):
    with pytest.raises(ValueError, match=f"'time' must hold seconds, got {words}"):
        find_faces(film([sits(20)], 2, time=time), SQUARES)


@pytest.mark.parametrize("known", [(), (0, 5), (7, 9, 30), (59,)])
def test_a_video_that_does_not_tell_all_times_is_followed(known):
    time = np.full(60, np.nan)
    time[list(known)] = np.array(known) / 25
    faces = film([walks(0, 3), walks(200, -3, y=30)], 60)
    found = find_faces(faces.with_columns(time=time), SQUARES, max_gap=1.0)
    assert (
        found.person.tolist() == find_faces(faces, SQUARES, max_gap=1.0).person.tolist()
    )
    np.testing.assert_array_equal(found.time, np.repeat(time, 2))


def test_between_known_times_a_video_goes_on_evenly():
    # Two frames a second: at 25 nobody would be forgotten.
    time = np.where(np.arange(12) % 11, np.nan, np.arange(12) / 2)
    faces = film([sits(20, away=range(2, 9))], 12, time=time)
    assert set(find_faces(faces, SQUARES, max_gap=2.0).person) == {0, -1, 1}


def test_a_video_and_photos_are_searched_together():
    joined = Faces.concat(
        [
            film([sits(20)], 3, time=[0.0, 0.04, 0.08]),
            film([sits(9)], 2).with_columns(video=None, frame=None),
        ]
    )
    found = find_faces(joined, SQUARES)
    assert found.person.tolist() == [0] * 5


@pytest.fixture(scope="module")
def drawn():
    """Three drawn people of whom two cross, a third comes and goes; their places."""
    made = make_faces(n_subjects=3, n_frames=12, image_size=96, random_state=0)
    acted = made.data.images[...].reshape(3, 12, 96, 96, 3)
    images = np.random.default_rng(0).normal(110, 6, (12, 240, 480, 3))
    images = images.clip(0, 255).astype(np.uint8)
    step = np.arange(12)
    x = np.stack([10 + 33 * step, 370 - 33 * step, np.full(12, 190)], axis=1)
    y = np.array([20, 130, 70])
    there = np.ones((12, 3), bool)
    there[3:9, 2] = there[6, :] = False
    for frame, who in zip(*np.nonzero(there), strict=True):
        top, left = y[who], x[frame, who]
        images[frame, top : top + 96, left : left + 96] = acted[who, frame]
    faces = Faces(images, video=["v"] * 12, frame=step * 5)
    return faces, x + 48, y + 48, there


def test_drawn_people_are_found_followed_aligned_and_classified(drawn):
    faces, x, y, there = drawn
    found = find_faces(faces, MeshDetector(n_jobs=1, min_face=1 / 5), n_jobs=1)
    np.testing.assert_array_equal(
        found.column("n_faces")[np.unique(found.column("row"), return_index=True)[1]],
        there.sum(axis=1),
    )
    seen = found.column("person") >= 0
    middle = np.nanmean(found.landmarks[seen], axis=1)
    away = np.hypot(x[found.column("row")[seen]] - middle[:, :1], y - middle[:, 1:])
    assert (away.min(axis=1) < 20).all()
    pairs = set(zip(found.column("person")[seen], away.argmin(axis=1), strict=True))
    assert len(pairs) == 3
    with pytest.warns(MissingFaceWarning, match="no face found"):
        aligned = FaceAligner(output_size=32, n_jobs=1).fit_transform(found)
    assert aligned.column("status")[~seen].tolist() == ["no face found"]
    y_true = np.random.default_rng(0).integers(0, 2, (len(found), 2))
    classifier = FAUTransformerClassifier(
        backbone="tiny",
        image_size=32,
        aus=(1, 2),
        max_epochs=1,
        random_state=0,
        n_threads=1,
    )
    proba = classifier.fit(aligned[seen], y_true[seen]).predict_proba(aligned)
    assert np.isfinite(proba[seen]).all()
    assert np.isnan(proba[~seen]).all()


def test_the_same_call_gives_the_same_rows(drawn):
    detector = MeshDetector(n_jobs=2, min_face=1 / 5)
    one, other = (find_faces(drawn[0][:4], detector) for _ in range(2))
    assert one.fingerprint() == other.fingerprint()
