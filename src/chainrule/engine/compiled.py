"""How the kernels are compiled: once for an installation and a data type. Where the result is kept."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator, UserWideCacheLocator

OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}


@cache
def stamp() -> str:
    """What the sources of the engine are: other sources, another compilation."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


class _Provided(UserProvidedCacheLocator):
    def get_source_stamp(self) -> str:
        return stamp()


class _UserWide(UserWideCacheLocator):
    def get_source_stamp(self) -> str:
        return stamp()


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Provided, _UserWide]  # noqa: RUF012 - as the base class has it


class _Cache(FunctionCache):
    _impl_class = _Implementation


def kept(dispatcher: Any) -> Any:
    """The same compiled function, kept on disk with all it calls: in NUMBA_CACHE_DIR, or a folder of the user."""
    dispatcher._cache = _Cache(dispatcher.py_func)
    return dispatcher
