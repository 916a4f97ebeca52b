"""Replay of a derivation: every recorded step on random numbers, then its gradients against differences of its loss.

A step claims that two expressions are equal; here both are computed, whatever the rule. Nothing is derived here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from chainrule.check.difference import Array, Point, length, random_direction, slope
from chainrule.derive import Derived, Equation
from chainrule.evaluate import evaluate_all
from chainrule.expr import (
    Node,
    Symbol,
    add_op,
    apply,
    define_op,
    matmul_op,
    rebuild,
    symbol_op,
    toposort,
    toposort_to_names,
)
from chainrule.render.text import text

__all__ = ["Failure", "Verification", "verify"]

LARGE = 16  # larger sizes are replaced by small ones: 784-1024-1024-10 replays as fast as 4-5-3
DRAWS = 12  # of all numbers, until every step has had finite values and every difference was smooth
GROUPS = 16  # parameters move in at most so many groups, so that differences cost time linear in depth
DIRECTIONS = 2  # for each group
SLOPE_TOLERANCE = 1e-6  # a central difference in float64 is good to 1e-8 or better; a missing eps of 1e-5 is not

Values = dict[str, Array]  # of symbols by name, and of named sizes


@dataclass(frozen=True)
class Failure:
    """A claim that is not true: both sides in words, and their relative distance, NaN if they were never finite."""

    rule: str
    equation: str
    before: str
    after: str
    error: float

    def __str__(self) -> str:
        found = "never finite" if math.isnan(self.error) else f"relative error {self.error:.1e}"
        return f"{self.rule}, in {self.equation}: {found}\n    before: {self.before}\n    after:  {self.after}"


@dataclass(frozen=True)
class Verification:
    """What `verify` found; true when it is `ok`.

    Attributes
    ----------
    ok : bool
    steps : int
        How many recorded steps were replayed.
    worst : float
        The largest relative error among them.
    failures : tuple of Failure
        Wrong steps, wrong names and wrong gradients.
    """

    ok: bool
    steps: int
    worst: float
    failures: tuple[Failure, ...]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "ok" if self.ok else f"{len(self.failures)} failed"
        head = f"{self.steps} steps replayed, worst relative error {self.worst:.1e}: {verdict}"
        return "\n".join([head, *(f"  {failure}" for failure in self.failures)])


def verify(derived: Derived, *, random_state: int | None = 0, tolerance: float = 1e-9) -> Verification:
    """Replay a derivation on random numbers.

    Every step is computed before and after, all sizes and all scalars being different; names stand for their
    equations. Then the derivatives of the parameters are compared with central differences of the loss.

    Parameters
    ----------
    derived : Derived
    random_state : int or None
        Seed of the random numbers; None takes a new one.
    tolerance : float
        The largest relative error of a step. Right steps differ by rounding, about 1e-15.

    Returns
    -------
    Verification
    """
    equations, steps = derived.equations, derived.steps
    # The equations first: theirs are the names when another layout has them too.
    roots = [*(e.expression for e in equations), *(node for s in steps for node in (s.before, s.after))]
    names, large = _sizes(list(toposort(*roots)))
    for smaller in (large, {}):
        streams = np.random.default_rng(random_state).spawn(2)
        new = resized(roots, smaller)
        errors = _step_errors([(new[s.before], new[s.after]) for s in steps], names, streams[0])
        failures = [
            Failure(s.rule, s.equation, text(s.before), text(s.after), error)
            for s, error in zip(steps, errors, strict=True)
            if not error <= tolerance
        ]
        failures += [*_dangling_names(equations), *_wrong_slopes(equations, new, names, streams[1])]
        if not failures or not smaller:  # else a coefficient may know a size, as in 1' 1 = 784: judge at that size
            break
    worst = max((math.inf if math.isnan(e) else e for e in errors), default=0.0)
    return Verification(not failures, len(steps), worst, tuple(failures))


# ---- sizes and numbers


def _sizes(nodes: Sequence[Node]) -> tuple[dict[str, int], dict[int, int]]:
    """A prime of its own for each named size and for each large one; what targets show, coefficients may know."""
    counts = (node.value.name for node in nodes if node.op is symbol_op and node.value.role == "size")
    found = dict.fromkeys([*(s for node in nodes for s in node.shape), *counts])
    known = {s for node in nodes if node.op is symbol_op and node.value.role == "target" for s in node.shape}
    kept = {s for s in found if isinstance(s, int) and (s <= LARGE or s in known)}
    primes = (p for p in count(7) if p not in kept and all(p % q for q in range(2, math.isqrt(p) + 1)))
    names = {s: next(primes) for s in found if isinstance(s, str)}
    return names, {s: next(primes) for s in found if isinstance(s, int) and s not in kept}


def resized(roots: Iterable[Node], sizes: Mapping[int, int]) -> dict[Node, Node]:
    """Every node with other numbers for sizes; where two symbols share a name, the later ones get a new name."""
    new: dict[Node, Node] = {}
    taken: set[str] = set()
    for node in toposort(*roots):
        rows, columns = (s if isinstance(s, str) else sizes.get(s, s) for s in node.shape)
        if node.op is symbol_op:
            name = node.value.name
            while name in taken:
                name += "_"
            taken.add(name)
            new[node] = apply(symbol_op, shape=(rows, columns), value=replace(node.value, name=name))
        elif node.args:
            new[node] = rebuild(node, tuple(new[a] for a in node.args))
        else:
            new[node] = apply(node.op, shape=(rows, columns), value=node.value)
    return new


def _draws(nodes: Iterable[Node], names: Mapping[str, int], rng: np.random.Generator) -> Iterator[Values]:
    """Numbers for all symbols: first of both signs, then positive, then each of any sign and scale."""
    symbols = [node for node in nodes if node.op is symbol_op and node.value.role != "size"]
    for draw in range(DRAWS):
        values = {name: np.asarray(size) for name, size in names.items()}
        for symbol in symbols:
            sign, size = (draw, 1.0) if draw < 2 else (int(rng.choice([0, 1, -1])), 10 ** rng.uniform(-1.5, 1))
            shape = tuple(names[s] if isinstance(s, str) else s for s in symbol.shape)
            values[symbol.value.name] = _random(symbol.value, shape, sign, size, rng)
        yield values


def _random(declared: Symbol, shape: tuple[int, ...], sign: int, size: float, rng: np.random.Generator) -> Array:
    """A random matrix of which the declared facts hold; a dropout mask is any matrix, as no rule may know more."""
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


# ---- steps


def _step_errors(pairs: Sequence[tuple[Node, Node]], names: Mapping[str, int], rng: np.random.Generator) -> list[float]:
    """The relative error of every step at the first draw where what it starts from is finite; NaN if there is none."""
    errors = [math.nan] * len(pairs)
    for values in _draws(toposort(*(node for pair in pairs for node in pair)), names, rng):
        pending = [i for i, error in enumerate(errors) if math.isnan(error)]
        nodes = [node for i in pending for node in (*pairs[i], *pairs[i][0].args)]
        with np.errstate(all="ignore"):
            arrays = dict(zip(nodes, evaluate_all(nodes, values), strict=True))
            for i in pending:
                errors[i] = _error(*pairs[i], arrays)
        if not any(map(math.isnan, errors)):
            break
    return errors


def _error(before: Node, after: Node, arrays: Mapping[Node, Array]) -> float:
    """The largest difference, relative to what `before` adds up: its terms may cancel."""
    was, now = arrays[before], arrays[after]
    args = [abs(arrays[a]) for a in before.args]
    sums = args[0] @ args[1] if before.op is matmul_op else args[0] + args[1] if before.op is add_op else abs(was)
    scale = float(np.max(sums, initial=0))
    if not math.isfinite(scale):
        return math.nan
    if was.shape != now.shape or not np.isfinite(now).all():
        return math.inf
    gap = float(np.max(abs(was - now), initial=0))
    return gap / scale if scale else math.inf if gap else 0.0


# ---- the whole


def _dangling_names(equations: Sequence[Equation]) -> Iterator[Failure]:
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


def _wrong_slopes(
    equations: Sequence[Equation], new: Mapping[Node, Node], names: Mapping[str, int], rng: np.random.Generator
) -> Iterator[Failure]:
    """The derivatives of the last loss by its symbols, where they are not its slopes."""
    loss = next((e for e in reversed(equations) if e.phase == "loss"), None)
    defined = {f"d{e.name}" for e in equations}  # these are judged by the derivatives they are used in
    claims = [e for e in equations if e.phase == "backward" and e.name not in defined]
    if loss is None or not claims:
        return
    groups = [claims[i::GROUPS] for i in range(min(GROUPS, len(claims)))]
    found = [_Slope()] * len(groups)
    nodes = [new[e.expression] for e in (loss, *claims)]
    for values in _draws(toposort(*nodes), names, rng):
        with np.errstate(all="ignore"):
            arrays = dict(zip((loss, *claims), evaluate_all(nodes, values), strict=True))
        for i, group in enumerate(groups):
            if math.isnan(found[i].error):
                derivatives = {e.name.removeprefix("d"): arrays[e] for e in group}
                tries = [_slope(nodes[0], arrays[loss], derivatives, values, rng) for _ in range(DIRECTIONS)]
                found[i] = min(tries, key=lambda s: s.error <= SLOPE_TOLERANCE)  # one that is not, if any
        if not any(math.isnan(s.error) for s in found):
            break
    for group, s in zip(groups, found, strict=True):
        if not s.error <= SLOPE_TOLERANCE:
            name = ", ".join(e.name for e in group)
            measured = f"the slope of {loss.name} in a random direction is {s.measured:.9g}"
            yield Failure("differences", name, measured, f"the equation says {s.claimed:.9g}", s.error)


def _slope(
    loss: Node, level: Array, derivatives: Mapping[str, Array], values: Values, rng: np.random.Generator
) -> _Slope:
    """Move some symbols together, each by a random direction as long as itself."""
    moves = {k: length(values.get(k, d)) * random_direction(d.shape, rng) for k, d in derivatives.items()}

    def moved(t: float) -> Array:
        return evaluate_all([loss], {**values, **{k: values.get(k, 0.0) + t * move for k, move in moves.items()}})[0]

    point = Point(moved, lambda at: float(at[0][0]), [np.zeros(1)], level.item())
    parts = [derivatives[k] * move for k, move in moves.items()]
    claimed = float(sum(part.sum() for part in parts))
    size = math.sqrt(sum(float((part**2).sum()) for part in parts))  # not |claimed|, whose parts may cancel
    s = slope(point, 0, np.ones(1), 1.0, size, SLOPE_TOLERANCE / 10)
    scale = max(size, abs(s.value))
    if not s.error <= SLOPE_TOLERANCE * max(scale, s.level):
        return _Slope(s.value, claimed)
    gap = max(abs(claimed - s.value) - s.error, 0.0)
    return _Slope(s.value, claimed, gap / scale if gap else 0.0)
