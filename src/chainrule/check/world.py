"""The value of an expression, exact modulo a prime or in floating point: the checker's own interpreter."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np

from chainrule.check.draws import PRIME, filled, random_matrix, random_residues, residue
from chainrule.expr import (
    Node,
    add_op,
    define_op,
    full_op,
    hadamard_op,
    matmul_op,
    ones_op,
    scale_op,
    symbol_op,
    transpose_op,
    walk,
)
from chainrule.functions import expand, function_of
from chainrule.primitives import power, reciprocal
from chainrule.shapes import Size
from chainrule.stack import block_op, hstack_op, vstack_op

__all__ = ["World", "is_quotient", "is_whole"]

CORE: dict[Any, Callable[..., Any]] = {
    add_op: operator.add,
    hadamard_op: operator.mul,
    matmul_op: operator.matmul,
    transpose_op: np.transpose,
    define_op: lambda a: a,
    hstack_op: lambda *parts: np.hstack(parts),
    vstack_op: lambda *parts: np.vstack(parts),
}
_expanded = lru_cache(64)(expand)  # a definition is evaluated at many points


@dataclass(frozen=True)
class World:
    """Numbers for all symbols, either exact, modulo the prime, or in floating point, and what follows from them."""

    lengths: Mapping[Size, int]
    rng: np.random.Generator
    exact: bool = False
    draw: int = 0
    values: dict[Node, Any] = field(default_factory=dict)

    def __call__(self, root: Node) -> Any:
        """The value of an expression."""
        values = self.values
        for node in () if root in values else walk([root], lambda n: () if n in values else n.args):
            if node not in values:
                values[node] = self.of(node, [values[a] for a in node.args])
        return values[root]

    def shape(self, node: Node) -> tuple[int, int]:
        """How many rows and columns it has here."""
        rows, columns = (self.lengths.get(s, s) for s in node.shape)
        return int(rows), int(columns)

    def of(self, node: Node, args: list[Any]) -> Any:
        """The value of one operation on the values of its operands."""
        if node.op is symbol_op:
            if node.value.role == "size":
                return filled(self.lengths[node.value.name], (1, 1), self.exact)
            return (random_residues if self.exact else random_matrix)(node.value, self.shape(node), self.draw, self.rng)
        if node.op is full_op or node.op is ones_op:
            return filled(1.0 if node.op is ones_op else node.value, self.shape(node), self.exact)
        if node.op in CORE:
            out = CORE[node.op](*args)
        elif node.op is scale_op:
            out = args[0] * self.coefficient(node, args)
        elif node.op is block_op:
            out = args[0][tuple(slice(*(kept or (None,))) for kept in node.value)]
        elif self.exact:
            return _any_function(node, args, self.shape(node))
        else:
            kernel = function_of(node).kernel
            try:
                return self(_expanded(node)) if kernel is None else kernel(*args, *node.value)
            except np.linalg.LinAlgError:  # no inverse, or no convergence: a draw that is not finite
                return np.full(self.shape(node), math.nan)
        return out % PRIME if self.exact else out

    def coefficient(self, node: Node, args: list[Any]) -> Any:
        """The number and the powers of scalars that a matrix is multiplied by."""
        number, exponents = node.value
        k: Any = residue(number) if self.exact else float(number)
        for s, e in zip(args[1:], exponents, strict=True):
            k = k * pow(s.item(), e, PRIME) % PRIME if self.exact else k * np.power(s.item(), float(e))
        return k


def _any_function(node: Node, args: list[Any], shape: tuple[int, int]) -> Any:
    """Quotients and powers as they are; any other function as a random one, of which the declared sums hold."""
    if is_quotient(node):
        k = int(node.value[0]) if node.value else -1
        return np.frompyfunc(lambda x: pow(x, k % (PRIME - 1), PRIME), 1, 1)(args[0])
    f, salt = function_of(node), (crc32(node.op.name.removesuffix(".twin").encode()), *node.value)
    if is_whole(node):
        salt, args = (salt, *(x for a in args for x in a.ravel())), [np.arange(math.prod(shape)).reshape(shape)]
    if f.axis is None:
        return np.frompyfunc(lambda *xs: hash((salt, *map(int, xs))) % PRIME, len(args), 1)(*args)
    rows, width = (args[0], shape[1]) if f.axis else (args[0].T, shape[0])
    out = np.array([[hash((salt, j, *row)) % PRIME for j in range(width)] for row in rows], object)
    out = out.reshape(len(rows), width)
    if "rows_sum_to_one" in f.facts:
        out[:, -1] = (1 - out[:, :-1].sum(axis=1)) % PRIME
    return out if f.axis else out.T


def is_quotient(node: Node) -> bool:
    """Is it a power of every entry with a whole exponent, which exact arithmetic has?"""
    return node.op is reciprocal.op or (node.op is power.op and node.value[0].is_integer())


def is_whole(node: Node) -> bool:
    """Is it a function of the matrix as a whole, neither of its entries nor of its rows?"""
    return function_of(node).whole or (function_of(node).axis is None and any(a.shape != node.shape for a in node.args))
