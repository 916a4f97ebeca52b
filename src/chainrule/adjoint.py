"""The reverse sweep of the chain rule, over a graph of shared nodes: one adjoint for each node, never expanded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from chainrule.expr import Node, toposort, walk


def sweep(
    seeds: Mapping[Node, Node],
    wrt: Collection[Node],
    settle: Callable[[Node, Node], Node] = lambda node, G: G,
    *,
    beyond: bool = True,
    passed: Callable[[Node, int, Node, Node], None] = lambda node, i, G, part: None,
) -> dict[Node, Node]:
    """dL/dv for every node v between the seeds and `wrt`, given dL/droot for each root in `seeds`.

    `settle(node, G)` may replace a complete adjoint (simplify it, give it a name) before it is passed on;
    `passed(node, i, G, part)` is told what an operation passes on to its operand i.
    With `beyond=False` the nodes of `wrt` are leaves, whatever they are made of.
    """
    targets = set(wrt)
    order = list(toposort(*seeds) if beyond else walk(seeds, lambda n: () if n in targets else n.args))
    moves = set(targets)  # nodes that move when some target moves
    for node in order:
        if node not in moves and any(a in moves for a in node.args):
            moves.add(node)
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
