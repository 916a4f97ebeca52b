"""What a fit takes in memory, against scikit-learn; and how its time grows with rows and with parameters.

    python -m benchmarks.memory [--quick] [--rounds 3]

Memory: each measurement is a process of its own, which imports, loads the data from a file and makes a first fit of 64
rows, and in a second one then the fit itself. The figure is how much higher the second one's peak (VmHWM on Linux) is;
beside it the whole peak; medians of five processes. Time: one epoch is the difference of two lengths of training; the
slope is that of the logarithms, so that 1 is time in proportion. Rows are in memory, and in a file by
`numpy.load(..., mmap_mode="r")`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

import chainrule as cr
from benchmarks.common import arguments, print_machine
from benchmarks.workers import Session, Worker, fastest, slope

FITS = (  # rows, columns, hidden layers, data type
    (20_000, 20, (100,), "float64"),
    (60_000, 784, (128, 64), "float32"),
    (1_000_000, 20, (32, 32), "float32"),
)
PEAK = r"""
import re, resource, sys, warnings
from pathlib import Path
import numpy as np
from {module} import MLPClassifier
warnings.simplefilter("ignore")
X, y = np.load(sys.argv[1]), np.load(sys.argv[2])
model = MLPClassifier({hidden}, max_iter=2, random_state=0)
model.fit(X[:64], y[:64])
if {whole}:
    model.fit(X, y)
status = Path("/proc/self/status")
if status.exists():  # on Linux ru_maxrss is at least that of the process that started this one
    print(int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) / 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2)
"""
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
WIDTHS = (64, 128, 256, 512, 1024, 2048)
BATCH = 200
BLOCK = 100_000


def write(folder: Path, rows: int, columns: int, dtype: str) -> tuple[Path, Path]:
    """Normal rows and labels of two classes as .npy files, written in blocks."""
    paths = folder / "X.npy", folder / "y.npy"
    X = np.lib.format.open_memmap(paths[0], "w+", dtype, (rows, columns))
    y = np.lib.format.open_memmap(paths[1], "w+", np.int64, (rows,))
    rng = np.random.default_rng(0)
    for start in range(0, rows, BLOCK):
        block = rng.standard_normal((min(BLOCK, rows - start), columns), dtype=np.float32)
        X[start : start + BLOCK], y[start : start + BLOCK] = block, block.sum(axis=1) > 0
    return paths


def peak(module: str, hidden: Sequence[int], paths: Sequence[Path], *, whole: bool) -> float:
    """The largest resident size of a new process, in MiB."""
    text = PEAK.format(module=module, hidden=hidden, whole=whole)
    done = subprocess.run([sys.executable, "-c", text, *map(str, paths)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def memory(folder: Path, *, quick: bool) -> None:
    modules = {"chainrule": "chainrule", "sklearn": "sklearn.neural_network"}
    print(f"{'peak memory of a fit, MiB':36}", *(f"{name:>10} {'whole':>7}" for name in modules), f"{'ratio':>7}")
    for rows, columns, hidden, dtype in FITS:
        rows = min(rows, 2000) if quick else rows
        paths = write(folder, rows, columns, dtype)
        peaks = {
            (name, all_rows): median(peak(module, hidden, paths, whole=all_rows) for _ in range(1 if quick else 5))
            for name, module in modules.items()
            for all_rows in (False, True)
        }
        whole = {name: peaks[name, True] for name in modules}
        more = {name: whole[name] - peaks[name, False] for name in modules}
        ratio = more["chainrule"] / max(more["sklearn"], 0.1)
        title = f"{rows:,d} x {columns}, {'-'.join(map(str, hidden))}, {dtype}"
        print(f"{title:36}", *(f"{more[name]:10.1f} {whole[name]:7.0f}" for name in modules), f"{ratio:6.2f}x")
    print("   beyond a process that has the data and a fit of 64 rows; ratio: of chainrule's to scikit-learn's\n")


def training(paths: tuple[Path, Path], rows: int, mmap: str | None) -> Session:
    """A session that fits the first rows of the files for so many epochs."""
    warnings.simplefilter("ignore")
    X, y = (np.load(path, mmap_mode=mmap)[:rows] for path in paths)
    return fitting("20 -> 32 relu -> 32 relu -> 1 logistic", X if mmap else X.copy(), np.asarray(y), BATCH)


def growing(width: int, rows: int) -> Session:
    """A session that fits 64-width-width-10."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, 64), dtype=np.float32)
    return fitting(f"64 -> {width} relu -> {width} relu -> 10 softmax", X, X[:, :10].argmax(axis=1), 128)


def fitting(network: str, X: np.ndarray, y: np.ndarray, batch: int) -> Session:
    fit = partial(cr.MLPClassifier, network=network, batch_size=batch, tol=0, n_iter_no_change=10**9, random_state=0)
    fit(max_iter=1).fit(X[:batch], y[:batch])

    def run(epochs: int) -> None:
        fit(max_iter=epochs).fit(X, y)

    return {"run": run}


def line(title: str, seconds: float, per: str, count: float) -> None:
    print(f"{title:36} {seconds:10.4f} s {1e9 * seconds / count:12.1f} ns a {per}", flush=True)


def exponent(counts: Sequence[float], seconds: Sequence[float]) -> float:
    return float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])


def by_rows(folder: Path, *, quick: bool, rounds: int) -> None:
    counts = (1000, 2000) if quick else ROWS
    paths = write(folder, counts[-1], 20, "float32")
    worker = Worker()
    for where, mmap in (("in memory", None), ("in a file", "r")):
        epochs = []
        for rows in counts:
            worker.open(training, paths, rows, mmap)
            least = fastest({where: worker}, {where: [("run", 1), ("run", 2)]}, rounds)[where]
            epochs.append(slope(least))
            line(f"an epoch of {rows:,d} x 20, {where}", epochs[-1], "row", rows)
        print(f"   time grows as rows to the power {exponent(counts, epochs):.3f}")
    worker.close()
    print()


def by_parameters(*, quick: bool, rounds: int) -> None:
    widths, rows = (WIDTHS[:2], 256) if quick else (WIDTHS, 2048)
    worker, counts, steps = Worker(), [], []
    for width in widths:
        worker.open(growing, width, rows)
        least = fastest({"": worker}, {"": [("run", 1), ("run", 3)]}, rounds)[""]
        counts.append(65 * width + width * (width + 1) + 10 * (width + 1))
        steps.append(slope(least) * 128 / rows)
        line(f"a step of 64-{width}-{width}-10, batch 128", steps[-1], "parameter", counts[-1])
    print(f"   time grows as parameters to the power {exponent(counts[-4:], steps[-4:]):.3f}, last four")
    worker.close()


def main() -> int:
    options = arguments(__doc__, rounds=3)
    rounds = 1 if options.quick else options.rounds
    print_machine("scikit-learn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory(folder, quick=options.quick)
        by_rows(folder, quick=options.quick, rounds=rounds)
    by_parameters(quick=options.quick, rounds=rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
