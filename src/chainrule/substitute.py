"""Putting nodes in place of others, in a graph of shared nodes."""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.expr import Node, Symbol, apply, is_atom, rebuild, symbol_op, toposort_to_names, walk


def replaced(root: Node, new: Mapping[Node, Node]) -> Node:
    """An expression with other nodes for some of its nodes, inside defined names too."""
    made = dict(new)
    for node in walk([root], lambda n: () if n in new else n.args):
        if node not in made:
            made[node] = rebuild(node, tuple(made[a] for a in node.args))
    return made[root]


def renamed(root: Node, meanings: Mapping[Node, Node]) -> Node:
    """An expression with earlier names in their new meaning; a name is not opened."""
    made: dict[Node, Node] = {}
    for node in toposort_to_names(root):
        made[node] = meanings.get(node, node) if is_atom(node) else rebuild(node, tuple(made[a] for a in node.args))
    return made[root]


def placeholder(node: Node, what: str) -> Node:
    """A symbol of the shape of a node, under a name that nobody can give: it is no identifier."""
    return apply(symbol_op, shape=node.shape, value=Symbol(f"{what} of {node.op.name}"))
