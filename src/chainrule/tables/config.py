"""Reading a description back from JSON, where anything may be damaged or edited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from chainrule.errors import DataError

__all__ = ["field", "finite", "mapping", "texts"]

T = TypeVar("T")


def damaged(what: str) -> DataError:
    """The one sentence for a description that chainrule did not write."""
    return DataError(f"the description of the table is damaged: {what}; save the model again")


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """`value`, if it is a JSON object."""
    if not isinstance(value, Mapping):
        raise damaged(f"{what} is not an object")
    return value


def field(config: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """`config[key]`, if it is of the kind; true and false are not numbers here."""
    value = config.get(key)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise damaged(f"{key!r} is {value!r}")
    return value


def finite(config: Mapping[str, Any], key: str) -> float:
    """`config[key]`, if it is a finite number."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise damaged(f"{key!r} is {value!r}")
    return float(value)


def texts(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """`config[key]`, if it is a list of different texts."""
    values = field(config, key, list)
    if not all(isinstance(value, str) for value in values) or len(set(values)) < len(values):
        raise damaged(f"{key!r} is not a list of different texts")
    return tuple(values)
