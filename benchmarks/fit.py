"""Whole fits against scikit-learn's MLP: the same architecture, epochs and minibatches; and the first fit there is.

    python -m benchmarks.fit [--quick] [--rounds 7]

Everything a user waits for: checks of the data, derivation, initial weights, training, the loss curve. No stopping
rule, Adam; float64 as `load_digits` gives it, and float32, in which both can train. Each has a process of its own,
warm, and they run in turn; least seconds. For scikit-learn the better of one and two BLAS threads. Where the estimators
have a choice, the NumPy program is timed beside the engine.

The first fit: a new process with no compiled code on disk, and one that finds it there; from the import to the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from typing import Any

import numpy as np

from benchmarks.common import arguments, engines, geometric_mean, print_machine
from benchmarks.workers import Session, Worker, fastest

PROBLEMS = {  # data, its type, hidden layers, batch, epochs
    "digits, 64-100-10, batch 200": ("digits", "float64", (100,), 200, 30),
    "digits, 64-100-10, batch 32": ("digits", "float64", (100,), 32, 15),
    "breast_cancer, 30-100-1, batch 200": ("breast_cancer", "float64", (100,), 200, 50),
    "breast_cancer, 30-100-1, batch 32": ("breast_cancer", "float64", (100,), 32, 20),
    "20,000 x 20, 20-32-32-1, batch 200": ("synthetic", "float64", (32, 32), 200, 5),
    "20,000 x 20, 20-100-1, batch 200": ("synthetic", "float64", (100,), 200, 5),
    "digits, float32, batch 32": ("digits", "float32", (100,), 32, 15),
    "breast_cancer, float32, batch 32": ("breast_cancer", "float32", (100,), 32, 20),
    "20,000 x 20, 32-32, float32, batch 32": ("synthetic", "float32", (32, 32), 32, 2),
}
FIRST = """
import time
start = time.perf_counter()
import chainrule as cr
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
cr.MLPClassifier(max_iter=10, tol=0, random_state=0).fit(X, y)
print(time.perf_counter() - start)
"""


def data(name: str, dtype: str, quick: bool) -> tuple[np.ndarray, np.ndarray]:
    """Standardized rows and labels."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    if name == "synthetic":
        X, y = datasets.make_classification(20_000, 20, random_state=0)
    else:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(dtype)
    return (X[:400], y[:400]) if quick else (X, y)


def fitting(
    name: str, dtype: str, quick: bool, rival: bool, threads: int | None, parameters: dict[str, Any]
) -> Session:
    """A session that fits; one fit comes before it."""
    from threadpoolctl import threadpool_limits

    if rival:
        from sklearn.neural_network import MLPClassifier as Kind
    else:
        from chainrule import MLPClassifier as Kind
    warnings.simplefilter("ignore")
    if threads:
        threadpool_limits(threads, "blas")
    X, y = data(name, dtype, quick)

    def fit() -> None:
        Kind(random_state=0, tol=0.0, n_iter_no_change=10**9, **parameters).fit(X, y)

    fit()
    return {"fit": fit}


def first_fit(cache: str) -> float:
    """Seconds of a new process that fits digits, from its first line on, with compiled code in that folder."""
    command = [sys.executable, "-c", FIRST]
    done = subprocess.run(command, env=os.environ | {"NUMBA_CACHE_DIR": cache}, capture_output=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> int:
    options = arguments(__doc__, rounds=7)
    rounds = 1 if options.quick else options.rounds
    print_machine("scikit-learn", "numba")
    ways = engines()
    print(f"{'seconds a fit':38}", *(f"{way:>10}" for way in ways), f"{'sklearn':>9}", *(f"{'ratio':>7}" for _ in ways))
    workers = {way: Worker() for way in [*ways, "sklearn 1", "sklearn 2"]}
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for title, (name, dtype, hidden, batch, epochs) in PROBLEMS.items():
        same = {"hidden_layer_sizes": hidden, "batch_size": batch, "max_iter": 2 if options.quick else epochs}
        for way, worker in workers.items():
            ours = way in ways
            threads = None if ours else int(way[-1])
            worker.open(fitting, name, dtype, options.quick, not ours, threads, same | ways.get(way, {}))
        least = {
            way: times["fit",] for way, times in fastest(workers, {way: [("fit",)] for way in workers}, rounds).items()
        }
        rival = min(least["sklearn 1"], least["sklearn 2"])
        for way in ways:
            ratios[way].append(rival / least[way])
        print(
            f"{title:38}",
            *(f"{least[way]:10.4f}" for way in ways),
            f"{rival:9.4f}",
            *(f"{ratios[way][-1]:6.2f}x" for way in ways),
            flush=True,
        )
    print()
    for way in ways:
        print(f"{way:10} geometric mean {geometric_mean(ratios[way]):.2f}x, least {min(ratios[way]):.2f}x")
    for worker in workers.values():
        worker.close()
    with tempfile.TemporaryDirectory() as cache:
        print("\nthe first fit in a new process, import included")
        cold = first_fit(cache)
        warm = min(first_fit(cache) for _ in range(1 if options.quick else 3))
    print(f"nothing compiled yet {cold:.2f} s, compiled before {warm:.2f} s: {cold - warm:.2f} s more, once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
