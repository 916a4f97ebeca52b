"""One entry of an equation in words: dW2[1,0] is row 1 of A1' times column 0 of dZ2."""

from __future__ import annotations

from chainrule.expr import (
    Node,
    add_op,
    full,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    ones_op,
    scale,
    scale_op,
    transpose_op,
)
from chainrule.functions import function_of
from chainrule.render.notation import is_ones
from chainrule.render.text import formula
from chainrule.stack import block_op, bounds, hstack_op, vstack_op

STACKS = (hstack_op, vstack_op, block_op)
MOST_TERMS = 4  # of a sum; others are left out


def in_words(node: Node, i: int, j: int) -> str:
    """What an entry is: row 1 of A1' times column 0 of dZ2."""
    if is_atom(node):
        return f"{node.name}[{i},{j}]"
    if node.op is transpose_op:
        return in_words(node.args[0], j, i) if is_atom(node.args[0]) else f"entry [{j},{i}] of {_spoken(node.args[0])}"
    if node.op is matmul_op:
        return _product_in_words(node, i, j)
    if node.op in STACKS:
        return in_words(*part_of(node, i, j))
    if node.op is add_op:
        return _sum_in_words(node, i, j)
    if node.op is hadamard_op:
        return _factors_in_words(node, i, j)
    if node.op is scale_op:
        number, exponents = node.value
        k = formula(scale(full(1, (1, 1)), number, *zip(node.args[1:], exponents, strict=True)))
        return k if _fills_with_one(node.args[0]) else f"{k} times {_grouped(node.args[0], i, j)}"
    if node.op is full_op or node.op is ones_op:
        return formula(full(1.0 if node.op is ones_op else node.value, (1, 1)))
    function = function_of(node)
    if function.whole:
        return f"entry [{i},{j}] of {_name(node)} of {' and '.join(map(_spoken, node.args))}"
    if function.axis is None:
        return f"{_name(node)} of {' and '.join(_grouped(a, i, j) for a in node.args)}"
    line, at = ("row", i) if function.axis else ("column", j)
    return f"entry {j if function.axis else i} of {_name(node)} of {line} {at} of {_spoken(node.args[0])}"


def _fills_with_one(node: Node) -> bool:
    return node.op is ones_op or (node.op is full_op and node.value == 1)


def _factors_in_words(node: Node, i: int, j: int) -> str:
    """A product of several; one of a row and a column needs no brackets where it is the first."""
    factors: list[Node] = []
    while node.op is hadamard_op:
        node, factor = node.args
        factors.insert(0, factor)
    first = in_words(node, i, j) if factors[1:] and node.op is matmul_op else _grouped(node, i, j)
    words = [first, *(_grouped(factor, i, j) for factor in factors)]
    return (", times " if any(" " in word for word in words) else " times ").join(words)


def _sum_in_words(node: Node, i: int, j: int) -> str:
    terms: list[Node] = []
    while node.op is add_op:
        node, term = node.args
        terms.insert(0, term)
    words = in_words(node, i, j)
    between = " " if len(terms) == 1 and " " not in words else ", "
    for term in terms[:MOST_TERMS]:
        minus = term.op is scale_op and term.value[0] < 0
        words += f"{between}{'minus' if minus else 'plus'} {in_words(scale(term, -1) if minus else term, i, j)}"
    more = len(terms) - MOST_TERMS
    return words + (f", and {more} more terms" if more > 0 else "")


def _product_in_words(node: Node, i: int, j: int) -> str:
    a, b = node.args
    if a.op is ones_op and b.shape[0] == 1:
        return in_words(b, 0, j)
    if is_ones(b) and b.op is transpose_op and a.shape[1] == 1:
        return in_words(a, i, 0)
    if is_ones(b) and a.op is matmul_op and is_ones(a.args[0]):
        return f"the sum of all entries of {_spoken(a.args[1])}"
    if is_ones(a):
        return f"the sum of column {j} of {_spoken(b)}"
    if is_ones(b):
        return f"the sum of row {i} of {_spoken(a)}"
    return f"row {i} of {_spoken(a)} times column {j} of {_spoken(b)}"


def _grouped(node: Node, i: int, j: int) -> str:
    words = in_words(node, i, j)
    return f"({words})" if " " in words and not is_atom(node) else words


def _spoken(node: Node) -> str:
    written = formula(node)
    return written if is_atom(node) or node.op in (transpose_op, *STACKS) else f"({written})"


def _name(node: Node) -> str:
    return node.op.name.removesuffix(".twin")


def part_of(node: Node, i: int, j: int) -> tuple[Node, int, int]:
    """Of which matrix an entry of a stack or of a block is an entry."""
    if node.op is block_op:
        rows, columns = bounds(node)
        return node.args[0], i + (rows[0] if rows else 0), j + (columns[0] if columns else 0)
    along = 1 if node.op is hstack_op else 0
    place = [i, j]
    for part in node.args:
        size = int(part.shape[along])
        if place[along] < size:
            return part, place[0], place[1]
        place[along] -= size
    raise AssertionError("an entry of a stack is in one of its parts")
