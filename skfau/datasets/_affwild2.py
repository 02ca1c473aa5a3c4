"""Aff-Wild2's action units, as the ABAW challenges distribute them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skfau.datasets._image_files import is_video, one_source_each, read_images
from skfau.datasets._landmark_files import (
    check_any,
    landmark_files,
    landmark_folders,
    read_points,
)
from skfau.datasets._recordings import (
    NOT_CODED,
    DataSet,
    Recording,
    check_aus,
    code_table,
    load_recordings,
)
from skfau.datasets._text_files import (
    check_codes,
    check_header,
    int_table,
    read_lines,
)
from skfau.exceptions import DatasetError, LabelError
from skfau.facs import DATASET_AUS

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_AU = re.compile(r"\s*AU0*(\d+)\s*")
_ANNOTATIONS = ("AU_Detection_Challenge", "AU_Set")
_IMAGES = ("cropped_aligned",)
_SUBSETS = {
    "train": ("Train_Set",),
    "validation": ("Validation_Set",),
    "all": ("Train_Set", "Validation_Set"),
}
_DEPTH = 3  # levels of folders below the root that are searched
_ABOUT = """\
Aff-Wild2: videos from the Internet, annotated for action units ({subset} videos). Who
is in them is not told; every video stands for a subject of its own.
"""


def load_affwild2(
    root: str | Path,
    *,
    subset: Literal["train", "validation", "all"] = "train",
    aus: Sequence[int] = DATASET_AUS["affwild2"],
    annotations: str | Path = "auto",
    images: str | Path = "auto",
    landmarks: Any = "auto",
    index: Any = "auto",
    n_jobs: int | None = -1,
    verbose: bool = False,
) -> Bunch:
    """Load Aff-Wild2 as lazy faces with labels: the j-th label belongs to image j.

    Parameters
    ----------
    root : str or Path
        Holds, up to three levels deep, ``AU_Detection_Challenge/Train_Set/VIDEO.txt``
        (or ``AU_Set``) and ``cropped_aligned/VIDEO/00001.jpg``.
    subset : {"train", "validation", "all"}, default="train"
        Videos to load.
    aus : sequence of int, default=(1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
        AUs to load; the first challenge coded ``DATASET_AUS["affwild2_2020"]``.
    annotations, images : "auto", str or Path, default="auto"
        The two folders; "auto" finds them. `images` may hold videos (``VIDEO.mp4``).
    landmarks, index : object, default="auto"
        As in `load_bp4d`.
    n_jobs : int or None, default=-1
        As in `load_bp4d`.
    verbose : bool, default=False
        As in `load_bp4d`.

    Returns
    -------
    bunch : Bunch
        As in `load_bp4d`; ``subject`` is the video. A frame with a -1 has no label.

    Raises
    ------
    FileNotFoundError, LabelError, DatasetError, FaceImageError
        As in `load_bp4d`.

    Examples
    --------
    >>> from skfau.datasets import load_affwild2
    >>> bunch = load_affwild2("/data/Aff-Wild2")  # doctest: +SKIP
    """
    root = Path(root).absolute()
    return load_recordings(
        DataSet("affwild2", root, (subset, annotations, images, landmarks)),
        _find_recordings(root, subset, annotations, images, landmarks),
        read_labels=_labels,
        aus=check_aus(aus),
        first_frame=1,
        about=_ABOUT.format(subset=subset),
        reading={"index": index, "n_jobs": n_jobs, "verbose": verbose},
    )


def _find_recordings(root, subset, annotations, images, landmarks):
    if subset not in _SUBSETS:
        raise ValueError(f"subset must be one of {tuple(_SUBSETS)}, got {subset!r}")
    labels = _labels_of(_find(root, annotations, _ANNOTATIONS, "annotations"), subset)
    sources = _sources(_find(root, images, _IMAGES, "images"))
    folders = landmark_folders(root, landmarks, ("landmarks68",))
    recordings = []
    for name, path in labels.items():
        points, looked = landmark_files(folders, name)
        recordings.append(
            Recording(
                name=name,
                subject=name,
                labels=path,
                source=sources.get(name),
                others=looked,
                read=partial(_read, sources.get(name), path, points),
            )
        )
    check_any(landmarks, folders, recordings)
    return recordings


def _find(root, folder, names, parameter):
    """Return the folder that the user names, or the only one with a usual name."""
    if folder != "auto":
        found = [p for p in (root / folder, Path(folder)) if p.is_dir()][:1]
    else:
        levels = ["*/" * depth for depth in range(_DEPTH)]
        places = [root, *(p for level in levels[1:] for p in sorted(root.glob(level)))]
        found = [p / n for p in places for n in names if (p / n).is_dir()]
    if len(found) > 1:
        raise DatasetError(
            f"found {' and '.join(map(str, found))}; say which with {parameter}=FOLDER"
        )
    if not found:
        raise FileNotFoundError(
            f"found no folder {folder if folder != 'auto' else ' or '.join(names)} in "
            f"{root}; pass {parameter}=FOLDER"
        )
    return found[0]


def _sources(folder):
    """Map video to the folder or the file of its frames."""
    return one_source_each(
        (path.stem if is_video(path) else path.name, path)
        for path in sorted(folder.glob("[!.]*"))
        if is_video(path) or path.is_dir()
    )


def _labels_of(folder, subset):
    """Map video to its file of annotations."""
    files = {}
    for part in _SUBSETS[subset]:
        if not (folder / part).is_dir():
            raise FileNotFoundError(f"there is no folder {folder / part}")
        for path in sorted((folder / part).glob("[!.]*.txt")):
            if path.stem in files:
                raise LabelError(
                    f"{path} and {files[path.stem]} annotate the same video; it cannot "
                    "be for training and for validation"
                )
            files[path.stem] = path
    return files


def _read(source, path, points):
    """Read one video; the index stores the result."""
    lines = read_lines(path)
    matches = [_AU.fullmatch(cell) for cell in (lines or [""])[0].split(",")]
    if None in matches:
        raise LabelError(
            f"{path}, line 1: expected the names of the AUs (AU1,AU2,...), got "
            f"{lines[0][:60] if lines else 'nothing'!r}"
        )
    aus = tuple(int(match[1]) for match in matches)
    check_header(path, aus)
    table, numbers = int_table(path, lines, skip=1, n_columns=len(aus))
    check_codes(path, table, numbers, aus, (-1, 0, 1), "0, 1 or -1 (invalid)")
    # A blank line would shift the frame numbers of all rows below it.
    blank = np.flatnonzero(numbers != np.arange(2, len(numbers) + 2))
    if len(blank):
        raise LabelError(
            f"{path}, line {blank[0] + 2}: is blank; every line is a frame"
        )
    valid = (table >= 0).all(axis=1)
    frames = numbers[valid] - 1
    record = read_images(source)
    if 0 in record["images"]:
        raise DatasetError(
            f"{source} holds an image 0, and Aff-Wild2's images count from 1: which "
            "image the first label belongs to cannot be told. Rename them."
        )
    return {
        **record,
        "frames": frames.astype(np.int32),
        "occurrence": code_table(len(frames), aus, table[valid]),
        **read_points(points, frames, record),
    }


def _labels(recording, rows, aus):
    """Return the target of the wanted rows."""
    codes = recording.record["occurrence"][np.ix_(rows, aus)]
    lacking = [a for a, code in zip(aus, codes[:1].T, strict=True) if NOT_CODED in code]
    if lacking:
        raise LabelError(
            f"{recording.labels} has no column for AU {', '.join(map(str, lacking))}; "
            "pass aus= without (the first challenge coded "
            'DATASET_AUS["affwild2_2020"])'
        )
    return codes.astype(np.float32), None
