"""Proof by replay: an independent checker of derivations, which calls nothing that rewrites, derives or evaluates.

Sums, products, transposes and quotients are computed exactly, modulo a large prime, on random matrices. There a tanh
is *any* function, a random one of each entry, or of each row: equal values prove two expressions equal, but for a
chance of about degree/2^61 (Schwartz 1980, Zippel 1979). What needs the meaning of a function is compared in floating
point: a rewriting directly, a derivative with differences of the function, the whole with differences of the loss.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from chainrule.check.difference import Array, random_direction
from chainrule.check.draws import PRIME, filled, random_matrix, random_residues, read_number, residue, small_sizes
from chainrule.check.verification import Failure, Verification, relative_error
from chainrule.check.whole import dangling_names, wrong_slopes
from chainrule.expr import (
    Node,
    Symbol,
    add_op,
    apply,
    define_op,
    full_op,
    hadamard_op,
    matmul_op,
    ones_op,
    rebuild,
    scale_op,
    symbol_op,
    toposort,
    toposort_to_names,
    transpose_op,
    walk,
)
from chainrule.functions import expand, function_of, is_function
from chainrule.primitives import power, reciprocal
from chainrule.render.text import text
from chainrule.shapes import Size
from chainrule.stack import block_op, hstack_op, vstack_op

if TYPE_CHECKING:
    from chainrule.derive import Derived
    from chainrule.rewrite import Step

__all__ = ["verify"]

DIFFERENCE_TOLERANCE = 1e-8  # of a function's derivative: right ones are good to 1e-9
DRAWS = 12  # of all numbers, until every step has had finite values and every difference was smooth


def verify(derived: Derived, *, random_state: int | None = 0, tolerance: float = 1e-9) -> Verification:
    """Replay a derivation on random numbers.

    A rewriting must keep the value of its expression; a step of the chain rule must give <G, dY> = <share, dX> for
    every dX. All sizes and all scalars are different, and names stand for their equations. Then the derivatives by
    the parameters, divided by what they are declared to be multiples by, are compared with differences of the loss.

    Parameters
    ----------
    derived : Derived
    random_state : int or None
        Seed of the random numbers; None takes a new one.
    tolerance : float
        The largest relative error of a rewriting in floating point. Right ones differ by rounding, about 1e-15.

    Returns
    -------
    Verification
    """
    equations, steps = derived.equations, derived.steps
    parts = (node for s in steps for node in (s.before, s.after, *([s.via[0]] if s.via else [])))
    orders, large = small_sizes(list(toposort(*(e.expression for e in equations), *parts)))
    for lengths in ([{**names, **large} for names in orders], orders):
        streams = np.random.default_rng(random_state).spawn(3)
        exact = World(lengths[0], streams[0], exact=True)
        proven = [_is_proven(s, exact) for s in steps]
        spawned = (enumerate(each.spawn(DRAWS)) for each in streams[1:])
        draws, others = ([World(lengths[i // 3 % 2], r, draw=i) for i, r in rngs] for rngs in spawned)
        errors = [_error(s, p, draws) for s, p in zip(steps, proven, strict=True)]
        limits = [DIFFERENCE_TOLERANCE if s.via else tolerance for s in steps]
        found = zip(steps, errors, limits, strict=True)
        failures = [Failure(s.rule, s.equation, text(s.before), text(s.after), e) for s, e, at in found if not e <= at]
        failures += [*dangling_names(equations), *wrong_slopes(derived, others)]
        if not failures or not large:  # else a coefficient may know a size, as in 1' 1 = 784: judge at that size
            break
    worst = max((math.inf if math.isnan(e) else e for s, e in zip(steps, errors, strict=True) if not s.via), default=0)
    return Verification(not failures, len(steps), float(worst), tuple(failures), sum(proven))


# ---- values


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
        values = self.values
        for node in () if root in values else walk([root], lambda n: () if n in values else n.args):
            if node not in values:
                values[node] = self.of(node, [values[a] for a in node.args])
        return values[root]

    def shape(self, node: Node) -> tuple[int, int]:
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
            return self(_expanded(node)) if kernel is None else kernel(*args, *node.value)
        return out % PRIME if self.exact else out

    def coefficient(self, node: Node, args: list[Any]) -> Any:
        number, exponents = node.value
        k: Any = residue(number) if self.exact else float(number)
        for s, e in zip(args[1:], exponents, strict=True):
            k = k * pow(s.item(), e, PRIME) % PRIME if self.exact else k * np.power(s.item(), float(e))
        return k


def _any_function(node: Node, args: list[Any], shape: tuple[int, int]) -> Any:
    """Quotients and powers as they are; any other function as a random one, of which the declared sums hold."""
    if _is_quotient(node):
        k = int(node.value[0]) if node.value else -1
        return np.frompyfunc(lambda x: pow(x, k % (PRIME - 1), PRIME), 1, 1)(args[0])
    f, salt = function_of(node), (crc32(node.op.name.removesuffix(".twin").encode()), *node.value)
    if _is_whole(node):
        salt, args = (salt, *(x for a in args for x in a.ravel())), [np.arange(math.prod(shape)).reshape(shape)]
    if f.axis is None:
        return np.frompyfunc(lambda *xs: hash((salt, *map(int, xs))) % PRIME, len(args), 1)(*args)
    rows, width = (args[0], shape[1]) if f.axis else (args[0].T, shape[0])
    out = np.array([[hash((salt, j, *row)) % PRIME for j in range(width)] for row in rows], object)
    out = out.reshape(len(rows), width)
    if "rows_sum_to_one" in f.facts:
        out[:, -1] = (1 - out[:, :-1].sum(axis=1)) % PRIME
    return out if f.axis else out.T


# ---- steps


def _is_proven(s: Step, world: World) -> bool:
    """Is a step right whatever its functions are?"""
    if not _fits(s):
        return False
    if s.via is None:
        return bool(np.array_equal(world(s.before), world(s.after)))
    if is_function(s.via[0]):
        return False
    dX, dY = _moved(s, world)
    return bool(((world(s.before) * dY).sum() - (world(s.after) * dX).sum()) % PRIME == 0)


def _fits(s: Step) -> bool:
    Y, part = (s.before, s.before) if s.via is None else (s.via[0], s.via[0].args[s.via[1]])
    return s.before.shape == Y.shape and s.after.shape == part.shape


def _moved(s: Step, world: World) -> tuple[Any, Any]:
    """A random change of an operand, and how an operation of the core changes with it."""
    assert s.via is not None
    Y, i = s.via
    args = [world(a) for a in Y.args]
    shape = args[i].shape
    dX = world.rng.integers(1, PRIME, shape).astype(object) if world.exact else random_direction(shape, world.rng)
    if Y.op is scale_op and i:
        k, e, at = world.coefficient(Y, args), Y.value[1][i - 1], args[i].item()
        return dX, args[0] * (k * e * (pow(at, -1, PRIME) if world.exact else 1 / at) * dX.item())
    with_dX, with_0 = ([part if j == i else a for j, a in enumerate(args)] for part in (dX, dX * 0))
    return dX, world.of(Y, with_dX) - world.of(Y, with_0)  # an operation of the core is linear in its operand, and 1


def _error(s: Step, proven: bool, draws: Sequence[World]) -> float:
    """The relative error of a step at the first draw where what it starts from is finite; NaN if there is none."""
    if proven:
        return 0.0
    visible = list(toposort_to_names(s.before, s.after, *([s.via[0]] if s.via else [])))
    judge, excused = (_apart, _is_inexact) if s.via is None else (_off_adjoint, _is_rounded)
    if s.via is not None and is_function(s.via[0]):
        judge, excused = _off_slope, lambda node: True
    if not _fits(s) or not any(map(excused, visible)):
        return math.inf
    with np.errstate(all="ignore"):
        return next((e for e in (judge(s, world) for world in draws) if not math.isnan(e)), math.nan)


def _is_inexact(node: Node) -> bool:
    """May two sides be equal that exact arithmetic tells apart? By what a function means, or by rounding."""
    return (is_function(node) and not _is_quotient(node)) or _is_rounded(node)


def _is_rounded(node: Node) -> bool:
    numbers = [node.value] if node.op is full_op else [node.value[0]] if node.op is scale_op else []
    return not all(read_number(number)[1] for number in numbers)


def _is_quotient(node: Node) -> bool:
    return node.op is reciprocal.op or (node.op is power.op and node.value[0].is_integer())


def _is_whole(node: Node) -> bool:
    """Is it a function of the matrix as a whole, neither of its entries nor of its rows?"""
    return function_of(node).whole or (function_of(node).axis is None and any(a.shape != node.shape for a in node.args))


def _apart(s: Step, world: World) -> float:
    """The largest difference, relative to what `before` adds up: its terms may cancel."""
    was, now = world(s.before), world(s.after)
    args = [abs(world(a)) for a in s.before.args]
    op = s.before.op
    sums = args[0] @ args[1] if op is matmul_op else args[0] + args[1] if op is add_op else abs(was)
    return relative_error(abs(was - now), float(np.max(sums, initial=0)))


def _off_adjoint(s: Step, world: World) -> float:
    dX, dY = _moved(s, world)
    above, below = world(s.before) * dY, world(s.after) * dX
    return relative_error(abs(above.sum() - below.sum()), float(abs(above).sum()))


def _off_slope(s: Step, world: World) -> float:
    """The derivative of a function against differences, entry by entry; NaN near a kink."""
    assert s.via is not None
    Y, i = s.via
    inputs = [apply(symbol_op, shape=a.shape, value=Symbol(f"_{j}")) for j, a in enumerate(Y.args)]
    at, G, axis = [world(a) for a in Y.args], world(s.before), function_of(Y).axis
    size = 10.0 ** -(3 + world.draw % 3 if _is_whole(Y) else 3)  # an inverse may bend soon
    step, function = size * abs(at[i]) + 1e-6, rebuild(Y, tuple(inputs))

    def moved(t: float, where: Array) -> Array:
        values = {x: a + t * step * where if j == i else a for j, (x, a) in enumerate(zip(inputs, at, strict=True))}
        return np.asarray(World(world.lengths, world.rng, values=dict(values))(function))

    def slope(where: Array) -> Array:
        """By differences, to 1e-9; NaN where there is a kink in the way, or at the point itself."""
        here, ahead, behind = moved(0, where), *([moved(k * t, where) for t in (1, 2, 4)] for k in (1, -1))
        near, wide, far = ((a - b) / (2 * t) for t, a, b in zip((1, 2, 4), ahead, behind, strict=True))
        once, twice = (ahead[0] + behind[0] - 2 * here), (ahead[1] + behind[1] - 2 * here) / 4
        top = np.max(abs(near), initial=0)
        smooth = (abs(far - wide - 4 * (wide - near)) <= 2e-9 * top) & (abs(once - twice) <= 1e-5 * top)
        return np.where(smooth, (4 * near - wide) / 3, math.nan)

    after = world(s.after) * step
    if _is_whole(Y):
        where = world.rng.uniform(0.5, 1, step.shape)
        pull = G * slope(where)
        return relative_error(abs(pull.sum() - (after * where).sum()), float(abs(pull).sum()))
    if axis is None:
        pull = G * slope(np.ones_like(step))
        known = np.isfinite(pull)  # at a kink any subgradient will do, and sums that are always 0 may always be at one
        gaps, sizes = (np.where(known, abs(x), 0) for x in (pull - after, pull))
        enough = np.isfinite(at[i]).all() and (2 * known.sum() >= known.size or not at[i].any())
        return relative_error(gaps, float(np.max(sizes, initial=0))) if enough else math.nan
    lines = np.eye(step.shape[axis])[:, None, :]  # move one entry of every row, or of every column
    shares = [G * slope(line if axis else line.T) for line in lines]
    pull = np.concatenate([share.sum(axis, keepdims=True) for share in shares], axis)
    scale = max((float(abs(share).sum(axis).max(initial=0)) for share in shares), default=0.0)  # before they cancel
    return relative_error(abs(pull - after), scale)
