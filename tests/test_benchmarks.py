"""Benchmarks cannot rot: each runs once with tiny sizes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
NEEDS_DATA = {"mnist", "tables"}
NEEDS_TORCH = {"random_networks"}
SCRIPTS = sorted(p.stem for p in (ROOT / "benchmarks").glob("[a-z]*.py") if "def main" in p.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_runs(script):
    if script in NEEDS_DATA and not DATA.is_dir():
        pytest.skip(f"the data that benchmarks.{script} reads are not there")
    if script in NEEDS_TORCH and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch not found")
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{script}", "--quick"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "cores, Python" in done.stdout
