"""Random numbers for the symbols of a derivation, of which their declared facts hold, at small sizes of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import count
from typing import Any
from zlib import crc32

import numpy as np

from chainrule.check.difference import Array
from chainrule.expr import Node, Symbol, symbol_op
from chainrule.functions import function_of, is_function
from chainrule.shapes import Size, factors
from chainrule.stack import block_op, hstack_op, vstack_op

__all__ = [
    "PRIME",
    "breaks",
    "far_values",
    "filled",
    "random_matrix",
    "random_residues",
    "read_number",
    "residue",
    "small_sizes",
]

PRIME = 2**61 - 1
STACKS = (hstack_op, vstack_op, block_op)  # with sizes that are sums of others; those of whole functions are products
LARGE = 16  # larger sizes are replaced by small ones: 784-1024-1024-10 replays as fast as 4-5-3


def small_sizes(nodes: Sequence[Node]) -> tuple[list[dict[Size, int]], dict[Size, int]]:
    """A prime of its own for each named size, in two orders, others in each, and for each large one.

    In the first order X, n x d, has more rows than columns, so that X' X has an inverse; in the second A X may have
    one. What targets show, coefficients may know.
    """
    counts = (node.value.name for node in nodes if node.op is symbol_op and node.value.role == "size")
    found = dict.fromkeys([*(s for node in nodes for s in node.shape), *counts])
    known = {s for node in nodes if node.op is symbol_op and node.value.role == "target" for s in node.shape}
    fixed = any(node.op in STACKS or (is_function(node) and function_of(node).whole) for node in nodes)
    kept = {s for s in found if isinstance(s, int) and (s <= LARGE or s in known or fixed)}
    primes = (p for p in count(7) if p not in kept and all(p % q for q in range(2, math.isqrt(p) + 1)))
    words = list(dict.fromkeys(word for s in found if isinstance(s, str) for word in factors(s)[1]))
    rising, others = ([next(primes) for _ in words] for _ in range(2))
    orders = [_named(dict(zip(words, chosen, strict=True)), found) for chosen in (rising[::-1], others)]
    return orders, {s: next(primes) for s in found if isinstance(s, int) and s not in kept}


def _named(words: dict[Size, int], found: Iterable[Size]) -> dict[Size, int]:
    """The sizes of names, and of products of them and numbers."""
    split = {s: factors(s) for s in found}
    return words | {s: number * math.prod(words[w] for w in parts) for s, (number, parts) in split.items() if parts}


def breaks(node: Node) -> list[float]:
    """Where a function has a kink or jumps, as values of its operand, in order."""
    f = function_of(node)
    return sorted({*f.kinks(*node.value), *f.jumps(*node.value)})


def far_values(node: Node, operand: int, args: Sequence[Array], rng: np.random.Generator) -> Array | None:
    """An operand of a function of entries on both sides of every kink, or of the other operand; None without kinks."""
    places = breaks(node)
    if not function_of(node).elementwise or any(a.shape != args[0].shape for a in args):
        return None
    if len(args) == 2:
        middle, scale = args[1 - operand], 1 + abs(args[1 - operand])
    elif places:
        widest = max(abs(places[0]), abs(places[-1]), places[-1] - places[0]) or 1.0
        middle, scale = rng.choice(places, args[0].shape), np.full(args[0].shape, widest)
    else:
        return None
    return np.asarray(middle + scale * rng.choice([-1.0, 1.0], middle.shape) * rng.uniform(0.05, 1, middle.shape))


def random_residues(declared: Symbol, shape: tuple[int, int], draw: int, rng: np.random.Generator) -> Any:
    """A random matrix of residues modulo the prime, of which the declared sums hold."""
    A = random_matrix(declared, shape, draw, rng) if "one_hot" in declared.facts else rng.integers(1, PRIME, shape)
    A = A.astype(np.int64).astype(object)
    A = (A + A.T) % PRIME if "symmetric" in declared.facts else A
    if "one_hot" not in declared.facts and "rows_sum_to_one" in declared.facts:
        A[:, -1] = (1 - A[:, :-1].sum(axis=1)) % PRIME
    if "one_hot" not in declared.facts and "columns_sum_to_one" in declared.facts:
        A[-1] = (1 - A[:-1].sum(axis=0)) % PRIME
    return A


def random_matrix(declared: Symbol, shape: tuple[int, int], draw: int, rng: np.random.Generator) -> Array:
    """A random matrix of which the declared facts hold: of both signs, positive, of any scale, large at last."""
    far = (-1.5, 1) if draw < 8 else (0.5, 2)
    sign, size = (draw, 1.0) if draw < 2 else (int(rng.choice([0, 1, -1])), 10 ** rng.uniform(*far))
    facts = set(declared.facts)
    if "one_hot" in facts:
        by_columns = "columns_sum_to_one" in facts
        classes, examples = shape if by_columns else shape[::-1]
        chosen = np.eye(classes)[rng.integers(classes, size=examples)]
        return chosen.T if by_columns else chosen
    if "signs" in facts:
        return rng.choice([-1.0, 1.0], shape)
    if declared.role == "hyper" or "unit" in facts:
        return rng.uniform(0.1, 0.9, shape)  # rates of decay are below one
    A = rng.standard_normal(shape)
    if facts - {"symmetric"}:
        A = np.exp(A / 2)
    else:
        A = size * (sign * np.exp(rng.uniform(0.1, 0.5) * A) if sign else A)
    if declared.role == "parameter":
        A /= math.sqrt(max(shape))  # products of many stay of order one
    for _ in range(200 if len(facts - {"nonnegative"}) > 1 else 1):  # several facts: one after another converges
        A = (A + A.T) / 2 if "symmetric" in facts else A
        A = A / A.sum(axis=1, keepdims=True) if "rows_sum_to_one" in facts else A
        A = A / A.sum(axis=0, keepdims=True) if "columns_sum_to_one" in facts else A
    return A


def filled(number: float | Fraction, shape: tuple[int, int], exact: bool) -> Any:
    """A matrix of one number everywhere."""
    return np.full(shape, residue(number) if exact else number, object if exact else float)


def residue(number: float | Fraction) -> int:
    """A number modulo the prime."""
    q, _ = read_number(number)
    return q.numerator * pow(q.denominator, -1, PRIME) % PRIME


def read_number(number: float | Fraction) -> tuple[Fraction, bool]:
    """The short fraction or decimal that a number was made from, and whether there is one."""
    if isinstance(number, Fraction) and number.denominator <= 10**12:
        return number, True
    value = float(number)
    if not math.isfinite(value):
        return Fraction(crc32(repr(value).encode())), False
    short, decimal = Fraction(value).limit_denominator(10**6), Fraction(repr(value))
    return (short, True) if float(short) == value else (decimal, Fraction(f"{value:.12g}") == decimal)
