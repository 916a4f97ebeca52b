"""What deriving costs: by depth, replayed, printed; re-issued in every convention; and importing chainrule.

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

READINGS: dict[str, dict[str, str]] = {
    **{name: {"convention": name} for name in cr.CONVENTIONS if name != "raja"},  # which has no biases
    "no 1/n": {"layout": "columns", "reduction": "sum", "sign": "ascent"},
}
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


def reissued(depth: int, repeats: int) -> dict[str, float]:
    """What re-issuing costs in each convention, over what deriving the same network costs."""
    ratios: dict[str, float] = {}
    for name, options in READINGS.items():
        pairs = []
        for _ in range(repeats):
            network = tall(depth)
            start = time.perf_counter()
            network.graph(False, False)
            between = time.perf_counter()
            network.derive(**options)
            pairs.append((time.perf_counter() - between) / (between - start))
        ratios[name] = statistics.median(pairs)
    return ratios


def print_verified(network: cr.Network, convention: str | None) -> None:
    """All that a reader waits for."""
    derivation = network.derive(convention=convention)
    assert derivation.verify()
    str(derivation)


def main() -> int:
    options = arguments(__doc__)
    print_machine("scikit-learn")
    depths = (2, 10) if options.quick else (2, 10, 100, 1000, 5000)
    str(tall(2).derive("columns", bias="ones").verify())  # imports
    print("layers       derive    a layer      print     replay   steps")
    for depth in depths:
        repeats = 1 if options.quick or depth > 100 else 15
        derive = milliseconds(lambda depth=depth: tall(depth).derive(), repeats)
        net = tall(depth)
        d = net.derive()
        printed = milliseconds(lambda d=d: str(d), min(repeats, 5))
        replayed = milliseconds(lambda d=d: d.verify(), min(repeats, 5)) if depth <= 100 else float("nan")
        print(
            f"{depth:6d} {derive:9.1f} ms {1e3 * derive / depth:7.0f} us {printed:7.1f} ms "
            f"{replayed:7.1f} ms {len(d.steps):7d}"
        )
    print("\nre-issued, over what deriving costs (wanted at most 2)")
    print(f"layers {' '.join(f'{name:>9}' for name in READINGS)}")
    for depth in depths[:3]:
        ratios = reissued(depth, 1 if options.quick else 15 if depth < 100 else 5)
        print(f"{depth:6d} {' '.join(f'{ratio:9.2f}' for ratio in ratios.values())}")
    for convention in (None, "nielsen"):
        whole = milliseconds(lambda how=convention: print_verified(tall(3), how), 1 if options.quick else 15)
        d = tall(3).derive(convention=convention)
        shown = milliseconds(lambda d=d: str(d), 1 if options.quick else 15)
        print(
            f"\n3 layers, {convention or 'as declared'}: {whole:.1f} ms, printed alone {shown:.1f} ms (wanted below 50)"
        )
    runs = {text: partial(subprocess.run, [sys.executable, "-c", text], check=True) for text in IMPORTS}
    median = interleaved(runs, 1 if options.quick else 7)
    ours, theirs = (median[text] for text in IMPORTS)
    print(f"\nin a fresh process, {IMPORTS[0]}: {ours:.2f} s, {IMPORTS[1]}: {theirs:.2f} s")
    print(f"ratio {ours / theirs:.2f}   (wanted at most 0.33)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
