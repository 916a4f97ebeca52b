"""Rules about the sums of rows and of columns, 1 being a column of ones; the docstring is the identity."""

from __future__ import annotations

from fractions import Fraction

from chainrule.algebra import MOST_TERMS, constant
from chainrule.expr import (
    Node,
    add_op,
    define_op,
    hadamard_op,
    matmul_op,
    ones,
    ones_op,
    scale,
    scale_op,
    symbol_op,
    transpose_op,
)
from chainrule.functions import function_of, is_function
from chainrule.rewrite import Rule, on


def is_ones_column(node: Node) -> bool:
    """1: a column of ones."""
    return node.op is ones_op


def is_ones_row(node: Node) -> bool:
    """1': a row of ones."""
    return node.op is transpose_op and node.args[0].op is ones_op


def line_sum(node: Node, axis: int) -> Fraction | None:
    """The sum of every row (axis 1) or of every column (axis 0), where it is one known number."""
    total, parts = Fraction(0), [(node, axis, Fraction(1))]
    for _ in range(MOST_TERMS):
        if not parts:
            return total
        part, along, k = parts.pop()
        if part.op is define_op or part.op is add_op:
            parts.extend((a, along, k) for a in part.args)
        elif part.op is transpose_op:
            parts.append((part.args[0], 1 - along, k))
        elif part.op is scale_op and len(part.args) == 1:
            parts.append((part.args[0], along, k * part.value[0]))
        elif isinstance(count := part.shape[along], int) and (filling := constant(part)) is not None:
            total += k * filling * count
        elif _sums_to_one(part, along):
            total += k
        else:
            break
    return None


def _sums_to_one(node: Node, axis: int) -> bool:
    """Is it declared, of a symbol or of a function's values?"""
    if node.op is symbol_op:
        return ("rows_sum_to_one" if axis else "columns_sum_to_one") in node.value.facts
    if not is_function(node):
        return False
    function = function_of(node)
    return "rows_sum_to_one" in function.facts and function.axis == axis


@on(matmul_op)
def known_row_sums(node: Node) -> Node | None:
    """A 1 = s 1 where every row of A sums to s, as one-hot targets and probabilities do."""
    a, b = node.args
    s = line_sum(a, 1) if is_ones_column(b) else None
    return None if s is None else scale(ones(node.shape[0]), s)


@on(matmul_op)
def known_column_sums(node: Node) -> Node | None:
    """1' A = s 1' where every column of A sums to s, as one-hot targets and probabilities do."""
    a, b = node.args
    s = line_sum(b, 0) if is_ones_row(a) else None
    return None if s is None else scale(ones(node.shape[1]).T, s)


@on(matmul_op)
def factor_of_a_row_leaves_its_sum(node: Node) -> Node | None:
    """((w 1') o A) 1 = w o (A 1)."""
    a, b = node.args
    if is_ones_column(b) and a.op is hadamard_op:
        for factor, rest in (a.args, a.args[::-1]):
            if factor.op is matmul_op and is_ones_row(factor.args[1]):
                return factor.args[0] * (rest @ b)
    return None


@on(matmul_op)
def factor_of_a_column_leaves_its_sum(node: Node) -> Node | None:
    """1' ((1 r) o A) = r o (1' A)."""
    a, b = node.args
    if is_ones_row(a) and b.op is hadamard_op:
        for factor, rest in (b.args, b.args[::-1]):
            if factor.op is matmul_op and is_ones_column(factor.args[0]):
                return factor.args[1] * (a @ rest)
    return None


MIRRORED: dict[str, Rule] = {
    rule.__name__: other
    for pair in (
        (known_row_sums, known_column_sums),
        (factor_of_a_row_leaves_its_sum, factor_of_a_column_leaves_its_sum),
    )
    for rule, other in (pair, pair[::-1])
}
"""What a rule about rows or columns is where all is transposed."""
