"""Forward over reverse, equation by equation: how every named value and every derivative moves along a direction.

The tangent of Z1 is named Z1_dot; that of a parameter is the direction itself; that of its derivative, dW1_dot, is
the Hessian times the direction (Pearlmutter 1994, who writes R{Z1}).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chainrule.adjoint import push
from chainrule.derive import Derived, Equation, Phase
from chainrule.expr import Node, define, is_atom, matrix, toposort_to_names
from chainrule.rewrite import Rewriter, Rule, Step
from chainrule.rules import names_are_used

PHASES: dict[Phase, Phase] = {"forward": "tangent", "loss": "tangent", "backward": "hessian"}


def dotted(name: str) -> str:
    """The name of a tangent."""
    return f"{name}_dot"


def direction(parameter: Node) -> Node:
    """The symbol of the direction in which a parameter moves."""
    return matrix(dotted(str(parameter.name)), *parameter.shape)


def with_tangents(derived: Derived, parameters: Iterable[Node], rules: Iterable[Rule]) -> Derived:
    """The equations with the tangents of the forward and the backward pass after them."""
    equations = [e for e in derived.equations if e.phase in PHASES]
    called = {e.expression: e.node for e in equations if e.phase == "forward" and not is_atom(e.expression)}
    rewriter = Rewriter((*names_are_used(called), *rules))
    tangents = {parameter: direction(parameter) for parameter in parameters}
    steps: list[Step] = []
    found: list[Equation] = []
    for e in equations:
        moved = push(tangents, [e.expression], lambda n: () if is_atom(n) else n.args).get(e.expression)
        if moved is None:
            continue
        name, before = dotted(e.name), len(rewriter.steps)
        tidy = rewriter(moved)
        steps += [replace(s, equation=name) for s in rewriter.steps[before:]]
        tangents[e.node] = define(name, tidy)
        found.append(Equation(name, tidy, e.shape, _rule(e.phase), PHASES[e.phase]))
    read = {n.name for e in found for n in toposort_to_names(e.expression)}
    wanted = [t for t in found if t.phase == "hessian" or t.name in read]  # the loss is hardly ever read
    behind = {t.name for t in wanted}
    left_out = {e.name for e in derived.equations if e.phase not in PHASES}
    steps = [*(s for s in derived.steps if s.equation not in left_out), *(s for s in steps if s.equation in behind)]
    return replace(derived, equations=(*equations, *wanted), steps=tuple(steps))


def _rule(phase: Phase) -> str:
    return "forward over reverse" if phase == "backward" else "tangent"
