"""The whole of a derivation: its names mean what they say, its derivatives are the slopes of what they are taken of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chainrule.check.claims import defined_by_rules, last_loss, symbols_by_name
from chainrule.check.difference import Array, Point, length, random_direction, slope
from chainrule.check.replay import World, relative_error, smooth_slope
from chainrule.check.verification import Failure
from chainrule.expr import Node, add_op, define_op, scale_op, toposort, toposort_to_names
from chainrule.shapes import show

if TYPE_CHECKING:
    from chainrule.derive import Derived, Equation
    from chainrule.rewrite import Step

__all__ = [
    "SLOPE_TOLERANCE",
    "dangling_names",
    "mislabelled",
    "unlisted",
    "without_rule",
    "wrong_slopes",
    "wrong_tangents",
]

GROUPS = 2  # all move in so many groups, so that differences cost time linear in depth
DIRECTIONS = 2  # for each group
MOST_NAMES = 2  # wrong ones in the steps that are shown one by one
MOST_LISTED = 8  # in one line
SLOPE_TOLERANCE = 1e-6  # a difference in float64 is good to 1e-8 or better; a missing eps of 1e-5 is not
ROUNDING = 1e-15  # of terms that may cancel
TANGENT_TOLERANCE = 1e-7  # entry by entry


def dangling_names(equations: Sequence[Equation], steps: Sequence[Step]) -> Iterator[Failure]:
    """Names, in an equation or a step, that stand for something else than the equation of that name says."""
    said: dict[str, Node] = {}

    def wrong(where: str, *roots: Node) -> Iterator[tuple[str, Node]]:
        for node in toposort_to_names(*roots):
            own = node.op is define_op and not node.value.isidentifier()  # a step's, which nobody else can give
            if node.op is define_op and said.get(node.value) is not node and not own:
                yield where, node

    def failure(where: str, node: Node) -> Failure:
        return Failure("names", where, said.get(node.value, f"no equation for {node.value}"), node, math.inf)

    for e in equations:
        yield from (failure(*each) for each in wrong(e.name, e.expression))
        said[e.name] = e.node
    found = list(dict.fromkeys(each for s in (steps if said else ()) for each in wrong(s.equation, s.before, s.after)))
    if len(found) <= MOST_NAMES:
        yield from (failure(*each) for each in found)
    else:  # as of the steps of another derivation
        others = f"steps that mean others by {_listed(str(node.value) for _, node in found)}"
        yield Failure("names", _listed(where for where, _ in found), "these equations", others, math.inf)


def _listed(words: Iterable[str]) -> str:
    """Each once, the first few."""
    different = list(dict.fromkeys(words))
    return ", ".join(different if len(different) <= MOST_LISTED else [*different[: MOST_LISTED - 1], "..."])


def unlisted(equations: Sequence[Equation], listing: Sequence[Equation]) -> Iterator[Failure]:
    """Equations that programs leave out, or that stand in programs only, and names there that mean something else."""
    said, listed = ({e.name: e.expression for e in each} for each in (equations, listing))
    for name in {**said, **listed}:
        if not (name in said and name in listed):
            missing = f"no equation for {name}"
            yield Failure("listing", name, said.get(name, missing), listed.get(name, missing), math.inf)
    yield from dangling_names(listing, ())


def mislabelled(derived: Derived) -> Iterator[Failure]:
    """Equations that state another shape than theirs, and steps through an operation that is not the one they name."""
    for e in derived.equations:
        if e.shape != e.expression.shape:
            yield Failure("shapes", e.name, f"{e.name} is said to be {show(e.shape)}", e.expression, math.inf)
    for s in derived.steps:
        if s.via and s.rule != s.via[0].op.rule and s.via[0].op is not scale_op:
            yield Failure("names", s.equation, f"a step called {s.rule}", f"through {s.via[0].op.rule}", math.inf)


def without_rule(derived: Derived) -> Iterator[Failure]:
    """Updates that no update rule gives a value to, and that are no part of one."""
    updates = [e for e in derived.equations if e.phase == "update"]
    ruled = {name for _, name, _ in defined_by_rules(derived)}
    parts = {n.value for n in toposort(*(e.expression for e in updates if e.name in ruled)) if n.op is define_op}
    for e in updates:
        if e.name not in ruled | parts:
            yield Failure("updates", e.name, f"no update rule gives {e.name}", e.expression, math.inf)


@dataclass(frozen=True)
class _Slope:
    """How the loss changes along a direction, what its equations say, and their relative distance."""

    measured: float = math.nan
    claimed: float = math.nan
    error: float = math.nan  # NaN where the loss is not smooth

    @property
    def is_marginal(self) -> bool:
        """Is it so little off that rounding may have done it? Then another draw decides."""
        return SLOPE_TOLERANCE < self.error < 100 * SLOPE_TOLERANCE


def wrong_slopes(derived: Derived, draws: Sequence[World]) -> Iterator[Failure]:
    """The derivatives of the last loss, by symbols and by names, where they are not its slopes."""
    loss, claims = last_loss(derived.equations), [e for e in derived.equations if e.phase == "backward"]
    if loss is None or not claims:
        return
    moving = {f"d{name}": node for name, node in symbols_by_name(derived.equations).items()}
    moving |= {f"d{e.name}": e.node for e in derived.equations}
    for group in (claims[i::GROUPS] for i in range(min(GROUPS, len(claims)))):
        found = _judged(derived, loss, group, moving, draws)
        if found.error <= SLOPE_TOLERANCE:
            continue
        each = {e.name: _judged(derived, loss, [e], moving, draws) for e in group}
        blamed = {name: s for name, s in each.items() if not s.error <= SLOPE_TOLERANCE}
        for name, s in (blamed or {", ".join(each): found}).items():
            measured = f"the slope of {loss.name} in a random direction is {s.measured:.9g}"
            yield Failure("differences", name, measured, f"the equation says {s.claimed:.9g}", s.error)


def _judged(
    derived: Derived, loss: Equation, group: Sequence[Equation], moving: Mapping[str, Node], draws: Iterable[World]
) -> _Slope:
    """The slope in the worst of some directions, at a draw where the loss is smooth."""
    found, again = _Slope(), False
    with np.errstate(all="ignore"):
        for world in draws:
            tries = (_slope(derived, loss, group, moving, world) for _ in range(DIRECTIONS))
            found = min(tries, key=lambda s: s.error <= SLOPE_TOLERANCE)  # one that is not, if any
            if not math.isnan(found.error) and (again or not found.is_marginal):
                break
            again |= found.is_marginal
    return found


def _that_change(root: Node, moving: Iterable[Node]) -> list[Node]:
    """What has other values when some nodes move, operands before their users."""
    seen, found = set(moving), []
    for node in toposort(root):
        if node in seen or not seen.isdisjoint(node.args):
            seen.add(node)
            found.append(node)
    return found


def _terms(e: Equation, world: World) -> float:
    """The size of the largest terms that an equation adds up."""
    sums = (n for n in toposort_to_names(e.expression) if n.op is add_op and n.shape == e.shape)
    return max((float(np.linalg.norm(world(term))) for n in sums for term in n.args), default=0.0)


def _slope(
    derived: Derived, loss: Equation, group: Iterable[Equation], moving: Mapping[str, Node], world: World
) -> _Slope:
    """Move some symbols and named values together, each by a random direction as long as itself."""

    def times(name: str) -> float:
        return float(world(derived.factors[name]).item()) if name in derived.factors else 1.0

    claims = {e.name: world(e.expression) * (times(loss.name) / times(e.name)) for e in group}
    at = {k: world(moving[k]) if k in moving else np.zeros_like(d) for k, d in claims.items()}
    moves = {k: length(v) * random_direction(v.shape, world.rng) for k, v in at.items()}
    level = world(loss.expression)
    by_node = {moving[k]: move for k, move in moves.items() if k in moving}
    changing = _that_change(loss.expression, by_node)
    fixed = {a: world(a) for a in {a for node in changing for a in node.args}.difference(changing)}

    def moved(t: float) -> float:
        values = fixed | {loss.expression: level}
        there = replace(world, values=values)
        for node in changing:
            value = there.of(node, [values[a] for a in node.args]) if node.args else world(node)
            values[node] = value + t * by_node[node] if node in by_node else value
        return float(values[loss.expression].item())

    point = Point(moved, lambda at: float(at[0][0]), [np.zeros(1)], level.item())
    parts = [claims[k] * move for k, move in moves.items()]
    claimed = float(sum(part.sum() for part in parts))
    size = math.sqrt(sum(float((part**2).sum()) for part in parts))  # not |claimed|, whose parts may cancel
    s = slope(point, 0, np.ones(1), 1.0, size, SLOPE_TOLERANCE / 10)
    terms = sum(_terms(e, world) * abs(times(loss.name) / times(e.name)) * length(moves[e.name]) for e in group)
    scale = max(size, abs(s.value), terms * ROUNDING / SLOPE_TOLERANCE)
    if not s.error <= SLOPE_TOLERANCE * max(scale, s.level, terms):
        return _Slope(s.value, claimed)
    gap = max(abs(claimed - s.value) - s.error, 0.0)
    return _Slope(s.value, claimed, gap / scale if gap else 0.0)


def wrong_tangents(derived: Derived, draws: Sequence[World]) -> Iterator[Failure]:
    """Tangents N_dot, and Hessians H_W, where they are not the differences of N, and of dW."""
    named, symbols = {e.name: e for e in derived.equations}, symbols_by_name(derived.equations)
    for e in (e for e in derived.equations if e.phase in ("tangent", "hessian")):
        of = e.name.removesuffix("_dot")
        if dotted := of != e.name:
            moving = [node for name, node in symbols.items() if f"{name}_dot" in symbols]
        else:
            W = e.name.removeprefix("H_")
            of, moving = f"d{W}", [node for name, node in symbols.items() if name == W]
        if of not in named:
            yield Failure("differences", e.name, f"no equation for {of}", e.expression, math.inf)
            continue
        with np.errstate(all="ignore"):
            tries = ((world, certain) for certain in (True, False) for world in draws)
            errors = (_off_tangent(e, named[of], moving, symbols if dotted else {}, *each) for each in tries)
            error = next((error for error in errors if not math.isnan(error)), math.nan)
        if not error <= TANGENT_TOLERANCE:
            yield Failure("differences", e.name, f"differences of {of} in a random direction", e.expression, error)


def _off_tangent(
    e: Equation, source: Equation, moving: Sequence[Node], directions: Mapping[str, Node], world: World, certain: bool
) -> float:
    """The error of a tangent, or of a Hessian times a random direction; NaN where too little is smooth, or certain.

    Every entry moves in proportion to its size: what is near 0 may have a pole there. What is not certain may still
    be 0, as far as rounding lets us see.
    """
    moves = {n: abs(world(n)) * world.rng.uniform(0.5, 1, world(n).shape) + 1e-6 for n in moving}
    leaves = {n: world(n) for n in toposort(source.expression, e.expression, *moving) if not n.args}
    leaves |= {directions[f"{n.name}_dot"]: move for n, move in moves.items() if directions}
    there = replace(world, values=dict(leaves))
    at, claimed = there(source.expression), there(e.expression)
    if not directions:
        along = [move.reshape(-1, 1, order="F") for move in moves.values()] or [np.zeros((claimed.shape[1], 1))]
        claimed = (claimed @ along[0]).reshape(at.shape, order="F")
    step = 10.0 ** -(3 + world.draw % 3)  # an inverse may bend soon

    def moved(t: float) -> Array:
        values = leaves | {n: leaves[n] + t * step * m for n, m in moves.items()}
        return np.asarray(replace(world, values=values)(source.expression))

    sums = [n for n in toposort(source.expression) if n.op is add_op]
    lost = max((_cancelled(there(n), sum(abs(there(a)) for a in n.args)) for n in sums), default=1.0)
    size, rounding = (float(np.max(abs(each), initial=0)) for each in (claimed, at * lost * 1e-15 / step))
    if not certain:
        gap = np.max(abs((moved(1) - moved(-1)) / (2 * step) - claimed), initial=0)
        return 0.0 if gap <= 10 * rounding else math.nan
    gaps = smooth_slope(moved) / step - claimed
    known = np.isfinite(gaps)
    if not math.isfinite(size) or 2 * known.sum() < known.size or rounding > TANGENT_TOLERANCE * size > 0:
        return math.nan
    return relative_error(np.where(known, gaps, 0), size)


def _cancelled(total: Array, terms: Array) -> float:
    """By how much the terms of a sum are larger than it, where it is not 0: so much larger is its rounding."""
    return float(np.max(terms[total != 0] / abs(total[total != 0]), initial=1.0))
