"""The proof of a derivation: every step replayed, what the steps lead to, and the whole against differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from chainrule.check.claims import Claim, claims, listed
from chainrule.check.replay import World, error_of, is_proven, small_sizes
from chainrule.check.verification import Failure, Verification
from chainrule.check.whole import dangling_names, mislabelled, unlisted, without_rule, wrong_slopes, wrong_tangents
from chainrule.expr import toposort
from chainrule.shapes import Size

if TYPE_CHECKING:
    from chainrule.derive import Derived, Equation
    from chainrule.rewrite import Step

__all__ = ["verify"]

DIFFERENCE_TOLERANCE = 1e-8  # of a function's derivative, and of claims, in which 1 - A may cancel where A is nearly 1
DRAWS = 24  # of all numbers, until every step has had finite values and every difference was smooth


def verify(
    derived: Derived, listing: Sequence[Equation] = (), *, random_state: int | None = 0, tolerance: float = 1e-9
) -> Verification:
    """Replay a derivation on random numbers.

    A rewriting must keep the value of its expression; a step of the chain rule must give <G, dY> = <share, dX> for
    every dX. What the steps pass on must add up to the equations, and an update must be what its rule says. All sizes
    and all scalars are different, and names stand for their equations. Then the derivatives, divided by what they are
    declared to be multiples by, are compared with differences of the loss, and tangents and Hessians with differences
    of what they are derivatives of.

    Parameters
    ----------
    derived : Derived
    listing : sequence of Equation, optional
        What programs are printed from: it must say the same.
    random_state : int or None
        Seed of the random numbers; None takes a new one.
    tolerance : float
        The largest relative error of a rewriting in floating point. Right ones differ by rounding, about 1e-15.

    Returns
    -------
    Verification
    """
    parts = (node for s in derived.steps for node in (s.before, s.after, *([s.via[0]] if s.via else [])))
    said = (e.expression for e in (*derived.equations, *listing))
    orders, large = small_sizes(list(toposort(*said, *parts)))
    for lengths in ([{**names, **large} for names in orders], orders):
        found = _replayed(derived, listing, lengths, random_state, tolerance)
        if found.ok or not large:  # else a coefficient may know a size, as in 1' 1 = 784: judge at that size
            break
    return found


def _replayed(
    derived: Derived,
    listing: Sequence[Equation],
    lengths: Sequence[Mapping[Size, int]],
    random_state: int | None,
    tolerance: float,
) -> Verification:
    """The verdict at some sizes, in several ways."""
    streams = np.random.default_rng(random_state).spawn(3)
    exact = World(lengths[0], streams[0], exact=True)
    spawned = (enumerate(each.spawn(DRAWS)) for each in streams[1:])
    # the whole starts from other sizes, lest a number be right because it is a size
    draws, others = (
        [World(lengths[(i // 3 + k) % len(lengths)], r, draw=i) for i, r in rngs] for k, rngs in enumerate(spawned)
    )

    steps = derived.steps
    proven = [is_proven(s, exact) for s in steps]
    errors = [0.0 if p else error_of(s, draws) for s, p in zip(steps, proven, strict=True)]
    limits = [DIFFERENCE_TOLERANCE if s.via else tolerance for s in steps]
    failures = [_failure(s, e) for s, e, limit in zip(steps, errors, limits, strict=True) if not e <= limit]

    def wrong(claim: Claim) -> bool:
        error = 0.0 if is_proven(claim, exact) else error_of(claim, draws)
        right = error <= max(tolerance, DIFFERENCE_TOLERANCE)
        failures.extend([] if right else [_failure(claim, error)])
        return not right

    blamed = {f.equation for f in failures}  # what a wrong step leads to is not blamed again
    for claim in claims(derived, lambda a, b: is_proven(Claim("", a, b, ""), exact)):
        if claim.equation not in blamed and wrong(claim):
            blamed.add(claim.equation)
    if listing and tuple(listing) != tuple(derived.equations):
        any(map(wrong, listed(derived.equations, listing)))  # what follows from the first is wrong, too
        failures += unlisted(derived.equations, listing)
    failures += [*dangling_names(derived.equations, derived.steps), *without_rule(derived), *mislabelled(derived)]
    failures += [*wrong_slopes(derived, others), *wrong_tangents(derived, others)]
    worst = max((math.inf if math.isnan(e) else e for s, e in zip(steps, errors, strict=True) if not s.via), default=0)
    return Verification(not failures, len(steps), float(worst), tuple(failures), sum(proven))


def _failure(s: Step | Claim, error: float) -> Failure:
    return Failure(s.rule, s.equation, s.before, s.after, error)
