"""The graph of a network: layers, loss and penalty as expressions, differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.derive import Derived, derive_equations
from chainrule.expr import Node, define, matrix, size
from chainrule.layers import ROWS, Built, Dense, build
from chainrule.losses import FACTS, Loss, total_weight
from chainrule.penalties import Penalty


@dataclass(frozen=True)
class Graph:
    """One derivation of a network, in rows layout, and the symbols it is made of."""

    derived: Derived
    data: tuple[Node, ...]  # X, Y and, where used, the weights w
    randoms: tuple[Node, ...]
    parameters: tuple[Node, ...]
    biases: frozenset[str]  # the names of the parameters that are biases
    total: Node  # what a mean is divided by: n, or s, the sum of the weights
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
    stacked: bool,
) -> Graph:
    """Build the expressions and differentiate them; with `stacked`, biases are the last rows of the weights."""
    X = matrix("X", ROWS, inputs)
    Y = matrix("Y", ROWS, layers[-1].width, role="target", facts=FACTS.get(loss.targets, ()))
    w = matrix("w", ROWS, 1, role="weight", facts=("nonnegative",)) if weighted else None
    built = _chain(X, layers, training, stacked)
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
    return Graph(
        derived,
        data=(X, Y) if w is None else (X, Y, w),
        randoms=tuple(M for b in built for M in b.randoms),
        parameters=parameters,
        biases=frozenset(str(p.name) for b in built for p in b.parameters[1:]),
        total=rows,
        output=str(built[-1].output.name),
    )


def _chain(X: Node, layers: Sequence[Dense], training: bool, stacked: bool) -> list[Built]:
    """Each layer on the outputs of the one before."""
    built: list[Built] = []
    for number, layer in enumerate(layers, 1):
        A = built[-1].output if built else X
        last = number == len(layers)
        built.append(build(layer, number, A, last=last, training=training, stacked=stacked))
    return built
