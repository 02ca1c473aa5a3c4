"""Landmark detectors, and the loop that runs one over `Faces`.

A detector is any callable: list of RGB uint8 images (sizes may differ) -> array
(n, 68, 2) in pixels, x then y, (0, 0) = centre of the top-left pixel, NaN rows where
there is no face. One that also has ``faces(images)`` finds all faces of each image, so
that a person can be followed through a video.
"""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from skfau.preprocessing._mesh import with_nets
from skfau.preprocessing._reading import read_batches
from skfau.preprocessing._tracks import lead_faces, places_of, track_people
from skfau.preprocessing._warp import thread_map

_MAX_GAP = 10.0  # seconds after which a person who is not seen is forgotten
_FRAME_RATE = 25.0  # of videos whose faces have no column `time`


class MeshDetector:
    """Detect a face and its 68 landmarks with the embedded networks.

    BlazeFace finds boxes (short-range network first, full-range network where that is
    not sure), two passes of Face Mesh find 468 points, 68 of which are returned in the
    usual (iBUG, dlib) order. Everything runs in OpenCV on the CPU, without network
    access. The inner 51 points (brows, nose, eyes, mouth) agree with dlib's to about
    4 % of the eye distance; the jaw follows the mesh's silhouette, which is another
    curve than dlib's.

    Parameters
    ----------
    n_jobs : int, default=-1
        Threads, each working on its own image; -1 = one per core. The networks do not
        enter pickles and are shared by all detectors of a process.
    min_face : int, float or None, default=None
        Side of the smallest face to search for, in pixels (int, at least 8), or as a
        share of the image's longer side (float). A face is about 1.7 times as wide as
        its outer eye corners are apart. None stops at the first network that is sure of
        a face, which may leave out smaller ones.

    Raises
    ------
    ValueError
        If `min_face` is no such number.

    Notes
    -----
    One look at the whole image finds faces of a tenth of its longer side. For smaller
    ones the image is searched in overlapping tiles as well, some 6 ms each: in a frame
    of 1920 x 1080 pixels 34 of them for ``min_face=40``, none for ``min_face=1 / 10``.

    Of several faces the largest counts among those whose score is at least half of the
    best. Where the mesh is not sure of a face, the box is searched at six angles, so
    that rolled and upside-down faces are found too, if not small ones (eyes less than
    5 % of the image apart). A face in doubt gives NaN rather than wrong points.
    Images are RGB: BGR images are not refused and cost accuracy silently.

    References
    ----------
    .. [1] V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on
       Mobile GPUs", 2019.
    .. [2] Y. Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video
       on Mobile GPUs", 2019.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> from skfau.preprocessing import MeshDetector
    >>> landmarks = MeshDetector()([astronaut()])
    >>> landmarks.shape
    (1, 68, 2)
    >>> landmarks[0, 30].round(-1)  # the tip of the nose
    array([220., 130.], dtype=float32)
    """

    def __init__(self, n_jobs=-1, min_face=None):
        pixels = isinstance(min_face, Integral) and min_face >= 8
        share = isinstance(min_face, Real) and 0 < min_face < 1
        if not (min_face is None or pixels or share):
            raise ValueError(
                "min_face must be a number of pixels (int, at least 8), a share of the "
                f"longer side of the image (float between 0 and 1) or None, got "
                f"{min_face!r}."
            )
        self.n_jobs = n_jobs
        self.min_face = min_face

    def __repr__(self):
        smallest = "" if self.min_face is None else f", min_face={self.min_face!r}"
        return f"{type(self).__name__}(n_jobs={self.n_jobs!r}{smallest})"

    def __call__(self, images):
        """Detect the landmarks of the preferred face of each image.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), dtype uint8
            RGB images, sizes may differ.

        Returns
        -------
        landmarks : ndarray of shape (n_images, 68, 2), dtype float32
            Pixels, x then y; NaN where no face was found.
        """

        def detect(image):
            return with_nets(
                lambda nets: nets.landmarks(image, self._boxes(nets, image))
            )

        return np.stack(thread_map(detect, images, self.n_jobs))

    def faces(self, images):
        """Find all faces of each image, and their landmarks.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), dtype uint8
            RGB images, sizes may differ.

        Returns
        -------
        faces : list of tuple (boxes, landmarks)
            For each image boxes, float64 (n_faces, 6), as `boxes` returns them, and
            landmarks, float32 (n_faces, 68, 2), pixels, x then y. Only boxes that
            surely show a face, the largest first; without one the most likely.
        """

        def detect(image):
            return with_nets(lambda nets: nets.faces(image, self._boxes(nets, image)))

        return thread_map(detect, images, self.n_jobs)

    def _boxes(self, nets, image):
        smallest = self.min_face
        if smallest is not None and smallest < 1:
            smallest = smallest * max(image.shape[:2])
        return nets.boxes(image, smallest)

    def boxes(self, images):
        """Find the faces of each image.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), dtype uint8
            RGB images.

        Returns
        -------
        boxes : list of ndarray of shape (n_faces, 6), dtype float64
            Centre x, y, width, height (pixels), roll (radians, clockwise) and score in
            [0.5, 1]; the preferred face first.
        """
        return thread_map(
            lambda image: with_nets(lambda nets: self._boxes(nets, image)),
            images,
            self.n_jobs,
        )

    def landmarks(self, images, boxes):
        """Find the landmarks in the first box of each image that shows a face.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), dtype uint8
            RGB images.
        boxes : sequence of ndarray of shape (n_faces, 6)
            As `boxes` returns them, in order of preference.

        Returns
        -------
        landmarks : ndarray of shape (n_images, 68, 2), dtype float32
            Pixels, x then y; NaN where no box shows a face.
        """

        def detect(pair):
            return with_nets(lambda nets: nets.landmarks(*pair))

        pairs = list(zip(images, boxes, strict=True))
        return np.stack(thread_map(detect, pairs, self.n_jobs))


