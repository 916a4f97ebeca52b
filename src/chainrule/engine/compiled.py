"""How the kernels are compiled: once for an installation and a data type. Where the result is kept.

Numba compiles what a function calls again with every caller, level by level. So a kernel of some size is a *unit*: it
is compiled and kept by itself, and others call it by the name of its symbol.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import llvmlite.binding as llvm
from numba import config, njit, types
from numba.core import cgutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator, UserWideCacheLocator
from numba.extending import intrinsic

if config.DISABLE_JIT:  # type: ignore[attr-defined]  # set when Numba is imported
    raise ImportError("NUMBA_DISABLE_JIT is set")  # an engine that is interpreted by Python is none
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}
INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # Python does not call units


@cache
def stamp() -> str:
    """What the sources of the engine are: other sources, another compilation."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


class _Provided(UserProvidedCacheLocator):
    get_source_stamp = staticmethod(stamp)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Self | None:
        return cls(py_func, py_file) if config.CACHE_DIR else None  # type: ignore[attr-defined]


class _UserWide(UserWideCacheLocator):
    get_source_stamp = staticmethod(stamp)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Self:
        return cls(py_func, py_file)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Provided, _UserWide]  # noqa: RUF012 - as the base class has it


class _Cache(FunctionCache):
    """Numba's, of a folder that need not be writable: what cannot be read is compiled, and kept if it can be."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged file may raise any
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except (OSError, EOFError, UnpicklingError) as reason:
            _say_not_kept(self.cache_path, getattr(reason, "strerror", None) or type(reason).__name__)


@cache
def _say_not_kept(folder: str, reason: str) -> None:
    """Once, whatever the number of kernels."""
    warnings.warn(
        f"compiled kernels cannot be kept in {folder} ({reason}), so every process compiles them: "
        "set NUMBA_CACHE_DIR to a folder that can be written to",
        UserWarning,
        stacklevel=2,
    )


def kept(dispatcher: Any) -> Any:
    """The same compiled function, kept on disk with all it calls: in NUMBA_CACHE_DIR, or a folder of the user."""
    dispatcher._cache = _Cache(dispatcher.py_func)
    return dispatcher


def unit(arguments: Callable[[Any], tuple[Any, ...]]) -> Callable[[Callable[..., None]], Any]:
    """Make a function that returns nothing a unit; `arguments` are their types, for a type of real numbers.

    What comes back is what other kernels call. The type of real numbers is that of the first argument that has some.
    """

    def enter(function: Callable[..., None]) -> Any:
        names = list(inspect.signature(function).parameters.values())
        _UNITS[function.__name__] = kept(njit(**OPTIONS | INNER)(function)), arguments

        def call(typing: Any, *given: Any) -> Any:
            real = next(t for t in (getattr(a, "dtype", a) for a in given) if isinstance(t, types.Float))

            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                kind = context.call_conv.get_function_type(types.none, signature.args)
                there = cgutils.get_or_insert_function(builder.module, kind, _symbol(function.__name__, real))
                context.call_conv.call_function(builder, there, types.none, signature.args, args)
                return context.get_dummy_value()

            return types.none(*arguments(real)), generate

        first = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        call.__signature__ = inspect.Signature([first, *names])  # type: ignore[attr-defined]
        call.__name__ = function.__name__
        return intrinsic(call)

    return enter


_UNITS: dict[str, tuple[Any, Callable[[Any], tuple[Any, ...]]]] = {}  # compiled functions and the types they take
_linked: set[str] = set()


def _symbol(name: str, real: Any) -> str:
    return f"chainrule_{name}_{real}"


def link_units(real: Any, say: Callable[[], object]) -> None:
    """Compile every unit for a type of real numbers, or load it from disk, and name its symbol.

    After each that was not on disk, `say` is called.
    """
    for name, (dispatcher, arguments) in _UNITS.items():
        symbol = _symbol(name, real)
        if symbol not in _linked:
            before = sum(dispatcher.stats.cache_misses.values())
            dispatcher.compile(arguments(real))
            result = dispatcher.overloads[arguments(real)]
            llvm.add_symbol(symbol, result.library.get_pointer_to_function(result.fndesc.llvm_func_name))
            _linked.add(symbol)
            if sum(dispatcher.stats.cache_misses.values()) > before:
                say()
