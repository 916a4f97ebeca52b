"""Proof by replay: an independent checker of derivations, which calls nothing that rewrites, derives or evaluates.

Sums, products, transposes and quotients are computed exactly, modulo a large prime, on random matrices. There a tanh
is *any* function, a random one of each entry, or of each row: equal values prove two expressions equal, but for a
chance of about degree/2^61 (Schwartz 1980, Zippel 1979). What needs the meaning of a function is compared in floating
point: a rewriting directly, a derivative with differences of the function, the whole with differences of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.check.claims import Claim, claims
from chainrule.check.difference import Array, random_direction, smooth_slope
from chainrule.check.draws import PRIME, breaks, far_values, read_number, small_sizes
from chainrule.check.verification import Failure, Verification, relative_error
from chainrule.check.whole import dangling_names, wrong_slopes, wrong_tangents
from chainrule.check.world import World, is_quotient, is_whole
from chainrule.expr import (
    Node,
    Symbol,
    add_op,
    apply,
    define_op,
    full_op,
    matmul_op,
    rebuild,
    scale_op,
    symbol_op,
    toposort,
    toposort_to_names,
)
from chainrule.functions import function_of, is_function
from chainrule.shapes import Size

if TYPE_CHECKING:
    from chainrule.derive import Derived
    from chainrule.rewrite import Step

__all__ = ["verify"]

DIFFERENCE_TOLERANCE = 1e-8  # of a function's derivative: right ones are good to 1e-9
DRAWS = 12  # of all numbers, until every step has had finite values and every difference was smooth


def verify(derived: Derived, *, random_state: int | None = 0, tolerance: float = 1e-9) -> Verification:
    """Replay a derivation on random numbers.

    A rewriting must keep the value of its expression; a step of the chain rule must give <G, dY> = <share, dX> for
    every dX. What the steps pass on must add up to the equations, and an update must be what its rule says. All sizes
    and all scalars are different, and names stand for their equations. Then the derivatives, divided by what they are
    declared to be multiples by, are compared with differences of the loss, and tangents and Hessians with differences
    of what they are derivatives of.

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
    parts = (node for s in derived.steps for node in (s.before, s.after, *([s.via[0]] if s.via else [])))
    orders, large = small_sizes(list(toposort(*(e.expression for e in derived.equations), *parts)))
    for lengths in ([{**names, **large} for names in orders], orders):
        found = _replayed(derived, lengths, random_state, tolerance)
        if found.ok or not large:  # else a coefficient may know a size, as in 1' 1 = 784: judge at that size
            break
    return found


