"""Action units of a video: how strong, which together, and what moves the face."""

import numpy as np
from face_model import LIPS

# Weights of the model's shapes at intensity 5; * means both halves.
AU_SHAPES = {
    1: {"browInnerUp*": 1.25},
    2: {"browOuterUp*": 1.15},
    4: {"browDown*": 1.3, "browMeet*": 1.15, "lidHood*": 0.8, "eyeSquint*": 0.1},
    5: {"eyeWide*": 1.35},
    6: {
        "cheekSquint*": 1.1,
        "cheekRaiser*": 0.6,
        "cheekBulge*": 0.9,
        "eyeSquint*": 0.2,
    },
    7: {"eyeSquint*": 1.35, "eyeBlink*": 0.14, "lidBulge*": 1.0},
    9: {
        "noseWrinkle*": 1.1,
        "noseBunch*": 1.0,
        "browDown*": 0.6,
        "browMeet*": 0.8,
        "lidHood*": 0.5,
        "eyeSquint*": 0.55,
        "lidBulge*": 0.5,
        "cheekSquint*": 0.35,
        "cheekBulge*": 0.35,
        "mouthUpperUp*": 0.15,
    },
    10: {"mouthUpperUp*": 0.9, "noseSneer*": 0.15, "cheekBulge*": 0.2},
    12: {"mouthSmile*": 1.0, "cheekBulge*": 0.3},
    14: {"mouthDimple*": 1.2},
    15: {"mouthFrown*": 1.4},
    17: {"mouthShrugLower": 1.1},
    20: {"mouthStretch*": 1.0, "cornerOut*": 1.0},
    23: {"mouthRollUpper": 0.7, "mouthRollLower": 0.7, "mouthPucker": 0.5},
    24: {"mouthPress*": 1.5, "mouthRollUpper": 0.3, "mouthRollLower": 0.3},
    25: {"mouthLowerDown*": 0.8, "mouthUpperUp*": 0.15, "jawOpen": 0.10},
    26: {"jawOpen": 0.55},
    45: {"eyeBlink*": 1.0},
}
AUS = list(AU_SHAPES)
COL = {au: i for i, au in enumerate(AUS)}
WILD = {
    1: 0.20,
    2: 0.18,
    4: 0.22,
    5: 0.14,
    6: 0.28,
    7: 0.24,
    9: 0.15,
    10: 0.20,
    12: 0.28,
    14: 0.18,
    15: 0.18,
    17: 0.22,
    20: 0.12,
    23: 0.15,
    24: 0.15,
    25: 0.36,
    26: 0.20,
    45: 0.10,
}
# Only a quarter of the faces of `life` are drawn at these rates.
LIFE = {au: 1.6 * rate for au, rate in WILD.items()} | {45: WILD[45]}
BP4D = {
    1: 0.21,
    2: 0.17,
    4: 0.20,
    6: 0.46,
    7: 0.55,
    10: 0.59,
    12: 0.56,
    14: 0.47,
    15: 0.17,
    17: 0.34,
    23: 0.17,
    24: 0.15,
}
BP4D_OTHERS = {5: 0.05, 9: 0.06, 20: 0.05, 25: 0.25, 26: 0.10, 45: 0.08}
DISFA = {1: 0.07, 2: 0.06, 4: 0.15, 6: 0.10, 9: 0.06, 12: 0.16, 25: 0.28, 26: 0.10}
DISFA_OTHERS = {
    5: 0.04,
    7: 0.10,
    10: 0.06,
    14: 0.05,
    15: 0.05,
    17: 0.08,
    20: 0.04,
    23: 0.03,
    24: 0.03,
    45: 0.05,
}
# Rates of the labelled AUs, then of others, which act without a label. In `wild` and
# `life` no AU is rare; in `life` they also go together as in life (see `lifelike`).
PROTOCOLS = {
    "bp4d": (BP4D, BP4D_OTHERS),
    "disfa": (DISFA, DISFA_OTHERS),
    "wild": (WILD, {}),
    "life": (LIFE, {}),
}
CORR = {
    (1, 2): 0.75,
    (1, 5): 0.30,
    (1, 15): 0.15,
    (2, 4): -0.20,
    (2, 5): 0.35,
    (2, 26): 0.20,
    (4, 7): 0.40,
    (4, 9): 0.40,
    (4, 15): 0.15,
    (4, 17): 0.15,
    (5, 26): 0.25,
    (6, 7): 0.45,
    (6, 10): 0.40,
    (6, 12): 0.65,
    (7, 9): 0.30,
    (7, 10): 0.25,
    (9, 10): 0.45,
    (10, 12): 0.35,
    (12, 14): 0.20,
    (12, 15): -0.45,
    (12, 24): -0.15,
    (12, 25): 0.35,
    (14, 17): 0.20,
    (15, 17): 0.50,
    (17, 23): 0.25,
    (17, 24): 0.45,
    (23, 24): 0.45,
    (23, 25): -0.45,
    (24, 25): -0.55,
    (24, 26): -0.40,
    (25, 26): 0.60,
}
# Faces of emotions, by their intensities; parts of them are left out at random.
EMOTIONS = [
    {6: 3.5, 12: 4, 25: 3, 7: 1.5},
    {6: 4, 12: 4.5, 25: 3.5, 26: 2.5},
    {6: 3, 12: 3.5},
    {6: 2.5, 7: 2, 12: 3},
    {12: 3.5, 25: 3},
    {12: 3},
    {1: 3.5, 2: 3.5, 5: 3.5, 25: 3.5, 26: 3.5},
    {1: 3, 2: 3, 5: 2.5},
    {4: 4, 5: 2.5, 7: 3, 23: 3},
    {4: 4, 7: 3.5, 24: 3, 17: 1.5},
    {4: 4, 7: 3, 9: 2.5, 10: 3, 25: 4, 26: 3},
    {1: 3.5, 4: 2.5, 15: 3.5, 17: 2.5},
    {1: 3, 15: 3},
    {4: 2.5, 15: 3, 17: 3.5},
    {9: 4, 10: 2.5, 4: 2.5, 7: 2, 17: 2.5},
    {9: 4, 10: 3, 4: 2, 7: 2, 25: 2.5},
    {10: 3.5, 4: 2, 15: 2},
    {1: 3.5, 2: 2.5, 4: 3, 5: 3.5, 20: 3.5, 25: 3},
    {1: 3, 4: 3, 5: 3, 20: 4},
    {20: 3.5, 25: 3.5},
    {14: 3.5, 12: 1},
    {12: 3, 14: 3},
    {23: 3.5, 4: 2},
    {5: 3.5, 25: 2},
    {17: 3, 24: 3.5, 14: 2},
    {25: 4, 26: 4},
]
# Occurrence = intensity of at least 2 of 5; intensity per unit of the latent process.
THRESHOLD, SLOPE = 2.0, 3.2
# What speech alone makes occur.
SPEECH = {25: 0.13, 26: 0.025}
# Shares of the latent process that last for a person and for an episode.
SUBJECT_SD, EPISODE_SD = 0.5, 0.866
# AUs that one half of the face may do alone.
HALVES = ((1, 2), (4, 9), (5, 7), (6, 12), (10, 12), (12, 14), (14,), (15, 20), (2,))
# How far shapes raise the lower lid, which never rises above the pupil.
LID_RAISERS = {"cheekSquint": 0.17, "cheekRaiser": 0.22, "eyeSquint": 0.20}
HIGHEST_LID = 0.34
# Gap of the lips, in the model's units, of AU25 at intensity 5.
OPEN_LIPS = 0.95


