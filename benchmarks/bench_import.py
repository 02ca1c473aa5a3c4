"""Seconds that importing skfau adds to importing torch, in fresh processes.

    python benchmarks/bench_import.py [--small]

``import skfau`` imports nothing heavy; the second figure also fetches the estimator,
which brings scikit-learn and skorch, and the third imports those two alone: the limit
for the second.
"""

import argparse
import subprocess
import sys

STATEMENTS = {
    "import skfau": "import skfau",
    "from skfau import FAUTransformerClassifier": (
        "from skfau import FAUTransformerClassifier"
    ),
    "import sklearn, skorch (without skfau)": (
        "import sklearn.base, sklearn.model_selection, skorch, cv2"
    ),
}
JOB = "import time, torch; s = time.perf_counter(); {}; print(time.perf_counter() - s)"


def main():
    """Time every statement in processes of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    repeats = 1 if parser.parse_args().small else 5
    for name, statement in STATEMENTS.items():
        job = [sys.executable, "-c", JOB.format(statement)]
        seconds = min(float(subprocess.check_output(job)) for _ in range(repeats))
        print(f"{seconds:6.3f} s  {name}")


if __name__ == "__main__":
    main()
