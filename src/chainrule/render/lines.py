"""Breaking a formula into lines: where one may end is known from the expression, its width from the alphabet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a formula that stays on one line; a line may end before it."""

    text: str
    width: float
    level: int = 0  # how deep in the formula it starts: the deeper, the worse the place to end a line
    operator: bool = True  # does it start with one, or does it only stand beside what is before it?

    @property
    def cost(self) -> int:
        """What a line break before it costs a reader: more than one at each operator around it together."""
        return 1 << min(self.level + (0 if self.operator else 10), 40)


def broken(
    pieces: Sequence[Piece], first: float, width: float, indent: Callable[[int], float], space: float
) -> list[tuple[Piece, ...]]:
    """The lines whose breaks cost least together, the earlier lines full: one of at most `first`, then of `width`.

    `indent(level)` is what a line that starts with a piece of that level leaves free, `space` lies between pieces.
    """
    count = len(pieces)
    cost, end = [0.0] * (count + 1), [count] * (count + 1)
    for start in reversed(range(count)):
        room = width - indent(pieces[start].level) if start else first
        used, least = -space, float("inf")
        for stop in range(start + 1, count + 1):
            used += space + pieces[stop - 1].width
            if used > room and stop > start + 1:
                break
            after = cost[stop] + (pieces[stop].cost if stop < count else 0)
            if after <= least:
                least, end[start] = after, stop
        cost[start] = least
    lines, start = [], 0
    while start < count:
        lines.append(tuple(pieces[start : end[start]]))
        start = end[start]
    return lines


def joined(line: Sequence[Piece]) -> str:
    """The text of a line."""
    return " ".join(piece.text for piece in line)
