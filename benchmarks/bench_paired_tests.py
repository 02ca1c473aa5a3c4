"""How often tests call one of two equally good systems the better one.

    python benchmarks/bench_paired_tests.py [--small]

Two simulated systems err equally often on people at large, but each has people whom it
suits, and errors last for several frames, as in videos. A test at the 5 % level should
find a difference in 5 % of the trials. Prints the share in which each test does, for
data sets of as many subjects as a small one, DISFA and BP4D have, and the time of a
test; the bootstrap works on counts of subjects, so its floor is one pass over the
labels to count them, which is timed beside it.
"""

import argparse
from functools import partial

import numpy as np
from scipy.signal import lfilter

from _timing import best_of
from skfau.metrics import (
    au_f1_score,
    mcnemar_test,
    paired_bootstrap_test,
    paired_t_test,
)

N_AUS = 3
MEMORY = 0.95  # of an error from frame to frame


def simulate(n_subjects, n_frames, rng):
    """Return labels, two systems' predictions, and the subject of every row."""
    shape = (n_subjects, n_frames, N_AUS)
    rates = rng.normal(0, 1, (n_subjects, 1, N_AUS)) - 0.8
    y = (smooth(rng.normal(size=shape)) + rates > 0).astype(float)
    systems = []
    for _ in range(2):
        suits = rng.normal(0, 0.7, (n_subjects, 1, N_AUS))
        noise = smooth(rng.normal(size=shape))
        systems.append((2 * y - 1 + suits + noise > 0).astype(float).reshape(-1, N_AUS))
    subjects = np.repeat(np.arange(n_subjects), n_frames)
    return y.reshape(-1, N_AUS), *systems, subjects


def smooth(noise):
    """Let white noise last, at unit variance from some frames on."""
    return lfilter([np.sqrt(1 - MEMORY**2)], [1, -MEMORY], noise, axis=1)


def p_values(y, first, second, subjects, seed):
    """Return the p-value of every test by its name."""
    bootstrap = paired_bootstrap_test(
        "f1", y, first, second, subjects, random_state=seed
    )
    over_people = paired_t_test(first, second, y_true=y, subjects=subjects)
    return {
        "paired bootstrap over subjects": bootstrap.p_value,
        "t-test of errors over subjects": over_people.p_value,
        "McNemar over frames": mcnemar_test(y, first, second).p_value,
        "t-test of predictions over frames": paired_t_test(first, second).p_value,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    n_trials, n_frames = (20, 50) if options.small else (500, 200)
    rng = np.random.default_rng(0)
    for n_subjects in (12, 27, 41):
        trials = [
            p_values(*simulate(n_subjects, n_frames, rng), seed)
            for seed in range(n_trials)
        ]
        print(f"{n_subjects} subjects, {n_frames} frames each, {n_trials} trials")
        for name in trials[0]:
            share = np.mean([trial[name] < 0.05 for trial in trials])
            print(f"  {100 * share:5.1f} % differ at 5 %  {name}")
    y, first, second, subjects = simulate(41, 3500, rng)
    test = partial(paired_bootstrap_test, "f1", y, first, second, subjects)
    once = partial(au_f1_score, y, first)
    seconds, floor = best_of([test, once], repeats=3)
    cost = f"{1e3 * seconds:.0f} ms, {seconds / floor:.1f} times one score"
    print(f"bootstrap of {len(y)} rows: {cost}")


if __name__ == "__main__":
    main()
