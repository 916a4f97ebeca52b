"""Every benchmark in turn: `python -m benchmarks [--quick]`; each runs by itself too: `python -m benchmarks.derive`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.common import arguments

SCRIPTS = sorted(p.stem for p in Path(__file__).parent.glob("[a-z]*.py") if "def main" in p.read_text(encoding="utf-8"))


def main() -> int:
    options = arguments(__doc__)
    failed = []
    for name in SCRIPTS:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if options.quick else [])]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print("failed:", ", ".join(failed) or "none")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
