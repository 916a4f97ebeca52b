"""The parameters and the gradient as they are given, and their blocks.

Every message about them is here; nothing is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.check.difference import Array, Point, real
from chainrule.errors import DataError, ShapeError, UnknownNameError, nearest

__all__ = ["Block", "blocks", "layout", "parameter"]


@dataclass(frozen=True)
class Block:
    """One parameter: its place in the container, its value, and the gradient that is claimed.

    `dtype` is the type the gradient came in; `steady` is false if it differs between two calls.
    """

    place: int
    name: str
    value: Array
    gradient: Array
    dtype: np.dtype[Any]
    steady: bool

    @property
    def rms(self) -> float:
        """Root mean square of the gradient: what a random unit direction sees of it."""
        return float(np.linalg.norm(self.gradient)) / math.sqrt(self.gradient.size)

    @property
    def rounding(self) -> float:
        """The relative error that a gradient in float32 or float16 may have and be right."""
        narrow = self.dtype.kind == "f" and self.dtype.itemsize < 8
        return 64 * float(np.finfo(self.dtype).eps) if narrow else 0.0


def layout(
    params: object,
) -> tuple[tuple[str, ...], list[object], Callable[[list[Array]], object]]:
    """The names and values of the blocks, and what puts arrays back into such a container."""
    pack: Callable[[list[Array]], object]
    if isinstance(params, Mapping):
        keys = tuple(params)
        names, parts = tuple(map(str, keys)), list(params.values())
        pack = lambda arrays: dict(zip(keys, arrays, strict=True))
    elif isinstance(params, list | tuple):
        names, parts = tuple(f"params[{i}]" for i in range(len(params))), list(params)
        pack = list if isinstance(params, list) else tuple
    else:
        return ("params",), [params], lambda arrays: arrays[0]
    if not names:
        raise DataError(f"params must have at least one block, found an empty {_kind(params)}")
    return names, parts, pack


def parameter(name: str, given: object) -> Array:
    """A float64 copy of a parameter."""
    array = real(f"parameter {name!r}", given)
    if array.dtype.kind != "f":
        raise DataError(
            f"parameter {name!r} must be floating-point to be moved by small steps, "
            f"found {array.dtype}: pass it as float"
        )
    if not np.isfinite(array).all():
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise DataError(f"parameter {name!r} must be finite, found {array[where]} at {list(where)}")
    return array.astype(np.float64)


def blocks(point: Point, gradient: object, names: tuple[str, ...], params: object) -> list[Block]:
    """Each parameter with its gradient; a function is asked twice, to see whether it is steady."""

    def ask() -> list[NDArray[Any]]:
        copies = point.pack([value.copy() for value in point.values])
        given = gradient(copies) if callable(gradient) else gradient
        parts = zip(names, _parts(given, names, params), strict=True)
        # Copied at once: a function may return the same buffers each time.
        return [real(f"gradient of {name!r}", part).copy() for name, part in parts]

    paired = []
    asked = zip(names, point.values, ask(), ask(), strict=True)
    for place, (name, value, first, again) in enumerate(asked):
        if first.shape != value.shape:
            raise ShapeError(
                f"gradient of {name!r} must have the shape of its parameter, {value.shape}, found {first.shape}"
            )
        steady = _same(first.astype(np.float64), again.astype(np.float64))
        paired.append(Block(place, name, value, first.astype(np.float64), first.dtype, steady))
    return paired


def _same(first: Array, again: Array) -> bool:
    # Threads may add in another order: the last digits alone are no randomness.
    return first.shape == again.shape and bool(
        np.array_equal(first, again, equal_nan=True) or np.linalg.norm(first - again) <= 1e-10 * np.linalg.norm(first)
    )


def _parts(given: object, names: tuple[str, ...], params: object) -> list[object]:
    """The gradient's arrays in the order of the parameters."""
    if isinstance(params, Mapping):
        if not isinstance(given, Mapping):
            raise DataError(f"gradient must be a mapping, as params is, found {_kind(given)}")
        found = {str(key): part for key, part in given.items()}
        for name in found:
            if name not in names:
                known = nearest(name, names)
                raise UnknownNameError(f"gradient has a block {name!r}, params has not{known}")
        for name in names:
            if name not in found:
                raise UnknownNameError(f"gradient must have a block {name!r}, found {list(found)}")
        return [found[name] for name in names]
    if not isinstance(params, list | tuple):
        return [given]
    if not isinstance(given, list | tuple):
        raise DataError(f"gradient must be a list or tuple, as params is, found {_kind(given)}")
    if len(given) != len(names):
        raise DataError(f"gradient must have {len(names)} arrays, as params has, found {len(given)}")
    return list(given)


def _kind(given: object) -> str:
    return type(given).__name__