class FoundFaces(NamedTuple):
    """All faces of some rows: those of one row together, the preferred one first.

    ``row`` (m,) intp, ascending; ``landmarks`` (m, 68, 2) float32 and ``box`` (m, 6)
    float64 as the detector gives them; ``problems`` (n_rows,) object: why a row has no
    face, or "".
    """

    row: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    problems: np.ndarray

    @property
    def n_faces(self):
        """Number of faces of each row, (n_rows,) int64."""
        return np.bincount(self.row, minlength=len(self.problems))


def detect_faces(faces, detector, *, n_jobs=-1, verbose=False):
    """Find all faces of all rows.

    Parameters
    ----------
    faces : Faces
        Source images.
    detector : object with a method ``faces``
        See `MeshDetector.faces`.
    n_jobs : int, default=-1
        Threads that decode images.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    FoundFaces
        What was found.

    Raises
    ------
    TypeError, ValueError
        If the detector returns something else than its contract says.
    """
    boxes = [np.empty((0, 6))] * len(faces)
    landmarks = [np.empty((0, 68, 2), np.float32)] * len(faces)
    problems = np.full(len(faces), "no face found", dtype=object)
    for rows, found in _batches(faces, detector.faces, problems, n_jobs, verbose):
        _check_number(found, len(rows), detector)
        for row, (box, points) in zip(rows, found, strict=True):
            points = _check_output(points, len(box), detector)
            known = ~np.isnan(points).all(axis=(1, 2))
            landmarks[row] = points[known]
            boxes[row] = np.asarray(box, dtype=np.float64).reshape(-1, 6)[known]
    row = np.repeat(np.arange(len(faces)), [len(box) for box in boxes])
    problems[row] = ""
    return FoundFaces(row, np.concatenate(landmarks), np.concatenate(boxes), problems)


def detect_landmarks(faces, detector, *, n_jobs=-1, verbose=False):
    """Find one face per row.

    With the columns ``video`` and ``frame`` and a detector that has ``faces`` it is
    the same person's wherever there is one; see `lead_faces`.

    Parameters
    ----------
    faces : Faces
        Source images.
    detector : callable
        See the head of this module.
    n_jobs : int, default=-1
        Threads that decode images.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    landmarks : ndarray of shape (n_samples, 68, 2), dtype float32
        Source pixels, x then y; NaN where there is no face.
    problems : ndarray of shape (n_samples,), dtype object
        Why a row has no face: the text of the error for an image that cannot be read,
        or "" where there is a face.
    n_faces : ndarray of shape (n_samples,), dtype int64, or None
        Number of faces in each image; None if the detector does not tell.

    Raises
    ------
    TypeError, ValueError
        If the detector returns something else than its contract says.
    """
    landmarks = np.full((len(faces), 68, 2), np.nan, dtype=np.float32)
    if hasattr(detector, "faces"):
        found = detect_faces(faces, detector, n_jobs=n_jobs, verbose=verbose)
        lead, problems = choose_leads(faces, found, identify(faces, found))
        landmarks[lead >= 0] = found.landmarks[lead[lead >= 0]]
        return landmarks, problems, found.n_faces
    problems = np.full(len(faces), "", dtype=object)
    for rows, found in _batches(faces, detector, problems, n_jobs, verbose):
        landmarks[rows] = _check_output(found, len(rows), detector)
    lost = np.isnan(landmarks).all(axis=(1, 2)) & (problems == "")
    problems[lost] = "no face found"
    return landmarks, problems, None


