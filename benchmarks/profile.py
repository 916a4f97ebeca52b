"""Where the time of a training step goes, for three networks: by kinds of the engine's instructions, on one thread.

    python -m benchmarks.profile [--quick] [--rounds 15]

The instructions of a step are run, then none, and then those of one kind at a time, in turn; medians, those of a kind
less those of none. products: matrix products; update: elementwise work on parameters (of SGD it is done by a product);
elementwise: the same on rows of a minibatch; rows: probabilities and their logarithms; gather: rows of the minibatch
and their labels. rest is the difference to the whole: what every step and epoch costs, and what goes slower or faster
when it is not run by itself.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from benchmarks.common import arguments, print_machine
from benchmarks.training import RATE, Cell
from chainrule import Network
from chainrule.engine import words
from chainrule.engine.plan import Plan
from chainrule.engine.programs import EngineStep
from chainrule.updates import find_update

CELLS = (
    Cell((20, 32, 32, 2), 32, 8192, "adam", "relu"),
    Cell((784, 128, 64, 10), 128, 8192, "adam", "relu"),
    Cell((784, 1024, 1024, 10), 256, 4096, "adam", "relu"),
)
KINDS = {
    words.GEMM: "products",
    words.MAP: "elementwise",
    words.ROW_FUNCTION: "rows",
    words.ROW_SUMS: "rows",
    words.GATHER: "gather",
    words.LABELS: "gather",
}
PARTS = ("products", "elementwise", "update", "rows", "gather")
NOTHING = -1  # an instruction that does nothing


def parts_of(plan: Plan) -> list[str]:
    """What each instruction belongs to; elementwise work in a loop over rows of a parameter is an update."""
    parts = [KINDS.get(int(kind), "") for kind in plan.code[:, 0]]
    for _, first, last, extent, *_ in plan.loops:
        if extent >= 0:
            parts[first:last] = ["update" if part == "elementwise" else part for part in parts[first:last]]
    return parts


@contextmanager
def only(plan: Plan, kept: np.ndarray) -> Iterator[None]:
    """The other instructions do nothing."""
    kinds = plan.code[:, 0].copy()
    plan.code[~kept, 0] = NOTHING
    try:
        yield
    finally:
        plan.code[:, 0] = kinds


def epoch_of(cell: Cell) -> tuple[Callable[[], object], EngineStep]:
    """A call that trains one more epoch, on one thread."""
    X, y = cell.data()
    network = Network(cell.spec, loss="cross_entropy")
    rule = find_update(cell.update)
    step = EngineStep(network, rule, weighted=False, threads=1)
    params = {name: value.astype(X.dtype) for name, value in network.init(random_state=0).items()}
    state = params | step.initial_states(X.dtype)
    data = {"X": X, "Y": np.eye(cell.sizes[-1], dtype=X.dtype)[y]}
    order = np.random.default_rng(0).permutation(cell.rows)
    starts = np.append(np.arange(0, cell.rows, cell.batch), cell.rows)
    hyper = {**rule.hyper, "lr": RATE[cell.update]}

    def epoch() -> None:
        nonlocal state
        _, state = step.epoch(state, data, order, starts, np.diff(starts).astype(float), hyper, 0)

    return epoch, step


def measure(cell: Cell, rounds: int) -> dict[str, float]:
    """Microseconds of processor time of a step and of its parts."""
    epoch, step = epoch_of(cell)
    epoch()
    team = step._team
    assert team is not None
    found = np.array(parts_of(team.plan))
    masks = {"whole": np.full(found.shape, True), "none": found == "none", **{part: found == part for part in PARTS}}
    seconds: dict[str, list[float]] = {name: [] for name in masks}
    for _ in range(rounds):
        for name, kept in masks.items():
            with only(team.plan, kept):
                began = time.thread_time()
                epoch()
                seconds[name].append(time.thread_time() - began)
    median = {name: 1e6 * statistics.median(times) / cell.steps for name, times in seconds.items()}
    none = median.pop("none")
    return {name: time if name == "whole" else time - none for name, time in median.items()}


def main() -> int:
    options = arguments(__doc__, rounds=15)
    print_machine()
    if options.quick:
        print("four minibatches: no figure below means anything\n")
    print(f"{'microseconds a step':36} {'whole':>9}", *(f"{part:>16}" for part in (*PARTS, "rest")))
    for cell in CELLS[:2] if options.quick else CELLS:
        size = replace(cell, rows=4 * cell.batch) if options.quick else cell
        found = measure(size, 1 if options.quick else options.rounds)
        whole = found.pop("whole")
        found["rest"] = whole - sum(found.values())
        shares = (f"{time:9.1f} {100 * time / whole:4.0f} %" for time in found.values())
        print(f"{cell!s:36} {whole:9.1f}", *shares, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
