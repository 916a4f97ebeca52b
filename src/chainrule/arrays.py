"""Users' arrays at the border: shapes, data types and domains checked once, in the network's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DataError, ShapeError
from chainrule.expr import Node
from chainrule.losses import TARGETS, Targets
from chainrule.shapes import show

Arrays = dict[str, np.ndarray[Any, Any]]


def as_data(X: Any, inputs: int) -> np.ndarray[Any, Any]:
    """X as a finite matrix of `inputs` columns."""
    array = _numbers("X", X)
    if array.ndim != 2 or array.shape[1] != inputs:
        raise ShapeError(f"the network takes X of shape (n x {inputs}), got {_shape(array)}")
    return _finite("X", array)


def as_targets(Y: Any, rows: int, outputs: int, domain: Targets) -> np.ndarray[Any, Any]:
    """Y as a matrix of one row for each example; labels 0 to k-1 become one-hot rows."""
    array = _numbers("Y", Y)
    if array.ndim == 1 and domain == "distribution" and outputs > 1:
        array = _one_hot(array, outputs)
    if array.ndim == 1 and outputs == 1:
        array = array[:, None]
    if array.shape != (rows, outputs):
        raise ShapeError(f"{rows} rows of X and {outputs} outputs need Y of shape ({rows} x {outputs}), got {_shape(array)}")
    _finite("Y", array)
    wrong = ~_INSIDE[domain](array)
    if wrong.any():
        i, j = np.argwhere(np.broadcast_to(wrong, array.shape))[0]
        raise DataError(f"the loss takes targets that are {TARGETS[domain]}, got {array[i, j]:g} in row {i}, column {j}")
    return array


def _one_hot(labels: np.ndarray[Any, Any], classes: int) -> np.ndarray[Any, Any]:
    whole = labels.astype(int)
    wrong = (whole != labels) | (whole < 0) | (whole >= classes)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise DataError(f"labels for {classes} outputs are whole numbers from 0 to {classes - 1}, got {labels[i]:g} in row {i}")
    return np.eye(classes)[whole]


_INSIDE: dict[Targets, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    "real": lambda Y: np.ones(Y.shape, bool),
    "distribution": lambda Y: (Y >= 0) & (np.abs(Y.sum(axis=1, keepdims=True) - 1) < 1e-5),  # float32 rows sum to 1 + 1e-7
    "unit": lambda Y: (Y >= 0) & (Y <= 1),
    "nonnegative": lambda Y: Y >= 0,
    "signs": lambda Y: np.abs(Y) == 1,
}


def as_weights(w: Any, rows: int) -> np.ndarray[Any, Any]:
    """Sample weights as a column, not negative, not all zero."""
    array = _finite("sample_weight", _numbers("sample_weight", w))
    if array.shape not in ((rows,), (rows, 1)):
        raise ShapeError(f"{rows} rows of X need sample_weight of shape ({rows},), got {_shape(array)}")
    if (array < 0).any() or not array.any():
        raise DataError(f"sample weights are at least 0 and not all 0, got a smallest of {array.min(initial=0):g}")
    return array.reshape(-1, 1)


def check_parameters(params: Mapping[str, Any], declared: Sequence[Node]) -> Arrays:
    """The parameters as arrays; what does not fit is shown beside what was declared."""
    found = {name: _numbers(name, value) for name, value in params.items()}
    expected = {str(p.name): p.shape for p in declared}
    if {name: a.shape for name, a in found.items()} != expected:
        ledger = ", ".join(f"{name} {_shape(a)}" for name, a in found.items())
        wanted = ", ".join(f"{name} {show(s)}" for name, s in expected.items())
        raise ShapeError(f"the parameters do not fit the network\n  declared: {wanted}\n  found:    {ledger}")
    return {name: _finite(name, found[name]) for name in expected}


def common_dtype(arrays: Iterable[np.ndarray[Any, Any]]) -> np.dtype[Any]:
    """float32 where every array is, else float64."""
    return np.dtype(np.float32 if all(a.dtype == np.float32 for a in arrays) else np.float64)


def draw_masks(randoms: Sequence[Node], rows: int, random_state: Any, dtype: Any) -> Arrays:
    """One draw of every random matrix, in order, from one stream."""
    if not randoms:
        return {}
    rng = np.random.default_rng(random_state)
    masks: Arrays = {}
    for M in randoms:
        kind, keep = M.value.distribution
        assert kind == "inverted_bernoulli"
        masks[str(M.name)] = ((rng.random((rows, M.shape[1])) < keep) / keep).astype(dtype)
    return masks


def _numbers(name: str, value: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} holds numbers, got an array of {array.dtype}")
    return array


def _finite(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    bad = ~np.isfinite(array)
    if bad.any():
        where = ", ".join(map(str, np.argwhere(bad)[0]))
        raise DataError(f"{name} holds {array[bad][0]} at [{where}]: all values must be finite numbers")
    return array


def _shape(array: np.ndarray[Any, Any]) -> str:
    return f"({' x '.join(map(str, array.shape))}{',' if array.ndim == 1 else ''})"
