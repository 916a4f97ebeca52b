"""The rewriting engine: named rules `Node -> Node | None`, bottom up to a fixed point, every step recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chainrule.expr import Node, Op, is_atom, rebuild

Rule = Callable[[Node], Node | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One rewriting: `rule` turned `before` into `after`, in the equation for `equation`."""

    rule: str
    before: Node
    after: Node
    equation: str = ""


def on(*ops: Op) -> Callable[[Rule], Rule]:
    """Say which operations a rule is about, so that it is tried on these only."""

    def mark(rule: Rule) -> Rule:
        rule.ops = ops  # type: ignore[attr-defined]  # functions carry attributes, protocols of them do not type
        return rule

    return mark


class Rewriter:
    """Rules with one memo for a whole derivation: what was rewritten once is never looked at again.

    It never descends below a name, so the cost of an equation does not depend on the depth of the network.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.steps: list[Step] = []
        self.equation = ""
        self._memo: dict[Node, Node] = {}
        self._rules = list(rules)
        self._by_op: dict[Op, list[Rule]] = {}

    def __call__(self, root: Node) -> Node:
        """The expression in normal form; a loop, not a recursion, for deep graphs."""
        memo = self._memo
        stack = [root]
        while stack:
            node = stack[-1]
            if node in memo:
                stack.pop()
                continue
            if is_atom(node):
                memo[node] = node
                continue
            todo = [a for a in node.args if a not in memo]
            if todo:
                stack.extend(todo)
                continue
            new = rebuild(node, tuple(memo[a] for a in node.args))
            if new is not node:
                if new in memo:
                    memo[node] = memo[new]
                    continue
                if any(a not in memo for a in new.args):  # rebuilding may combine coefficients
                    stack.append(new)
                    continue
            out = self._first(new)
            if out is None:
                memo[node] = memo[new] = new
            elif out in memo:
                memo[node] = memo[new] = memo[out]
            else:
                stack.append(out)
        return memo[root]

    def _first(self, node: Node) -> Node | None:
        """What the first rule that applies makes of a node; the step is recorded."""
        if node.op not in self._by_op:
            self._by_op[node.op] = [r for r in self._rules if node.op in getattr(r, "ops", (node.op,))]
        for rule in self._by_op[node.op]:
            out = rule(node)
            if out is not None and out is not node:
                assert out.shape == node.shape, f"{rule.__name__} changed {node.shape} to {out.shape}"
                self.steps.append(Step(rule.__name__, node, out, self.equation))
                return out
        return None
