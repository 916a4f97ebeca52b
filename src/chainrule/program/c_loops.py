"""Statements in C99: plain loops over arrays whose sizes are known when they are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule.program.arrays import grouped, noted
from chainrule.program.code import ATOM, Code
from chainrule.program.language import Language, Names
from chainrule.program.loops import Indexes, Reduction, entry, indexes, is_reduction, is_scalar, place_in, separated
from chainrule.program.lower import Statement
from chainrule.shapes import Shape, Size

INDENT = "    "


def loops(statements: Sequence[Statement], to: Language, names: Names, notes: Names) -> list[str]:
    """Declarations, then a nest of loops for each statement."""
    statements = separated(statements)
    return [*declared(statements, names), *nests(statements, to, names, notes)]


def nests(statements: Sequence[Statement], to: Language, names: Names, notes: Names) -> list[str]:
    """A nest of loops for each separated statement."""
    lines: list[str] = []
    by = indexes(statements)
    for group in grouped(statements, notes):
        lines += noted(group, to, notes)
        for s in group:
            lines += _nest(s, to, names, by)
    return lines


def made(statements: Sequence[Statement], names: Names) -> dict[str, Shape]:
    """The arrays that statements need, besides those that they write in place; mere numbers are not among them."""
    return {s.target: s.shape for s in statements if s.target not in names and not is_scalar(s, names)}


def declared(statements: Sequence[Statement], names: Names) -> list[str]:
    """An array for each statement that needs one."""
    return [
        f"double (*{name})[{columns}] = {room(rows, columns)};"
        for name, (rows, columns) in made(statements, names).items()
    ]


def room(rows: Size, columns: Size) -> str:
    """Memory for an array."""
    return f"malloc(sizeof(double[{rows}][{columns}]))"


def for_each(over: Iterable[tuple[str, Size]], body: Sequence[str]) -> list[str]:
    """Loops around a body; braces where it is more than a line."""
    lines = list(body)
    for index, size in reversed([pair for pair in over if pair[1] != 1]):
        head = f"for (int {index} = 0; {index} < {size}; {index}++)"
        inner = [f"{INDENT}{line}" for line in lines]
        lines = [head, *inner] if len(lines) == 1 else [f"{head} {{", *inner, "}"]
    return lines


def _nest(s: Statement, to: Language, names: Names, by: Indexes) -> list[str]:
    before: list[str] = []
    names_taken: list[str] = []

    def accumulated(reduction: Reduction) -> Code:
        """A loop that adds up, before the entry is assigned."""
        alone = is_scalar(s, names) and is_reduction(s.expression)  # its sum is the result
        acc = target if alone else f"{reduction.name}{len(names_taken) + 1 if names_taken else ''}"
        names_taken.append(acc)
        (index, size), *_ = reduction.over
        words = {
            "there": reduction.there,
            "here": reduction.here,
            "own": reduction.own,
            "k": index if size != 1 else "0",
            "size": str(size),
        }
        start, each = reduction.template.split("; ")
        before.append(f"double {acc} = {start};")
        before.extend(for_each(reduction.over, [f"{each.format(**words, acc=acc)};"]))
        return Code(acc, ATOM, (1, 1))

    over = [(index, size) for index, size in zip(by[:2], s.shape, strict=True) if size != 1]
    place = place_in(s.shape, by)
    target = names.get(s.target, s.target)
    value = entry(s.expression, place, to, names, by, accumulated).text
    if value == target:
        return before
    if is_scalar(s, names):
        if not before:
            return [f"double {target} = {value};"]
        inner = [*before, f"{target} = {value};"]
        return [f"double {target};", "{", *(f"{INDENT}{line}" for line in inner), "}"]
    assigned = f"{target}[{place[0]}][{place[1]}] = {value};"
    if before and not over:
        return ["{", *(f"{INDENT}{line}" for line in [*before, assigned]), "}"]
    return for_each(over, [*before, assigned])
