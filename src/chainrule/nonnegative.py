"""Which expressions have no negative entry, as far as that shows in how they are made."""

from __future__ import annotations

from chainrule.algebra import constant
from chainrule.expr import Node, add_op, define_op, hadamard_op, matmul_op, scale_op, symbol_op, transpose_op
from chainrule.functions import function_of, is_function
from chainrule.primitives import power, reciprocal
from chainrule.products import MOST_FACTORS, chain, is_symmetric

FACTS = {"nonnegative", "unit", "one_hot"}
KEPT = (add_op, hadamard_op, matmul_op, transpose_op, define_op, reciprocal.op)  # not negative if no operand is


def is_nonnegative(node: Node) -> bool:
    """Is no entry negative, by declared facts and by how the expression is made, such as x'x and exp(x)?"""
    stack = [node]
    for _ in range(MOST_FACTORS):
        if not stack:
            return True
        part = stack.pop()
        if _is_known(part):
            continue
        if part.op is scale_op and part.value[0] >= 0:
            stack += [part.args[0], *(s for s, e in zip(part.args[1:], part.value[1], strict=True) if e % 2)]
        elif part.op in KEPT:
            stack += part.args
        else:
            return False
    return False


def _is_known(part: Node) -> bool:
    if (k := constant(part)) is not None:
        return k >= 0
    if part.op is symbol_op:
        return not FACTS.isdisjoint(part.value.facts)
    if part.op is hadamard_op:
        return part.args[0] is part.args[1]
    if part.op is matmul_op:  # x'A'A x
        return part.shape == (1, 1) and is_square(chain(part))
    if part.op is power.op:
        return bool(part.value[0] % 2 == 0)
    return is_function(part) and function_of(part).range.low >= 0


def is_square(factors: list[Node]) -> bool:
    """Is a product of an even number of factors A' A, each being the transpose of its mirror image?"""
    pairs = zip(factors, factors[::-1], strict=True)
    mirrored = (a.T is b or b.T is a or (a is b and is_symmetric(a)) for a, b in pairs)
    return len(factors) % 2 == 0 and all(mirrored)
