"""Data sets: made faces for every use without a licence, loaders, published folds."""

from skfau.datasets._bp4d import load_bp4d
from skfau.datasets._folds import published_folds
from skfau.datasets._make_faces import draw_faces, make_faces
from skfau.datasets._results import published_results

__all__ = [
    "draw_faces",
    "load_bp4d",
    "make_faces",
    "published_folds",
    "published_results",
]
