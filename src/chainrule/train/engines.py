"""Who runs the equations: the compiled engine where it is there and can, else the NumPy program."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from threadpoolctl import ThreadpoolController

from chainrule.arrays import common_dtype
from chainrule.engine.resolve import NotLoweredError
from chainrule.network import Network
from chainrule.train.loop import Program
from chainrule.train.step import compile_step
from chainrule.updates import UpdateRule

if TYPE_CHECKING:
    from chainrule.engine.programs import EngineOutputs

Array = np.ndarray[Any, Any]
ENGINES = ("auto", "numpy")
SHARED_WORK = 5e7  # multiplications and additions a step; below it a second BLAS thread costs more than it does


def step_program(
    network: Network,
    rule: UpdateRule,
    *,
    weighted: bool,
    engine: str = "auto",
    threads: int | None = None,
    say: Callable[[str], object] | None = None,
) -> Program:
    """The training step; `say` takes a line if the engine cannot run it."""
    if engine == "auto" and _there():
        from chainrule.engine.programs import EngineStep

        try:
            return EngineStep(network, rule, weighted=weighted, threads=threads)
        except NotLoweredError as reason:
            if say is not None:
                say(str(reason))
    return compile_step(network, rule, weighted=weighted)


@dataclass(frozen=True, eq=False)
class _Kept:
    """What predicts for an estimator, and what for: the last network, parameters, data type and threads."""

    network: Network
    params: Mapping[str, Array]
    key: tuple[Any, int | None]
    run: EngineOutputs


_OUTPUTS: WeakKeyDictionary[Any, _Kept] = WeakKeyDictionary()


def outputs(
    owner: Any, network: Network, params: Mapping[str, Array], X: Array, *, engine: str, threads: int | None
) -> Array:
    """The outputs of rows X at these parameters; what the engine needs for it lives as long as the `owner`."""
    if engine == "auto" and _there():
        kept = _OUTPUTS.get(owner)
        if kept is None or kept.params is not params or kept.key != (X.dtype, threads) or kept.network is not network:
            dtype = common_dtype([X, *params.values()])
            if kept is None or kept.network != network or kept.run.dtype != dtype or kept.key[1] != threads:
                try:
                    run = _engine_outputs(network, dtype, threads)
                except NotLoweredError:
                    return network.predict(params, X)
            else:
                run = kept.run
            kept = _OUTPUTS[owner] = _Kept(network, params, (X.dtype, threads), run)
        return kept.run(params, np.ascontiguousarray(X, kept.run.dtype))
    return network.predict(params, X)


def _engine_outputs(network: Network, dtype: Any, threads: int | None) -> EngineOutputs:
    from chainrule.engine.programs import EngineOutputs

    return EngineOutputs(network, dtype, threads=threads)


@cache
def _there() -> bool:
    """Is there an engine? If not, one warning says why."""
    try:
        import chainrule.engine.interpreter  # noqa: F401
    except Exception as error:  # Numba's own, or that of a library of LLVM which does not load
        fix = ": pip install numba" if isinstance(error, ModuleNotFoundError) else ""
        warnings.warn(
            f"Numba cannot be used ({error}), so the slower NumPy program trains and predicts{fix}",
            UserWarning,
            stacklevel=4,
        )
        return False
    return True


# ---- threads of BLAS, for the NumPy program

_limiting = threading.Lock()
_controller = cache(ThreadpoolController)  # to look for the libraries takes milliseconds, and NumPy's is loaded by now


@contextmanager
def blas_threads(threads: int | None, work: float) -> Iterator[None]:
    """Limit BLAS: as told, else to one thread where a step is too small to share.

    Of fits that overlap in threads the first one limits, and restores at its end: a limit is for the thread that set it
    to change (threadpoolctl 3.8 ignores others), and another fit may outlive it.
    """
    wanted = threads or (1 if work < SHARED_WORK else None)
    if wanted is None or not _limiting.acquire(blocking=False):
        yield
        return
    try:
        with _controller().limit(limits=wanted, user_api="blas"):
            yield
    finally:
        _limiting.release()
