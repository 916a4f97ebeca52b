"""Prediction of one row, of a minibatch and of a million rows, against scikit-learn and PyTorch.

    python -m benchmarks.predict [--quick] [--rounds 7]

From a NumPy array of float32 rows to an array of classes. scikit-learn and chainrule as fitted; PyTorch a module of the
same layers in inference mode, the fastest of one and two threads, and of all rows at once and 8,192 at a time. Each has
a process of its own; they run in turn, least microseconds a call.
"""

from __future__ import annotations

import math
import sys
import warnings
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.common import arguments, engines, print_machine
from benchmarks.workers import Session, Worker, fastest, opened

NETWORKS = ((20, 32, 32, 2), (784, 512, 256, 10))
ROWS = ((1, 2000), (200, 500), (1_000_000, 1))  # and calls in a row
CHUNK = 8192
MOST = 30_000_000  # numbers of X


def rows(n: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, columns), dtype=np.float32)


def calls(predict: Any, sizes: tuple[int, ...], n: int) -> Session:
    """A session that predicts n rows so many times; it has done so once."""
    X = rows(n, sizes[0])
    answer = predict(X)
    assert answer.shape == (n,), answer.shape

    def run(count: int) -> None:
        for _ in range(count):
            predict(X)

    return {"run": run}


def fitted(sizes: tuple[int, ...], n: int, rival: bool, threads: int | None, parameters: dict[str, Any]) -> Session:
    """An estimator after an epoch over 1,000 rows."""
    from threadpoolctl import threadpool_limits

    if rival:
        from sklearn.neural_network import MLPClassifier as Kind
    else:
        from chainrule import MLPClassifier as Kind
    warnings.simplefilter("ignore")
    if threads:
        threadpool_limits(threads, "blas")
    X, y = rows(1000, sizes[0]), np.arange(1000) % sizes[-1]
    return calls(Kind(sizes[1:-1], max_iter=1, random_state=0, **parameters).fit(X, y).predict, sizes, n)


def pytorch(sizes: tuple[int, ...], n: int, threads: int, chunk: int | None) -> Session:
    """A module in inference mode, by chunks or all at once."""
    import torch

    torch.set_num_threads(threads)
    layers: list[Any] = []
    for fan_in, width in pairwise(sizes):
        layers += [torch.nn.Linear(fan_in, width), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1]).eval()

    @torch.inference_mode()
    def predict(X: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(X)
        if chunk is None:
            return network(x).argmax(1).numpy()
        return torch.cat([network(part).argmax(1) for part in x.split(chunk)]).numpy()

    return calls(predict, sizes, n)


def main() -> int:
    options = arguments(__doc__, rounds=7)
    rounds = 1 if options.quick else options.rounds
    print_machine("scikit-learn", "torch")
    ways = engines()
    forms: dict[str, tuple[Any, ...]] = {way: (fitted, False, None, given) for way, given in ways.items()}
    forms |= {f"sklearn {i}": (fitted, True, i, {}) for i in (1, 2)}
    forms |= {f"pytorch {i}": (pytorch, i, None) for i in (1, 2)}
    forms |= {f"pytorch {i} chunks": (pytorch, i, CHUNK) for i in (1, 2)}
    workers: dict[str, Worker] = {}
    kinds = dict.fromkeys(name.split(" ")[0] for name in forms if name not in ways)
    title = "microseconds a call"
    print(f"{title:38}", *(f"{way:>12}" for way in ways), *(f"{kind:>12} {'ratio':>8}" for kind in kinds))
    for sizes in NETWORKS:
        for n, count in ROWS:
            if n * sizes[0] > MOST:
                continue
            n, count = (min(n, 10_000), 1) if options.quick else (n, count)
            setups = {name: (setup, sizes, n, *rest) for name, (setup, *rest) in forms.items()}
            whole = {name: setup for name, setup in setups.items() if n > CHUNK or not name.endswith("chunks")}
            least = fastest(opened(workers, whole, ways), {way: [("run", count)] for way in whole}, rounds)
            call = {name: 1e6 * times["run", count] / count for name, times in least.items()}
            best = {k: min((t for name, t in call.items() if name.startswith(k)), default=math.nan) for k in kinds}
            ours = call[next(iter(ways))]
            print(
                f"{'-'.join(map(str, sizes))}, rows {n:<18,d}"[:38].ljust(38),
                *(f"{call[way]:12.1f}" for way in ways),
                *(f"{best[kind]:12.1f} {best[kind] / ours:7.2f}x" for kind in kinds),
                flush=True,
            )
    for worker in workers.values():
        worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
