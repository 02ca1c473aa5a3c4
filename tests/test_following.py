"""Faces that are followed through a video are where a search finds them."""

import numpy as np
import pytest
from skimage.data import astronaut

from skfau import Faces
from skfau.preprocessing import MeshDetector, find_faces
from skfau.preprocessing._find_faces import FaceFollower
from skfau.preprocessing._following import MeshFollower
from skfau.preprocessing._mesh import FaceNets

FACE = astronaut()[30:190, 150:300]
EYES = 62.0  # distance of the outer eye corners in it, in pixels
detector = MeshDetector(n_jobs=1, min_face=1 / 5)


def film(places, size=(200, 480)):
    """Draw faces at the left upper corners of each frame, on a grey wall."""
    wall = np.random.default_rng(0).normal(110, 6, (*size, 3)).clip(0, 255)
    frames = []
    for corners in places:
        frame = wall.astype(np.uint8)
        for x, y in corners:
            frame[y : y + FACE.shape[0], x : x + FACE.shape[1]] = FACE
        frames.append(frame)
    return frames


def searched(frames):
    return detector.faces(frames, mesh=True)


def followed(frames, fps=25.0):
    return MeshFollower(detector).find(frames, np.arange(len(frames)) / fps)


def middles(faces):
    """Return the middle of each face of a frame, from left to right, in pixels."""
    middle = faces[2][..., :2].mean(axis=1)
    return middle[np.argsort(middle[:, 0])]


@pytest.fixture
def n_searches(monkeypatch):
    """Count the searches of whole images."""
    count, search = [0], FaceNets.boxes

    def boxes(self, *arguments):
        count[0] += 1
        return search(self, *arguments)

    monkeypatch.setattr(FaceNets, "boxes", boxes)
    return count


def test_followed_points_are_those_of_a_search(n_searches):
    frames = film([[(10 + 4 * t, 20 + t)] for t in range(12)])
    found = followed(frames)
    assert n_searches == [1]
    for one, other in zip(found, searched(frames), strict=True):
        away = np.linalg.norm(one[1] - other[1], axis=2).mean()
        assert away < 0.025 * EYES
        # The box moves along.
        np.testing.assert_allclose(one[0][:, :4], other[0][:, :4], atol=0.2 * EYES)


def test_the_first_frame_of_each_second_is_searched(n_searches):
    frames = film([[(20, 20)]] * 12)
    found = followed(frames, fps=5.0)
    assert n_searches == [3]
    for frame in (0, 5, 10):
        np.testing.assert_array_equal(found[frame][1], searched(frames[:1])[0][1])


def test_a_newcomer_is_seen_within_a_second():
    frames = film([[(10, 20)]] * 2 + [[(10, 20), (300, 20)]] * 5)
    assert [len(faces[0]) for faces in followed(frames, 5.0)] == [1] * 5 + [2] * 2


def test_frames_far_apart_are_searched():
    frames = film([[(10 + 30 * t, 20)] for t in range(6)])
    for one, other in zip(followed(frames, 2.0), searched(frames), strict=True):
        for values, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(values, expected)


def test_a_cut_to_no_face_leaves_no_ghost():
    frames = film([[(100, 20)]] * 3 + [[]] * 3)
    assert [len(faces[0]) for faces in followed(frames)] == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("x", [35, 70, 105, 210, 300])
def test_a_face_that_jumps_is_where_it_is_now(x):
    frames = film([[(20, 20)]] * 3 + [[(x, 30)]] * 2)
    found = followed(frames)
    expected = middles(searched(frames[-1:])[0])
    for faces in found[3:]:
        np.testing.assert_allclose(middles(faces), expected, atol=0.03 * EYES)


def test_a_cut_to_a_smaller_face_is_seen_at_once():
    small = film([[(20, 20)]])
    wide = np.full((400, 960, 3), 110, np.uint8)
    wide[150:350, 100:580] = small[0]
    near = np.repeat(np.repeat(small[0], 2, axis=0), 2, axis=1)
    found = followed([near, near, wide, wide])
    for faces in found[2:]:
        np.testing.assert_allclose(
            middles(faces), middles(searched([wide])[0]), atol=0.03 * EYES
        )


def test_two_who_meet_are_never_one_face_twice():
    frames = film([[(10 + 12 * t, 20), (300 - 12 * t, 25)] for t in range(12)])
    for faces, expected in zip(followed(frames), searched(frames), strict=True):
        assert len(faces[0]) == len(expected[0])
        np.testing.assert_allclose(middles(faces), middles(expected), atol=0.05 * EYES)


@pytest.mark.parametrize("size", [1, 4, 7])
def test_parts_of_a_video_are_followed_as_the_whole(size):
    frames = film([[(10 + 3 * t, 20), (300, 20)] for t in range(9)])
    times = np.arange(9) / 6
    follower, parts = MeshFollower(detector), []
    for start in range(0, 9, size):
        rows = slice(start, start + size)
        parts += follower.find(frames[rows], times[rows])
    for part, whole in zip(parts, followed(frames, 6.0), strict=True):
        for values, expected in zip(part, whole, strict=True):
            np.testing.assert_array_equal(values, expected)


def test_threads_find_the_same():
    frames = film([[(10 + 3 * t, 20)] for t in range(12)])
    one = MeshFollower(detector).find(frames, np.arange(12) / 4)
    two = MeshDetector(n_jobs=2, min_face=1 / 5)
    other = MeshFollower(two).find(frames, np.arange(12) / 4)
    for faces, expected in zip(one, other, strict=True):
        np.testing.assert_array_equal(faces[2], expected[2])


def test_find_faces_follows_each_video_and_searches_images(n_searches):
    images = np.stack(film([[(10 + 3 * t, 20)] for t in range(6)]))
    times = {"frame": [*range(6)], "time": np.arange(6) / 25}
    one = Faces(images, video=["v"] * 6, **times)
    two = Faces(images, video=["v"] * 3 + ["w"] * 3, **times)
    for faces, n in ((one, 1), (two, 2), (Faces(images), 6)):
        n_searches[0] = 0
        found = find_faces(faces, detector, n_jobs=1)
        assert n_searches == [n]
        assert len(found) == 6 and (found.n_faces == 1).all()


def test_a_recalled_follower_goes_on_as_if_never_stopped():
    images = np.stack(film([[(10 + 3 * t, 20), (300, 20)] for t in range(8)]))
    faces = Faces(images, frame=[*range(8)], time=np.arange(8) / 25)
    whole = FaceFollower(detector)
    first, rest = whole.find(faces[:5]), whole.find(faces[5:])
    again = FaceFollower(detector)
    again.recall(whole.memory_of(first), first.time[first.person == 0])
    other = again.find(faces[5:])
    for name in ("landmarks", "box", "score", "person"):
        np.testing.assert_array_equal(other.column(name), rest.column(name))
