"""Rendered people whose action units are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skfau.datasets._recordings import check_aus, check_threshold
from skfau.datasets.rendered._rendered_file import read_rendered
from skfau.exceptions import LabelError
from skfau.faces import Faces

_HERE = Path(__file__).parent
_DESCR = """Rendered faces
==============

{n} images of {n_people} people who do not exist, rendered in 3-D from {source}.

data        Faces with the columns landmarks (iBUG-68, pixels), subject, video, frame
target      1 where an AU's intensity is at least {threshold}, else 0, NaN where unknown
intensity   0 to 5 for each AU
aus         {aus}

The heads are those of ICT Face Model Light (c) USC Institute for Creative Technologies,
MIT licence. Results on rendered faces say how a method learns, not how well it does on
photographs of people.
"""


def load_rendered(
    path: str | Path | None = None,
    *,
    aus: Sequence[int] | None = None,
    threshold: float = 2,
) -> Bunch:
    """Load rendered faces: those of the package, or files that the renderer wrote.

    Parameters
    ----------
    path : str, Path or None, default=None
        An ``.npz`` file of ``benchmarks/rendering``, or a folder of them. None is the
        small set that the package carries: 72 people in 6 frames each, 160 x 160
        pixels, 18 AUs that occur nearly independently, in 11 to 47 % of the frames.
    aus : sequence of int or None, default=None
        AUs to load; None takes all that a file knows, rising.
    threshold : float, default=2
        Lowest intensity, above 0 and at most 5, that counts as present.

    Returns
    -------
    bunch : Bunch
        ``data``: `Faces` of n rows with the columns ``landmarks``, float32 of shape
        (n, 68, 2), pixels, x then y, the points of the rendered heads without error;
        ``subject``, which is one for one person of one seed; ``video``, ``frame`` (from
        0); and others of the file, as ``glasses``. ``target``: float32 of shape
        (n, n_aus) in {0, 1, NaN}. ``intensity``: float32 of shape (n, n_aus), 0 to 5.
        ``aus``: tuple of int. ``DESCR``: str. An AU that a file does not know is NaN in
        its rows.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no ``.npz`` file in the folder.
    DatasetError
        If a file is something else, damaged, compressed, or lacks an array.
    LabelError
        If no file knows an AU of `aus`.
    TypeError, ValueError
        If a parameter is wrong.

    Notes
    -----
    Images stay in their files: uint8 pixels are mapped, JPEG bytes decoded when asked
    for. The labels are compared with their checksums, the images are not.

    Examples
    --------
    >>> from skfau.datasets import load_rendered
    >>> faces = load_rendered(aus=(6, 12))
    >>> faces.target.shape
    (432, 2)
    """
    check_threshold(threshold)
    source = _HERE / "faces.npz" if path is None else Path(path)
    files = [read_rendered(each) for each in _paths(source)]
    aus = _aus(source, files, aus)
    levels = np.concatenate([_levels(file, aus) for file in files])
    parts = [
        _faces(file, each.stem)
        for file, each in zip(files, _paths(source), strict=True)
    ]
    data = parts[0] if len(parts) == 1 else Faces.concat(parts)
    return Bunch(
        data=data,
        target=np.where(np.isnan(levels), np.nan, levels >= threshold).astype("f4"),
        intensity=levels,
        aus=aus,
        DESCR=_DESCR.format(
            n=len(data),
            n_people=len(np.unique(data.subject)),
            source=source.name,
            threshold=threshold,
            aus=aus,
        ),
    )


def _paths(source):
    if not source.is_dir():
        return [source]
    paths = sorted(source.glob("*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"there is no .npz file in {source}; pass the folder that the renderer "
            "wrote to"
        )
    return paths


def _aus(source, files, aus):
    known = sorted({au for file in files for au in file.meta["all_aus"]})
    if aus is None:
        return tuple(known)
    aus = check_aus(aus)
    lacking = [au for au in aus if au not in known]
    if lacking:
        raise LabelError(
            f"{source} does not know AU {', '.join(map(str, lacking))}; it has "
            f"{', '.join(map(str, known))}"
        )
    return aus


def _levels(file, aus):
    """Return the intensity of AUs in a file, NaN where it does not know one."""
    known = file.meta["all_aus"]
    levels = np.full((len(file.images), len(aus)), np.nan, np.float32)
    for column, au in enumerate(aus):
        if au in known:
            levels[:, column] = file.arrays["all_intensities"][:, known.index(au)]
    return levels


def _faces(file, name):
    """Return the faces of a file; who is in them is told by seed and number."""
    columns = dict(file.arrays)
    del columns["all_intensities"]
    people, videos = columns.pop("subject"), columns.pop("video")
    return Faces(
        file.images,
        landmarks=columns.pop("landmarks_clean"),
        subject=[f"{file.meta['seed']}-{number:05d}" for number in people],
        video=[f"{name}-{number:05d}" for number in videos],
        **columns,
    )


def sample_files() -> Bunch:
    """Return the names of pictures and of a film that the package carries.

    They show rendered people, and are there to try what takes files, as
    ``python -m skfau predict``.

    Returns
    -------
    files : :class:`~sklearn.utils.Bunch`
        ``pictures``: tuple of str, four JPEG files of 400 x 400 pixels; ``film``: str,
        one person in 60 frames of 320 x 320 pixels, six seconds; ``picture_table`` and
        ``film_table``: str, CSV files of their intensities, for `load_table`.

    Examples
    --------
    >>> from skfau.datasets import load_table, sample_files
    >>> film = load_table(sample_files().film_table, threshold=2)
    >>> film.data.image_shape, film.target.shape
    ((320, 320), (60, 18))
    """
    return Bunch(
        pictures=tuple(map(str, sorted(_HERE.glob("*.jpg")))),
        film=str(_HERE / "film.mp4"),
        picture_table=str(_HERE / "pictures.csv"),
        film_table=str(_HERE / "film.csv"),
    )
