"""Statements as one graph over symbols, and what the engine asks of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chainrule.expr import (
    Node,
    add_op,
    define_op,
    full_op,
    hadamard_op,
    is_coefficient,
    matmul_op,
    rebuild,
    scale,
    scale_op,
    symbol_op,
    toposort,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import function_of, is_function
from chainrule.primitives import maximum, power, reciprocal, sqrt, step
from chainrule.program.lower import Statement, column_sums_op, repeat, repeat_op, total_op

ROWS = "n"


class NotLoweredError(Exception):
    """The engine has no instruction for this; the NumPy program has."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the engine has no instruction for {what}, so the NumPy program trains")


def resolve(statements: Iterable[Statement], instead: Mapping[Node, Node]) -> dict[str, Node]:
    """Each statement's expression over symbols alone: names give way to what they stand for, and are shared.

    Some symbols have others `instead`.
    """
    found: dict[str, Node] = {}
    new: dict[Node, Node] = dict(instead)
    for s in statements:
        for node in toposort_to_names(s.expression):
            if node in new:
                continue
            if node.op is define_op:
                new[node] = found[node.value]
            else:
                new[node] = _plain(node if node.op is symbol_op else rebuild(node, tuple(new[a] for a in node.args)))
        found[s.target] = new[s.expression]
    return _with_masks_of_outputs(found)


def _plain(node: Node) -> Node:
    """Small powers are products; a coefficient computed from data, such as a sum of weights, is a factor."""
    if node.op is power.op and node.value[0] in (-1.0, 0.5, 2.0, 3.0):
        x = node.args[0]
        product: Node = {-1.0: reciprocal(x), 0.5: sqrt(x), 2.0: x * x, 3.0: x * x * x}[node.value[0]]
        return product
    if node.op is not scale_op or all(is_coefficient(s) for s in node.args[1:]):
        return node
    k, powers = node.value
    parts = list(zip(node.args[1:], powers, strict=True))
    result = scale(node.args[0], k, *(p for p in parts if is_coefficient(p[0])))
    for s, e in parts:
        if not is_coefficient(s):
            factor = reciprocal(s) if e == -1 else s if e == 1 else power(s, e)
            result = result * repeat(factor, node.shape)
    return result


def _with_masks_of_outputs(found: dict[str, Node]) -> dict[str, Node]:
    """[Z > 0] = [max(Z, 0) > 0]: the output is kept for the backward pass anyway, so that Z need not be."""
    rectified = {n.args[0]: n for n in toposort(*found.values()) if n.op is maximum.op and is_zero(n.args[1])}
    new: dict[Node, Node] = {}
    for node in toposort(*found.values()):
        args = tuple(new[a] for a in node.args)
        if node.op is step.op and node.args[0] in rectified:
            args = (new[rectified[node.args[0]]],)
        new[node] = rebuild(node, args) if node.args else node
    return {name: new[node] for name, node in found.items()}


def is_zero(node: Node) -> bool:
    """Is this the matrix of zeros?"""
    return node.op is full_op and node.value == 0


def is_number(node: Node) -> bool:
    """Is this one plain number of the step, or a matrix filled with it?"""
    if node.op is repeat_op:
        return is_number(node.args[0])
    if node.op is scale_op and node.args[0].op is full_op:
        return all(is_number(s) for s in node.args[1:])
    return node.op is full_op or is_coefficient(node)


def is_elementwise(node: Node) -> bool:
    """Is every entry a function of the same entry of the operands?"""
    if is_function(node):
        return function_of(node).axis is None
    return node.op in (add_op, hadamard_op, scale_op)


def over_rows(node: Node) -> bool:
    """Has it a row for each example?"""
    return node.shape[0] == ROWS


def contracts(node: Node) -> bool:
    """Does it need all the examples, and is no longer a matrix with a row for each?"""
    if node.op is matmul_op:
        return node.args[0].shape[1] == ROWS
    return node.op in (column_sums_op, total_op) and over_rows(node.args[0])


def bare(node: Node) -> Node:
    """The operand of a product without its transposition."""
    return node.args[0] if node.op is transpose_op else node


def core(node: Node) -> Node:
    """What is repeated, or the node itself."""
    return node.args[0] if node.op is repeat_op else node
