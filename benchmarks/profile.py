"""Where the time of a training step goes, as far as it shows from outside, for three networks.

    python -m benchmarks.profile [--quick] [--rounds 7]

A step is timed as in `benchmarks.step`, and then with one thing changed; every part is the difference it makes:
products: the matrix products alone, by NumPy with two threads; update: Adam instead of SGD, whose own update may hide
in a product; activation: ReLU instead of none; gather: rows in a new order each epoch instead of as they lie; rest:
what is left. Differences of times are not times: parts that overlap, or that hide behind memory, are counted where
they show.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from benchmarks import training
from benchmarks.common import arguments, print_machine
from benchmarks.training import Cell
from benchmarks.workers import Session, Worker, fastest, slope

CELLS = (
    Cell((20, 32, 32, 2), 32, 8192, "adam", "relu"),
    Cell((784, 128, 64, 10), 128, 8192, "adam", "relu"),
    Cell((784, 1024, 1024, 10), 256, 4096, "adam", "relu"),
)
LENGTHS = (2, 6)
PARTS = ("products", "update", "activation", "gather", "rest")


def in_order(cell: Cell) -> Session:
    """Without shuffling."""
    run = training.chainrule(cell)["run"]
    return {"run": lambda epochs: run(epochs, shuffle=False)}


def parts(cell: Cell, workers: dict[str, Worker], rounds: int) -> tuple[float, dict[str, float]]:
    """Microseconds of a step, and of its parts."""
    plain = replace(cell, update="sgd")
    running = {
        "whole": workers["whole"].open(training.chainrule, cell),
        "products": workers["products"].open(training.products, cell, 2),
        "update": workers["update"].open(training.chainrule, plain),
        "activation": workers["activation"].open(training.chainrule, replace(cell, activation="identity")),
        "gather": workers["gather"].open(in_order, cell),
    }
    least = fastest(running, [("run", epochs) for epochs in LENGTHS], rounds)
    step = {name: 1e6 * slope(times) / cell.steps for name, times in least.items()}
    whole = step.pop("whole")
    part = {name: time if name == "products" else whole - time for name, time in step.items()}
    return whole, {**part, "rest": whole - sum(part.values())}


def main() -> int:
    options = arguments(__doc__, rounds=7)
    print_machine()
    if options.quick:
        print("four minibatches: no figure below means anything\n")
    print(f"{'microseconds a step':36} {'whole':>9}", *(f"{part:>16}" for part in PARTS))
    workers = {name: Worker() for name in ("whole", "products", "update", "activation", "gather")}
    for cell in CELLS[:2] if options.quick else CELLS:
        size = replace(cell, rows=4 * cell.batch) if options.quick else cell
        whole, found = parts(size, workers, 1 if options.quick else options.rounds)
        shares = (f"{found[part]:9.1f} {100 * found[part] / whole:4.0f} %" for part in PARTS)
        print(f"{cell!s:36} {whole:9.1f}", *shares, flush=True)
    for worker in workers.values():
        worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
