"""Proof by replay: a checker of steps that shares no code with what rewrites, derives or evaluates.

Sums, products, transposes and quotients are computed exactly, modulo a large prime, where a tanh is *any* function, a
random one: equal values prove expressions equal, but for a chance of degree/2^61 (Schwartz 1980, Zippel 1979). What
needs the meaning of a function is compared in floating point, derivatives with differences, beside all kinks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from chainrule import expr
from chainrule.expr import Node, Symbol, add_op, define_op, full_op, matmul_op, ones_op, scale_op, symbol_op
from chainrule.functions import expand, function_of, is_function
from chainrule.primitives import power, reciprocal
from chainrule.shapes import Size, factors
from chainrule.stack import block_op, hstack_op, vstack_op

if TYPE_CHECKING:
    from chainrule.check.claims import Claim
    from chainrule.rewrite import Step

PRIME = 2**61 - 1
LARGE = 16  # larger sizes are replaced by small ones: 784-1024-1024-10 replays as fast as 4-5-3
MODERATE = {*range(4), *range(4, 100, 2)}  # draws of numbers of order one, of which nothing may overflow
CORE: dict[Any, Callable[..., Any]] = {
    add_op: np.add,
    expr.hadamard_op: np.multiply,
    matmul_op: np.matmul,
    expr.transpose_op: np.transpose,
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
        values, open_ = self.values, [root]
        while root not in values:
            if missing := [a for a in open_[-1].args if a not in values]:
                open_ += missing
            elif (node := open_.pop()) not in values:
                values[node] = self.of(node, [values[a] for a in node.args])
        return values[root]

    def of(self, node: Node, args: list[Any]) -> Any:
        """The value of one operation on the values of its operands."""
        if node.op in CORE:
            out = CORE[node.op](*args)
        elif node.op is scale_op:
            out = args[0] * self.coefficient(node, args)
        elif node.op is block_op:
            out = args[0][tuple(slice(*(kept or (None,))) for kept in node.value)]
        else:
            return self.leaf_or_function(node, args, tuple(int(self.lengths.get(s, s)) for s in node.shape))
        return out % PRIME if self.exact else out

    def leaf_or_function(self, node: Node, args: list[Any], shape: Any) -> Any:
        """The value of what is no operation of the core."""
        if node.op in (full_op, ones_op) or (node.op is symbol_op and node.value.role == "size"):
            number = 1.0 if node.op is ones_op else self.lengths[node.name] if node.name else node.value
            return np.full(shape, *((_residue(number)[0], object) if self.exact else (number, float)))
        if node.op is symbol_op:
            return random_matrix(node.value, shape, self.draw, self.rng, self.exact)
        if self.exact:
            return _any_function(node, args, shape)
        kernel = function_of(node).kernel
        try:
            return self(_expanded(node)) if kernel is None else kernel(*args, *node.value)
        except np.linalg.LinAlgError:  # no inverse, or no convergence: a draw that is not finite
            return np.full(shape, math.nan)

    def coefficient(self, node: Node, args: list[Any]) -> Any:
        """The number and the powers of scalars that a matrix is multiplied by."""
        number, exponents = node.value
        k: Any = _residue(number)[0] if self.exact else float(number)
        for s, e in zip(args[1:], exponents, strict=True):
            k = k * pow(s.item(), e, PRIME) % PRIME if self.exact else k * np.power(s.item(), float(e))
        return k


def _any_function(node: Node, args: list[Any], shape: tuple[int, int]) -> Any:
    """Quotients and powers as they are; any other function as a random one, of which the declared sums hold."""
    if _is_quotient(node):
        k = int(node.value[0]) if node.value else -1
        return np.frompyfunc(lambda x: pow(x, k % (PRIME - 1), PRIME), 1, 1)(args[0])
    f, salt = function_of(node), (crc32(node.op.name.removesuffix(".twin").encode()), *node.value)
    if _sees(node) == "whole":
        salt, args = (salt, *(x for a in args for x in a.ravel())), [np.arange(math.prod(shape)).reshape(shape)]
    if f.axis is None:
        return np.frompyfunc(lambda *xs: hash((salt, *map(int, xs))) % PRIME, len(args), 1)(*args)
    rows, width = (args[0], shape[1]) if f.axis else (args[0].T, shape[0])
    out = np.array([[hash((salt, j, *row)) % PRIME for j in range(width)] for row in rows], object)
    if "rows_sum_to_one" in f.facts:
        out[:, -1] = (1 - out[:, :-1].sum(axis=1)) % PRIME
    return out if f.axis else out.T


def _is_quotient(node: Node) -> bool:
    return node.op is reciprocal.op or (node.op is power.op and node.value[0].is_integer())


def _sees(node: Node) -> str:
    """What a function sees at once: a line, an entry, or the whole matrix."""
    f, alike = function_of(node), all(a.shape == node.shape for a in node.args)
    return "line" if f.axis is not None else "entry" if alike and not f.whole else "whole"


def _kinks(node: Node) -> tuple[float, ...]:
    """Where a function has a kink, jumps or begins another piece, in order: its operand, or the difference of two."""
    f, ties = function_of(node), {0.0} if len(node.args) == 2 and _sees(node) == "entry" else set()
    return tuple(sorted({*f.kinks(*node.value), *f.jumps(*node.value), *f.knots(*node.value)} | ties))


def small_sizes(nodes: Sequence[Node]) -> tuple[list[dict[Size, int]], dict[Size, int]]:
    """A number of its own for each named size, in three ways, primes in two of them, and for each large one."""
    counts = (n.value.name for n in nodes if n.op is symbol_op and n.value.role == "size")
    found = dict.fromkeys([*(s for node in nodes for s in node.shape), *counts])
    known = {s for n in nodes if n.op is symbol_op and n.value.role == "target" for s in n.shape}  # to coefficients
    joined = (hstack_op, vstack_op, block_op)  # sizes that are sums of others; those of whole functions are products
    fixed = any(node.op in joined or (is_function(node) and function_of(node).whole) for node in nodes)
    kept = {s for s in found if isinstance(s, int) and (s <= LARGE or s in known or fixed)}
    primes = (p for p in range(7, 10**6) if p not in kept and all(p % q for q in range(2, math.isqrt(p) + 1)))
    split = {s: factors(s) for s in found}
    words = list(dict.fromkeys(word for s in found for word in split[s][1]))
    # X, n x d, has more rows than columns first, so that X' X has an inverse, then fewer, so that A X may have one
    named = [dict(zip(order, primes, strict=False)) for order in (words[::-1], words)]
    named.append({word: p + 1 for word, p in named[0].items()})  # A - A' has an inverse if its size is even
    orders = [{s: k * math.prod(at[w] for w in parts) for s, (k, parts) in split.items() if parts} for at in named]
    return orders, {s: next(primes) for s in found if isinstance(s, int) and s not in kept}


def random_matrix(of: Symbol, shape: tuple[int, int], draw: int, rng: np.random.Generator, exact: bool = False) -> Any:
    """A random matrix of which the declared facts hold: of both signs, positive, below 1, of any scale."""
    facts = set(of.facts)
    sums = [axis for axis, fact in ((1, "rows_sum_to_one"), (0, "columns_sum_to_one")) if fact in facts]
    if "one_hot" in facts:
        classes, examples = shape if sums == [0] else shape[::-1]
        chosen = np.eye(classes, dtype=object if exact else float)[rng.integers(classes, size=examples)]
        return chosen.T if sums == [0] else chosen
    if exact:
        A: Any = rng.integers(1, PRIME, shape).astype(object)
        A = (A + A.T) % PRIME if "symmetric" in facts else A
        for B in (A.T if axis else A for axis in sums):
            B[-1] = (1 - B[:-1].sum(axis=0)) % PRIME
        return A
    if "signs" in facts:
        return rng.choice([-1.0, 1.0], shape)
    if of.role == "hyper" or "unit" in facts:
        return rng.uniform(0.1, 0.9, shape)  # rates of decay are below one
    sign, size = int(rng.choice([0, 1, -1])), 1.0 if draw in MODERATE else 10 ** rng.uniform(-1.5, 1 + (draw > 7))
    sign, size = {0: (0, 1.0), 1: (1, 1.0), 2: (1, 0.2), 3: (-1, 1.0)}.get(draw, (sign, size))
    A = rng.standard_normal(shape)
    A = np.exp(A / 2) if facts - {"symmetric"} else size * (sign * np.exp(rng.uniform(0.1, 0.5) * A) if sign else A)
    A = A / math.sqrt(max(shape)) if of.role == "parameter" else A  # products of many stay of order one
    for _ in range(200 if len(facts - {"nonnegative"}) > 1 else 1):  # several facts: one after another converges
        A = (A + A.T) / 2 if "symmetric" in facts else A
        for axis in sums:
            A = A / A.sum(axis=axis, keepdims=True)
    return A


def _residue(number: float | Fraction) -> tuple[int, bool]:
    """Modulo the prime, the short fraction or decimal that a number was made from, and whether there is one."""
    if isinstance(number, Fraction) and number.denominator <= 10**12:
        q, is_short = number, True
    elif not math.isfinite(value := float(number)):
        q, is_short = Fraction(crc32(repr(value).encode())), False
    else:
        q, decimal = Fraction(value).limit_denominator(10**6), Fraction(repr(value))
        q, is_short = (q, True) if float(q) == value else (decimal, Fraction(f"{value:.12g}") == decimal)
    return q.numerator * pow(q.denominator, -1, PRIME) % PRIME, is_short


def is_proven(s: Step | Claim, world: World) -> bool:
    """Is a step right whatever its functions are, modulo the prime?"""
    try:
        return _fits(s) and not (s.via and is_function(s.via[0])) and not np.any(_gap(s, world)[0] % PRIME)
    except ValueError:  # 1/0
        return False


def error_of(s: Step | Claim, draws: Sequence[World]) -> float:
    """The relative error of a step where it is finite, until both sides of all kinks and signs are seen; else NaN."""
    via = [s.via[0]] if s.via else []
    visible = list(expr.toposort_to_names(s.before, s.after, *via))
    found = [node for node in via or visible if is_function(node)]
    numbers = [n.value if n.op is full_op else n.value[0] for n in visible if n.op in (full_op, scale_op)]
    meant = found if via else not all(map(_is_quotient, found))
    if not _fits(s) or not (meant or not all(_residue(number)[1] for number in numbers)):
        return math.inf  # exact arithmetic has judged all there is
    kinks = {(f.args, _kinks(f)) for f in found if _kinks(f)}
    signed = (n for n in visible if n.op is symbol_op and not (n.value.facts or n.value.role in ("size", "hyper")))
    signs = {((n,), (0.0,)) for n in (*signed, *(n for n in visible if n.args and n.shape == (1, 1)))}
    worst, unseen = math.nan, {at: set(range(len(at[1]) + 1)) for at in kinks | signs}
    with np.errstate(all="ignore"):
        for world in draws:
            if not math.isnan(worst) and not any(unseen[at] for at in unseen if world.draw in MODERATE or at in kinks):
                continue
            error = _error_at(s, world)
            if math.isfinite(error) or (math.isinf(error) and (world.draw in MODERATE or math.isnan(worst))):
                worst = float(np.fmax(worst, error))
                for (args, places), sides in unseen.items():
                    sides -= set(np.searchsorted(places, world(args[0]) - sum(map(world, args[1:]))).flat)
    return worst


def relative_error(gaps: Any, sizes: Any) -> float:
    """The largest gap by the largest size of what is compared: NaN where that is not finite, inf where the gap is."""
    gap, scale = (float(np.max(abs(each), initial=0)) for each in (gaps, sizes))
    known = gap / (scale or gap or 1.0) if math.isfinite(gap) else math.inf
    return known if math.isfinite(scale) else math.nan


def _fits(s: Step | Claim) -> bool:
    Y, part = (s.before, s.before) if s.via is None else (s.via[0], s.via[0].args[s.via[1]])
    return s.before.shape == Y.shape and s.after.shape == part.shape


def _gap(s: Step | Claim, world: World) -> tuple[Any, Any]:
    """Between what must be equal, values or <G, dY> and <share, dX>; and the size of the terms, which may cancel."""
    was, now, op, rng = world(s.before), world(s.after), s.before.op, world.rng
    if s.via is None:
        a = [] if world.exact else [abs(world(part)) for part in s.before.args]
        return was - now, (a[0] @ a[1] if a and op is matmul_op else sum(a) if a and op is add_op else was)
    (Y, i), args = s.via, [world(a) for a in s.via[0].args]
    dX = rng.integers(1, PRIME, now.shape).astype(object) if world.exact else rng.uniform(0.5, 1.5, now.shape)
    if Y.op is scale_op and i:  # else an operation of the core is linear in its operand, and 1
        k, at = world.coefficient(Y, args) * Y.value[1][i - 1] * dX.item(), args[i].item()
        dY = args[0] * (k * pow(at, -1, PRIME) if world.exact else k / at)
    else:
        dY = np.subtract(*(world.of(Y, [part if j == i else a for j, a in enumerate(args)]) for part in (dX, dX * 0)))
    return (was * dY).sum() - (now * dX).sum(), abs(was * dY).sum()


def smooth_slope(moved: Callable[[float], Any]) -> Any:
    """The derivative of a matrix by t at 0, entry by entry, to 1e-9; NaN where a kink is in the way, or at 0 itself."""
    here, ahead, behind = moved(0), *([moved(k * t) for t in (1, 2, 4)] for k in (1, -1))
    near, wide, far = ((a - b) / (2 * t) for t, a, b in zip((1, 2, 4), ahead, behind, strict=True))
    once, twice = (ahead[0] + behind[0] - 2 * here), (ahead[1] + behind[1] - 2 * here) / 4
    top = np.max(abs(near), initial=0)
    smooth = (abs(far - wide - 4 * (wide - near)) <= 2e-9 * top) & (abs(once - twice) <= 1e-5 * top)
    return np.where(smooth, (4 * near - wide) / 3, math.nan)


def _error_at(s: Step | Claim, world: World) -> float:
    """The error at the numbers of a draw; of a function's derivative beyond its kinks too, where all names are free."""
    if s.via is None or not is_function(s.via[0]):
        return relative_error(*_gap(s, world))
    (Y, i), G, share = s.via, s.before, s.after
    error, args, X, places = _off_slope(Y, i, G, share, world), [world(a) for a in Y.args], Y.args[i], _kinks(Y)
    if not math.isfinite(error) or not expr.is_atom(X) or not places:
        return error
    middle = args[1 - i] if len(args) == 2 else world.rng.choice(places, args[0].shape)
    reach = 1 + abs(middle) if len(args) == 2 else max(*map(abs, places), places[-1] - places[0]) or 1.0
    far = middle + reach * world.rng.choice([-1.0, 1.0], middle.shape) * world.rng.uniform(0.05, 1, middle.shape)
    free = {n: world(n) for n in expr.toposort_to_names(G, share, Y) if not n.args or n.op is define_op}
    beyond = _off_slope(Y, i, G, share, replace(world, values=free | {X: far}))
    return max(error, beyond) if math.isfinite(beyond) else error


