"""Whole fits of the NumPy program against scikit-learn's MLP: the same architecture, epochs and minibatches.

    python -m benchmarks.fit [--quick]

Interleaved runs of one process, medians, ratios. No stopping rule, float64, Adam; one BLAS thread for both, and the
better of one and two threads for scikit-learn.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import chainrule as cr
from benchmarks.common import arguments, interleaved, print_machine

PROBLEMS = {
    "digits, 64-100-10, batch 200": (lambda: load_digits(return_X_y=True), (100,), 200, 30),
    "digits, 64-100-10, batch 32": (lambda: load_digits(return_X_y=True), (100,), 32, 15),
    "breast_cancer, 30-100-1, batch 200": (lambda: load_breast_cancer(return_X_y=True), (100,), 200, 50),
    "20,000 x 20, 20-32-32-1, batch 200": (lambda: make_classification(20_000, 20, random_state=0), (32, 32), 200, 5),
    "20,000 x 20, 20-100-1, batch 200": (lambda: make_classification(20_000, 20, random_state=0), (100,), 200, 5),
}


def fitting(kind: type, X: np.ndarray, y: np.ndarray, threads: int, **parameters: object) -> Callable[[], object]:
    """A whole fit."""

    def run() -> object:
        with threadpool_limits(threads, "blas"):
            return kind(random_state=0, tol=0.0, n_iter_no_change=10_000, **parameters).fit(X, y)

    return run


def main() -> int:
    options = arguments(__doc__)
    warnings.simplefilter("ignore")
    print_machine("scikit-learn")
    print(f"{'fit':38} {'chainrule':>10} {'scikit-learn':>13} {'ratio':>6}")
    for name, (load, hidden, batch, epochs) in PROBLEMS.items():
        X, y = load()
        X = StandardScaler().fit_transform(X)
        if options.quick:
            X, y, epochs = X[:400], y[:400], 2
        same = {"hidden_layer_sizes": hidden, "batch_size": batch, "max_iter": epochs}
        runs = {
            "ours": fitting(cr.MLPClassifier, X, y, 1, **same),
            "one": fitting(MLPClassifier, X, y, 1, **same),
            "two": fitting(MLPClassifier, X, y, 2, **same),
        }
        interleaved(runs, 1)  # imports, derivation and compilation of text, once
        median = interleaved(runs, 1 if options.quick else 7)
        rival = min(median["one"], median["two"])
        print(f"{name:38} {median['ours']:8.3f} s {rival:11.3f} s {rival / median['ours']:5.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
