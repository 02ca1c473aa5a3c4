"""The data of a protocol: what is learned and what is scored, round by round."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skfau import datasets
from skfau.faces import Faces
from skfau.facs import DATASET_AUS
from skfau.model_selection import PublishedKFold, SubjectKFold
from skfau.preprocessing import FaceAligner, prepare


class Part(NamedTuple):
    """Faces, their labels, and their rows among all that are scored."""

    faces: Faces
    target: np.ndarray
    rows: np.ndarray | None = None


@dataclass
class Reader:
    """Loads and aligns the data sets of a run.

    Parameters
    ----------
    aligner : dict
        Parameters of FaceAligner that differ from the protocol's.
    prepared : str, Path or None
        Folder of aligned faces.
    numbering : str
        Order of the published folds.
    verbose : bool
        Whether to show progress on standard error.

    Attributes
    ----------
    deviating : list of str
        Videos read so far that differ from the published ones.
    """

    aligner: dict
    prepared: str | Path | None
    numbering: str
    verbose: bool

    def __post_init__(self):
        self.deviating = []

    def read(self, data, root, part, aligner, options):
        """Return the `Part` ``"train"`` or ``"test"`` of a data set; with folds, all.

        Parameters
        ----------
        data : DataSet
            What to read.
        root : str or Path
            Its folder.
        part : {"train", "test"}
            Which part.
        aligner : dict or None
            The protocol's.
        options : dict
            Other parameters of the loader.
        """
        given = {**data.loader, **getattr(data, part), **options}
        load = getattr(datasets, f"load_{data.load}")
        bunch = load(root, verbose=self.verbose, **given)
        self.deviating += getattr(bunch.report, "deviating", ())
        if aligner is None:
            return Part(bunch.data, bunch.target)
        align = FaceAligner(**{"verbose": self.verbose, **aligner, **self.aligner})
        if self.prepared is None:
            return Part(align.fit_transform(bunch.data), bunch.target)
        place = Path(self.prepared) / data.name
        place = place if data.folds is not None else place / part
        faces = prepare(bunch.data, align, place, verbose=self.verbose)
        return Part(faces, bunch.target)

    def rounds(self, protocol, roots, options):
        """Yield the learned and the scored `Part` of every round.

        Parameters
        ----------
        protocol : Protocol
            Says how data sets are divided.
        roots : dict
            Folder of every data set.
        options : dict
            Other parameters of the loaders.
        """
        data, align = protocol.data, protocol.aligner
        if protocol.learned != (data,):
            yield self._learned(protocol, roots), self._scored(protocol, roots, options)
            return
        learned = self.read(data, roots[data.name], "train", align, options)
        if data.folds is None:
            scored = self.read(data, roots[data.name], "test", align, options)
            yield learned, scored._replace(rows=np.arange(len(scored.faces)))
            return
        splitter = self._splitter(data)
        for train, test in splitter.split(learned.faces, learned.target):
            yield _take(learned, train), _take(learned, test)

    def _splitter(self, data):
        if isinstance(data.folds, str):
            return PublishedKFold(data.folds, self.numbering)
        return SubjectKFold(data.folds)

    def _learned(self, protocol, roots):
        """Return all that is learned together."""
        pooled = []
        for data in protocol.learned:
            part = self.read(data, roots[data.name], "train", protocol.aligner, {})
            part = _take(part, np.flatnonzero(~_held_out(data, part.faces)))
            names = np.full(len(part.faces), data.name)
            faces = part.faces.with_columns(dataset=names)
            given = DATASET_AUS[data.name]
            pooled.append((faces, spread(part.target, given, protocol.learned_aus)))
        faces, targets = zip(*pooled, strict=True)
        return Part(Faces.concat(faces), np.concatenate(targets))

    def _scored(self, protocol, roots, options):
        """Return what is scored by a network that learned several data sets."""
        data, align = protocol.data, protocol.aligner
        part = self.read(data, roots[data.name], "test", align, options)
        if data in protocol.learned and data.folds is not None:
            part = _take(part, np.flatnonzero(_held_out(data, part.faces)))
        columns = np.isin(DATASET_AUS[data.name], protocol.aus)
        return Part(part.faces, part.target[:, columns], np.arange(len(part.faces)))


def _take(part, rows):
    return Part(part.faces[rows], part.target[rows], rows)


def _held_out(data, faces):
    """Return which rows are in the last published fold of a data set, if it has one."""
    if data.folds is None:
        return np.zeros(len(faces), bool)
    folds = PublishedKFold(data.folds)
    return folds.test_folds(faces) == folds.get_n_splits() - 1


def spread(target, given, wanted):
    """Return labels with a column for every wanted AU, NaN where there are none.

    Parameters
    ----------
    target : ndarray of shape (n, n_given), dtype float32
        Labels.
    given, wanted : tuple of int
        AUs of the columns before and after.
    """
    labels = np.full((len(target), len(wanted)), np.nan, np.float32)
    for au, column in zip(given, target.T, strict=True):
        if au in wanted:
            labels[:, wanted.index(au)] = column
    return labels


def thinned(part, every):
    """Return every so many-th frame of each video.

    Parameters
    ----------
    part : Part
        Rows of a video one after the other.
    every : int
        1 keeps all.
    """
    faces = part.faces
    places = np.arange(len(faces))
    if "video" in faces.columns:
        _, first, video = np.unique(faces.video, return_index=True, return_inverse=True)
        places = places - first[video]
    return _take(part, np.flatnonzero(places % every == 0)) if every > 1 else part
