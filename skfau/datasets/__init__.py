"""Data sets: loaders, rendered and drawn faces, published folds and results.

Files of landmarks, which the loaders take as ``landmarks=``, are one of these:

- ``VIDEO.csv`` with lines ``frame, x1, y1, x2, y2, ...``, frames as in the labels;
- ``VIDEO.csv`` of OpenFace (frames from 1) or py-feat (from 0), on the whole video;
- ``VIDEO.mat``, BP4D's tracked points, or a folder of DISFA's ``FRAME_lm.mat``;
- a folder ``VIDEO`` of iBUG's ``FRAME.pts``, in which the top-left pixel is (1, 1); for
  a table without videos, ``IMAGE.pts`` beside each image or under its name.

How many points a face has tells what they are: 68, or 49, 51, 66, 98, 468 or 478, see
`skfau.facs.to_68`. `load_table` also takes 5 points, as the column ``five_points``: the
eye on the left of the image, the other eye, the tip of the nose, the corner of the
mouth on the left, the other corner (RetinaFace, MTCNN, YuNet); `FaceAligner` aligns by
them. Where a file shows several people, landmarks are of the one with the largest sum
of face sizes, followed by place from frame to frame, and NaN where that person is not
seen; ``report`` names the frames with several faces.

`load_table` reads images or frames of videos. It finds files by their exact name; where
there is none, in whatever case or form of Unicode, with backslashes for slashes, or
blanks at the ends. AUs are columns ``AU1``, ``AU01`` or ``au_1``; ``AU01_c`` or
``AU01_occurrence``; with a threshold ``AU01_r`` or ``AU01_intensity``.
"""

from skfau.datasets._affwild2 import load_affwild2
from skfau.datasets._bp4d import load_bp4d, load_bp4d_plus
from skfau.datasets._disfa import load_disfa
from skfau.datasets._emotionet import load_emotionet
from skfau.datasets._load_table import load_table
from skfau.datasets._published_folds import published_folds
from skfau.datasets._published_results import published_results
from skfau.datasets.drawn._make_faces import draw_faces, make_faces
from skfau.datasets.rendered._load_rendered import load_rendered, sample_files

__all__ = [
    "draw_faces",
    "load_affwild2",
    "load_bp4d",
    "load_bp4d_plus",
    "load_disfa",
    "load_emotionet",
    "load_rendered",
    "load_table",
    "make_faces",
    "published_folds",
    "published_results",
    "sample_files",
]
