"""The rewriting engine: named rules `Node -> Node | None`, bottom up to a fixed point, every step recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import overload

from chainrule.errors import DerivationError
from chainrule.expr import Node, Op, is_atom, rebuild
from chainrule.shapes import Shape

Rule = Callable[[Node], Node | None]
MULTIPLE = "multiple"  # the step of the chain rule from the loss to what is a multiple of a derivative by name


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `rule` turned `before` into `after`, in the equation for `equation`.

    A rewriting says that the two are equal. A step of the chain rule has `via`, an operation and the place of one of
    its operands: `before` is the derivative by the result of the operation, `after` its share in that by the operand.
    """

    rule: str
    before: Node
    after: Node
    equation: str = ""
    via: tuple[Node, int] | None = None
    identity: str = ""  # what the rule says, where it is a rewriting

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """The shapes of `before` and `after`: a rewriting keeps it."""
        return self.before.shape, self.after.shape

    @property
    def why(self) -> str:
        """One sentence: the identity, or by which indices the derivative is passed on."""
        return str(import_module("chainrule.render.reasons").why(self))  # upwards, and only to be read


class Later(Sequence[Step]):
    """Steps that are made when somebody first asks for them."""

    def __init__(self, make: Callable[[], Iterable[Step]]) -> None:
        self._make = make

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        return tuple(self._make())

    @overload
    def __getitem__(self, at: int) -> Step: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, at: int | slice) -> Step | tuple[Step, ...]:
        return self._steps[at]

    def __len__(self) -> int:
        return len(self._steps)

    def __reduce__(self) -> tuple[type, tuple[tuple[Step, ...]]]:
        return tuple, (self._steps,)


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
        moves: dict[Node, Node] = {}  # what a node becomes next, while its normal form is not known
        stack = [root]
        while stack:
            node = stack[-1]
            if node in memo:
                stack.pop()
            elif is_atom(node):
                memo[node] = node
            elif node in moves:
                after = moves[node]
                if after in memo:
                    memo[node] = memo[after]
                elif after in moves:
                    raise DerivationError(f"rules go in circles: {', '.join(s.rule for s in self.steps[-3:])}, ...")
                else:
                    stack.append(after)
            elif todo := [a for a in node.args if a not in memo]:
                stack.extend(todo)
            else:
                new = rebuild(node, tuple(memo[a] for a in node.args))
                after = new if new is not node else self._first(node)
                if after is node:
                    memo[node] = node
                else:
                    moves[node] = after
        return memo[root]

    def _first(self, node: Node) -> Node:
        """What the first rule that applies makes of a node, itself if none does; the step is recorded."""
        if node.op not in self._by_op:
            self._by_op[node.op] = [r for r in self._rules if node.op in getattr(r, "ops", (node.op,))]
        for rule in self._by_op[node.op]:
            try:
                out = rule(node)
            except OverflowError:  # a number beyond every float: what was written stays
                continue
            if out is not None and out is not node:
                assert out.shape == node.shape, f"{rule.__name__} changed {node.shape} to {out.shape}"
                self.steps.append(Step(rule.__name__, node, out, self.equation, identity=rule.__doc__ or ""))
                return out
        return node
