"""Rules about what stands in front of a matrix: a number times powers of 1 x 1 expressions.

The docstring is the identity. `PLAIN` is how a step shows numbers; the others are for derivatives of any expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from chainrule.algebra import constant, from_terms, is_long, sum_terms
from chainrule.expr import Node, add_op, full, full_op, hadamard_op, is_atom, matmul_op, scale, scale_op
from chainrule.matrix_functions import by
from chainrule.nonnegative import is_nonnegative
from chainrule.primitives import power, reciprocal, sqrt
from chainrule.rewrite import Rule, on

# ---- 1 x 1 expressions


@on(scale_op)
def reciprocals_cancel(node: Node) -> Node | None:
    """s (1/s) A = A, s not being 0."""
    powers = dict(zip(node.args[1:], node.value[1], strict=True))
    for s, e in powers.items():
        if s.op is reciprocal.op and powers.get(s.args[0], 0) * e > 0:
            return scale(node, 1, (s, -e), (s.args[0], -e))
    return None


@on(scale_op)
def coefficients_are_opened(node: Node) -> Node | None:
    """(s t) A = s t A, (1/s) A has s below; sqrt(s)^2 A = s A for an s that is known not to be negative."""
    powers, opened = [], False
    for s, e in zip(node.args[1:], node.value[1], strict=True):
        if s.op is hadamard_op or (s.op is matmul_op and all(a.shape == (1, 1) for a in s.args)):
            powers += [(a, e) for a in s.args]
        elif s.op is reciprocal.op:
            powers.append((s.args[0], -e))
        elif s.op is sqrt.op and e % 2 == 0 and is_nonnegative(s.args[0]):
            powers.append((s.args[0], e // 2))
        else:
            powers.append((s, e))
            continue
        opened = True
    return scale(node.args[0], node.value[0], *powers) if opened else None


@on(scale_op)
def a_lone_coefficient_is_a_number(node: Node) -> Node | None:
    """s 1 = s for a 1 x 1 expression s, which need not stand in front of a 1."""
    s = node.args[1] if len(node.args) == 2 else None
    plain = s is not None and node.value[1] == (1,) and constant(node.args[0]) == 1 and not is_atom(s)
    return scale(s, node.value[0]) if plain and s is not None and node.shape == (1, 1) else None


@on(matmul_op)
def scalars_leave_products(node: Node) -> Node | None:
    """A s = s A for a 1 x 1 expression s."""
    a, b = node.args
    moved = by(a, b) if b.shape == (1, 1) else by(b, a) if a.shape == (1, 1) else None
    return moved if moved is None or moved.op is not scale_op else coefficients_are_opened(moved) or moved


@on(hadamard_op)
def coefficients_leave_products(node: Node) -> Node | None:
    """a (s + t) = (s + t) a for numbers, where coefficients alone are added."""
    return coefficients_before(node) if node.shape == (1, 1) else None


def coefficients_before(node: Node) -> Node | None:
    """The same of matrices of any shape."""
    for a, b in (node.args, node.args[::-1]):
        terms = sum_terms(b) if b.op is add_op and not is_long(b) else []
        if terms and not any(t.factors for t in terms):
            return by(a, from_terms(terms, (1, 1)))
    return None


@on(hadamard_op, power.op)
def powers_of_numbers_are_coefficients(node: Node) -> Node | None:
    """s ∘ t = s t and s^k of 1 x 1 expressions, in front."""
    if node.shape != (1, 1) or any(constant(a) is not None for a in node.args):
        return None
    if node.op is hadamard_op:
        return scale(full(1, (1, 1)), 1, *((a, 1) for a in node.args))
    k = node.value[0]
    return scale(full(1, (1, 1)), 1, (node.args[0], int(k))) if k.is_integer() else None


# ---- constant matrices


@on(matmul_op)
def numbers_are_coefficients(node: Node) -> Node | None:
    """(k) A = A (k) = k A for the 1 x 1 matrix of a number k."""
    return _with_coefficient([(k, A) for k, A in (node.args, node.args[::-1]) if k.shape == (1, 1)])


@on(hadamard_op)
def constants_are_coefficients(node: Node) -> Node | None:
    """k 1 o A = k A, entry by entry."""
    return _with_coefficient([node.args, node.args[::-1]])


def _with_coefficient(pairs: Iterable[Sequence[Node]]) -> Node | None:
    """k A of the first pair in which k is a number, not 0, in every entry."""
    for k, A in pairs:
        if (filled := _filling(k)) and filled[0]:
            return scale(A, *filled)
    return None


def _filling(node: Node) -> tuple[Fraction, *tuple[tuple[Node, int], ...]] | None:
    """The number and the powers of scalars whose product is every entry of a matrix."""
    number, exponents = node.value if node.op is scale_op else (Fraction(1), ())
    k = constant(node.args[0] if node.op is scale_op else node)
    return None if k is None else (number * k, *zip(node.args[1:], exponents, strict=True))


@on(matmul_op, scale_op)
def constants_are_one_number(node: Node) -> Node | None:
    """1 (k 1') = k 1 1', the matrix full of k."""
    if node.op is scale_op:
        k = None if node.args[0].op is full_op else _filling(node)
        return k and scale(full(1, node.shape), *k)
    a, b = map(_filling, node.args)
    if a is None or b is None or node.args[0].shape[1] != 1:
        return None
    return scale(full(a[0] * b[0], node.shape), 1, *a[1:], *b[1:])


PLAIN: tuple[Rule, ...] = (
    numbers_are_coefficients,
    constants_are_coefficients,
    constants_are_one_number,
    a_lone_coefficient_is_a_number,
)
