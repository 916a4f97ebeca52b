"""`chainrule warmup`: compile the engine's kernels ahead, as when a container is built."""

from __future__ import annotations

import time

from cyclopts import App

from chainrule.cli.output import say
from chainrule.cli.status import OK

DTYPES = ("float32", "float64")
EXAMPLES = """Examples:
  chainrule warmup float32
  NUMBA_CACHE_DIR=/opt/kernels chainrule warmup"""

app = App(name="warmup", version_flags=(), help_epilogue=EXAMPLES)


@app.default
def warmup(*dtypes: str) -> int:
    """Compile the kernels for these data types, or for both.

    Parameters
    ----------
    dtypes
        float32, float64.
    """
    unknown = [name for name in dtypes if name not in DTYPES]
    if unknown:
        raise ValueError(f"there are kernels for {' and '.join(DTYPES)}, got {unknown[0]!r}")
    try:
        from chainrule.engine.team import compile_kernels
    except ImportError as error:
        raise ValueError(f"Numba cannot be used: {error}") from error
    for name in dtypes or DTYPES:
        began = time.perf_counter()
        compile_kernels(name)
        say(f"{name}: ready after {time.perf_counter() - began:.1f} s")
    return OK