def identify(faces, found, max_gap=_MAX_GAP):
    """Return who each found face is, (m,) int64: a number within the recording.

    Rows without the columns ``video`` and ``frame`` are recordings of their own.
    """
    if not {"video", "frame"} <= set(faces.columns):
        return np.arange(len(found.row)) - np.searchsorted(found.row, found.row)
    time = faces.column("time") if "time" in faces.columns else faces.frame
    time = np.asarray(time, dtype=np.float64)
    if not np.isfinite(time).all():
        row = int(np.flatnonzero(~np.isfinite(time))[0])
        raise ValueError(
            f"column 'time' must hold seconds, got {time[row]} in row {row}; leave the "
            "column out where times are not known."
        )
    if "time" not in faces.columns:
        time = time / _FRAME_RATE
    places = places_of(found.landmarks)
    return track_people(found.row, places, _recordings(faces), time, max_gap)


def choose_leads(faces, found, person):
    """Return which found face leads each row (-1: none), and why a row has none."""
    size = places_of(found.landmarks)[:, 2]
    group = _recordings(faces)[found.row]
    group = group * (int(person.max(initial=0)) + 1) + person
    key = np.unique(group, return_inverse=True)[1]
    lead = lead_faces(found.row, key, size, len(faces))
    problems = found.problems.copy()
    problems[(lead < 0) & (problems == "")] = "no face but of other people"
    return lead, problems


def _recordings(faces):
    """Return recording numbers; subjects may share the names of their videos."""
    if not {"video", "frame"} <= set(faces.columns):
        return np.arange(len(faces))
    recording = np.unique(faces.video, return_inverse=True)[1].astype(np.int64)
    if faces.subject is None:
        return recording
    who = np.unique(faces.subject, return_inverse=True)[1]
    return recording * (int(who.max(initial=0)) + 1) + who


def _batches(faces, function, problems, n_jobs, verbose):
    """Yield rows that can be read and what a function finds in their images.

    The errors of the other rows are put down in `problems`.
    """
    order = np.arange(len(faces))
    if {"video", "frame"} <= set(faces.columns):
        # Videos are decoded in the order of time.
        order = np.lexsort((faces.frame, _recordings(faces)))
    with tqdm(
        total=len(order), desc="Detecting faces", unit="image", disable=not verbose
    ) as progress:
        for rows, results in read_batches(faces, order, n_jobs):
            readable = np.array([isinstance(r, np.ndarray) for r in results])
            problems[rows[~readable]] = [r for r in results if isinstance(r, str)]
            images = [r for r in results if isinstance(r, np.ndarray)]
            found = function(images) if images else None
            # Images must be gone before the next ones are read.
            del images, results
            if found is not None:
                yield rows[readable], found
            progress.update(len(rows))


def _check_number(found, n_images, detector):
    if len(found) != n_images:
        raise ValueError(
            f"the method faces of {detector!r} must return a pair (boxes, landmarks) "
            f"for each of {n_images} images, got {len(found)}."
        )


def _check_output(landmarks, n_images, detector):
    """Return a detector's result as float32, or say how it breaks the contract."""
    landmarks = np.asarray(landmarks)
    if landmarks.dtype.kind not in "fiu":
        raise TypeError(
            f"the detector {detector!r} must return numbers, got an array of dtype "
            f"{landmarks.dtype}."
        )
    if landmarks.shape != (n_images, 68, 2):
        raise ValueError(
            f"the detector {detector!r} must return landmarks of shape "
            f"({n_images}, 68, 2) for {n_images} images, got {landmarks.shape}; give "
            "images without a face a row of NaN, and bring other layouts to 68 points "
            "with skfau.facs.to_68."
        )
    if np.isinf(landmarks).any():
        raise ValueError(
            f"the detector {detector!r} returned infinite coordinates; mark unknown "
            "points as NaN."
        )
    return landmarks.astype(np.float32, copy=False)