def correlation_root(scale=1.0):
    """Return a root of the valid correlation matrix nearest to CORR times `scale`."""
    c = np.eye(len(AUS))
    for (a, b), r in CORR.items():
        c[COL[a], COL[b]] = c[COL[b], COL[a]] = r * scale
    w, v = np.linalg.eigh(c)
    c = (v * np.clip(w, 0.02, None)) @ v.T
    return np.linalg.cholesky(c / np.sqrt(np.outer(np.diag(c), np.diag(c))))


def latent_video(rng, mu, root, n, fps, burn=40):
    """Return (n, n_aus) correlated episodes: fast onset, held apex, slower offset."""
    total, k = n + burn, np.arange(n + burn)[:, None]
    target, t = np.zeros((total, len(AUS))), 0
    while t < total:
        level = mu + EPISODE_SD * root @ rng.standard_normal(len(AUS))
        # Each AU is a little early or late.
        start = t + rng.normal(0, 0.15 * fps, len(AUS)).astype(int)
        target = np.where(k >= start, level, target)
        t += int(np.clip(rng.lognormal(np.log(1.6 * fps), 0.5), 0.5 * fps, 6 * fps))
        t += fps < 2
    on = np.minimum(rng.uniform(2.5, 5, len(AUS)) / fps, 0.9)
    off = np.minimum(rng.uniform(1.2, 3, len(AUS)) / fps, 0.9)
    tremor = 0.05 * rng.standard_normal(target.shape)
    z, now, shake = np.empty_like(target), target[0], 0
    for i in range(total):
        now = now + np.where(target[i] > now, on, off) * (target[i] - now)
        shake = 0.8 * shake + tremor[i]
        z[i] = now + shake
    return z[burn:]


