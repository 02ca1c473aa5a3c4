"""Run a detector over `Faces`, and tell who is who in a video.

A detector is any callable: list of RGB uint8 images (sizes may differ) -> array
(n, 68, 2) in pixels, x then y, (0, 0) = centre of the top-left pixel, NaN rows where
there is no face. One that also has ``faces(images)`` finds all faces of each image (see
`MeshDetector.faces`), so that a person can be followed through a video.
"""

from contextlib import closing
from typing import NamedTuple

import numpy as np

from skfau._progress import Progress
from skfau.preprocessing._reading import read_batches
from skfau.preprocessing._tracks import lead_faces, places_of, track_people

MAX_GAP = 10.0  # seconds after which a person who is not seen is forgotten
FRAME_RATE = 25.0  # where the column `time` does not tell


class FoundFaces(NamedTuple):
    """All faces of some rows: those of one row together, the preferred one first.

    ``row`` (m,) intp, ascending; ``landmarks`` (m, 68, 2) float32, ``box`` (m, 6)
    float64 and, if wanted, ``mesh`` (m, 468, 3) float32 as the detector gives them;
    ``problems`` (n_rows,) object: why a row has no face, or "".
    """

    row: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    problems: np.ndarray
    mesh: np.ndarray | None = None

    @property
    def n_faces(self):
        """Number of faces of each row, (n_rows,) int64."""
        return np.bincount(self.row, minlength=len(self.problems))


