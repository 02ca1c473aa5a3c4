"""dlib as a landmark detector; the user provides dlib and a predictor file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skfau.preprocessing._mesh import prefer_large


class DlibDetector:
    """Detect a face and its 68 landmarks with dlib and your own predictor file.

    Parameters
    ----------
    predictor : str or Path
        A ``shape_predictor_68_face_landmarks.dat``. It is not shipped: the data that
        it was trained on (300-W) exclude commercial use.
    upsample : int, default=1
        How often dlib doubles the image before it detects faces (80 pixels or more).

    Raises
    ------
    ImportError
        When it is first used, if dlib is not installed.

    Notes
    -----
    It runs in one thread. dlib's objects are made on first use and are not pickled.
    Faces rolled by 45 degrees or more are rarely found.
    """

    def __init__(self, predictor: str | Path, upsample: int = 1) -> None:
        self.predictor = predictor
        self.upsample = upsample
        self._models = None

    def __repr__(self):
        return f"{type(self).__name__}({str(self.predictor)!r}, {self.upsample!r})"

    def __getstate__(self):
        return {**self.__dict__, "_models": None}

    def _load(self):
        if self._models is None:
            try:
                import dlib
            except ImportError as error:
                raise ImportError(
                    "DlibDetector needs the package dlib; install it, or use the "
                    'embedded detector="mesh".'
                ) from error
            if not Path(self.predictor).is_file():
                raise FileNotFoundError(
                    f"there is no predictor file {str(self.predictor)!r}; DlibDetector "
                    "needs the path of dlib's 68-point shape predictor."
                )
            self._models = (
                dlib.get_frontal_face_detector(),
                dlib.shape_predictor(str(self.predictor)),
                dlib.rectangle,
            )
        return self._models

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Detect landmarks; the same contract as `MeshDetector`."""
        return self.landmarks(images, self.boxes(images))

    def boxes(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float64]]:
        """Find the faces of each image; the same contract as `MeshDetector.boxes`.

        Roll is always 0 and scores are dlib's margins.
        """
        detector = self._load()[0]
        found = []
        for image in images:
            rectangles, scores, _ = detector.run(image, self.upsample, 0.0)
            edges = [(r.left(), r.top(), r.right(), r.bottom()) for r in rectangles]
            edges = np.array(edges, dtype=np.float64).reshape(-1, 4)
            low, high = edges[:, :2], edges[:, 2:]
            rest = np.column_stack([np.zeros(len(edges)), scores])
            boxes = np.hstack([(low + high) / 2, high - low, rest])
            found.append(prefer_large(boxes))
        return found

    def faces(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> list[tuple[NDArray[Any], ...]]:
        """Find all faces and landmarks; the same contract as `MeshDetector.faces`."""
        found = self.boxes(images)
        return [
            (boxes, self.landmarks([image] * len(boxes), boxes[:, None]))
            for image, boxes in zip(images, found, strict=True)
        ]

    def landmarks(
        self, images: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """Find landmarks in each image's first box, as `MeshDetector.landmarks`."""
        _, predictor, rectangle = self._load()
        landmarks = np.full((len(images), 68, 2), np.nan, dtype=np.float32)
        for image, points, faces in zip(images, landmarks, boxes, strict=True):
            for x, y, width, height, _, _ in faces[:1]:
                edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                shape = predictor(image, rectangle(*(round(e) for e in edges)))
                points[:] = [(p.x, p.y) for p in shape.parts()]
        return landmarks
