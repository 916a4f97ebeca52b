"""What deriving costs: by depth, in rows and re-issued in columns, replayed, printed; and importing chainrule.

    python -m benchmarks.derive [--quick]

Medians of several runs in one process; imports in fresh processes, in turn with scikit-learn's.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import chainrule as cr
from benchmarks.common import arguments, interleaved, print_machine

THREE = "784 -> 128 relu -> 64 tanh -> 10 softmax"
IMPORTS = ("import chainrule", "import sklearn.neural_network")


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The median time of a piece of work."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def tall(depth: int) -> cr.Network:
    """A new network, which has derived nothing yet: 8 tanh layers of width 8 and a softmax."""
    return cr.Network(" -> ".join(["8", *["8 tanh"] * (depth - 1), "3 softmax"]))


def proven_and_printed() -> str:
    """What a reader of a 3-layer network waits for."""
    d = cr.Network(THREE).derive()
    assert d.verify().ok
    return str(d)


def main() -> int:
    options = arguments(__doc__)
    print_machine("scikit-learn")
    depths = (2, 10) if options.quick else (2, 10, 100, 1000, 5000)
    tall(2).derive("columns").verify()  # imports
    print("layers       derive    a layer   in columns      print     replay   steps")
    for depth in depths:
        repeats = 1 if options.quick or depth > 100 else 15
        derive = milliseconds(lambda depth=depth: tall(depth).derive(), repeats)
        net = tall(depth)
        d = net.derive()
        columns = milliseconds(lambda net=net: net.derive("columns"), repeats)
        printed = milliseconds(lambda d=d: str(d), min(repeats, 5))
        replayed = milliseconds(lambda d=d: d.verify(), min(repeats, 5)) if depth <= 100 else float("nan")
        print(
            f"{depth:6d} {derive:9.1f} ms {1e3 * derive / depth:7.0f} us {columns:9.1f} ms {printed:7.1f} ms "
            f"{replayed:7.1f} ms {len(d.steps):7d}"
        )
    whole = milliseconds(proven_and_printed, 1 if options.quick else 15)
    print(f"\n{THREE} derived, every step verified, and printed: {whole:.0f} ms")
    runs = {text: partial(subprocess.run, [sys.executable, "-c", text], check=True) for text in IMPORTS}
    median = interleaved(runs, 1 if options.quick else 7)
    ours, theirs = (median[text] for text in IMPORTS)
    print(f"\nin a fresh process, {IMPORTS[0]}: {ours:.2f} s, {IMPORTS[1]}: {theirs:.2f} s")
    print(f"ratio {ours / theirs:.2f}   (wanted at most 0.33)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
