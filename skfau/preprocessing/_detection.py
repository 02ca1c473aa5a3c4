"""`MeshDetector`: faces and landmarks by the embedded networks."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skfau.preprocessing._mesh import MESH_TO_68, with_nets
from skfau.preprocessing._warp import thread_map


def landmarks_of(mesh):
    """Return the 68 points (n, 68, 2) of meshes (n, 468, 3)."""
    # A copy: a view would keep the whole mesh in memory.
    return mesh[:, MESH_TO_68, :2].copy()


def find_boxes(nets, image, min_face):
    """Return the boxes (k, 6) of an image; `min_face` as for `MeshDetector`."""
    if min_face is not None and min_face < 1:
        min_face = min_face * max(image.shape[:2])
    return nets.boxes(image, min_face)


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

    def __init__(self, n_jobs: int = -1, min_face: int | float | None = None) -> None:
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

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
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

    def faces(
        self, images: Sequence[NDArray[np.uint8]], mesh: bool = False
    ) -> list[tuple[NDArray[Any], ...]]:
        """Find all faces of each image, and their landmarks.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), dtype uint8
            RGB images, sizes may differ.
        mesh : bool, default=False
            Whether to return all points of Face Mesh, too.

        Returns
        -------
        faces : list of tuple (boxes, landmarks) or (boxes, landmarks, mesh)
            For each image boxes, float64 (n_faces, 6), as `boxes` returns them,
            landmarks, float32 (n_faces, 68, 2), pixels, x then y, and mesh, float32
            (n_faces, 468, 3), pixels, x, y and depth (away from the camera, from the
            middle of the head). Only boxes that surely show a face, the largest first;
            without one the most likely.
        """

        def detect(image):
            return with_nets(lambda nets: nets.faces(image, self._boxes(nets, image)))

        found = thread_map(detect, images, self.n_jobs)
        if mesh:
            return [(boxes, landmarks_of(each), each) for boxes, each in found]
        return [(boxes, landmarks_of(each)) for boxes, each in found]

    def _boxes(self, nets, image):
        return find_boxes(nets, image, self.min_face)

    def boxes(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float64]]:
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

    def landmarks(
        self, images: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[Any]]
    ) -> NDArray[np.float32]:
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