def _replayed(
    derived: Derived, lengths: Sequence[Mapping[Size, int]], random_state: int | None, tolerance: float
) -> Verification:
    """The verdict at some sizes, in two orders."""
    streams = np.random.default_rng(random_state).spawn(3)
    exact = World(lengths[0], streams[0], exact=True)
    spawned = (enumerate(each.spawn(DRAWS)) for each in streams[1:])
    # the whole starts from other sizes, lest a number be right because it is a size
    draws, others = ([World(lengths[(i // 3 + k) % 2], r, draw=i) for i, r in rngs] for k, rngs in enumerate(spawned))
    steps = derived.steps
    proven = [_is_proven(s, exact) for s in steps]
    errors = [_error(s, p, draws) for s, p in zip(steps, proven, strict=True)]
    limits = [DIFFERENCE_TOLERANCE if s.via else tolerance for s in steps]
    failures = [_failure(s, e) for s, e, limit in zip(steps, errors, limits, strict=True) if not e <= limit]
    blamed = {f.equation for f in failures}  # what a wrong step leads to is not blamed again
    for claim in claims(derived, lambda a, b: _are_equal(a, b, exact)):
        if claim.equation not in blamed and not (e := _error(claim, _is_proven(claim, exact), draws)) <= tolerance:
            failures.append(_failure(claim, e))
            blamed.add(claim.equation)
    failures += [*dangling_names(derived), *wrong_slopes(derived, others), *wrong_tangents(derived, others)]
    worst = max((math.inf if math.isnan(e) else e for s, e in zip(steps, errors, strict=True) if not s.via), default=0)
    return Verification(not failures, len(steps), float(worst), tuple(failures), sum(proven))


def _failure(s: Step | Claim, error: float) -> Failure:
    return Failure(s.rule, s.equation, s.before, s.after, error)


def _are_equal(a: Node, b: Node, world: World) -> bool:
    try:
        return bool(np.array_equal(world(a), world(b)))
    except ValueError:  # 1/0
        return False


def _is_proven(s: Step | Claim, world: World) -> bool:
    """Is a step right whatever its functions are?"""
    if not _fits(s):
        return False
    if s.via is None:
        return _are_equal(s.before, s.after, world)
    if is_function(s.via[0]):
        return False
    dX, dY = _moved(s, world)
    return bool(((world(s.before) * dY).sum() - (world(s.after) * dX).sum()) % PRIME == 0)


def _fits(s: Step | Claim) -> bool:
    Y, part = (s.before, s.before) if s.via is None else (s.via[0], s.via[0].args[s.via[1]])
    return s.before.shape == Y.shape and s.after.shape == part.shape


def _moved(s: Step | Claim, world: World) -> tuple[Any, Any]:
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


def _error(s: Step | Claim, proven: bool, draws: Sequence[World]) -> float:
    """The relative error of a step at the first draw where what it starts from is finite; NaN if there is none.

    Further draws are made until every function with a kink, or a jump, has had values on both sides of it.
    """
    if proven:
        return 0.0
    visible = list(toposort_to_names(s.before, s.after, *([s.via[0]] if s.via else [])))
    judge, excused = (_apart, _is_inexact) if s.via is None else (_off_adjoint, _is_rounded)
    broken = [node for node in visible if is_function(node) and breaks(node)]
    if s.via is not None and is_function(s.via[0]):
        judge, excused, broken = _off_slopes, lambda node: True, []
    if not _fits(s) or not any(map(excused, visible)):
        return math.inf
    worst, unseen = math.nan, {(node, side) for node in broken for side in range(len(breaks(node)) + 1)}
    with np.errstate(all="ignore"):
        for world in draws:
            if not math.isnan(error := judge(s, world)):
                worst = max(error, 0.0 if math.isnan(worst) else worst)
                unseen -= {(node, i) for node in broken for i in _sides(node, world)}
                if not unseen:
                    break
    return worst


def _sides(node: Node, world: World) -> set[int]:
    """Between which of the kinks of a function, counted from below, the values of its operand lie."""
    return set(np.searchsorted(breaks(node), world(node.args[0])).flat)


def _is_inexact(node: Node) -> bool:
    """May two sides be equal that exact arithmetic tells apart? By what a function means, or by rounding."""
    return (is_function(node) and not is_quotient(node)) or _is_rounded(node)


def _is_rounded(node: Node) -> bool:
    numbers = [node.value] if node.op is full_op else [node.value[0]] if node.op is scale_op else []
    return not all(read_number(number)[1] for number in numbers)


def _apart(s: Step | Claim, world: World) -> float:
    """The largest difference, relative to what `before` adds up: its terms may cancel."""
    was, now = world(s.before), world(s.after)
    args = [abs(world(a)) for a in s.before.args]
    op = s.before.op
    sums = args[0] @ args[1] if op is matmul_op else args[0] + args[1] if op is add_op else abs(was)
    return relative_error(abs(was - now), float(np.max(sums, initial=0)))


def _off_adjoint(s: Step | Claim, world: World) -> float:
    dX, dY = _moved(s, world)
    above, below = world(s.before) * dY, world(s.after) * dX
    return relative_error(abs(above.sum() - below.sum()), float(abs(above).sum()))


def _off_slopes(s: Step | Claim, world: World) -> float:
    """The derivative of a function at the numbers of a draw, and beyond its kinks, where all names are free."""
    assert s.via is not None
    Y, i = s.via
    error, far = _off_slope(s, world), far_values(Y, i, [world(a) for a in Y.args], world.rng)
    if far is None or math.isnan(error):
        return error
    free = {n: world(n) for n in toposort_to_names(s.before, s.after, Y) if not n.args or n.op is define_op}
    beyond = _off_slope(s, replace(world, values=free | {Y.args[i]: far}))
    return error if math.isnan(beyond) else max(error, beyond)


def _off_slope(s: Step | Claim, world: World) -> float:
    """The derivative of a function against differences, entry by entry; NaN near a kink."""
    assert s.via is not None
    Y, i = s.via
    inputs = [apply(symbol_op, shape=a.shape, value=Symbol(f"_{j}")) for j, a in enumerate(Y.args)]
    at, G, axis = [world(a) for a in Y.args], world(s.before), function_of(Y).axis
    size = 10.0 ** -(3 + world.draw % 3 if is_whole(Y) else 3)  # an inverse may bend soon
    step, function = size * abs(at[i]) + 1e-6, rebuild(Y, tuple(inputs))

    def moved(t: float, where: Array) -> Array:
        values = {x: a + t * step * where if j == i else a for j, (x, a) in enumerate(zip(inputs, at, strict=True))}
        return np.asarray(World(world.lengths, world.rng, values=dict(values))(function))

    def slope(where: Array) -> Array:
        return smooth_slope(lambda t: moved(t, where))

    after = world(s.after) * step
    if is_whole(Y):
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
