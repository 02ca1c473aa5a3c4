"""Videos of people drawn as gray squares, and a detector that finds the squares."""

import numpy as np

from skfau import Faces

HEIGHT, WIDTH = 60, 240
_SHAPE = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 2))
_SHAPE[:4] = [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]


class SquareDetector:
    """Finds each square, and does not tell which is which."""

    def __repr__(self):
        return "SquareDetector()"

    def __call__(self, images):
        """Find nothing: all faces are asked for instead."""
        raise AssertionError("a detector of all faces is asked for all")

    def faces(self, images):
        """Return boxes and landmarks of each image, the largest first."""
        return [self._faces(image[..., 0]) for image in images]

    def _faces(self, image):
        boxes = []
        for gray in np.unique(image[image > 0]):
            y, x = np.nonzero(image == gray)
            low, high = np.array([x.min(), y.min()]), np.array([x.max(), y.max()]) + 1
            boxes.append([*(low + high - 1) / 2, *(high - low), 0.0, 0.9])
        boxes = np.array(boxes, dtype=float).reshape(-1, 6)
        # By place, so that order says nothing about who it is.
        boxes = boxes[np.lexsort((boxes[:, 0], -boxes[:, 2] * boxes[:, 3]))]
        points = boxes[:, None, :2] + _SHAPE * boxes[:, None, 2:4]
        return boxes, points.astype(np.float32)


def film(people, n_frames, **columns):
    """Draw people, each a function of the frame: (x, y, side), or None when away.

    Who is drawn first has gray level 1, the next 2, and so on.
    """
    images = np.zeros((n_frames, HEIGHT, WIDTH), np.uint8)
    for frame, image in enumerate(images):
        for gray, person in enumerate(people, 1):
            place = person(frame)
            if place is not None:
                x, y, side = map(int, place)
                image[y : y + side, x : x + side] = gray
    video = np.full(n_frames, "v")
    return Faces(images, video=video, frame=np.arange(n_frames), **columns)


def truth(found):
    """Return who is in each row, by the gray level in the middle of its box."""
    box = found.column("box")
    middle = np.nan_to_num((box[:, :2] + box[:, 2:]) / 2).round().astype(int)
    images = found.images[...][..., 0]
    return images[np.arange(len(found)), middle[:, 1], middle[:, 0]].astype(int)
