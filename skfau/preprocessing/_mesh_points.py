"""The column ``mesh``: all points of Face Mesh, where landmarks are known already."""

import numpy as np

from skfau._progress import Progress
from skfau.facs import to_68
from skfau.preprocessing._mesh import with_nets
from skfau.preprocessing._people import order_in_time
from skfau.preprocessing._reading import read_batches
from skfau.preprocessing._similarity import apply_similarity
from skfau.preprocessing._warp import thread_map


def find_meshes(faces, known, landmarks, *, n_jobs=-1, verbose=False):
    """Find the mesh of faces whose landmarks are known.

    Parameters
    ----------
    faces : Faces of n_samples rows
        Source images.
    known : ndarray of shape (n_samples,), dtype bool
        Rows with a face.
    landmarks : callable
        Maps row numbers (m,) to landmarks (m, 68, 2) or (m, 5, 2) in source pixels.
    n_jobs : int, default=-1
        Threads that read and search.
    verbose : bool, default=False
        Whether to show progress on standard error.

    Returns
    -------
    mesh : ndarray of shape (n_samples, 468, 3), dtype float32
        Source pixels, x, y and depth; NaN in other rows.
    problems : ndarray of shape (n_samples,), dtype object
        Why an image cannot be read; else "".
    """
    mesh = np.full((len(faces), 468, 3), np.nan, dtype=np.float32)
    problems = np.full(len(faces), "", dtype=object)
    order = order_in_time(faces)
    order = order[known[order]]

    def find(job):
        row, image, points = job
        if isinstance(image, str):
            problems[row] = image
        else:
            mesh[row] = with_nets(lambda nets: nets.mesh_at(image, points))

    with Progress(
        "Finding meshes", len(order), "images", __name__, verbose
    ) as progress:
        for rows, images in read_batches(faces, order, n_jobs):
            jobs = zip(rows, images, to_68(landmarks(rows)), strict=True)
            thread_map(find, list(jobs), n_jobs)
            # Images must be gone before the next ones are read.
            del images, jobs
            progress.update(len(rows))
    return mesh, problems


def move_mesh(matrices, mesh):
    """Move meshes by their face's similarity; depth is scaled with the rest.

    Parameters
    ----------
    matrices : ndarray of shape (n_samples, 2, 3), dtype float64
        Similarities; NaN where there is no face.
    mesh : ndarray of shape (n_samples, 468, 3)
        Points x, y and depth.

    Returns
    -------
    moved : ndarray of shape (n_samples, 468, 3), dtype float32
        Moved points.
    """
    moved = np.empty(mesh.shape, dtype=np.float32)
    moved[..., :2] = apply_similarity(matrices, mesh[..., :2])
    scale = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    moved[..., 2] = mesh[..., 2] * scale[:, None]
    return moved
