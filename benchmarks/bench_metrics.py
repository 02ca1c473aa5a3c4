"""Speed of per-AU scores, of the subject bootstrap, and of dealing subjects to folds.

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_metrics.py`` (about half a minute), or
with ``--small`` (a few seconds, fewer frames). Both sides of a ratio run in turns in
this process and the fastest of the repeats counts.

Measured
    f1: `au_f1_score` of 140,000 x 12 complete labels against a loop of
        ``sklearn.metrics.f1_score`` over the AUs; both give the same numbers.
    f1 with unknowns: the same call with 10 % NaN, which scikit-learn refuses.
    roc_auc, average_precision: against loops of scikit-learn's functions.
    thresholds: `best_f1_thresholds` against F1 at 99 fixed thresholds.
    bootstrap: 1000 resamples of 140 subjects against computing F1 anew from the
        frames of each (timed on a few resamples and scaled).
    folds: `SubjectKFold` of the same labels; no counterpart in scikit-learn.

Physical limit
    Counting must read labels and predictions once, 13 MB at 140,000 x 12 float32:
    about 1.3 ms at 10 GB/s. Ranking scores must sort each AU's probabilities.
"""

import argparse
import time

import numpy as np
import sklearn.metrics as skm

from skfau.metrics import (
    au_average_precision_score,
    au_f1_score,
    au_roc_auc_score,
    bootstrap_ci,
)
from skfau.model_selection import SubjectKFold, best_f1_thresholds


def fastest(*calls, repeats=5):
    """Return the least wall time of each call, in seconds, taken in turns."""
    best = [np.inf] * len(calls)
    for _ in range(repeats):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def report(name, ours, other=None):
    ratio = "" if other is None else f"{1e3 * other:10.1f} ms   {other / ours:8.1f} x"
    print(f"{name:18} {1e3 * ours:8.2f} ms {ratio}")


def by_column(function, y_true, y_other):
    columns = zip(y_true.T, y_other.T, strict=True)
    return np.array([function(*column) for column in columns])


def at_fixed_thresholds(y_true, y_proba):
    cuts = np.arange(1, 100) / 100
    scores = [au_f1_score(y_true, y_proba >= cut, average=None) for cut in cuts]
    return cuts[np.argmax(scores, axis=0)]


def simulate(n_frames, n_aus=12, n_subjects=140):
    rng = np.random.default_rng(0)
    subjects = np.sort(rng.integers(0, n_subjects, n_frames))
    rate = 1 / (1 + np.exp(1 - rng.normal(size=(n_subjects, n_aus))))
    y_true = (rng.random((n_frames, n_aus)) < rate[subjects]).astype(np.float32)
    z = 1.5 * y_true - 1 + rng.normal(size=y_true.shape)
    y_proba = (1 / (1 + np.exp(-z))).astype(np.float32)
    return subjects, y_true, y_proba


def compare_with_sklearn(y_true, y_pred, y_proba):
    pairs = [
        ("f1", au_f1_score, skm.f1_score, y_pred),
        ("roc_auc", au_roc_auc_score, skm.roc_auc_score, y_proba),
        (
            "average_precision",
            au_average_precision_score,
            skm.average_precision_score,
            y_proba,
        ),
    ]
    for name, ours, theirs, other in pairs:
        expected = by_column(theirs, y_true, other)
        actual = ours(y_true, other, average=None)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)
        times = fastest(
            lambda f=ours, o=other: f(y_true, o),
            lambda f=theirs, o=other: by_column(f, y_true, o),
        )
        report(name, *times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="14,000 frames")
    n_frames = 14_000 if parser.parse_args().small else 140_000
    subjects, y_true, y_proba = simulate(n_frames)
    y_pred = (y_proba >= 0.5).astype(np.float32)
    print(f"{n_frames} frames x {y_true.shape[1]} AUs, {subjects.max() + 1} subjects")
    print(f"{'':18} {'skfau':>11} {'other':>13}   {'ratio':>10}")
    compare_with_sklearn(y_true, y_pred, y_proba)

    unknown = np.random.default_rng(1).random(y_true.shape) < 0.1
    y_some = np.where(unknown, np.float32(np.nan), y_true)
    report("f1 with unknowns", *fastest(lambda: au_f1_score(y_some, y_pred)))
    report(
        "thresholds",
        *fastest(
            lambda: best_f1_thresholds(y_some, y_proba),
            lambda: at_fixed_thresholds(y_some, y_proba),
            repeats=3,
        ),
    )

    def bootstrap(metric, n_resamples):
        return bootstrap_ci(
            metric, y_some, y_pred, subjects, n_resamples=n_resamples, random_state=0
        )

    ours, few = fastest(
        lambda: bootstrap("f1", 1000), lambda: bootstrap(au_f1_score, 10), repeats=3
    )
    report("bootstrap, 1000", ours, 100 * few)
    splitter = SubjectKFold()
    report("folds", *fastest(lambda: splitter.test_folds(y_some, y_some, subjects)))


if __name__ == "__main__":
    main()
