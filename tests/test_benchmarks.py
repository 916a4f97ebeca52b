"""Benchmarks cannot rot: each runs once with tiny sizes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import TOOLS

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
NEEDS_DATA = {"mnist", "tables"}
NEEDS_TOOLS = {"random_networks": ["oracle"], "languages": ["oracle", "octave", "gcc"]}
SCRIPTS = sorted(p.stem for p in (ROOT / "benchmarks").glob("[a-z]*.py") if "def main" in p.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_runs(script):
    if script in NEEDS_DATA and not DATA.is_dir():
        pytest.skip(f"the data that benchmarks.{script} reads are not there")
    missing = [tool.missing() for tool in TOOLS if tool.name in NEEDS_TOOLS.get(script, ()) and tool.missing()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not found")
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
