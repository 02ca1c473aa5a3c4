"""The ICT Face Model Light: heads, their people and their expressions.

The model (MIT licence, USC Institute for Creative Technologies) is not part of the
project. `Model` reads it packed, or packs the folder ``FaceXModel`` of its release.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from shading import EYE, PLAIN, SKIN, ambient_occlusion

# Polygons of the published mesh; a vertex belongs to the last part that uses it.
PARTS = {
    "face": (0, 9230),
    "head": (9230, 11144),
    "socket": (11144, 13226),
    "eyesocket": (13226, 14034),
    "gums": (14034, 17006),
    "teeth": (17006, 21496),
    "eye_l": (21496, 22296),
    "eye_r": (23094, 23894),
}
FACE, HEAD, SOCKET, EYESOCKET, GUMS, TEETH, EYE_L, EYE_R = range(8)
# Vertices of the inner lips, upper and lower, among the 68 points.
LIPS = ((61, 62, 63), (67, 66, 65))
LIDS = ((37, 38, 43, 44), (41, 40, 47, 46))
# Shapes that the model lacks, on the left: centre, reach and movement, in its units.
# Brows meet, the lid's fold hangs over, the cheek and the lower lid swell, lips widen.
BUMPS = {
    "browMeet": ((1.3, 5.9, 10.6), (1.7, 1.1, 3), (-0.30, -0.28, 0.12)),
    "lidHood": ((3.2, 4.7, 9.5), (1.7, 0.5, 3), (0, -0.18, 0.10)),
    "cheekBulge": ((4.0, 1.3, 8.8), (1.7, 1.2, 4), (0, 0.25, 0.35)),
    "lidBulge": ((3.1, 2.75, 9.3), (1.3, 0.28, 3), (0, 0.03, 0.14)),
    "cornerOut": ((2.6, -3.5, 10.2), (1.5, 1.1, 3), (0.42, 0.05, -0.18)),
    "noseBunch": ((1.0, 2.4, 9.9), (0.7, 0.9, 2), (0.05, 0.15, 0.22)),
}


class Model:
    """Mesh, people and expressions.

    Parameters
    ----------
    cache : path-like
        The packed model; written if it is missing and `folder` is there.
    folder : path-like or None, default=None
        ``FaceXModel`` of the release.

    Attributes
    ----------
    mean, tri, uv, material, part : ndarray
        Vertices (V, 3), triangles (T, 3), uv of their corners (T, 3, 2), what they are
        made of (T,), and the part of the head of each vertex (V,).
    ident, expr, names : ndarray, ndarray, list of str
        Movements of the vertices: 100 of people, and one for each expression.
    lm, vuv, openness, lids : ndarray
        Vertices of the 68 points; uv of vertices; how open to light they are; their
        distance to the upper and the lower lid's margin (2, V).
    """

    def __init__(self, cache, folder=None):
        cache = Path(cache)
        if not cache.exists():
            if folder is None:
                raise FileNotFoundError(
                    f"there is no packed face model {str(cache)!r}; pass its path as "
                    "--cache, or the folder FaceXModel of the ICT Face Model Light as "
                    "--model-dir to pack it there"
                )
            np.savez(cache, **pack(Path(folder)))
        packed = np.load(cache)
        for key in ("mean", "tri", "uv", "part", "ident", "lm"):
            setattr(self, key, packed[key])
        # Teeth stand back, or they would pierce lips that other shapes press.
        mouth = (self.part == GUMS) | (self.part == TEETH)
        self.mean[mouth, 2] -= 0.3
        self.material = packed["mat"]
        self.names = [str(name) for name in packed["names"]]
        self.expr = packed["expr"]
        self._add_shapes()
        self.eyes = [np.flatnonzero(self.part == p) for p in (EYE_L, EYE_R)]
        self.vuv = np.full((len(self.mean), 2), -1, np.float32)
        skin = self.material == SKIN
        self.vuv[self.tri[skin].ravel()] = self.uv[skin].reshape(-1, 2)
        self.openness = self._openness()
        self.lids = self._distances_to_lids()

    def index(self, name):
        """Return the rows of a shape; a trailing * means both of its halves."""
        if name[-1] != "*":
            return [self.names.index(name)]
        return [self.names.index(name[:-1] + side) for side in ("_L", "_R")]

    def gap(self, v, margins):
        """Return the mean height between the LIPS or LIDS of vertices (..., V, 3)."""
        upper, lower = (v[..., self.lm[list(row)], 1] for row in margins)
        return (upper - lower).mean(-1)

    def _add_shapes(self):
        """Add the bumps, and a nose that wrinkles with little lift of the lip."""
        face = (self.part == FACE)[:, None]
        nose, lip = self.mean[self.lm[[33, 51]], 1]
        stay = np.clip((self.mean[:, 1:2] - lip) / (nose + 0.4 - lip), 0.3, 1) * face
        added = {}
        for side, sign in (("_L", 1), ("_R", -1)):
            mirror = np.array([sign, 1, 1])
            sneer = self.expr[self.names.index("noseSneer" + side)].reshape(-1, 3)
            added["noseWrinkle" + side] = sneer * stay
            for name, (centre, reach, move) in BUMPS.items():
                away = (self.mean - np.array(centre) * mirror) / reach
                near = np.exp(-(away**2).sum(1, keepdims=True)) * face
                added[name + side] = near * (np.array(move) * mirror)
        self.names += list(added)
        new = np.stack([delta.ravel() for delta in added.values()])
        self.expr = np.concatenate([self.expr, new.astype(np.float32)])

    def _openness(self):
        openness = ambient_occlusion(self.mean, self.tri)
        # The neutral mouth hides the teeth, so what they would see is not known.
        teeth = self.part == TEETH
        openness[teeth] = np.interp(self.mean[teeth, 2], (7.2, 10.2), (0.10, 0.60))
        openness[self.part >= EYE_L] = 0.85
        return openness

    def _distances_to_lids(self):
        lids = np.full((2, len(self.mean)), 9.0)
        face = np.flatnonzero(self.part == FACE)
        for i, loop in enumerate(((36, 37, 38, 39), (39, 40, 41, 36))):
            c = self.mean[self.lm[list(loop)]]
            lines = [np.linspace(a, b, 12) for a, b in pairwise(c)]
            c = np.concatenate(lines)
            for q in np.concatenate([c, c * [-1, 1, 1]]):
                far = np.linalg.norm(self.mean[face] - q, axis=1)
                lids[i, face] = np.minimum(lids[i, face], far)
        return lids


def pack(folder):
    """Return the arrays of the packed model from the folder of the release."""
    base, vt, faces = read_mesh(folder / "generic_neutral_mesh.obj")
    tri, uv, material = [], [], []
    part = np.zeros(len(base), np.int8)
    for p, (a, b) in enumerate(PARTS.values()):
        for f in faces[a:b]:
            corners = [v for v, _ in f]
            part[corners] = np.maximum(part[corners], p)
            for k in range(1, len(f) - 1):
                three = [f[0], f[k], f[k + 1]]
                tri.append([v for v, _ in three])
                uv.append(vt[[t for _, t in three]])
                material.append(SKIN if p == FACE else EYE if p >= EYE_L else PLAIN)
    tri, uv = np.array(tri), np.array(uv, np.float32)
    # The "uv" of an eye is the offset from its optical axis.
    for p in (EYE_L, EYE_R):
        sel = part[tri[:, 0]] == p
        v = base[tri[sel]]
        tip = v.reshape(-1, 3)[np.argmax(v[..., 2])]
        uv[sel] = np.where(v[..., 2:] > tip[2] - 1.9, v[..., :2] - tip[:2], 9)
    keep = np.unique(tri)
    renumber = np.full(len(base), -1)
    renumber[keep] = np.arange(len(keep))
    about = json.loads((folder / "vertex_indices.json").read_text())
    names = [*about["expressions"], "cheekRaiser_L", "cheekRaiser_R"]
    people = sorted(path.stem for path in folder.glob("identity*.obj"))

    def moves(shapes):
        paths = [folder / f"{name}.obj" for name in shapes]
        return np.stack([(read_vertices(p) - base)[keep].ravel() for p in paths])

    return {
        "mean": base[keep],
        "tri": renumber[tri].astype(np.int32),
        "uv": uv,
        "mat": np.array(material, np.int8),
        "part": part[keep],
        "names": np.array(names),
        "ident": moves(people),
        "expr": moves(names),
        "lm": renumber[np.array(about["idx_to_landmark_verts"])],
    }


def read_mesh(path):
    """Return vertices, uv points and polygons, as (vertex, uv) pairs, of an .obj."""
    vt, faces = [], []
    for line in path.read_text().splitlines():
        if line.startswith("vt "):
            vt.append([float(x) for x in line.split()[1:3]])
        elif line.startswith("f "):
            words = line.split()[1:]
            faces.append([[int(y) - 1 for y in x.split("/")[:2]] for x in words])
    return read_vertices(path), np.array(vt, np.float32), faces


def read_vertices(path):
    """Return the vertices of an .obj."""
    lines = [line[2:] for line in path.read_text().splitlines() if line[:2] == "v "]
    return np.array(" ".join(lines).split(), np.float32).reshape(-1, 3)
