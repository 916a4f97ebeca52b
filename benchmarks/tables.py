"""Test scores against scikit-learn's MLP on six tables: the same architecture, solver, budget, splits and scaling.

    python -m benchmarks.tables [--quick] [--data DIR]

Five seeds each (a seed is a split and initial weights); the verdict is 'level or better' where chainrule's mean is at
least scikit-learn's less one standard error of the difference of the two means. The last column is the mean difference
seed by seed, with its own standard error: the sharper figure, and on a small table a noisy one.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

import chainrule as cr
from benchmarks.common import arguments, found, print_machine
from chainrule.pipeline import prepare
from chainrule.tables import read_table

# name: (file or None, target, epochs, most rows)
TABLES = {
    "digits": (None, None, 60),
    "breast_cancer": (None, None, 60),
    "wine": (None, None, 100),
    "diabetes": (None, None, 60),
    "adult": ("adult.parquet", "income", 10),
    "california_housing": ("california_housing.parquet", "MedHouseVal", 20),
}
RIVALS = {"classification": (cr.MLPClassifier, MLPClassifier), "regression": (cr.MLPRegressor, MLPRegressor)}


def scores(name: str, options: object, seed: int) -> tuple[float, float]:
    """The test scores of chainrule and of scikit-learn for one seed: one split, one scaling for both."""
    file, target, epochs = TABLES[name]
    table = read_table(name if file is None else found(options.data / "tabular" / file))
    if options.quick:
        table, epochs = table.take(np.arange(0, table.rows, max(1, table.rows // 200))), 2
    data = prepare(table, target, random_state=seed)
    out = []
    for kind in RIVALS[data.target.task]:
        model = kind(
            hidden_layer_sizes=(100,),
            random_state=seed,
            max_iter=epochs,
            batch_size=32 if len(data.X) < 5_000 else 200,
            tol=0.0,
        )
        out.append(float(model.fit(data.X, data.y).score(data.X_test, data.y_test)))
    return out[0], out[1]


def main() -> int:
    options = arguments(__doc__, data=True)
    warnings.simplefilter("ignore")
    print_machine("scikit-learn")
    print(f"{'table':20} {'chainrule':>20} {'scikit-learn':>20}   {'verdict':15}  {'seed by seed'}")
    fair = True
    for name in TABLES:
        pairs = np.array([scores(name, options, seed) for seed in range(1 if options.quick else 5)])
        mean, error = pairs.mean(axis=0), pairs.std(axis=0, ddof=min(1, len(pairs) - 1)) / np.sqrt(len(pairs))
        difference = pairs[:, 0] - pairs[:, 1]
        paired = difference.std(ddof=min(1, len(pairs) - 1)) / np.sqrt(len(pairs))
        level = difference.mean() >= -np.hypot(*error)
        fair &= bool(level)
        shown = [f"{m:.4f} +- {e:.4f}" for m, e in zip(mean, error, strict=True)]
        verdict = "level or better" if level else "WORSE"
        print(f"{name:20} {shown[0]:>20} {shown[1]:>20}   {verdict:15}  {difference.mean():+.4f} +- {paired:.4f}")
    return 0 if fair or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
