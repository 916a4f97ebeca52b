"""Breaking a formula into lines: where one may end is known from the expression, its width from the alphabet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST = 40  # levels that make a difference


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
        return 1 << min(self.level + (0 if self.operator else 10), MOST)


@dataclass(frozen=True, slots=True)
class Written:
    """A formula, or a part of one."""

    pieces: tuple[Piece, ...]
    binds: int
    tall: bool = False  # is there a fraction in it?
    constant: bool = False  # one number in every entry: its shape does not show

    @property
    def text(self) -> str:
        """On one line."""
        return joined(self.pieces)


def broken(
    pieces: Sequence[Piece], first: float, width: float, indent: Callable[[Piece], float], space: float
) -> list[tuple[Piece, ...]]:
    """The lines whose breaks cost least together, the earlier lines full: one of at most `first`, then of `width`.

    A break costs double where an operator further out stands inside the line before it, or inside the line after it:
    what is broken should begin and end with a line.
    `indent(piece)` is what a line that starts with it leaves free, `space` lies between pieces.
    """
    count = len(pieces)
    cost, end = [0.0] * (count + 1), [count] * (count + 1)
    for start in reversed(range(count)):
        room = width - indent(pieces[start]) if start else first
        used, least, outermost = -space, float("inf"), MOST
        for stop in range(start + 1, count + 1):
            used += space + pieces[stop - 1].width
            if used > room and stop > start + 1:
                break
            outermost = min(outermost, pieces[stop - 1].level) if stop > start + 1 else outermost
            ahead = cost[stop] + (pieces[start].cost if start and outermost < pieces[start].level else 0)
            if stop < count:
                ahead += pieces[stop].cost * (2 if outermost < pieces[stop].level else 1)
            if ahead <= least:
                least, end[start] = ahead, stop
        cost[start] = least
    lines, start = [], 0
    while start < count:
        lines.append(tuple(pieces[start : end[start]]))
        start = end[start]
    return lines


def price(lines: Sequence[Sequence[Piece]]) -> int:
    """What the breaks between lines cost."""
    return sum(line[0].cost for line in lines[1:])


def joined(line: Sequence[Piece]) -> str:
    """The text of a line."""
    return " ".join(piece.text for piece in line)
