"""A training step against JAX, PyTorch and scikit-learn: five networks, three updates, two activations, float32.

    python -m benchmarks.step [--quick] [--only REGEX] [--rivals jax,pytorch,compiled,sklearn] [--rounds 5]

Data are resident and shuffled anew each epoch; every competitor has a process of its own and its strongest honest form
(`benchmarks/training.py`), PyTorch and scikit-learn the better of one and two threads. They are run in turn, round by
round. The time of an epoch is the difference between the least times of two lengths of training, the longer a quarter
of a second or more, for all alike, so that what comes once per fit is not in it. chainrule and scikit-learn compute
their loss curve, the others do not. Before timing, all train one epoch from the same weights over rows in the same
order, and the losses must agree. The products of the two largest networks are timed alone as well, by NumPy with two
threads. --only selects lines such as "784-512-256-10 batch 128 adam relu"; --engine is passed to the estimator.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from benchmarks import training
from benchmarks.common import arguments, geometric_mean, print_machine
from benchmarks.training import Cell
from benchmarks.workers import Setup, Task, Worker, fastest, is_noisy, opened, slope

NETWORKS = (  # layer sizes, batch, rows
    ((20, 32, 32, 2), 32, 8192),
    ((64, 64, 64, 10), 64, 8192),
    ((784, 128, 64, 10), 128, 8192),
    ((784, 512, 256, 10), 128, 4096),
    ((784, 1024, 1024, 10), 256, 4096),
)
CELLS = [Cell(*network, update, act) for network, update, act in product(NETWORKS, training.RATE, ("relu", "tanh"))]
SMALLEST, *_ = SIZES = [sizes for sizes, _, _ in NETWORKS]
LARGE = SIZES[-2:]  # whose time is mostly that of their products
QUICK = ("jax", "pytorch", "sklearn")  # those that need no compiler of C++
LENGTHS = (2, 6)  # epochs, or more for the longer one, so that
WINDOW = 0.25  # seconds are in it: what is shorter meets the machine at its best or its worst by chance
TOLERANCE = 1e-3  # of the loss after an epoch: float32 drifts apart over hundreds of steps
OURS, PRODUCTS = "chainrule", "products"
RIVALS: dict[str, list[Setup]] = {  # each the better of its forms, which differ in threads
    "jax": [(training.jax,)],
    "pytorch": [(training.pytorch, 1), (training.pytorch, 2)],
    "compiled": [(training.pytorch_compiled, 1), (training.pytorch_compiled, 2)],
    "sklearn": [(training.scikit_learn, 1), (training.scikit_learn, 2)],
}


@dataclass(frozen=True)
class Line:
    """What was measured of a cell: microseconds a step, by competitor."""

    cell: Cell
    steps: Mapping[str, float]
    apart: float  # the losses after one epoch from the same weights, largest over least, less 1

    @property
    def rivals(self) -> list[str]:
        return [each for each in self.steps if each not in (OURS, PRODUCTS)]

    def ratio(self, rival: str) -> float:
        """Above 1 where chainrule is the faster."""
        return self.steps[rival] / self.steps[OURS]

    @property
    def worst(self) -> float:
        """The ratio of the fastest rival."""
        return min(map(self.ratio, self.rivals), default=math.nan)

    def row(self, kinds: Sequence[str]) -> str:
        """The line of the table; a rival that did not work is a dash."""
        cells = [f"{self.cell!s:36} {self.steps[OURS]:9.1f}"]
        for kind in kinds:
            known = kind in self.steps
            cells.append(f"{self.steps[kind]:9.1f} {self.ratio(kind):6.2f}x" if known else f"{'-':>9} {'-':>7}")
        return " ".join(cells)


def competitors(rivals: Sequence[str], cell: Cell, engine: str | None) -> dict[str, Setup]:
    """All that are measured of a cell; a rival has one for each of its forms."""
    forms: dict[str, Setup] = {OURS: (training.chainrule, engine)}
    forms |= {f"{rival} {i}": form for rival in rivals for i, form in enumerate(RIVALS[rival], 1)}
    if cell.sizes in LARGE:
        forms[PRODUCTS] = (training.products, 2)
    return {name: (setup, cell, *options) for name, (setup, *options) in forms.items()}


def lengths(worker: Worker, window: float) -> list[Task]:
    """Two lengths of training, the longer of so many seconds at least."""
    short, least = LENGTHS
    epoch = min(worker.seconds("run", short) for _ in range(2)) / short
    return [("run", short), ("run", max(least, math.ceil(window / epoch)))]


def measure(
    cell: Cell, workers: dict[str, Worker], setups: Mapping[str, Setup], rounds: int, window: float = WINDOW
) -> Line:
    """One line of the table."""
    running = opened(workers, setups, [OURS])
    apart = referee(cell, {name: worker.value("once") for name, worker in running.items()})
    least = fastest(running, {name: lengths(worker, window) for name, worker in running.items()}, rounds)
    steps: dict[str, float] = {}
    for name in sorted(least, key=lambda name: (is_noisy(least[name]), slope(least[name]))):  # the better form first
        steps.setdefault(name.split(" ")[0], 1e6 * slope(least[name]) / cell.steps)
    noisy = [name for name, seconds in least.items() if is_noisy(seconds)]
    if noisy:
        print(f"   noise is in: {', '.join(noisy)}")
    return Line(cell, {kind: steps[kind] for kind in (OURS, *RIVALS, PRODUCTS) if kind in steps}, apart)


def referee(cell: Cell, weights: Mapping[str, Any]) -> float:
    """How far apart the losses are after one epoch from the same weights, which must be a little at most."""
    losses = {name: cell.loss(each) for name, each in weights.items() if each is not None}
    apart = max(losses.values()) / min(losses.values()) - 1
    if not apart <= TOLERANCE:
        raise SystemExit(f"not the same training, {cell}: losses {losses} after one epoch")
    return apart


def summary(lines: Sequence[Line]) -> None:
    """Means, the cells that are lost, the products, and whether all trained alike."""
    for rival in dict.fromkeys(each for line in lines for each in line.rivals):
        ratios = [line.ratio(rival) for line in lines if rival in line.steps]
        print(f"{rival:10} geometric mean {geometric_mean(ratios):6.2f}x, least {min(ratios):6.2f}x", end="")
        small = [line.ratio(rival) for line in lines if line.cell.sizes == SMALLEST and rival in line.steps]
        print(
            f", {'-'.join(map(str, SMALLEST))} {geometric_mean(small):6.2f}x, least {min(small):6.2f}x" if small else ""
        )
    for bound in (0.95, 1.0):
        below = [str(line.cell) for line in lines if line.worst < bound]
        print(f"cells below {bound} of the fastest rival: {len(below)} of {len(lines)}", *below, sep="\n   ")
    for update in training.RATE:
        alone = [1 / line.ratio(PRODUCTS) for line in lines if PRODUCTS in line.steps and line.cell.update == update]
        if alone:
            print(f"time over that of the products alone, {update}: {min(alone):.2f} to {max(alone):.2f}")
    print(f"losses after one epoch from the same weights are at most {max(line.apart for line in lines):.1g} apart")


def main() -> int:
    options = arguments(__doc__, only=".", rivals=",".join(RIVALS), rounds=5, engine="")
    rivals = [name for name in options.rivals.split(",") if name]
    if unknown := set(rivals) - set(RIVALS):
        raise SystemExit(f"unknown rivals {', '.join(sorted(unknown))}: there are {', '.join(RIVALS)}")
    print_machine("jax", "torch", "scikit-learn")
    cells = [cell for cell in CELLS if re.search(options.only, str(cell))]
    if not cells:
        raise SystemExit(f"no line matches {options.only!r}; one is {str(CELLS[0])!r}")
    if options.quick:
        cells = [replace(cell, rows=4 * cell.batch) for cell in cells if cell.sizes in (SMALLEST, LARGE[0])][::5]
        rivals = [name for name in rivals if name in QUICK]
        print("four minibatches: no figure below means anything\n")
    kinds = [*rivals, PRODUCTS]
    print(f"{'microseconds a step':36} {OURS:>9}", *(f"{kind:>9} {'ratio':>7}" for kind in kinds))
    workers: dict[str, Worker] = {}
    lines = []
    for cell in cells:
        setups = competitors(rivals, cell, options.engine or None)
        lines.append(measure(cell, workers, setups, *((1, 0.0) if options.quick else (options.rounds, WINDOW))))
        print(lines[-1].row(kinds), flush=True)
    print()
    summary(lines)
    for worker in workers.values():
        worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
