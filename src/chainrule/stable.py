"""Expressions in forms that are finite at any score, such as log_softmax(Z) for log(softmax(Z))."""

from __future__ import annotations

from chainrule.expr import Node, define, define_op, rebuild, toposort
from chainrule.rewrite import Rewriter, Step
from chainrule.rules import STABLE


def stabilized(*roots: Node) -> tuple[list[Node], list[Step]]:
    """The expressions by the STABLE rules, inside defined names too, and the steps taken."""
    rewriter = Rewriter(STABLE)
    new: dict[Node, Node] = {}
    for node in toposort(*roots):
        if node.op is define_op:
            new[node] = define(node.value, rewriter(new[node.args[0]]))
        else:
            new[node] = rebuild(node, tuple(new[a] for a in node.args))
    return [rewriter(new[root]) for root in roots], rewriter.steps
