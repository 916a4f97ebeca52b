"""Statements in plain Python: a matrix is a list of rows, an equation a comprehension over its entries."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.program.arrays import grouped, noted
from chainrule.program.code import ATOM, Code
from chainrule.program.language import Language, Names
from chainrule.program.loops import Indexes, Reduction, entry, indexes, is_scalar, place_in, separated
from chainrule.program.lower import Statement
from chainrule.shapes import Size


def comprehensions(statements: Sequence[Statement], to: Language, names: Names, notes: Names) -> list[str]:
    """Every statement as one comprehension."""
    statements = separated(statements)
    by = indexes(statements)
    lines: list[str] = []
    for group in grouped(statements, notes):
        lines += noted(group, to, notes)
        for s in group:
            value = entry(s.expression, place_in(s.shape, by), to, names, by, _inline).text
            target = names.get(s.target, s.target)
            lines.append(f"{target} = {value}" if is_scalar(s, names) else _matrix(target, value, *s.shape, by))
    return lines


def _inline(reduction: Reduction) -> Code:
    """A sum over a generator expression."""
    loops = " ".join(f"for {index} in range({size})" for index, size in reduction.over)
    index, size = reduction.over[0]
    words = {"there": reduction.there, "here": reduction.here, "own": reduction.own, "k": index, "size": str(size)}
    return Code(reduction.template.format(**words, loops=loops), ATOM, (1, 1))


def _matrix(target: str, value: str, rows: Size, columns: Size, by: Indexes) -> str:
    i, j, _ = by
    row = f"[{value}]" if columns == 1 else f"[{value} for {j} in range({columns})]"
    return f"{target} = [{row}]" if rows == 1 else f"{target} = [{row} for {i} in range({rows})]"
