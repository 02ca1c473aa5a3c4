"""BlazeFace boxes and Face Mesh points, run one image at a time by OpenCV.

The networks are Google's MediaPipe files in ``_models`` (Apache-2.0, see NOTICE there).
Their pre- and post-processing is written anew from the published graph descriptions.
"""

from collections import deque
from importlib.resources import as_file, files
from itertools import pairwise

import cv2
import numpy as np

from skfau import _facs_table
from skfau.preprocessing._similarity import MEAN_FACE, fit_similarity
from skfau.preprocessing._warp import warp_face

MESH_TO_68 = np.array(_facs_table.MESH_TO_68)
_EYE_CORNERS = (33, 263)
# The mesh's box on the mean face, measured on rendered faces.
_BOX_CENTRE = np.array([0.0, 0.49])
_BOX_SIDE = 2.62
_MESH_SIZE = 192
_ROI_ENLARGE = 1.5
_MIN_SCORE = 0.5
_MIN_LOGIT = 2.0  # a probability of 0.88
_SURE_LOGIT = 10.0  # upright faces reach 7 to 30, wrongly turned ones at most 6
_MAX_PASSES = 6
_SETTLED = np.radians(2)
# Between two frames: farther away, as a share of the region's side, as a factor and in
# radians, points of one pass are less exact than those of a search.
_NEAR = np.array([0.05, np.log(1.05), np.radians(4)])
_MAX_FOLLOWS = 3
_SURE_SCORE = 0.75  # below it a short-range box may be wrong, and full range is asked
_OVERLAP = 0.3
# The full-range network surely finds faces of a tenth of what it is shown.
_SURE_SHARE = 10
_ZOOM = 2.5  # tiles are at most so many times smaller than those before them
_MARGIN = 1.2  # a face needs some surroundings in its tile


def _sigmoid(logits):
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0)))


def _load(name):
    # Only the path form of OpenCV 5 honours the engine, and its new engine returns one
    # output of several; OpenCV 4 knows no engines.
    engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
    with as_file(files("skfau.preprocessing") / "_models" / name) as path:
        if engine is None:
            return cv2.dnn.readNetFromTFLite(str(path))
        return cv2.dnn.readNetFromTFLite(str(path), engine)


class _BoxNet:
    """One BlazeFace network: image -> scored boxes with eye lines."""

    def __init__(self, name, size, outputs, grids):
        self.net = _load(name)
        self.size = size
        self.outputs = outputs
        self.anchors = np.concatenate(
            [
                np.repeat(
                    (np.mgrid[:n, :n].reshape(2, -1)[::-1].T + 0.5) / n, k, axis=0
                )
                for n, k in grids
            ]
        )

    def __call__(self, image):
        """Return boxes (k, 6): x, y, width, height (pixels), roll (radians), score."""
        height, width = image.shape[:2]
        scale = self.size / max(height, width)
        inner = np.maximum(np.rint([width * scale, height * scale]), 1).astype(int)
        left, top = (self.size - inner) // 2
        canvas = np.zeros((self.size, self.size, 3), dtype=np.uint8)
        canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
            image,
            tuple(inner.tolist()),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        self.net.setInput(cv2.dnn.blobFromImage(canvas, 1 / 127.5, mean=(127.5,) * 3))
        scores, raw = self.net.forward(self.outputs)
        scores = _sigmoid(scores.reshape(-1).astype(np.float64))
        keep = np.flatnonzero(scores >= _MIN_SCORE)
        # Eight points per anchor: centre, (width, height), then six key points, of
        # which the first two are the eyes.
        points = raw.reshape(-1, 8, 2)[keep].astype(np.float64) / self.size
        points[:, [0, 2, 3, 4, 5, 6, 7]] += self.anchors[keep, None]
        points *= self.size
        points[:, [0, 2, 3, 4, 5, 6, 7]] -= (left, top)
        points *= np.array([width, height]) / inner
        points[:, [0, 2, 3, 4, 5, 6, 7]] -= 0.5  # from pixel edges to pixel centres
        return _merge_boxes(points, scores[keep])


def _merge_boxes(points, scores):
    """Average overlapping boxes by their scores, best first."""
    merged = []
    for group in _overlapping(points[:, 0], points[:, 1], scores):
        mean = np.average(points[group], axis=0, weights=scores[group])
        roll = np.arctan2(*(mean[3] - mean[2])[::-1])
        merged.append([*mean[0], *mean[1], roll, scores[group[0]]])
    return np.array(merged, dtype=np.float64).reshape(-1, 6)


