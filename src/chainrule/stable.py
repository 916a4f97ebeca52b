"""Expressions in forms that are finite at any score, such as log_softmax(Z) for log(softmax(Z)): no false kinks."""

from __future__ import annotations

from chainrule.expr import Node, define, define_op, rebuild, toposort
from chainrule.identities import equals_leave_no_choice
from chainrule.rewrite import Rewriter, Rule, Step
from chainrule.rules import STABLE

BEFORE: tuple[Rule, ...] = (*STABLE, equals_leave_no_choice)
"""What is done with any expression before it is differentiated."""


def stabilized(*roots: Node) -> tuple[list[Node], list[Step]]:
    """The expressions by the rules BEFORE, inside defined names too, and the steps taken."""
    rewriter = Rewriter(BEFORE)
    new: dict[Node, Node] = {}
    for node in toposort(*roots):
        if node.op is define_op:
            new[node] = define(node.value, rewriter(new[node.args[0]]))
        else:
            new[node] = rebuild(node, tuple(new[a] for a in node.args))
    return [rewriter(new[root]) for root in roots], rewriter.steps