def _off_slope(Y: Node, i: int, G: Node, share: Node, world: World) -> float:
    """The derivative of a function against differences: entry by entry where it is one of entries; NaN near a kink."""
    inputs = [expr.apply(symbol_op, shape=a.shape, value=Symbol(f"_{j}")) for j, a in enumerate(Y.args)]
    at, function, size = [world(a) for a in Y.args], expr.rebuild(Y, tuple(inputs)), abs(world(Y.args[i]))
    if not np.isfinite(size).all():
        return math.nan
    step = world.rng.uniform(0.5, 1, size.shape) * (10.0 ** -(3 + world.draw % 3) * size + 1e-6 * (size.max() or 1))

    def moved(t: float) -> Any:
        return replace(world, values={**dict(zip(inputs, at, strict=True)), inputs[i]: at[i] + t * step})(function)

    pull, after = world(G) * smooth_slope(moved), world(share) * step
    if _sees(Y) != "entry":
        return relative_error(pull.sum() - after.sum(), abs(pull).sum())
    beside = at[0] - sum(at[1:])
    apart = np.min([abs(beside - place) for place in (math.inf, *_kinks(Y))], axis=0)
    known = np.isfinite(pull) & (apart > 4 * step)  # at a kink any subgradient will do, and a 0 may always be at one
    gaps, sizes = np.where(known, [pull - after, abs(pull) + 1e-7 * abs(world(G) * moved(0))], 0)  # to rounding
    return relative_error(gaps, sizes) if 2 * known.sum() >= known.size or not beside.any() else math.nan
