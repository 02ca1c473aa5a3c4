"""`FaceAligner`: faces in any photograph to crops of one size and position."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import gen_batches

from skfau._stores import image_sizes
from skfau._tables import FacesOutput
from skfau._validation import (
    Interval,
    StatelessMixin,
    StrOptions,
    _fit_context,
    check_faces,
)
from skfau._warn import warn
from skfau.exceptions import (
    MissingFaceError,
    MissingFaceWarning,
    SeveralFacesWarning,
)
from skfau.facs import to_68
from skfau.preprocessing._detection import MeshDetector
from skfau.preprocessing._mesh_points import find_meshes, move_mesh
from skfau.preprocessing._people import detect_landmarks
from skfau.preprocessing._similarity import (
    TEMPLATES,
    align_landmarks,
    apply_similarity,
    find_outside,
    invert_similarity,
)
from skfau.preprocessing._warp import AlignedImages, thread_map

if TYPE_CHECKING:
    from skfau.faces import Faces

_BLOCK = 4096  # rows whose transforms are computed at once
_HEADERS = 256  # image files whose headers a thread reads at once
_SHOWN = 5  # rows named in a warning
_GIVEN = ("landmarks", "five_points")  # columns of points, the preferred first


class FaceAligner(FacesOutput, StatelessMixin, TransformerMixin, BaseEstimator):
    """Align faces by landmarks and crop them to one size.

    Each face is moved by one similarity (rotation, scale, shift), fitted in closed
    form to its landmarks. Landmarks are taken from the faces, or detected where the
    faces have none. The result is lazy: `transform` computes landmarks and matrices,
    and pixels are read and warped when they are asked for.

    Parameters
    ----------
    output_size : int, default=200
        Height and width of the aligned images, in pixels.
    template : {"eyes-nose-mouth", "inner", "jaa", "arl", "aunet", "box"}, \
            default="eyes-nose-mouth"
        What is aligned to what; see Notes.
    landmarks : {"auto", "given", "detected"}, default="auto"
        Where landmarks come from: the column ``landmarks`` if there is one, else the
        column ``five_points``, else the detector ("auto"); only a column ("given");
        only the detector ("detected").
        Detected and given points are never mixed: a NaN row in the column stays
        without a face.
    detector : "mesh" or callable, default="mesh"
        "mesh" is `MeshDetector`. A callable maps a list of n uint8 RGB images to
        landmarks (n, 68, 2) in pixels, with NaN rows where there is no face;
        `DlibDetector` is one. It is called from one thread.
    mesh : bool, default=False
        Whether the aligned faces have a column ``mesh``, the 468 points of Face Mesh:
        those of the column ``mesh`` of the faces if there is one, else those that
        "mesh" detects; where landmarks come from elsewhere they are searched there.
    border_value : int, default=0
        Grey level of what lies outside of the source image, 0 to 255.
    on_missing : {"warn", "raise"}, default="warn"
        What to do about rows without a face: one `MissingFaceWarning` per call, or
        `MissingFaceError`.
    n_jobs : int, default=-1
        Threads that read, detect and warp; -1 = one per core, None = 1.
    verbose : bool, default=False
        Whether to show on standard error how far the detection is.

    See Also
    --------
    MeshDetector : Detects landmarks alone.
    MeshFeatures : Turns the mesh into features.
    find_faces : Finds all faces of an image, and follows people through videos.
    ROIHeatmaps : Turns the aligned landmarks into one map per AU.

    Notes
    -----
    ================= ============================================================
    template          the aligned image
    ================= ============================================================
    "eyes-nose-mouth" Least-squares fit of eye centres, nose tip (point 30) and
                      mouth corners to those of a mean face; raised brows and an
                      open mouth hardly move it.
    "inner"           Least-squares fit of the 51 points without the jaw; may miss
                      up to half of them; damps a badly placed point most.
    "jaa"             Eyes level; a square around the same five points, 2.9 times
                      the longer side of their bounding box (JAA-Net).
    "arl"             The same with 2.8 times (ARL, WSARL).
    "aunet"           Not rotated; 200 (w + h) / 260 of the face box (AUNet).
    "box"             Not rotated; the face box itself, made square (FAU-Transformer).
    ================= ============================================================

    What the published systems saw, as parameters: JAA-Net ``template="jaa",
    border_value=128``; ARL and WSARL ``template="arl", border_value=128``; SEV-Net
    ``output_size=256``; AUNet ``template="aunet", output_size=256``; FAU-Transformer
    ``template="box", output_size=224``.

    The last two papers cropped a detector's box, without saying how it lies on the
    face. Here the box is the mean face's (jaw to jaw, chin to hairline), placed by the
    51 inner points, so that it works without jaw points and does not depend on the
    detector; "box" keeps the aspect ratio instead of stretching the box to a square.
    A column ``five_points`` (n, 5, 2) holds what RetinaFace, MTCNN, InsightFace and
    YuNet find: the eye on the left of the image, the other eye, the tip of the nose,
    the corner of the mouth on the left, the other corner. It serves every template;
    those of 51 points are then fitted to these five, which moves a face by about 2
    of 200 pixels. Of the aligned ``landmarks`` only 30, 48 and 54 are then known.

    On the mean face the first two templates show the same square as "jaa".

    A mesh takes 5.6 kB of memory per face. Its depth counts in pixels of the aligned
    image, too, from the middle of the head away from the camera. Given landmarks are
    believed: the mesh is placed there even if the network sees no face. A column
    ``mesh`` of the faces is moved along without ``mesh=True``, too.

    Pixel coordinates have (0, 0) at the centre of the top-left pixel. Aligned pixels
    are bilinear samples; faces that shrink below one half are averaged first. They
    differ by up to three grey levels between OpenCV 4 and 5.

    Of several faces the largest is used. In rows with the columns ``video`` and
    ``frame`` it is the person whose faces are largest in total, also where frames are
    missing; rows without that person show somebody who is never in one image with them
    (as after a cut), or no face. `find_faces` gives a row to each face. A detector
    without a method ``faces`` chooses by itself.

    The transformer is stateless: `fit` only checks parameters.

    References
    ----------
    .. [1] S. Umeyama, "Least-Squares Estimation of Transformation Parameters Between
       Two Point Patterns", IEEE TPAMI 13(4), 1991.
    .. [2] Z. Shao et al., "JAA-Net: Joint Facial Action Unit Detection and Face
       Alignment via Adaptive Attention", IJCV 129, 2021.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> from skfau import Faces
    >>> from skfau.preprocessing import FaceAligner
    >>> aligned = FaceAligner().fit_transform(Faces(astronaut()[None]))
    >>> aligned.images[0].shape
    (200, 200, 3)
    >>> aligned.landmarks[0, [36, 45]].round(-1)  # outer eye corners
    array([[ 50.,  70.],
           [150.,  70.]], dtype=float32)
    """

    _parameter_constraints = {
        "output_size": [Interval(Integral, 8, None, closed="left")],
        "template": [StrOptions(set(TEMPLATES))],
        "landmarks": [StrOptions({"auto", "given", "detected"})],
        "detector": [StrOptions({"mesh"}), callable],
        "mesh": ["boolean"],
        "border_value": [Interval(Integral, 0, 255, closed="both")],
        "on_missing": [StrOptions({"warn", "raise"})],
        "n_jobs": [Integral, None],
        "verbose": ["boolean"],
    }

    def __init__(
        self,
        output_size: int = 200,
        template: Literal[
            "eyes-nose-mouth", "inner", "jaa", "arl", "aunet", "box"
        ] = "eyes-nose-mouth",
        *,
        landmarks: Literal["auto", "given", "detected"] = "auto",
        detector: Literal["mesh"] | Callable[..., Any] = "mesh",
        mesh: bool = False,
        border_value: int = 0,
        on_missing: Literal["warn", "raise"] = "warn",
        n_jobs: int = -1,
        verbose: bool = False,
    ) -> None:
        self.output_size = output_size
        self.template = template
        self.landmarks = landmarks
        self.detector = detector
        self.mesh = mesh
        self.border_value = border_value
        self.on_missing = on_missing
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Faces | NDArray[np.uint8], y: None = None) -> Self:
        """Check the parameters and the kind of `X`; nothing is learned.

        Parameters
        ----------
        X : Faces of n_samples rows, or ndarray of shape (n_samples, H, W, 3), uint8
            Source images, RGB.
        y : None
            Ignored.

        Returns
        -------
        self : FaceAligner
            This transformer.
        """
        check_faces(X, need=self._needed_columns(X))
        return self

    def transform(self, X: Faces | NDArray[np.uint8]) -> Faces:
        """Align faces.

        Parameters
        ----------
        X : Faces of n_samples rows, or ndarray of shape (n_samples, H, W, 3), uint8
            Source images, RGB.

        Returns
        -------
        faces : Faces of n_samples rows
            Images of output_size x output_size pixels, warped on access, and the other
            columns of `X`, with ``landmarks`` (float32, output pixels), ``matrix``
            (n_samples, 2, 3) (float64, from source to output pixels) and ``status``
            (object: "" or why the row has no face, as "outside: ..." where less than
            half of the landmarks lie in the source image). Where there is no face the
            image is black, and landmarks and matrix are NaN. Where the detector finds
            all faces of an image, ``n_faces`` (int64) is their number. ``mesh``
            (n_samples, 468, 3) (float32, output pixels, NaN without a face) with
            ``mesh=True``.

        Raises
        ------
        MissingFaceError
            If a row has no face and ``on_missing="raise"``.
        MissingColumnError
            If `X` has no landmarks and ``landmarks="given"``.
        ValueError
            If faces are to be detected in rows that are people of one image.
        """
        self._validate_params()
        faces = check_faces(X, need=self._needed_columns(X))
        source, status, counted = self._source_landmarks(faces)
        landmarks = np.empty((len(faces), 68, 2), dtype=np.float32)
        matrices = np.empty((len(faces), 2, 3))
        for rows in gen_batches(len(faces), _BLOCK):
            points = source(rows)
            matrices[rows], problems = align_landmarks(
                points, self.template, self.output_size
            )
            outside = find_outside(points, self._image_sizes(faces, rows))
            matrices[rows][outside != ""] = np.nan
            problems = np.where(problems == "", outside, problems)
            landmarks[rows] = apply_similarity(matrices[rows], to_68(points))
            told = (status[rows] != "") & (problems != "")
            status[rows] = np.where(told, status[rows], problems)
        mesh = self._source_mesh(faces, source, status, counted)
        matrices[status != ""] = landmarks[status != ""] = np.nan
        self._report(status, counted.get("n_faces"))
        images = AlignedImages(
            faces.store,
            faces.rows,
            matrices,
            self.output_size,
            border_value=self.border_value,
            n_jobs=self.n_jobs,
        )
        found = {"landmarks": landmarks, "matrix": matrices, "status": status}
        if "five_points" in faces.columns:
            points = faces.column("five_points")
            found["five_points"] = apply_similarity(matrices, points)
        if mesh is not None:
            found["mesh"] = move_mesh(matrices, mesh)
        return faces.with_images(images, **found, **counted)

    def inverse_transform(
        self, X: Faces, landmarks: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        """Move landmarks of aligned faces back to their source images.

        Parameters
        ----------
        X : Faces of n_samples rows
            What `transform` returned, or some of its rows.
        landmarks : ndarray of shape (n_samples, n_points, 2), default=None
            Points in output pixels, x then y; None means the column ``landmarks``.

        Returns
        -------
        landmarks : ndarray of shape (n_samples, n_points, 2), dtype float32
            Points in source pixels; NaN where there is no face.

        Raises
        ------
        MissingColumnError
            If `X` has no column ``matrix``.
        ValueError
            If `landmarks` has another shape.
        """
        faces = check_faces(X, need=("matrix",))
        points = faces.column("landmarks") if landmarks is None else landmarks
        points = np.asarray(points)
        if points.ndim != 3 or points.shape[::2] != (len(faces), 2):
            raise ValueError(
                f"landmarks must have shape ({len(faces)}, n_points, 2), one set per "
                f"row of X, got {points.shape}."
            )
        return apply_similarity(invert_similarity(faces.column("matrix")), points)

    def _needed_columns(self, X):
        has_five = "five_points" in getattr(X, "columns", ())
        return ("landmarks",) if self.landmarks == "given" and not has_five else ()

    def _source_landmarks(self, faces):
        """Return a function of row slices, why rows lack landmarks, other columns."""
        given = [
            c for c in _GIVEN if c in faces.columns and self.landmarks != "detected"
        ]
        if given:
            status = np.full(len(faces), "", dtype=object)
            if "status" in faces.columns:
                status[:] = faces.column("status")
            return lambda rows: faces.column(given[0], rows), status, {}
        if "person" in faces.columns and _show_others(faces):
            raise ValueError(
                "rows of these faces are people of one image: searched again, all "
                'would show the same one. Take their landmarks (landmarks="auto"), or '
                "align the images that they come from; where each row has pixels of "
                "its own, remove the number with faces.with_columns(n_faces=None)."
            )
        detector = self.detector
        if isinstance(detector, str):
            detector = MeshDetector(n_jobs=self.n_jobs)
        found, status, n_faces, mesh = detect_landmarks(
            faces,
            detector,
            mesh=self.mesh and isinstance(detector, MeshDetector),
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        more = {"n_faces": n_faces, "mesh": mesh}
        more = {name: values for name, values in more.items() if values is not None}
        return lambda rows: found[rows], status, more

    def _source_mesh(self, faces, source, status, found):
        """Take the mesh (n_samples, 468, 3) in source pixels, or None.

        Where images have to be read for it, `status` tells which cannot be.
        """
        if "mesh" in found:
            return found.pop("mesh")
        if "mesh" in faces.columns:
            return faces.column("mesh")
        if not self.mesh:
            return None
        mesh, problems = find_meshes(
            faces, status == "", source, n_jobs=self.n_jobs, verbose=self.verbose
        )
        status[problems != ""] = problems[problems != ""]
        return mesh

    def _image_sizes(self, faces, rows):
        """Return width and height of source images, from the headers of their files."""
        blocks = np.array_split(faces.rows[rows], -(-len(faces.rows[rows]) // _HEADERS))
        return np.concatenate(
            thread_map(partial(image_sizes, faces.store), blocks, self.n_jobs)
        )

    def _report(self, status, n_faces):
        if n_faces is not None and (n_faces > 1).any():
            warn(
                f"{(n_faces > 1).sum()} of {len(n_faces)} images show several faces; "
                "one of them is used (the largest, in a video the person whose faces "
                "are largest in total). The column 'n_faces' has their number; "
                "skfau.preprocessing.find_faces gives a row to each.",
                SeveralFacesWarning,
                # Over _report, transform and scikit-learn's wrapper of it.
            )
        missing = np.flatnonzero(status != "")
        if not len(missing):
            return
        rows = "; ".join(f"row {row}: {status[row]}" for row in missing[:_SHOWN])
        more = "; ..." if len(missing) > _SHOWN else ""
        message = (
            f"{len(missing)} of {len(status)} faces were not aligned ({rows}{more})."
        )
        if self.on_missing == "raise":
            raise MissingFaceError(
                f'{message} Leave such rows out, or set on_missing="warn" to keep them '
                "as black images with NaN landmarks."
            )
        warn(
            f"{message} They stay as black images with NaN landmarks; the column "
            "'status' tells why.",
            MissingFaceWarning,
            # Over _report, transform and scikit-learn's wrapper of it.
        )


def _show_others(faces):
    """Return whether images show people besides those of their rows."""
    if len(np.unique(faces.rows)) < len(faces):
        return True
    # Some of these rows, and copies of the images, are no longer one image's.
    aligned = "matrix" in faces.columns
    counted = "n_faces" in faces.columns and not aligned
    return counted and bool((faces.column("n_faces") > 1).any())
