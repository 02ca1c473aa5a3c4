"""Train the member of the shipped model that sees shape: a line per AU on the mesh.

A logistic regression on rendered faces learns how rendered people differ, which is less
than people do, and which AUs the renderer shows together. So the line of each AU is
not searched for; it follows in closed form from what is known of faces:

    x = W q + e,    q = sqrt(intensity)

``x`` are the features of `MeshFeatures`. ``W`` says where each AU moves the points; it
is measured on the rendered faces, all AUs at once, so that no AU gets what another
does. The root makes weak AUs count. The best linear estimate of ``q`` from ``x`` has
the weights

    w = (W'SW + N + v (smooth K + alone I))^-1 W'S

``S`` is the covariance of ``q`` in life. Its spread is that of the training faces, its
    correlations are `TOGETHER`. Where AUs go together the points of one say something
    of the other. It was written by hand, from which muscles act together in everyday
    expressions; no data set was used.
``N`` is the covariance of ``e`` in the rendered faces.
``K`` is how people differ beyond that. Identity deforms the mesh smoothly: points that
    are close move together, ``K = exp(-d^2 / 2 length^2)``. A line that is blind to
    smooth deformations looks at how a point moves against its neighbours.
``I`` is what the search for each point adds by itself. ``v`` is the variance of a
    feature, so that ``smooth`` and ``alone`` are shares of it.

A line sees the points of one region only (`PRIORS`): what a rendered smile does to the
brows is no knowledge of smiles. Distances are in those of the outer eye corners.

Give it faces whose AUs come nearly independently: where they come as in life, ``W``
gives one AU some of what another does.

At last a logistic regression on one number, the score, gives each line its slope and
intercept, so that it says log-odds of occurrence. A fifth of the people is kept from
the lines for this.
"""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skfau.estimators import AULogisticRegression
from skfau.preprocessing import MeshFeatures
from skfau.preprocessing._mesh_features import mean_mesh

EYE_CORNERS, NOSE_BASE = (33, 133, 362, 263), 2
# fmt: off
TOGETHER = {
    (1, 2): .75, (6, 12): .65, (6, 7): .45, (10, 12): .50, (6, 10): .45, (4, 7): .40,
    (15, 17): .50, (17, 24): .45, (23, 24): .45, (12, 15): -.45, (4, 9): .50,
    (9, 10): .40, (25, 26): .60, (12, 25): .30, (12, 14): .20, (2, 4): -.20,
    (1, 5): .30, (2, 5): .30, (24, 25): -.55, (23, 25): -.45, (24, 26): -.40,
    (14, 17): .20, (17, 23): .25, (12, 24): -.15, (7, 10): .25, (4, 15): .15,
    (4, 17): .15, (1, 15): .10, (7, 9): .45, (6, 9): .30, (9, 17): .20, (5, 26): .30,
    (1, 26): .20, (2, 26): .20, (5, 25): .25, (9, 15): .10,
}
# fmt: on


class Prior(NamedTuple):
    """What is known of the line of an AU before any face is seen."""

    region: str
    length: float = 0.25
    smooth: float = 1.0
    alone: float = 0.3
    together: bool = True  # by TOGETHER; else AUs come independently
    line_of: int | None = None  # another AU, whose line is taken


PRIORS = {
    1: Prior("brows", together=False),
    2: Prior("brows"),
    4: Prior("brows", length=0.08),
    5: Prior("brows"),
    6: Prior("lower"),
    7: Prior("brows"),
    # Noses differ more than AU9 moves them: on photographs a line of its own is below
    # chance (.43). That of AU10, which lifts the lip as well, is not (.60).
    9: Prior("mouth", smooth=0.0, alone=0.1, together=False, line_of=10),
    10: Prior("mouth", smooth=0.0, alone=0.1, together=False),
    12: Prior("lower"),
    14: Prior("lower"),
    # The whole mouth lies higher or lower in one person than in another.
    15: Prior("lower", length=1.0, smooth=30.0, alone=0.03, together=False),
    17: Prior("lower", length=5.0, smooth=1000.0, alone=0.03, together=False),
    20: Prior("lower"),
    23: Prior("mouth", together=False),
    24: Prior("mouth", together=False),
    25: Prior("mouth", together=False),
    26: Prior("lower"),
    45: Prior("brows", together=False),
}


