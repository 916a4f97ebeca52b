"""What a step has changed a part of: steps are local, and a reader follows the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chainrule.expr import Node, is_atom, rebuild, toposort_to_names
from chainrule.rewrite import Step

OPEN = 8  # derivatives on their ways that are kept in mind, the latest ones


def so_far(steps: Iterable[Step]) -> Iterator[Node | None]:
    """After each step the derivative on its way, of which the step changed a part; None where the step shows it all."""
    ways: list[Node] = []
    for s in steps:
        at = None if s.via else next((i for i in reversed(range(len(ways))) if _is_in(s.before, ways[i])), None)
        if at is None:  # what was passed on, or a sum of that
            ways = [*ways, s.after][-OPEN:]
            yield None
        else:
            whole = ways[at] = _with(ways[at], s)
            yield None if whole is s.after else whole


def _is_in(part: Node, whole: Node) -> bool:
    return any(node is part for node in toposort_to_names(whole))


def _with(whole: Node, s: Step) -> Node:
    """A derivative with a step done in it."""
    new = {s.before: s.after}
    for node in toposort_to_names(whole):
        if node not in new:
            new[node] = node if is_atom(node) else rebuild(node, tuple(new[a] for a in node.args))
    return new[whole]