def _overlapping(centres, sizes, scores):
    """Group boxes with the best box that they overlap; yield arrays of rows."""
    low, high = centres - sizes / 2, centres + sizes / 2
    area = np.maximum(sizes, 0).prod(axis=1)
    order = np.argsort(-scores, kind="stable")
    while len(order):
        best = order[0]
        common = np.minimum(high[best], high[order]) - np.maximum(low[best], low[order])
        common = np.maximum(common, 0).prod(axis=1)
        overlap = common / np.maximum(area[best] + area[order] - common, 1e-9)
        same = (overlap > _OVERLAP) | (order == best)
        yield order[same]
        order = order[~same]


def overlap_groups(mesh, scores):
    """Return rows of meshes (k, 468, 3) on one face each, the best of them first."""
    points = mesh[:, MESH_TO_68, :2]
    low, high = points.min(axis=1), points.max(axis=1)
    return list(_overlapping((low + high) / 2, high - low, scores))


def tiles(width, height, smallest):
    """Return squares that show each face of an image large enough for the network.

    The whole image is the first square and not among them. Each further level of tiles
    overlaps by the largest face that the level before may miss.

    Parameters
    ----------
    width, height : int
        Size of the image, in pixels.
    smallest : float
        Side of the smallest face, in pixels.

    Returns
    -------
    squares : list of tuple of int
        Left, top and side, in pixels; parts of them may lie outside of the image.
    """
    squares, longer = [], max(width, height)
    ratio = max(longer / (smallest * _SURE_SHARE), 1.0)
    n_levels = int(np.ceil(np.log(ratio) / np.log(_ZOOM)))
    sides = [longer / ratio ** (level / max(n_levels, 1)) for level in range(n_levels)]
    for seen, side in pairwise([*sides, longer / ratio]):
        stride = side - _MARGIN * seen / _SURE_SHARE
        squares += [
            (x, y, round(side))
            for y in _starts(height, round(side), stride)
            for x in _starts(width, round(side), stride)
        ]
    return squares


def _starts(length, side, stride):
    """Return evenly spread first pixels of tiles that cover a length."""
    n_tiles = 1 + int(np.ceil(max(length - side, 0) / stride))
    return np.linspace(0, max(length - side, 0), n_tiles).astype(int).tolist()


