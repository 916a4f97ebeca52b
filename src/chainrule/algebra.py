"""One normal form for elementwise algebra: a sum of coefficients times Hadamard monomials.

A monomial is a product of powers of matrices, entry by entry; x o 1/x cancels (where x is not 0) before sums are
multiplied out. `collected` is the way back to an expression, with what all terms share in front.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from weakref import WeakKeyDictionary

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
    transpose_op,
    walk,
)
from chainrule.primitives import power, reciprocal
from chainrule.shapes import Shape

MOST_TERMS = 32  # multiplying out stops here: a longer form is never the shorter one


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


ONE = Term(Fraction(1), {}, {})
NO_FACTORS: Mapping[Node, int] = {}


def constant(node: Node) -> Fraction | None:
    """The number that fills a matrix, if one does, and it is finite."""
    if node.op is transpose_op:
        node = node.args[0]
    if node.op is full_op and math.isfinite(node.value):
        return fraction(node.value)
    return Fraction(1) if node.op is ones_op else None


def collected(node: Node) -> Iterator[Node]:
    """The collected forms: products of sums as they stand, then multiplied out; none that would be very long."""
    for expand in (False, True):
        terms = _terms(node, expand)
        if terms is None:
            return
        shared = _common([t.factors for t in terms]) if len(terms) > 1 else {}
        if shared and all(t.factors == shared for t in terms):  # else only coefficients would stand in the brackets
            yield from_terms(terms, node.shape)
        yield from_terms(terms, node.shape, shared)
        if not any(f.op is add_op for t in terms for f in t.factors):
            return


def is_long(node: Node) -> bool:
    """Has a sum more terms than are compared with each other? Then it stays, and many of them cost little."""
    terms, stack = 0, [node]
    while stack and terms <= MOST_TERMS:
        part = stack.pop()
        if part.op is add_op:
            stack.extend(part.args)
        elif part.op is scale_op:
            stack.append(part.args[0])
        else:
            terms += 1
    return terms > MOST_TERMS


def sum_terms(node: Node) -> list[Term]:
    """The terms of a sum as they stand, coefficients in front, like terms not combined.

    k(A + B) is one term: taken apart, kA + kB + C would begin with a sum that is k(A + B) again.
    """
    terms: list[Term] = []
    stack = [(node, Fraction(1))]
    while stack:
        part, sign = stack.pop()
        if part.op is add_op:
            stack.extend((a, sign) for a in reversed(part.args))
        elif part.op is scale_op and part.value == (-1, ()) and part.args[0].op is add_op:
            stack.append((part.args[0], -sign))
        else:
            c, bare = (_coefficient(part), part.args[0]) if part.op is scale_op else (ONE, part)
            k = constant(bare)
            if k is None:
                terms.append(Term(sign * c.number, c.scalars, {bare: 1}))
            elif k:
                terms.append(Term(sign * c.number * k, c.scalars, {}))
    return terms


def from_terms(terms: list[Term], shape: Shape, shared: Mapping[Node, int] = NO_FACTORS) -> Node:
    """The expression: the common coefficient and the factors `shared` by all in front, positive terms first."""
    if not terms:
        return full(0, shape)
    if len(terms) == 1:
        return _as_node(terms[0], shape)
    number, scalars = _common_coefficient(terms)
    front = Term(1 / number, {s: -e for s, e in scalars.items()}, {f: -e for f, e in shared.items()})
    rest = [t.times(front) for t in terms]
    total: Node | None = None
    for t in sorted(rest, key=lambda t: t.number < 0):
        part = _as_node(t, shape)
        total = part if total is None else total + part
    assert total is not None
    return scale(_monomial(shared, shape) * total if shared else total, number, *scalars.items())


def length(node: Node) -> int:
    """How long an expression reads: its operations and names; signs and coefficients are free."""
    for part in walk([node], lambda n: () if n in _lengths else _read(n)):
        if part not in _lengths:
            _lengths[part] = (part.op is not scale_op) + sum(_lengths[a] for a in _read(part))
    return _lengths[node]


_lengths: WeakKeyDictionary[Node, int] = WeakKeyDictionary()


def _read(node: Node) -> tuple[Node, ...]:
    return () if node.op is define_op else node.args[:1] if node.op is scale_op else node.args


def _terms(node: Node, expand: bool) -> list[Term] | None:
    """The collected terms, in reading order; None if they are many."""
    found: dict[object, Term] = {}
    stack = [_flatten(node)]
    for _ in range(2 * MOST_TERMS):
        if not stack:
            return [t for t in found.values() if t.number]
        term = stack.pop()
        if term is None or len(stack) + len(found) > MOST_TERMS:
            return None
        splits = expand or list(term.factors.values()) == [1]
        whole = next((f for f, e in term.factors.items() if splits and e > 0 and f.op is add_op), None)
        if whole is not None:
            rest = Term(term.number, term.scalars, _product(term.factors, {whole: -1}))
            stack.extend(t and t.times(rest) for t in map(_flatten, reversed(whole.args)))
        elif term.number:
            key = term.key()
            found[key] = (
                Term(found[key].number + term.number, term.scalars, found[key].factors) if key in found else term
            )
    return None


def _flatten(node: Node) -> Term | None:
    """A Hadamard product as one term; sums in it stay whole. None if its factors are many."""
    number, scalars = Fraction(1), dict[Node, int]()
    factors: dict[Node, int] = {}
    stack = [(node, 1)]
    while stack:
        f, e = stack.pop()
        if len(stack) + len(factors) > MOST_TERMS:
            return None
        if f.op is hadamard_op:
            stack.extend((a, e) for a in reversed(f.args))
        elif f.op is reciprocal.op:
            stack.append((f.args[0], -e))
        elif f.op is power.op and f.value[0].is_integer() and abs(f.value[0]) <= MOST_TERMS:
            stack.append((f.args[0], e * int(f.value[0])))
        elif f.op is scale_op:
            c = _coefficient(f)
            number *= c.number**e
            scalars = _product(scalars, {s: k * e for s, k in c.scalars.items()})
            stack.append((f.args[0], e))
        elif (k := constant(f)) is not None and (k or e > 0):
            number *= k**e
        else:
            factors = _product(factors, {f: e})
    return Term(number, scalars, factors)


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


def _as_node(term: Term, shape: Shape) -> Node:
    return scale(_monomial(term.factors, shape), term.number, *term.scalars.items())


def _monomial(factors: Mapping[Node, int], shape: Shape) -> Node:
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
