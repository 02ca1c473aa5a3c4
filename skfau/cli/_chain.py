"""The chain of a command line: its detector, and what it says of found faces."""

import hashlib
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

import skfau
from skfau._single_au import au_probabilities
from skfau._unwrap import find_aus, find_having, find_thresholds, parts
from skfau.exceptions import MissingFaceWarning
from skfau.faces import Faces
from skfau.model_selection import ProbabilitySmoother, SmoothedClassifier
from skfau.preprocessing import FaceAligner, MeshDetector
from skfau.preprocessing._find_faces import FaceFollower

_MIN_FACE = 1 / 10  # of the longer side of an image, as find_faces takes it
_SMOOTHERS = SmoothedClassifier, ProbabilitySmoother


def load_model(path):
    """Return the model of ``--model``; None means the shipped one.

    Raises
    ------
    OSError, ValueError
        If there is no such file, or it holds something else.
    """
    if path is None:
        return skfau.load_pretrained()
    if not Path(path).is_file():
        fault = "is a folder" if path and Path(path).is_dir() else "is not there"
        raise FileNotFoundError(
            f"--model {path!r} {fault}; check the path. Expected a file written by "
            "skfau.save or by train."
        )
    return skfau.load(path)


class Chain:
    """A fitted chain that takes images as they are.

    Parameters
    ----------
    path : str or None
        File of `skfau.save`; None means the shipped model.

    Raises
    ------
    OSError, ValueError
        If there is no such chain.
    """

    def __init__(self, path):
        self._name = "the shipped model" if path is None else path
        self.path = None if path is None else str(Path(path).absolute())
        self.model = load_model(path)
        self.digest = "shipped"
        if path is not None:
            self.digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        self.aus = find_aus(self.model)
        self.thresholds = find_thresholds(self.model)
        self._aligner = self._find_aligner()
        self._detector = self._find_detector()

    def _find_aligner(self):
        found = (p for p in parts(self.model) if isinstance(p, FaceAligner))
        aligner = next(found, None)
        if aligner is None:
            raise ValueError(
                f"{self._name} holds a {type(self.model).__name__} without a "
                "FaceAligner, so that images cannot be aligned as its training faces "
                "were. Save the whole chain: "
                "skfau.save(make_pipeline(FaceAligner(...), classifier), path)."
            )
        if not hasattr(self.model, "predict_proba"):
            raise ValueError(
                f"the model in {self._name} gives no probabilities (it has no "
                "predict_proba); save a chain that ends in a classifier of AUs."
            )
        return aligner

    def _find_detector(self):
        detector = self._aligner.detector
        if isinstance(detector, str):
            return MeshDetector(min_face=_MIN_FACE)
        if not hasattr(detector, "faces"):
            raise ValueError(
                f"the FaceAligner in {self._name} takes landmarks of {detector!r}, "
                "which finds one face per image; predict needs one that finds all "
                "faces, such as MeshDetector."
            )
        return detector

    @cached_property
    def smooths(self):
        """Whether probabilities need all rows of a video at once."""
        return any(isinstance(part, _SMOOTHERS) for part in parts(self.model))

    @cached_property
    def by_frame(self):
        """Whether a face's AUs need no other frame of the video."""
        return not self.smooths and not any(
            getattr(part, "interval", None) for part in parts(self.model)
        )

    @cached_property
    def _aligns_first(self):
        first = self.model[0] if isinstance(self.model, Pipeline) else None
        return isinstance(first, FaceAligner)

    def follower(self):
        """Return what finds the faces of a new recording."""
        return FaceFollower(self._detector)

    def align(self, found):
        """Return found faces as the rest of the chain takes them, and that rest.

        Aligned once, blocks of rows still know their neighbours in the video.
        """
        if not self._aligns_first:
            return found, self.model
        with warnings.catch_warnings():
            # The table tells why.
            warnings.simplefilter("ignore", MissingFaceWarning)
            return self.model[0].transform(found), self.model[1:]

    def look_at(self, found):
        """Return what is known of found faces, and those that are to be judged.

        Returns
        -------
        arrays : dict of ndarray
            Of length n: columns of `find_faces`, with ``source``, what
            `FaceFollower.recall` needs, and ``probabilities`` (n, n_aus), NaN yet, if
            these need no other frames.
        faces : Faces or None
            The rows with a face, for `judge`; they hold no images of the source if
            the chain aligns first.
        """
        part = FaceFollower.memory_of(found)
        part |= {name: found.column(name) for name in ("source", "n_faces")}
        n = len(found)
        part["frame"] = found.frame if "frame" in found.columns else np.zeros(n, int)
        unknown = np.full(n, np.nan)
        part["time"] = found.column("time") if "time" in found.columns else unknown
        status = found.status.copy()
        seen, faces = found.person >= 0, None
        if self.by_frame:
            part["probabilities"] = np.full((n, len(self.aus)), np.nan, np.float32)
            if seen.any():
                faces, _ = self.align(found[seen])
                status[seen] = faces.status
                if self._aligns_first:
                    faces = faces.with_images(faces.images[...])
        return part | {"status": status.astype(str)}, faces

    def judge(self, parts, faces):
        """Fill in the probabilities of parts with their faces, see `look_at`."""
        rest = self.model[1:] if self._aligns_first else self.model
        known = [(p, f) for p, f in zip(parts, faces, strict=True) if f is not None]
        if not known:
            return
        together = Faces.concat([each for _, each in known])
        ends = np.cumsum([len(each) for _, each in known])[:-1]
        values = np.split(self.probabilities(rest, together), ends)
        for (part, _), own in zip(known, values, strict=True):
            part["probabilities"][part["person"] >= 0] = own

    def probabilities(self, rest, faces):
        """Return the probabilities that the rest of the chain gives, (n, n_aus)."""
        return np.asarray(au_probabilities(rest, faces, len(self.aus)))

    def intensities(self, probabilities):
        """Return how strong AUs are, from 0 to 5; None if the chain does not know."""
        try:
            final, _ = find_having(self.model, "to_intensity")
        except TypeError:
            return None
        return np.asarray(final.to_intensity(probabilities), np.float32)
