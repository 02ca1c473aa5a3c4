"""A small renderer on the processor: visibility buffer, normals per pixel, lights."""

import numpy as np
from numba import njit

f4 = np.float32
ONE, HALF = f4(1), f4(0.5)
# What a triangle is made of.
PLAIN, SKIN, EYE = 0, 1, 2


@njit(fastmath=True, cache=True)
def vertex_normals(v, tri, out):
    """Write the unit normals of all vertices into `out`."""
    out[:] = 0
    for t in range(tri.shape[0]):
        a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
        ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
        wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz
    for k in range(out.shape[0]):
        length = np.sqrt(out[k, 0] ** 2 + out[k, 1] ** 2 + out[k, 2] ** 2)
        for j in range(3):
            out[k, j] /= length + f4(1e-9)


@njit(fastmath=True, cache=True)
def rasterise(p, tri, depth, seen, w1b, w2b):
    """Write the nearest triangle of every pixel, and its weights in it.

    Points `p` (n, 3) are x right and y down in pixels, z towards the camera. Triangles
    that face away are left out.
    """
    h, w = depth.shape
    depth[:] = -1e9
    seen[:] = -1
    for t in range(tri.shape[0]):
        a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
        x0, y0, x1, y1 = p[a, 0], p[a, 1], p[b, 0], p[b, 1]
        x2, y2 = p[c, 0], p[c, 1]
        area = (x2 - x0) * (y1 - y0) - (x1 - x0) * (y2 - y0)
        if area <= 1e-9:
            continue
        xa = max(0, int(np.ceil(min(x0, x1, x2))))
        xb = min(w - 1, int(np.floor(max(x0, x1, x2))))
        ya = max(0, int(np.ceil(min(y0, y1, y2))))
        yb = min(h - 1, int(np.floor(max(y0, y1, y2))))
        inverse = ONE / area
        for yi in range(ya, yb + 1):
            for xi in range(xa, xb + 1):
                x, y = f4(xi), f4(yi)
                w1 = ((x2 - x0) * (y - y0) - (x - x0) * (y2 - y0)) * inverse
                w2 = ((x - x0) * (y1 - y0) - (x1 - x0) * (y - y0)) * inverse
                if w1 < 0 or w2 < 0 or w1 + w2 > 1:
                    continue
                z = p[a, 2] + w1 * (p[b, 2] - p[a, 2]) + w2 * (p[c, 2] - p[a, 2])
                if z > depth[yi, xi]:
                    depth[yi, xi] = z
                    seen[yi, xi] = t
                    w1b[yi, xi] = w1
                    w2b[yi, xi] = w2


@njit(fastmath=True, cache=True)
def _skin(u, v, share, texture, heights, directions, rgb, n):
    """Texture and wrinkles of a skin pixel; return how much light reaches it."""
    size, cells = texture.shape[0], heights.shape[0]
    fx = min(max(u, f4(0)), f4(0.998)) * (size - 1)
    fy = min(max(ONE - v, f4(0)), f4(0.998)) * (size - 1)
    ix, iy = int(fx), int(fy)
    gx, gy = f4(fx - ix), f4(fy - iy)
    jx = min(max(int(u * cells), 1), cells - 2)
    jy = min(max(int((ONE - v) * cells), 1), cells - 2)
    valley = min(f4(0), heights[jy, jx]) * share
    for k in range(3):
        top = texture[iy, ix, k] * (ONE - gx) + texture[iy, ix + 1, k] * gx
        low = texture[iy + 1, ix, k] * (ONE - gx) + texture[iy + 1, ix + 1, k] * gx
        skin = (top * (ONE - gy) + low * gy) * max(f4(0.3), ONE + f4(0.25) * valley)
        rgb[k] = (ONE - share) * rgb[k] + share * skin
    du = (heights[jy, jx + 1] - heights[jy, jx - 1]) * share
    dv = (heights[jy - 1, jx] - heights[jy + 1, jx]) * share
    for k in range(3):
        n[k] -= du * directions[0, k] + dv * directions[1, k]
    return max(f4(0.2), ONE + HALF * valley)


@njit(fastmath=True, cache=True)
def _light(n, lights, specular, sharp, light, shine):
    """Add up what the lights do to a pixel of unit normal `n`."""
    for k in range(3):
        light[k] = 0
        shine[k] = 0
    for i in range(lights.shape[0]):
        lx, ly, lz = lights[i, 0], lights[i, 1], lights[i, 2]
        d = n[0] * lx + n[1] * ly + n[2] * lz
        q = ONE / np.sqrt(lx * lx + ly * ly + (lz + ONE) * (lz + ONE) + f4(1e-6))
        hd = max(f4(0), (n[0] * lx + n[1] * ly + n[2] * (lz + ONE)) * q)
        hd = hd * hd * hd
        hd = hd * hd
        hd = hd * hd
        if sharp:
            hd = hd * hd
            hd = hd * hd
        for k in range(3):
            # Red light wanders further in skin.
            wrap = f4(0.30) if k == 0 else f4(0.15)
            light[k] += lights[i, 3 + k] * max(f4(0), (d + wrap) / (ONE + wrap))
            if d > 0:
                shine[k] += lights[i, 3 + k] * specular * hd


