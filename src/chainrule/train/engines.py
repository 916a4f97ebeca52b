"""Who runs the equations: the compiled engine where it is there and can, else the NumPy program."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.engine.schedule import NotLowered
from chainrule.network import Network
from chainrule.updates import UpdateRule

if TYPE_CHECKING:
    from chainrule.engine.programs import EngineOutputs, EngineStep


@cache
def _missing() -> str:
    """Why there is no engine, or nothing."""
    try:
        import chainrule.engine.interpreter  # noqa: F401
    except ImportError as error:
        return str(error)
    return ""


def engine_step(network: Network, rule: UpdateRule, *, weighted: bool, threads: int | None) -> EngineStep:
    """The training step as the engine runs it.

    Raises
    ------
    NotLowered
        If it cannot, and why.
    """
    _check()
    from chainrule.engine.programs import EngineStep

    return EngineStep(network, rule, weighted=weighted, threads=threads)


def engine_outputs(network: Network, dtype: np.dtype[Any], *, threads: int | None) -> EngineOutputs:
    """The outputs as the engine computes them; raises as `engine_step`."""
    _check()
    from chainrule.engine.programs import EngineOutputs

    return EngineOutputs(network, dtype, threads=threads)


def _check() -> None:
    if reason := _missing():
        warnings.warn(
            f"Numba cannot be loaded ({reason}), so the slower NumPy program trains and predicts: pip install numba",
            UserWarning,
            stacklevel=2,
        )
        raise NotLowered("Numba")
