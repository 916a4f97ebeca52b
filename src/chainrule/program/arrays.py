"""Statements as assignments of whole arrays."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.program.code import code
from chainrule.program.language import Language, Names
from chainrule.program.lower import Statement


def assignments(statements: Sequence[Statement], to: Language, names: Names, notes: Names) -> list[str]:
    """One line for each statement, the notes above what they belong to."""
    lines: list[str] = []
    for group in grouped(statements, notes):
        lines += noted(group, to, notes)
        lines += [f"{names.get(s.target, s.target)} = {code(s.expression, to, names)}{to.end}" for s in group]
    return lines


def grouped(statements: Sequence[Statement], notes: Names) -> list[list[Statement]]:
    """Statements up to one that has a note: it and the shared values that were made for it."""
    groups: list[list[Statement]] = [[]]
    for s in statements:
        groups[-1].append(s)
        if s.target in notes:
            groups.append([])
    return [group for group in groups if group]


def noted(group: Sequence[Statement], to: Language, notes: Names) -> list[str]:
    """The note of a group, as a comment."""
    start, end = to.comment
    return [f"{start}{line}{end}" if line else "" for line in notes.get(group[-1].target, "").splitlines()]