def fit_shape(faces, intensities, aus, *, threshold=2.0):
    """Fit the chain of mesh features and a line per AU.

    Parameters
    ----------
    faces : Faces
        With the columns ``mesh`` and ``subject``; rows without a face are left out.
    intensities : ndarray of shape (n_samples, n_aus)
        0 to 5, NaN where unknown.
    aus : sequence of int
        AU number of each column; each has an entry in `PRIORS`.
    threshold : float, default=2.0
        Lowest intensity that counts as present.

    Returns
    -------
    chain : Pipeline
        `MeshFeatures` and `AULogisticRegression`, fitted.

    Raises
    ------
    ValueError
        If `PRIORS` lacks an AU, or `aus` the one whose line it takes.
    """
    lacking = [au for au in aus if au not in PRIORS]
    if lacking:
        raise ValueError(f"PRIORS has no entry for AU {', '.join(map(str, lacking))}.")
    labels = np.where(np.isnan(intensities), np.nan, intensities >= threshold)
    # A fit leaves labels, subjects and names behind; the closed form takes its lines'
    # place but where an AU has no two labels.
    chain = make_pipeline(MeshFeatures(), AULogisticRegression(aus=tuple(aus)))
    chain.fit(faces, labels)
    features = chain[0].transform(faces).astype(np.float64)
    seen = np.isfinite(features).all(axis=1)
    features, roots = features[seen], np.sqrt(intensities[seen])
    lines = fit_lines(features, roots, aus)
    kept = _a_fifth(faces.subject[seen])
    scores = features[kept] @ fit_lines(features[~kept], roots[~kept], aus)
    for column, label in enumerate(labels[seen][kept].T):
        known = np.isfinite(label)
        if np.ptp(label[known]) > 0:
            slope, intercept = log_odds(scores[known, column], label[known])
            chain[1].coef_[column] = slope * lines[:, column]
            chain[1].intercept_[column] = intercept
    return chain


def _a_fifth(subjects):
    """Return which rows show every fifth person."""
    return np.unique(subjects, return_inverse=True)[1] % 5 == 0


def fit_lines(features, roots, aus):
    """Return the weights of each AU's line in closed form.

    Parameters
    ----------
    features : ndarray of shape (n_samples, 468)
        Of `MeshFeatures`, finite.
    roots : ndarray of shape (n_samples, n_aus)
        Square roots of intensities, NaN where unknown.
    aus : sequence of int
        AU number of each column.

    Returns
    -------
    weights : ndarray of shape (468, n_aus)
        ``features @ weights`` estimates the roots but for a constant; 0 for features
        outside of the AU's region.
    """
    moves, noise = effects(features, roots)
    variance, spread = features.var(axis=0), np.nanstd(roots, axis=0)
    weights = np.zeros((features.shape[1], len(aus)))
    for column, au in enumerate(aus):
        prior = PRIORS[au]
        rows = region_features(prior.region)
        own = np.ix_(rows, rows)
        among_aus = correlations(aus, TOGETHER if prior.together else {})
        among_aus *= np.outer(spread, spread)
        here = moves[:, rows]
        people = variance[rows].mean() * deformations(prior, rows)
        total = here.T @ among_aus @ here + noise[own] + people
        moved = list(aus).index(prior.line_of or au)
        weights[rows, column] = np.linalg.solve(total, here.T @ among_aus[:, moved])
    return weights


def effects(features, roots):
    """Return what each AU does to the features, and the covariance of what is left.

    An unknown intensity counts as the mean of the known ones: it says nothing.
    """
    centred = features - features.mean(axis=0)
    known = np.nan_to_num(roots - np.nanmean(roots, axis=0))
    moves = np.linalg.lstsq(known, centred, rcond=None)[0]
    rest = centred - known @ moves
    return moves, rest.T @ rest / len(rest)


def correlations(aus, table):
    """Return the correlation matrix of AUs that is valid and close to a table."""
    matrix = np.eye(len(aus))
    for pair, value in table.items():
        if set(pair) <= set(aus):
            row, column = map(list(aus).index, pair)
            matrix[row, column] = matrix[column, row] = value
    # Pairs written down one by one need not fit together; eigenvalues tell.
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 0.02)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    return matrix / np.outer(scale, scale)


def deformations(prior, rows):
    """Return the covariance of features among people, in shares of their variance."""
    axes, points = feature_points()
    place = mean_mesh()[0][points[rows]]
    squared = ((place[:, None] - place[None]) ** 2).sum(axis=2)
    smooth = np.exp(-squared / (2 * prior.length**2))
    smooth *= axes[rows][:, None] == axes[rows]
    return prior.smooth * smooth + prior.alone * np.eye(len(rows))


def feature_points():
    """Return the axis, ``"x"`` or ``"y"``, and the mesh point of each feature."""
    names = MeshFeatures().get_feature_names_out()
    axes = np.array([name[0] for name in names])
    return axes, np.array([int(name[1:]) for name in names])


def region_features(region):
    """Return the numbers of the features in a region of the face."""
    mean = mean_mesh()[0]
    x, y = np.abs(mean[:, 0]), mean[:, 1]
    eyes, nose = y[list(EYE_CORNERS)].mean(), y[NOSE_BASE]
    inside = {
        "brows": (y > eyes - 0.38) & (y < eyes + 0.15),
        "mouth": (y > nose - 0.03) & (x < 0.5),
        "lower": y > eyes + 0.02,
    }[region]
    return np.flatnonzero(inside[feature_points()[1]])


def log_odds(scores, label):
    """Return slope and intercept that make scores log-odds of a label."""
    scale = scores.std()
    machine = LogisticRegression(C=1e6).fit(scores[:, None] / scale, label)
    return machine.coef_[0, 0] / scale, machine.intercept_[0]
