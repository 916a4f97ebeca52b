"""The interpreter: the value of an expression, one node at a time, slow and obvious. An oracle, not an engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.arrays import as_numbers
from chainrule.asked import check_expression, check_names
from chainrule.errors import ShapeError, UnknownNameError, nearest
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
    walk,
)
from chainrule.functions import Array, expand, function_of
from chainrule.shapes import Size, factors, show
from chainrule.stable import stabilized
from chainrule.stack import block_op, bounds, hstack_op, vstack_op


def evaluate(expression: Node, values: Mapping[str, Any]) -> Array:
    """Compute the value of an expression, in its stable form: log(softmax(Z)) as log_softmax(Z), finite at any score.

    Parameters
    ----------
    expression : Node of shape (r, c)
    values : mapping of str to array-like
        One for each symbol in the expression, by name; numbers for 1 x 1 symbols. Sizes follow from the shapes; a
        size that no symbol shows is given by its name, such as `{"n": 5}`. Other entries are not looked at.

    Returns
    -------
    ndarray of shape (r, c)
        In float64, whatever the type of the values; longdouble stays longdouble.

    Raises
    ------
    UnknownNameError
        If a symbol or a size has no value.
    ShapeError
        If an array does not have its symbol's shape, or sizes contradict each other.
    DataError
        If a value is not made of real numbers, or two different symbols have one name.

    Examples
    --------
    >>> import chainrule as cr
    >>> X = cr.matrix("X", "n", "d")
    >>> cr.evaluate(X.T @ X, {"X": [[1, 2], [3, 4]]})
    array([[10., 14.],
           [14., 20.]])
    """
    check_expression("evaluate", expression)
    return evaluate_all(stabilized(expression)[0], values)[0].copy()  # never the array that was given


def evaluate_all(expressions: list[Node], values: Mapping[str, Any]) -> list[Array]:
    """The values of several expressions as they stand, shared nodes computed once."""
    arrays, sizes = bind(list(toposort(*expressions)), values)
    memo: dict[Node, Array] = {}

    def value_of(root: Node) -> Array:
        for node in walk([root], lambda node: () if node in memo else node.args):
            if node not in memo:
                memo[node] = _value(node, [memo[a] for a in node.args], arrays, sizes, value_of)
        return memo[root]

    return [value_of(e) for e in expressions]


def bind(nodes: list[Node], values: Mapping[str, Any]) -> tuple[dict[Node, Array], dict[str, int]]:
    """The array of every symbol and the number of every named size."""
    symbols = [n for n in nodes if n.op is symbol_op]
    numbers = [s for s in symbols if s.value.role == "size"]
    names = {name for n in nodes for size in n.shape for name in factors(size)[1]} | {s.value.name for s in numbers}
    sizes = {name: _whole(name, values[name]) for name in names if name in values and np.ndim(values[name]) == 0}
    arrays: dict[Node, Array] = {}
    check_names(symbols)
    for s in symbols:
        name = s.value.name
        if s in numbers:
            continue
        if name not in values:
            raise UnknownNameError(f"no value for {name} {show(s.shape)}{nearest(name, values)}")
        arrays[s] = _as_matrix(s, values[name])
        _bind_sizes(s, arrays[s], sizes)
    for s in arrays:
        _bind_sizes(s, arrays[s], sizes)  # products of sizes, too, now that their factors are known
    for s in numbers:
        arrays[s] = np.array([[float(_number(s.value.name, sizes))]])
    return arrays, sizes


def _whole(name: str, value: Any) -> int:
    if np.asarray(value).dtype.kind not in "fiu" or not 0 <= value < np.inf or value != np.floor(value):
        raise ShapeError(f"the size {name} is a whole number of at least 0, got {value!r}")
    return int(value)


def _as_matrix(s: Node, value: Any) -> Array:
    name = s.value.name
    array = as_numbers(name, value)
    if array.ndim == 0 and s.shape == (1, 1):
        array = array.reshape(1, 1)
    if array.ndim != 2:
        found = f"an array of shape {array.shape}" if array.ndim else "a number"
        raise ShapeError(f"{name} is declared {show(s.shape)}, got {found}{_fix(s, array)}")
    return np.asarray(array, np.result_type(array, float))


def _fix(s: Node, array: Array) -> str:
    """How a vector becomes the matrix that is declared, where one of its sizes is 1."""
    if array.ndim != 1 or 1 not in s.shape:
        return ""
    return f"; {s.value.name}[None, :] is a row" if s.shape[0] == 1 else f"; {s.value.name}[:, None] is a column"


def _bind_sizes(s: Node, array: Array, sizes: dict[str, int]) -> None:
    for declared, found in zip(s.shape, array.shape, strict=True):
        number, names = factors(declared)
        if isinstance(declared, str) and names == (declared,):
            expected = sizes.setdefault(declared, found)
        elif all(name in sizes for name in names):
            expected = number * math.prod(sizes[name] for name in names)
        else:
            continue
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
    c = args[0] * float(number)
    for s, e in zip(args[1:], exponents, strict=True):
        c = c * s**e
    return c


def _number(size: Size, sizes: dict[str, int]) -> int:
    number, names = factors(size)
    for name in names:
        if name not in sizes:
            raise UnknownNameError(f"no matrix shows the size {name}: give it in values")
    return number * math.prod(sizes[name] for name in names)


_CORE: dict[Op, Callable[[Node, list[Array], dict[str, int]], Array]] = {
    full_op: lambda node, args, sizes: np.full([_number(s, sizes) for s in node.shape], node.value),
    ones_op: lambda node, args, sizes: np.ones([_number(s, sizes) for s in node.shape]),
    define_op: lambda node, args, sizes: args[0],
    add_op: lambda node, args, sizes: args[0] + args[1],
    scale_op: _scale,
    hadamard_op: lambda node, args, sizes: args[0] * args[1],
    matmul_op: lambda node, args, sizes: args[0] @ args[1],
    transpose_op: lambda node, args, sizes: args[0].T,
    hstack_op: lambda node, args, sizes: np.hstack(args),
    vstack_op: lambda node, args, sizes: np.vstack(args),
    block_op: lambda node, args, sizes: args[0][tuple(slice(*(r or (None,))) for r in bounds(node))],
}
