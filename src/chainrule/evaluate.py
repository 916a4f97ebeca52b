"""The interpreter: the value of an expression, one node at a time, slow and obvious. An oracle, not an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.errors import DataError, ShapeError, UnknownNameError, nearest
from chainrule.expr import (
    Node,
    Op,
    add_op,
    define_op,
    full_op,
    hadamard_op,
    matmul_op,
    ones_op,
    scale_op,
    symbol_op,
    toposort,
    transpose_op,
)
from chainrule.functions import Array, expand, function_of
from chainrule.shapes import Size, show


def evaluate(expression: Node, values: Mapping[str, Any]) -> Array:
    """Compute the value of an expression.

    Parameters
    ----------
    expression : Node of shape (r, c)
    values : mapping of str to array-like
        One for each symbol in the expression, by name; numbers for 1 x 1 symbols. Sizes follow from the shapes; a
        size that no symbol shows is given by its name, such as `{"n": 5}`.

    Returns
    -------
    ndarray of shape (r, c)

    Raises
    ------
    UnknownNameError
        If a symbol has no value.
    ShapeError
        If an array does not have its symbol's shape, or sizes contradict each other.

    Examples
    --------
    >>> import chainrule as cr
    >>> X = cr.matrix("X", "n", "d")
    >>> cr.evaluate(X.T @ X, {"X": [[1, 2], [3, 4]]})
    array([[10., 14.],
           [14., 20.]])
    """
    return evaluate_all([expression], values)[0]


def evaluate_all(expressions: list[Node], values: Mapping[str, Any]) -> list[Array]:
    """The values of several expressions, shared nodes computed once."""
    order = list(toposort(*expressions))
    arrays, sizes = bind(order, values)
    memo: dict[Node, Array] = {}

    def value_of(root: Node) -> Array:
        for node in toposort(root):
            if node not in memo:
                memo[node] = _value(node, [memo[a] for a in node.args], arrays, sizes, value_of)
        return memo[root]

    return [value_of(e) for e in expressions]


def bind(nodes: list[Node], values: Mapping[str, Any]) -> tuple[dict[Node, Array], dict[str, int]]:
    """The array of every symbol and the number of every named size."""
    symbols = [n for n in nodes if n.op is symbol_op]
    sizes = {k: int(v) for k, v in values.items() if np.ndim(v) == 0 and _is_size(k, nodes)}
    arrays: dict[Node, Array] = {}
    seen: dict[str, Node] = {}
    for s in symbols:
        name = s.value.name
        if s.value.role == "size":
            continue
        if seen.setdefault(name, s) is not s:
            raise DataError(f"two different matrices are named {name!r}: {seen[name]!r} and {s!r}")
        if name not in values:
            raise UnknownNameError(f"no value for {name} {show(s.shape)}{nearest(name, values)}")
        arrays[s] = _as_matrix(name, values[name])
        _bind_sizes(s, arrays[s], sizes)
    for s in symbols:
        if s.value.role == "size":
            if s.value.name not in sizes:
                raise UnknownNameError(f"no matrix shows the size {s.value.name}: give it in values")
            arrays[s] = np.array([[float(sizes[s.value.name])]])
    return arrays, sizes


def _is_size(name: str, nodes: list[Node]) -> bool:
    return any(name in n.shape for n in nodes) or not any(n.name == name for n in nodes)


def _as_matrix(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.ndim == 0:
        array = array.reshape(1, 1)
    if array.ndim != 2:
        raise ShapeError(f"{name} is a matrix, got an array of {array.ndim} dimensions and shape {array.shape}")
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} holds numbers, got an array of {array.dtype}")
    return array if array.dtype.kind == "f" else array.astype(float)


def _bind_sizes(s: Node, array: Array, sizes: dict[str, int]) -> None:
    for declared, found in zip(s.shape, array.shape, strict=True):
        expected = sizes.setdefault(declared, found) if isinstance(declared, str) else declared
        if expected != found:
            meaning = f" with {declared} = {expected}" if isinstance(declared, str) else ""
            raise ShapeError(
                f"{s.value.name} is declared {show(s.shape)}{meaning}, got an array of {show(array.shape)}"
            )


Values = Callable[[Node], Array]


def _value(node: Node, args: list[Array], arrays: dict[Node, Array], sizes: dict[str, int], value_of: Values) -> Array:
    if node.op is symbol_op:
        return arrays[node]
    if node.op in _CORE:
        return _CORE[node.op](node, args, sizes)
    function = function_of(node)
    if function.kernel is not None:
        return function.kernel(*args, *node.value)
    return value_of(expand(node))


def _scale(node: Node, args: list[Array], sizes: dict[str, int]) -> Array:
    number, exponents = node.value
    c = float(number)
    for s, e in zip(args[1:], exponents, strict=True):
        c *= float(s[0, 0]) ** e
    return c * args[0]


def _number(size: Size, sizes: dict[str, int]) -> int:
    if isinstance(size, int):
        return size
    if size not in sizes:
        raise UnknownNameError(f"no matrix shows the size {size}: give it in values")
    return sizes[size]


_CORE: dict[Op, Callable[[Node, list[Array], dict[str, int]], Array]] = {
    full_op: lambda node, args, sizes: np.full([_number(s, sizes) for s in node.shape], node.value),
    ones_op: lambda node, args, sizes: np.ones([_number(s, sizes) for s in node.shape]),
    define_op: lambda node, args, sizes: args[0],
    add_op: lambda node, args, sizes: args[0] + args[1],
    scale_op: _scale,
    hadamard_op: lambda node, args, sizes: args[0] * args[1],
    matmul_op: lambda node, args, sizes: args[0] @ args[1],
    transpose_op: lambda node, args, sizes: args[0].T,
}
