"""`find_faces`: one row per face from images and videos of any number of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skfau._validation import check_faces
from skfau._warn import warn
from skfau.exceptions import MissingFaceWarning
from skfau.preprocessing._detection import MeshDetector
from skfau.preprocessing._following import LastFrame, MeshFollower, edges_of
from skfau.preprocessing._mesh import region_of
from skfau.preprocessing._people import (
    FRAME_RATE,
    MAX_GAP,
    choose_leads,
    detect_faces,
    identify,
    recordings_of,
    seconds_of,
)
from skfau.preprocessing._tracks import People, places_of

if TYPE_CHECKING:
    from skfau.faces import Faces

_MIN_SHARE = 1 / 10  # of the longer side of an image: what one look surely finds
_PEOPLE = ("all", "largest")


def find_faces(
    faces: Faces | NDArray[np.uint8],
    detector: Any = "mesh",
    *,
    people: Literal["all", "largest"] = "all",
    max_gap: float = MAX_GAP,
    mesh: bool = False,
    n_jobs: int = -1,
    verbose: bool = False,
) -> Faces:
    """Give every face of images and videos a row, and each image without a face one.

    Rows refer to the images of `faces`; no pixels are kept.

    Parameters
    ----------
    faces : Faces of n_samples rows, or ndarray of shape (n_samples, H, W, 3), uint8
        Source images, RGB.
    detector : "mesh" or object with a method ``faces``, default="mesh"
        "mesh" is ``MeshDetector(min_face=1 / 10)``; pass another for smaller faces.
    people : {"all", "largest"}, default="all"
        Every face; or one row per image: its largest face, in a video the person
        whose faces are largest in total (without them, as after a cut, somebody who
        is never in one image with them).
    max_gap : float, default=10.0
        Seconds after which a person who is not seen is forgotten, and has a new number
        later; nobody is forgotten before three rows.
    mesh : bool, default=False
        Whether to keep all points of Face Mesh; only with a `MeshDetector`.
    n_jobs : int, default=-1
        Threads that read and detect; -1 = one per core, None = 1.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    found : Faces of n_found rows
        In the order of `faces`, with its columns and

        - ``landmarks``, float32 (n_found, 68, 2): source pixels, x then y; NaN without
          a face;
        - ``mesh``, float32 (n_found, 468, 3), with ``mesh=True``: source pixels, x, y
          and depth, which `FaceAligner` moves along; NaN without a face;
        - ``box``, float32 (n_found, 4): left, top, right and bottom in source pixels,
          (0, 0) = centre of the top-left pixel; NaN without a face;
        - ``score``, float32: the detector's, in [0.5, 1] for "mesh", of a followed
          face that of the last search; NaN without a face;
        - ``person``, int64: from 0 in each video in the order of appearance, in other
          images from the largest face on; -1 without a face;
        - ``n_faces``, int64: number of faces in the image;
        - ``row``, int64: row of `faces`;
        - ``status``, object: "" or why there is no face.

    Raises
    ------
    TypeError
        If the detector has no method ``faces``.
    ValueError
        If a parameter is out of range, there is a column ``person`` already, the column
        ``time`` holds no seconds, or the detector breaks its contract.

    Warns
    -----
    MissingFaceWarning
        If images cannot be read.

    See Also
    --------
    FaceAligner : Aligns these rows.
    MeshDetector : Finds faces of a given size in wide shots.

    Notes
    -----
    People are told apart by position and size alone, in rows with the columns ``video``
    and ``frame`` (and ``subject``, if videos are named per subject). The faces of each
    frame go to the people seen before by the assignment that lies nearest to where
    these are expected from their last movement. A face is nobody's of before if it is
    farther away than one size of the face (two sizes from 0.4 s on; twice as much if
    nobody else explains it), or twice or half as large. Times are the column ``time``
    in seconds; where it does not tell, they follow from the frames around, and 25
    frames are a second.

    So a person keeps the number over missing frames, in thinned videos, after a short
    occlusion, and on coming back to about the same place. Somebody else who takes that
    place within `max_gap` has the number, too; who comes back elsewhere, or walks far
    between two rows, has a new one; two people who hide each other while they turn
    around may swap.

    With a `MeshDetector` faces are followed through a video: each mesh says where to
    look for the same face in the next frame, one pass of the network where a search
    takes two and those that find boxes. A search comes at the first frame of each
    second, so that a newcomer is seen within a second, after a step of more than 0.25
    s, as in thinned videos, and where a face is lost or jumps, as after a cut. Points
    then differ from those of a search by some 1.5 % of the distance of the outer eye
    corners, about as much as those of a search where the image is moved by some pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from skimage.data import astronaut
    >>> from skfau.preprocessing import find_faces
    >>> found = find_faces(np.hstack([astronaut(), astronaut()])[None])
    >>> found.column("person"), found.landmarks.shape
    (array([0, 1]), (2, 68, 2))
    """
    faces = check_faces(faces)
    detector = _check_parameters(faces, detector, people, max_gap, n_jobs)
    if mesh and not isinstance(detector, MeshDetector):
        raise ValueError(
            f"mesh=True needs a MeshDetector, got {detector!r}; FaceAligner(mesh=True) "
            "finds the mesh at any landmarks."
        )
    options = {"mesh": mesh, "n_jobs": n_jobs, "verbose": verbose}
    found = detect_faces(faces, detector, search=_follow(faces, detector), **options)
    _warn_unreadable(found.problems)
    return _rows_of(faces, found, identify(faces, found, max_gap), people)


def _follow(faces, detector):
    """Return what finds the faces of videos, for `detect_faces`; None for images."""
    in_videos = {"video", "frame"} <= set(faces.columns)
    if not (in_videos and isinstance(detector, MeshDetector)):
        return None
    follower = MeshFollower(detector)
    recordings, times = recordings_of(faces), seconds_of(faces)
    return lambda rows, images: follower.find(images, times[rows], recordings[rows])


def _rows_of(faces, found, person, people):
    """Return the rows of all people, or of the largest."""
    status = found.problems
    if people == "all":
        empty = np.flatnonzero(found.n_faces == 0)
        row = np.concatenate([found.row, empty])
        face = np.concatenate([np.arange(len(found.row)), np.full(len(empty), -1)])
        order = np.lexsort((np.append(person, empty), row))
        row, face = row[order], face[order]
    else:
        face, status = choose_leads(faces, found, person)
        row = np.arange(len(faces))
    return faces[row].with_columns(
        **_face_columns(found, person, face),
        n_faces=found.n_faces[row],
        row=row,
        status=status[row],
    )


def _check_parameters(faces, detector, people, max_gap, n_jobs):
    """Return the detector; raise if anything is not as documented."""
    if people not in _PEOPLE:
        raise ValueError(f"people must be one of {_PEOPLE}, got {people!r}.")
    if not max_gap >= 0:
        raise ValueError(f"max_gap must be seconds, 0 or more, got {max_gap!r}.")
    if "person" in faces.columns:
        raise ValueError(
            "these faces have a column 'person' already; search the images that they "
            "come from, or remove it with faces.with_columns(person=None)."
        )
    if isinstance(detector, str) and detector == "mesh":
        return MeshDetector(n_jobs=n_jobs, min_face=_MIN_SHARE)
    if not callable(getattr(detector, "faces", None)):
        raise TypeError(
            "find_faces needs detector='mesh' or a detector with a method "
            f"faces(images), as MeshDetector has, got {detector!r}. One that finds one "
            "face per image goes into FaceAligner(detector=...)."
        )
    return detector


def _face_columns(found, person, face):
    """Return the columns of found faces; -1 stands for no face."""
    none = face < 0
    columns = {
        "landmarks": found.landmarks,
        "box": edges_of(found.box),
        "score": found.box[:, 5].astype(np.float32),
        "person": person,
    }
    if found.mesh is not None:
        columns["mesh"] = found.mesh
    filled = {}
    for name, values in columns.items():
        filled[name] = np.full((len(face), *values.shape[1:]), -1, values.dtype)
        filled[name][~none] = values[face[~none]]
        if name != "person":
            filled[name][none] = np.nan
    return filled


def _warn_unreadable(problems):
    unread = np.flatnonzero((problems != "") & (problems != "no face found"))
    if len(unread):
        warn(
            f"{len(unread)} of {len(problems)} images cannot be read (row {unread[0]}: "
            f"{problems[unread[0]]}). They stay as rows without a face; the column "
            "'status' tells why.",
            MissingFaceWarning,
        )


class FaceFollower:
    """`find_faces` for all people of a recording that comes a part at a time.

    What it holds does not grow with the number of frames.

    Parameters
    ----------
    detector : object with a method ``faces``
        See `MeshDetector.faces`; of a `MeshDetector` rows have the column ``mesh``.
    """

    def __init__(self, detector):
        self._detector = detector
        self._mesh = isinstance(detector, MeshDetector)
        self._follower = MeshFollower(detector)
        self._people, self._now = People(MAX_GAP), 0.0

    def find(self, faces):
        """Return the rows of the next frames; without a column ``time`` of images."""
        if "time" not in faces.columns:
            found = detect_faces(faces, self._detector, mesh=self._mesh)
            return _rows_of(faces, found, identify(faces, found), "all")
        times, search = self._clock(faces.column("time")), None
        if self._mesh:

            def search(rows, images):
                return self._follower.find(images, times[rows])

        found = detect_faces(faces, self._detector, mesh=self._mesh, search=search)
        person = self._match(found.row, found.landmarks, times)
        return _rows_of(faces, found, person, "all")

    @staticmethod
    def memory_of(found):
        """Return what `recall` needs of rows that `find` returned, a dict of arrays."""
        names = "row", "person", "landmarks", "box", "score"
        memory = {name: found.column(name) for name in names}
        if "mesh" in found.columns:
            regions = [np.hstack(region_of(points)) for points in found.mesh]
            memory["region"] = np.array(regions).reshape(-1, 4)
        return memory

    def recall(self, memory, time):
        """Go on behind frames that were searched before.

        Parameters
        ----------
        memory : dict of ndarray
            See `memory_of`; ``row`` counts the frames from 0.
        time : ndarray of shape (n_frames,)
            Seconds of each frame, rising; NaN where unknown.
        """
        times = self._clock(time)
        seen = memory["person"] >= 0
        memory = {name: values[seen] for name, values in memory.items()}
        self._match(memory["row"], memory["landmarks"], times)
        last = memory["row"] == len(times) - 1
        if self._mesh:
            regions = [(region[:2], *region[2:]) for region in memory["region"][last]]
            known = memory["box"][last], memory["score"][last], regions
            self._follower.last = LastFrame(0, times[-1], *known)

    def _clock(self, time):
        """Return the seconds of frames, also where these do not tell."""
        times = np.empty(len(time))
        for k, now in enumerate(time):
            self._now = self._now + 1 / FRAME_RATE if np.isnan(now) else now
            times[k] = self._now
        return times

    def _match(self, row, landmarks, times):
        """Return the person of each face."""
        places = places_of(landmarks) if len(row) else np.empty((0, 3))
        ends = np.searchsorted(row, np.arange(len(times)), side="right")[:-1]
        people = [np.empty(0, np.int64)]
        for now, found in zip(times, np.split(places, ends), strict=True):
            people.append(self._people.match(found, now))
        return np.concatenate(people)
