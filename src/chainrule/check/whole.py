"""The whole of a derivation: its names mean what they say, and its gradients are the slopes of its loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chainrule.check.difference import Point, length, random_direction, slope
from chainrule.check.verification import Failure
from chainrule.expr import Node, define_op, symbol_op, toposort, toposort_to_names
from chainrule.render.text import text

if TYPE_CHECKING:
    from chainrule.check.replay import World
    from chainrule.derive import Derived, Equation

__all__ = ["SLOPE_TOLERANCE", "dangling_names", "wrong_slopes"]

GROUPS = 16  # parameters move in at most so many groups, so that differences cost time linear in depth
DIRECTIONS = 2  # for each group
SLOPE_TOLERANCE = 1e-6  # a difference in float64 is good to 1e-8 or better; a missing eps of 1e-5 is not


def dangling_names(equations: Sequence[Equation]) -> Iterator[Failure]:
    """Names in an equation that stand for something else than the equation of that name says."""
    said: dict[str, Node] = {}
    for e in equations:
        for node in toposort_to_names(e.expression):
            if node.op is define_op and said.get(node.value) is not node:
                meant = text(said[node.value]) if node.value in said else f"no equation for {node.value}"
                yield Failure("names", e.name, meant, text(node), math.inf)
        said[e.name] = e.node


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


def wrong_slopes(derived: Derived, draws: Iterable[World]) -> Iterator[Failure]:
    """The derivatives of the last loss by its symbols, where they are not its slopes, at a draw that is smooth."""
    equations = derived.equations
    loss = next((e for e in reversed(equations) if e.phase == "loss"), None)
    defined = {f"d{e.name}" for e in equations}  # these are judged by the derivatives they are used in
    claims = [e for e in equations if e.phase == "backward" and e.name not in defined]
    if loss is None or not claims:
        return
    groups = [claims[i::GROUPS] for i in range(min(GROUPS, len(claims)))]
    found, again = [_Slope()] * len(groups), [False] * len(groups)
    symbols = {f"d{n.name}": n for n in toposort(*(e.expression for e in (*claims, loss))) if n.op is symbol_op}
    for world in draws:
        with np.errstate(all="ignore"):
            for i, group in enumerate(groups):
                if math.isnan(found[i].error) or (found[i].is_marginal and not again[i]):
                    again[i] = found[i].is_marginal
                    tries = [_slope(derived, loss, group, symbols, world) for _ in range(DIRECTIONS)]
                    found[i] = min(tries, key=lambda s: s.error <= SLOPE_TOLERANCE)  # one that is not, if any
        if not any(math.isnan(s.error) or (s.is_marginal and not a) for s, a in zip(found, again, strict=True)):
            break
    for group, s in zip(groups, found, strict=True):
        if not s.error <= SLOPE_TOLERANCE:
            name = ", ".join(e.name for e in group)
            measured = f"the slope of {loss.name} in a random direction is {s.measured:.9g}"
            yield Failure("differences", name, measured, f"the equation says {s.claimed:.9g}", s.error)


def _that_change(root: Node, symbols: Iterable[Node]) -> dict[Node, None]:
    """What has other values when symbols have, operands before their users."""
    moving = set(symbols)
    found: dict[Node, None] = {}
    for node in toposort(root):
        if not moving.isdisjoint(node.args):
            moving.add(node)
            found[node] = None
    return found


def _slope(
    derived: Derived, loss: Equation, group: Iterable[Equation], symbols: Mapping[str, Node], world: World
) -> _Slope:
    """Move some symbols together, each by a random direction as long as itself."""

    def times(name: str) -> float:
        return float(world(derived.factors[name]).item()) if name in derived.factors else 1.0

    claims = {e.name: world(e.expression) * (times(loss.name) / times(e.name)) for e in group}
    at = {k: world(symbols[k]) if k in symbols else np.zeros_like(d) for k, d in claims.items()}
    moves = {k: length(v) * random_direction(v.shape, world.rng) for k, v in at.items()}
    level = world(loss.expression)
    changing = _that_change(loss.expression, [symbols[k] for k in moves if k in symbols])
    fixed = {a: world(a) for node in changing for a in node.args if a not in changing}
    fixed[loss.expression] = level

    def moved(t: float) -> float:
        values = fixed | {symbols[k]: at[k] + t * move for k, move in moves.items() if k in symbols}
        there = replace(world, values=values)
        for node in changing:
            values[node] = there.of(node, [values[a] for a in node.args])
        return float(values[loss.expression].item())

    point = Point(moved, lambda at: float(at[0][0]), [np.zeros(1)], level.item())
    parts = [claims[k] * move for k, move in moves.items()]
    claimed = float(sum(part.sum() for part in parts))
    size = math.sqrt(sum(float((part**2).sum()) for part in parts))  # not |claimed|, whose parts may cancel
    s = slope(point, 0, np.ones(1), 1.0, size, SLOPE_TOLERANCE / 10)
    scale = max(size, abs(s.value))
    if not s.error <= SLOPE_TOLERANCE * max(scale, s.level):
        return _Slope(s.value, claimed)
    gap = max(abs(claimed - s.value) - s.error, 0.0)
    return _Slope(s.value, claimed, gap / scale if gap else 0.0)
