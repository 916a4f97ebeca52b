"""Statements in plain Python: a matrix is a list of rows, an equation a comprehension over its entries."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from chainrule.program.arrays import grouped, noted
from chainrule.program.code import ATOM, Code
from chainrule.program.language import Language, Names
from chainrule.program.loops import Indexes, Reduction, entry, indexes, is_scalar, place_in, separated
from chainrule.program.lower import Statement
from chainrule.shapes import Size

WIDTH = 84  # of a comprehension on one line


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
            if is_scalar(s, names):
                lines.append(f"{target} = {value}")
            else:
                lines += _matrix(target, value, *s.shape, by)
    return lines


def _inline(reduction: Reduction) -> Code:
    """A sum over a generator expression."""
    loops = " ".join(f"for {index} in range({size})" for index, size in reduction.over)
    index, size = reduction.over[0]
    words = {"there": reduction.there, "here": reduction.here, "own": reduction.own, "k": index, "size": str(size)}
    return Code(reduction.template.format(**words, loops=loops), ATOM, (1, 1))


def _indented(value: str, depth: int) -> list[str]:
    """A long value inside brackets, on several lines."""
    first, more = " " * depth, " " * (depth + 4)
    return textwrap.wrap(
        value, WIDTH, initial_indent=first, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )


def _matrix(target: str, value: str, rows: Size, columns: Size, by: Indexes) -> list[str]:
    i, j, _ = by
    row = f"[{value}]" if columns == 1 else f"[{value} for {j} in range({columns})]"
    over = "" if rows == 1 else f" for {i} in range({rows})"
    line = f"{target} = [{row}{over}]"
    if len(line) <= WIDTH:
        return [line]
    if columns != 1 and len(row) > WIDTH:
        broken = ["    [", *_indented(value, 8), f"        for {j} in range({columns})", "    ]"]
    else:
        broken = _indented(row, 4)
    return [f"{target} = [", *broken, *([f"   {over}"] if over else []), "]"]
