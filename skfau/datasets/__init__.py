"""Data sets: loaders, drawn faces without a licence, published folds and results."""

from skfau.datasets._affwild2 import load_affwild2
from skfau.datasets._bp4d import load_bp4d, load_bp4d_plus
from skfau.datasets._disfa import load_disfa
from skfau.datasets._emotionet import load_emotionet
from skfau.datasets._load_table import load_table
from skfau.datasets._published_folds import published_folds
from skfau.datasets._published_results import published_results
from skfau.datasets.drawn._make_faces import draw_faces, make_faces

__all__ = [
    "draw_faces",
    "load_affwild2",
    "load_bp4d",
    "load_bp4d_plus",
    "load_disfa",
    "load_emotionet",
    "load_table",
    "make_faces",
    "published_folds",
    "published_results",
]
