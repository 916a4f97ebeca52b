"""One normal form for elementwise algebra: a sum of coefficients times Hadamard monomials.

A monomial is a product of powers of matrices, entry by entry; x o 1/x cancels (where x is not 0) before sums are
multiplied out. `collected` is the way back to an expression, with what all terms share in front.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from chainrule.expr import (
    Node,
    add_op,
    define_op,
    fraction,
    full,
    full_op,
    hadamard_op,
    ones_op,
    scale,
    scale_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.primitives import power, reciprocal
from chainrule.shapes import Shape

MOST_TERMS = 64  # multiplying out stops here: a longer form is never the shorter one


@dataclass(slots=True)
class Term:
    """number x scalars x factors, the powers in order of appearance."""

    number: Fraction
    scalars: dict[Node, int]
    factors: dict[Node, int]

    def key(self) -> tuple[frozenset[tuple[Node, int]], frozenset[tuple[Node, int]]]:
        """What two like terms have in common."""
        return frozenset(self.factors.items()), frozenset(self.scalars.items())

    def times(self, other: Term) -> Term:
        """The product of two terms."""
        return Term(
            self.number * other.number, _product(self.scalars, other.scalars), _product(self.factors, other.factors)
        )


class TooLongError(Exception):
    """Multiplying out would make too many terms."""


def collected(node: Node, *, expand: bool) -> Node | None:
    """The collected form, products of sums multiplied out where `expand`; None when it would be very long."""
    try:
        terms = _terms(node, expand)
    except TooLongError:
        return None
    return from_terms(terms, node.shape)


def sum_terms(node: Node) -> list[Term]:
    """The terms of a sum as they stand, coefficients in front, like terms not combined; k(A + B) is one term."""
    terms, stack = [], [(node, Term(Fraction(1), {}, {}))]
    while stack:
        part, outer = stack.pop()
        if part.op is scale_op and (part.args[0].op is not add_op or part.value == (-1, ())):
            stack.append((part.args[0], outer.times(_coefficient(part))))
        elif part.op is add_op:
            stack.extend((a, outer) for a in reversed(part.args))
        elif part.op is scale_op:
            terms.append(outer.times(_coefficient(part)).times(Term(Fraction(1), {}, {part.args[0]: 1})))
        elif part.op is full_op:
            terms.append(outer.times(Term(fraction(part.value), {}, {})))
        else:
            terms.append(outer.times(Term(Fraction(1), {}, {part: 1})))
    return terms


def from_terms(terms: list[Term], shape: Shape) -> Node:
    """The expression: common coefficient and common factors in front, positive terms first."""
    if not terms:
        return full(0, shape)
    number, scalars = _common_coefficient(terms)
    shared = _common([t.factors for t in terms]) if len(terms) > 1 else {}
    front = Term(1 / number, {s: -e for s, e in scalars.items()}, {f: -e for f, e in shared.items()})
    rest = [t.times(front) for t in terms]
    total: Node | None = None
    for t in sorted(rest, key=lambda t: t.number < 0):
        part = scale(_monomial(t.factors, shape), t.number, *t.scalars.items())
        total = part if total is None else total + part
    assert total is not None
    return scale(_monomial(shared, shape) * total if shared else total, number, *scalars.items())


def length(node: Node, memo: dict[Node, int]) -> int:
    """How long an expression reads: its operations and names; signs and coefficients are free."""
    for part in (node,) if node in memo else toposort_to_names(node):
        if part not in memo:
            args = () if part.op is define_op else part.args[:1] if part.op is scale_op else part.args
            total = 0 if part.op is scale_op else 1
            for a in args:
                total += memo[a]
            memo[part] = total
    return memo[node]


def _terms(node: Node, expand: bool) -> list[Term]:
    if node.op is add_op:
        return _merge(t for a in node.args for t in _terms(a, expand))
    if node.op is scale_op:
        c = _coefficient(node)
        return [t.times(c) for t in _terms(node.args[0], expand)]
    term = _flatten(node)
    if not term.number:
        return []
    sums = [f for f, e in term.factors.items() if f.op is add_op and e > 0] if expand else []
    if not sums:
        return [term]
    rest = Term(term.number, term.scalars, _product(term.factors, {sums[0]: -1}))
    inner = _terms(from_terms([rest], node.shape), expand)
    outer = [t for a in sums[0].args for t in _terms(a, expand)]
    if len(inner) * len(outer) > MOST_TERMS:
        raise TooLongError
    return _merge(a.times(b) for a in outer for b in inner)


def _flatten(node: Node) -> Term:
    """A Hadamard product as one term; sums in it stay whole."""
    term = Term(Fraction(1), {}, {})
    stack = [(node, 1)]
    while stack:
        f, e = stack.pop()
        if f.op is hadamard_op:
            stack.extend((a, e) for a in reversed(f.args))
        elif f.op is reciprocal.op:
            stack.append((f.args[0], -e))
        elif f.op is power.op and f.value[0].is_integer():
            stack.append((f.args[0], e * int(f.value[0])))
        elif f.op is scale_op:
            c = _coefficient(f)
            term = term.times(Term(c.number**e, {s: k * e for s, k in c.scalars.items()}, {}))
            stack.append((f.args[0], e))
        elif f.op is full_op and (f.value or e > 0) and f.value - f.value == 0:
            term = Term(term.number * fraction(f.value) ** e, term.scalars, term.factors)
        elif not _all_ones(f):
            term = Term(term.number, term.scalars, _product(term.factors, {f: e}))
    return term


def _all_ones(node: Node) -> bool:
    return node.op is ones_op or (node.op is transpose_op and node.args[0].op is ones_op)


def _coefficient(node: Node) -> Term:
    number, exponents = node.value
    return Term(number, dict(zip(node.args[1:], exponents, strict=True)), {})


def _product(a: dict[Node, int], b: dict[Node, int]) -> dict[Node, int]:
    if not b:
        return a
    out = dict(a)
    for x, e in b.items():
        out[x] = out.get(x, 0) + e
        if not out[x]:
            del out[x]
    return out


def _merge(terms: Iterable[Term]) -> list[Term]:
    found: dict[object, Term] = {}
    for t in terms:
        key = t.key()
        found[key] = Term(found[key].number + t.number, t.scalars, found[key].factors) if key in found else t
        if len(found) > MOST_TERMS:
            raise TooLongError
    return [t for t in found.values() if t.number]


def _common(powers: list[dict[Node, int]]) -> dict[Node, int]:
    """The powers that every product has, by the smaller exponent of one sign."""
    first, *others = powers
    out = {}
    for x, e in first.items():
        exponents = [e, *(p.get(x, 0) for p in others)]
        if all(k > 0 for k in exponents):
            out[x] = min(exponents)
        elif all(k < 0 for k in exponents):
            out[x] = max(exponents)
    return out


def _common_coefficient(terms: list[Term]) -> tuple[Fraction, dict[Node, int]]:
    numbers = {abs(t.number) for t in terms}
    sign = -1 if all(t.number < 0 for t in terms) else 1
    return sign * (numbers.pop() if len(numbers) == 1 else Fraction(1)), _common([t.scalars for t in terms])


def _monomial(factors: dict[Node, int], shape: Shape) -> Node:
    above = _repeated((f, e) for f, e in factors.items() if e > 0)
    below = _repeated((f, -e) for f, e in factors.items() if e < 0)
    if below is None:
        return full(1, shape) if above is None else above
    inverse: Node = reciprocal(below)
    return inverse if above is None else above * inverse


def _repeated(powers: Iterable[tuple[Node, int]]) -> Node | None:
    out: Node | None = None
    for f, e in powers:
        repeated: list[Node] = [power(f, e)] if e > 3 else [f] * e
        for x in repeated:
            out = x if out is None else out * x
    return out
