"""Landmark detectors, and the loop that runs one over `Faces`.

A detector is any callable: list of RGB uint8 images (sizes may differ) -> array
(n, 68, 2) in pixels, x then y, (0, 0) = centre of the top-left pixel, NaN rows where
there is no face. One that also has ``boxes(images)`` and ``landmarks(images, boxes)``
lets a face be followed through a video.
"""

import numpy as np
from tqdm import tqdm

from skfau.exceptions import FaceImageError
from skfau.preprocessing._mesh import with_nets
from skfau.preprocessing._warp import reading_jobs, thread_map

_BATCH = 32  # decoded source images held at once
_READ = 4  # images a thread reads at once


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

    Notes
    -----
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

    def __init__(self, n_jobs=-1):
        self.n_jobs = n_jobs

    def __repr__(self):
        return f"{type(self).__name__}(n_jobs={self.n_jobs!r})"

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
            return with_nets(lambda nets: nets.landmarks(image, nets.boxes(image)))

        return np.stack(thread_map(detect, images, self.n_jobs))

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
            lambda image: with_nets(lambda nets: nets.boxes(image)), images, self.n_jobs
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


def detect_landmarks(faces, detector, *, n_jobs=-1, verbose=False):
    """Run a detector over faces, in batches.

    Rows with the columns ``video`` and ``frame`` are taken in the order of time, and
    where a frame with several faces follows its predecessor, the face nearest to the
    predecessor's comes first, provided that the detector has ``boxes`` and
    ``landmarks``.

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
        "no face found", the text of the error for an image that cannot be read, or "".

    Raises
    ------
    TypeError, ValueError
        If the detector returns something else than its contract says.
    """
    landmarks = np.full((len(faces), 68, 2), np.nan, dtype=np.float32)
    problems = np.full(len(faces), "", dtype=object)
    order, follower = np.arange(len(faces)), None
    if {"video", "frame"} <= set(faces.columns):
        recording, frame = _recordings(faces), faces.frame
        order = np.lexsort((frame, recording))
        if hasattr(detector, "boxes") and hasattr(detector, "landmarks"):
            follower = _Follower(detector, recording, frame)
    with tqdm(
        total=len(order), desc="Detecting faces", unit="image", disable=not verbose
    ) as progress:
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            images, readable, errors = _read(faces, rows, n_jobs)
            problems[rows[~readable]] = errors
            if images:
                rows_read = rows[readable]
                found = follower(images, rows_read) if follower else detector(images)
                landmarks[rows_read] = _check_output(found, len(images), detector)
            progress.update(len(rows))
    lost = np.isnan(landmarks).all(axis=(1, 2)) & (problems == "")
    problems[lost] = "no face found"
    return landmarks, problems


class _Follower:
    """Detects the face nearest to that of the frame before, where there are several."""

    def __init__(self, detector, recording, frame):
        self.detector = detector
        self.time = np.stack([recording, frame], axis=1)
        self.last = None
        self.place = None

    def __call__(self, images, rows):
        boxes = self.detector.boxes(images)
        return self.detector.landmarks(images, list(map(self._prefer, boxes, rows)))

    def _prefer(self, boxes, row):
        now = self.time[row]
        if self.last is None or (now - self.last != (0, 1)).any():
            self.place = None
        self.last = now
        if len(boxes) > 1 and self.place is not None:
            away = np.hypot(*(boxes[:, :2] - self.place).T)
            boxes = boxes[np.argsort(away, kind="stable")]
        if len(boxes):
            self.place = boxes[0, :2]
        return boxes


def _recordings(faces):
    """Return recording numbers; subjects may share the names of their videos."""
    recording = np.unique(faces.video, return_inverse=True)[1].astype(np.int64)
    if faces.subject is None:
        return recording
    who = np.unique(faces.subject, return_inverse=True)[1]
    return recording * (int(who.max()) + 1) + who


def _read(faces, rows, n_jobs):
    """Decode rows; return the images, which rows could be read, the others' errors."""

    def read(block):
        try:
            return faces.read(block)
        except FaceImageError as error:
            if len(block) == 1:
                return [str(error)]
            return [result for row in block for result in read([row])]

    blocks = [rows[i : i + _READ] for i in range(0, len(rows), _READ)]
    read_blocks = thread_map(read, blocks, reading_jobs(faces.store, n_jobs))
    results = [result for block in read_blocks for result in block]
    readable = np.array([isinstance(result, np.ndarray) for result in results])
    images = [result for result in results if isinstance(result, np.ndarray)]
    return images, readable, [r for r in results if isinstance(r, str)]


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