def detect_faces(faces, detector, *, mesh=False, search=None, n_jobs=-1, verbose=False):
    """Find all faces of all rows.

    Parameters
    ----------
    faces : Faces
        Source images.
    detector : object with a method ``faces``
        See `MeshDetector.faces`.
    mesh : bool, default=False
        Whether to keep the mesh of each face; only of a `MeshDetector`.
    search : callable, default=None
        Maps rows and their images to what ``detector.faces`` returns of these, mesh
        included; None means that method. Rows of a video come in order.
    n_jobs : int, default=-1
        Threads that decode images.
    verbose : bool, default=False
        Whether to show progress on standard error.

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
    meshes = [np.empty((0, 468, 3), np.float32)] * len(faces)
    problems = np.full(len(faces), "no face found", dtype=object)
    if search is None:
        options = {"mesh": True} if mesh else {}

        def search(rows, images):
            return detector.faces(images, **options)

    # Closed at once, also where an error comes between two batches.
    with closing(_batches(faces, search, problems, n_jobs, verbose)) as batches:
        for rows, found in batches:
            _check_number(found, len(rows), detector)
            for row, (box, points, *more) in zip(rows, found, strict=True):
                box = _check_boxes(box, detector)
                points = _check_output(points, len(box), detector)
                known = ~np.isnan(points).all(axis=(1, 2))
                landmarks[row], boxes[row] = points[known], box[known]
                if mesh:
                    meshes[row] = more[0][known]
    row = np.repeat(np.arange(len(faces)), [len(box) for box in boxes])
    problems[row] = ""
    return FoundFaces(
        row,
        np.concatenate(landmarks),
        np.concatenate(boxes),
        problems,
        np.concatenate(meshes) if mesh else None,
    )


def detect_landmarks(faces, detector, *, mesh=False, n_jobs=-1, verbose=False):
    """Find one face per row.

    With the columns ``video`` and ``frame`` and a detector that has ``faces`` it is
    the same person's wherever there is one; see `lead_faces`.

    Parameters
    ----------
    faces : Faces
        Source images.
    detector : callable
        See the head of this module.
    mesh : bool, default=False
        Whether to return the mesh as well; only of a `MeshDetector`.
    n_jobs : int, default=-1
        Threads that decode images.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    landmarks : ndarray of shape (n_samples, 68, 2), dtype float32
        Source pixels, x then y; NaN where there is no face.
    problems : ndarray of shape (n_samples,), dtype object
        Why a row has no face: the text of the error for an image that cannot be read,
        or "" where there is a face.
    n_faces : ndarray of shape (n_samples,), dtype int64, or None
        Number of faces in each image; None if the detector does not tell.
    mesh : ndarray of shape (n_samples, 468, 3), dtype float32, or None
        Source pixels; NaN where there is no face. None if not wanted.

    Raises
    ------
    TypeError, ValueError
        If the detector returns something else than its contract says.
    """
    landmarks = np.full((len(faces), 68, 2), np.nan, dtype=np.float32)
    if hasattr(detector, "faces"):
        found = detect_faces(faces, detector, mesh=mesh, n_jobs=n_jobs, verbose=verbose)
        lead, problems = choose_leads(faces, found, identify(faces, found))
        seen = lead >= 0
        landmarks[seen] = found.landmarks[lead[seen]]
        points = np.full((len(faces), 468, 3), np.nan, np.float32) if mesh else None
        if mesh:
            points[seen] = found.mesh[lead[seen]]
        return landmarks, problems, found.n_faces, points
    problems = np.full(len(faces), "", dtype=object)

    def detect(rows, images):
        return detector(images)

    with closing(_batches(faces, detect, problems, n_jobs, verbose)) as batches:
        for rows, found in batches:
            landmarks[rows] = _check_output(found, len(rows), detector)
    lost = np.isnan(landmarks).all(axis=(1, 2)) & (problems == "")
    problems[lost] = "no face found"
    return landmarks, problems, None, None


def identify(faces, found, max_gap=MAX_GAP):
    """Return who each found face is, (m,) int64: a number within the recording.

    Rows without the columns ``video`` and ``frame`` are recordings of their own.
    """
    if not {"video", "frame"} <= set(faces.columns):
        return np.arange(len(found.row)) - np.searchsorted(found.row, found.row)
    places = places_of(found.landmarks)
    return track_people(
        found.row, places, recordings_of(faces), seconds_of(faces), max_gap
    )


def seconds_of(faces):
    """Return the time of each row in its video, (n,) float64."""
    unknown = np.full(len(faces), np.nan)
    time = faces.column("time") if "time" in faces.columns else unknown
    numbers = time.dtype.kind in "fiu"
    odd = np.isinf(time) if numbers else np.ones(len(time), dtype=bool)
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise ValueError(
            f"column 'time' must hold seconds, got {time[row]} in row {row}; where "
            "times are not known remove it with faces.with_columns(time=None)."
        )
    return _fill_times(time.astype(np.float64), faces.frame, recordings_of(faces))


def _fill_times(time, frame, recording):
    """Return times of which the unknown follow from the frame numbers."""
    lacking = np.isnan(time)
    filled = np.where(lacking, frame / FRAME_RATE, time)
    for each in np.intersect1d(recording[lacking], recording[~lacking]):
        rows = np.flatnonzero((recording == each) & lacking)
        known = np.flatnonzero((recording == each) & ~lacking)
        known = known[np.argsort(frame[known], kind="stable")]
        # Between known times a video goes on evenly, outside as most videos do.
        within = frame[rows].clip(frame[known[0]], frame[known[-1]])
        filled[rows] = np.interp(within, frame[known], time[known])
        filled[rows] += (frame[rows] - within) / FRAME_RATE
    return filled


def choose_leads(faces, found, person):
    """Return which found face leads each row (-1: none), and why a row has none."""
    size = places_of(found.landmarks)[:, 2]
    group = recordings_of(faces)[found.row]
    group = group * (int(person.max(initial=0)) + 1) + person
    key = np.unique(group, return_inverse=True)[1]
    lead = lead_faces(found.row, key, size, len(faces))
    problems = found.problems.copy()
    problems[(lead < 0) & (problems == "")] = "no face but of other people"
    return lead, problems


def recordings_of(faces):
    """Return recording numbers; subjects may share the names of their videos."""
    if not {"video", "frame"} <= set(faces.columns):
        return np.arange(len(faces))
    recording = np.unique(faces.video, return_inverse=True)[1].astype(np.int64)
    if faces.subject is None:
        return recording
    who = np.unique(faces.subject, return_inverse=True)[1]
    return recording * (int(who.max(initial=0)) + 1) + who


def order_in_time(faces):
    """Return all rows in the order in which videos are best decoded, (n,) intp."""
    if not {"video", "frame"} <= set(faces.columns):
        return np.arange(len(faces))
    return np.lexsort((faces.frame, recordings_of(faces)))


def _batches(faces, function, problems, n_jobs, verbose):
    """Yield rows that can be read and what a function finds in them and their images.

    The errors of the other rows are put down in `problems`.
    """
    order = order_in_time(faces)
    with Progress(
        "Detecting faces", len(order), "images", __name__, verbose
    ) as progress:
        for rows, results in read_batches(faces, order, n_jobs):
            readable = np.array([isinstance(r, np.ndarray) for r in results])
            problems[rows[~readable]] = [r for r in results if isinstance(r, str)]
            images = [r for r in results if isinstance(r, np.ndarray)]
            found = function(rows[readable], images) if images else None
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


def _check_boxes(boxes, detector):
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 6 or not np.isfinite(boxes).all():
        raise ValueError(
            f"the method faces of {detector!r} must return finite boxes of shape "
            "(n_faces, 6) (centre x, y, width, height, roll, score), got shape "
            f"{boxes.shape}."
        )
    return boxes


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
