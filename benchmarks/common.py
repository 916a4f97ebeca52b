"""What every benchmark prints first, where data are found, and medians of interleaved runs."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def arguments(description: str | None, *, data: bool = False, **own: int | str) -> argparse.Namespace:
    """The options every script has: --quick for tiny sizes, --data where files are needed; and some of its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that the script runs")
    if data:
        parser.add_argument("--data", type=Path, default=DATA, help="the folder with mnist/ and tabular/")
    for name, default in own.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def print_machine(*packages: str) -> None:
    """Machine and versions."""
    from threadpoolctl import threadpool_info

    import chainrule  # noqa: F401 - loads the BLAS that is reported

    blas = {f"{p['internal_api']} {p['version']}" for p in threadpool_info() if p["user_api"] == "blas"}
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(sorted(blas))}")
    print(", ".join(f"{name} {_version(name)}" for name in ("chainrule", "numpy", "scipy", *packages)))
    print()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def interleaved(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median seconds of each, run in turn, so that a change of the machine's speed meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def engines() -> dict[str, dict[str, str]]:
    """The ways of chainrule's estimators to train and predict, as parameters by name; one where there is no choice."""
    import chainrule as cr

    if "engine" not in cr.MLPClassifier().get_params():
        return {"chainrule": {}}
    return {"chainrule": {"engine": "auto"}, "as NumPy": {"engine": "numpy"}}


def geometric_mean(ratios: Iterable[float]) -> float:
    """For ratios: as far above 1 as its inverse is below."""
    return statistics.geometric_mean(ratios)


def found(path: Path) -> Path:
    """A data file, or the end of the script with a sentence."""
    if not path.exists():
        raise SystemExit(f"{path} is not there: give the folder that holds it with --data")
    return path
