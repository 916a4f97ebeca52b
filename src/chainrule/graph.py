"""The graph of a network: layers, loss and penalty as expressions, differentiated, with the update's equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.derive import Derived, Equation, derive_equations
from chainrule.expr import Node, define, define_op, matrix, size, walk
from chainrule.layers import ROWS, Built, Dense, build
from chainrule.losses import FACTS, Loss, total_weight
from chainrule.penalties import Penalty
from chainrule.updates import UpdateRule


@dataclass(frozen=True)
class Graph:
    """One derivation of a network, in rows layout, and the symbols it is made of."""

    derived: Derived
    data: tuple[Node, ...]  # X, Y and, where used, the weights w
    randoms: tuple[Node, ...]
    parameters: tuple[Node, ...]
    states: tuple[tuple[Node, float], ...]  # with initial values
    hyper: dict[str, float]
    output: str  # the name of the last layer's outputs


def build_graph(
    inputs: int,
    layers: Sequence[Dense],
    loss: Loss,
    penalty: Penalty,
    reduction: str,
    *,
    weighted: bool,
    training: bool,
    rule: UpdateRule | None,
) -> Graph:
    """Build the expressions, differentiate them, and add the equations of an update rule."""
    X = matrix("X", ROWS, inputs)
    Y = matrix("Y", ROWS, layers[-1].width, role="target", facts=FACTS.get(loss.targets, ()))
    w = matrix("w", ROWS, 1, role="weight", facts=("nonnegative",)) if weighted else None
    built = _chain(X, layers, training)
    forward: list[tuple[Node, str, Any]] = [(d.node, d.rule, "forward") for b in built for d in b.definitions]
    if w is not None:
        forward.append((total_weight(w), "sum of weights", "forward"))
    total: Node = loss(built[-1].output, Y, weights=w, reduction=reduction)
    rows = size(ROWS) if w is None else total_weight(w)
    assert isinstance(rows, Node)
    for b in built:
        if (term := penalty(b.weights, rows)) is not None:
            total = total + term
    forward.append((define("loss", total), str(loss), "loss"))
    parameters = tuple(p for b in built for p in b.parameters)
    derived = derive_equations(forward, parameters, keep=[str(b.pre_activation.name) for b in built])
    states: tuple[tuple[Node, float], ...] = ()
    if rule is not None:
        derived, states = _with_update(derived, parameters, rule)
    return Graph(
        derived,
        data=(X, Y) if w is None else (X, Y, w),
        randoms=tuple(M for b in built for M in b.randoms),
        parameters=parameters,
        states=states,
        hyper={} if rule is None else rule.hyper,
        output=str(built[-1].output.name),
    )


def _chain(X: Node, layers: Sequence[Dense], training: bool) -> list[Built]:
    """Each layer on the outputs of the one before."""
    built: list[Built] = []
    for number, layer in enumerate(layers, 1):
        A = built[-1].output if built else X
        built.append(build(layer, number, A, last=number == len(layers), training=training))
    return built


def _with_update(
    derived: Derived, parameters: Sequence[Node], rule: UpdateRule
) -> tuple[Derived, tuple[tuple[Node, float], ...]]:
    """The derivation with the update rule's equations, intermediate names included."""
    gradients = {e.name: e.node for e in derived.equations}
    nexts = rule.equations([(p, gradients[f"d{p.name}"]) for p in parameters])
    known = {e.node for e in derived.equations}
    equations: list[Equation] = []
    for item in nexts:
        for node in walk([item.node], lambda n: () if n in known else n.args):
            if node.op is define_op and node not in known:
                known.add(node)
                equations.append(Equation(node.value, node.args[0], node.shape, rule.name, "update"))
    states = tuple((item.old, item.initial) for item in nexts if item.old.value.role == "state")
    return Derived((*derived.equations, *equations), derived.steps), states