def prefer_large(boxes):
    """Sort boxes (k, 6) by size, without those below half of the best score."""
    boxes = boxes[boxes[:, 5] >= boxes[:, 5].max(initial=0.0) / 2]
    return boxes[np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")]


class FaceNets:
    """The three networks; serves one thread at a time."""

    def __init__(self):
        self.short = _BoxNet(
            "face_detection_short_range.tflite",
            128,
            ("classificators", "regressors"),
            ((16, 2), (8, 6)),
        )
        self.full = _BoxNet(
            "face_detection_full_range.tflite",
            192,
            ("reshaped_classifier_face_4", "reshaped_regressor_face_4"),
            ((48, 1),),
        )
        self.mesh = _load("face_landmark.tflite")

    def boxes(self, image, smallest=None):
        """Return boxes (k, 6), the preferred first.

        `smallest` is the side (pixels) of the smallest face to be found for sure; None
        stops at the first network that is sure of a face.
        """
        boxes = self.short(image)
        if smallest is not None or boxes[:, 5].max(initial=0.0) < _SURE_SCORE:
            # Where both see a face, the surer one also knows its roll better.
            boxes = np.concatenate([boxes, self.full(image)])
            if smallest is not None:
                boxes = np.concatenate([boxes, *self._boxes_in_tiles(image, smallest)])
            groups = _overlapping(boxes[:, :2], boxes[:, 2:4], boxes[:, 5])
            boxes = boxes[[group[0] for group in groups]]
        return prefer_large(boxes)

    def _boxes_in_tiles(self, image, smallest):
        for x, y, side in tiles(*image.shape[1::-1], smallest):
            boxes = self.full(np.ascontiguousarray(image[y : y + side, x : x + side]))
            boxes[:, :2] += x, y
            yield boxes

    def faces(self, image, boxes):
        """Return the boxes (k, 6) and mesh (k, 468, 3) of all faces in boxes.

        Surely seen faces, the largest first; where none is sure, the most likely one.
        """
        found = [self._search_box(image, box) for box in boxes]
        logits = np.array([logit for logit, _ in found])
        mesh = np.array([points for _, points in found]).reshape(-1, 468, 3)
        sure = min(_SURE_LOGIT, logits.max(initial=_MIN_LOGIT))
        # Two boxes may settle on one face.
        kept = [g[0] for g in overlap_groups(mesh, logits) if logits[g[0]] >= sure]
        kept = [i for i in sorted(kept) if logits[i] > _MIN_LOGIT]
        return boxes[kept], mesh[kept].astype(np.float32)

    def follow(self, image, region):
        """Find a face that was in a region one frame before; see `region_of`.

        One pass finds it where it has hardly moved. Returns its mesh (468, 3), pixels,
        float32, and region, or None if it is lost.
        """
        for _ in range(_MAX_FOLLOWS):
            logit, points = self._mesh_pass(image, *region)
            if logit < _SURE_LOGIT:
                return None
            points = points.astype(np.float32)
            last, region = region, region_of(points)
            if (_distance(last, region) < _NEAR).all():
                return points, region
        return None

    def landmarks(self, image, boxes):
        """Return the 68 points (pixels) in the first box that shows a face, or NaN.

        Where no box surely shows one, the most likely of those that may.
        """
        likely, found = _MIN_LOGIT, None
        for box in boxes:
            logit, points = self._search_box(image, box)
            if logit > likely:
                likely, found = logit, points
            if logit >= _SURE_LOGIT:
                break
        if found is None:
            return np.full((68, 2), np.nan, dtype=np.float32)
        return found[MESH_TO_68, :2].astype(np.float32)

    def mesh_at(self, image, landmarks):
        """Return the mesh (468, 3) of the face that has these 68 points, float32."""
        to_mean = fit_similarity(landmarks[None, 17:], MEAN_FACE[17:])[0]
        turn, shift = to_mean[:, :2], to_mean[:, 2]
        centre = np.linalg.solve(turn, _BOX_CENTRE - shift)
        side = _ROI_ENLARGE * _BOX_SIDE / np.hypot(*turn[0])
        roll = float(np.arctan2(turn[0, 1], turn[0, 0]))
        return self._settle(image, centre, side, roll)[1].astype(np.float32)

    def _search_box(self, image, box):
        """Return the logit of a face in the box, and its mesh (468, 3) in pixels."""
        x, y, width, height, roll, _ = box
        region = np.array([x, y]), _ROI_ENLARGE * max(width, height), roll
        logit, points = self._settle(image, *region)
        if logit >= _SURE_LOGIT:
            return logit, points
        # Boxes of faces rolled by more than 60 degrees may have a wrong eye line.
        turned = [(*region[:2], roll + np.pi / 3 * k) for k in range(1, 6)]
        logits = [self._mesh_pass(image, *other)[0] for other in turned]
        other = self._settle(image, *turned[int(np.argmax(logits))])
        return max((logit, points), other, key=lambda found: found[0])

    def _settle(self, image, centre, side, roll):
        """Repeat mesh passes, each in the region found by the one before."""
        for n_passes in range(1, _MAX_PASSES + 1):
            logit, points = self._mesh_pass(image, centre, side, roll)
            last = roll
            centre, side, roll = region_of(points)
            # The second pass halves the jitter; a third only helps large turns.
            if n_passes >= 2 and _angle_between(roll, last) < _SETTLED:
                break
        return logit, points

    def _mesh_pass(self, image, centre, side, roll):
        """Return the logit of a face being there, and its mesh (468, 3) in pixels."""
        scale = _MESH_SIZE / max(side, 1e-3)
        turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        shift = (_MESH_SIZE - 1) / 2 - scale * turn @ centre
        crop = np.empty((_MESH_SIZE, _MESH_SIZE, 3), dtype=np.uint8)
        warp_face(image, np.column_stack([scale * turn, shift]), crop)
        self.mesh.setInput(cv2.dnn.blobFromImage(crop, 1 / 255))
        presence, points = self.mesh.forward(("conv2d_31", "conv2d_21"))
        # Network coordinates count from the crop's edge, ours from pixel centres.
        points = points.reshape(-1, 3).astype(np.float64)
        flat = (points[:, :2] - 0.5 - shift) @ turn / scale
        return presence.item(), np.column_stack([flat, points[:, 2] / scale])


def region_of(points):
    """Return centre (pixels), side (pixels) and roll (radians) around a mesh."""
    points = points[:, :2]
    left, right = points[list(_EYE_CORNERS)]
    roll = float(np.arctan2(*(right - left)[::-1]))
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    upright = points @ turn.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    return (low + high) / 2 @ turn, _ROI_ENLARGE * float((high - low).max()), roll


def _angle_between(one, other):
    return abs((one - other + np.pi) % (2 * np.pi) - np.pi)


def _distance(one, other):
    """Return how far two regions are apart in place, size and roll; see `_NEAR`."""
    (centre, side, roll), (centre_now, side_now, roll_now) = one, other
    away = np.linalg.norm(centre_now - centre) / side
    size = abs(np.log(max(side_now, 1e-3) / max(side, 1e-3)))
    return np.array([away, size, _angle_between(roll_now, roll)])


# Networks that no thread is using. Shared by all detectors of the process, so that a
# clone or an unpickled detector loads nothing again; appending and popping are atomic.
_IDLE_NETS = deque()


def with_nets(function):
    """Return ``function(nets)`` on networks that no other thread uses meanwhile."""
    try:
        nets = _IDLE_NETS.pop()
    except IndexError:
        nets = FaceNets()
    try:
        return function(nets)
    finally:
        _IDLE_NETS.append(nets)
