"""``python -m skfau predict``: from images and videos to a table of AUs."""

import hashlib
import sys
import warnings
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.pipeline import Pipeline
from tqdm import tqdm

import skfau
from skfau._arrays import stamp
from skfau._unwrap import find_aus, find_thresholds, parts
from skfau.cli._result_table import header, rows_of, unread_row
from skfau.cli._sources import find_sources
from skfau.cli._work_folder import RememberingDetector, WorkFolder
from skfau.exceptions import (
    FaceImageError,
    MissingFaceWarning,
    SeveralFacesWarning,
)
from skfau.model_selection import SmoothedClassifier
from skfau.preprocessing import FaceAligner, MeshDetector, find_faces

_BLOCK = 512  # rows that are predicted and written at once
_MIN_FACE = 1 / 10  # of the longer side of an image, as find_faces takes it
_NO_FACE = ("", "no face found", "no face but of other people")
_SHOWN = 5  # files that cannot be read, of each source


def predict(paths, model, output, every, people, columns):
    """Write the table of a command line; return the exit code.

    Parameters
    ----------
    paths : sequence of str
        Images, videos and folders of them.
    model : str
        File of a chain, as `skfau.save` writes it.
    output : str
        The CSV file to write.
    every : float or None
        Seconds between the frames of a video; None means all frames.
    people : {"all", "largest"}
        See `find_faces`.
    columns : {"skfau", "openface"}
        Names and order of the columns.

    Returns
    -------
    code : int
        0, or 1 if an image or a video cannot be read.

    Raises
    ------
    OSError, ValueError
        If nothing can be predicted; the message says why.
    """
    began = perf_counter()
    output = Path(output)
    _check_options(output, every)
    sources, n_others = find_sources(paths)
    chain = skfau.load(model)
    detector = _check_chain(chain, model)
    files = [stamp(path) for source in sources for path in source.paths]
    job = {
        "version": skfau.__version__,
        "model": hashlib.sha256(Path(model).read_bytes()).hexdigest(),
        "paths": files,
        "every": every,
        "people": people,
        "format": columns,
    }
    work = WorkFolder(output, job)
    total, n_new = Counter(), 0
    for number, source in enumerate(sources):
        counts = work.summary(number)
        if counts is None:
            remembering = RememberingDetector(detector, work.path, number)
            write = _Writer(work, number, source, columns, chain)
            counts = _predict_source(source, every, people, remembering, write)
            work.close(number, counts)
            n_new += remembering.n_searched
        total.update(counts)
    work.finish(header(find_aus(chain), columns))
    speed = n_new / (perf_counter() - began)
    print(_summary(total, n_others, speed, output))
    return 1 if total["unread"] else 0


def _check_options(output, every):
    if output.suffix.lower() != ".csv":
        raise ValueError(f"the table is a CSV file: -o must end in .csv, got {output}.")
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ValueError(f"{output} is a folder, or its folder does not exist.")
    if every is not None and not 0 < every < np.inf:
        raise ValueError(f"--every must be seconds, above 0, got {every}.")


def _check_chain(chain, path):
    """Return the detector of a chain; raise if it cannot take images as they are."""
    aligner = next((p for p in parts(chain) if isinstance(p, FaceAligner)), None)
    if aligner is None:
        raise ValueError(
            f"{path} holds a {type(chain).__name__} without a FaceAligner, so that "
            "images cannot be aligned as its training faces were. Save the whole "
            "chain: skfau.save(make_pipeline(FaceAligner(...), classifier), path)."
        )
    if not hasattr(chain, "predict_proba"):
        raise ValueError(
            f"the model in {path} gives no probabilities (it has no predict_proba); "
            "save a chain that ends in a classifier of AUs."
        )
    if isinstance(aligner.detector, str):
        return MeshDetector(min_face=_MIN_FACE)
    if not hasattr(aligner.detector, "faces"):
        raise ValueError(
            f"the FaceAligner in {path} takes landmarks of {aligner.detector!r}, which "
            "finds one face per image; predict needs one that finds all faces, such "
            "as MeshDetector."
        )
    return aligner.detector


class _Writer:
    """Predicts the found faces of a source, and writes their rows block by block."""

    def __init__(self, work, number, source, columns, chain):
        self._work, self._number, self._source = work, number, source
        self._columns, self._chain = columns, chain

    def unread(self, reason):
        """Write the row of a source that cannot be read."""
        n_aus = len(find_aus(self._chain))
        line = unread_row(self._source.paths[0], reason, n_aus, self._columns)
        self._work.write(self._number, 0, line)

    def __call__(self, found):
        """Write the rows of found faces that are not written yet."""
        found, faces, model, size = _split(self._chain, found)
        files = np.zeros(len(found), int) if self._source.is_video else found.row
        thresholds = find_thresholds(self._chain)
        with tqdm(total=len(found), desc="AUs", unit="face", disable=None) as bar:
            for start in range(0, len(found), size):
                rows = slice(start, start + size)
                if not self._work.has(self._number, start):
                    lines = rows_of(
                        found[rows],
                        [self._source.paths[at] for at in files[rows]],
                        model.predict_proba(faces[rows]),
                        thresholds,
                        self._columns,
                    )
                    self._work.write(self._number, start, lines)
                bar.update(len(faces[rows]))


def _split(chain, found):
    """Return found faces, what of a chain is to take them, and rows at once.

    Aligned once, blocks of rows still know their neighbours in the video. A smoother,
    or an aligner deeper inside, sees all rows of a source.
    """
    smooths = any(isinstance(part, SmoothedClassifier) for part in parts(chain))
    if not isinstance(chain, Pipeline) or not isinstance(chain[0], FaceAligner):
        return found, found, chain, len(found)
    aligned = chain[0].transform(found)
    found = found.with_columns(status=aligned.status)
    return found, aligned, chain[1:], len(found) if smooths else _BLOCK


def _predict_source(source, every, people, detector, write):
    """Write the rows of a source; return its counts."""
    try:
        faces = source.faces(every)
    except FaceImageError as error:
        print(f"not read: {error}", file=sys.stderr)
        write.unread(str(error))
        return {"frames": 0, "faces": 0, "empty": 0, "several": 0, "unread": 1}
    with warnings.catch_warnings():
        # The summary counts these rows, and the table tells why.
        warnings.simplefilter("ignore", MissingFaceWarning)
        warnings.simplefilter("ignore", SeveralFacesWarning)
        shown = sys.stderr.isatty()
        found = find_faces(faces, detector, people=people, verbose=shown)
        write(found)
    unread = ~np.isin(found.status.astype(str), _NO_FACE)
    for reason in found.status[unread][:_SHOWN]:
        print(f"not read: {reason}", file=sys.stderr)
    n_faces = found.n_faces[np.unique(found.row, return_index=True)[1]]
    return {
        "frames": len(faces),
        "faces": int((found.person >= 0).sum()),
        "empty": int((n_faces == 0).sum() - unread.sum()),
        "several": int((n_faces > 1).sum()),
        "unread": int(unread.sum()),
    }


def _summary(total, n_others, speed, output):
    others = f", {n_others} other files left out" if n_others else ""
    return (
        f"{output}: {total['frames']} frames (searched {speed:.1f} a second), "
        f"{total['faces']} faces, {total['empty']} frames without a face, "
        f"{total['several']} frames with several people, "
        f"{total['unread']} not read{others}"
    )