@njit(fastmath=True, cache=True)
def shade(seen, weights, mesh, look, heights, directions, scene, out):
    """Write the linear colour of every pixel into `out`.

    Parameters
    ----------
    seen : ndarray of shape (h, w)
        Triangle of each pixel, -1 for the background.
    weights : tuple of two ndarray of shape (h, w)
        Weights of the triangle's second and third corner.
    mesh : tuple
        Triangles, their uv, what they are made of; normals of vertices, openness.
    look : tuple
        Colours of vertices, their share in the skin, skin texture, colours of the eye
        (sclera, limbus, iris, pupil, radius), gloss.
    heights : ndarray
        Heights of wrinkles in uv.
    directions : ndarray of shape (2, 3)
        Where u and v point in space.
    scene : tuple
        Lights (direction, rgb), light of the sky and of the ground, background.
    out : ndarray of shape (h, w, 3)
        The picture.
    """
    tri, uv, material, normals, openness = mesh
    colour, mix, texture, eye, gloss = look
    lights, ambient, background = scene
    rgb, n = np.empty(3, f4), np.empty(3, f4)
    light, shine = np.empty(3, f4), np.empty(3, f4)
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            t = seen[y, x]
            if t < 0:
                for k in range(3):
                    out[y, x, k] = background[y, x, k]
                continue
            a, b, c = tri[t, 0], tri[t, 1], tri[t, 2]
            w1, w2 = weights[0][y, x], weights[1][y, x]
            w0 = ONE - w1 - w2
            for k in range(3):
                n[k] = w0 * normals[a, k] + w1 * normals[b, k] + w2 * normals[c, k]
                rgb[k] = w0 * colour[a, k] + w1 * colour[b, k] + w2 * colour[c, k]
            u = w0 * uv[t, 0, 0] + w1 * uv[t, 1, 0] + w2 * uv[t, 2, 0]
            v = w0 * uv[t, 0, 1] + w1 * uv[t, 1, 1] + w2 * uv[t, 2, 1]
            openly = w0 * openness[a] + w1 * openness[b] + w2 * openness[c]
            specular = gloss * HALF
            if material[t] == SKIN:
                share = ONE - (w0 * mix[a] + w1 * mix[b] + w2 * mix[c])
                openly *= _skin(u, v, share, texture, heights, directions, rgb, n)
                specular = gloss * share
            elif material[t] == EYE:
                r = np.sqrt(u * u + v * v) / eye[4, 0]
                ring = 3 if r < 0.38 else (2 if r < 0.88 else (1 if r < 1.0 else 0))
                for k in range(3):
                    rgb[k] = eye[ring, k]
                specular = f4(1.2)
            q = ONE / (np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + f4(1e-9))
            for k in range(3):
                n[k] *= q
            _light(n, lights, specular, material[t] == EYE, light, shine)
            sky = HALF + HALF * n[1]
            for k in range(3):
                around = ambient[0, k] * sky + ambient[1, k] * (ONE - sky)
                direct = light[k] * (f4(0.35) + f4(0.65) * openly)
                out[y, x, k] = rgb[k] * (direct + around * openly) + shine[k] * openly


def ambient_occlusion(v, tri, n=96, size=200):
    """Return the share of the sky that each vertex sees, from `n` directions."""
    normals = np.empty_like(v)
    vertex_normals(v, tri, normals)
    k = np.arange(n) + 0.5
    phi, cz = np.pi * (1 + 5**0.5) * k, 1 - 2 * k / n
    flat = np.sqrt(1 - cz**2)
    seen, total = np.zeros(len(v)), np.full(len(v), 1e-6)
    depth, w1, w2 = (np.empty((size, size), f4) for _ in range(3))
    nearest = np.empty((size, size), np.int32)
    for e in np.stack([np.cos(phi) * flat, np.sin(phi) * flat, cz], 1):
        x = np.cross([0, 1, 0.01], e)
        x /= np.linalg.norm(x)
        p = np.stack([v @ x, -(v @ np.cross(e, x)), v @ e], 1).astype(f4)
        p[:, :2] -= p[:, :2].min(0)
        p[:, :2] *= (size - 2) / np.ptp(p[:, :2], axis=0).max()
        rasterise(p, tri, depth, nearest, w1, w2)
        column, row = np.rint(p[:, :2]).astype(int).T
        cos = np.maximum(normals @ e, 0)
        seen += cos * (p[:, 2] >= depth[row, column] - 0.25)
        total += cos
    return np.clip(seen / total, 0.25, 1).astype(f4)


def rotation(yaw, pitch, roll):
    """Return the rotation matrix of three angles in degrees."""
    cy, cp, cr = np.cos(np.radians((yaw, pitch, roll)))
    sy, sp, sr = np.sin(np.radians((yaw, pitch, roll)))
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return (about_z @ about_x @ about_y).astype(f4)
