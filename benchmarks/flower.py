"""The planar flower: 400 points of two classes, 2-4-1 tanh and logistic, full batches; costs against published ones.

    python -m benchmarks.flower [--quick]

Data by NumPy's legacy generator, seed 1; W = 0.01 randn with seed 2 in columns layout (W1 first), biases 0; learning
rate 1.2. The costs are those of a much-read course, recomputed in float64: the derived program must give them to 1e-5
up to step 7,000 (after about 7,500 steps rounding is amplified). Run in rows and in columns.
"""

from __future__ import annotations

import sys

import numpy as np

import chainrule as cr
from benchmarks.common import arguments, print_machine
from chainrule.program.execute import run

COSTS = (0.693048, 0.288083, 0.254385, 0.233864, 0.226792, 0.222644, 0.219731, 0.217504)  # every 1,000 steps


def flower() -> tuple[np.ndarray, np.ndarray]:
    """X (400 x 2) and Y (400 x 1)."""
    draw, n = np.random.RandomState(1), 200
    X, Y = np.zeros((2 * n, 2)), np.zeros((2 * n, 1))
    for j in range(2):
        rows = slice(n * j, n * (j + 1))
        t = np.linspace(3.12 * j, 3.12 * (j + 1), n) + 0.2 * draw.randn(n)
        r = 4 * np.sin(4 * t) + 0.2 * draw.randn(n)
        X[rows], Y[rows] = np.c_[r * np.sin(t), r * np.cos(t)], j
    return X, Y


def costs(layout: str, steps: int) -> list[float]:
    """The cost every 1,000 steps of the printed step program, before the step."""
    X, Y = flower()
    draw = np.random.RandomState(2)
    W1, W2 = 0.01 * draw.randn(4, 2), 0.01 * draw.randn(1, 4)  # columns layout
    state = {"W1": W1, "b1": np.zeros((4, 1)), "W2": W2, "b2": np.zeros((1, 1))}
    if layout == "rows":
        state = {name: value.T for name, value in state.items()}
    else:
        X, Y = X.T, Y.T
    step = run(cr.Network("2 -> 4 tanh -> 1 logistic").derive(layout).source(part="step"), "step")
    values, out = tuple(state.values()), []
    for i in range(steps + 1):
        loss, *values = step(X, Y, *values, lr=1.2)
        if i % 1000 == 0:
            out.append(float(loss))
    return out


def main() -> int:
    options = arguments(__doc__)
    print_machine()
    steps = 1000 if options.quick else 7000
    found = {layout: costs(layout, steps) for layout in ("rows", "columns")}
    print(f"{'step':>6} {'published':>10} {'rows':>10} {'columns':>10}")
    for i, cost in enumerate(COSTS[: steps // 1000 + 1]):
        print(f"{1000 * i:6d} {cost:10.6f} {found['rows'][i]:10.6f} {found['columns'][i]:10.6f}")
    worst = max(abs(a - b) for costs_ in found.values() for a, b in zip(costs_, COSTS, strict=False))
    print(f"largest difference {worst:.1e}   (wanted 1e-5)")
    return 0 if worst < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
