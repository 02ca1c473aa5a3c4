"""Faces followed from frame to frame: a mesh says where to look for the next one.

A search looks at the whole image and twice at each face, following once at each face. A
frame is searched where following is not sure: at the first frame of each second, so
that newcomers are seen, behind a long step in time, and where a face is lost, far from
where it was, or in the place of another one, as behind a cut.
"""

from typing import NamedTuple

import numpy as np

from skfau.preprocessing._detection import find_boxes, landmarks_of
from skfau.preprocessing._mesh import overlap_groups, region_of, with_nets
from skfau.preprocessing._warp import thread_map

SEARCH_EVERY = 1.0  # seconds of a video; newcomers are seen this late at most
LONGEST_STEP = 0.25  # seconds between two frames, behind which faces are searched


class LastFrame(NamedTuple):
    """What tells where the faces of a frame are in the next one.

    ``recording`` and ``time`` of the frame, and of its k faces ``edges`` (k, 4) and
    ``score`` (k,), float32, see `edges_of`, and ``regions``, see `region_of`.
    """

    recording: int
    time: float
    edges: np.ndarray
    score: np.ndarray
    regions: list


def edges_of(box):
    """Return left, top, right and bottom of boxes (k, 6), (k, 4) float32."""
    x, y, width, height = box[:, :4].T
    edges = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return np.column_stack(edges).astype(np.float32)


class MeshFollower:
    """Find the faces of videos that come some frames at a time.

    Parameters
    ----------
    detector : MeshDetector
        What searches.
    """

    def __init__(self, detector):
        self._detector = detector
        self.last = None

    def find(self, images, times, recordings=None):
        """Find the faces of the next frames.

        Parameters
        ----------
        images : list of ndarray of shape (height, width, 3), dtype uint8
            RGB.
        times : ndarray of shape (n_images,), dtype float64
            Seconds.
        recordings : ndarray of shape (n_images,), dtype int64, default=None
            Frames of one recording follow each other; None means one.

        Returns
        -------
        faces : list of tuple (boxes, landmarks, mesh)
            See `MeshDetector.faces`. The box of a followed face moves along with it,
            and its score is that of the last search.
        """
        if recordings is None:
            recordings = np.zeros(len(images), dtype=np.int64)
        starts = self._starts(times, recordings)
        runs = np.split(np.arange(len(images)), np.flatnonzero(starts[1:]) + 1)
        jobs = [(run, None) for run in runs]
        if not starts[0]:
            jobs[0] = runs[0], self.last

        def search(job):
            frames = [(recordings[k], times[k], images[k]) for k in job[0]]
            return with_nets(lambda nets: self._run(nets, frames, job[1]))

        found = thread_map(search, jobs, self._detector.n_jobs)
        self.last = found[-1][1]
        meshes = [each for faces, _ in found for each in faces]
        return [(boxes, landmarks_of(mesh), mesh) for boxes, mesh in meshes]

    def _starts(self, times, recordings):
        """Return at which frames nothing is known of the one before."""
        before, then = np.roll(recordings, 1), np.roll(times, 1)
        before[0], then[0] = (-1, -np.inf) if self.last is None else self.last[:2]
        step = times - then
        follows = (before == recordings) & (step >= 0) & (step <= LONGEST_STEP)
        second, second_then = (np.floor(t / SEARCH_EVERY) for t in (times, then))
        return ~follows | (second != second_then)

    def _run(self, nets, frames, last):
        """Return boxes and mesh of each frame, and what is known of the last one."""
        found = []
        for recording, time, image in frames:
            faces = None if last is None else _follow(nets, image, last)
            if faces is None:
                boxes = find_boxes(nets, image, self._detector.min_face)
                boxes, mesh = nets.faces(image, boxes)
                faces = boxes, mesh, [region_of(points) for points in mesh]
            boxes, mesh, regions = faces
            found.append((boxes, mesh))
            known = edges_of(boxes), boxes[:, 5].astype(np.float32)
            last = LastFrame(recording, time, *known, regions)
        return found, last


def _follow(nets, image, last):
    """Return boxes, meshes and regions of all faces, None if any is lost."""
    found = []
    for region in last.regions:
        face = nets.follow(image, region)
        if face is None:
            return None
        found.append(face)
    if not found:
        return None
    mesh, regions = np.array([points for points, _ in found]), [r for _, r in found]
    # Two may have settled on one face.
    if len(mesh) > 1 and len(overlap_groups(mesh, last.score)) < len(mesh):
        return None
    return _moved(last, regions), mesh, regions


def _moved(last, regions):
    """Return the boxes (k, 6) of the last frame, moved along with their faces."""
    boxes = np.empty((len(regions), 6))
    boxes[:, 5] = last.score
    edges = last.edges.astype(np.float64)
    for k, (before, now) in enumerate(zip(last.regions, regions, strict=True)):
        (centre, side, roll), (centre_now, side_now, roll_now) = before, now
        cos, sin = np.cos(roll_now - roll), np.sin(roll_now - roll)
        away = (edges[k, :2] + edges[k, 2:]) / 2 - centre
        scale = side_now / side
        boxes[k, :2] = centre_now + scale * np.array([[cos, -sin], [sin, cos]]) @ away
        boxes[k, 2:4] = scale * (edges[k, 2:] - edges[k, :2])
        boxes[k, 4] = roll_now
    return boxes
