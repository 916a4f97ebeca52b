"""The two sweeps of the chain rule over a graph of shared nodes: adjoints down, tangents up; neither is expanded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import reduce

from chainrule.expr import Node, full, is_atom, walk
from chainrule.substitute import placeholder, renamed


def sweep(
    seeds: Mapping[Node, Node],
    wrt: Collection[Node],
    settle: Callable[[Node, Node], Node] = lambda node, G: G,
    *,
    beyond: bool = True,
    operands: Callable[[Node], tuple[Node, ...]] = lambda node: node.args,
    passed: Callable[[Node, int, Node, Node], None] = lambda node, i, G, part: None,
) -> dict[Node, Node]:
    """dL/dv for every node v between the seeds and `wrt`, given dL/droot for each root in `seeds`.

    `settle(node, G)` may replace a complete adjoint (simplify it, give it a name) before it is passed on;
    `passed(node, i, G, part)` is told what an operation passes on to its operand i.
    With `beyond=False` the nodes of `wrt` are leaves, whatever they are made of; `operands(node)` may leave out what
    does not move.
    """
    targets = set(wrt)
    order = list(walk(seeds, lambda n: () if n in targets and not beyond else operands(n)))
    moves = moving(order, targets)
    adjoint = dict(seeds)
    for node in reversed(order):
        if node not in adjoint or node not in moves:
            continue
        G = adjoint[node] = settle(node, adjoint[node])
        if node in targets and not beyond:
            continue
        for i, arg in enumerate(node.args):
            if arg in moves:
                part = node.op.vjp(G, node, i)
                passed(node, i, G, part)
                adjoint[arg] = adjoint[arg] + part if arg in adjoint else part
    return adjoint


def through_definition(definition: Callable[[Node], Node], G: Node, x: Node) -> Node:
    """What G, dL/dY of Y = definition(x), passes on to x.

    The definition of a placeholder is differentiated: what scales its operand would make another node of 3 x.
    """
    u = x if is_atom(x) else placeholder(x, "operand")
    share = sweep({definition(u): G}, [u], beyond=False).get(u, full(0, x.shape))
    return share if u is x else renamed(share, {u: x})


def moving(order: Iterable[Node], targets: Iterable[Node]) -> dict[Node, None]:
    """The targets, and the nodes that move when some target moves, in their order: operands first."""
    moves = dict.fromkeys(targets)
    for node in order:
        if node not in moves and any(a in moves for a in node.args):
            moves[node] = None
    return moves


def push(
    tangents: Mapping[Node, Node],
    roots: Collection[Node],
    operands: Callable[[Node], tuple[Node, ...]] = lambda node: node.args,
    settle: Callable[[Node, Node], Node] = lambda node, T: T,
) -> dict[Node, Node]:
    """The tangent of every node up to `roots` that moves when the keys of `tangents` move by their values.

    The forward sweep. An operation states its vjp only; how it pushes a tangent forward is the transpose of that
    linear map: with <vjp(U), T> = <U, dY>, the tangent dY is the derivative of <vjp(U), T> by U. `operands(node)` may
    leave out what is not to be opened.
    """
    tangent = dict(tangents)
    for node in walk(roots, lambda n: () if n in tangents else operands(n)):
        if node in tangents:
            continue
        parts = [_pushed(node, i, tangent[a]) for i, a in enumerate(operands(node)) if a in tangent]
        found = [part for part in parts if part is not None]
        if found:
            tangent[node] = settle(node, reduce(lambda a, b: a + b, found))
    return tangent


def _pushed(node: Node, operand: int, T: Node) -> Node | None:
    """What a tangent T of an operand adds to that of the node; None if it is zero."""
    U = placeholder(node, "adjoint")
    without = {node, *node.args}  # where U is not: a walk through them would go down to the first layer
    opened = lambda n: () if n in without or is_atom(n) else n.args
    return sweep({node.op.vjp(U, node, operand): T}, [U], operands=opened).get(U)