def person_level(rng, root):
    """Return how much of each AU a person tends to show."""
    return SUBJECT_SD * root @ rng.standard_normal(len(AUS))


def calibrate(protocol, root, fps):
    """Return the latent thresholds that give the protocol's rates over people."""
    rng = np.random.default_rng(12345)
    videos = [
        latent_video(rng, person_level(rng, root), root, 60, fps) for _ in range(400)
    ]
    rates = PROTOCOLS[protocol][0] | PROTOCOLS[protocol][1]
    for au, speech in SPEECH.items():
        rates[au] = max(0.01, (rates[au] - speech) / (1 - speech))
    z = np.concatenate(videos)
    return np.array([np.quantile(z[:, COL[au]], 1 - rates[au]) for au in AUS])


def lifelike(rng, levels, fps):
    """Make a quarter of the episodes neutral, and half of them emotions.

    Returns which rows are neutral.
    """
    length, neutral = max(1, int(1.6 * fps)), np.zeros(len(levels), bool)
    for start in range(0, len(levels), length):
        rows, kind = slice(start, start + length), rng.random()
        if kind < 0.25:
            levels[rows] *= rng.uniform(0, 0.3)
            neutral[rows] = True
        elif kind < 0.75:
            levels[rows] *= rng.uniform(0, 0.35, len(AUS))
            strength = rng.uniform(0.45, 1.25)
            for au, x in EMOTIONS[rng.integers(len(EMOTIONS))].items():
                if rng.random() < 0.85:
                    x = min(5, x * strength * rng.uniform(0.75, 1.25))
                    levels[rows, COL[au]] = np.maximum(levels[rows, COL[au]], x)
    ease = min(len(levels), max(1, int(0.4 * fps)))
    kernel = np.ones(ease) / ease
    for column in levels.T:
        padded = np.pad(column, (ease // 2, (ease - 1) // 2), "edge")
        column[:] = np.convolve(padded, kernel, "valid")
    return neutral


def closed_eyes(rng, n, fps, rate):
    """Return how far the lids are shut, 0 to 1: blinks, and eyes held shut."""
    shut, k = np.zeros(n), 0
    held = max(1, int(1.2 * fps))
    while k < n:
        if rng.random() < rate / held:
            shut[k : k + held] = rng.uniform(0.8, 1)
            k += held
            continue
        if rng.random() < 0.1 / max(1, 0.3 * fps):
            blink = max(1, int(0.3 * fps))
            peak = rng.uniform(0.3, 1) if blink == 1 else 1
            wave = np.sin(np.pi * (np.arange(blink) + 0.5) / blink) * peak
            shut[k : k + blink] = wave[: n - k]
            k += blink
        k += 1
    return shut


def speech(rng, model, levels, weights, fps, silent):
    """Part the lips in bursts, as in speech, but in rows that are silent."""
    n, t = len(levels), int(rng.exponential(4 * fps))
    sounds = ["mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"]
    while t < n:
        end = min(n, t + max(1, int(rng.uniform(0.5, 2.5) * fps)))
        for k in t + np.flatnonzero(~silent[t:end]):
            levels[k, COL[25]] = max(levels[k, COL[25]], rng.uniform(0, 4))
            levels[k, COL[26]] = max(levels[k, COL[26]], rng.uniform(0, 2.2))
            weights[k, model.index(rng.choice(sounds))] += rng.uniform(0, 0.35)
        t = end + int(rng.exponential(4 * fps)) + 1


def gazes(rng, n, fps):
    """Return where the eyes look, (n, 2) radians right and up; at times far down."""
    gaze, look = np.zeros((n, 2)), rng.normal(0, [0.10, 0.05])
    for k in range(n):
        if rng.random() < 0.8 / fps:
            look = rng.normal(0, [0.17, 0.09])
            if rng.random() < 0.10:
                look[1] = rng.uniform(-0.5, -0.25)
        gaze[k] = look
    return gaze


def halves(rng):
    """Return how much of each AU the left and the right half do, (2, n_aus)."""
    share = np.ones((2, len(AUS)))
    if rng.random() < 0.15:
        group = HALVES[rng.integers(len(HALVES))]
        share[rng.integers(2), [COL[au] for au in group]] = rng.uniform(0, 0.6)
    if rng.random() < 0.02:
        share[rng.integers(2), COL[45]] = rng.uniform(0, 0.3)
    return share


def shape_weights(model, levels, share):
    """Return the weights (n, n_shapes) of AU levels, each half by its share."""
    drive = levels / 5
    # Intensity 2, where a blink begins to count, is a lid seven tenths shut.
    drive[:, COL[45]] **= 0.4
    weights = np.zeros((len(levels), len(model.names)))
    for au, shapes in AU_SHAPES.items():
        for name, x in shapes.items():
            rows = model.index(name)
            parts = share[:, COL[au]] if len(rows) == 2 else [1.0]
            for row, part in zip(rows, parts, strict=True):
                weights[:, row] += x * part * drive[:, COL[au]]
    for side in ("_L", "_R"):
        rows = {model.index(name + side)[0]: x for name, x in LID_RAISERS.items()}
        raised = weights[:, list(rows)] @ list(rows.values()) / HIGHEST_LID
        weights[:, list(rows)] *= (np.tanh(raised) / np.maximum(raised, 1e-6))[:, None]
    return weights


def smooth_walk(rng, n, sd, tau, limit=9e9):
    """Return a smooth random path around 0."""
    a, x, out = np.exp(-1 / tau), rng.normal(0, sd), []
    for e in rng.normal(0, sd, n + 4):
        x = a * x + np.sqrt(1 - a * a) * e
        out.append(x)
    return np.clip(np.convolve(out, np.ones(5) / 5, "valid"), -limit, limit)


def activations(model, person, rng, n, fps, plan):
    """Return what a person does in a video.

    Returns
    -------
    levels : ndarray of shape (n, n_aus)
        Intensities 0 to 5, those of the stronger half.
    share : ndarray of shape (2, n_aus)
        What the left and the right half do of them.
    weights : ndarray of shape (n, n_shapes), float32
    gaze : ndarray of shape (n, 2)
        Radians, right and up.
    """
    z = latent_video(rng, person.level, plan.root, n, fps)
    levels = np.clip(THRESHOLD + SLOPE * (z - plan.thresholds), 0, 5)
    silent = np.zeros(n, bool)
    if plan.protocol == "life":
        silent = lifelike(rng, levels, fps)
    rates = PROTOCOLS[plan.protocol][0] | PROTOCOLS[plan.protocol][1]
    shut = closed_eyes(rng, n, fps, rates[45])
    levels[:, COL[45]] = 5 * shut**2.5
    levels[:, COL[5]] *= 1 - shut
    more = np.zeros((n, len(model.names)))
    speech(rng, model, levels, more, fps, silent)
    # Pressed lips stay closed.
    pressed = np.maximum(levels[:, COL[24]], 0.8 * levels[:, COL[23]]) / 5
    levels[:, [COL[25], COL[26]]] *= 1 - 0.9 * pressed[:, None]
    share = halves(rng)
    gained = levels * person.gain
    weights = more + person.rest + shape_weights(model, gained, share)
    weights *= person.side + rng.normal(0, 0.05, weights.shape[1])
    gaze = gazes(rng, n, fps)
    puff = np.clip(smooth_walk(rng, n, 0.12, fps) - 0.12, 0, 1)
    for name, x in (
        ("eyeLookUp*", np.clip(gaze[:, 1] / 0.4, 0, 1)),
        ("eyeLookDown*", np.clip(-gaze[:, 1] / 0.4, 0, 1) * (1 - shut)),
        ("cheekPuff*", puff * 0.5),
        ("jawLeft", smooth_walk(rng, n, 0.04, fps)),
    ):
        weights[:, model.index(name)] += x[:, None]
    weights = np.clip(weights, -0.6, 1.6)
    lids = model.index("eyeBlink*")
    weights[:, lids] = person.shut * np.clip(weights[:, lids], 0, 1)
    return levels, share, weights.astype(np.float32), gaze


def lips_apart(model, delta, base, levels):
    """Label AU25 by the gap between the lips: other AUs part or press them, too."""
    gap = model.gap(base + delta.reshape(len(delta), -1, 3), LIPS)
    seen = np.clip((gap - 0.06) / OPEN_LIPS, 0, 1)
    levels[:, COL[25]] = 5 * seen**0.7
